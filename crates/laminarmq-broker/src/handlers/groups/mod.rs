//! Consumer groups and their offsets, one file per API.
//!
//! All of them are asked and answered in the order of the answers: a client that sends a commit and then
//! asks for offsets without waiting sees its commit.

mod delete_groups;
mod describe_groups;
mod heartbeat;
mod join_group;
mod leave_group;
mod list_groups;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod sync_group;

use super::wire::group_code;
use super::{Peer, Started, admin, encode};
use crate::context::Context;
use crate::controller::Image;
use crate::groups::{Answer, GroupError, MemberRef, OffsetKey, Request};
use bytes::Bytes;
use laminarmq_kafka::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest,
    LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, SyncGroupRequest,
};
use laminarmq_kafka::{AnyRequest, EncodeError, ErrorCode, RequestHeader};

/// A request about groups.
#[derive(Debug)]
pub(crate) enum Late {
    Commit(OffsetCommitRequest),
    Fetch(OffsetFetchRequest),
    Join(JoinGroupRequest),
    Heartbeat(HeartbeatRequest),
    Leave(LeaveGroupRequest),
    Sync(SyncGroupRequest),
    Describe(DescribeGroupsRequest),
    List(ListGroupsRequest),
    Delete(DeleteGroupsRequest),
    DeleteOffsets(OffsetDeleteRequest),
}

/// See [`super::start`].
pub(super) async fn start(
    context: &Context,
    peer: &Peer,
    header: RequestHeader,
    request: AnyRequest,
) -> Started {
    let late = match request {
        AnyRequest::OffsetCommit(request) => Late::Commit(request),
        AnyRequest::OffsetFetch(request) => Late::Fetch(request),
        AnyRequest::JoinGroup(request) => Late::Join(request),
        AnyRequest::Heartbeat(request) => Late::Heartbeat(request),
        AnyRequest::LeaveGroup(request) => Late::Leave(request),
        AnyRequest::SyncGroup(request) => Late::Sync(request),
        AnyRequest::DescribeGroups(request) => Late::Describe(request),
        AnyRequest::ListGroups(request) => Late::List(request),
        AnyRequest::DeleteGroups(request) => Late::Delete(request),
        AnyRequest::OffsetDelete(request) => Late::DeleteOffsets(request),
        other => return admin::start(context, peer, header, other).await,
    };
    Started::Groups(header, late)
}

/// See [`super::finish`].
pub(super) async fn finish(
    context: &Context,
    peer: &Peer,
    header: &RequestHeader,
    request: Late,
) -> Result<Vec<Bytes>, EncodeError> {
    let version = header.api_version;
    match request {
        Late::Commit(request) => encode(
            context,
            header,
            &offset_commit::handle(context, request).await,
        ),
        Late::Fetch(request) => {
            let response = offset_fetch::handle(context, request, version).await;
            encode(context, header, &response)
        }
        Late::Join(request) => {
            let client_id = header.client_id.as_deref().unwrap_or_default();
            let response = join_group::handle(context, peer, client_id, request, version).await;
            encode(context, header, &response)
        }
        Late::Heartbeat(request) => {
            encode(context, header, &heartbeat::handle(context, request).await)
        }
        Late::Leave(request) => {
            let response = leave_group::handle(context, request, version).await;
            encode(context, header, &response)
        }
        Late::Sync(request) => encode(
            context,
            header,
            &sync_group::handle(context, peer, request).await,
        ),
        Late::Describe(request) => encode(
            context,
            header,
            &describe_groups::handle(context, request).await,
        ),
        Late::List(request) => encode(
            context,
            header,
            &list_groups::handle(context, &request).await,
        ),
        Late::Delete(request) => encode(
            context,
            header,
            &delete_groups::handle(context, request).await,
        ),
        Late::DeleteOffsets(request) => encode(
            context,
            header,
            &offset_delete::handle(context, request).await,
        ),
    }
}

/// Asks for what others have a part in, which may take long: not longer than the client and the broker
/// are there.
async fn ask_patiently(context: &Context, peer: &Peer, group: String, request: Request) -> Answer {
    let gone = request.refuse(GroupError::NotCoordinator);
    let (mut left, mut stopping) = (peer.gone.clone(), context.stopping.clone());
    tokio::select! {
        biased;
        answer = context.groups.ask(group, request) => answer,
        _ = left.wait_for(|left| *left) => gone,
        _ = stopping.wait_for(|stop| *stop) => gone,
    }
}

/// What a coordinator's answer of another kind would be.
fn mismatch(answer: &Answer) -> ! {
    unreachable!("an answer of another kind than the request: {answer:?}")
}

fn code<T>(result: &Result<T, GroupError>) -> ErrorCode {
    result.as_ref().err().map_or(ErrorCode::NONE, group_code)
}

/// A partition as offsets name it; `None` when there is no such partition.
fn offset_key(image: &Image, topic: &str, partition: i32) -> Option<OffsetKey> {
    image.partition(topic, partition)?;
    let topic = image.topic(topic)?.topic.id;
    Some(OffsetKey { topic, partition })
}

fn member(id: String, instance: Option<String>) -> MemberRef {
    MemberRef { id, instance }
}
