//! Header of a chunk: what stands before the bytes of a record in a store.
//!
//! ```text
//!  0     4       6      7       8         12        16        24         32      40     48     52    56
//!  | crc | flags | kind | eflag | length  | behind  | index   | checksum | key   | time | term | link |
//! ```
//!
//! - `crc` CRC-32C of the other 52 bytes, started from the segment's seed, so that a chunk which was copied
//!   from the file of another segment is not taken for one of this.
//! - `flags` bit 0: first chunk of its record, bit 1: last one. A contiguous append is one chunk with both; a
//!   record that was written as it arrived is several, all with its index and the caller's fields.
//! - `kind`, `eflag`, `key`, `time`, `term` belong to the caller.
//! - `length` of the payload that follows, `checksum` of it: CRC-32C in the low half.
//! - `behind` how many records before this one were not yet durable when it was written. A chunk so
//!   proves that everything below `index - behind` had been synced: a gap there is damage, not a torn
//!   end. All ones: too many to say. (A length needs no more than 32 bits, as longer records are several chunks; that made room.)
//! - `link` the `crc` of the chunk before, of the file header for the first one. Stale bytes from before
//!   a truncation do not link to what was written after it.

use super::{field, i64_at, u16_at, u32_at, u64_at};
use crate::checksum;

/// Length of the header in bytes.
pub(crate) const CHUNK_HEADER_LENGTH: usize = 56;

/// First chunk of a record.
pub(crate) const FIRST: u16 = 1;
/// Last chunk of a record.
pub(crate) const LAST: u16 = 2;
const KNOWN_FLAGS: u16 = FIRST | LAST;
/// In `behind`: more records than fit.
const UNKNOWN: u32 = u32::MAX;

const AT_FLAGS: usize = 4;
const AT_KIND: usize = AT_FLAGS + 2;
const AT_ENTRY_FLAGS: usize = AT_KIND + 1;
const AT_LENGTH: usize = AT_ENTRY_FLAGS + 1;
const AT_BEHIND: usize = AT_LENGTH + 4;
const AT_INDEX: usize = AT_BEHIND + 4;
const AT_CHECKSUM: usize = AT_INDEX + 8;
const AT_KEY: usize = AT_CHECKSUM + 8;
const AT_TIMESTAMP: usize = AT_KEY + 8;
const AT_TERM: usize = AT_TIMESTAMP + 8;
const AT_LINK: usize = AT_TERM + 4;
const _: () = assert!(AT_LINK + 4 == CHUNK_HEADER_LENGTH && (AT_LINK - AT_FLAGS).is_multiple_of(8));

/// Where the header checksums of one segment start from, as the bits in which they so differ from checksums
/// that start from nothing: a CRC is affine, so that over a fixed length these are the same whatever the bytes.
pub(crate) fn seed(base_index: u64) -> u32 {
    let start = checksum::crc32c_append(
        checksum::crc32c(b"laminarmq chunk"),
        &base_index.to_le_bytes(),
    );
    let zeros = [0; CHUNK_HEADER_LENGTH - AT_FLAGS];
    checksum::crc32c_append(start, &zeros) ^ checksum::crc32c(&zeros)
}

/// Checksum of the header that `bytes` begin with.
#[inline]
fn sum(bytes: &[u8], seed: u32) -> u32 {
    const SUMMED: usize = CHUNK_HEADER_LENGTH - AT_FLAGS;
    let summed = bytes[AT_FLAGS..].first_chunk::<SUMMED>();
    checksum::crc32c_array(summed.expect("callers have a whole header")) ^ seed
}

/// A decoded chunk header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkHeader {
    pub(crate) flags: u16,
    pub(crate) kind: u8,
    pub(crate) entry_flags: u8,
    pub(crate) length: u32,
    pub(crate) behind: u32,
    pub(crate) index: u64,
    pub(crate) checksum: u64,
    pub(crate) key: u64,
    pub(crate) timestamp: i64,
    pub(crate) term: u32,
    pub(crate) link: u32,
}

impl ChunkHeader {
    /// The bytes, and the checksum in them that the next chunk links to.
    #[inline]
    pub(crate) fn encode(&self, seed: u32) -> ([u8; CHUNK_HEADER_LENGTH], u32) {
        let mut out = [0; CHUNK_HEADER_LENGTH];
        let crc = self.encode_into(seed, &mut out);
        (out, crc)
    }

    /// As [`ChunkHeader::encode`], to where the bytes are wanted.
    ///
    /// They are written eight at a time, as the checksum reads them: a processor waits for a read of what several
    /// writes just left.
    #[inline]
    pub(crate) fn encode_into(&self, seed: u32, out: &mut [u8; CHUNK_HEADER_LENGTH]) -> u32 {
        let low = |value: u64| value & 0xffff_ffff;
        let time = self.timestamp.cast_unsigned();
        let caller =
            u64::from(self.flags) | u64::from(self.kind) << 16 | u64::from(self.entry_flags) << 24;
        let words = [
            caller | u64::from(self.length) << 32,
            u64::from(self.behind) | low(self.index) << 32,
            self.index >> 32 | low(self.checksum) << 32,
            self.checksum >> 32 | low(self.key) << 32,
            self.key >> 32 | low(time) << 32,
            time >> 32 | u64::from(self.term) << 32,
        ];
        let (body, link) = out[AT_FLAGS..].split_at_mut(AT_LINK - AT_FLAGS);
        for (place, word) in body.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        link.copy_from_slice(&self.link.to_le_bytes());
        let crc = sum(out, seed);
        out[..AT_FLAGS].copy_from_slice(&crc.to_le_bytes());
        crc
    }

