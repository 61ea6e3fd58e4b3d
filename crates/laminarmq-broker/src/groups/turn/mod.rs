//! One step of one group: a request or a deadline, and all that follows from it.
//!
//! ```text
//!            join                       all joined, or time is up         the leader syncs
//! Empty ───────────▶ Preparing ────────────────────────────▶ Completing ───────────────▶ Stable
//!   ▲                  │    ▲ join, leave, silence               │                         │
//!   └──── nobody left ─┘    └─────────────────────────────────────┴─────────────────────────┘
//! ```
//!
//! The group changes at once, and what it changed to is proposed; answers that tell of it are held until
//! that is committed. So no member hears of a generation or an assignment that a crash could take back.

mod join;
mod members;
mod rebalance;
mod sync;

use super::command::Change;
use super::group::{Group, Phase};
use super::proposals::Proposals;
use super::request::{Answer, GroupError, MemberRef};
use super::timers::{Timer, Timers};
use super::{Now, Output, Outputs, Random};
use crate::config::GroupConfig;
use std::sync::Arc;
use std::time::Duration;

/// See the module's documentation.
pub(super) struct Turn<'a, R> {
    pub(super) name: &'a Arc<str>,
    pub(super) group: &'a mut Group<R>,
    pub(super) timers: &'a mut Timers,
    pub(super) proposals: &'a mut Proposals<R>,
    /// Bytes that the partition's groups may still take.
    pub(super) room: u64,
    pub(super) config: &'a GroupConfig,
    pub(super) random: &'a mut Random,
    pub(super) now: Now,
    pub(super) out: &'a mut Outputs<R>,
}

impl<R> Turn<'_, R> {
    /// Answers once what the group is now cannot be taken back.
    pub(super) fn answer(&mut self, reply: R, answer: Answer) {
        match self.group.barrier {
            Some(token) => self.proposals.hold(token, reply, answer),
            None => self.out.push(Output::Reply { reply, answer }),
        }
    }

    /// Proposes what the group is now.
    fn keep(&mut self) {
        let record = self.group.record(self.now.wall_ms);
        let group = self.name.to_string();
        self.group.barrier = Some(self.proposals.propose(Change::Group { group, record }));
    }

    /// The deadline of one of the group's timers has come.
    pub(super) fn expire(&mut self, timer: Timer) {
        match timer {
            Timer::Rebalance => self.rebalance_deadline(),
            Timer::Sync => self.sync_deadline(),
            Timer::Session(id) => self.fall_silent(&id),
            Timer::Pending(id) => self.forget_pending(&id),
        }
    }

    /// Finds a member of the group by how it names itself.
    fn check_member(&self, member: &MemberRef) -> Result<(), GroupError> {
        if let Some(instance) = &member.instance {
            match self.group.instances.get(instance) {
                None => return Err(GroupError::UnknownMember),
                Some(id) if *id != member.id => return Err(GroupError::FencedInstance),
                Some(_) => {}
            }
        }
        if self.group.members.contains_key(&member.id) {
            Ok(())
        } else {
            Err(GroupError::UnknownMember)
        }
    }

    fn check_generation(&self, generation: i32) -> Result<(), GroupError> {
        if generation == self.group.generation {
            Ok(())
        } else {
            Err(GroupError::IllegalGeneration)
        }
    }

    fn set(&mut self, timer: Timer, after: Duration) {
        let due = self.now.mono.saturating_add(after);
        self.timers.set(self.name, timer, due);
    }

    fn cancel(&mut self, timer: Timer) {
        self.timers.cancel(self.name, timer);
    }

    /// The member is alive: its silence is measured from now on.
    pub(super) fn hear(&mut self, id: &str) {
        let Some(member) = self.group.members.get(id).filter(|member| !member.waits()) else {
            return;
        };
        let timeout = member.session_timeout;
        self.set(Timer::Session(id.to_owned()), timeout);
    }

    /// The group was read from the log: starts its members' sessions. If they were told of a later
    /// generation that never came to its assignments, they make a new one.
    pub(super) fn wake(&mut self) {
        let ids: Vec<_> = self.group.members.keys().cloned().collect();
        ids.iter().for_each(|id| self.hear(id));
        if self.group.given > self.group.generation {
            self.rebalance("the last one was cut short");
        }
    }

    pub(super) fn commit_allowed(
        &self,
        generation: i32,
        member: &MemberRef,
    ) -> Result<(), GroupError> {
        let from_outside = member.id.is_empty() && member.instance.is_none();
        if generation < 0 && self.group.phase == Phase::Empty {
            return Ok(());
        }
        if generation < 0 && from_outside {
            return Err(GroupError::UnknownMember);
        }
        self.check_member(member)?;
        self.check_generation(generation)?;
        match self.group.phase {
            // It knows the generation and has no partitions yet: what it read before it had them is not
            // its own any more.
            Phase::Completing => Err(GroupError::Rebalancing),
            _ => Ok(()),
        }
    }
}
