//! Fetch: record batches from some offsets on.

use crate::schema::schema;
use crate::{ErrorCode, Records};

schema! {
    /// Asks for batches, waiting for them if need be.
    FetchRequest {
        /// The cluster that the sender believes to talk to.
        cluster_id: Option<String>, ignorable 12.., nullable 12.., tag 0;
        /// The sender's number when it is a broker, or -1.
        replica_id: i32 = -1, in 0..=14;
        /// How long to wait for `min_bytes`, in milliseconds.
        max_wait_ms: i32, in 0..;
        /// Answer as soon as this many bytes are there.
        min_bytes: i32, in 0..;
        /// Most bytes of the answer; the first batch comes even when it is larger.
        max_bytes: i32 = i32::MAX, ignorable 3..;
        /// 0: everything committed; 1: without aborted and open transactions.
        isolation_level: i8, in 4..;
        /// The fetch session, or 0.
        session_id: i32, ignorable 7..;
        /// Place within the session, or -1 for none.
        session_epoch: i32 = -1, ignorable 7..;
        /// The topics.
        topics: Vec<FetchTopic>, in 0..;
        /// Partitions to take out of the session.
        forgotten_topics_data: Vec<ForgottenTopic>, in 7..;
        /// The sender's rack, or empty.
        rack_id: String, ignorable 11..;
    }

    /// What to fetch of one topic.
    FetchTopic {
        /// Its name.
        topic: String, ignorable 0..=12;
        /// The partitions.
        partitions: Vec<FetchPartition>, in 0..;
    }

    /// What to fetch of one partition.
    FetchPartition {
        /// Its number within the topic.
        partition: i32, in 0..;
        /// The leader's epoch as the sender knows it, or -1.
        current_leader_epoch: i32 = -1, ignorable 9..;
        /// The first offset wanted.
        fetch_offset: i64, in 0..;
        /// Epoch of the sender's last record, or -1.
        last_fetched_epoch: i32 = -1, in 12..;
        /// First offset that the sender has, when it is a broker, or -1.
        log_start_offset: i64 = -1, ignorable 5..;
        /// Most bytes of this partition.
        partition_max_bytes: i32, in 0..;
    }

    /// Partitions of one topic to take out of the session.
    ForgottenTopic {
        /// Its name.
        topic: String, ignorable 7..=12;
        /// Their numbers.
        partitions: Vec<i32>, in 7..;
    }

    /// The batches.
    FetchResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 1..;
        /// Why nothing was fetched, or none.
        error_code: ErrorCode, ignorable 7..;
        /// The fetch session, or 0.
        session_id: i32, in 7..;
        /// The topics.
        responses: Vec<FetchableTopicResponse>, in 0..;
    }

    /// Batches of one topic.
    FetchableTopicResponse {
        /// Its name.
        topic: String, ignorable 0..=12;
        /// The partitions.
        partitions: Vec<PartitionData>, in 0..;
    }

    /// Batches of one partition.
    PartitionData {
        /// Its number within the topic.
        partition_index: i32, in 0..;
        /// Why nothing was fetched, or none.
        error_code: ErrorCode, in 0..;
        /// First offset that is not committed yet.
        high_watermark: i64, in 0..;
        /// First offset of an open transaction, or the high watermark; -1 when unknown.
        last_stable_offset: i64 = -1, ignorable 4..;
        /// First offset that can be read, or -1.
        log_start_offset: i64 = -1, ignorable 5..;
        /// Where the sender's log differs from the leader's.
        diverging_epoch: EpochEndOffset, ignorable 12.., tag 0;
        /// The leader to turn to.
        current_leader: LeaderIdAndEpoch, ignorable 12.., tag 1;
        /// The snapshot to fetch instead.
        snapshot_id: SnapshotId, ignorable 12.., tag 2;
        /// Aborted transactions in the batches.
        aborted_transactions: Option<Vec<AbortedTransaction>>, ignorable 4.., nullable 4..;
        /// The broker to read from instead, or -1.
        preferred_read_replica: i32 = -1, in 11..;
        /// The batches, from the one that holds the wanted offset on.
        records: Records, in 0.., nullable 0..;
    }

    /// Where an epoch ends in the leader's log.
    EpochEndOffset {
        /// The epoch, or -1.
        epoch: i32 = -1, in 12..;
        /// First offset behind it, or -1.
        end_offset: i64 = -1, in 12..;
    }

    /// A partition's leader.
    LeaderIdAndEpoch {
        /// The broker, or -1.
        leader_id: i32 = -1, in 12..;
        /// Its epoch, or -1.
        leader_epoch: i32 = -1, in 12..;
    }

    /// A snapshot, by the place in the log that it replaces.
    SnapshotId {
        /// First offset behind it, or -1.
        end_offset: i64 = -1, in 0..;
        /// Epoch of its last record, or -1.
        epoch: i32 = -1, in 0..;
    }

    /// An aborted transaction.
    AbortedTransaction {
        /// Who wrote it.
        producer_id: i64, in 4..;
        /// Its first offset.
        first_offset: i64, in 4..;
    }
}
