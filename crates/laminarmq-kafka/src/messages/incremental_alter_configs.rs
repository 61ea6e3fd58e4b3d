//! IncrementalAlterConfigs: changes some settings of topics or brokers.

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// The changes.
    IncrementalAlterConfigsRequest {
        /// Whose settings.
        resources: Vec<AlterConfigsResource>, in 0..;
        /// Check only, change nothing.
        validate_only: bool, in 0..;
    }

    /// A topic or broker. Settings that are not named stay as they are.
    AlterConfigsResource {
        /// What it is: 2 a topic, 4 a broker.
        resource_type: i8, in 0..;
        /// Name of the topic, or the broker's number as text.
        resource_name: String, in 0..;
        /// The changes.
        configs: Vec<AlterableConfig>, in 0..;
    }

    /// A change of one setting.
    AlterableConfig {
        /// Its name.
        name: String, in 0..;
        /// What to do: 0 set, 1 go back to the default, 2 add to a list, 3 take out of a list.
        config_operation: i8, in 0..;
        /// The value.
        value: Option<String>, in 0.., nullable 0..;
    }

    /// What was changed.
    IncrementalAlterConfigsResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, in 0..;
        /// One for each resource.
        responses: Vec<AlterConfigsResourceResponse>, in 0..;
    }

    /// Whether one topic's or broker's settings were changed.
    AlterConfigsResourceResponse {
        /// Why not, or none.
        error_code: ErrorCode, in 0..;
        /// The same in words.
        error_message: Option<String>, in 0.., nullable 0..;
        /// What it is: 2 a topic, 4 a broker.
        resource_type: i8, in 0..;
        /// Name of the topic, or the broker's number as text.
        resource_name: String, in 0..;
    }
}
