//! A replica that may have lost entries which it acknowledged holds back until it has them again.
//!
//! An acknowledged entry counts for good: what is committed rests on it. A replica may lose such entries all the
//! same: where writing counts as saving ([`Flush::Os`](crate::Flush::Os)) by a crash of its machine
//! ([`ReplicaConfig::may_have_lost`]), else by a disk that forgets, which is noticed where committed entries are gone.
//! Its vote could then elect a leader without them. So, among other voters:
//!
//! - In doubt a replica follows and acknowledges as ever: what it says now is true. It does not stand for election,
//!   not even when a leader asks it to, and gives no vote that could lose what it may have lost.
//! - It asks the other voters ([`PeerBody::Doubt`]) how far their logs are. What the leader of its own term has
//!   ([`PeerBody::Standing`]) holds everything that was committed. Without a leader the furthest of *all* the others
//!   holds everything that is left anywhere: a majority would not do, since this replica may have been the one that
//!   made it a majority.
//! - Candidates whose log is at least that far get its vote. Once its own log is that far, saved, the doubt is over.
//! - If every replica lost its end the furthest log wins, since all answer; what none of them has is gone.
//! - An answer counts only if it was asked for in this life: one to a question of before a second crash may be older
//!   than an acknowledgement.
//! - Until the doubt is over the saved state says so, so that a start in between is in doubt too. It is the first
//!   thing that is saved; before it is, whoever says [`ReplicaConfig::may_have_lost`] has to say it again.
//!
//! A leader that counted on what was lost would never send it again in its term: the raft crate takes a follower
//! that has less than it acknowledged for a late message. A doubt tells it how far the log really is.
//!
//! [`ReplicaConfig::may_have_lost`]: crate::ReplicaConfig::may_have_lost

use std::collections::{BTreeMap, BTreeSet};

use laminarmq::LogEnv;

use crate::config::Flush;
use crate::replica::Replica;
use crate::replica::advance::EndOfDoubt;
use crate::{Effects, LogIndex, LogPoint, PeerBody, PeerMessage, ReplicaId, Term};

/// What a replica in doubt knows.
#[derive(Debug)]
pub(super) struct Doubt {
    /// Names this life to those that answer.
    nonce: u64,
    /// Ticks since it asked last.
    since: u32,
    /// It asks with the next turn.
    asks: bool,
    /// How far the other voters are, as they said last.
    heard: BTreeMap<ReplicaId, LogPoint>,
    /// How far the leader of a term is.
    led: Option<(Term, LogPoint)>,
}

impl Doubt {
    /// At the opening of a log that may lack entries.
    pub(super) fn new(nonce: u64) -> Self {
        Self {
            nonce,
            since: 0,
            asks: true,
            heard: BTreeMap::new(),
            led: None,
        }
    }
}

/// Who asked how far this log is, and the name that the answer has to have. One for each member at most.
pub(super) type Askers = BTreeMap<ReplicaId, u64>;

/// Raft's order of logs: the later last term, then the longer one.
fn is_as_far(log: LogPoint, as_that: LogPoint) -> bool {
    (log.term, log.index) >= (as_that.term, as_that.index)
}

impl<E: LogEnv> Replica<E> {
    /// Whether it may have lost what it acknowledged, and does not have it again yet.
    pub fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// One tick of a replica in doubt; `None` for others. Says whether there is anything to do.
    pub(super) fn tick_doubt(&mut self) -> Option<bool> {
        let every = self.config.heartbeat_ticks;
        let doubt = self.doubt.as_mut()?;
        // The leader's lease has to run out: a vote is refused as long as it stands.
        self.consensus.pass_time();
        doubt.since += 1;
        doubt.asks |= doubt.since >= every;
        Some(doubt.asks)
    }

