//! DescribeGroups, ListGroups, DeleteGroups, and what others want to know.

use super::Coordinator;
use crate::groups::command::Change;
use crate::groups::group::{Group, Phase};
use crate::groups::record::GroupRecord;
use crate::groups::request::{
    Answer, Description, GroupError, GroupOverview, GroupStateName, GroupSummary, MemberDescription,
};
use crate::groups::state::Stored;
use crate::groups::{Now, Output, Outputs};
use std::sync::Arc;

impl<R> Coordinator<R> {
    pub(super) fn describe(&mut self, name: &str, reply: R, now: Now, out: &mut Outputs<R>) {
        if !self.is_known(name) {
            let answer = Answer::Describe(Ok(Description {
                state: GroupStateName::Dead,
                protocol_type: String::new(),
                protocol: String::new(),
                members: Vec::new(),
            }));
            out.push(Output::Reply { reply, answer });
            return;
        }
        let name: Arc<str> = name.into();
        self.glance(&name, now, out, |turn| {
            let description = describe(turn.group);
            turn.answer(reply, Answer::Describe(Ok(description)));
        });
    }

    /// All groups that are decided here; `None` while they are not known.
    pub(crate) fn list(&self) -> Option<Vec<GroupSummary>> {
        if self.is_following() {
            return Some(Vec::new());
        }
        if !self.is_active() {
            return None;
        }
        let resting = self.state.groups();
        let resting = resting.filter(|(name, _)| !self.groups.contains_key(*name));
        let resting = resting.map(|(name, stored)| GroupSummary {
            group: name.to_owned(),
            state: GroupStateName::Empty,
            protocol_type: protocol_type(stored.record.as_ref()),
        });
        // A group that has only given out member ids is not there yet.
        let working = self.groups.iter();
        let working = working.filter(|(name, group)| {
            group.phase != Phase::Empty || self.state.group(name).is_some()
        });
        let working = working.map(|(name, group)| GroupSummary {
            group: name.to_string(),
            state: group.state_name(),
            protocol_type: group.protocol_type.clone(),
        });
        Some(resting.chain(working).collect())
    }

    /// All groups with their members and offsets; `None` while they are not known.
    pub(crate) fn overview(&self) -> Option<Vec<GroupOverview>> {
        let overview = |summary: GroupSummary| {
            let group = self.groups.get(summary.group.as_str());
            let stored = self.state.group(&summary.group);
            let offsets = stored.into_iter().flat_map(|stored| &stored.offsets);
            GroupOverview {
                description: group.map_or_else(|| resting(summary.protocol_type), describe),
                offsets: offsets.map(|(key, offset)| (*key, offset.offset)).collect(),
                group: summary.group,
            }
        };
        Some(self.list()?.into_iter().map(overview).collect())
    }

    pub(super) fn delete(&mut self, name: &str, reply: R, out: &mut Outputs<R>) {
        let result = match (self.groups.get(name), self.state.group(name)) {
            (Some(group), _) if group.phase != Phase::Empty => Err(GroupError::NotEmpty),
            (_, None) => Err(GroupError::NotFound),
            (_, Some(Stored { .. })) => Ok(()),
        };
        let answer = Answer::Delete(result.clone());
        if result.is_err() {
            out.push(Output::Reply { reply, answer });
            return;
        }
        let group = name.to_owned();
        let token = self.proposals.propose(Change::RemoveGroup { group });
        self.proposals.hold(token, reply, answer);
    }
}

fn protocol_type(record: Option<&GroupRecord>) -> String {
    record.map_or(String::new(), |record| record.protocol_type.clone())
}

/// A group without members.
fn resting(protocol_type: String) -> Description {
    Description {
        state: GroupStateName::Empty,
        protocol_type,
        protocol: String::new(),
        members: Vec::new(),
    }
}

/// Metadata and assignments are told of a stable group only: in others they are of different generations.
fn describe<R>(group: &Group<R>) -> Description {
    let stable = group.phase == Phase::Stable;
    let protocol = group
        .protocol
        .as_deref()
        .filter(|_| stable)
        .unwrap_or_default();
    let members = group.in_order().map(|(id, member)| MemberDescription {
        member: member.reference(id),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: member.metadata(protocol).cloned().unwrap_or_default(),
        assignment: if stable {
            member.assignment.clone()
        } else {
            ::bytes::Bytes::new()
        },
    });
    Description {
        state: group.state_name(),
        protocol_type: group.protocol_type.clone(),
        protocol: protocol.to_owned(),
        members: members.collect(),
    }
}
