//! One error per operation.
//!
//! What a client may try again: [`ProposeError::is_retriable`], [`FetchError::is_retriable`].
//! [`PeerError`] closes the link to that peer and changes nothing here. [`Fatal`] ends the
//! replica: what its disk holds is not known any more, so nothing is retried.

use laminarmq::{AppendError, Poisoned, ReadError, SyncError, TruncateError};
use thiserror::Error;

use crate::config::ConfigError;
use crate::{GroupId, LogIndex, Offset, ReplicaId, StateWriteError, Term};

/// Why a replica does not open.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A setting is out of its bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The saved state is another group's or another replica's.
    #[error("the saved state is of group {group}, replica {replica}: not this one")]
    Foreign {
        /// The state's group.
        group: GroupId,
        /// The state's replica.
        replica: ReplicaId,
    },
    /// No state, in a group with other voters, and this is not the first start or the log is not
    /// empty: the replica may have voted, or acknowledged, and forgotten.
    #[error(
        "the log has {entries} entries and raft-state knows nothing of the group: it must not vote as this replica"
    )]
    StateLost {
        /// Entries in the log.
        entries: u64,
    },
    /// The log does not begin where the state says.
    #[error("the log starts at {found}, the saved state says {saved}")]
    Start {
        /// The log's first index.
        found: u64,
        /// What was saved.
        saved: u64,
    },
    /// The log holds an entry that no replica writes.
    #[error("entry {index}: {what}")]
    Entry {
        /// Where.
        index: LogIndex,
        /// What is wrong.
        what: &'static str,
    },
    /// The log cannot be read.
    #[error("reading the log: {0}")]
    Read(#[from] ReadError),
    /// The log cannot be synced, so it is not known what of it is on the disk.
    #[error("syncing the log: {0}")]
    Sync(#[from] SyncError),
    /// The entries before the saved start cannot be dropped.
    #[error("dropping the start of the log: {0}")]
    Truncate(#[from] TruncateError),
    /// The consensus module refused the state.
    #[error("{0}")]
    Consensus(String),
}

/// Why a proposal was not taken. Nothing of it will ever be in the log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProposeError {
    /// Only a leader takes proposals.
    #[error("not the leader")]
    NotLeader {
        /// Who is, as far as known.
        leader: Option<ReplicaId>,
    },
    /// The leader is handing over.
    #[error("the leader is handing over to another replica")]
    HandingOver,
    /// Too many bytes wait to be committed.
    #[error("{uncommitted} bytes wait to be committed, the limit is {max}")]
    Full {
        /// Bytes waiting.
        uncommitted: u64,
        /// The limit.
        max: u64,
    },
    /// The entry is larger than the group allows.
    #[error("{bytes} bytes, the limit is {max}")]
    TooLarge {
        /// Bytes of the entry.
        bytes: u64,
        /// The limit.
        max: u32,
    },
    /// The batch does not follow the producer's last one.
    #[error("the producer's next sequence number is {expected}, the batch has {given}")]
    SequenceGap {
        /// What follows.
        expected: i32,
        /// What the batch has.
        given: i32,
    },
    /// The producer was seen with a later epoch.
    #[error("the producer's epoch is {current}, the batch has {given}")]
    OldProducerEpoch {
        /// The latest one.
        current: i16,
        /// What the batch has.
        given: i16,
    },
    /// Whether the batch was proposed before is known once [`Replica::advance`](crate::Replica::advance)
    /// was called: propose it again then.
    #[error("proposals of the same producer have to reach the log first")]
    Unsettled,
    /// An earlier change of the members is not finished.
    #[error("another change of the members is under way")]
    MembershipBusy,
    /// The change makes no sense for the present members.
    #[error("{0}")]
    Membership(String),
    /// The replica has ended; see [`Fatal`].
    #[error("the replica has ended after a failure")]
    Ended,
}

impl ProposeError {
    /// Whether the same proposal may succeed later, here or at another replica.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        !matches!(
            self,
            Self::TooLarge { .. }
                | Self::Membership(_)
                | Self::SequenceGap { .. }
                | Self::OldProducerEpoch { .. }
        )
    }
}

