//! Produce: record batches to be appended.

use bytes::Bytes;

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// Batches for some partitions.
    ProduceRequest {
        /// The transaction that the batches belong to.
        transactional_id: Option<String>, in 3.., nullable 3..;
        /// Who must have the batches before the answer: 0 nobody (and there is no answer), 1 the leader,
        /// -1 all replicas in step.
        acks: i16, in 0..;
        /// How long to wait for them, in milliseconds.
        timeout_ms: i32, in 0..;
        /// The topics.
        topic_data: Vec<TopicProduceData>, in 0..;
    }

    /// Batches for one topic.
    TopicProduceData {
        /// Its name.
        name: String, in 0..=12;
        /// The partitions.
        partition_data: Vec<PartitionProduceData>, in 0..;
    }

    /// Batches for one partition.
    PartitionProduceData {
        /// Its number within the topic.
        index: i32, in 0..;
        /// The batches, as they stand on the wire.
        records: Option<Bytes>, in 0.., nullable 0..;
    }

    /// What became of each batch.
    ProduceResponse {
        /// The topics.
        responses: Vec<TopicProduceResponse>, in 0..;
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 1..;
        /// Addresses of the leaders named below.
        node_endpoints: Vec<NodeEndpoint>, ignorable 10.., tag 0;
    }

    /// What became of one topic's batches.
    TopicProduceResponse {
        /// The topic's name.
        name: String, in 0..=12;
        /// The partitions.
        partition_responses: Vec<PartitionProduceResponse>, in 0..;
    }

    /// What became of one partition's batch.
    PartitionProduceResponse {
        /// Number of the partition within the topic.
        index: i32, in 0..;
        /// Why the batch was refused, or none.
        error_code: ErrorCode, in 0..;
        /// Offset of its first record, or -1.
        base_offset: i64, in 0..;
        /// The broker's time for the batch in milliseconds, or -1 when the producer's times were kept.
        log_append_time_ms: i64 = -1, ignorable 2..;
        /// First offset that can be read, or -1.
        log_start_offset: i64 = -1, ignorable 5..;
        /// The records that the batch was refused for.
        record_errors: Vec<BatchIndexAndErrorMessage>, ignorable 8..;
        /// Why the batch was refused, in words.
        error_message: Option<String>, ignorable 8.., nullable 8..;
        /// The leader to turn to.
        current_leader: LeaderIdAndEpoch, ignorable 10.., tag 0;
    }

    /// A record that its batch was refused for.
    BatchIndexAndErrorMessage {
        /// Place of the record within the batch, from 0.
        batch_index: i32, in 8..;
        /// What is wrong with it, in words.
        batch_index_error_message: Option<String>, in 8.., nullable 8..;
    }

    /// A partition's leader.
    LeaderIdAndEpoch {
        /// The broker, or -1.
        leader_id: i32 = -1, in 10..;
        /// Its epoch, or -1.
        leader_epoch: i32 = -1, in 10..;
    }

    /// A broker and where it listens.
    NodeEndpoint {
        /// Its number.
        node_id: i32, in 10..;
        /// Name or address to dial.
        host: String, in 10..;
        /// Port to dial.
        port: i32, in 10..;
        /// Its rack, when it has one.
        rack: Option<String>, in 10.., nullable 10..;
    }
}
