//! ListGroups: the groups that a broker keeps.

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// Asks for the groups.
    ListGroupsRequest {
        /// Only groups in one of these states; empty for all.
        states_filter: Vec<String>, in 4..;
        /// Only groups of one of these types; empty for all.
        types_filter: Vec<String>, in 5..;
    }

    /// The groups.
    ListGroupsResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 1..;
        /// Why they are not told, or none.
        error_code: ErrorCode, in 0..;
        /// The groups.
        groups: Vec<ListedGroup>, in 0..;
    }

    /// One group.
    ListedGroup {
        /// The group.
        group_id: String, in 0..;
        /// What it is for.
        protocol_type: String, in 0..;
        /// Its state, as a word.
        group_state: String, ignorable 4..;
        /// Its type, as a word.
        group_type: String, ignorable 5..;
    }
}
