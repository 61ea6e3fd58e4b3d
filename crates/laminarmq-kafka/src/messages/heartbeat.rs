//! Heartbeat: a member is alive.

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// The member is alive.
    HeartbeatRequest {
        /// The group.
        group_id: String, in 0..;
        /// The generation that the member takes part in.
        generation_id: i32, in 0..;
        /// The member.
        member_id: String, in 0..;
        /// Its own name, when it has one.
        group_instance_id: Option<String>, in 3.., nullable 3..;
    }

    /// Whether the member may go on.
    HeartbeatResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 1..;
        /// Why not, or none.
        error_code: ErrorCode, in 0..;
    }
}
