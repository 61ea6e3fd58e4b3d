//! Heartbeats of many groups, one behind the other, in few bytes.
//!
//! ```text
//! beat  v group, less that of the beat before (zigzag; before the first: 0)
//!       v from, v to
//!       v term << 2 | 1 for a reply | 2 where it is about rest
//!       v commit
//! ```
//! A `v` has seven bits a byte, the lowest first; the top bit says that more follow. Groups, replicas and
//! terms are small numbers or close together, so most of these are one or two bytes.

use bytes::Bytes;

use super::input::Input;
use super::{CodecError, PieceWriter};
use crate::{GroupId, LogIndex, PeerBody, PeerMessage, ReplicaId, Term};

/// Most bytes of one beat.
pub const BEAT_BYTES_MAX: usize = 4 * 10 + 5;

/// A [`PeerBody::Heartbeat`] or [`PeerBody::Rest`], or the answer to one, on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The group.
    pub group: GroupId,
    /// Who says it.
    pub from: ReplicaId,
    /// To whom.
    pub to: ReplicaId,
    /// The sender's term.
    pub term: Term,
    /// As in the message.
    pub commit: LogIndex,
    /// Whether it is the reply.
    pub reply: bool,
    /// Whether it is a [`PeerBody::Rest`], or its reply.
    pub rest: bool,
}

const REPLY: u64 = 1;
const REST: u64 = 2;
const FLAG_BITS: u32 = 2;

impl Beat {
    /// The beat that this message is, if it is one.
    #[must_use]
    pub fn of(
        group: GroupId,
        from: ReplicaId,
        to: ReplicaId,
        message: &PeerMessage,
    ) -> Option<Self> {
        let (commit, reply, rest) = match message.body {
            PeerBody::Heartbeat { commit } => (commit, false, false),
            PeerBody::HeartbeatReply { commit } => (commit, true, false),
            PeerBody::Rest { commit } => (commit, false, true),
            PeerBody::RestReply { commit } => (commit, true, true),
            _ => return None,
        };
        Some(Self {
            group,
            from,
            to,
            term: message.term,
            commit,
            reply,
            rest,
        })
    }

    /// The message that it is.
    #[must_use]
    pub fn message(self) -> PeerMessage {
        let commit = self.commit;
        let body = match (self.rest, self.reply) {
            (false, false) => PeerBody::Heartbeat { commit },
            (false, true) => PeerBody::HeartbeatReply { commit },
            (true, false) => PeerBody::Rest { commit },
            (true, true) => PeerBody::RestReply { commit },
        };
        PeerMessage {
            term: self.term,
            body,
        }
    }
}

/// Writes beats of one frame.
#[derive(Debug, Default)]
pub struct BeatWriter {
    before: u64,
}

impl BeatWriter {
    /// Appends one.
    pub fn write(&mut self, beat: Beat, out: &mut PieceWriter) {
        let group = beat.group.get();
        out.varint(zigzag(group.wrapping_sub(self.before).cast_signed()));
        self.before = group;
        out.varint(beat.from.get());
        out.varint(beat.to.get());
        let reply = if beat.reply { REPLY } else { 0 };
        let rest = if beat.rest { REST } else { 0 };
        out.varint(u64::from(beat.term.get()) << FLAG_BITS | rest | reply);
        out.varint(beat.commit.get());
    }
}

/// Reads the beats of one frame.
#[derive(Debug, Default)]
pub struct BeatReader {
    before: u64,
}

impl BeatReader {
    /// Takes the next one off the front, or `None` at the end.
    pub fn read(&mut self, bytes: &mut Bytes) -> Result<Option<Beat>, CodecError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut input = Input(bytes);
        let step = unzigzag(input.varint()?).cast_unsigned();
        self.before = self.before.wrapping_add(step);
        let (from, to) = (input.varint()?, input.varint()?);
        let term = input.varint()?;
        Ok(Some(Beat {
            group: GroupId(self.before),
            from: ReplicaId(from),
            to: ReplicaId(to),
            term: Term(u32::try_from(term >> FLAG_BITS).map_err(|_| CodecError::Number)?),
            commit: LogIndex(input.varint()?),
            reply: term & REPLY != 0,
            rest: term & REST != 0,
        }))
    }
}

/// Numbers near 0, below or above, become small ones.
fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}
