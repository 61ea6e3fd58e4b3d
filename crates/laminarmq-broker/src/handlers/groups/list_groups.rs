//! ListGroups.

use super::group_code;
use crate::context::Context;
use crate::groups::GroupSummary;
use laminarmq_kafka::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

/// The only type of groups here, as clients name it.
const CLASSIC: &str = "classic";

pub(super) async fn handle(context: &Context, request: &ListGroupsRequest) -> ListGroupsResponse {
    let groups = match context.groups.list().await {
        Ok(groups) => groups,
        Err(error) => {
            return ListGroupsResponse {
                error_code: group_code(&error),
                ..ListGroupsResponse::default()
            };
        }
    };
    // An empty filter lets everything through; upper and lower case are the same, as elsewhere.
    let passes = |filter: &[String], value: &str| {
        filter.is_empty() || filter.iter().any(|one| one.eq_ignore_ascii_case(value))
    };
    let wanted = |group: &GroupSummary| {
        passes(&request.states_filter, group.state.as_str())
            && passes(&request.types_filter, CLASSIC)
    };
    let listed = |group: GroupSummary| ListedGroup {
        group_id: group.group,
        protocol_type: group.protocol_type,
        group_state: group.state.as_str().to_owned(),
        group_type: CLASSIC.to_owned(),
    };
    ListGroupsResponse {
        groups: groups.into_iter().filter(wanted).map(listed).collect(),
        ..ListGroupsResponse::default()
    }
}
