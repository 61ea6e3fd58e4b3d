//! DeleteTopics.

use crate::schema::schema;
use crate::{ErrorCode, Uuid};

schema! {
    /// Topics to be deleted.
    DeleteTopicsRequest {
        /// The topics, by name or id.
        topics: Vec<DeleteTopicState>, in 6..;
        /// The topics, by name.
        topic_names: Vec<String>, ignorable 0..=5;
        /// How long to wait for the deletion, in milliseconds.
        timeout_ms: i32, in 0..;
    }

    /// A topic to be deleted, by name or (with a null name) by id.
    DeleteTopicState {
        /// Its name.
        name: Option<String>, in 6.., nullable 6..;
        /// Its id, or zero.
        topic_id: Uuid, in 6..;
    }

    /// What became of each topic.
    DeleteTopicsResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 1..;
        /// The topics.
        responses: Vec<DeletableTopicResult>, in 0..;
    }

    /// What became of one topic.
    DeletableTopicResult {
        /// Its name; null when asked by an unknown id.
        name: Option<String> = Some(String::new()), in 0.., nullable 6..;
        /// Its id, or zero.
        topic_id: Uuid, ignorable 6..;
        /// Why it was not deleted, or none.
        error_code: ErrorCode, in 0..;
        /// The same in words.
        error_message: Option<String>, ignorable 5.., nullable 5..;
    }
}
