//! Header of a store file: says what the file is, before anything else is believed.
//!
//! ```text
//!  0        8  10 11 12  14  16        24          32          40         48      56     60     64
//!  | magic  |ver|ck|en|req|opt| base    | created ms | durable   | previous | check | zero | crc |
//! ```
//!
//! - `ck` checksum of values (1 = CRC-32C, 255 = another one), `en` encoding (0 = plain).
//! - `check` where `ck` is 255 that checksum's value of the nine bytes `123456789`, else 0.
//! - `req`/`opt` feature flags: a reader refuses unknown required ones and ignores unknown optional ones.
//! - `durable` the log's durable index when the file was created: nothing below may ever be cut.
//! - `previous` base index of the segment before; the file's own base where there is none. It tells a
//!   missing segment from one that lost its unsynced end.
//! - `crc` CRC-32C of the 60 bytes before it.

use super::{FORMAT_VERSION, FormatError, field, i64_at, u16_at, u32_at, u64_at};
use crate::checksum::{self, ChecksumKind};

/// Length of the header in bytes.
pub(crate) const FILE_HEADER_LENGTH: usize = 64;

const MAGIC: [u8; 8] = *b"LAMQSTOR";
/// CRC-32C.
pub(crate) const CHECKSUM_CRC32C: u8 = 1;
/// Another one, see `check`.
const CHECKSUM_OTHER: u8 = 255;
/// Values as they are.
pub(crate) const ENCODING_PLAIN: u8 = 0;
/// Required features that this build knows: none yet.
const REQUIRED_KNOWN: u16 = 0;

const AT_VERSION: usize = 8;
const AT_CHECKSUM: usize = AT_VERSION + 2;
const AT_ENCODING: usize = AT_CHECKSUM + 1;
const AT_REQUIRED: usize = AT_ENCODING + 1;
const AT_OPTIONAL: usize = AT_REQUIRED + 2;
const AT_BASE: usize = AT_OPTIONAL + 2;
const AT_CREATED: usize = AT_BASE + 8;
const AT_DURABLE: usize = AT_CREATED + 8;
const AT_PREVIOUS: usize = AT_DURABLE + 8;
const AT_CHECK: usize = AT_PREVIOUS + 8;
const AT_CRC: usize = FILE_HEADER_LENGTH - 4;
const _: () = assert!(AT_CHECK + 8 <= AT_CRC);

/// What a store file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) base_index: u64,
    pub(crate) created_ms: i64,
    pub(crate) durable_index: u64,
    pub(crate) previous_base: u64,
    /// Never [`ChecksumKind::Unknown`].
    pub(crate) checksum: ChecksumKind,
}

/// What the first bytes of a store file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoundHeader {
    /// A header and its checksum, which the first chunk links to.
    Whole(FileHeader, u32),
    /// Never written: the file is shorter, or the bytes are zero.
    Unwritten,
    /// Something else.
    Damaged,
}

impl FileHeader {
    /// The bytes, and the checksum in them that the first chunk links to.
    pub(crate) fn encode(&self) -> ([u8; FILE_HEADER_LENGTH], u32) {
        let mut out = [0; FILE_HEADER_LENGTH];
        out[..8].copy_from_slice(&MAGIC);
        out[AT_VERSION..AT_CHECKSUM].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        let (number, check) = match self.checksum {
            ChecksumKind::Crc32c => (CHECKSUM_CRC32C, 0),
            ChecksumKind::Other(check) => (CHECKSUM_OTHER, check),
            ChecksumKind::Unknown(_) => unreachable!("a log is not opened with that"),
        };
        out[AT_CHECKSUM] = number;
        out[AT_CHECK..AT_CHECK + 8].copy_from_slice(&check.to_le_bytes());
        out[AT_ENCODING] = ENCODING_PLAIN;
        out[AT_BASE..AT_CREATED].copy_from_slice(&self.base_index.to_le_bytes());
        out[AT_CREATED..AT_DURABLE].copy_from_slice(&self.created_ms.to_le_bytes());
        out[AT_DURABLE..AT_PREVIOUS].copy_from_slice(&self.durable_index.to_le_bytes());
        out[AT_PREVIOUS..AT_CHECK].copy_from_slice(&self.previous_base.to_le_bytes());
        let crc = checksum::crc32c(&out[..AT_CRC]);
        out[AT_CRC..].copy_from_slice(&crc.to_le_bytes());
        (out, crc)
    }

