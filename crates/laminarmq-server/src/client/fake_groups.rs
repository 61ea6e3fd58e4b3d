//! The groups of the fake cluster: a coordinator that waits for nobody. Members other than the one under
//! test are what a test says they are.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use laminarmq_kafka::messages::delete_groups::DeletableGroupResult;
use laminarmq_kafka::messages::describe_groups::{DescribedGroup, DescribedGroupMember};
use laminarmq_kafka::messages::find_coordinator::Coordinator;
use laminarmq_kafka::messages::join_group::JoinGroupResponseMember;
use laminarmq_kafka::messages::list_groups::ListedGroup;
use laminarmq_kafka::messages::offset_commit::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use laminarmq_kafka::messages::offset_delete::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use laminarmq_kafka::messages::offset_fetch::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use laminarmq_kafka::messages::*;
use laminarmq_kafka::{ApiKey, ErrorCode};

/// What a test sees and says of one group.
#[derive(Debug, Default)]
pub(crate) struct FakeGroup {
    /// Ids that were given out.
    ids: BTreeSet<String>,
    /// Subscriptions of those that have joined, and of others that a test put here.
    pub(crate) members: BTreeMap<String, Bytes>,
    /// Who leads; `None`: whoever joins.
    pub(crate) leader: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) generation: i32,
    pub(crate) assignments: BTreeMap<String, Bytes>,
    pub(crate) offsets: BTreeMap<(String, i32), i64>,
    /// Heartbeats that were welcome.
    pub(crate) heartbeats: usize,
}

/// All groups by name.
pub(super) type Groups = BTreeMap<String, FakeGroup>;

impl FakeGroup {
    /// Whether a member may speak in this generation.
    fn check(&self, member: &str, generation: i32) -> ErrorCode {
        if !self.members.contains_key(member) {
            ErrorCode::UNKNOWN_MEMBER_ID
        } else if generation == self.generation {
            ErrorCode::NONE
        } else {
            ErrorCode::ILLEGAL_GENERATION
        }
    }

    /// Forgets everybody, as after a silence.
    pub(crate) fn evict_all(&mut self) {
        self.ids.clear();
        self.members.clear();
    }

