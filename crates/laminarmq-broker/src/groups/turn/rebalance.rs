//! The way from one generation to the next.

use super::Turn;
use crate::groups::command::Change;
use crate::groups::group::{Opening, Phase};
use crate::groups::request::{Answer, GroupError};
use crate::groups::timers::Timer;
use std::time::Duration;

impl<R> Turn<'_, R> {
    /// Something has changed: a new generation is needed.
    pub(super) fn rebalance(&mut self, why: &str) {
        if !matches!(self.group.phase, Phase::Preparing(_)) {
            tracing::debug!(group = %self.name, generation = self.group.generation, why, "rebalance");
            self.start_rebalance();
        }
        self.go_on_if_all_joined();
    }

    fn start_rebalance(&mut self) {
        if self.group.phase == Phase::Completing {
            self.refuse_syncs(&GroupError::Rebalancing);
        }
        self.cancel(Timer::Sync);
        self.group.unsynced.clear();
        let timeout = self.group.rebalance_timeout();
        let delay = self.config.initial_rebalance_delay;
        let opening = if self.group.phase == Phase::Empty && !delay.is_zero() {
            self.set(Timer::Rebalance, delay);
            Opening::First {
                left: timeout.saturating_sub(delay),
                more_came: false,
            }
        } else {
            self.set(Timer::Rebalance, timeout);
            Opening::WhenAllJoined
        };
        self.group.phase = Phase::Preparing(opening);
    }

    /// Whoever waits for an assignment of a generation that ends gets none.
    fn refuse_syncs(&mut self, error: &GroupError) {
        let members = self.group.members.iter_mut();
        let waiting: Vec<_> = members
            .filter_map(|(id, member)| Some((id.clone(), member.syncing.take()?)))
            .collect();
        for (id, reply) in waiting {
            self.answer(reply, Answer::Sync(Err(error.clone())));
            self.hear(&id);
        }
    }

    pub(super) fn go_on_if_all_joined(&mut self) {
        let nobody = self.group.members.is_empty();
        match &self.group.phase {
            Phase::Preparing(_) if nobody => self.become_empty(),
            Phase::Preparing(Opening::WhenAllJoined) if self.group.all_joined() => {
                self.next_generation();
            }
            _ => {}
        }
    }

    pub(super) fn rebalance_deadline(&mut self) {
        let Phase::Preparing(opening) = &mut self.group.phase else {
            return;
        };
        if let Opening::First { left, more_came } = opening
            && *more_came
            && !left.is_zero()
        {
            let delay = self.config.initial_rebalance_delay.min(*left);
            *left -= delay;
            *more_came = false;
            self.set(Timer::Rebalance, delay);
            return;
        }
        self.next_generation();
    }

    /// The members that have joined make up the next generation, with those that have names of their own.
    fn next_generation(&mut self) {
        let absent = self
            .group
            .members
            .iter()
            .filter(|(_, member)| member.joining.is_none());
        let silent = absent.filter(|(_, member)| member.instance.is_none());
        let silent: Vec<_> = silent.map(|(id, _)| id.clone()).collect();
        for id in silent {
            self.cancel(Timer::Session(id.clone()));
            self.group.remove(&id);
        }
        if self.group.members.is_empty() {
            self.become_empty();
        } else if self.elect() {
            self.begin_generation();
        } else {
            // Only members that do not show up: they are waited for until their sessions end.
            let timeout = self.group.rebalance_timeout().max(Duration::from_millis(1));
            self.group.phase = Phase::Preparing(Opening::WhenAllJoined);
            self.set(Timer::Rebalance, timeout);
        }
    }

    /// Keeps the leader if it has joined, else makes the oldest member that has the leader.
    fn elect(&mut self) -> bool {
        let leader = self.group.leader.as_ref();
        let leader = leader.and_then(|id| self.group.members.get(id));
        if leader.is_some_and(|member| member.joining.is_some()) {
            return true;
        }
        let mut members = self.group.in_order();
        let joined = members.find(|(_, member)| member.joining.is_some());
        let leader = joined.map(|(id, _)| id.to_owned());
        drop(members);
        if leader.is_some() {
            self.group.leader = leader;
            return true;
        }
        false
    }

    fn begin_generation(&mut self) {
        self.cancel(Timer::Rebalance);
        self.raise_generation();
        self.group.protocol = self.group.choose_protocol();
        self.group.phase = Phase::Completing;
        let change = Change::Generation {
            group: self.name.to_string(),
            generation: self.group.generation,
        };
        self.group.barrier = Some(self.proposals.propose(change));
        tracing::debug!(group = %self.name, generation = self.group.generation,
            members = self.group.members.len(), "a new generation");
        let ids: Vec<_> = self.group.members.keys().cloned().collect();
        for id in ids {
            let member = self.group.members.get_mut(&id).expect("one of its keys");
            member.is_new = false;
            member.assignment.clear();
            if let Some(reply) = member.joining.take() {
                let joined = self.joined(&id);
                self.answer(reply, Answer::Join(Ok(joined)));
                self.hear(&id);
                self.group.unsynced.insert(id);
            }
        }
        let timeout = self.group.rebalance_timeout();
        self.set(Timer::Sync, timeout);
    }

    fn become_empty(&mut self) {
        self.cancel(Timer::Rebalance);
        self.group.phase = Phase::Empty;
        self.group.protocol = None;
        self.group.leader = None;
        // A group that never had a generation leaves nothing behind.
        if self.group.given > 0 {
            self.raise_generation();
            self.keep();
            tracing::debug!(group = %self.name, generation = self.group.generation, "the group is empty");
        }
    }

    fn raise_generation(&mut self) {
        self.group.given = self.group.given.saturating_add(1);
        self.group.generation = self.group.given;
    }

    pub(super) fn sync_deadline(&mut self) {
        if !matches!(self.group.phase, Phase::Completing | Phase::Stable) {
            return;
        }
        let late = std::mem::take(&mut self.group.unsynced);
        for id in late {
            tracing::info!(group = %self.name, member = id, "never asked for its assignment");
            self.take_out(&id);
        }
    }
}
