//! One replica of one partition: Raft, the log, watermarks; without I/O of its own.
//!
//! The Raft log *is* the partition's data: one record of the segmented log is one Raft entry, and
//! a data entry is one Kafka record batch, stored as it came. A [`Replica`] is a state machine:
//!
//! ```text
//! propose_batch, propose_command, propose_trim, tick, step(from, message)      what happened
//! advance() -> Effects                                           what is to be done about it
//!     messages   send them            appended    answer acks=1
//!     persist    run it elsewhere     committed   answer acks=all
//! on_persisted(done), then advance() again                       it is on the disk
//! fetch, offset_for -> plans                                     read where it hurts nobody
//! ```
//!
//! # Invariants
//!
//! - Index, offset and term are three numbers: an index counts entries, an offset counts records,
//!   a term is a leader epoch. See [`LogIndex`], [`Offset`], [`Term`].
//! - A batch is never copied. Its head is rewritten once, when its offset is known; its body is
//!   the buffer that came from the socket.
//! - Nothing is acknowledged before it is on the disk, votes included; a failed sync is the end.
//! - Time, randomness, threads and links belong to the caller. The same calls give the same
//!   effects.
//! - A peer's message, whatever it holds, is refused or acted on: it never panics.

pub mod codec;
mod config;
mod consensus;
mod effects;
mod error;
mod kind;
mod membership;
mod message;
mod producers;
mod queue;
mod replica;
mod state;
mod tail;
mod terms;
mod trim;
mod types;
mod wire;

pub use config::{
    ConfigError, ELECTION_TICKS_MAX, ENTRY_BYTES_CEILING, Flush, ReplicaConfig, SEGMENT_BYTES_MIN,
    Tuning,
};
pub use consensus::Role;
pub use effects::{
    Appended, Committed, DropReason, Effects, Leadership, PersistDone, PersistId, PersistJob,
};
pub use error::{Fatal, FetchError, OpenError, PeerError, ProposeError, TrimError};
pub use kind::{EntryKind, FLAG_PRODUCER, FLAG_ROLL, FLAGS_KNOWN};
pub use membership::{
    MEMBERS_MAX, MemberStep, Membership, MembershipAt, MembershipChange, MembershipError,
};
pub use message::{AppendResult, LogPoint, Payload, PeerBody, PeerEntry, PeerMessage, VoteReply};
pub use producers::{PRODUCERS_BYTES_MAX, PRODUCERS_MAX};
pub use replica::{
    AbortedTransaction, FetchPlan, FetchQuery, FileRange, FoundOffset, Isolation, OffsetAnswer,
    OffsetQuery, OffsetSearch, PeerProgress, Piece, Proposed, Replica, TrimProposed,
};
pub use state::{
    GroupState, LogStart, RaftStateFile, StateDir, StateError, StateFs, StateRecovery,
    StateWriteError,
};
pub use trim::TrimTo;
pub use types::{GroupId, LogIndex, Offset, RandomSource, ReplicaId, Term, Token};
