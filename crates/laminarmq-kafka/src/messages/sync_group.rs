//! SyncGroup: the leader hands out the assignments of a generation.

use bytes::Bytes;

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// Asks for the member's assignment; the leader brings all of them.
    SyncGroupRequest {
        /// The group.
        group_id: String, in 0..;
        /// The generation.
        generation_id: i32, in 0..;
        /// The member.
        member_id: String, in 0..;
        /// Its own name, when it has one.
        group_instance_id: Option<String>, in 3.., nullable 3..;
        /// What the group is for.
        protocol_type: Option<String>, ignorable 5.., nullable 5..;
        /// The protocol that the member follows.
        protocol_name: Option<String>, ignorable 5.., nullable 5..;
        /// The assignments, from the leader.
        assignments: Vec<SyncGroupRequestAssignment>, in 0..;
    }

    /// The assignment of one member.
    SyncGroupRequestAssignment {
        /// The member.
        member_id: String, in 0..;
        /// What it is to do, in the protocol's own form.
        assignment: Bytes, in 0..;
    }

    /// The member's assignment.
    SyncGroupResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 1..;
        /// Why there is none, or none.
        error_code: ErrorCode, in 0..;
        /// What the group is for.
        protocol_type: Option<String>, ignorable 5.., nullable 5..;
        /// The protocol that the group follows.
        protocol_name: Option<String>, ignorable 5.., nullable 5..;
        /// What the member is to do, in the protocol's own form.
        assignment: Bytes, in 0..;
    }
}
