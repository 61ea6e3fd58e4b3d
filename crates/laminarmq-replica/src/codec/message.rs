//! One message.
//!
//! ```text
//! message  u32 term, u8 kind, then the fields of the kind
//! point    u64 index, u32 term
//! vote     u8 granted, point commit
//!
//!  1 pre-vote         point last, point commit
//!  2 pre-vote reply   vote
//!  3 vote             point last, point commit, u8 transfer
//!  4 vote reply       vote
//!  5 append           point prev, u64 commit, u32 count, count x entry
//!  6 append reply     u8 0, u64 matched; or u8 1, u64 at, point hint. Then u64 commit
//!  7 heartbeat        u64 commit
//!  8 heartbeat reply  u64 commit
//!  9 timeout now      nothing
//! 10 snapshot         point at, u64 offset, u64 index of the members, the members (see `membership`)
//! 11 rest             u64 commit
//! 12 rest reply       u64 commit
//! 13 doubt            u64 nonce, point last
//! 14 standing         u64 nonce, point last, u8 leads
//!
//! entry    u64 index, u32 term, u8 kind, u8 flags, u32 length, the payload
//! ```

use bytes::Bytes;

use super::input::Input;
use super::{CodecError, PieceWriter, Unencodable};
use crate::{
    AppendResult, EntryKind, LogPoint, MEMBERS_MAX, MembershipAt, Offset, Payload, PeerBody,
    PeerEntry, PeerMessage, VoteReply,
};

/// Most entries of one append. It bounds what decoding takes beside the frame itself; replicas
/// send one entry at a time.
pub const APPEND_ENTRIES_MAX: usize = 1024;

const POINT_BYTES: usize = 8 + 4;
const ENTRY_HEAD_BYTES: usize = 8 + 4 + 1 + 1 + 4;

/// Most bytes of a message beside the payloads of its entries.
pub const MESSAGE_OVERHEAD_MAX: usize =
    4 + 1 + POINT_BYTES + 8 + 4 + APPEND_ENTRIES_MAX * ENTRY_HEAD_BYTES;

// A snapshot, whose members are in four lists, is no longer.
const _: () =
    assert!(4 + 1 + POINT_BYTES + 2 * 8 + 1 + 4 * 2 + MEMBERS_MAX * 8 < MESSAGE_OVERHEAD_MAX);

const PRE_VOTE: u8 = 1;
const PRE_VOTE_REPLY: u8 = 2;
const VOTE: u8 = 3;
const VOTE_REPLY: u8 = 4;
const APPEND: u8 = 5;
const APPEND_REPLY: u8 = 6;
const HEARTBEAT: u8 = 7;
const HEARTBEAT_REPLY: u8 = 8;
const TIMEOUT_NOW: u8 = 9;
const SNAPSHOT: u8 = 10;
const REST: u8 = 11;
const REST_REPLY: u8 = 12;
const DOUBT: u8 = 13;
const STANDING: u8 = 14;

const MATCHED: u8 = 0;
const REJECTED: u8 = 1;

impl PeerMessage {
    /// Bytes of the payloads in it: what makes it large.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        match &self.body {
            PeerBody::Append { entries, .. } => entries.iter().map(|e| e.payload.len()).sum(),
            _ => 0,
        }
    }

    /// Appends the encoding. After an error, `out` holds a part of it.
    pub fn encode(&self, out: &mut PieceWriter) -> Result<(), Unencodable> {
        out.term(self.term);
        match &self.body {
            PeerBody::PreVote { last, commit } => {
                out.u8(PRE_VOTE);
                out.point(*last);
                out.point(*commit);
            }
            PeerBody::PreVoteReply(vote) => encode_vote(PRE_VOTE_REPLY, *vote, out),
            PeerBody::Vote {
                last,
                commit,
                transfer,
            } => {
                out.u8(VOTE);
                out.point(*last);
                out.point(*commit);
                out.u8((*transfer).into());
            }
            PeerBody::VoteReply(vote) => encode_vote(VOTE_REPLY, *vote, out),
            PeerBody::Append {
                prev,
                commit,
                entries,
            } => {
                if entries.len() > APPEND_ENTRIES_MAX {
                    return Err(Unencodable);
                }
                out.u8(APPEND);
                out.point(*prev);
                out.index(*commit);
                out.u32(u32::try_from(entries.len()).map_err(|_| Unencodable)?);
                for entry in entries {
                    encode_entry(entry, out)?;
                }
            }
            PeerBody::AppendReply { result, commit } => {
                out.u8(APPEND_REPLY);
                match *result {
                    AppendResult::Matched(index) => {
                        out.u8(MATCHED);
                        out.index(index);
                    }
                    AppendResult::Rejected { at, hint } => {
                        out.u8(REJECTED);
                        out.index(at);
                        out.point(hint);
                    }
                }
                out.index(*commit);
            }
            PeerBody::Snapshot {
                at,
                offset,
                members,
            } => {
                members.members.check().map_err(|_| Unencodable)?;
                out.u8(SNAPSHOT);
                out.point(*at);
                out.u64(offset.get());
                out.index(members.index);
                let mut bytes = Vec::new();
                members.members.encode(&mut bytes);
                out.copy(&bytes);
            }
            PeerBody::Heartbeat { commit } => {
                out.u8(HEARTBEAT);
                out.index(*commit);
            }
            PeerBody::HeartbeatReply { commit } => {
                out.u8(HEARTBEAT_REPLY);
                out.index(*commit);
            }
            PeerBody::Rest { commit } => {
                out.u8(REST);
                out.index(*commit);
            }
            PeerBody::RestReply { commit } => {
                out.u8(REST_REPLY);
                out.index(*commit);
            }
            PeerBody::TimeoutNow => out.u8(TIMEOUT_NOW),
            PeerBody::Doubt { nonce, last } => {
                out.u8(DOUBT);
                out.u64(*nonce);
                out.point(*last);
            }
            PeerBody::Standing { nonce, last, leads } => {
                out.u8(STANDING);
                out.u64(*nonce);
                out.point(*last);
                out.u8((*leads).into());
            }
        }
        Ok(())
    }

    /// Reads a message that fills `bytes`. Payloads are slices of them, in one piece.
    pub fn decode(mut bytes: Bytes) -> Result<Self, CodecError> {
        let mut input = Input(&mut bytes);
        let term = input.term()?;
        let body = decode_body(&mut input)?;
        match input.remaining() {
            0 => Ok(Self { term, body }),
            more => Err(CodecError::Trailing(more)),
        }
    }
}

