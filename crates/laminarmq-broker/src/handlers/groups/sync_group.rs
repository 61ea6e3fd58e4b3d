//! SyncGroup: answered once the leader has brought the assignments and they are kept.

use super::{ask_patiently, group_code, member, mismatch};
use crate::context::Context;
use crate::groups::{Answer, Request, Sync};
use crate::handlers::Peer;
use laminarmq_kafka::messages::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};

pub(super) async fn handle(
    context: &Context,
    peer: &Peer,
    request: SyncGroupRequest,
) -> SyncGroupResponse {
    let assignment = |one: SyncGroupRequestAssignment| (one.member_id, one.assignment);
    let sync = Sync {
        generation: request.generation_id,
        member: member(request.member_id, request.group_instance_id),
        protocol_type: request.protocol_type,
        protocol: request.protocol_name,
        assignments: request.assignments.into_iter().map(assignment).collect(),
    };
    match ask_patiently(context, peer, request.group_id, Request::Sync(sync)).await {
        Answer::Sync(Ok(synced)) => SyncGroupResponse {
            protocol_type: Some(synced.protocol_type),
            protocol_name: Some(synced.protocol),
            assignment: synced.assignment,
            ..SyncGroupResponse::default()
        },
        Answer::Sync(Err(error)) => SyncGroupResponse {
            error_code: group_code(&error),
            ..SyncGroupResponse::default()
        },
        other => mismatch(&other),
    }
}
