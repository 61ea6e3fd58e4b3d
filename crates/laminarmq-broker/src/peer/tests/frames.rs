//! Frames without sockets: what a reader takes, and what a drain becomes.

use super::super::frame::{FrameError, HEAD_BYTES};
use super::super::messages::{Encoded, Encoder, Envelopes};
use super::super::queue::{Item, LaneQueue, NoRoom};
use super::*;
use crate::limits::{PEER_BEATS_PER_FRAME_MAX, PEER_DRAIN_LEN, READ_AHEAD_BYTES};

fn ping_of(length: usize) -> Vec<u8> {
    let mut body = PieceWriter::new();
    body.copy(&vec![length.to_le_bytes()[0]; length]);
    frame(FrameKind::Ping, body)
}

async fn read(bytes: &[u8], max: u32) -> Result<Vec<usize>, FrameError> {
    let mut reader = FrameReader::new(bytes, max);
    let mut lengths = Vec::new();
    while let Some(frame) = reader.next(LONG).await? {
        lengths.push(frame.body.len());
    }
    Ok(lengths)
}

#[tokio::test]
async fn frames_of_all_sizes_come_out_whole() {
    let lengths = [
        0,
        1,
        100,
        READ_AHEAD_BYTES - 9,
        READ_AHEAD_BYTES,
        300_000,
        9 << 20,
        0,
    ];
    let stream: Vec<u8> = lengths.iter().flat_map(|length| ping_of(*length)).collect();
    assert_eq!(read(&stream, 10 << 20).await.unwrap(), lengths);
}

#[tokio::test]
async fn each_fault_of_a_frame_by_name() {
    let whole = ping_of(3);
    assert_eq!(&whole[..4], [4, 0, 0, 0]);
    for at in 0..whole.len() {
        assert!(matches!(read(&whole[..at], 100).await, Err(FrameError::Cut)) || at == 0);
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        let error = read(&damaged, 100).await.unwrap_err();
        // A wrong length ends too early or has another checksum.
        let cut = at < 4 && matches!(error, FrameError::Cut | FrameError::Length { .. });
        assert!(
            cut || matches!(error, FrameError::Checksum),
            "{at}: {error}"
        );
    }
    for length in [0, 101, u32::MAX] {
        let mut damaged = whole.clone();
        damaged[..4].copy_from_slice(&length.to_le_bytes());
        let error = read(&damaged, 100).await.unwrap_err();
        assert!(matches!(error, FrameError::Length { length: l, max: 100 } if l == length));
    }
    let mut unknown = whole;
    unknown[HEAD_BYTES] = 99;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&unknown[..4]), &unknown[HEAD_BYTES..]);
    unknown[4..HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
    assert!(matches!(
        read(&unknown, 100).await,
        Err(FrameError::Kind(99))
    ));
}

#[test]
fn the_very_bytes_of_a_frame() {
    let mut items = vec![Item::Message(envelope(Lane::Live, 5, PeerBody::TimeoutNow))];
    let mut out = PieceWriter::new();
    Encoder::default().encode(&mut items, &mut out);
    #[rustfmt::skip]
    let golden = [
        34, 0, 0, 0, 0xe9, 0x8b, 0x00, 0x0d, 3,
        5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
        5, 0, 0, 0, 3, 0, 0, 0, 9,
    ];
    assert_eq!(out.take().concat(), golden);
}

