//! What goes into a log and what comes out.

use bytes::Bytes;

use crate::format::ChunkHeader;

/// One record to append. Fields that do not matter can be left to [`Default`].
///
/// ```
/// use laminarmq::Append;
/// let record = Append { value: &[b"hello ", b"world"], ..Append::default() };
/// assert_eq!(record.value_len(), 11);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Append<'a> {
    /// The caller's term (leader epoch); 0 where there is none.
    pub term: u32,
    /// The caller's kind of entry; the log only stores it and can search by it.
    pub kind: u8,
    /// The caller's flags; the log only stores them.
    pub flags: u8,
    /// A number that never goes down from one record to the next, for
    /// [`Log::last_with_key_at_most`](crate::Log::last_with_key_at_most). Callers without keys use 0
    /// throughout.
    pub key: u64,
    /// The record's time in milliseconds; may go up and down.
    pub timestamp: i64,
    /// The value, in pieces that are written one after the other without being joined first.
    pub value: &'a [&'a [u8]],
}

impl Append<'_> {
    /// Length of the whole value in bytes.
    #[must_use]
    pub fn value_len(&self) -> u64 {
        self.value.iter().map(|piece| piece.len() as u64).sum()
    }

    /// The caller's fields in a chunk's header; flags, length and checksum are yet to be set.
    pub(crate) fn chunk_header(&self, index: u64, durable: u64, link: u32) -> ChunkHeader {
        ChunkHeader {
            flags: 0,
            kind: self.kind,
            entry_flags: self.flags,
            length: 0,
            behind: ChunkHeader::behind(index, durable),
            index,
            checksum: 0,
            key: self.key,
            timestamp: self.timestamp,
            term: self.term,
            link,
        }
    }
}

/// One record as it was read, its checksums verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Place in the log.
    pub index: u64,
    /// As appended.
    pub term: u32,
    /// As appended.
    pub kind: u8,
    /// As appended.
    pub flags: u8,
    /// As appended.
    pub key: u64,
    /// As appended, in milliseconds.
    pub timestamp: i64,
    /// The value: a slice of the buffer that the whole read shares.
    pub value: Bytes,
}

/// What the index knows about a record, without a look at its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryInfo {
    /// Place in the log.
    pub index: u64,
    /// Where the record's first chunk header starts in its store, in bytes.
    pub position: u64,
    /// Length of the value in bytes, without headers.
    pub length: u64,
    /// Checksum of the value: CRC-32C in the low 32 bits. Of a record that was written piece by piece and is longer
    /// than one chunk, the CRC-32C of its chunks' checksums, each as 8 bytes, little-endian.
    pub checksum: u64,
    /// As appended.
    pub key: u64,
    /// Largest timestamp in this segment up to and including this record, in milliseconds.
    pub max_timestamp: i64,
    /// As appended.
    pub term: u32,
    /// As appended.
    pub kind: u8,
    /// As appended.
    pub flags: u8,
}

/// One segment of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Index of the segment's first record, also in its file names. The log's start may be behind it.
    pub base_index: u64,
    /// One past the segment's last record.
    pub end_index: u64,
    /// Length of the store file in bytes, headers included.
    pub store_bytes: u64,
    /// When the segment was created, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// Largest timestamp of its records; `None` without records.
    pub max_timestamp: Option<i64>,
    /// Whether it is the write segment (always the last one).
    pub is_write: bool,
}

/// What [`Log::open`](crate::Log::open) had to repair. All zero after an orderly close.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes of torn or never completed writes that were cut from the end, whole segments included.
    pub bytes_cut: u64,
    /// Bytes of zeros behind the last record that were given back: written ahead and never used, or
    /// the place of an append that the file system had made room for and of which nothing arrived. Not counted in
    /// `bytes_cut`.
    pub zeros_cut: u64,
    /// Segments that were dropped because they stood behind the cut.
    pub segments_dropped: u64,
    /// Index files that were lost, short, stale or foreign and were built again from the store.
    pub indexes_rebuilt: u64,
    /// Store bytes that were read and verified to find all this out.
    pub bytes_scanned: u64,
}

impl Recovery {
    /// Whether the log had been closed in order, or is new: nothing was scanned and nothing changed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}
