//! CreateTopics.

use crate::schema::schema;
use crate::{ErrorCode, Uuid};

schema! {
    /// Topics to be created.
    CreateTopicsRequest {
        /// The topics.
        topics: Vec<CreatableTopic>, in 0..;
        /// How long to wait for them, in milliseconds.
        timeout_ms: i32 = 60_000, in 0..;
        /// Check only, create nothing.
        validate_only: bool, in 1..;
    }

    /// A topic to be created.
    CreatableTopic {
        /// Its name.
        name: String, in 0..;
        /// How many partitions; -1 with assignments or for the broker's default.
        num_partitions: i32, in 0..;
        /// Replicas of each partition; -1 with assignments or for the broker's default.
        replication_factor: i16, in 0..;
        /// Brokers of each partition; empty to let the cluster choose.
        assignments: Vec<CreatableReplicaAssignment>, in 0..;
        /// Settings that differ from the defaults.
        configs: Vec<CreatableTopicConfig>, in 0..;
    }

    /// Brokers of one partition.
    CreatableReplicaAssignment {
        /// Number of the partition within the topic.
        partition_index: i32, in 0..;
        /// The brokers, the preferred leader first.
        broker_ids: Vec<i32>, in 0..;
    }

    /// One setting of a topic.
    CreatableTopicConfig {
        /// Its name.
        name: String, in 0..;
        /// Its value.
        value: Option<String>, in 0.., nullable 0..;
    }

    /// What became of each topic.
    CreateTopicsResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 2..;
        /// The topics.
        topics: Vec<CreatableTopicResult>, in 0..;
    }

    /// What became of one topic.
    CreatableTopicResult {
        /// Its name.
        name: String, in 0..;
        /// Its id, or zero.
        topic_id: Uuid, ignorable 7..;
        /// Why it was not created, or none.
        error_code: ErrorCode, in 0..;
        /// The same in words.
        error_message: Option<String>, ignorable 1.., nullable 0..;
        /// Why its settings are not told, or none.
        topic_config_error_code: ErrorCode, ignorable 5.., tag 0;
        /// How many partitions it has, or -1.
        num_partitions: i32 = -1, ignorable 5..;
        /// Replicas of each partition, or -1.
        replication_factor: i16 = -1, ignorable 5..;
        /// Its settings. Some clients do not expect null.
        configs: Option<Vec<CreatableTopicConfigs>> = Some(Vec::new()), ignorable 5.., nullable 5..;
    }

    /// One setting of a created topic.
    CreatableTopicConfigs {
        /// Its name.
        name: String, in 5..;
        /// Its value.
        value: Option<String>, in 5.., nullable 5..;
        /// Whether it cannot be changed.
        read_only: bool, in 5..;
        /// Where the value comes from, or -1.
        config_source: i8 = -1, ignorable 5..;
        /// Whether the value is a secret.
        is_sensitive: bool, in 5..;
    }
}
