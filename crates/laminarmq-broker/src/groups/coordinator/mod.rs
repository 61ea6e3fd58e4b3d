//! The groups of one partition.
//!
//! ```text
//! Following ──lead──▶ Active ──a proposal failed──▶ Recovering ──all others came back──▶ Active
//!     ▲───────────────resign───────────────┴───────────────┘
//! ```
//!
//! - Committed commands come in the order of the log, each once, also those of this coordinator's own
//!   proposing; the result of a proposal comes behind its command.
//! - After a failed proposal the groups are made anew from the state: what they were beyond it is gone.

mod admin;
mod checkpoints;
mod expiry;
mod offsets;

use super::command::{Command, CommandError};
use super::group::Group;
use super::proposals::{ProposalToken, Proposals};
use super::request::{Answer, GroupError, Join, MemberRef, Request, Sync};
use super::state::State;
use super::timers::Timers;
use super::turn::Turn;
use super::{Now, Output, Outputs, Random};
use crate::config::GroupConfig;
use crate::limits::{
    GROUP_EXPIRY_INTERVAL, GROUP_ID_BYTES_MAX, GROUP_NAME_BYTES_MAX, GROUP_PROTOCOLS_MAX,
    GROUP_STATE_BYTES_MAX, GROUPS_PER_PARTITION_MAX,
};
use checkpoints::Checkpoints;
use laminarmq_kafka::Uuid;
use laminarmq_replica::LogIndex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// See the module's documentation.
pub(crate) struct Coordinator<R> {
    config: GroupConfig,
    random: Random,
    phase: Phase,
    state: State,
    /// Commands up to here are in `state`.
    applied: LogIndex,
    /// The groups that are more than what is kept of them: those with members, or about to have some.
    groups: BTreeMap<Arc<str>, Group<R>>,
    /// What those take, all together.
    member_bytes: u64,
    timers: Timers,
    proposals: Proposals<R>,
    checkpoints: Checkpoints,
    /// Topics whose offsets are being removed.
    leaving_topics: BTreeSet<Uuid>,
    expiry_due: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Another node decides, or nobody; the state is kept up to date.
    Following,
    Active,
    Recovering,
}

impl<R> Coordinator<R> {
    /// A coordinator that has seen nothing of its log.
    pub(crate) fn new(config: GroupConfig, random: Random) -> Self {
        Self {
            config,
            random,
            phase: Phase::Following,
            state: State::default(),
            applied: LogIndex(0),
            groups: BTreeMap::new(),
            member_bytes: 0,
            timers: Timers::default(),
            proposals: Proposals::new(),
            checkpoints: Checkpoints::default(),
            leaving_topics: BTreeSet::new(),
            expiry_due: Duration::ZERO,
        }
    }

    /// Takes a committed command over.
    pub(crate) fn apply(&mut self, index: LogIndex, command: &[u8]) -> Result<(), String> {
        assert!(
            index > self.applied,
            "command {index} after {}",
            self.applied
        );
        self.applied = index;
        let wrong = |error: CommandError| format!("index {index}: {error}");
        let decoded = Command::decode(command).map_err(wrong)?;
        let mine = self.checkpoints.applied(index, &decoded, command.len());
        if let Command::Change(super::command::Change::RemoveTopics { topics }) = &decoded {
            for topic in topics {
                self.leaving_topics.remove(topic);
            }
        }
        self.state.apply(decoded, mine);
        Ok(())
    }

    /// The log was handed over whole, and this node leads the partition: from now on requests are taken.
    pub(crate) fn lead(&mut self, now: Now, out: &mut Outputs<R>) {
        if self.proposals.is_quiet() {
            self.activate(now, out);
        } else {
            // Of an earlier leadership: what became of them comes before anything is decided.
            self.phase = Phase::Recovering;
        }
    }

    /// This node does not lead the partition any more: whoever waits asks elsewhere.
    pub(crate) fn resign(&mut self, out: &mut Outputs<R>) {
        self.give_up(out);
        self.phase = Phase::Following;
    }

    /// The log was replaced by one that begins later: what is known is void, and what the new log holds
    /// comes next. Numbers of proposals go on, so that a late answer to an old one meets no new one.
    pub(crate) fn begin_anew(&mut self, out: &mut Outputs<R>) {
        self.resign(out);
        self.state = State::default();
        self.applied = LogIndex(0);
    }

    /// The sessions of all members begin anew.
    fn activate(&mut self, now: Now, out: &mut Outputs<R>) {
        assert!(self.groups.is_empty(), "only what is kept is there yet");
        self.phase = Phase::Active;
        self.expiry_due = now.mono.saturating_add(GROUP_EXPIRY_INTERVAL);
        let with_members = self.state.groups().filter(|(_, stored)| {
            let record = stored.record.as_ref();
            record.is_some_and(|record| !record.members.is_empty())
        });
        let names: Vec<Arc<str>> = with_members.map(|(name, _)| name.into()).collect();
        for name in &names {
            self.turn(name, now, out, |turn| turn.wake());
        }
        self.go_on(out);
    }