    /// Reads a header and its checksum; `None` where these are not the bytes of one.
    // Always: a header that is handed over in memory is waited for by who takes it apart there.
    #[inline(always)]
    pub(crate) fn decode(bytes: &[u8], seed: u32) -> Option<(Self, u32)> {
        let bytes = bytes.get(..CHUNK_HEADER_LENGTH)?;
        let crc = u32_at(bytes, 0);
        let flags = u16_at(bytes, AT_FLAGS);
        // Cheap, and spares a checksum at nearly every place of a search for headers.
        if flags & !KNOWN_FLAGS != 0 || crc != sum(bytes, seed) {
            return None;
        }
        let [kind, entry_flags] = field(bytes, AT_KIND);
        let header = Self {
            flags,
            kind,
            entry_flags,
            length: u32_at(bytes, AT_LENGTH),
            behind: u32_at(bytes, AT_BEHIND),
            index: u64_at(bytes, AT_INDEX),
            checksum: u64_at(bytes, AT_CHECKSUM),
            key: u64_at(bytes, AT_KEY),
            timestamp: i64_at(bytes, AT_TIMESTAMP),
            term: u32_at(bytes, AT_TERM),
            link: u32_at(bytes, AT_LINK),
        };
        Some((header, crc))
    }

    /// Whether `bytes` are long enough for the chunk that may begin there. Nothing is verified.
    pub(crate) fn is_whole_in(bytes: &[u8]) -> bool {
        let left = bytes.len().checked_sub(CHUNK_HEADER_LENGTH);
        left.is_some_and(|left| u64::from(u32_at(bytes, AT_LENGTH)) <= left as u64)
    }

    /// What [`ChunkHeader::behind`] has to be for a log with that durable index.
    pub(crate) fn behind(index: u64, durable: u64) -> u32 {
        u32::try_from(index - durable).unwrap_or(UNKNOWN)
    }

    /// Everything below this index was durable when the chunk was written.
    pub(crate) fn durable_index(&self) -> u64 {
        if self.behind == UNKNOWN {
            0
        } else {
            self.index.saturating_sub(u64::from(self.behind))
        }
    }

    pub(crate) fn is_first(&self) -> bool {
        self.flags & FIRST != 0
    }

    pub(crate) fn is_last(&self) -> bool {
        self.flags & LAST != 0
    }

    /// Header and payload together.
    pub(crate) fn stored_length(&self) -> u64 {
        CHUNK_HEADER_LENGTH as u64 + u64::from(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: ChunkHeader = ChunkHeader {
        flags: FIRST | LAST,
        kind: 0x11,
        entry_flags: 0x22,
        length: 0x0102_0304,
        behind: 0x0506_0708,
        index: 0x1112_1314_1516_1718,
        checksum: 0x2122_2324,
        key: 0x3132_3334_3536_3738,
        timestamp: -2,
        term: 0x4142_4344,
        link: 0x5152_5354,
    };

    #[test]
    fn round_trip() {
        let (bytes, crc) = HEADER.encode(seed(7));
        assert_eq!(ChunkHeader::decode(&bytes, seed(7)), Some((HEADER, crc)));
    }

    #[test]
    fn the_checksum_is_started_from_name_and_base() {
        for base in [0, 7, u64::MAX] {
            let (bytes, crc) = HEADER.encode(seed(base));
            let all = [&b"laminarmq chunk"[..], &base.to_le_bytes(), &bytes[4..]].concat();
            assert_eq!(crc, checksum::crc32c(&all));
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (bytes, _) = HEADER.encode(seed(7));
        for bit in 0..CHUNK_HEADER_LENGTH * 8 {
            let mut wrong = bytes;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ChunkHeader::decode(&wrong, seed(7)), None, "bit {bit}");
        }
    }

    #[test]
    fn another_segment_s_chunk_and_short_or_empty_bytes_are_not_headers() {
        let (bytes, _) = HEADER.encode(seed(7));
        assert_eq!(ChunkHeader::decode(&bytes, seed(8)), None);
        assert_eq!(ChunkHeader::decode(&bytes[..55], seed(7)), None);
        assert_eq!(ChunkHeader::decode(&[0; 56], seed(7)), None);
    }

    #[test]
    fn a_chunk_proves_what_was_durable_before_it() {
        let header = ChunkHeader {
            index: 10,
            behind: 3,
            ..HEADER
        };
        assert_eq!(header.durable_index(), 7);
        let header = ChunkHeader {
            index: 10,
            behind: 30,
            ..HEADER
        };
        assert_eq!(header.durable_index(), 0);
    }
}
