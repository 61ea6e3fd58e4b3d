//! Header of an index file.
//!
//! ```text
//!  0        8  10 11 12  14  16        24       28     32          40      60    64
//!  | magic  |ver|ck|en|req|opt| base    | store  | zero | created ms | zero  | crc |
//! ```
//!
//! `en`, `req` and `opt` are those of the store file's header (see `file_header.rs`), and so is `created`. `ck` is that
//! of what stands in the index itself, always 1.
//! `store` is the checksum of the store file's header. An index that stands beside another store than the
//! one it was made for is so not believed, even where the base index is the same.
//! The index is derived data, so anything unexpected in it, a newer version included, means only that it is
//! built again.

use super::file_header::{CHECKSUM_CRC32C, ENCODING_PLAIN};
use super::{FORMAT_VERSION, i64_at, u32_at, u64_at};
use crate::checksum;

/// Length of the header in bytes.
pub(crate) const INDEX_HEADER_LENGTH: usize = 64;

const MAGIC: [u8; 8] = *b"LAMQINDX";
const AT_VERSION: usize = 8;
const AT_CHECKSUM: usize = AT_VERSION + 2;
const AT_ENCODING: usize = AT_CHECKSUM + 1;
const AT_BASE: usize = 16;
const AT_STORE: usize = AT_BASE + 8;
const AT_CREATED: usize = AT_STORE + 8;
const AT_CRC: usize = INDEX_HEADER_LENGTH - 4;

/// Which store an index belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexHeader {
    pub(crate) base_index: u64,
    pub(crate) store_header_crc: u32,
    pub(crate) created_ms: i64,
}

impl IndexHeader {
    pub(crate) fn encode(&self) -> [u8; INDEX_HEADER_LENGTH] {
        let mut out = [0; INDEX_HEADER_LENGTH];
        out[..8].copy_from_slice(&MAGIC);
        out[AT_VERSION..AT_VERSION + 2].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[AT_CHECKSUM] = CHECKSUM_CRC32C;
        out[AT_ENCODING] = ENCODING_PLAIN;
        out[AT_BASE..AT_STORE].copy_from_slice(&self.base_index.to_le_bytes());
        out[AT_STORE..AT_STORE + 4].copy_from_slice(&self.store_header_crc.to_le_bytes());
        out[AT_CREATED..AT_CREATED + 8].copy_from_slice(&self.created_ms.to_le_bytes());
        let crc = checksum::crc32c(&out[..AT_CRC]);
        out[AT_CRC..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` where these are not the bytes of an index header of this version.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..INDEX_HEADER_LENGTH)?;
        let header = Self {
            base_index: u64_at(bytes, AT_BASE),
            store_header_crc: u32_at(bytes, AT_STORE),
            created_ms: i64_at(bytes, AT_CREATED),
        };
        // The encoding has no free bits in this version, so equality checks all of them.
        (header.encode() == bytes).then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_every_flipped_bit_is_noticed() {
        let header = IndexHeader {
            base_index: 7,
            store_header_crc: 0x0102_0304,
            created_ms: -5,
        };
        let bytes = header.encode();
        assert_eq!(IndexHeader::decode(&bytes), Some(header));
        for bit in 0..INDEX_HEADER_LENGTH * 8 {
            let mut wrong = bytes;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(IndexHeader::decode(&wrong), None, "bit {bit}");
        }
        assert_eq!(IndexHeader::decode(&bytes[..63]), None);
    }
}