    /// Reads the first bytes of a store file, `bytes`, of which there may be too few. Its values have to have the
    /// checksum `expected`.
    ///
    /// A file of another version is recognised by its magic before the rest, which may look different
    /// there, is checked.
    pub(crate) fn decode(bytes: &[u8], expected: ChecksumKind) -> Result<FoundHeader, FormatError> {
        if bytes.len() < FILE_HEADER_LENGTH
            || bytes[..FILE_HEADER_LENGTH].iter().all(|byte| *byte == 0)
        {
            return Ok(FoundHeader::Unwritten);
        }
        if field(bytes, 0) != MAGIC {
            return Ok(FoundHeader::Damaged);
        }
        let crc = u32_at(bytes, AT_CRC);
        if crc != checksum::crc32c(&bytes[..AT_CRC]) {
            return Ok(FoundHeader::Damaged);
        }
        let found = u16_at(bytes, AT_VERSION);
        if found != FORMAT_VERSION {
            return Err(FormatError::Version {
                found,
                supported: FORMAT_VERSION,
            });
        }
        let checksum = match bytes[AT_CHECKSUM] {
            CHECKSUM_CRC32C => ChecksumKind::Crc32c,
            CHECKSUM_OTHER => ChecksumKind::Other(u64_at(bytes, AT_CHECK)),
            number => ChecksumKind::Unknown(number),
        };
        if checksum != expected {
            let found = checksum;
            return Err(FormatError::ChecksumType { found, expected });
        }
        let found = bytes[AT_ENCODING];
        if found != ENCODING_PLAIN {
            return Err(FormatError::Encoding {
                found,
                expected: ENCODING_PLAIN,
            });
        }
        let unknown = u16_at(bytes, AT_REQUIRED) & !REQUIRED_KNOWN;
        if unknown != 0 {
            return Err(FormatError::RequiredFlags { unknown });
        }
        let header = Self {
            base_index: u64_at(bytes, AT_BASE),
            created_ms: i64_at(bytes, AT_CREATED),
            durable_index: u64_at(bytes, AT_DURABLE),
            previous_base: u64_at(bytes, AT_PREVIOUS),
            checksum,
        };
        Ok(FoundHeader::Whole(header, crc))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: FileHeader = FileHeader {
        base_index: 7,
        created_ms: 1_700_000_000_123,
        durable_index: 5,
        previous_base: 3,
        checksum: ChecksumKind::Crc32c,
    };

    fn seal(bytes: &mut [u8; FILE_HEADER_LENGTH]) {
        let crc = checksum::crc32c(&bytes[..AT_CRC]);
        bytes[AT_CRC..].copy_from_slice(&crc.to_le_bytes());
    }

    #[test]
    fn round_trip() {
        let (bytes, crc) = HEADER.encode();
        assert_eq!(
            FileHeader::decode(&bytes, ChecksumKind::Crc32c),
            Ok(FoundHeader::Whole(HEADER, crc))
        );
    }

    #[test]
    fn another_checksum_of_values_is_named() {
        let other = ChecksumKind::Other(0x1234);
        let header = FileHeader {
            checksum: other,
            ..HEADER
        };
        let (bytes, crc) = header.encode();
        let found = FileHeader::decode(&bytes, other);
        assert_eq!(found, Ok(FoundHeader::Whole(header, crc)));
        for expected in [ChecksumKind::Crc32c, ChecksumKind::Other(0x1235)] {
            let found = other;
            let refused = Err(FormatError::ChecksumType { found, expected });
            assert_eq!(FileHeader::decode(&bytes, expected), refused);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (bytes, _) = HEADER.encode();
        for bit in 0..FILE_HEADER_LENGTH * 8 {
            let mut wrong = bytes;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                FileHeader::decode(&wrong, ChecksumKind::Crc32c),
                Ok(FoundHeader::Damaged),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn unwritten_is_told_from_damaged() {
        let (bytes, _) = HEADER.encode();
        assert_eq!(
            FileHeader::decode(&[], ChecksumKind::Crc32c),
            Ok(FoundHeader::Unwritten)
        );
        assert_eq!(
            FileHeader::decode(&bytes[..63], ChecksumKind::Crc32c),
            Ok(FoundHeader::Unwritten)
        );
        assert_eq!(
            FileHeader::decode(&[0; 100], ChecksumKind::Crc32c),
            Ok(FoundHeader::Unwritten)
        );
        assert_eq!(
            FileHeader::decode(&[1; 64], ChecksumKind::Crc32c),
            Ok(FoundHeader::Damaged)
        );
    }

    #[test]
    fn foreign_formats_are_named() {
        let (bytes, _) = HEADER.encode();
        let with = |at: usize, value: u8| {
            let mut changed = bytes;
            changed[at] = value;
            seal(&mut changed);
            FileHeader::decode(&changed, ChecksumKind::Crc32c)
        };
        assert_eq!(
            with(AT_VERSION, 9),
            Err(FormatError::Version {
                found: 9,
                supported: FORMAT_VERSION
            })
        );
        assert_eq!(
            with(AT_CHECKSUM, 2),
            Err(FormatError::ChecksumType {
                found: ChecksumKind::Unknown(2),
                expected: ChecksumKind::Crc32c
            })
        );
        assert_eq!(
            with(AT_ENCODING, 3),
            Err(FormatError::Encoding {
                found: 3,
                expected: 0
            })
        );
        assert_eq!(
            with(AT_REQUIRED, 4),
            Err(FormatError::RequiredFlags { unknown: 4 })
        );
        assert!(matches!(with(AT_OPTIONAL, 4), Ok(FoundHeader::Whole(..))));
    }
}
