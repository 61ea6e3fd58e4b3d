//! One replica of one group.
//!
//! ```text
//! start_offset <= last_stable_offset <= high_watermark <= end_offset
//! applied <= committed, applied <= what is saved here
//! visible == committed on a leader, applied elsewhere; high_watermark follows from visible
//! the tail cache, the tracked entries and the log end at the same index after every advance
//! at most one persist job is out; turns are reported as saved in order, and only when both the
//!     log and the raft-state of each are
//! ```
//!
//! The caller owns the threads: it feeds [`Replica::tick`], [`Replica::step`] and proposals, calls
//! [`Replica::advance`] after one or many of them, and acts on the effects.

mod advance;
mod append;
mod check;
mod doubt;
mod fetch;
mod offsets;
mod open;
mod peers;
mod producing;
mod rest;
mod snapshot;
mod trim;

use std::collections::VecDeque;

use bytes::Bytes;
use laminarmq::{Log, LogEnv, poll_ready};

use crate::consensus::{Ballot, Consensus};
use crate::membership::MembershipAt;
use crate::producers::Producers;
use crate::queue::{Queue, Waiting};
use crate::state::LogStart;
use crate::tail::Tail;
use crate::{
    ConfigError, EntryKind, Fatal, FetchError, GroupId, GroupState, Leadership, LogIndex, LogPoint,
    Membership, MembershipChange, Offset, Payload, PeerError, PeerMessage, ProposeError,
    ReplicaConfig, ReplicaId, Role, Term, Token, Tuning,
};

pub use fetch::{AbortedTransaction, FetchPlan, FetchQuery, FileRange, Isolation, Piece};
pub use offsets::{FoundOffset, OffsetAnswer, OffsetQuery, OffsetSearch};
pub use peers::PeerProgress;
pub use producing::Proposed;
pub use trim::TrimProposed;

pub(crate) use snapshot::reset_log;
pub(crate) use trim::drop_prefix;

use advance::Persisting;
use doubt::{Askers, Doubt};
use producing::SinceCheckpoint;
use rest::{Rest, Word};
use snapshot::Restoring;

/// An entry that is in the log and not committed yet.
#[derive(Clone, Copy, Debug)]
struct Tracked {
    index: LogIndex,
    bytes: u64,
    token: Option<Token>,
    base_offset: Offset,
    next_offset: Offset,
    answered: Answered,
}

/// When a proposal counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    /// Records: on a quorum's disks.
    Committed,
    /// What changes the replica: when it did so here. That can be later, since a leader applies only what its own
    /// disk has.
    Applied,
}

/// One replica of one group; see the module documentation.
pub struct Replica<E: LogEnv> {
    config: ReplicaConfig,
    consensus: Consensus<E>,
    members: MembershipAt,
    start: LogStart,
    queue: Queue,
    tail: Tail,
    tracked: VecDeque<Tracked>,
    /// Committed, and to be answered when they are applied; in log order, above `applied`.
    applying: VecDeque<Tracked>,
    tracked_bytes: u64,
    /// The offset that the next data entry gets.
    end_offset: Offset,
    /// Committed entries up to here, inclusive, are saved here and were acted on.
    applied: LogIndex,
    /// Entries up to here, inclusive, are on a quorum's disks: proposals were answered, and
    /// consumers may see them. A leader need not wait for its own disk: a follower that heard of
    /// the commit serves it already.
    visible: LogIndex,
    high_watermark: Offset,
    /// The no-op of this replica's own term, once it leads.
    own_noop: Option<LogPoint>,
    /// The next entry begins a segment, if this replica leads by then.
    roll_next: bool,
    persisting: Persisting,
    /// A leader's snapshot that is on its way into the log.
    restoring: Option<Restoring>,
    producers: Producers,
    checkpoint: SinceCheckpoint,
    told: Leadership,
    rest: Rest,
    /// It may have lost what it acknowledged.
    doubt: Option<Doubt>,
    askers: Askers,
    /// Nothing of it was ever saved, and others have a vote too: it says and hears nothing until
    /// its first state is saved. Then a log without a state always means that a state was lost.
    unborn: bool,
    /// Ticks at which it stands for the group's first election, see [`ReplicaConfig::stands_first`].
    founding_ticks: u32,
    ended: bool,
}

impl<E: LogEnv> Replica<E> {
    /// Proposes one input of the group's state machine; not empty.
    pub fn propose_command(&mut self, command: Bytes, token: Token) -> Result<(), ProposeError> {
        assert!(!command.is_empty(), "a command has bytes");
        self.may_propose(command.len() as u64)?;
        let waiting = Waiting::Own(EntryKind::Command, Payload::whole(command));
        self.propose(EntryKind::Command, 0, token, waiting)
    }

