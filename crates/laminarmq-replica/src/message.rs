//! What replicas of one group say to each other: our own types, with batches in them.
//!
//! An append carries at most what one entry of the log needs; the bytes of a batch are two shared
//! pieces, so sending one to several peers copies nothing. How messages become bytes is the
//! transport's business. A received message is checked before anything acts on it; see
//! [`PeerError`](crate::PeerError).

use bytes::Bytes;

use crate::{EntryKind, LogIndex, MembershipAt, Offset, Term};

/// A message, as it is between two replicas. Who sent it is told by the link, not by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerMessage {
    /// The sender's term; in a [`PeerBody::PreVote`] and the yes to it, the term asked about.
    pub term: Term,
    /// What it says.
    pub body: PeerBody,
}

/// A place in the log: an index and the term of the entry there. Index 0 has term 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPoint {
    /// The entry's index.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerBody {
    /// "Would you vote for me in that term?" Changes nothing at the receiver.
    PreVote {
        /// The candidate's last entry.
        last: LogPoint,
        /// The last entry that the candidate knows to be committed.
        commit: LogPoint,
    },
    /// The answer to [`PeerBody::PreVote`].
    PreVoteReply(VoteReply),
    /// "Vote for me."
    Vote {
        /// The candidate's last entry.
        last: LogPoint,
        /// The last entry that the candidate knows to be committed.
        commit: LogPoint,
        /// The leader itself asked for this election, so its lease does not stand against it.
        transfer: bool,
    },
    /// The answer to [`PeerBody::Vote`].
    VoteReply(VoteReply),
    /// Entries for the log, or none (a probe).
    Append {
        /// The entry before the first one.
        prev: LogPoint,
        /// The last entry that the leader knows to be committed; may be far past this message.
        commit: LogIndex,
        /// Entries from `prev.index + 1` on, without a gap.
        entries: Vec<PeerEntry>,
    },
    /// The answer to [`PeerBody::Append`].
    AppendReply {
        /// How it went.
        result: AppendResult,
        /// The last entry that the sender knows to be committed.
        commit: LogIndex,
    },
    /// "The entries that follow yours are gone here: begin anew behind this one." Metadata only, a
    /// few hundred bytes at most; the entries behind it come as appends. What is known of the
    /// producers, and the state of a state machine, stand in those entries. Answered with an
    /// [`AppendResult::Matched`].
    Snapshot {
        /// The last entry that it stands for: the one before the sender's log.
        at: LogPoint,
        /// The offset that the first data entry behind it has.
        offset: Offset,
        /// The members, with the entry that made them, which may be before or behind `at`.
        members: MembershipAt,
    },
    /// "I am still your leader."
    Heartbeat {
        /// Committed, and known to be in the receiver's log.
        commit: LogIndex,
    },
    /// The answer to [`PeerBody::Heartbeat`].
    HeartbeatReply {
        /// The last entry that the sender knows to be committed.
        commit: LogIndex,
    },
    /// "I am still your leader, and nothing happens: take it that I am here as long as my node is." A heartbeat
    /// beside that.
    Rest {
        /// As in the heartbeat.
        commit: LogIndex,
    },
    /// The answer to [`PeerBody::Rest`] of who does so; others answer as to a heartbeat.
    RestReply {
        /// As in the heartbeat's.
        commit: LogIndex,
    },
    /// "Stand for election at once": the leader hands over.
    TimeoutNow,
    /// "I may have lost entries that I acknowledged. How far is your log?" Its term says nothing.
    Doubt {
        /// Names the life of the sender that asks.
        nonce: u64,
        /// The sender's last entry now; [`LogIndex`] 0 for an empty log.
        last: LogPoint,
    },
    /// The answer to [`PeerBody::Doubt`].
    Standing {
        /// As in the question.
        nonce: u64,
        /// The sender's last entry.
        last: LogPoint,
        /// It leads the message's term.
        leads: bool,
    },
}

/// A vote, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteReply {
    /// Yes or no.
    pub granted: bool,
    /// With a no: the last entry that the sender knows to be committed.
    pub commit: LogPoint,
}

/// How an append went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendResult {
    /// Everything up to this index is on the sender's disk and equal to the leader's.
    Matched(LogIndex),
    /// The entry before the first one does not match.
    Rejected {
        /// `prev.index` of the append.
        at: LogIndex,
        /// Where the leader should try next.
        hint: LogPoint,
    },
}

/// One entry as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerEntry {
    /// Index in the log.
    pub index: LogIndex,
    /// Term of the leader that made it.
    pub term: Term,
    /// What it is.
    pub kind: EntryKind,
    /// [`FLAG_ROLL`](crate::FLAG_ROLL) or nothing.
    pub flags: u8,
    /// Its bytes; of a data entry, the batch with its offset and epoch set.
    pub payload: Payload,
}

/// Bytes of an entry in up to two shared pieces: the small one that the leader wrote, and the
/// large one that is never copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// The front; for a data entry the batch's head, or empty when `body` is the whole batch.
    pub head: Bytes,
    /// The rest.
    pub body: Bytes,
}

impl Payload {
    /// Bytes in one piece.
    #[must_use]
    pub fn whole(body: Bytes) -> Self {
        Self {
            head: Bytes::new(),
            body,
        }
    }

    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces in order.
    #[must_use]
    pub fn pieces(&self) -> [&[u8]; 2] {
        [&self.head, &self.body]
    }
}
