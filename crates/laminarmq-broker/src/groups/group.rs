//! A group at work: its members and where it is between two rebalances. The state machine's steps are in
//! [`super::turn`].
//!
//! - `generation <= given`; a generation is given once.
//! - In every phase but `Empty` there is a protocol that all members know; in `Completing` and `Stable`
//!   one of those is chosen.
//! - A member that waits (`joining`, `syncing`) has no session timer; its request is its sign of life.
//! - `joining` is set in `Preparing` only, `syncing` in `Completing` only.

use super::proposals::ProposalToken;
use super::record::{GroupRecord, MemberRecord};
use super::request::{GroupStateName, MemberRef};
use super::subscription;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Group<R> {
    pub(super) phase: Phase,
    pub(super) generation: i32,
    /// The highest generation that was given out.
    pub(super) given: i32,
    pub(super) protocol_type: String,
    /// `None` for an empty group.
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member<R>>,
    /// Members that have a name of their own, by that.
    pub(super) instances: BTreeMap<String, String>,
    /// Member ids that were given out and not used yet.
    pub(super) pending: BTreeSet<String>,
    /// Members that were told the generation and have not asked for their assignment.
    pub(super) unsynced: BTreeSet<String>,
    /// What [`Group::bytes`] said last.
    pub(super) counted: u64,
    /// The last proposal that says what the group is now. Answers wait for it.
    pub(super) barrier: Option<ProposalToken>,
    next_order: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Empty,
    /// Members join. Over when all have, or at the deadline of `Timer::Rebalance`.
    Preparing(Opening),
    /// The leader makes the assignments.
    Completing,
    Stable,
}

/// How the wait for members ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Opening {
    /// Once all members have joined.
    WhenAllJoined,
    /// The group was empty: at the deadline, which moves while members come, as long as there is time left.
    First { left: Duration, more_came: bool },
}

#[derive(Debug)]
pub(super) struct Member<R> {
    pub(super) instance: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    pub(super) joining: Option<R>,
    pub(super) syncing: Option<R>,
    /// It has never been told a generation, so it cannot show that it is alive.
    pub(super) is_new: bool,
    /// Members by this are in the order in which they joined first.
    pub(super) order: u64,
}

