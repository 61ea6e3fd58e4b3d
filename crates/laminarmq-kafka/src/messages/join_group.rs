//! JoinGroup: becoming, or staying, a member of a group.

use bytes::Bytes;

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// Asks to take part in the group's next generation.
    JoinGroupRequest {
        /// The group.
        group_id: String, in 0..;
        /// After how much silence the member is taken for dead, in milliseconds.
        session_timeout_ms: i32, in 0..;
        /// How long others may take to join, in milliseconds; -1 for the session's timeout.
        rebalance_timeout_ms: i32 = -1, ignorable 1..;
        /// The member, or empty when it has no id yet.
        member_id: String, in 0..;
        /// The member's own name, when it has one.
        group_instance_id: Option<String>, in 5.., nullable 5..;
        /// What the group is for; "consumer" for consumers.
        protocol_type: String, in 0..;
        /// The protocols that the member can follow, the preferred one first.
        protocols: Vec<JoinGroupRequestProtocol>, in 0..;
        /// Why it joins, for logs.
        reason: Option<String>, ignorable 8.., nullable 8..;
    }

    /// A protocol that a member can follow.
    JoinGroupRequestProtocol {
        /// Its name.
        name: String, in 0..;
        /// What the leader is to know about the member.
        metadata: Bytes, in 0..;
    }

    /// The generation that the member takes part in.
    JoinGroupResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 2..;
        /// Why it takes part in none, or none.
        error_code: ErrorCode, in 0..;
        /// The generation, or -1.
        generation_id: i32 = -1, in 0..;
        /// What the group is for.
        protocol_type: Option<String>, ignorable 7.., nullable 7..;
        /// The protocol to follow.
        protocol_name: Option<String> = Some(String::new()), in 0.., nullable 7..;
        /// The member that leads.
        leader: String, in 0..;
        /// Whether the leader shall leave the assignment as it is.
        skip_assignment: bool, in 9..;
        /// The member that asked.
        member_id: String, in 0..;
        /// The members, for the leader alone.
        members: Vec<JoinGroupResponseMember>, in 0..;
    }

    /// A member, as its leader sees it.
    JoinGroupResponseMember {
        /// The member.
        member_id: String, in 0..;
        /// Its own name, when it has one.
        group_instance_id: Option<String>, ignorable 5.., nullable 5..;
        /// What it said about itself.
        metadata: Bytes, in 0..;
    }
}
