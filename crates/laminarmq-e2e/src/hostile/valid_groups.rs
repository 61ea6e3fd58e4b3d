//! Valid requests about consumer groups. None of them waits for long: rebalances take a tenth of a second.

use bytes::Bytes;
use laminarmq_kafka::messages::join_group::JoinGroupRequestProtocol;
use laminarmq_kafka::messages::leave_group::MemberIdentity;
use laminarmq_kafka::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use laminarmq_kafka::messages::offset_delete::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use laminarmq_kafka::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use laminarmq_kafka::messages::sync_group::SyncGroupRequestAssignment;
use laminarmq_kafka::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest,
    LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, SyncGroupRequest,
};
use laminarmq_kafka::{AnyRequest, ApiKey};

use super::valid::ABSENT;

const GROUP: &str = "hostile";

/// The requests of this API and version; `None` for an API that is not about groups.
pub(super) fn valid_requests(api: ApiKey, version: i16, topic: &str) -> Option<Vec<AnyRequest>> {
    Some(match api {
        ApiKey::OffsetCommit => offset_commit(version, topic),
        ApiKey::OffsetFetch => offset_fetch(version, topic),
        ApiKey::JoinGroup => join_group(version),
        ApiKey::Heartbeat => heartbeat(version),
        ApiKey::LeaveGroup => leave_group(version),
        ApiKey::SyncGroup => sync_group(version),
        ApiKey::DescribeGroups => vec![
            DescribeGroupsRequest {
                groups: names(&[GROUP, "", ABSENT]),
                include_authorized_operations: version >= 3,
            }
            .into(),
        ],
        ApiKey::ListGroups => list_groups(version),
        ApiKey::DeleteGroups => vec![
            DeleteGroupsRequest {
                groups_names: names(&["", ABSENT]),
            }
            .into(),
        ],
        ApiKey::OffsetDelete => vec![
            OffsetDeleteRequest {
                group_id: GROUP.to_owned(),
                topics: vec![OffsetDeleteRequestTopic {
                    name: topic.to_owned(),
                    partitions: [0, 9]
                        .map(|partition_index| OffsetDeleteRequestPartition { partition_index })
                        .into(),
                }],
            }
            .into(),
        ],
        _ => return None,
    })
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn instance(version: i16, from: i16) -> Option<String> {
    (version >= from).then(|| "instance".to_owned())
}

fn offset_commit(version: i16, topic: &str) -> Vec<AnyRequest> {
    let partition = |partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: 1,
        committed_leader_epoch: 1,
        committed_metadata: (partition_index == 0).then(|| "metadata".to_owned()),
    };
    let request = |name: &str| OffsetCommitRequest {
        group_id: GROUP.to_owned(),
        topics: vec![OffsetCommitRequestTopic {
            name: name.to_owned(),
            partitions: [0, 1].map(partition).into(),
        }],
        ..OffsetCommitRequest::default()
    };
    let mut of_member = request(ABSENT);
    of_member.generation_id_or_member_epoch = 1;
    of_member.member_id = "member".to_owned();
    of_member.group_instance_id = instance(version, 7);
    vec![request(topic).into(), of_member.into()]
}

fn offset_fetch(version: i16, topic: &str) -> Vec<AnyRequest> {
    if version < 8 {
        let one = OffsetFetchRequest {
            group_id: GROUP.to_owned(),
            topics: Some(vec![OffsetFetchRequestTopic {
                name: topic.to_owned(),
                partition_indexes: vec![0, 1, 7],
            }]),
            require_stable: version >= 7,
            ..OffsetFetchRequest::default()
        };
        let all = OffsetFetchRequest {
            topics: None,
            ..one.clone()
        };
        let mut requests = vec![one.into()];
        if version >= 2 {
            requests.push(all.into());
        }
        return requests;
    }
    let group = |topics| OffsetFetchRequestGroup {
        group_id: GROUP.to_owned(),
        member_id: (version >= 9).then(|| "member".to_owned()),
        topics,
        ..OffsetFetchRequestGroup::default()
    };
    let some = vec![OffsetFetchRequestTopics {
        name: topic.to_owned(),
        partition_indexes: vec![0, 1, 7],
    }];
    let request = OffsetFetchRequest {
        groups: vec![group(None), group(Some(some))],
        require_stable: true,
        ..OffsetFetchRequest::default()
    };
    vec![request.into()]
}

fn join_group(version: i16) -> Vec<AnyRequest> {
    let request = |member_id: &str| JoinGroupRequest {
        group_id: GROUP.to_owned(),
        session_timeout_ms: 6000,
        rebalance_timeout_ms: 100,
        member_id: member_id.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".to_owned(),
            metadata: Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t"),
        }],
        reason: (version >= 8).then(|| "reason".to_owned()),
        ..JoinGroupRequest::default()
    };
    let mut named = request("");
    named.group_id = "hostile-static".to_owned();
    named.group_instance_id = instance(version, 5);
    vec![request("").into(), request("member").into(), named.into()]
}

fn heartbeat(version: i16) -> Vec<AnyRequest> {
    let request = HeartbeatRequest {
        group_id: GROUP.to_owned(),
        generation_id: 1,
        member_id: "member".to_owned(),
        group_instance_id: instance(version, 3),
    };
    vec![request.into()]
}

fn leave_group(version: i16) -> Vec<AnyRequest> {
    let members = vec![MemberIdentity {
        member_id: "member".to_owned(),
        group_instance_id: instance(version, 3),
        reason: (version >= 5).then(|| "reason".to_owned()),
    }];
    let request = LeaveGroupRequest {
        group_id: GROUP.to_owned(),
        member_id: if version < 3 { "member" } else { "" }.to_owned(),
        members: if version < 3 { Vec::new() } else { members },
    };
    vec![request.into()]
}

fn sync_group(version: i16) -> Vec<AnyRequest> {
    let request = SyncGroupRequest {
        group_id: GROUP.to_owned(),
        generation_id: 1,
        member_id: "member".to_owned(),
        group_instance_id: instance(version, 3),
        protocol_type: (version >= 5).then(|| "consumer".to_owned()),
        protocol_name: (version >= 5).then(|| "range".to_owned()),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: "member".to_owned(),
            assignment: Bytes::from_static(b"assignment"),
        }],
    };
    vec![request.into()]
}

fn list_groups(version: i16) -> Vec<AnyRequest> {
    let filter = |from, names_of: &[&str]| {
        if version >= from {
            names(names_of)
        } else {
            Vec::new()
        }
    };
    let filtered = ListGroupsRequest {
        states_filter: filter(4, &["Stable", "Empty"]),
        types_filter: filter(5, &["classic"]),
    };
    vec![ListGroupsRequest::default().into(), filtered.into()]
}
