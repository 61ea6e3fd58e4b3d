//! Requests about groups. None of them waits for long: rebalances take a tenth of a second.

use bytes::Bytes;
use laminarmq_kafka::AnyRequest;
use laminarmq_kafka::messages::find_coordinator::{KEY_TYPE_GROUP, KEY_TYPE_TRANSACTION};
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
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, HeartbeatRequest,
    JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, SyncGroupRequest,
};

use super::ABSENT;

/// Offsets are committed to it, and members come and go.
const GROUP: &str = "hostile-group";
/// A member that no group has.
const NOBODY: &str = "nobody";
/// The name that a member would have over its restarts.
const INSTANCE: &str = "instance";

pub(super) fn find_coordinator(version: i16) -> Vec<AnyRequest> {
    let request = |key: &str, key_type| {
        if version >= 4 {
            let coordinator_keys = vec![key.to_owned(), String::new()];
            FindCoordinatorRequest {
                key_type,
                coordinator_keys,
                ..FindCoordinatorRequest::default()
            }
        } else {
            FindCoordinatorRequest {
                key: key.to_owned(),
                key_type,
                ..FindCoordinatorRequest::default()
            }
        }
    };
    let mut requests = vec![request("group", KEY_TYPE_GROUP)];
    if version >= 1 {
        requests.push(request("transaction", KEY_TYPE_TRANSACTION));
    }
    requests.into_iter().map(Into::into).collect()
}

pub(super) fn offset_commit(version: i16, topic: &str) -> Vec<AnyRequest> {
    let partition = |partition_index, metadata: Option<&str>| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: 1,
        committed_metadata: metadata.map(str::to_owned),
        ..OffsetCommitRequestPartition::default()
    };
    let topics = |name: &str| OffsetCommitRequestTopic {
        name: name.to_owned(),
        partitions: vec![partition(0, Some("read so far")), partition(1, None)],
    };
    let simple = OffsetCommitRequest {
        group_id: GROUP.to_owned(),
        topics: vec![topics(topic)],
        ..OffsetCommitRequest::default()
    };
    let unknown = OffsetCommitRequest {
        member_id: NOBODY.to_owned(),
        generation_id_or_member_epoch: 3,
        topics: vec![topics(topic), topics(ABSENT)],
        ..simple.clone()
    };
    let mut requests = vec![simple, unknown.clone()];
    if version >= 7 {
        requests.push(OffsetCommitRequest {
            group_instance_id: Some(INSTANCE.to_owned()),
            ..unknown
        });
    }
    requests.into_iter().map(Into::into).collect()
}

pub(super) fn offset_fetch(version: i16, topic: &str) -> Vec<AnyRequest> {
    let names = [topic, ABSENT];
    if version >= 8 {
        let of = |group: &str, all: bool| OffsetFetchRequestGroup {
            group_id: group.to_owned(),
            topics: (!all).then(|| {
                let topics = names.map(|name| OffsetFetchRequestTopics {
                    name: name.to_owned(),
                    partition_indexes: vec![0, 1, 7],
                });
                topics.to_vec()
            }),
            ..OffsetFetchRequestGroup::default()
        };
        let request = |groups, require_stable| OffsetFetchRequest {
            groups,
            require_stable,
            ..OffsetFetchRequest::default()
        };
        let mut of_a_member = of(GROUP, false);
        if version >= 9 {
            of_a_member.member_id = Some(NOBODY.to_owned());
            of_a_member.member_epoch = 1;
        }
        return vec![
            request(vec![of(GROUP, false), of(ABSENT, true)], false).into(),
            request(vec![of_a_member], true).into(),
        ];
    }
    let topics = names.map(|name| OffsetFetchRequestTopic {
        name: name.to_owned(),
        partition_indexes: vec![0, 1, 7],
    });
    let some = OffsetFetchRequest {
        group_id: GROUP.to_owned(),
        topics: Some(topics.to_vec()),
        ..OffsetFetchRequest::default()
    };
    let mut requests = vec![some.clone()];
    if version >= 2 {
        requests.push(OffsetFetchRequest {
            topics: None,
            ..some.clone()
        });
    }
    if version >= 7 {
        requests.push(OffsetFetchRequest {
            require_stable: true,
            ..some
        });
    }
    requests.into_iter().map(Into::into).collect()
}