    /// Proposes a change of the members. Entering makes a joint configuration; whoever asked for
    /// it proposes the leave once this is committed.
    pub fn propose_membership(
        &mut self,
        change: &MembershipChange,
        token: Token,
    ) -> Result<(), ProposeError> {
        let bad = |error: crate::MembershipError| ProposeError::Membership(error.to_string());
        change.check().map_err(bad)?;
        let bytes = Bytes::from(change.encode());
        self.may_propose(bytes.len() as u64)?;
        let number = self.queue.next_number();
        let index = self.consensus.propose_membership(change, number)?;
        let waiting = Waiting::Own(EntryKind::Membership, Payload::whole(bytes));
        self.enqueue(index, 0, Some(token), waiting);
        Ok(())
    }

    fn may_propose(&self, bytes: u64) -> Result<(), ProposeError> {
        if self.ended {
            return Err(ProposeError::Ended);
        }
        if self.role() != Role::Leader {
            return Err(ProposeError::NotLeader {
                leader: self.leader(),
            });
        }
        let max = self.config.entry_bytes_max;
        if bytes > u64::from(max) {
            return Err(ProposeError::TooLarge { bytes, max });
        }
        let uncommitted = self.uncommitted_bytes();
        let max = self.config.uncommitted_bytes_max;
        if uncommitted > 0 && uncommitted + bytes > max {
            return Err(ProposeError::Full { uncommitted, max });
        }
        Ok(())
    }

    fn propose(
        &mut self,
        kind: EntryKind,
        records: u64,
        token: Token,
        waiting: Waiting,
    ) -> Result<(), ProposeError> {
        let index = self.consensus.propose(kind, self.queue.next_number())?;
        self.enqueue(index, records, Some(token), waiting);
        Ok(())
    }

    fn enqueue(&mut self, index: LogIndex, records: u64, token: Option<Token>, waiting: Waiting) {
        let at = LogPoint {
            index,
            term: self.consensus.term(),
        };
        let before = self.queue.last_offset().unwrap_or(self.end_offset);
        self.disturb();
        self.queue
            .push(at, Offset(before.get() + records), token, waiting);
    }

    /// As leader: lets the next entry begin a new segment, whatever the present one holds. Not where it
    /// holds nothing.
    pub fn roll_next(&mut self) {
        let last = self.log().segments().last();
        let is_empty = last.is_none_or(|segment| segment.base_index == segment.end_index);
        self.roll_next = !self.ended && self.is_leader() && !is_empty;
    }

    /// Changes settings while the replica is open. What was proposed before is not judged again; after a
    /// change to [`Flush::Sync`](crate::Flush::Sync) the next save covers everything that was written before it.
    pub fn tune(&mut self, tuning: Tuning) -> Result<(), ConfigError> {
        let mut config = self.config.clone();
        config.tune(tuning);
        config.validate()?;
        self.config = config;
        Ok(())
    }

    /// One step of the clock; how long it is, the caller decides, alike on all replicas.
    ///
    /// Says whether there is anything to do about it: a replica that is at rest need not
    /// [advance](Self::advance) for it.
    pub fn tick(&mut self) -> bool {
        let takes_part = !self.ended && !self.unborn && self.restoring.is_none();
        if !takes_part {
            return false;
        }
        if let Some(is_due) = self.tick_doubt() {
            return is_due;
        }
        self.tick_founding();
        !self.tick_rest() && self.consensus.tick()
    }

    fn tick_founding(&mut self) {
        if self.founding_ticks > 0 {
            self.founding_ticks -= 1;
            if self.leader_epoch() == Term(0) {
                // The longest timeout that may be drawn has passed.
                self.consensus.missed(2 * self.config.election_ticks);
            }
        }
    }

    /// Takes a message from the replica at the other end of a link. An error other than a
    /// [harmless](PeerError::is_harmless) one means that the link should be closed.
    pub fn step(&mut self, from: ReplicaId, message: PeerMessage) -> Result<(), PeerError> {
        if self.ended {
            return Err(PeerError::Ended);
        }
        if self.unborn || self.restoring.is_some() {
            return Err(PeerError::Busy);
        }
        let (word, term) = (Word::of(&message), message.term);
        let before = self.leadership();
        self.step_checked(from, message)?;
        self.rest_on(from, term, word, before);
        Ok(())
    }

    /// The link to a peer broke: what is on its way there counts as lost.
    pub fn report_unreachable(&mut self, peer: ReplicaId) {
        if !self.ended && self.restoring.is_none() {
            self.disturb();
            self.consensus.unreachable(peer);
        }
    }

    /// As leader: asks `to` to take over. Proposals are refused meanwhile.
    pub fn transfer_leadership(&mut self, to: ReplicaId) {
        if !self.ended && self.members.members.voters.contains(&to) {
            self.disturb();
            self.consensus.transfer(to);
        }
    }

