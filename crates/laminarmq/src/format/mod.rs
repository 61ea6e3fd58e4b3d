//! The bytes on disk, version 1. Each file of this module is one format: diagram, encode, decode, tests.
//!
//! All numbers are little endian. All checksums are CRC-32C, but for those of values where a store says otherwise.

pub(crate) mod chunk;
pub(crate) mod file_header;
pub(crate) mod footer;
pub(crate) mod index_entry;
pub(crate) mod index_header;
pub(crate) mod start_file;

pub(crate) use chunk::{CHUNK_HEADER_LENGTH, ChunkHeader};
pub(crate) use file_header::{FILE_HEADER_LENGTH, FileHeader};
pub(crate) use footer::{FOOTER_LENGTH, Footer};
pub(crate) use index_entry::{INDEX_ENTRY_LENGTH, IndexEntry};
pub(crate) use index_header::{INDEX_HEADER_LENGTH, IndexHeader};
pub(crate) use start_file::StartFile;

use crate::checksum::ChecksumKind;

/// Version of the formats in this module. Every later version keeps the place of magic, version and checksum
/// in the headers, so that an older program can say what it met.
pub(crate) const FORMAT_VERSION: u16 = 1;

/// Where entry number `number` stands in an index file.
pub(crate) fn index_entry_position(number: u64) -> u64 {
    INDEX_HEADER_LENGTH as u64 + number * INDEX_ENTRY_LENGTH as u64
}

/// A file that says of itself that this version cannot read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Written by another version.
    #[error(
        "the file has format version {found}, this build reads version {supported}; \
         use a build that knows version {found}"
    )]
    Version {
        /// In the file.
        found: u16,
        /// What is understood.
        supported: u16,
    },
    /// Its checksums are of another kind.
    #[error(
        "the file's values have the checksum {found}, this log was opened with {expected}; \
         open it with the checksum that it was written with"
    )]
    ChecksumType {
        /// In the file.
        found: ChecksumKind,
        /// That of the log that opens it.
        expected: ChecksumKind,
    },
    /// Its records are stored in a way that is not understood.
    #[error(
        "the file's encoding is {found}, this build reads {expected} (plain); use a newer build"
    )]
    Encoding {
        /// In the file.
        found: u8,
        /// The only one that is understood.
        expected: u8,
    },
    /// It needs a feature that is not understood.
    #[error(
        "the file needs features {unknown:#06x}, which this build does not have; use a newer build"
    )]
    RequiredFlags {
        /// The flags that are not understood.
        unknown: u16,
    },
}

/// Copies `N` bytes out of a slice that is known to hold them.
pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(field(bytes, at))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(field(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(field(bytes, at))
}

pub(crate) fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(field(bytes, at))
}
