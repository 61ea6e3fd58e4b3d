//! OffsetFetch: how far groups have read.

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// Asks for offsets: of one group, from version 8 on of several.
    OffsetFetchRequest {
        /// The group.
        group_id: String, in 0..=7;
        /// Its topics; null for all.
        topics: Option<Vec<OffsetFetchRequestTopic>> = Some(Vec::new()), in 0..=7, nullable 2..=7;
        /// The groups.
        groups: Vec<OffsetFetchRequestGroup>, in 8..;
        /// Whether to refuse the answer while transactions may still change it.
        require_stable: bool, in 7..;
    }

    /// What to tell of one topic.
    OffsetFetchRequestTopic {
        /// Its name.
        name: String, in 0..=7;
        /// Its partitions' numbers.
        partition_indexes: Vec<i32>, in 0..=7;
    }

    /// What to tell of one group.
    OffsetFetchRequestGroup {
        /// The group.
        group_id: String, in 8..;
        /// The member that asks, when it is one.
        member_id: Option<String>, ignorable 9.., nullable 9..;
        /// Its epoch, or -1.
        member_epoch: i32 = -1, ignorable 9..;
        /// The topics; null for all.
        topics: Option<Vec<OffsetFetchRequestTopics>> = Some(Vec::new()), in 8.., nullable 8..;
    }

    /// What to tell of one topic of a group.
    OffsetFetchRequestTopics {
        /// Its name.
        name: String, in 8..;
        /// Its partitions' numbers.
        partition_indexes: Vec<i32>, in 8..;
    }

    /// The offsets.
    OffsetFetchResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 3..;
        /// The group's topics.
        topics: Vec<OffsetFetchResponseTopic>, in 0..=7;
        /// Why nothing is told, or none.
        error_code: ErrorCode, ignorable 2..=7;
        /// The groups.
        groups: Vec<OffsetFetchResponseGroup>, in 8..;
    }

    /// Offsets of one topic.
    OffsetFetchResponseTopic {
        /// Its name.
        name: String, in 0..=7;
        /// The partitions.
        partitions: Vec<OffsetFetchResponsePartition>, in 0..=7;
    }

    /// The offset of one partition.
    OffsetFetchResponsePartition {
        /// Its number within the topic.
        partition_index: i32, in 0..=7;
        /// The next offset to be read, or -1 when nothing was committed.
        committed_offset: i64, in 0..=7;
        /// Epoch of the last record read, or -1.
        committed_leader_epoch: i32 = -1, ignorable 5..=7;
        /// What the client left with it.
        metadata: Option<String>, in 0..=7, nullable 0..=7;
        /// Why the offset is not told, or none.
        error_code: ErrorCode, in 0..=7;
    }

    /// Offsets of one group.
    OffsetFetchResponseGroup {
        /// The group.
        group_id: String, in 8..;
        /// The topics.
        topics: Vec<OffsetFetchResponseTopics>, in 8..;
        /// Why nothing is told, or none.
        error_code: ErrorCode, in 8..;
    }

    /// Offsets of one topic of a group.
    OffsetFetchResponseTopics {
        /// Its name.
        name: String, in 8..;
        /// The partitions.
        partitions: Vec<OffsetFetchResponsePartitions>, in 8..;
    }

    /// The offset of one partition of a group.
    OffsetFetchResponsePartitions {
        /// Its number within the topic.
        partition_index: i32, in 8..;
        /// The next offset to be read, or -1 when nothing was committed.
        committed_offset: i64, in 8..;
        /// Epoch of the last record read, or -1.
        committed_leader_epoch: i32 = -1, ignorable 8..;
        /// What the client left with it.
        metadata: Option<String>, in 8.., nullable 8..;
        /// Why the offset is not told, or none.
        error_code: ErrorCode, in 8..;
    }
}
