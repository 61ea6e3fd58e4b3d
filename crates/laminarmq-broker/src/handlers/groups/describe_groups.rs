//! DescribeGroups.

use super::{group_code, mismatch};
use crate::context::Context;
use crate::groups::{Answer, Description, MemberDescription, Request};
use crate::handlers::node::{GROUP_OPERATIONS, operations};
use laminarmq_kafka::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

pub(super) async fn handle(
    context: &Context,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        let mut described = match context.groups.ask(group.clone(), Request::Describe).await {
            Answer::Describe(Ok(description)) => describe(description),
            Answer::Describe(Err(error)) => DescribedGroup {
                error_code: group_code(&error),
                ..DescribedGroup::default()
            },
            other => mismatch(&other),
        };
        described.group_id = group;
        let asked = request.include_authorized_operations;
        described.authorized_operations = operations(asked, GROUP_OPERATIONS);
        groups.push(described);
    }
    DescribeGroupsResponse {
        groups,
        ..DescribeGroupsResponse::default()
    }
}

fn describe(description: Description) -> DescribedGroup {
    let member = |one: MemberDescription| DescribedGroupMember {
        member_id: one.member.id,
        group_instance_id: one.member.instance,
        client_id: one.client_id,
        client_host: one.client_host,
        member_metadata: one.metadata,
        member_assignment: one.assignment,
    };
    DescribedGroup {
        group_state: description.state.as_str().to_owned(),
        protocol_type: description.protocol_type,
        protocol_data: description.protocol,
        members: description.members.into_iter().map(member).collect(),
        ..DescribedGroup::default()
    }
}