impl<R> Group<R> {
    /// A group without members.
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Empty,
            generation: 0,
            given: 0,
            protocol_type: String::new(),
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            counted: 0,
            barrier: None,
            next_order: 0,
        }
    }

    /// The group as it was kept.
    pub(super) fn restore(record: Option<&GroupRecord>, given: i32) -> Self {
        let mut group = Self {
            given,
            ..Self::new()
        };
        let Some(record) = record else { return group };
        group.generation = record.generation;
        group.given = given.max(record.generation);
        group.protocol_type.clone_from(&record.protocol_type);
        group.protocol.clone_from(&record.protocol);
        group.leader.clone_from(&record.leader);
        for member in &record.members {
            group.insert(member.id.clone(), Member::restore(member));
        }
        if !group.members.is_empty() {
            group.phase = Phase::Stable;
        }
        group
    }

    /// What is to be kept of the group.
    pub(super) fn record(&self, now_ms: i64) -> GroupRecord {
        let members = self.in_order().map(|(id, member)| member.record(id));
        GroupRecord {
            generation: self.generation,
            since_ms: now_ms,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: members.collect(),
        }
    }

    pub(super) fn state_name(&self) -> GroupStateName {
        match self.phase {
            Phase::Empty => GroupStateName::Empty,
            Phase::Preparing(_) => GroupStateName::PreparingRebalance,
            Phase::Completing => GroupStateName::CompletingRebalance,
            Phase::Stable => GroupStateName::Stable,
        }
    }

    /// Whether nothing would be lost if only what is kept of the group were there.
    pub(super) fn is_at_rest(&self) -> bool {
        self.phase == Phase::Empty && self.pending.is_empty() && self.barrier.is_none()
    }

    pub(super) fn insert(&mut self, id: String, mut member: Member<R>) {
        member.order = self.next_order;
        self.next_order += 1;
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.members.insert(id, member);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Member<R>> {
        let member = self.members.remove(id)?;
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        self.unsynced.remove(id);
        if self.leader.as_deref() == Some(id) {
            let oldest = self.in_order().next().map(|(id, _)| id.to_owned());
            self.leader = oldest;
        }
        Some(member)
    }

    /// Members in the order in which they joined first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (&str, &Member<R>)> + use<'_, R> {
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_unstable_by_key(|(_, member)| member.order);
        members
            .into_iter()
            .map(|(id, member)| (id.as_str(), member))
    }

    pub(super) fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    pub(super) fn all_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some())
    }

    pub(super) fn joining(&self) -> usize {
        let joining = self
            .members
            .values()
            .filter(|member| member.joining.is_some());
        joining.count()
    }

    /// How long a rebalance may take.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        let timeouts = self.members.values().map(|member| member.rebalance_timeout);
        timeouts.max().unwrap_or_default()
    }

    /// Whether one of these protocols is known to all members, or there are none.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[(String, Bytes)]) -> bool {
        if protocol_type.is_empty() || protocols.is_empty() {
            return false;
        }
        if self.members.is_empty() {
            return true;
        }
        self.protocol_type == protocol_type && protocols.iter().any(|(name, _)| self.all_know(name))
    }

    fn all_know(&self, protocol: &str) -> bool {
        let mut members = self.members.values();
        members.all(|member| member.metadata(protocol).is_some())
    }

    /// The protocol that most members prefer among those that all know; of equals the one that the member
    /// that is here for longest prefers.
    pub(super) fn choose_protocol(&self) -> Option<String> {
        let (_, oldest) = self.in_order().next()?;
        let names = oldest.protocols.iter().map(|(name, _)| name.as_str());
        let candidates: Vec<&str> = names.filter(|name| self.all_know(name)).collect();
        let mut votes = vec![0usize; candidates.len()];
        for member in self.members.values() {
            let place = |(name, _): &(String, Bytes)| candidates.iter().position(|c| c == name);
            if let Some(place) = member.protocols.iter().find_map(place) {
                votes[place] += 1;
            }
        }
        // The first of several is the last that `max_by_key` keeps when it comes from behind.
        let best = (0..candidates.len())
            .rev()
            .max_by_key(|place| votes[*place])?;
        Some(candidates[best].to_owned())
    }

    /// For the leader: who is there, with the metadata for the chosen protocol.
    pub(super) fn roll_call(&self) -> Vec<(MemberRef, Bytes)> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.in_order().map(|(id, member)| {
            let metadata = member.metadata(protocol).cloned().unwrap_or_default();
            (member.reference(id), metadata)
        });
        members.collect()
    }

    /// Whether a member reads the topic, as far as that can be known: of groups that are not consumers it
    /// cannot.
    pub(super) fn is_subscribed(&self, topic: &str) -> bool {
        let mut members = self.members.values();
        members.any(|member| {
            let protocol = self.protocol.as_deref();
            let metadata = protocol.and_then(|protocol| member.metadata(protocol));
            let metadata = metadata.or(member.protocols.first().map(|(_, metadata)| metadata));
            match metadata.and_then(|metadata| subscription::topics(metadata)) {
                Some(topics) => topics.contains(&topic),
                None => true,
            }
        })
    }

    pub(super) fn is_of_consumers(&self) -> bool {
        self.protocol_type == subscription::CONSUMER
    }

    /// About what the record of the group takes, with the ids that were given out.
    pub(super) fn bytes(&self) -> u64 {
        let members = self.members.iter();
        let members: u64 = members.map(|(id, member)| member.size(id)).sum();
        let pending: u64 = self.pending.iter().map(|id| pending_size(id)).sum();
        members + pending
    }
}

impl<R> Member<R> {
    fn restore(record: &MemberRecord) -> Self {
        Self {
            instance: record.instance.clone(),
            client_id: record.client_id.clone(),
            client_host: record.client_host.clone(),
            session_timeout: Duration::from_millis(record.session_timeout_ms.into()),
            rebalance_timeout: Duration::from_millis(record.rebalance_timeout_ms.into()),
            protocols: record.protocols.clone(),
            assignment: record.assignment.clone(),
            joining: None,
            syncing: None,
            is_new: false,
            order: 0,
        }
    }

    fn record(&self, id: &str) -> MemberRecord {
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        MemberRecord {
            id: id.to_owned(),
            instance: self.instance.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            session_timeout_ms: millis(self.session_timeout),
            rebalance_timeout_ms: millis(self.rebalance_timeout),
            protocols: self.protocols.clone(),
            assignment: self.assignment.clone(),
        }
    }

    pub(super) fn reference(&self, id: &str) -> MemberRef {
        MemberRef {
            id: id.to_owned(),
            instance: self.instance.clone(),
        }
    }

    pub(super) fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, metadata)| metadata)
    }

    pub(super) fn waits(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }

    /// About what the member takes in its group's record.
    pub(super) fn size(&self, id: &str) -> u64 {
        let texts = [id, &self.client_id, &self.client_host];
        let texts: usize = texts.iter().map(|text| text.len()).sum();
        let instance = self.instance.as_ref().map_or(0, String::len);
        (64 + texts + instance + self.assignment.len()) as u64 + protocols_size(&self.protocols)
    }
}

/// About what a member id takes that was given out.
pub(super) fn pending_size(id: &str) -> u64 {
    64 + id.len() as u64
}

/// About what the protocols of a member take.
pub(super) fn protocols_size(protocols: &[(String, Bytes)]) -> u64 {
    let sizes = protocols
        .iter()
        .map(|(name, data)| 8 + name.len() + data.len());
    sizes.sum::<usize>() as u64
}