    /// Gives the log back, with the state that saves scanning when both are saved.
    #[must_use]
    pub fn close(self) -> (Log<E>, GroupState) {
        let state = self.group_state();
        (self.consensus.into_log(), state)
    }

    fn group_state(&self) -> GroupState {
        let Ballot { term, vote } = self.consensus.ballot();
        self.with_snapshot(GroupState {
            group: self.config.group,
            replica: self.config.replica,
            term,
            vote,
            commit: self.applied,
            membership: self.members.clone(),
            start: self.start,
            in_doubt: self.is_in_doubt(),
        })
    }

    /// The group.
    pub fn group(&self) -> GroupId {
        self.config.group
    }

    /// Which of its replicas this is.
    pub fn id(&self) -> ReplicaId {
        self.config.replica
    }

    /// The members, as far as they are committed.
    pub fn members(&self) -> &Membership {
        &self.members.members
    }

    /// What this replica is at the moment.
    pub fn role(&self) -> Role {
        self.consensus.role()
    }

    /// Whether it takes proposals.
    pub fn is_leader(&self) -> bool {
        self.role() == Role::Leader
    }

    /// The leader, if known.
    pub fn leader(&self) -> Option<ReplicaId> {
        self.consensus.leader()
    }

    /// The term, which is Kafka's leader epoch.
    pub fn leader_epoch(&self) -> Term {
        self.consensus.term()
    }

    /// The first readable offset.
    pub fn start_offset(&self) -> Offset {
        self.start.offset
    }

    /// The offset that the next record gets.
    pub fn end_offset(&self) -> Offset {
        self.end_offset
    }

    /// One past the last offset known to be on a quorum's disks. Never falls while the replica is
    /// open. A new leader's is known only when [`Replica::is_watermark_known`].
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// What a consumer that reads committed data may see: the high watermark, until there are
    /// transactions.
    pub fn last_stable_offset(&self) -> Offset {
        self.high_watermark
    }

    /// False for a leader whose own first entry is not committed yet: until then it may know less
    /// than was promised to consumers before.
    pub fn is_watermark_known(&self) -> bool {
        let known = |noop: LogPoint| noop.term == self.leader_epoch() && noop.index <= self.visible;
        !self.is_leader() || self.own_noop.is_some_and(known)
    }

    /// Whether this replica leads, and has handed out every command of the leaders before it.
    pub fn leads_in_full(&self) -> bool {
        let handed_out =
            |noop: LogPoint| noop.term == self.leader_epoch() && noop.index <= self.applied;
        self.is_leader() && self.own_noop.is_some_and(handed_out)
    }

    /// Whether the group has a state machine; see [`ReplicaConfig::state_machine`].
    pub fn has_state_machine(&self) -> bool {
        self.config.state_machine
    }

    /// Whether the entry at `index` is on a quorum's disks: what an acknowledgement says.
    pub fn is_visible(&self, index: LogIndex) -> bool {
        index <= self.visible
    }

    /// The last committed index that is saved and was acted on here.
    pub fn applied_index(&self) -> LogIndex {
        self.applied
    }

    /// Bytes of entries that are proposed, or in the log, and not committed.
    pub fn uncommitted_bytes(&self) -> u64 {
        self.queue.bytes() + self.tracked_bytes
    }

    /// Whether it has failed for good; see [`Fatal`].
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The log.
    pub fn log(&self) -> &Log<E> {
        self.consensus.log()
    }

    /// Whether a persist job is out.
    pub fn is_persisting(&self) -> bool {
        self.persisting.is_out()
    }

    fn leadership(&self) -> Leadership {
        Leadership {
            role: self.role(),
            term: self.leader_epoch(),
            leader: self.leader(),
        }
    }

    /// The index of the last entry of the log.
    fn last_index(&self) -> LogIndex {
        LogIndex(self.log().end_index() - 1)
    }

    /// The offset of the first record behind the log's entry at `index`, which may be the one
    /// before the start.
    fn offset_after(&self, index: LogIndex) -> Result<Offset, laminarmq::ReadError> {
        if index >= self.last_index() {
            return Ok(self.end_offset);
        }
        // Keys are base offsets, and an internal entry has the next record's.
        Ok(Offset(poll_ready(self.log().entry(index.get() + 1))?.key))
    }

    fn must_know_watermark(&self) -> Result<(), FetchError> {
        if self.is_watermark_known() {
            Ok(())
        } else {
            Err(FetchError::NotAvailable)
        }
    }

    fn must_not_have_ended(&self) -> Result<(), Fatal> {
        if self.ended {
            Err(Fatal::Ended)
        } else {
            Ok(())
        }
    }
}
