//! Footer of an index file: stands behind the last entry and says that the segment is complete.
//!
//! ```text
//!  0        8     10      12     16       24          32       36       40         48      56      64
//!  | magic  | ver | flags | zero | count  | store len | entries | last  | max time | first | last  |
//!  |        |     |       |      |        |           | crc     | chunk |          | key   | key   |
//!  64           72                                                                  124   128
//!  | last chunk at | zero, room for more fields                                      | crc  |
//! ```
//!
//! **Written only after the store and all entries before it were synced**, so a footer that is found proves
//! that its `count` records were durable: if the store has fewer, that is damage and not a torn end. A
//! truncation below that removes the footer, durably, before it touches the store.
//!
//! A segment gets it when another one follows, and the write segment when the log is closed in order; the
//! next records remove it there.
//!
//! - `flags` bit 0: the segment is sealed, that is, another one follows on it. Its files are never changed
//!   again. Without it, the log was closed in order, and the segment may grow on.
//! - `entries crc` CRC-32C of all entries before the footer; `last chunk` header checksum of the last
//!   chunk, which the next one links to (of the file header where there is none); `last chunk at` where
//!   that header stands in the store (0 where there is none).

use super::{FORMAT_VERSION, i64_at, u16_at, u32_at, u64_at};
use crate::checksum;

/// Length of the footer in bytes.
pub(crate) const FOOTER_LENGTH: usize = 128;

const MAGIC: [u8; 8] = *b"LAMQFOOT";
const AT_VERSION: usize = 8;
const AT_FLAGS: usize = AT_VERSION + 2;
const AT_COUNT: usize = AT_FLAGS + 6;
const AT_STORE_LENGTH: usize = AT_COUNT + 8;
const AT_ENTRIES_CRC: usize = AT_STORE_LENGTH + 8;
const AT_LAST_CHUNK: usize = AT_ENTRIES_CRC + 4;
const AT_MAX_TIMESTAMP: usize = AT_LAST_CHUNK + 4;
const AT_FIRST_KEY: usize = AT_MAX_TIMESTAMP + 8;
const AT_LAST_KEY: usize = AT_FIRST_KEY + 8;
const AT_LAST_CHUNK_AT: usize = AT_LAST_KEY + 8;
const AT_CRC: usize = FOOTER_LENGTH - 4;
const _: () = assert!(AT_LAST_CHUNK_AT + 8 <= AT_CRC);
const SEALED: u16 = 1;

/// A decoded footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) is_sealed: bool,
    pub(crate) count: u64,
    pub(crate) store_length: u64,
    pub(crate) entries_crc: u32,
    pub(crate) last_chunk_crc: u32,
    pub(crate) max_timestamp: i64,
    pub(crate) first_key: u64,
    pub(crate) last_key: u64,
    pub(crate) last_chunk_at: u64,
}

impl Footer {
    pub(crate) fn encode(&self) -> [u8; FOOTER_LENGTH] {
        let mut out = [0; FOOTER_LENGTH];
        out[..8].copy_from_slice(&MAGIC);
        out[AT_VERSION..AT_VERSION + 2].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        let flags = if self.is_sealed { SEALED } else { 0 };
        out[AT_FLAGS..AT_FLAGS + 2].copy_from_slice(&flags.to_le_bytes());
        out[AT_COUNT..AT_STORE_LENGTH].copy_from_slice(&self.count.to_le_bytes());
        out[AT_STORE_LENGTH..AT_ENTRIES_CRC].copy_from_slice(&self.store_length.to_le_bytes());
        out[AT_ENTRIES_CRC..AT_LAST_CHUNK].copy_from_slice(&self.entries_crc.to_le_bytes());
        out[AT_LAST_CHUNK..AT_MAX_TIMESTAMP].copy_from_slice(&self.last_chunk_crc.to_le_bytes());
        out[AT_MAX_TIMESTAMP..AT_FIRST_KEY].copy_from_slice(&self.max_timestamp.to_le_bytes());
        out[AT_FIRST_KEY..AT_LAST_KEY].copy_from_slice(&self.first_key.to_le_bytes());
        out[AT_LAST_KEY..AT_LAST_CHUNK_AT].copy_from_slice(&self.last_key.to_le_bytes());
        out[AT_LAST_CHUNK_AT..AT_LAST_CHUNK_AT + 8]
            .copy_from_slice(&self.last_chunk_at.to_le_bytes());
        let crc = checksum::crc32c(&out[..AT_CRC]);
        out[AT_CRC..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` where these are not the bytes of a footer of this version.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..FOOTER_LENGTH)?;
        if bytes[..8] != MAGIC
            || u32_at(bytes, AT_CRC) != checksum::crc32c(&bytes[..AT_CRC])
            || u16_at(bytes, AT_VERSION) != FORMAT_VERSION
            || u16_at(bytes, AT_FLAGS) & !SEALED != 0
        {
            return None;
        }
        Some(Self {
            is_sealed: u16_at(bytes, AT_FLAGS) & SEALED != 0,
            count: u64_at(bytes, AT_COUNT),
            store_length: u64_at(bytes, AT_STORE_LENGTH),
            entries_crc: u32_at(bytes, AT_ENTRIES_CRC),
            last_chunk_crc: u32_at(bytes, AT_LAST_CHUNK),
            max_timestamp: i64_at(bytes, AT_MAX_TIMESTAMP),
            first_key: u64_at(bytes, AT_FIRST_KEY),
            last_key: u64_at(bytes, AT_LAST_KEY),
            last_chunk_at: u64_at(bytes, AT_LAST_CHUNK_AT),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOOTER: Footer = Footer {
        is_sealed: true,
        count: 3,
        store_length: 1 << 33,
        entries_crc: 0x0102_0304,
        last_chunk_crc: 0x1112_1314,
        max_timestamp: -4,
        first_key: 5,
        last_key: 6,
        last_chunk_at: 7,
    };

    #[test]
    fn round_trip_and_every_flipped_bit_is_noticed() {
        let bytes = FOOTER.encode();
        assert_eq!(Footer::decode(&bytes), Some(FOOTER));
        for bit in 0..FOOTER_LENGTH * 8 {
            let mut wrong = bytes;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Footer::decode(&wrong), None, "bit {bit}");
        }
        assert_eq!(Footer::decode(&FOOTER.encode()[..127]), None);
    }

    #[test]
    fn newer_footers_are_not_believed() {
        let with = |at: usize, value: u8| {
            let mut bytes = FOOTER.encode();
            bytes[at] = value;
            let crc = checksum::crc32c(&bytes[..AT_CRC]);
            bytes[AT_CRC..].copy_from_slice(&crc.to_le_bytes());
            Footer::decode(&bytes)
        };
        assert_eq!(with(AT_VERSION, 1), Some(FOOTER));
        assert_eq!(with(AT_VERSION, 9), None);
        assert_eq!(with(AT_FLAGS, 3), None);
    }
}
