//! The start file: where a log starts, when that is inside a segment.
//!
//! ```text
//!  0        8    10      12     16      24      60    64
//!  | magic  | ver | flags | zero | start | zero  | crc |
//! ```
//!
//! - `start` nothing below this index is in the log, whatever the segments still hold. It had been durable.
//! - `flags` bit 0: the log is being reset. Every segment that is there is void; the log is empty at `start`.
//! - `crc` CRC-32C of the 60 bytes before it.

use super::{FORMAT_VERSION, FormatError, field, u16_at, u32_at, u64_at};
use crate::checksum;

/// Length of the file in bytes.
pub(crate) const START_FILE_LENGTH: usize = 64;

const MAGIC: [u8; 8] = *b"LAMQSTRT";
const RESETTING: u16 = 1;
const AT_VERSION: usize = 8;
const AT_FLAGS: usize = AT_VERSION + 2;
const AT_START: usize = AT_FLAGS + 6;
const AT_CRC: usize = START_FILE_LENGTH - 4;
const _: () = assert!(AT_START + 8 <= AT_CRC);

/// A decoded start file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StartFile {
    pub(crate) start: u64,
    pub(crate) resetting: bool,
}

impl StartFile {
    pub(crate) fn encode(&self) -> [u8; START_FILE_LENGTH] {
        let mut out = [0; START_FILE_LENGTH];
        out[..8].copy_from_slice(&MAGIC);
        out[AT_VERSION..AT_FLAGS].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        let flags = if self.resetting { RESETTING } else { 0 };
        out[AT_FLAGS..AT_FLAGS + 2].copy_from_slice(&flags.to_le_bytes());
        out[AT_START..AT_START + 8].copy_from_slice(&self.start.to_le_bytes());
        let crc = checksum::crc32c(&out[..AT_CRC]);
        out[AT_CRC..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `Ok(None)` where these are not the bytes of a start file.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Self>, FormatError> {
        if bytes.len() != START_FILE_LENGTH
            || field(bytes, 0) != MAGIC
            || u32_at(bytes, AT_CRC) != checksum::crc32c(&bytes[..AT_CRC])
        {
            return Ok(None);
        }
        let found = u16_at(bytes, AT_VERSION);
        if found != FORMAT_VERSION {
            return Err(FormatError::Version {
                found,
                supported: FORMAT_VERSION,
            });
        }
        let flags = u16_at(bytes, AT_FLAGS);
        let unknown = flags & !RESETTING;
        if unknown != 0 {
            return Err(FormatError::RequiredFlags { unknown });
        }
        Ok(Some(Self {
            start: u64_at(bytes, AT_START),
            resetting: flags & RESETTING != 0,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: StartFile = StartFile {
        start: 0x0102_0304_0506_0708,
        resetting: true,
    };

    #[test]
    fn golden_bytes_and_round_trip() {
        let bytes = FILE.encode();
        assert_eq!(bytes[..12], *b"LAMQSTRT\x01\0\x01\0");
        assert_eq!(bytes[12..24], *b"\0\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01");
        assert_eq!(bytes[24..60], [0; 36]);
        assert_eq!(bytes[60..], checksum::crc32c(&bytes[..60]).to_le_bytes());
        assert_eq!(StartFile::decode(&bytes), Ok(Some(FILE)));
    }

    #[test]
    fn every_flipped_bit_and_another_length_is_noticed() {
        let bytes = FILE.encode();
        for bit in 0..START_FILE_LENGTH * 8 {
            let mut wrong = bytes;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(StartFile::decode(&wrong), Ok(None), "bit {bit}");
        }
        assert_eq!(StartFile::decode(&bytes[..63]), Ok(None));
        assert_eq!(StartFile::decode(&[]), Ok(None));
    }

    #[test]
    fn newer_files_are_named() {
        let with = |at: usize, value: u8| {
            let mut bytes = FILE.encode();
            bytes[at] = value;
            let crc = checksum::crc32c(&bytes[..AT_CRC]);
            bytes[AT_CRC..].copy_from_slice(&crc.to_le_bytes());
            StartFile::decode(&bytes)
        };
        let (found, supported) = (9, FORMAT_VERSION);
        let version = FormatError::Version { found, supported };
        assert_eq!(with(AT_VERSION, 9), Err(version));
        let flags = FormatError::RequiredFlags { unknown: 4 };
        assert_eq!(with(AT_FLAGS, 5), Err(flags));
    }
}
