//! What a controller needs to know to change the members: who has how much.
//!
//! A new replica joins as a learner, and becomes a voter when it [is caught
//! up](Replica::is_caught_up). Earlier would be safe and useless: commits would wait for it. A replica
//! that may have lost what it acknowledged takes the same way, under a new id, and the change that makes
//! that a voter removes the old one.
//!
//! And what a producer may want to wait for beyond the commit: that more than a majority has an entry. Who
//! has how much is heard anew in each term, so a new leader knows of less than there is, never of more.

use laminarmq::LogEnv;

use crate::membership::MembershipAt;
use crate::replica::Replica;
use crate::{LogIndex, ReplicaId};

/// A peer that misses at most so many committed entries counts as caught up.
const CAUGHT_UP_ENTRIES: u64 = 64;

/// How far a peer is, as its leader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerProgress {
    /// Entries up to here, inclusive, are on its disk and equal to the leader's.
    pub matched: LogIndex,
    /// It knows that entries up to here, inclusive, are committed.
    pub commit: LogIndex,
    /// Whether it was heard of lately, and has everything or takes appends one behind the other.
    pub active: bool,
}

impl<E: LogEnv> Replica<E> {
    /// The members with the entry that made them, as far as they are committed: what a replica that
    /// joins is to be opened with.
    pub fn membership(&self) -> &MembershipAt {
        &self.members
    }

    /// How far another member is. `None` unless this replica leads, and for who is no member.
    pub fn progress(&self, peer: ReplicaId) -> Option<PeerProgress> {
        if !self.is_leader() || peer == self.config.replica {
            return None;
        }
        self.consensus.progress(peer)
    }

    /// Whether another member lacks more than is on its way to one that keeps up, as its leader knows.
    pub fn is_behind(&self, peer: ReplicaId) -> bool {
        self.is_leader() && self.consensus.is_behind(peer)
    }

    /// Whether a learner may become a voter: it is heard of, has nearly all that is committed, and
    /// knows of itself that it is a member, so that it is ready to vote.
    pub fn is_caught_up(&self, peer: ReplicaId) -> bool {
        self.progress(peer).is_some_and(|it| {
            it.active
                && it.commit >= self.members.index
                && it.matched.get() + CAUGHT_UP_ENTRIES >= self.consensus.commit().get()
        })
    }

    /// The last entry that at least `replicas` voters are known to have on their disks; while the voters
    /// change, of the old ones and of the new ones. Index 0 where there are not as many voters; `None` unless
    /// this replica leads.
    pub fn durable_on(&self, replicas: usize) -> Option<LogIndex> {
        if !self.is_leader() {
            return None;
        }
        let members = &self.members.members;
        let matched = |id: &ReplicaId| {
            let progress = self.consensus.progress(*id);
            progress.map_or(LogIndex(0), |it| it.matched)
        };
        let on = |voters: &[ReplicaId]| {
            let has = |last: &LogIndex| voters.iter().filter(|id| matched(id) >= *last).count();
            let last = voters.iter().map(matched).filter(|it| has(it) >= replicas);
            last.max().unwrap_or(LogIndex(0))
        };
        let new = on(&members.voters);
        Some(match members.is_joint() {
            true => new.min(on(&members.outgoing)),
            false => new,
        })
    }

    /// The last entry that is committed, and that at least `replicas` voters have on their disks. Of more than a
    /// majority only a leader knows; index 0 where nothing is known.
    pub fn visible_on(&self, replicas: usize) -> LogIndex {
        let members = &self.members.members;
        let majority = |voters: &[ReplicaId]| voters.len() / 2 + 1;
        let mut at_least = majority(&members.voters);
        if members.is_joint() {
            at_least = at_least.min(majority(&members.outgoing));
        }
        // Where the last one was committed under earlier members, it was on a majority of those.
        if replicas <= at_least && self.visible > self.members.index {
            return self.visible;
        }
        let durable = self.durable_on(replicas).unwrap_or(LogIndex(0));
        durable.min(self.visible)
    }
}
