//! What reading a message takes in memory, however the bytes came to be.

use bytes::Bytes;
use laminarmq_replica::codec::{APPEND_ENTRIES_MAX, BeatReader, PieceWriter};
use laminarmq_replica::{
    EntryKind, LogIndex, LogPoint, Payload, PeerBody, PeerEntry, PeerMessage, Term,
};

/// Numbers that are the same in every run of a seed.
struct Lots(u64);

impl Lots {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).expect("it is below a usize")
    }
}

fn append(entries: usize, payload: usize) -> Vec<u8> {
    let entry = PeerEntry {
        index: LogIndex(1),
        term: Term(1),
        kind: EntryKind::Command,
        flags: 0,
        payload: Payload::whole(vec![5; payload].into()),
    };
    let body = PeerBody::Append {
        prev: LogPoint::default(),
        commit: LogIndex(1),
        entries: vec![entry; entries],
    };
    let mut out = PieceWriter::new();
    let message = PeerMessage {
        term: Term(1),
        body,
    };
    message.encode(&mut out).expect("a small message");
    out.take().concat()
}

/// Allocated bytes, those that were freed again included.
fn taken(bytes: Bytes) -> u64 {
    let info = allocation_counter::measure(|| {
        let mut beats = BeatReader::default();
        let mut rest = bytes.clone();
        while let Ok(Some(_)) = beats.read(&mut rest) {}
        drop(PeerMessage::decode(bytes));
    });
    info.bytes_total
}

/// The list of entries is five times as large as they are in their shortest form, payloads come on
/// top without being copied, and that is all.
#[test]
fn damaged_messages_take_no_memory_that_their_bytes_do_not_justify() {
    let samples = [append(1, 3000), append(8, 0), append(3, 100), append(0, 0)];
    let mut lots = Lots(0x5eed);
    for _ in 0..100_000 {
        let mut bytes = samples[lots.next(samples.len())].clone();
        for _ in 0..1 + lots.next(3) {
            // Most numbers stand in front.
            let at = lots.next(bytes.len().min(64));
            bytes[at] = lots.next(256).to_le_bytes()[0];
        }
        bytes.truncate(1 + lots.next(bytes.len() * 2));
        let length = bytes.len() as u64;
        let taken = taken(bytes.into());
        assert!(taken <= 6 * length + 64, "{taken} bytes for {length}");
    }
}

#[test]
fn payloads_are_not_copied() {
    let length = 1 << 20;
    assert!(taken(append(1, length).into()) < 256);
}

#[test]
fn a_count_alone_takes_nothing() {
    let mut bytes = append(0, 0);
    let at = bytes.len() - 4;
    for count in [1, 5, APPEND_ENTRIES_MAX, u32::MAX as usize] {
        bytes[at..].copy_from_slice(&u32::try_from(count).unwrap().to_le_bytes());
        assert_eq!(taken(bytes.clone().into()), 24, "the buffer's own counter");
    }
}
