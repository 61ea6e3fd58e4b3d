//! The frames of the `raft-state` journal: bytes in, bytes out.
//!
//! ```text
//! header, 32 bytes                     frame, 16 bytes + payload
//!  0.. 8  magic "LMQ-RAFT"              0.. 4  payload length
//!  8..12  format version = 1            4.. 8  CRC-32C of bytes 0..4, then 8..end
//! 12..16  required flags = 0            8..16  sequence number: 1, 2, 3 ...
//! 16..24  generation (rewrites so far) 16..    payload
//! 24..28  zero
//! 28..32  CRC-32C over 0..28
//!
//! payload   u16 count, count x record
//! record    u8 what: 1 = state (then its encoding), 2 = group gone (then u64 group id)
//! ```
//! All numbers are little-endian. A frame is what one save wrote: it counts whole or not at all.

use crate::GroupId;
use crate::state::{GroupState, StateDecodeError};
use crate::wire::Cursor;

/// Bytes before the first frame.
pub(super) const HEADER_BYTES: usize = 32;
/// Bytes of a frame before its payload.
pub(super) const FRAME_HEAD_BYTES: usize = 16;
/// The version this program writes and reads.
pub(super) const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"LMQ-RAFT";
/// A frame is never longer; a save of more states is split by the caller.
pub(super) const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// What a frame says about one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Saved(GroupState),
    Gone(GroupId),
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    Damaged,
    Newer(u32),
    Flags(u32),
}

pub(super) fn encode_header(generation: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[16..24].copy_from_slice(&generation.to_le_bytes());
    let crc = crc32c::crc32c(&header[..28]);
    header[28..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// The generation that the header at the front of `bytes` names.
pub(super) fn decode_header(bytes: &[u8]) -> Result<u64, BadHeader> {
    let header = bytes
        .first_chunk::<HEADER_BYTES>()
        .ok_or(BadHeader::Damaged)?;
    let word = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if header[..8] != MAGIC || crc32c::crc32c(&header[..28]) != word(28) {
        return Err(BadHeader::Damaged);
    }
    if word(8) != VERSION {
        return Err(BadHeader::Newer(word(8)));
    }
    if word(12) != 0 {
        return Err(BadHeader::Flags(word(12)));
    }
    Ok(u64::from(word(16)) | u64::from(word(20)) << 32)
}

/// Appends one frame with these changes.
pub(super) fn encode_frame(sequence: u64, changes: &[Change], out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD_BYTES]);
    let count = u16::try_from(changes.len()).expect("the writer splits saves at u16::MAX changes");
    out.extend_from_slice(&count.to_le_bytes());
    for change in changes {
        match change {
            Change::Saved(state) => {
                out.push(if state.in_doubt { 3 } else { 1 });
                state.encode(out);
            }
            Change::Gone(group) => {
                out.push(2);
                out.extend_from_slice(&group.get().to_le_bytes());
            }
        }
    }
    let length = out.len() - begin - FRAME_HEAD_BYTES;
    assert!(
        length <= PAYLOAD_BYTES_MAX,
        "the writer splits saves below the frame limit"
    );
    let length = u32::try_from(length)
        .expect("PAYLOAD_BYTES_MAX fits")
        .to_le_bytes();
    out[begin..begin + 4].copy_from_slice(&length);
    out[begin + 8..begin + 16].copy_from_slice(&sequence.to_le_bytes());
    let crc = checksum(length, &out[begin + 8..]);
    out[begin + 4..begin + 8].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(length: [u8; 4], sequence_and_payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), sequence_and_payload)
}

/// A whole, checked frame.
pub(super) struct Frame<'a> {
    pub(super) sequence: u64,
    pub(super) payload: &'a [u8],
    pub(super) bytes: usize,
}

/// The frame at the front of `bytes`, if one stands there whole.
pub(super) fn frame_at(bytes: &[u8]) -> Option<Frame<'_>> {
    let head = bytes.first_chunk::<FRAME_HEAD_BYTES>()?;
    let [l0, l1, l2, l3, c0, c1, c2, c3, sequence @ ..] = *head;
    let length = [l0, l1, l2, l3];
    let payload_bytes = usize::try_from(u32::from_le_bytes(length)).ok()?;
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return None;
    }
    let end = FRAME_HEAD_BYTES + payload_bytes;
    let covered = bytes.get(8..end)?;
    if checksum(length, covered) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return None;
    }
    Some(Frame {
        sequence: u64::from_le_bytes(sequence),
        payload: &bytes[FRAME_HEAD_BYTES..end],
        bytes: end,
    })
}