    pub(crate) fn is_following(&self) -> bool {
        self.phase == Phase::Following
    }

    pub(crate) fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }

    /// So much is under way that no requests should be brought.
    pub(crate) fn is_busy(&self) -> bool {
        self.proposals.is_full()
    }

    /// Takes a request about a group of this partition.
    pub(crate) fn handle(
        &mut self,
        group: &str,
        request: Request,
        reply: R,
        now: Now,
        out: &mut Outputs<R>,
    ) {
        if let Err(error) = self.check(group, &request) {
            let answer = match (error, &request) {
                // The member is as alive as it was, and hears more soon.
                (GroupError::Loading, Request::Heartbeat { .. }) => Answer::Heartbeat(Ok(())),
                (error, request) => request.refuse(error),
            };
            out.push(Output::Reply { reply, answer });
            return;
        }
        match request {
            Request::Join(join) => {
                self.turn(&group.into(), now, out, |turn| turn.join(join, reply));
            }
            Request::Sync(sync) => {
                self.turn(&group.into(), now, out, |turn| turn.sync(sync, reply));
            }
            Request::Heartbeat { generation, member } => {
                self.glance(&group.into(), now, out, |turn| {
                    turn.heartbeat(generation, &member, reply);
                });
            }
            Request::Leave { members } => {
                self.turn(&group.into(), now, out, |turn| turn.leave(&members, reply));
            }
            Request::Commit(commit) => self.commit(group, commit, reply, now, out),
            Request::Fetch { keys } => {
                let answer = Answer::Fetch(Ok(self.fetch(group, keys)));
                out.push(Output::Reply { reply, answer });
            }
            Request::Describe => self.describe(group, reply, now, out),
            Request::Delete => self.delete(group, reply, out),
            Request::DeleteOffsets { topics } => self.delete_offsets(group, &topics, reply, out),
        }
        self.go_on(out);
    }

    /// What can be said without looking at the group.
    fn check(&self, group: &str, request: &Request) -> Result<(), GroupError> {
        // An empty id stands for a group that only keeps offsets; others accept it there too.
        let may_be_empty = matches!(
            request,
            Request::Commit(_) | Request::Fetch { .. } | Request::Describe | Request::Delete
        );
        if group.len() > GROUP_ID_BYTES_MAX || group.is_empty() && !may_be_empty {
            return Err(GroupError::GroupId);
        }
        match self.phase {
            Phase::Active => {}
            Phase::Following => return Err(GroupError::NotCoordinator),
            Phase::Recovering => return Err(GroupError::Loading),
        }
        let known = self.groups.contains_key(group) || self.state.group(group).is_some();
        let groups = self.groups.len().max(self.state.len());
        match request {
            Request::Join(join) => {
                self.check_join(join)?;
                if !known && groups >= GROUPS_PER_PARTITION_MAX {
                    return Err(GroupError::Full);
                }
            }
            Request::Commit(_) if !known && groups >= GROUPS_PER_PARTITION_MAX => {
                return Err(GroupError::NoRoomForOffsets);
            }
            Request::Sync(Sync { member, .. }) | Request::Heartbeat { member, .. } => {
                check_names(member)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn check_join(&self, join: &Join) -> Result<(), GroupError> {
        check_names(&join.member)?;
        let protocols = &join.protocols;
        let long = |(name, _): &(String, ::bytes::Bytes)| name.len() > GROUP_NAME_BYTES_MAX;
        if join.protocol_type.len() > GROUP_NAME_BYTES_MAX
            || protocols.len() > GROUP_PROTOCOLS_MAX
            || protocols.iter().any(long)
        {
            return Err(GroupError::Invalid);
        }
        let (min, max) = (
            self.config.session_timeout_min,
            self.config.session_timeout_max,
        );
        let timeout = u64::try_from(join.session_timeout_ms).unwrap_or(0);
        if (min..=max).contains(&Duration::from_millis(timeout)) {
            Ok(())
        } else {
            Err(GroupError::SessionTimeout)
        }
    }

    /// Lets one group work that may change by it.
    fn turn(
        &mut self,
        name: &Arc<str>,
        now: Now,
        out: &mut Outputs<R>,
        step: impl FnOnce(&mut Turn<'_, R>),
    ) {
        self.glance(name, now, out, |turn| {
            step(turn);
            // Each step that changes members looks at all of them anyway.
            turn.group.counted = turn.group.bytes();
        });
    }

    /// Lets one group work whose members do not change, and forgets it when nothing is left of it but what
    /// is kept.
    fn glance(
        &mut self,
        name: &Arc<str>,
        now: Now,
        out: &mut Outputs<R>,
        step: impl FnOnce(&mut Turn<'_, R>),
    ) {
        let state = &self.state;
        let restore = || match state.group(name) {
            Some(stored) => Group::restore(stored.record.as_ref(), stored.given),
            None => Group::new(),
        };
        let taken = state.bytes() + self.member_bytes;
        let group = self.groups.entry(Arc::clone(name)).or_insert_with(restore);
        self.member_bytes -= group.counted;
        step(&mut Turn {
            name,
            group,
            timers: &mut self.timers,
            proposals: &mut self.proposals,
            room: GROUP_STATE_BYTES_MAX.saturating_sub(taken),
            config: &self.config,
            random: &mut self.random,
            now,
            out,
        });
        self.member_bytes += group.counted;
        self.forget_if_at_rest(name);
    }

    fn forget_if_at_rest(&mut self, name: &str) {
        if self.groups.get(name).is_some_and(Group::is_at_rest)
            && let Some(group) = self.groups.remove(name)
        {
            self.member_bytes -= group.counted;
        }
    }

    /// The result of a proposal: behind its command, if it was committed.
    pub(crate) fn proposed(
        &mut self,
        token: ProposalToken,
        committed: bool,
        now: Now,
        out: &mut Outputs<R>,
    ) {
        if !self.proposals.take_back(token) {
            return;
        }
        if self.phase == Phase::Active && committed {
            if let Some(name) = self.proposals.release(token, out) {
                self.pass_barrier(&name, token);
            }
            self.checkpoints.committed(token, out);
        } else if self.phase == Phase::Active {
            self.give_up(out);
        }
        if self.phase == Phase::Recovering && self.proposals.is_quiet() {
            self.activate(now, out);
        }
        self.go_on(out);
    }

    /// Nothing of the group waits for this proposal any more.
    fn pass_barrier(&mut self, name: &str, token: ProposalToken) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        if group.barrier == Some(token) {
            group.barrier = None;
        }
        self.forget_if_at_rest(name);
    }

    /// What was proposed may never be committed: everybody who waits asks again.
    fn give_up(&mut self, out: &mut Outputs<R>) {
        self.phase = Phase::Recovering;
        let error = GroupError::NotCoordinator;
        self.proposals.refuse_all(&error, out);
        for (_, group) in std::mem::take(&mut self.groups) {
            for (id, member) in group.members {
                if let Some(reply) = member.joining {
                    let member_id = id;
                    let error = error.clone();
                    let refused = super::request::JoinRefused { error, member_id };
                    let answer = Answer::Join(Err(refused));
                    out.push(Output::Reply { reply, answer });
                }
                if let Some(reply) = member.syncing {
                    let answer = Answer::Sync(Err(error.clone()));
                    out.push(Output::Reply { reply, answer });
                }
            }
        }
        self.member_bytes = 0;
        self.timers.clear();
        self.checkpoints.give_up();
        self.leaving_topics.clear();
    }

    /// The end: whoever waits is told to ask elsewhere.
    pub(crate) fn close(&mut self, out: &mut Outputs<R>) {
        self.give_up(out);
    }

    /// Carries out what is due.
    pub(crate) fn tick(&mut self, now: Now, out: &mut Outputs<R>) {
        if self.phase != Phase::Active {
            return;
        }
        while let Some((name, timer)) = self.timers.pop(now.mono) {
            self.turn(&name, now, out, |turn| turn.expire(timer));
        }
        if self.expiry_due <= now.mono {
            self.expiry_due = now.mono.saturating_add(GROUP_EXPIRY_INTERVAL);
            self.expire(now);
        }
        self.go_on(out);
    }

    /// When to [tick](Self::tick) at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        if self.phase != Phase::Active {
            return None;
        }
        let timers = self.timers.next();
        Some(timers.map_or(self.expiry_due, |next| next.min(self.expiry_due)))
    }

    /// Gives out what can be given out.
    fn go_on(&mut self, out: &mut Outputs<R>) {
        if self.phase != Phase::Active {
            return;
        }
        let random = &mut self.random;
        self.checkpoints
            .go_on(&self.state, &mut self.proposals, random, out);
        if !self.checkpoints.is_wanted(&self.state) {
            self.proposals.flush(out);
        }
    }
}

fn check_names(member: &MemberRef) -> Result<(), GroupError> {
    let instance = member.instance.as_ref().map_or(0, String::len);
    if member.id.len() > GROUP_NAME_BYTES_MAX || instance > GROUP_NAME_BYTES_MAX {
        Err(GroupError::Invalid)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