/// Why a trim was not proposed.
#[derive(Debug, Error)]
pub enum TrimError {
    /// As with any proposal.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// Past what consumers can see.
    #[error("offset {offset} is past the high watermark {high_watermark}")]
    OutOfRange {
        /// As asked.
        offset: Offset,
        /// The last one possible.
        high_watermark: Offset,
    },
    /// The entry before the index is not committed.
    #[error("the entry before {index} is not committed")]
    Uncommitted {
        /// As asked.
        index: LogIndex,
    },
    /// A new leader does not know yet what is committed. Soon it will.
    #[error("the leader does not know yet what is committed, try again")]
    NotAvailable,
    /// The log cannot be read.
    #[error("reading the log: {0}")]
    Read(#[from] ReadError),
}

/// Why a peer's message was refused. The message had no effect.
///
/// All but [`PeerError::is_harmless`] ones mean that the peer, or the link, is broken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PeerError {
    /// The sender is no member of the group, as far as this replica knows.
    #[error("replica {0} is no member of the group")]
    NotMember(ReplicaId),
    /// The term is 0 or past the last one.
    #[error("term {0}")]
    Term(Term),
    /// A field contradicts another one.
    #[error("{0}")]
    Malformed(&'static str),
    /// An entry of an append.
    #[error("entry {index}: {what}")]
    Entry {
        /// The entry.
        index: LogIndex,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An index past what this replica ever had.
    #[error("index {index} where the log ends at {last}")]
    PastEnd {
        /// As sent.
        index: LogIndex,
        /// This replica's last index.
        last: LogIndex,
    },
    /// A reply to a question that was not asked yet.
    #[error("a reply that nobody waits for")]
    Unasked,
    /// Too many bytes wait here; the message counts as lost, and will be sent again.
    #[error("too many bytes wait to be written")]
    Busy,
    /// The replica has ended; see [`Fatal`].
    #[error("the replica has ended after a failure")]
    Ended,
}

impl PeerError {
    /// Whether the peer may have done nothing wrong: the message counts as lost, and the link
    /// stays. (Around a change of the members, some speak to others who do not know them yet, or
    /// any more.)
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        matches!(
            self,
            Self::NotMember(_) | Self::Busy | Self::Ended | Self::Unasked
        )
    }
}

/// The end of a replica. It stays in its last state, answers reads from memory that need no
/// proof, and takes nothing new; the process must stop using its directory.
#[derive(Debug, Error)]
pub enum Fatal {
    /// The log took no entry.
    #[error("appending to the log: {0}")]
    Append(#[from] AppendError),
    /// The log's end was not cut.
    #[error("truncating the log: {0}")]
    Truncate(#[from] TruncateError),
    /// An entry could not be read back.
    #[error("reading the log: {0}")]
    Read(#[from] ReadError),
    /// A sync failed: never try again, what is on the disk is not known.
    #[error("syncing the log: {0}")]
    Sync(#[from] Poisoned),
    /// The raft-state file failed.
    #[error(transparent)]
    State(#[from] StateWriteError),
    /// A committed entry does not follow from the log.
    #[error("entry {index}: {what}")]
    Entry {
        /// Where.
        index: LogIndex,
        /// What is wrong.
        what: &'static str,
    },
    /// This replica ended before.
    #[error("the replica has ended after a failure")]
    Ended,
}

/// Why a fetch or a look-up has no answer.
#[derive(Debug, Error)]
pub enum FetchError {
    /// Before the start or past the end.
    #[error("offset {offset} is outside [{start}, {end}]")]
    OutOfRange {
        /// As asked.
        offset: Offset,
        /// The first one that is there.
        start: Offset,
        /// One past the last.
        end: Offset,
    },
    /// A new leader does not know yet what is committed. Soon it will.
    #[error("the leader does not know yet what is committed, try again")]
    NotAvailable,
    /// The log cannot be read.
    #[error("reading the log: {0}")]
    Read(#[from] ReadError),
    /// A stored batch is not what was checked when it came in.
    #[error("batch at offset {offset}: {what}")]
    Batch {
        /// Its base offset.
        offset: Offset,
        /// What is wrong.
        what: String,
    },
}

impl FetchError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::NotAvailable)
    }
}
