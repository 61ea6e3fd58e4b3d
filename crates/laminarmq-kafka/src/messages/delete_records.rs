//! DeleteRecords: cuts the start of partitions.

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// Where the partitions shall start.
    DeleteRecordsRequest {
        /// The topics.
        topics: Vec<DeleteRecordsTopic>, in 0..;
        /// How long to wait, in milliseconds.
        timeout_ms: i32, in 0..;
    }

    /// Where one topic's partitions shall start.
    DeleteRecordsTopic {
        /// The topic's name.
        name: String, in 0..;
        /// The partitions.
        partitions: Vec<DeleteRecordsPartition>, in 0..;
    }

    /// Where one partition shall start.
    DeleteRecordsPartition {
        /// Its number within the topic.
        partition_index: i32, in 0..;
        /// The first offset that stays; -1 for the high watermark.
        offset: i64, in 0..;
    }

    /// Where the partitions start now.
    DeleteRecordsResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 0..;
        /// The topics.
        topics: Vec<DeleteRecordsTopicResult>, in 0..;
    }

    /// Where one topic's partitions start now.
    DeleteRecordsTopicResult {
        /// The topic's name.
        name: String, in 0..;
        /// The partitions.
        partitions: Vec<DeleteRecordsPartitionResult>, in 0..;
    }

    /// Where one partition starts now.
    DeleteRecordsPartitionResult {
        /// Its number within the topic.
        partition_index: i32, in 0..;
        /// First offset that can be read on every replica, or -1.
        low_watermark: i64, in 0..;
        /// Why nothing was cut, or none.
        error_code: ErrorCode, in 0..;
    }
}
