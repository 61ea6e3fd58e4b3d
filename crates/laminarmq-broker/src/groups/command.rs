//! Commands of a partition of groups: what its log holds, in an encoding of our own.
//!
//! ```text
//! command   version u8, kind u8, fields of the kind
//! ```
//!
//! A command says everything that applying it needs: no clock, no random choice and no setting takes part.
//! Described in `docs/formats/group-commands.md`.

use super::bytes::{Decoder, Encoder};
use super::record::{CommittedOffset, GroupRecord, OffsetKey};
use laminarmq_kafka::Uuid;

/// The version that is written, and the newest that is understood.
pub(super) const VERSION: u8 = 1;

const OFFSETS: u8 = 1;
const GROUP: u8 = 2;
const GENERATION: u8 = 3;
const REMOVE_GROUP: u8 = 4;
const REMOVE_OFFSETS: u8 = 5;
const REMOVE_TOPICS: u8 = 6;
const CHECKPOINT_BEGIN: u8 = 7;
const CHECKPOINT_CHUNK: u8 = 8;
const CHECKPOINT_END: u8 = 9;

/// One change of a partition's groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Change(Change),
    /// What follows up to the end of the same id makes up the whole state as it is here.
    CheckpointBegin {
        id: u64,
    },
    /// Applied one after the other to an empty state, the changes of all chunks give the state.
    CheckpointChunk {
        id: u64,
        /// From 0, without gaps.
        number: u32,
        changes: Vec<Change>,
    },
    CheckpointEnd {
        id: u64,
        chunks: u32,
    },
}

/// One change of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Offsets {
        group: String,
        offsets: Vec<(OffsetKey, CommittedOffset)>,
    },
    Group {
        group: String,
        record: GroupRecord,
    },
    /// This generation was given out; it is not given again.
    Generation {
        group: String,
        generation: i32,
    },
    /// With its offsets.
    RemoveGroup {
        group: String,
    },
    RemoveOffsets {
        group: String,
        keys: Vec<OffsetKey>,
    },
    /// The offsets of these topics, in all groups.
    RemoveTopics {
        topics: Vec<Uuid>,
    },
}

/// Why bytes from the log are not a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CommandError {
    #[error(
        "group command of version {found}, this program knows version {VERSION}: start the program that \
         wrote it"
    )]
    Newer { found: u8 },
    #[error("group command of kind {0}, which version {VERSION} does not have")]
    Kind(u8),
    #[error("group of type {0}, which version {VERSION} does not have")]
    GroupType(u8),
    #[error("group command ends early")]
    Short,
    #[error("group command with {0} bytes too many")]
    Long(usize),
    #[error("group command with text that is not UTF-8")]
    Text,
    #[error("group command with {0} where 0 or 1 says whether a text follows")]
    Option(u8),
}

impl From<Change> for Command {
    fn from(change: Change) -> Self {
        Command::Change(change)
    }
}

impl Command {
    /// The bytes that go into the log.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder(vec![VERSION]);
        match self {
            Command::Change(change) => change.encode(&mut out),
            Command::CheckpointBegin { id } => {
                out.u8(CHECKPOINT_BEGIN);
                out.u64(*id);
            }
            Command::CheckpointChunk {
                id,
                number,
                changes,
            } => {
                out.u8(CHECKPOINT_CHUNK);
                out.u64(*id);
                out.u32(*number);
                out.list(changes.iter(), |out, change| change.encode(out));
            }
            Command::CheckpointEnd { id, chunks } => {
                out.u8(CHECKPOINT_END);
                out.u64(*id);
                out.u32(*chunks);
            }
        }
        out.0
    }

    /// Reads what [`Command::encode`] wrote.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, CommandError> {
        let mut input = Decoder(bytes);
        let [version, kind] = input.array()?;
        if version != VERSION {
            return Err(CommandError::Newer { found: version });
        }
        let command = match kind {
            CHECKPOINT_BEGIN => Command::CheckpointBegin { id: input.u64()? },
            CHECKPOINT_CHUNK => Command::CheckpointChunk {
                id: input.u64()?,
                number: input.u32()?,
                changes: input.list(|input| {
                    let kind = input.u8()?;
                    Change::decode(kind, input)
                })?,
            },
            CHECKPOINT_END => Command::CheckpointEnd {
                id: input.u64()?,
                chunks: input.u32()?,
            },
            kind => Command::Change(Change::decode(kind, &mut input)?),
        };
        input.end()?;
        Ok(command)
    }
}

impl Change {
    fn encode(&self, out: &mut Encoder) {
        match self {
            Change::Offsets { group, offsets } => {
                out.u8(OFFSETS);
                out.text(group);
                out.list(offsets.iter(), |out, (key, offset)| {
                    key.encode(out);
                    offset.encode(out);
                });
            }
            Change::Group { group, record } => {
                out.u8(GROUP);
                out.text(group);
                record.encode(out);
            }
            Change::Generation { group, generation } => {
                out.u8(GENERATION);
                out.text(group);
                out.i32(*generation);
            }
            Change::RemoveGroup { group } => {
                out.u8(REMOVE_GROUP);
                out.text(group);
            }
            Change::RemoveOffsets { group, keys } => {
                out.u8(REMOVE_OFFSETS);
                out.text(group);
                out.list(keys.iter(), |out, key| key.encode(out));
            }
            Change::RemoveTopics { topics } => {
                out.u8(REMOVE_TOPICS);
                out.list(topics.iter(), |out, topic| out.raw(&topic.0));
            }
        }
    }

    fn decode(kind: u8, input: &mut Decoder<'_>) -> Result<Self, CommandError> {
        Ok(match kind {
            OFFSETS => Change::Offsets {
                group: input.text()?,
                offsets: input.list(|input| {
                    Ok((OffsetKey::decode(input)?, CommittedOffset::decode(input)?))
                })?,
            },
            GROUP => Change::Group {
                group: input.text()?,
                record: GroupRecord::decode(input)?,
            },
            GENERATION => Change::Generation {
                group: input.text()?,
                generation: input.i32()?,
            },
            REMOVE_GROUP => Change::RemoveGroup {
                group: input.text()?,
            },
            REMOVE_OFFSETS => Change::RemoveOffsets {
                group: input.text()?,
                keys: input.list(OffsetKey::decode)?,
            },
            REMOVE_TOPICS => Change::RemoveTopics {
                topics: input.list(|input| Ok(Uuid(input.array()?)))?,
            },
            other => return Err(CommandError::Kind(other)),
        })
    }

    /// The group that it is about; `None` for one that is about all.
    pub(super) fn group(&self) -> Option<&str> {
        match self {
            Change::Offsets { group, .. }
            | Change::Group { group, .. }
            | Change::Generation { group, .. }
            | Change::RemoveGroup { group }
            | Change::RemoveOffsets { group, .. } => Some(group),
            Change::RemoveTopics { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
