//! ListOffsets: offsets by time, or the first and the last one.

use crate::ErrorCode;
use crate::schema::schema;

/// In place of a time: the offset that the next record will get.
pub const LATEST_TIMESTAMP: i64 = -1;
/// In place of a time: the first offset that can be read.
pub const EARLIEST_TIMESTAMP: i64 = -2;
/// In place of a time: the record with the highest time.
pub const MAX_TIMESTAMP: i64 = -3;

schema! {
    /// Asks for an offset of each partition.
    ListOffsetsRequest {
        /// The sender's number when it is a broker, or -1.
        replica_id: i32, in 0..;
        /// 0: up to the high watermark; 1: up to the last stable offset.
        isolation_level: i8, in 2..;
        /// The topics.
        topics: Vec<ListOffsetsTopic>, in 0..;
    }

    /// What to look up in one topic.
    ListOffsetsTopic {
        /// Its name.
        name: String, in 0..;
        /// The partitions.
        partitions: Vec<ListOffsetsPartition>, in 0..;
    }

    /// What to look up in one partition.
    ListOffsetsPartition {
        /// Its number within the topic.
        partition_index: i32, in 0..;
        /// The leader's epoch as the sender knows it, or -1.
        current_leader_epoch: i32 = -1, ignorable 4..;
        /// The time in milliseconds, or one of the constants of this module.
        timestamp: i64, in 0..;
    }

    /// The offsets.
    ListOffsetsResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 2..;
        /// The topics.
        topics: Vec<ListOffsetsTopicResponse>, in 0..;
    }

    /// Offsets of one topic.
    ListOffsetsTopicResponse {
        /// Its name.
        name: String, in 0..;
        /// The partitions.
        partitions: Vec<ListOffsetsPartitionResponse>, in 0..;
    }

    /// The offset of one partition.
    ListOffsetsPartitionResponse {
        /// Its number within the topic.
        partition_index: i32, in 0..;
        /// Why there is no answer, or none.
        error_code: ErrorCode, in 0..;
        /// Time of the record found in milliseconds, or -1.
        timestamp: i64 = -1, in 1..;
        /// The offset, or -1.
        offset: i64 = -1, in 1..;
        /// Epoch of the record found, or -1.
        leader_epoch: i32 = -1, in 4..;
    }
}
