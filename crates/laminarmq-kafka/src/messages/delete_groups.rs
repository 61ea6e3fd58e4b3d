//! DeleteGroups.

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// Groups to be deleted.
    DeleteGroupsRequest {
        /// The groups.
        groups_names: Vec<String>, in 0..;
    }

    /// What became of each group.
    DeleteGroupsResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 0..;
        /// The groups.
        results: Vec<DeletableGroupResult>, in 0..;
    }

    /// What became of one group.
    DeletableGroupResult {
        /// The group.
        group_id: String, in 0..;
        /// Why it was not deleted, or none.
        error_code: ErrorCode, in 0..;
    }
}
