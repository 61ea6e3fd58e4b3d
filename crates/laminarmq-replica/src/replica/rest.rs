//! Groups in which nothing happens rest: they send no heartbeats, and their clocks stand.
//!
//! What heartbeats say beyond "I am here" is nothing new once every member has every entry, knows that all of
//! them are committed, and has acted on them. "I am here" can be said once for all groups of a node. So:
//!
//! - A leader offers rest in place of a heartbeat ([`PeerBody::Rest`]) when all members are that far and nothing
//!   was asked of it for an election timeout. A member that is that far too answers that it rests
//!   ([`PeerBody::RestReply`]); any other answers as to a heartbeat.
//! - The leader rests once all members said so since its last offer; with one that does not, nobody rests for
//!   long.
//! - Whatever else is said, proposed, or heard of ends the rest of who hears it. A leader that works again sends
//!   heartbeats, which wakes the others.
//! - Rest ends by itself. The leader's after [`ReplicaConfig::rest_ticks`] and up to half as much more; then it
//!   offers anew. A member's after twice the longest of that: should the leader have forgotten it, whatever the
//!   reason, it is an ordinary follower again.
//! - Whoever owns the replicas hears of the other nodes, and wakes those with a member on a node that says
//!   nothing ([`Replica::wake`]). So a leader that is gone is missed as soon as without rest, and one that is
//!   cut off steps down.
//!
//! Nothing but how soon elections begin depends on it: no vote, commit or answer does.

use std::collections::BTreeSet;

use laminarmq::LogEnv;

use crate::replica::Replica;
use crate::{PeerBody, PeerMessage, ReplicaId, Role, Term};

/// How a replica rests, if it does.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// Ticks in a row in which nothing was asked of it.
    still: u32,
    /// Its next heartbeats offer rest.
    offers: bool,
    /// Who rests, as they said since it offers.
    agreed: BTreeSet<ReplicaId>,
    /// Ticks that are left of its rest.
    left: Option<u32>,
}

impl Rest {
    /// Something happens.
    fn end(&mut self) {
        self.still = 0;
        self.offers = false;
        self.left = None;
    }
}

impl<E: LogEnv> Replica<E> {
    /// Whether its clock stands because nothing happens in its group; see [`ReplicaConfig::rest_ticks`].
    ///
    /// [`ReplicaConfig::rest_ticks`]: crate::ReplicaConfig::rest_ticks
    pub fn is_at_rest(&self) -> bool {
        self.rest.left.is_some()
    }

    /// Ends its rest, if it rests: another member's node has said nothing for `missed` ticks, which count as
    /// if they had been ticked here.
    pub fn wake(&mut self, missed: u32) {
        if self.is_at_rest() {
            self.rest.end();
            self.consensus.missed(missed);
        }
    }

    /// Something other than being alike is going on.
    pub(super) fn disturb(&mut self) {
        self.rest.end();
    }

    /// One tick. Says whether the consensus passes over it.
    pub(super) fn tick_rest(&mut self) -> bool {
        if self.config.rest_ticks == 0 {
            return false;
        }
        match &mut self.rest.left {
            Some(0) => self.rest.left = None,
            Some(left) => {
                *left -= 1;
                return true;
            }
            None => {}
        }
        self.rest.still = self.rest.still.saturating_add(1);
        let offers = self.rest.still > self.config.election_ticks && self.all_are_alike();
        if offers && !self.rest.offers {
            self.rest.agreed.clear();
        }
        self.rest.offers = offers;
        false
    }

    /// As leader: every member has everything, and knows it.
    fn all_are_alike(&self) -> bool {
        let is_alike = |id: &ReplicaId| {
            *id == self.config.replica
                || self.progress(*id).is_some_and(|it| {
                    it.active && it.matched == self.applied && it.commit == self.applied
                })
        };
        let members = &self.members.members;
        self.leads_in_full()
            && self.has_nothing_to_do()
            && members.outgoing.is_empty()
            && self.consensus.is_steady()
            && members.voters.iter().all(is_alike)
            && members.learners.iter().all(is_alike)
    }

    /// Everything that is in the log is committed, saved and acted on, and nothing is on its way there.
    fn has_nothing_to_do(&self) -> bool {
        let last = self.last_index();
        self.applied == last
            && self.consensus.commit() == last
            && self.consensus.last_index() == last
            && self.queue.is_empty()
            && self.persisting.is_over()
            && self.restoring.is_none()
            && self.doubt.is_none()
    }

    /// A message that was sound took effect. `before` is what this replica was then.
    pub(super) fn rest_on(
        &mut self,
        from: ReplicaId,
        term: Term,
        word: Word,
        before: crate::Leadership,
    ) {
        if self.leadership() != before {
            self.rest.end();
            return;
        }
        let is_present = term == self.leader_epoch();
        match word {
            Word::Rest if is_present && self.leader() == Some(from) && self.has_nothing_to_do() => {
                // Longer than the leader rests, twice.
                self.rest.left = Some(self.config.rest_ticks.saturating_mul(3));
            }
            Word::RestReply if is_present && self.role() == Role::Leader && self.rest.offers => {
                self.rest.agreed.insert(from);
                self.rest_if_all_do();
            }
            // Late ones, of a time when it was awake.
            Word::HeartbeatReply | Word::RestReply => {}
            Word::Rest | Word::None => self.rest.end(),
        }
    }

    fn rest_if_all_do(&mut self) {
        let members = &self.members.members;
        let agrees = |id: &ReplicaId| *id == self.config.replica || self.rest.agreed.contains(id);
        let mut all = members.voters.iter().chain(&members.learners);
        if all.all(agrees) && self.all_are_alike() {
            // Not all groups of a node at the same tick.
            let spread = u64::from(self.config.rest_ticks / 2) + 1;
            let more = u32::try_from(self.consensus.draw() % spread).expect("below a u32");
            self.rest.offers = false;
            self.rest.left = Some(self.config.rest_ticks.saturating_add(more));
        }
    }

    /// A heartbeat, or the answer to one, as it leaves: with what this replica has to say about rest.
    pub(super) fn say_rest(&self, message: &mut PeerMessage) {
        match message.body {
            PeerBody::Heartbeat { commit } if self.rest.offers => {
                message.body = PeerBody::Rest { commit };
            }
            PeerBody::HeartbeatReply { commit } if self.is_at_rest() => {
                message.body = PeerBody::RestReply { commit };
            }
            _ => {}
        }
    }
}

/// What a message says about rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// Nothing: it is about something else, or a heartbeat of a leader that works.
    None,
    /// That who sent it is here, and has said earlier whether it rests.
    HeartbeatReply,
    /// That the leader would rest.
    Rest,
    /// That a member rests.
    RestReply,
}

impl Word {
    pub(super) fn of(message: &PeerMessage) -> Self {
        match message.body {
            PeerBody::Rest { .. } => Self::Rest,
            PeerBody::RestReply { .. } => Self::RestReply,
            PeerBody::HeartbeatReply { .. } => Self::HeartbeatReply,
            _ => Self::None,
        }
    }
}