/// Whether a frame later than `sequence` stands whole anywhere in `bytes`.
///
/// Then what stands before it was synced once, and is damaged rather than torn: a save is
/// written only after the one before it was synced.
pub(super) fn holds_later_frame(bytes: &[u8], sequence: u64) -> bool {
    let room = u64::try_from(bytes.len() / FRAME_HEAD_BYTES).unwrap_or(u64::MAX);
    let last = sequence.saturating_add(room);
    (0..bytes.len()).any(|at| {
        let Some(found) = bytes.get(at + 8..at + FRAME_HEAD_BYTES) else {
            return false;
        };
        // The number alone rules out nearly every place, and keeps this linear.
        let found = found
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | u64::from(byte));
        found > sequence && found <= last && frame_at(&bytes[at..]).is_some()
    })
}

/// The changes in a checked frame's payload. An error is a writer's bug or a collision.
pub(super) fn decode_payload(payload: &[u8]) -> Result<Vec<Change>, StateDecodeError> {
    let mut cursor = Cursor::new(payload);
    let count = cursor.u16()?;
    let mut changes = Vec::new();
    for _ in 0..count {
        changes.push(match cursor.u8()? {
            what @ (1 | 3) => Change::Saved(GroupState::decode(&mut cursor, what == 3)?),
            2 => Change::Gone(GroupId(cursor.u64()?)),
            _ => return Err(StateDecodeError::Short),
        });
    }
    match cursor.remaining() {
        0 => Ok(changes),
        _ => Err(StateDecodeError::Short),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::sample;

    #[test]
    fn header_golden_bytes() {
        let mut want = [0; HEADER_BYTES];
        want[..8].copy_from_slice(b"LMQ-RAFT");
        want[8] = 1;
        want[16] = 3;
        let crc = crc32c::crc32c(&want[..28]);
        want[28..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(encode_header(3), want);
        assert_eq!(decode_header(&want), Ok(3));
    }

    #[test]
    fn a_newer_version_and_unknown_flags_are_told_apart_from_damage() {
        let patched = |at: usize| {
            let mut header = encode_header(0);
            header[at] = 9;
            let crc = crc32c::crc32c(&header[..28]);
            header[28..].copy_from_slice(&crc.to_le_bytes());
            header
        };
        assert_eq!(decode_header(&patched(8)), Err(BadHeader::Newer(9)));
        assert_eq!(decode_header(&patched(12)), Err(BadHeader::Flags(9)));
        let mut damaged = encode_header(0);
        damaged[20] ^= 1;
        assert_eq!(decode_header(&damaged), Err(BadHeader::Damaged));
        assert_eq!(decode_header(&damaged[..31]), Err(BadHeader::Damaged));
    }

    #[test]
    fn frame_round_trip_and_each_flipped_bit_is_seen() {
        let in_doubt = GroupState {
            in_doubt: true,
            ..sample(2, 2)
        };
        let changes = vec![
            Change::Saved(sample(1, 2)),
            Change::Gone(GroupId(9)),
            Change::Saved(in_doubt),
        ];
        let mut bytes = Vec::new();
        encode_frame(7, &changes, &mut bytes);
        let frame = frame_at(&bytes).expect("just written");
        assert_eq!((frame.sequence, frame.bytes), (7, bytes.len()));
        assert_eq!(decode_payload(frame.payload), Ok(changes));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(frame_at(&damaged).is_none(), "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert!(frame_at(&bytes[..end]).is_none(), "{end} bytes");
        }
    }

    proptest::proptest! {
        /// A checksum keeps damage out, not a writer's bug: whatever stands in a payload, reading
        /// it ends well.
        #[test]
        fn any_payload_is_read_or_refused(
            flips in proptest::collection::vec((0..400_usize, 0..=u8::MAX), 0..6),
            length in 0..400_usize,
        ) {
            let mut bytes = Vec::new();
            let changes: Vec<_> = (0..3).map(|group| Change::Saved(sample(group, 2))).collect();
            encode_frame(1, &changes, &mut bytes);
            let mut payload = bytes.split_off(FRAME_HEAD_BYTES);
            for (at, byte) in flips {
                let at = at % payload.len();
                payload[at] = byte;
            }
            payload.truncate(length);
            if let Ok(read) = decode_payload(&payload) {
                for change in read {
                    if let Change::Saved(state) = change {
                        assert_eq!(state.membership.members.check(), Ok(()));
                        assert!(state.start.index.get() > 0 && state.replica.get() > 0);
                    }
                }
            }
        }
    }

    #[test]
    fn a_later_frame_is_found_at_any_distance_and_an_earlier_one_is_not() {
        let mut frame = Vec::new();
        encode_frame(6, &[Change::Gone(GroupId(1))], &mut frame);
        for garbage in 0..40 {
            let mut bytes = vec![0xA5; garbage];
            bytes.extend_from_slice(&frame);
            assert!(holds_later_frame(&bytes, 5), "{garbage} bytes before it");
            assert!(!holds_later_frame(&bytes, 6));
        }
    }
}
