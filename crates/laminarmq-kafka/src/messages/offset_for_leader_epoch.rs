//! OffsetForLeaderEpoch: where the records of a leader's epoch end.

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// Asks for the ends of epochs.
    OffsetForLeaderEpochRequest {
        /// The sender's number when it is a broker, -1 for a consumer, -2 for a debugging one.
        replica_id: i32 = -2, ignorable 3..;
        /// The topics.
        topics: Vec<OffsetForLeaderTopic>, in 0..;
    }

    /// Epochs of one topic.
    OffsetForLeaderTopic {
        /// Its name.
        topic: String, in 0..;
        /// The partitions.
        partitions: Vec<OffsetForLeaderPartition>, in 0..;
    }

    /// The epoch of one partition.
    OffsetForLeaderPartition {
        /// Its number within the topic.
        partition: i32, in 0..;
        /// The leader's epoch as the sender knows it, or -1.
        current_leader_epoch: i32 = -1, ignorable 2..;
        /// The epoch asked for.
        leader_epoch: i32, in 0..;
    }

    /// The ends.
    OffsetForLeaderEpochResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 2..;
        /// The topics.
        topics: Vec<OffsetForLeaderTopicResult>, in 0..;
    }

    /// Ends of one topic's epochs.
    OffsetForLeaderTopicResult {
        /// The topic's name.
        topic: String, in 0..;
        /// The partitions.
        partitions: Vec<EpochEndOffset>, in 0..;
    }

    /// The end of one partition's epoch.
    EpochEndOffset {
        /// Why it is not told, or none.
        error_code: ErrorCode, in 0..;
        /// Number of the partition within the topic.
        partition: i32, in 0..;
        /// The last epoch up to the one asked for, or -1.
        leader_epoch: i32 = -1, ignorable 1..;
        /// First offset behind it, or -1.
        end_offset: i64 = -1, in 0..;
    }
}
