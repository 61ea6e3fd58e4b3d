//! OffsetDelete: forgets how far a group has read.

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// What to forget.
    OffsetDeleteRequest {
        /// The group.
        group_id: String, in 0..;
        /// The topics.
        topics: Vec<OffsetDeleteRequestTopic>, in 0..;
    }

    /// What to forget of one topic.
    OffsetDeleteRequestTopic {
        /// Its name.
        name: String, in 0..;
        /// The partitions.
        partitions: Vec<OffsetDeleteRequestPartition>, in 0..;
    }

    /// A partition whose offset is to be forgotten.
    OffsetDeleteRequestPartition {
        /// Its number within the topic.
        partition_index: i32, in 0..;
    }

    /// What was forgotten.
    OffsetDeleteResponse {
        /// Why nothing was, or none.
        error_code: ErrorCode, in 0..;
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 0..;
        /// The topics.
        topics: Vec<OffsetDeleteResponseTopic>, in 0..;
    }

    /// What was forgotten of one topic.
    OffsetDeleteResponseTopic {
        /// Its name.
        name: String, in 0..;
        /// The partitions.
        partitions: Vec<OffsetDeleteResponsePartition>, in 0..;
    }

    /// Whether one partition's offset was forgotten.
    OffsetDeleteResponsePartition {
        /// Number of the partition within the topic.
        partition_index: i32, in 0..;
        /// Why not, or none.
        error_code: ErrorCode, in 0..;
    }
}
