//! OffsetCommit: how far a group has read.

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// Offsets to be kept.
    OffsetCommitRequest {
        /// The group.
        group_id: String, in 0..;
        /// The group's generation, or -1 from outside of it.
        generation_id_or_member_epoch: i32 = -1, ignorable 1..;
        /// The member, or empty from outside of the group.
        member_id: String, ignorable 1..;
        /// The member's own name, when it has one.
        group_instance_id: Option<String>, in 7.., nullable 7..;
        /// How long to keep the offsets in milliseconds, or -1 for the broker's default.
        retention_time_ms: i64 = -1, ignorable 2..=4;
        /// The topics.
        topics: Vec<OffsetCommitRequestTopic>, in 0..;
    }

    /// Offsets of one topic.
    OffsetCommitRequestTopic {
        /// Its name.
        name: String, in 0..;
        /// The partitions.
        partitions: Vec<OffsetCommitRequestPartition>, in 0..;
    }

    /// The offset of one partition.
    OffsetCommitRequestPartition {
        /// Its number within the topic.
        partition_index: i32, in 0..;
        /// The next offset to be read.
        committed_offset: i64, in 0..;
        /// Epoch of the last record read, or -1.
        committed_leader_epoch: i32 = -1, ignorable 6..;
        /// Whatever the client wants to find again.
        committed_metadata: Option<String>, in 0.., nullable 0..;
    }

    /// What was kept.
    OffsetCommitResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 3..;
        /// The topics.
        topics: Vec<OffsetCommitResponseTopic>, in 0..;
    }

    /// What was kept of one topic.
    OffsetCommitResponseTopic {
        /// Its name.
        name: String, in 0..;
        /// The partitions.
        partitions: Vec<OffsetCommitResponsePartition>, in 0..;
    }

    /// Whether one partition's offset was kept.
    OffsetCommitResponsePartition {
        /// Number of the partition within the topic.
        partition_index: i32, in 0..;
        /// Why not, or none.
        error_code: ErrorCode, in 0..;
    }
}