/// A new group waits for more members for as long as a rebalance may take: a tenth of a second.
///
/// Each version has groups of its own, with names that three changes do not turn into each other: a mutation
/// may have joined with a rebalance timeout of days, and whoever joins after it waits by right.
pub(super) fn join_group(version: i16) -> Vec<AnyRequest> {
    let own = version.to_string().repeat(8);
    let protocol = |name: &str| JoinGroupRequestProtocol {
        name: name.to_owned(),
        metadata: Bytes::from_static(&[0, 1, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 0]),
    };
    let request = |member: &str| JoinGroupRequest {
        group_id: format!("hostile-{own}"),
        session_timeout_ms: 6000,
        rebalance_timeout_ms: 100,
        member_id: member.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol("range"), protocol("roundrobin")],
        reason: (version >= 8).then(|| "to try it".to_owned()),
        ..JoinGroupRequest::default()
    };
    let mut requests = vec![request(""), request(NOBODY)];
    if version >= 5 {
        requests.push(JoinGroupRequest {
            group_id: format!("static-{own}"),
            group_instance_id: Some(INSTANCE.to_owned()),
            ..request("")
        });
    }
    requests.into_iter().map(Into::into).collect()
}

pub(super) fn sync_group(version: i16) -> Vec<AnyRequest> {
    let assignment = |member: &str| SyncGroupRequestAssignment {
        member_id: member.to_owned(),
        assignment: Bytes::from_static(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
    };
    let follower = SyncGroupRequest {
        group_id: GROUP.to_owned(),
        generation_id: 1,
        member_id: NOBODY.to_owned(),
        ..SyncGroupRequest::default()
    };
    let mut requests = vec![
        follower.clone(),
        SyncGroupRequest {
            assignments: vec![assignment(NOBODY), assignment("somebody")],
            ..follower.clone()
        },
    ];
    if version >= 3 {
        requests.push(SyncGroupRequest {
            group_instance_id: Some(INSTANCE.to_owned()),
            protocol_type: (version >= 5).then(|| "consumer".to_owned()),
            protocol_name: (version >= 5).then(|| "range".to_owned()),
            ..follower
        });
    }
    requests.into_iter().map(Into::into).collect()
}

pub(super) fn heartbeat(version: i16) -> Vec<AnyRequest> {
    let request = HeartbeatRequest {
        group_id: GROUP.to_owned(),
        generation_id: 1,
        member_id: NOBODY.to_owned(),
        group_instance_id: None,
    };
    let mut requests = vec![
        request.clone(),
        HeartbeatRequest {
            group_id: String::new(),
            ..request.clone()
        },
    ];
    if version >= 3 {
        requests.push(HeartbeatRequest {
            group_instance_id: Some(INSTANCE.to_owned()),
            ..request
        });
    }
    requests.into_iter().map(Into::into).collect()
}

pub(super) fn leave_group(version: i16) -> Vec<AnyRequest> {
    let group_id = GROUP.to_owned();
    if version < 3 {
        let request = LeaveGroupRequest {
            group_id,
            member_id: NOBODY.to_owned(),
            members: vec![],
        };
        return vec![request.into()];
    }
    let member = |instance: Option<&str>| MemberIdentity {
        member_id: NOBODY.to_owned(),
        group_instance_id: instance.map(str::to_owned),
        reason: (version >= 5).then(|| "had enough".to_owned()),
    };
    let request = |members| LeaveGroupRequest {
        group_id: group_id.clone(),
        members,
        ..LeaveGroupRequest::default()
    };
    vec![
        request(vec![member(None), member(Some(INSTANCE))]).into(),
        request(vec![]).into(),
    ]
}

pub(super) fn describe_groups(version: i16) -> Vec<AnyRequest> {
    let request = |include_authorized_operations| DescribeGroupsRequest {
        groups: [GROUP, ABSENT, ""].map(str::to_owned).to_vec(),
        include_authorized_operations,
    };
    vec![request(false).into(), request(version >= 3).into()]
}

pub(super) fn list_groups(version: i16) -> Vec<AnyRequest> {
    let mut requests = vec![ListGroupsRequest::default()];
    if version >= 4 {
        requests.push(ListGroupsRequest {
            states_filter: ["Stable", "Empty", "NoSuchState"]
                .map(str::to_owned)
                .to_vec(),
            types_filter: if version >= 5 {
                vec!["classic".to_owned()]
            } else {
                vec![]
            },
        });
    }
    requests.into_iter().map(Into::into).collect()
}

pub(super) fn delete_groups() -> Vec<AnyRequest> {
    let request = |groups: &[&str]| DeleteGroupsRequest {
        groups_names: groups.iter().map(|&name| name.to_owned()).collect(),
    };
    vec![request(&[ABSENT, ""]).into(), request(&[]).into()]
}

pub(super) fn offset_delete(topic: &str) -> Vec<AnyRequest> {
    let of = |name: &str| OffsetDeleteRequestTopic {
        name: name.to_owned(),
        partitions: [0, 7]
            .map(|partition_index| OffsetDeleteRequestPartition { partition_index })
            .to_vec(),
    };
    let request = |group: &str| OffsetDeleteRequest {
        group_id: group.to_owned(),
        topics: vec![of(topic), of(ABSENT)],
    };
    vec![request(GROUP).into(), request(ABSENT).into()]
}
