//! DeleteGroups: only groups without members.

use super::{code, mismatch};
use crate::context::Context;
use crate::groups::{Answer, Request};
use laminarmq_kafka::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

pub(super) async fn handle(
    context: &Context,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group_id in request.groups_names {
        let answer = context.groups.ask(group_id.clone(), Request::Delete).await;
        let error_code = match answer {
            Answer::Delete(result) => code(&result),
            other => mismatch(&other),
        };
        results.push(DeletableGroupResult {
            group_id,
            error_code,
        });
    }
    DeleteGroupsResponse {
        results,
        ..DeleteGroupsResponse::default()
    }
}