/// A batch that is kept at the other end keeps its own frame only, and it is written from where it lies.
#[tokio::test]
async fn a_batch_has_a_frame_of_its_own_and_is_not_copied() {
    let batch = Bytes::from(vec![1; 5000]);
    let mut items: Vec<_> = (1..=3)
        .map(|index| {
            let mut message = append(Lane::Live, index, 0);
            let PeerBody::Append { entries, .. } = &mut message.message.body else {
                panic!("it is an append");
            };
            entries[0].payload.body = batch.clone();
            Item::Message(message)
        })
        .collect();
    items.insert(
        1,
        Item::Message(envelope(Lane::Live, 7, PeerBody::TimeoutNow)),
    );
    items.insert(
        1,
        Item::Message(envelope(Lane::Live, 6, PeerBody::TimeoutNow)),
    );
    items.push(Item::Message(heartbeat(Lane::Live, 8, 1)));
    let mut out = PieceWriter::new();
    let encoded = Encoder::default().encode(&mut items, &mut out);
    let counted = Encoded {
        frames: 5,
        messages: 6,
        unsendable: 0,
    };
    assert_eq!(encoded, counted);
    let pieces = out.take();
    let shared = pieces
        .iter()
        .filter(|piece| piece.as_ptr() == batch.as_ptr());
    assert_eq!(shared.count(), 3);

    let stream = pieces.concat();
    let mut reader = FrameReader::new(&stream[..], 1 << 20);
    let mut groups = Vec::new();
    while let Some(frame) = reader.next(LONG).await.unwrap() {
        let mut envelopes = match frame.kind {
            FrameKind::Heartbeats => Envelopes::of_heartbeats(frame.body, Lane::Live),
            _ => Envelopes::of_messages(frame.body, Lane::Live),
        };
        let mut frame = Vec::new();
        while let Some(envelope) = envelopes.next().unwrap() {
            frame.push(envelope.group.get());
        }
        groups.push(frame);
    }
    assert_eq!(groups, [vec![8], vec![5], vec![6, 7], vec![5], vec![5]]);
}

#[test]
fn very_many_heartbeats_take_several_frames() {
    let count = PEER_BEATS_PER_FRAME_MAX * 2 + 1;
    let mut items: Vec<_> = (0..count)
        .map(|group| Item::Message(heartbeat(Lane::Live, group as u64, 1)))
        .collect();
    let encoded = Encoder::default().encode(&mut items, &mut PieceWriter::new());
    assert_eq!((encoded.frames, encoded.messages), (3, count as u64));
}

#[test]
fn a_message_that_is_too_large_for_any_frame_is_left_out() {
    let large = append(Lane::Bulk, 1, crate::limits::PEER_FRAME_BYTES_MAX as usize);
    let mut items = vec![
        Item::Message(large),
        Item::Message(envelope(Lane::Live, 5, PeerBody::TimeoutNow)),
    ];
    let mut out = PieceWriter::new();
    let encoded = Encoder::default().encode(&mut items, &mut out);
    assert_eq!((encoded.messages, encoded.unsendable), (1, 1));
    assert!(out.len() < 100);
}

#[test]
fn a_queue_is_bounded_in_messages_and_in_bytes() {
    let item = |bytes| Item::Message(append(Lane::Live, 1, bytes));
    let queue = LaneQueue::new(3, 1000);
    assert_eq!(queue.push(item(1)), Err(NoRoom::Closed));
    queue.open();
    // One is always let through.
    assert_eq!(queue.push(item(5000)), Ok(()));
    assert_eq!(queue.push(item(1)), Err(NoRoom::Full));
    let mut drained = Vec::new();
    assert!(queue.drain_now(&mut drained) && drained.len() == 1);
    for _ in 0..3 {
        assert_eq!(queue.push(item(333)), Ok(()));
    }
    assert_eq!(queue.push(item(0)), Err(NoRoom::Full));
    assert_eq!(queue.clear(), 3);
    assert_eq!(queue.push(item(0)), Err(NoRoom::Closed));
    queue.open();
    assert_eq!(queue.push(item(1000)), Ok(()));
    queue.close();
    assert_eq!(queue.push(item(0)), Err(NoRoom::Closed));
    drained.clear();
    assert!(queue.drain_now(&mut drained) && drained.len() == 1);
}

#[test]
fn a_drain_is_bounded_too() {
    let queue = LaneQueue::new(PEER_DRAIN_LEN * 2, 100 << 20);
    queue.open();
    let mut sizes = Vec::new();
    for _ in 0..PEER_DRAIN_LEN + 1 {
        queue.push(Item::Message(append(Lane::Live, 1, 0))).unwrap();
    }
    for bytes in [600_000, 600_000, 4_000_000, 10] {
        queue
            .push(Item::Message(append(Lane::Live, 1, bytes)))
            .unwrap();
    }
    let mut drained = Vec::new();
    while !queue.drain_now(&mut drained) {
        sizes.push(drained.len());
        drained.clear();
    }
    sizes.push(drained.len());
    assert_eq!(sizes, [PEER_DRAIN_LEN, 2, 1, 1, 1]);
}
