//! What a controller needs to know to change the members: who has how much.
//!
//! A new replica joins as a learner, and becomes a voter when it [is caught
//! up](Replica::is_caught_up). Earlier would be safe and useless: commits would wait for it. A replica
//! that may have lost what it acknowledged takes the same way, under a new id, and the change that makes
//! that a voter removes the old one.

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
}