fn decode_body(input: &mut Input<'_>) -> Result<PeerBody, CodecError> {
    Ok(match input.u8()? {
        PRE_VOTE => PeerBody::PreVote {
            last: input.point()?,
            commit: input.point()?,
        },
        PRE_VOTE_REPLY => PeerBody::PreVoteReply(decode_vote(input)?),
        VOTE => PeerBody::Vote {
            last: input.point()?,
            commit: input.point()?,
            transfer: input.bool("transfer")?,
        },
        VOTE_REPLY => PeerBody::VoteReply(decode_vote(input)?),
        APPEND => PeerBody::Append {
            prev: input.point()?,
            commit: input.index()?,
            entries: decode_entries(input)?,
        },
        APPEND_REPLY => PeerBody::AppendReply {
            result: decode_result(input)?,
            commit: input.index()?,
        },
        HEARTBEAT => PeerBody::Heartbeat {
            commit: input.index()?,
        },
        REST => PeerBody::Rest {
            commit: input.index()?,
        },
        REST_REPLY => PeerBody::RestReply {
            commit: input.index()?,
        },
        HEARTBEAT_REPLY => PeerBody::HeartbeatReply {
            commit: input.index()?,
        },
        TIMEOUT_NOW => PeerBody::TimeoutNow,
        DOUBT => PeerBody::Doubt {
            nonce: input.u64()?,
            last: input.point()?,
        },
        STANDING => PeerBody::Standing {
            nonce: input.u64()?,
            last: input.point()?,
            leads: input.bool("leads")?,
        },
        SNAPSHOT => PeerBody::Snapshot {
            at: input.point()?,
            offset: Offset(input.u64()?),
            members: MembershipAt {
                index: input.index()?,
                members: input.members()?,
            },
        },
        value => {
            return Err(CodecError::Unknown {
                what: "message",
                value,
            });
        }
    })
}

fn encode_vote(kind: u8, vote: VoteReply, out: &mut PieceWriter) {
    out.u8(kind);
    out.u8(vote.granted.into());
    out.point(vote.commit);
}

fn decode_vote(input: &mut Input<'_>) -> Result<VoteReply, CodecError> {
    Ok(VoteReply {
        granted: input.bool("vote")?,
        commit: input.point()?,
    })
}

fn decode_result(input: &mut Input<'_>) -> Result<AppendResult, CodecError> {
    match input.u8()? {
        MATCHED => Ok(AppendResult::Matched(input.index()?)),
        REJECTED => {
            let at = input.index()?;
            let hint: LogPoint = input.point()?;
            Ok(AppendResult::Rejected { at, hint })
        }
        value => Err(CodecError::Unknown {
            what: "result of an append",
            value,
        }),
    }
}

fn encode_entry(entry: &PeerEntry, out: &mut PieceWriter) -> Result<(), Unencodable> {
    out.index(entry.index);
    out.term(entry.term);
    out.u8(entry.kind.as_u8());
    out.u8(entry.flags);
    out.u32(u32::try_from(entry.payload.len()).map_err(|_| Unencodable)?);
    out.share(&entry.payload.head);
    out.share(&entry.payload.body);
    Ok(())
}

fn decode_entries(input: &mut Input<'_>) -> Result<Vec<PeerEntry>, CodecError> {
    let count = input.u32()? as usize;
    if count > APPEND_ENTRIES_MAX {
        return Err(CodecError::Entries(count));
    }
    if count > input.remaining() / ENTRY_HEAD_BYTES {
        return Err(CodecError::Short);
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let (index, term) = (input.index()?, input.term()?);
        let number = input.u8()?;
        let kind = EntryKind::from_u8(number).ok_or(CodecError::Unknown {
            what: "kind of entry",
            value: number,
        })?;
        let flags = input.u8()?;
        let length = input.u32()?;
        entries.push(PeerEntry {
            index,
            term,
            kind,
            flags,
            payload: Payload::whole(input.slice(length)?),
        });
    }
    Ok(entries)
}
