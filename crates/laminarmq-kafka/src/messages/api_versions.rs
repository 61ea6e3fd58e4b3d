//! ApiVersions: which APIs a broker serves, and in which versions.

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// Asks for the broker's APIs; the first request on a connection.
    ApiVersionsRequest {
        /// Name of the client library.
        client_software_name: String, ignorable 3..;
        /// Its version.
        client_software_version: String, ignorable 3..;
    }

    /// The broker's APIs and features.
    ApiVersionsResponse {
        /// `UNSUPPORTED_VERSION` when the request's own version is unknown; the answer is version 0 then.
        error_code: ErrorCode, in 0..;
        /// The APIs that the broker serves.
        api_keys: Vec<ApiVersion>, in 0..;
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 1..;
        /// Features that the broker knows.
        supported_features: Vec<SupportedFeatureKey>, ignorable 3.., tag 0;
        /// Age of `finalized_features`, or -1 when unknown.
        finalized_features_epoch: i64 = -1, ignorable 3.., tag 1;
        /// Features that the whole cluster has switched on.
        finalized_features: Vec<FinalizedFeatureKey>, ignorable 3.., tag 2;
        /// Whether a migration from ZooKeeper is possible.
        zk_migration_ready: bool, ignorable 3.., tag 3;
    }

    /// Versions of one API, both ends included.
    ApiVersion {
        /// Its number.
        api_key: i16, in 0..;
        /// First version.
        min_version: i16, in 0..;
        /// Last version.
        max_version: i16, in 0..;
    }

    /// Levels of a feature that the broker knows.
    SupportedFeatureKey {
        /// Its name.
        name: String, in 3..;
        /// Lowest level.
        min_version: i16, in 3..;
        /// Highest level.
        max_version: i16, in 3..;
    }

    /// Levels of a feature that the cluster has switched on.
    FinalizedFeatureKey {
        /// Its name.
        name: String, in 3..;
        /// Highest level.
        max_version_level: i16, in 3..;
        /// Lowest level.
        min_version_level: i16, in 3..;
    }
}
