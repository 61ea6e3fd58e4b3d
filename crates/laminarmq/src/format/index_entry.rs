//! One entry of an index file. Entry number `i` stands at `header + i * 48`.
//!
//! ```text
//!  0          8        16         24     32                40     44     45      46      48
//!  | position | length | checksum | key  | max timestamp   | term | kind | eflag | check |
//! ```
//!
//! - `position` of the record's first chunk header in the store; `length` of its value; `checksum` of it.
//! - `max timestamp` runs: the largest of the segment up to here, so that it is sorted.
//! - `check` low half of the CRC-32C of the record's index and the 46 bytes before. It makes a lookup that
//!   does not touch the store safe against flipped bits and against entries of another place.

use super::{field, i64_at, u16_at, u32_at, u64_at};
use crate::checksum;

/// Length of an entry in bytes.
pub(crate) const INDEX_ENTRY_LENGTH: usize = 48;

const AT_LENGTH: usize = 8;
const AT_CHECKSUM: usize = AT_LENGTH + 8;
const AT_KEY: usize = AT_CHECKSUM + 8;
const AT_MAX_TIMESTAMP: usize = AT_KEY + 8;
const AT_TERM: usize = AT_MAX_TIMESTAMP + 8;
const AT_KIND: usize = AT_TERM + 4;
const AT_ENTRY_FLAGS: usize = AT_KIND + 1;
const AT_CHECK: usize = AT_ENTRY_FLAGS + 1;
const _: () = assert!(AT_CHECK + 2 == INDEX_ENTRY_LENGTH);

/// A decoded index entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) position: u64,
    pub(crate) length: u64,
    pub(crate) checksum: u64,
    pub(crate) key: u64,
    pub(crate) max_timestamp: i64,
    pub(crate) term: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
}

/// An entry behind the index that it is of, as it is summed.
type Indexed = [u8; 8 + INDEX_ENTRY_LENGTH];

fn check(indexed: &Indexed) -> u16 {
    let (summed, _) = indexed.split_first_chunk().expect("it is that long");
    let crc = checksum::crc32c_array::<{ 8 + AT_CHECK }>(summed);
    let [low, high, ..] = crc.to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[inline]
fn put_words(out: &mut [u8], words: &[u64]) {
    for (place, word) in out.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
}

const _: () = assert!(AT_TERM.is_multiple_of(8) && AT_CHECK == AT_TERM + 6);

impl IndexEntry {
    pub(crate) fn encode(&self, index: u64) -> [u8; INDEX_ENTRY_LENGTH] {
        let mut out = [0; INDEX_ENTRY_LENGTH];
        self.encode_into(index, &mut out);
        out
    }

    /// As [`IndexEntry::encode`], to where the bytes are wanted. Eight of them at a time: a processor waits for a read, or a copy, of
    /// what several writes just left.
    #[inline]
    pub(crate) fn encode_into(&self, index: u64, out: &mut [u8; INDEX_ENTRY_LENGTH]) {
        let last = u64::from(self.term) | u64::from(self.kind) << 32 | u64::from(self.flags) << 40;
        let mut words = [
            index,
            self.position,
            self.length,
            self.checksum,
            self.key,
            self.max_timestamp.cast_unsigned(),
            last,
        ];
        let mut indexed: Indexed = [0; _];
        put_words(&mut indexed, &words);
        words[6] |= u64::from(check(&indexed)) << 48;
        put_words(out, &words[1..]);
    }

    /// `None` where these are not the bytes of the entry for `index`.
    pub(crate) fn decode(bytes: &[u8], index: u64) -> Option<Self> {
        let bytes = bytes.get(..INDEX_ENTRY_LENGTH)?;
        let mut indexed: Indexed = [0; _];
        indexed[..8].copy_from_slice(&index.to_le_bytes());
        indexed[8..].copy_from_slice(bytes);
        if u16_at(bytes, AT_CHECK) != check(&indexed) {
            return None;
        }
        let [kind, flags] = field(bytes, AT_KIND);
        Some(Self {
            position: u64_at(bytes, 0),
            length: u64_at(bytes, AT_LENGTH),
            checksum: u64_at(bytes, AT_CHECKSUM),
            key: u64_at(bytes, AT_KEY),
            max_timestamp: i64_at(bytes, AT_MAX_TIMESTAMP),
            term: u32_at(bytes, AT_TERM),
            kind,
            flags,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: IndexEntry = IndexEntry {
        position: 0x0102_0304_0506_0708,
        length: 0x1112_1314_1516_1718,
        checksum: 0x2122_2324_2526_2728,
        key: 0x3132_3334_3536_3738,
        max_timestamp: -3,
        term: 0x4142_4344,
        kind: 0x51,
        flags: 0x61,
    };

    #[test]
    fn round_trip_and_every_flipped_bit_is_noticed() {
        let bytes = ENTRY.encode(9);
        assert_eq!(IndexEntry::decode(&bytes, 9), Some(ENTRY));
        for bit in 0..INDEX_ENTRY_LENGTH * 8 {
            let mut wrong = bytes;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(IndexEntry::decode(&wrong, 9), None, "bit {bit}");
        }
    }

    #[test]
    fn an_entry_of_another_place_is_not_believed() {
        let bytes = ENTRY.encode(9);
        assert_eq!(IndexEntry::decode(&bytes, 10), None);
        assert_eq!(IndexEntry::decode(&bytes[..47], 9), None);
        assert_eq!(IndexEntry::decode(&[0; 48], 0), None);
    }
}
