//! LeaveGroup: members leave at once instead of falling silent.

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// Who leaves: one member, from version 3 on several.
    LeaveGroupRequest {
        /// The group.
        group_id: String, in 0..;
        /// The member.
        member_id: String, in 0..=2;
        /// The members.
        members: Vec<MemberIdentity>, in 3..;
    }

    /// A member that leaves.
    MemberIdentity {
        /// The member, or empty when told by its own name.
        member_id: String, in 3..;
        /// Its own name, when it has one.
        group_instance_id: Option<String>, in 3.., nullable 3..;
        /// Why it leaves, for logs.
        reason: Option<String>, ignorable 5.., nullable 5..;
    }

    /// Who has left.
    LeaveGroupResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 1..;
        /// Why nobody has, or none.
        error_code: ErrorCode, in 0..;
        /// The members.
        members: Vec<MemberResponse>, in 3..;
    }

    /// Whether one member has left.
    MemberResponse {
        /// The member.
        member_id: String, in 3..;
        /// Its own name, when it has one.
        group_instance_id: Option<String>, in 3.., nullable 3..;
        /// Why it has not, or none.
        error_code: ErrorCode, in 3..;
    }
}
