//! LeaveGroup: of one member, or of several that are named.

use super::{code, group_code, member, mismatch};
use crate::context::Context;
use crate::groups::{Answer, MemberRef, Request};
use laminarmq_kafka::messages::leave_group::{
    LeaveGroupRequest, LeaveGroupResponse, MemberResponse,
};

/// The first version in which several members leave at once.
const SEVERAL_FROM: i16 = 3;

pub(super) async fn handle(
    context: &Context,
    request: LeaveGroupRequest,
    version: i16,
) -> LeaveGroupResponse {
    let members: Vec<MemberRef> = if version < SEVERAL_FROM {
        vec![member(request.member_id, None)]
    } else {
        let leaving = request.members.into_iter();
        leaving
            .map(|leaving| {
                if let Some(reason) = &leaving.reason {
                    tracing::debug!(
                        group = request.group_id,
                        member = leaving.member_id,
                        reason,
                        "leaves"
                    );
                }
                member(leaving.member_id, leaving.group_instance_id)
            })
            .collect()
    };
    let leave = Request::Leave {
        members: members.clone(),
    };
    let results = match context.groups.ask(request.group_id, leave).await {
        Answer::Leave(Ok(results)) => results,
        Answer::Leave(Err(error)) => {
            return LeaveGroupResponse {
                error_code: group_code(&error),
                ..LeaveGroupResponse::default()
            };
        }
        other => mismatch(&other),
    };
    if version < SEVERAL_FROM {
        return LeaveGroupResponse {
            error_code: code(results.first().expect("one member, one result")),
            ..LeaveGroupResponse::default()
        };
    }
    let answer = |(member, result): (MemberRef, &Result<(), _>)| MemberResponse {
        member_id: member.id,
        group_instance_id: member.instance,
        error_code: code(result),
    };
    LeaveGroupResponse {
        members: members.into_iter().zip(&results).map(answer).collect(),
        ..LeaveGroupResponse::default()
    }
}
