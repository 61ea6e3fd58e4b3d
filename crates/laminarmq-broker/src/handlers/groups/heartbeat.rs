//! Heartbeat.

use super::{code, member, mismatch};
use crate::context::Context;
use crate::groups::{Answer, Request};
use laminarmq_kafka::messages::{HeartbeatRequest, HeartbeatResponse};

pub(super) async fn handle(context: &Context, request: HeartbeatRequest) -> HeartbeatResponse {
    let beat = Request::Heartbeat {
        generation: request.generation_id,
        member: member(request.member_id, request.group_instance_id),
    };
    match context.groups.ask(request.group_id, beat).await {
        Answer::Heartbeat(result) => HeartbeatResponse {
            error_code: code(&result),
            ..HeartbeatResponse::default()
        },
        other => mismatch(&other),
    }
}