    pub(super) fn join(
        &mut self,
        request: &JoinGroupRequest,
        version: i16,
        code: ErrorCode,
    ) -> JoinGroupResponse {
        let refused = |error_code, member_id: &str| JoinGroupResponse {
            error_code,
            member_id: member_id.to_owned(),
            protocol_name: Some(String::new()),
            ..JoinGroupResponse::default()
        };
        if !code.is_none() {
            return refused(code, &request.member_id);
        }
        let mut id = request.member_id.clone();
        if id.is_empty() {
            id = format!("member-{}", self.ids.len());
            self.ids.insert(id.clone());
            if version >= 4 {
                return refused(ErrorCode::MEMBER_ID_REQUIRED, &id);
            }
        }
        if !self.ids.contains(&id) {
            return refused(ErrorCode::UNKNOWN_MEMBER_ID, &id);
        }
        let metadata = request.protocols[0].metadata.clone();
        self.members.insert(id.clone(), metadata);
        self.generation += 1;
        let leader = self.leader.clone().unwrap_or_else(|| id.clone());
        let protocol = self.protocol.clone();
        let protocol = protocol.unwrap_or_else(|| request.protocols[0].name.clone());
        let members = self
            .members
            .iter()
            .map(|(member_id, metadata)| JoinGroupResponseMember {
                member_id: member_id.clone(),
                metadata: metadata.clone(),
                ..JoinGroupResponseMember::default()
            });
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: Some(request.protocol_type.clone()),
            protocol_name: Some(protocol),
            members: if leader == id {
                members.collect()
            } else {
                Vec::new()
            },
            leader,
            member_id: id,
            ..JoinGroupResponse::default()
        }
    }

    pub(super) fn sync(
        &mut self,
        request: &SyncGroupRequest,
        code: ErrorCode,
    ) -> SyncGroupResponse {
        let checked = self.check(&request.member_id, request.generation_id);
        let error_code = if code.is_none() { checked } else { code };
        if error_code.is_none() {
            let brought = request.assignments.iter();
            let brought = brought.map(|a| (a.member_id.clone(), a.assignment.clone()));
            self.assignments.extend(brought);
        }
        let assignment = self.assignments.get(&request.member_id).cloned();
        SyncGroupResponse {
            error_code,
            protocol_type: request.protocol_type.clone(),
            protocol_name: request.protocol_name.clone(),
            assignment: assignment
                .filter(|_| error_code.is_none())
                .unwrap_or_default(),
            ..SyncGroupResponse::default()
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        request: &HeartbeatRequest,
        code: ErrorCode,
    ) -> HeartbeatResponse {
        let checked = self.check(&request.member_id, request.generation_id);
        let error_code = if code.is_none() { checked } else { code };
        self.heartbeats += usize::from(error_code.is_none());
        HeartbeatResponse {
            error_code,
            ..HeartbeatResponse::default()
        }
    }

    pub(super) fn leave(
        &mut self,
        request: &LeaveGroupRequest,
        code: ErrorCode,
    ) -> LeaveGroupResponse {
        let of_many = request.members.iter().map(|member| &member.member_id);
        for id in of_many.chain([&request.member_id]) {
            if code.is_none() {
                self.ids.remove(id);
                self.members.remove(id);
            }
        }
        LeaveGroupResponse {
            error_code: code,
            ..LeaveGroupResponse::default()
        }
    }

    pub(super) fn commit(
        &mut self,
        request: &OffsetCommitRequest,
        code: ErrorCode,
    ) -> OffsetCommitResponse {
        let generation = request.generation_id_or_member_epoch;
        let error_code = match code {
            ErrorCode::NONE if self.members.is_empty() && generation < 0 => ErrorCode::NONE,
            ErrorCode::NONE => self.check(&request.member_id, generation),
            code => code,
        };
        let topics = request
            .topics
            .iter()
            .map(|topic| OffsetCommitResponseTopic {
                name: topic.name.clone(),
                partitions: topic
                    .partitions
                    .iter()
                    .map(|partition| {
                        if error_code.is_none() {
                            let place = (topic.name.clone(), partition.partition_index);
                            self.offsets.insert(place, partition.committed_offset);
                        }
                        OffsetCommitResponsePartition {
                            partition_index: partition.partition_index,
                            error_code,
                        }
                    })
                    .collect(),
            });
        OffsetCommitResponse {
            topics: topics.collect(),
            ..OffsetCommitResponse::default()
        }
    }

    /// What was committed of the topics wanted (`None`: of all), by topic; -1 for what was not.
    fn committed(&self, wanted: Option<Vec<(String, Vec<i32>)>>) -> Vec<(String, Vec<(i32, i64)>)> {
        let wanted = wanted.unwrap_or_else(|| {
            let mut all: BTreeMap<String, Vec<i32>> = BTreeMap::new();
            for (topic, partition) in self.offsets.keys() {
                all.entry(topic.clone()).or_default().push(*partition);
            }
            all.into_iter().collect()
        });
        let topics = wanted.into_iter().map(|(topic, partitions)| {
            let offsets = partitions.into_iter().map(|partition| {
                let offset = self.offsets.get(&(topic.clone(), partition));
                (partition, offset.copied().unwrap_or(-1))
            });
            let offsets = offsets.collect();
            (topic, offsets)
        });
        topics.collect()
    }

    fn describe(&self, name: &str, code: ErrorCode) -> DescribedGroup {
        let members = self
            .members
            .iter()
            .map(|(id, metadata)| DescribedGroupMember {
                member_id: id.clone(),
                client_id: String::from("test"),
                client_host: String::from("/127.0.0.1"),
                member_metadata: metadata.clone(),
                member_assignment: self.assignments.get(id).cloned().unwrap_or_default(),
                ..DescribedGroupMember::default()
            });
        DescribedGroup {
            error_code: code,
            group_id: name.to_owned(),
            group_state: String::from(self.state()),
            protocol_type: String::from("consumer"),
            protocol_data: String::from("range"),
            members: members.collect(),
            ..DescribedGroup::default()
        }
    }

    fn state(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else {
            "Stable"
        }
    }
}

/// Whether only a group's coordinator answers requests of this API.
pub(super) fn of_coordinator(api: ApiKey) -> bool {
    matches!(
        api,
        ApiKey::JoinGroup
            | ApiKey::SyncGroup
            | ApiKey::Heartbeat
            | ApiKey::LeaveGroup
            | ApiKey::OffsetCommit
            | ApiKey::OffsetFetch
            | ApiKey::DescribeGroups
            | ApiKey::DeleteGroups
            | ApiKey::OffsetDelete
    )
}

pub(super) fn find(
    request: &FindCoordinatorRequest,
    node_id: i32,
    port: u16,
    error_code: ErrorCode,
) -> FindCoordinatorResponse {
    let keys = request.coordinator_keys.iter();
    let coordinators = keys.map(|key| Coordinator {
        key: key.clone(),
        node_id,
        host: String::from("127.0.0.1"),
        port: i32::from(port),
        error_code,
        ..Coordinator::default()
    });
    let one = request.coordinator_keys.is_empty();
    FindCoordinatorResponse {
        error_code: if one { error_code } else { ErrorCode::NONE },
        node_id: if one { node_id } else { 0 },
        host: if one {
            String::from("127.0.0.1")
        } else {
            String::new()
        },
        port: if one { i32::from(port) } else { 0 },
        coordinators: coordinators.collect(),
        ..FindCoordinatorResponse::default()
    }
}