    /// A message that is about doubt, or that a replica in doubt does not act on. True: it is done with.
    pub(super) fn step_doubt(&mut self, from: ReplicaId, message: &PeerMessage) -> bool {
        match message.body {
            PeerBody::Doubt { nonce, last } => {
                if self.members.members.contains(from) {
                    self.askers.insert(from, nonce);
                    self.consensus.lost(from, last.index);
                }
                return true;
            }
            PeerBody::Standing { nonce, last, leads } => {
                let (term, leader) = (self.leader_epoch(), self.leader());
                if let Some(doubt) = self.doubt.as_mut().filter(|it| it.nonce == nonce) {
                    doubt.heard.insert(from, last);
                    if leads && message.term == term && leader == Some(from) {
                        doubt.led = Some((term, last));
                    }
                }
                return true;
            }
            _ => {}
        }
        if self.doubt.is_none() {
            return false;
        }
        match message.body {
            PeerBody::PreVote { last, .. } | PeerBody::Vote { last, .. } => {
                !self.needed().is_some_and(|needed| is_as_far(last, needed))
            }
            PeerBody::TimeoutNow => true,
            // It counts on what is lost here, and learns that from the doubt.
            PeerBody::Heartbeat { commit } | PeerBody::Rest { commit } => {
                commit > self.consensus.last_index()
            }
            _ => false,
        }
    }

    /// The voters, beside this replica, that could have what was lost.
    fn other_voters(&self) -> BTreeSet<ReplicaId> {
        let members = &self.members.members;
        let voters = members.voters.iter().chain(&members.outgoing).copied();
        voters.filter(|id| *id != self.config.replica).collect()
    }

    /// How far a log is that has everything which was not lost everywhere. `None`: not known yet.
    fn needed(&self) -> Option<LogPoint> {
        let doubt = self.doubt.as_ref()?;
        if let Some((term, point)) = doubt.led
            && term == self.leader_epoch()
        {
            return Some(point);
        }
        let heard = |id: &ReplicaId| doubt.heard.get(id).copied();
        let all: Option<Vec<_>> = self.other_voters().iter().map(heard).collect();
        all?.into_iter()
            .max_by_key(|point| (point.term, point.index))
    }

    /// The last entry of the log that a crash does not take. (Of one that is left to the operating system: the
    /// last one; a crash of the machine is doubt again.)
    fn saved_end(&self) -> LogPoint {
        let last = self.last_index();
        self.point_at(match self.config.flush {
            Flush::Sync => last.min(LogIndex(self.log().durable_index().saturating_sub(1))),
            Flush::Os => last,
        })
    }

    fn point_at(&self, index: LogIndex) -> LogPoint {
        let terms = self.consensus.store().terms();
        let term = terms.get(index).unwrap_or(self.start.prev_term);
        LogPoint { index, term }
    }

    /// Ends the doubt if it can end, and says what is to be said: to those that asked, and to those to ask.
    pub(super) fn settle_doubt(&mut self, effects: &mut Effects<E>) {
        let saved = self.saved_end();
        if self.needed().is_some_and(|needed| is_as_far(saved, needed)) {
            self.doubt = None;
            self.persisting.state = true;
            self.persisting.doubt = EndOfDoubt::Unsaved;
            tracing::info!(
                group = self.config.group.get(),
                last = saved.index.get(),
                "the log has everything again that it may have lost"
            );
        }
        let last = self.point_at(self.last_index());
        let leads = self.is_leader();
        // A member that has not heard of any term yet has nothing either.
        let term = self.leader_epoch().max(Term(1));
        for (to, nonce) in std::mem::take(&mut self.askers) {
            let body = PeerBody::Standing { nonce, last, leads };
            effects.messages.push((to, PeerMessage { term, body }));
        }
        let others = self.other_voters();
        if let Some(doubt) = self.doubt.as_mut().filter(|it| it.asks) {
            doubt.asks = false;
            doubt.since = 0;
            let body = PeerBody::Doubt {
                nonce: doubt.nonce,
                last,
            };
            let ask = |to| {
                (
                    to,
                    PeerMessage {
                        term,
                        body: body.clone(),
                    },
                )
            };
            effects.messages.extend(others.into_iter().map(ask));
        }
    }
}
