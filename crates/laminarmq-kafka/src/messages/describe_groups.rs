//! DescribeGroups: the state of groups and their members.

use bytes::Bytes;

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// Asks for groups.
    DescribeGroupsRequest {
        /// The groups.
        groups: Vec<String>, in 0..;
        /// Whether the answer shall say what the client may do with each group.
        include_authorized_operations: bool, in 3..;
    }

    /// The groups.
    DescribeGroupsResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 1..;
        /// The groups.
        groups: Vec<DescribedGroup>, in 0..;
    }

    /// One group.
    DescribedGroup {
        /// Why it is not told, or none.
        error_code: ErrorCode, in 0..;
        /// The group.
        group_id: String, in 0..;
        /// Its state, as a word.
        group_state: String, in 0..;
        /// What the group is for.
        protocol_type: String, in 0..;
        /// The protocol that it follows.
        protocol_data: String, in 0..;
        /// Its members.
        members: Vec<DescribedGroupMember>, in 0..;
        /// What the client may do with the group, as bits; `i32::MIN` when not asked for.
        authorized_operations: i32 = i32::MIN, in 3..;
    }

    /// One member.
    DescribedGroupMember {
        /// The member.
        member_id: String, in 0..;
        /// Its own name, when it has one.
        group_instance_id: Option<String>, ignorable 4.., nullable 4..;
        /// The client id of its requests.
        client_id: String, in 0..;
        /// The address that it comes from.
        client_host: String, in 0..;
        /// What it said about itself.
        member_metadata: Bytes, in 0..;
        /// What it is to do.
        member_assignment: Bytes, in 0..;
    }
}
