//! DescribeConfigs: settings of topics and brokers.

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// Asks for settings.
    DescribeConfigsRequest {
        /// Whose settings.
        resources: Vec<DescribeConfigsResource>, in 0..;
        /// Whether the answer shall hold the other places that each value could come from.
        include_synonyms: bool, in 1..;
        /// Whether the answer shall explain the settings.
        include_documentation: bool, in 3..;
    }

    /// A topic or broker.
    DescribeConfigsResource {
        /// What it is: 2 a topic, 4 a broker.
        resource_type: i8, in 0..;
        /// Name of the topic, or the broker's number as text.
        resource_name: String, in 0..;
        /// The settings wanted; null for all.
        configuration_keys: Option<Vec<String>> = Some(Vec::new()), in 0.., nullable 0..;
    }

    /// The settings.
    DescribeConfigsResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 0..;
        /// One for each resource.
        results: Vec<DescribeConfigsResult>, in 0..;
    }

    /// Settings of a topic or broker.
    DescribeConfigsResult {
        /// Why they are not told, or none.
        error_code: ErrorCode, in 0..;
        /// The same in words.
        error_message: Option<String>, in 0.., nullable 0..;
        /// What it is: 2 a topic, 4 a broker.
        resource_type: i8, in 0..;
        /// Name of the topic, or the broker's number as text.
        resource_name: String, in 0..;
        /// The settings.
        configs: Vec<DescribeConfigsResourceResult>, in 0..;
    }

    /// One setting.
    DescribeConfigsResourceResult {
        /// Its name.
        name: String, in 0..;
        /// Its value; null when it is a secret.
        value: Option<String>, in 0.., nullable 0..;
        /// Whether it cannot be changed.
        read_only: bool, in 0..;
        /// Where the value comes from, or -1.
        config_source: i8 = -1, ignorable 1..;
        /// Whether the value is a secret.
        is_sensitive: bool, in 0..;
        /// The places that the value could come from, the first one that has it first.
        synonyms: Vec<DescribeConfigsSynonym>, ignorable 1..;
        /// Type of the value, or 0.
        config_type: i8, ignorable 3..;
        /// What the setting does.
        documentation: Option<String> = Some(String::new()), ignorable 3.., nullable 3..;
    }

    /// A place that a value could come from.
    DescribeConfigsSynonym {
        /// Name of the setting there.
        name: String, in 1..;
        /// Its value there.
        value: Option<String>, in 1.., nullable 1..;
        /// Which kind of place.
        source: i8, in 1..;
    }
}
