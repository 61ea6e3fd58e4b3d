//! When an append is confirmed, and which replicas count for that.
//!
//! - With `acks=all` nothing is taken while fewer replicas are in sync than it asks for.
//! - It is confirmed once it is committed and as many have it on their disks, as the leader of the term in which it
//!   was written knows. In a later term its place in the log may have something else in it.
//! - Where fewer are in sync than it asks for by then, it is not waited for any longer.

use super::{Outputs, Partition, Waiting};
use crate::limits::HELD_APPENDS_MAX;
use crate::shard::held::Held;
use crate::shard::{Ack, Output, Outside, Refusal, members};
use laminarmq_replica::ReplicaId;

impl<O: Outside> Partition<O> {
    /// Whether as many replicas are in sync as the append asks for, and its answer may be held. Who does not lead says that instead.
    pub(super) fn check_in_sync(&self, ack: Ack) -> Result<(), Refusal> {
        let Ack::Quorum { min_in_sync } = ack else {
            return Ok(());
        };
        if !self.replica.is_leader() {
            return Ok(());
        }
        if self.held.len() >= HELD_APPENDS_MAX {
            return Err(Refusal::TooManyHeld);
        }
        if min_in_sync <= 1 {
            return Ok(());
        }
        // A new leader has heard of them before a tick told it.
        let in_sync = |id| self.in_sync.contains(id) || self.is_in_sync(id);
        let in_sync = members::taking_part(self.replica.members(), in_sync);
        if in_sync < min_in_sync {
            let wanted = min_in_sync;
            return Err(Refusal::TooFewInSync { in_sync, wanted });
        }
        Ok(())
    }

    /// Answers an append that is in the log once it may be.
    pub(super) fn hold(&mut self, held: Held<O>, out: &mut Outputs<O>) {
        if held.is_over(&self.replica) {
            self.answer(held, out);
        } else {
            self.held.push(held);
        }
    }

    pub(super) fn answer(&self, held: Held<O>, out: &mut Outputs<O>) {
        out.push(Output::Appended {
            result: Ok(self.placed(held.base_offset, held.repeated)),
            reply: held.reply,
        });
    }

    /// Replicas in sync, as they are told.
    pub(super) fn in_sync(&self) -> u32 {
        members::taking_part(self.replica.members(), |id| self.in_sync.contains(id))
    }

    pub(super) fn see_in_sync(&mut self) -> bool {
        let mut in_sync = std::mem::take(&mut self.in_sync);
        let is_news = in_sync.see(self.replica.members(), |id| self.is_in_sync(id));
        self.in_sync = in_sync;
        self.in_sync_moved |= is_news;
        is_news
    }

    /// Whether a replica is in sync at this moment, as its leader knows.
    pub(super) fn is_in_sync(&self, id: ReplicaId) -> bool {
        let replica = &self.replica;
        if id == replica.id() {
            return replica.is_leader();
        }
        // Who does not know the members yet might have to ask one that is lost.
        let known = replica.membership().index;
        let progress = replica.progress(id);
        progress.is_some_and(|it| it.active && it.commit >= known) && !replica.is_behind(id)
    }

    /// Answers what is on as many disks as it asks for by now, and what nobody will find out about here.
    pub(super) fn answer_held(&mut self, out: &mut Outputs<O>) {
        if self.held.is_empty() {
            return;
        }
        let replica = &self.replica;
        let term = replica.is_leader().then(|| replica.leader_epoch());
        // Something else may stand in its place by now, and who else has it only a leader knows.
        for held in self.held.take(|held| Some(held.term) != term) {
            held.refuse(Refusal::Unconfirmed, out);
        }
        for held in self.held.take_over(replica) {
            self.answer(held, out);
        }
    }

    /// Fewer are in sync than were: what is in the log and asks for more is not waited for.
    pub(super) fn refuse_out_of_sync(&mut self, out: &mut Outputs<O>) {
        let in_sync = self.in_sync();
        for held in self.held.take(|held| held.min_in_sync > in_sync) {
            let wanted = held.min_in_sync;
            held.refuse(Refusal::FellOutOfSync { in_sync, wanted }, out);
        }
        for waiting in self.waiting.values_mut() {
            let wanted = match waiting {
                Waiting::Append { ack, .. } => match ack {
                    Ack::Quorum { min_in_sync } if *min_in_sync > in_sync => *min_in_sync,
                    _ => continue,
                },
                _ => continue,
            };
            let waiting = std::mem::replace(waiting, Waiting::Answered);
            waiting.refuse(Refusal::FellOutOfSync { in_sync, wanted }, out);
        }
    }
}
