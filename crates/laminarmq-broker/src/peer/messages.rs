//! Messages of replicas in frames, and out of them.
//!
//! ```text
//! messages    one or more of: u64 group, u64 from, u64 to, u32 length, message
//! heartbeats  beats, see laminarmq_replica::codec
//! ```
//!
//! - The heartbeats of a drain, whatever their groups, are in one frame, ahead of the rest; that the node is alive
//!   is said once, ahead of them.
//! - A message with entries' bytes has a frame of its own, so that a batch which is kept at the other end keeps
//!   nothing else in memory. Small messages share frames.

use super::calls::CALL_OVERHEAD;
use super::frame::{FrameKind, seal};
use super::queue::Item;
use super::{Envelope, Lane};
use crate::limits::{
    PEER_BEATS_PER_FRAME_MAX, PEER_CALL_BYTES_MAX, PEER_FRAME_BYTES_MAX, PEER_GATHER_BYTES,
};
use bytes::{Buf, Bytes};
use laminarmq_replica::codec::{Beat, BeatReader, BeatWriter, CodecError, PieceWriter};
use laminarmq_replica::{GroupId, PeerMessage, ReplicaId};

/// What one drain became.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoded {
    pub(super) frames: u64,
    pub(super) messages: u64,
    /// Messages that are larger than any frame.
    pub(super) unsendable: u64,
}

/// Makes frames of what was drained.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    /// The frame that is being made.
    body: PieceWriter,
    message: PieceWriter,
}

impl Encoder {
    /// Appends the frames of all items, which are taken.
    pub(super) fn encode(&mut self, items: &mut Vec<Item>, out: &mut PieceWriter) -> Encoded {
        let mut encoded = Encoded::default();
        if items.iter().any(|item| matches!(item, Item::Alive)) {
            seal(FrameKind::Alive, &mut self.body, out);
            encoded.frames += 1;
        }
        self.beats(items, out, &mut encoded);
        for item in items.drain(..) {
            match item {
                Item::Alive => {}
                Item::Message(envelope) if beat(&envelope).is_some() => {}
                Item::Message(envelope) => self.message(&envelope, out, &mut encoded),
                Item::Call(call) => {
                    self.end(FrameKind::Messages, out, &mut encoded);
                    call.encode(&mut self.body);
                    self.end(FrameKind::Call, out, &mut encoded);
                }
            }
        }
        self.end(FrameKind::Messages, out, &mut encoded);
        encoded
    }

    fn beats(&mut self, items: &[Item], out: &mut PieceWriter, encoded: &mut Encoded) {
        let beats = items.iter().filter_map(|item| match item {
            Item::Message(envelope) => beat(envelope),
            Item::Call(_) | Item::Alive => None,
        });
        let mut writer = BeatWriter::default();
        let mut count = 0;
        for beat in beats {
            writer.write(beat, &mut self.body);
            encoded.messages += 1;
            count += 1;
            if count == PEER_BEATS_PER_FRAME_MAX {
                self.end(FrameKind::Heartbeats, out, encoded);
                (writer, count) = (BeatWriter::default(), 0);
            }
        }
        self.end(FrameKind::Heartbeats, out, encoded);
    }

    fn message(&mut self, envelope: &Envelope, out: &mut PieceWriter, encoded: &mut Encoded) {
        let fits = envelope.message.encode(&mut self.message).is_ok()
            && self.message.len() + ENVELOPE_BYTES < PEER_FRAME_BYTES_MAX as usize;
        if !fits {
            self.message.take();
            encoded.unsendable += 1;
            tracing::error!(
                group = %envelope.group,
                bytes = envelope.message.payload_bytes(),
                "a message for another node is larger than any frame: dropped"
            );
            return;
        }
        let alone = envelope.message.payload_bytes() > 0;
        if alone {
            self.end(FrameKind::Messages, out, encoded);
        }
        self.body.u64(envelope.group.get());
        self.body.u64(envelope.from.get());
        self.body.u64(envelope.to.get());
        let length = u32::try_from(self.message.len()).expect("it fits in a frame");
        self.body.u32(length);
        self.body.append(&mut self.message);
        encoded.messages += 1;
        if alone || self.body.len() >= PEER_GATHER_BYTES {
            self.end(FrameKind::Messages, out, encoded);
        }
    }

    /// Ends the frame that is being made, if there is anything in it.
    fn end(&mut self, kind: FrameKind, out: &mut PieceWriter, encoded: &mut Encoded) {
        if !self.body.is_empty() {
            seal(kind, &mut self.body, out);
            encoded.frames += 1;
        }
    }
}

const ENVELOPE_BYTES: usize = 8 + 8 + 8 + 4;
// A call is never unsendable.
const _: () = assert!(PEER_CALL_BYTES_MAX + CALL_OVERHEAD < PEER_FRAME_BYTES_MAX as usize);

fn beat(envelope: &Envelope) -> Option<Beat> {
    let Envelope {
        group, from, to, ..
    } = *envelope;
    Beat::of(group, from, to, &envelope.message)
}

/// The messages of one frame, decoded one by one: what they take in memory does not depend on their number.
#[derive(Debug)]
pub(super) struct Envelopes {
    rest: Bytes,
    lane: Lane,
    /// Of a frame of heartbeats.
    beats: Option<BeatReader>,
}

impl Envelopes {
    pub(super) fn of_messages(body: Bytes, lane: Lane) -> Self {
        Self {
            rest: body,
            lane,
            beats: None,
        }
    }

    pub(super) fn of_heartbeats(body: Bytes, lane: Lane) -> Self {
        Self {
            rest: body,
            lane,
            beats: Some(BeatReader::default()),
        }
    }

    /// The next one, or `None` at the frame's end.
    pub(super) fn next(&mut self) -> Result<Option<Envelope>, CodecError> {
        let lane = self.lane;
        if let Some(beats) = &mut self.beats {
            let beat = beats.read(&mut self.rest)?;
            return Ok(beat.map(|beat| Envelope {
                group: beat.group,
                from: beat.from,
                to: beat.to,
                lane,
                message: beat.message(),
            }));
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let rest = &mut self.rest;
        let short = |_| CodecError::Short;
        let group = GroupId(rest.try_get_u64_le().map_err(short)?);
        let from = ReplicaId(rest.try_get_u64_le().map_err(short)?);
        let to = ReplicaId(rest.try_get_u64_le().map_err(short)?);
        let length = rest.try_get_u32_le().map_err(short)? as usize;
        if length > rest.len() {
            return Err(CodecError::Short);
        }
        let message = PeerMessage::decode(rest.split_to(length))?;
        Ok(Some(Envelope {
            group,
            from,
            to,
            lane,
            message,
        }))
    }
}
