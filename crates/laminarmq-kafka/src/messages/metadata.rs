//! Metadata: the brokers of the cluster, its topics, and who leads their partitions.

use crate::schema::schema;
use crate::{ErrorCode, Uuid};

schema! {
    /// Asks for the cluster and for some or all topics.
    MetadataRequest {
        /// The topics. All of them: null, or in version 0 an empty list.
        topics: Option<Vec<MetadataRequestTopic>> = Some(Vec::new()), in 0.., nullable 1..;
        /// Whether missing topics may be created.
        allow_auto_topic_creation: bool = true, in 4..;
        /// Whether the answer shall say what the client may do with the cluster.
        include_cluster_authorized_operations: bool, in 8..=10;
        /// Whether the answer shall say what the client may do with each topic.
        include_topic_authorized_operations: bool, in 8..;
    }

    /// One topic asked for, by name or (with a null name) by id.
    MetadataRequestTopic {
        /// The id, or zero.
        topic_id: Uuid, ignorable 10..;
        /// The name.
        name: Option<String> = Some(String::new()), in 0.., nullable 10..;
    }

    /// The cluster and the topics.
    MetadataResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 3..;
        /// The brokers.
        brokers: Vec<MetadataResponseBroker>, in 0..;
        /// Name of the cluster.
        cluster_id: Option<String>, ignorable 2.., nullable 2..;
        /// The broker that takes administrative requests, or -1.
        controller_id: i32 = -1, ignorable 1..;
        /// The topics asked for.
        topics: Vec<MetadataResponseTopic>, in 0..;
        /// What the client may do with the cluster, as bits; `i32::MIN` when not asked for.
        cluster_authorized_operations: i32 = i32::MIN, in 8..=10;
    }

    /// A broker and where it listens.
    MetadataResponseBroker {
        /// Its number.
        node_id: i32, in 0..;
        /// Name or address to dial.
        host: String, in 0..;
        /// Port to dial.
        port: i32, in 0..;
        /// Its rack, when it has one.
        rack: Option<String>, ignorable 1.., nullable 1..;
    }

    /// A topic and its partitions.
    MetadataResponseTopic {
        /// Why the topic cannot be told, or none.
        error_code: ErrorCode, in 0..;
        /// The name; null when asked by an unknown id.
        name: Option<String> = Some(String::new()), in 0.., nullable 12..;
        /// The id, or zero.
        topic_id: Uuid, ignorable 10..;
        /// Whether the broker keeps the topic for itself.
        is_internal: bool, ignorable 1..;
        /// The partitions.
        partitions: Vec<MetadataResponsePartition>, in 0..;
        /// What the client may do with the topic, as bits; `i32::MIN` when not asked for.
        topic_authorized_operations: i32 = i32::MIN, in 8..;
    }

    /// A partition, its leader and its replicas.
    MetadataResponsePartition {
        /// Why the partition cannot be used, or none.
        error_code: ErrorCode, in 0..;
        /// Its number within the topic.
        partition_index: i32, in 0..;
        /// The broker that leads it, or -1.
        leader_id: i32, in 0..;
        /// The leader's epoch, or -1.
        leader_epoch: i32 = -1, ignorable 7..;
        /// Brokers with a replica.
        replica_nodes: Vec<i32>, in 0..;
        /// Brokers whose replica is in step with the leader.
        isr_nodes: Vec<i32>, in 0..;
        /// Brokers with a replica that cannot be reached.
        offline_replicas: Vec<i32>, ignorable 5..;
    }
}
