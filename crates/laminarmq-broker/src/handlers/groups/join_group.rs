//! JoinGroup: answered once all members have joined.

use super::{ask_patiently, group_code, member, mismatch};
use crate::context::Context;
use crate::groups::{Answer, Join, JoinRefused, Joined, MemberRef, Request};
use crate::handlers::Peer;
use bytes::Bytes;
use laminarmq_kafka::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, JoinGroupResponseMember,
};

/// The first version in which a member is told its id before it joins.
const ID_FIRST_FROM: i16 = 4;
/// The first version in which an answer may have no protocol.
const NULL_PROTOCOL_FROM: i16 = 7;
/// The first version that knows what it means to leave an assignment as it is.
const SKIP_FROM: i16 = 9;

pub(super) async fn handle(
    context: &Context,
    peer: &Peer,
    client_id: &str,
    request: JoinGroupRequest,
    version: i16,
) -> JoinGroupResponse {
    if let Some(reason) = &request.reason {
        tracing::debug!(
            group = request.group_id,
            member = request.member_id,
            reason,
            "joins"
        );
    }
    let protocol = |protocol: JoinGroupRequestProtocol| (protocol.name, protocol.metadata);
    let join = Join {
        member: member(request.member_id, request.group_instance_id),
        client_id: client_id.to_owned(),
        client_host: format!("/{}", peer.remote.ip()),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocol_type: request.protocol_type,
        protocols: request.protocols.into_iter().map(protocol).collect(),
        id_first: version >= ID_FIRST_FROM,
        may_skip_assignment: version >= SKIP_FROM,
    };
    match ask_patiently(context, peer, request.group_id, Request::Join(join)).await {
        Answer::Join(Ok(joined)) => answer(joined),
        Answer::Join(Err(refused)) => refuse(refused, version),
        other => mismatch(&other),
    }
}

fn answer(joined: Joined) -> JoinGroupResponse {
    let member = |(member, metadata): (MemberRef, Bytes)| JoinGroupResponseMember {
        member_id: member.id,
        group_instance_id: member.instance,
        metadata,
    };
    JoinGroupResponse {
        generation_id: joined.generation,
        protocol_type: Some(joined.protocol_type),
        protocol_name: Some(joined.protocol),
        leader: joined.leader,
        skip_assignment: joined.skip_assignment,
        member_id: joined.member_id,
        members: joined.members.into_iter().map(member).collect(),
        ..JoinGroupResponse::default()
    }
}

fn refuse(refused: JoinRefused, version: i16) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: group_code(&refused.error),
        protocol_name: (version < NULL_PROTOCOL_FROM).then(String::new),
        member_id: refused.member_id,
        ..JoinGroupResponse::default()
    }
}