pub(super) fn fetch(
    groups: &Groups,
    request: &OffsetFetchRequest,
    version: i16,
    error_code: ErrorCode,
) -> OffsetFetchResponse {
    let nothing = FakeGroup::default();
    if version < 8 {
        let group = groups.get(&request.group_id).unwrap_or(&nothing);
        let wanted = request.topics.as_ref().map(|topics| {
            let topics = topics.iter();
            topics
                .map(|t| (t.name.clone(), t.partition_indexes.clone()))
                .collect()
        });
        let topics = group.committed(wanted).into_iter();
        let topics = topics.map(|(name, offsets)| OffsetFetchResponseTopic {
            name,
            partitions: offsets
                .into_iter()
                .map(
                    |(partition_index, committed_offset)| OffsetFetchResponsePartition {
                        partition_index,
                        committed_offset,
                        ..OffsetFetchResponsePartition::default()
                    },
                )
                .collect(),
        });
        return OffsetFetchResponse {
            topics: topics.collect(),
            error_code,
            ..OffsetFetchResponse::default()
        };
    }
    let answers = request.groups.iter().map(|asked| {
        let group = groups.get(&asked.group_id).unwrap_or(&nothing);
        let wanted = asked.topics.as_ref().map(|topics| {
            let topics = topics.iter();
            topics
                .map(|t| (t.name.clone(), t.partition_indexes.clone()))
                .collect()
        });
        let topics = group.committed(wanted).into_iter();
        let topics = topics.map(|(name, offsets)| OffsetFetchResponseTopics {
            name,
            partitions: offsets
                .into_iter()
                .map(
                    |(partition_index, committed_offset)| OffsetFetchResponsePartitions {
                        partition_index,
                        committed_offset,
                        ..OffsetFetchResponsePartitions::default()
                    },
                )
                .collect(),
        });
        OffsetFetchResponseGroup {
            group_id: asked.group_id.clone(),
            topics: topics.collect(),
            error_code,
        }
    });
    OffsetFetchResponse {
        groups: answers.collect(),
        ..OffsetFetchResponse::default()
    }
}

/// Node 1 has them all.
pub(super) fn list(groups: &Groups, node: i32, error_code: ErrorCode) -> ListGroupsResponse {
    let groups = groups
        .iter()
        .filter(|_| node == 1)
        .map(|(name, group)| ListedGroup {
            group_id: name.clone(),
            protocol_type: String::from("consumer"),
            group_state: String::from(group.state()),
            ..ListedGroup::default()
        });
    ListGroupsResponse {
        error_code,
        groups: groups.collect(),
        ..ListGroupsResponse::default()
    }
}

pub(super) fn describe(
    groups: &Groups,
    request: &DescribeGroupsRequest,
    code: ErrorCode,
) -> DescribeGroupsResponse {
    let described = request.groups.iter().map(|name| match groups.get(name) {
        Some(group) => group.describe(name, code),
        None => DescribedGroup {
            group_id: name.clone(),
            group_state: String::from("Dead"),
            error_code: code,
            ..DescribedGroup::default()
        },
    });
    DescribeGroupsResponse {
        groups: described.collect(),
        ..DescribeGroupsResponse::default()
    }
}

pub(super) fn delete(
    groups: &mut Groups,
    request: &DeleteGroupsRequest,
    code: ErrorCode,
) -> DeleteGroupsResponse {
    let results = request.groups_names.iter().map(|name| {
        let error_code = match groups.get(name) {
            _ if !code.is_none() => code,
            None => ErrorCode::GROUP_ID_NOT_FOUND,
            Some(group) if !group.members.is_empty() => ErrorCode::NON_EMPTY_GROUP,
            Some(_) => {
                groups.remove(name);
                ErrorCode::NONE
            }
        };
        DeletableGroupResult {
            group_id: name.clone(),
            error_code,
        }
    });
    DeleteGroupsResponse {
        results: results.collect(),
        ..DeleteGroupsResponse::default()
    }
}

pub(super) fn forget(
    groups: &mut Groups,
    request: &OffsetDeleteRequest,
    code: ErrorCode,
) -> OffsetDeleteResponse {
    let Some(group) = groups.get_mut(&request.group_id) else {
        return OffsetDeleteResponse {
            error_code: ErrorCode::GROUP_ID_NOT_FOUND,
            ..OffsetDeleteResponse::default()
        };
    };
    let topics = request
        .topics
        .iter()
        .map(|topic| OffsetDeleteResponseTopic {
            name: topic.name.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| {
                    let place = (topic.name.clone(), partition.partition_index);
                    group.offsets.remove(&place);
                    OffsetDeleteResponsePartition {
                        partition_index: partition.partition_index,
                        error_code: code,
                    }
                })
                .collect(),
        });
    OffsetDeleteResponse {
        topics: topics.collect(),
        ..OffsetDeleteResponse::default()
    }
}
