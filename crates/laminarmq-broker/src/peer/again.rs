//! Reads a frame of any kind and writes it again: for tests and fuzzers, no part of the product.

use super::Lane;
use super::calls::{Answer, Call};
use super::frame::FrameKind;
use super::hello::{Hello, Refusal};
use super::messages::Envelopes;
use bytes::Bytes;
use laminarmq_replica::codec::{Beat, BeatWriter, PieceWriter};

/// Whether all that the frame holds can be read. One thing at a time is in memory, as in a link.
pub(crate) fn read(kind: u8, body: Bytes) -> bool {
    let all = |mut envelopes: Envelopes| {
        loop {
            match envelopes.next() {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    };
    match FrameKind::from_u8(kind) {
        Some(FrameKind::Hello) => Hello::decode(body).is_some(),
        Some(FrameKind::Refusal) => Refusal::decode(body).is_some(),
        Some(FrameKind::Messages) => all(Envelopes::of_messages(body, Lane::Live)),
        Some(FrameKind::Heartbeats) => all(Envelopes::of_heartbeats(body, Lane::Live)),
        Some(FrameKind::Call) => Call::decode(body).is_some(),
        Some(FrameKind::Answer) => Answer::decode(body).is_some(),
        Some(FrameKind::Ping | FrameKind::Pong | FrameKind::Alive) => body.is_empty(),
        None => false,
    }
}

/// The body of the same frame, if all that it holds can be read.
pub(crate) fn rewrite(kind: u8, body: Bytes) -> Option<Vec<u8>> {
    let mut out = PieceWriter::new();
    match FrameKind::from_u8(kind)? {
        FrameKind::Hello => Hello::decode(body)?.encode(&mut out),
        FrameKind::Refusal => Refusal::decode(body)?.encode(&mut out),
        FrameKind::Messages => {
            let mut envelopes = Envelopes::of_messages(body, Lane::Live);
            while let Some(envelope) = envelopes.next().ok()? {
                let mut message = PieceWriter::new();
                envelope.message.encode(&mut message).ok()?;
                out.u64(envelope.group.get());
                out.u64(envelope.from.get());
                out.u64(envelope.to.get());
                out.u32(u32::try_from(message.len()).ok()?);
                out.append(&mut message);
            }
        }
        FrameKind::Heartbeats => {
            let mut envelopes = Envelopes::of_heartbeats(body, Lane::Live);
            let mut writer = BeatWriter::default();
            while let Some(envelope) = envelopes.next().ok()? {
                let (from, to) = (envelope.from, envelope.to);
                let beat = Beat::of(envelope.group, from, to, &envelope.message)?;
                writer.write(beat, &mut out);
            }
        }
        FrameKind::Call => Call::decode(body)?.encode(&mut out),
        FrameKind::Answer => Answer::decode(body)?.encode(&mut out),
        FrameKind::Ping | FrameKind::Pong | FrameKind::Alive if body.is_empty() => {}
        FrameKind::Ping | FrameKind::Pong | FrameKind::Alive => return None,
    }
    Some(out.take().concat())
}
