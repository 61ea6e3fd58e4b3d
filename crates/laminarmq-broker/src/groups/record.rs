//! What is kept of a group: its last generation with its members, and its offsets.

use super::bytes::{Decoder, Encoder};
use super::command::CommandError;
use bytes::Bytes;
use laminarmq_kafka::Uuid;

/// A group of Kafka's classic protocol. Further kinds of groups get types of their own.
const TYPE_CLASSIC: u8 = 1;

/// A partition as offsets name it: by the topic's id, so that a topic that is made again under its name
/// meets none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OffsetKey {
    pub(crate) topic: Uuid,
    pub(crate) partition: i32,
}

/// How far a group has read a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    /// The next offset to be read.
    pub(crate) offset: i64,
    /// Epoch of the last record read, or -1.
    pub(crate) leader_epoch: i32,
    /// Whatever the client left with it; null is not the same as empty.
    pub(crate) metadata: Option<String>,
    /// When it was committed: milliseconds since 1970.
    pub(crate) committed_ms: i64,
    /// How long the client wants it kept, in milliseconds; `None`: as the broker is set up.
    pub(crate) retention_ms: Option<i64>,
}

/// The state of a group after a rebalance: empty, or with members that all have their assignments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupRecord {
    pub(crate) generation: i32,
    /// When the group came into this state: milliseconds since 1970.
    pub(crate) since_ms: i64,
    pub(crate) protocol_type: String,
    /// `None` for an empty group.
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    /// In the order in which they joined first.
    pub(crate) members: Vec<MemberRecord>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberRecord {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: u32,
    pub(crate) rebalance_timeout_ms: u32,
    /// Name and metadata, the preferred one first.
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
}

impl OffsetKey {
    pub(super) fn encode(&self, out: &mut Encoder) {
        out.raw(&self.topic.0);
        out.i32(self.partition);
    }

    pub(super) fn decode(input: &mut Decoder<'_>) -> Result<Self, CommandError> {
        Ok(Self {
            topic: Uuid(input.array()?),
            partition: input.i32()?,
        })
    }
}

impl CommittedOffset {
    /// Stands in the log for "no retention of its own".
    const BROKERS_RETENTION: i64 = -1;

    pub(super) fn encode(&self, out: &mut Encoder) {
        out.i64(self.offset);
        out.i32(self.leader_epoch);
        out.i64(self.committed_ms);
        out.i64(self.retention_ms.unwrap_or(Self::BROKERS_RETENTION));
        out.option(self.metadata.as_deref());
    }

    pub(super) fn decode(input: &mut Decoder<'_>) -> Result<Self, CommandError> {
        Ok(Self {
            offset: input.i64()?,
            leader_epoch: input.i32()?,
            committed_ms: input.i64()?,
            retention_ms: Some(input.i64()?).filter(|ms| *ms != Self::BROKERS_RETENTION),
            metadata: input.option()?,
        })
    }

    /// About what it takes in memory and in a command, key included.
    pub(super) fn size(&self) -> u64 {
        64 + self.metadata.as_ref().map_or(0, String::len) as u64
    }
}

impl GroupRecord {
    pub(super) fn encode(&self, out: &mut Encoder) {
        out.u8(TYPE_CLASSIC);
        out.i32(self.generation);
        out.i64(self.since_ms);
        out.text(&self.protocol_type);
        out.option(self.protocol.as_deref());
        out.option(self.leader.as_deref());
        out.list(self.members.iter(), |out, member| member.encode(out));
    }

    pub(super) fn decode(input: &mut Decoder<'_>) -> Result<Self, CommandError> {
        match input.u8()? {
            TYPE_CLASSIC => {}
            other => return Err(CommandError::GroupType(other)),
        }
        Ok(Self {
            generation: input.i32()?,
            since_ms: input.i64()?,
            protocol_type: input.text()?,
            protocol: input.option()?,
            leader: input.option()?,
            members: input.list(MemberRecord::decode)?,
        })
    }

    /// About what it takes in memory and in a command.
    pub(super) fn size(&self) -> u64 {
        let members: u64 = self.members.iter().map(MemberRecord::size).sum();
        64 + self.protocol_type.len() as u64 + members
    }
}

impl MemberRecord {
    fn encode(&self, out: &mut Encoder) {
        out.text(&self.id);
        out.option(self.instance.as_deref());
        out.text(&self.client_id);
        out.text(&self.client_host);
        out.u32(self.session_timeout_ms);
        out.u32(self.rebalance_timeout_ms);
        out.list(self.protocols.iter(), |out, (name, metadata)| {
            out.text(name);
            out.bytes(metadata);
        });
        out.bytes(&self.assignment);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, CommandError> {
        Ok(Self {
            id: input.text()?,
            instance: input.option()?,
            client_id: input.text()?,
            client_host: input.text()?,
            session_timeout_ms: input.u32()?,
            rebalance_timeout_ms: input.u32()?,
            protocols: input.list(|input| Ok((input.text()?, input.bytes()?)))?,
            assignment: input.bytes()?,
        })
    }

    fn size(&self) -> u64 {
        let texts = [&self.id, &self.client_id, &self.client_host];
        let texts: usize = texts.iter().map(|text| text.len()).sum();
        let instance = self.instance.as_ref().map_or(0, String::len);
        let protocols = self.protocols.iter();
        let protocols: usize = protocols
            .map(|(name, data)| 8 + name.len() + data.len())
            .sum();
        (64 + texts + instance + protocols + self.assignment.len()) as u64
    }
}
