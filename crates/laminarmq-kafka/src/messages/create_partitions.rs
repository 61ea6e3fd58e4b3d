//! CreatePartitions: adds partitions to topics.

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// The topics and how many partitions they shall have.
    CreatePartitionsRequest {
        /// The topics.
        topics: Vec<CreatePartitionsTopic>, in 0..;
        /// How long to wait, in milliseconds.
        timeout_ms: i32, in 0..;
        /// Check only, create nothing.
        validate_only: bool, in 0..;
    }

    /// How many partitions one topic shall have.
    CreatePartitionsTopic {
        /// Its name.
        name: String, in 0..;
        /// All its partitions, the present ones included.
        count: i32, in 0..;
        /// Brokers of the new ones; null to let the cluster choose.
        assignments: Option<Vec<CreatePartitionsAssignment>> = Some(Vec::new()), in 0.., nullable 0..;
    }

    /// Brokers of one new partition.
    CreatePartitionsAssignment {
        /// The brokers, the preferred leader first.
        broker_ids: Vec<i32>, in 0..;
    }

    /// What became of each topic.
    CreatePartitionsResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 0..;
        /// The topics.
        results: Vec<CreatePartitionsTopicResult>, in 0..;
    }

    /// What became of one topic.
    CreatePartitionsTopicResult {
        /// Its name.
        name: String, in 0..;
        /// Why it has no more partitions than before, or none.
        error_code: ErrorCode, in 0..;
        /// The same in words.
        error_message: Option<String>, in 0.., nullable 0..;
    }
}
