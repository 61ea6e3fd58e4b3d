//! One segment: a store, its index, and what is known about both.
//!
//! Invariants:
//!
//! ```text
//! store.len() == store_length                         except while an append or a truncation runs
//! index.len() == header + entries_written * entry (+ footer)
//! entries_written <= count; the rest of the entries is in `entries`
//! entries.is_some() for the write segment; then it holds all `count` of them
//! has_footer => everything in the store was synced before the footer was written
//! ```

mod index;
mod read;
mod scan;
mod write;

use crate::env::{LogFile, SegmentFiles};
use crate::format::{FILE_HEADER_LENGTH, FileHeader, Footer, IndexEntry, chunk};
use crate::record::{EntryInfo, SegmentInfo};

pub(crate) use read::{Piece, check_record, parse_records, read_chunk_header};
pub(crate) use scan::{Scan, Step, Window, entry_of, scan, search, step};
pub(crate) use write::{Run, Scratch};

/// What a segment's records amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// `i64::MIN` without records.
    pub(crate) max_timestamp: i64,
    pub(crate) first_key: u64,
    pub(crate) last_key: u64,
    /// What the next chunk links to.
    pub(crate) last_chunk_crc: u32,
}

impl Summary {
    pub(crate) fn empty(header_crc: u32) -> Self {
        Self {
            max_timestamp: i64::MIN,
            first_key: 0,
            last_key: 0,
            last_chunk_crc: header_crc,
        }
    }

    /// Of `entries`, the last of which has a chunk header with that checksum.
    pub(crate) fn of(entries: &[IndexEntry], last_chunk_crc: u32) -> Self {
        let (first, last) = (entries.first(), entries.last());
        Self {
            max_timestamp: last.map_or(i64::MIN, |entry| entry.max_timestamp),
            first_key: first.map_or(0, |entry| entry.key),
            last_key: last.map_or(0, |entry| entry.key),
            last_chunk_crc,
        }
    }

    /// Takes in the next record.
    pub(crate) fn push(&mut self, is_first: bool, entry: &IndexEntry, chunk_crc: u32) {
        if is_first {
            self.first_key = entry.key;
        }
        self.last_key = entry.key;
        self.max_timestamp = entry.max_timestamp;
        self.last_chunk_crc = chunk_crc;
    }
}

/// A store and its index.
#[derive(Debug)]
pub(crate) struct Segment<F> {
    pub(crate) files: SegmentFiles<F>,
    pub(crate) header: FileHeader,
    pub(crate) header_crc: u32,
    /// Where the checksums of chunk headers start from.
    pub(crate) seed: u32,
    pub(crate) count: u64,
    pub(crate) store_length: u64,
    pub(crate) summary: Summary,
    /// All entries, where they are kept in memory.
    pub(crate) entries: Option<Vec<IndexEntry>>,
    pub(crate) entries_written: u64,
    /// CRC-32C of the entries in the index file.
    pub(crate) entries_crc: u32,
    pub(crate) has_footer: bool,
    /// Number of the last change to the store, as [`Log`](crate::Log) counts them.
    pub(crate) changed_at: u64,
    /// How often the index file was written, and up to which time that is on the media.
    pub(crate) index_writes: u64,
    pub(crate) index_synced: u64,
    /// Entries in memory at which the next block goes to the index file.
    next_block_at: u64,
}

impl<F: LogFile> Segment<F> {
    /// A segment without records whose files hold nothing yet.
    pub(crate) fn new(files: SegmentFiles<F>, header: FileHeader) -> Self {
        let (_, header_crc) = header.encode();
        Self {
            files,
            header,
            header_crc,
            seed: chunk::seed(header.base_index),
            count: 0,
            store_length: FILE_HEADER_LENGTH as u64,
            summary: Summary::empty(header_crc),
            entries: None,
            entries_written: 0,
            entries_crc: 0,
            has_footer: false,
            changed_at: 0,
            index_writes: 0,
            index_synced: 0,
            next_block_at: 0,
        }
    }

    /// Forgets everything, to begin with another header. The files are not touched.
    pub(crate) fn restart(&mut self, header: FileHeader) {
        let (_, header_crc) = header.encode();
        (self.header, self.header_crc) = (header, header_crc);
        self.seed = chunk::seed(header.base_index);
        (self.count, self.store_length) = (0, FILE_HEADER_LENGTH as u64);
        self.summary = Summary::empty(header_crc);
        self.entries = Some(Vec::new());
        self.changed_at = 0;
    }

    /// Takes over what a scan of the store found, all entries in memory and none in the file.
    pub(crate) fn set_scanned(&mut self, scan: Scan) {
        self.count = scan.entries.len() as u64;
        self.store_length = scan.valid_length;
        self.summary = scan.summary;
        self.entries = Some(scan.entries);
    }

    /// Takes over what a footer says, all entries in the file.
    pub(crate) fn set_sealed(&mut self, footer: &Footer) {
        self.count = footer.count;
        self.store_length = footer.store_length;
        self.summary = Summary {
            max_timestamp: footer.max_timestamp,
            first_key: footer.first_key,
            last_key: footer.last_key,
            last_chunk_crc: footer.last_chunk_crc,
        };
        self.entries_written = footer.count;
        self.entries_crc = footer.entries_crc;
        self.has_footer = true;
        self.block_written();
    }

    pub(crate) fn base(&self) -> u64 {
        self.header.base_index
    }

    /// One past the last record.
    pub(crate) fn end(&self) -> u64 {
        self.base() + self.count
    }

    pub(crate) fn info(&self, is_write: bool) -> SegmentInfo {
        SegmentInfo {
            base_index: self.base(),
            end_index: self.end(),
            store_bytes: self.store_length,
            created_ms: self.header.created_ms,
            max_timestamp: (self.count > 0).then_some(self.summary.max_timestamp),
            is_write,
        }
    }

    /// The entry as callers see it.
    pub(crate) fn describe(index: u64, entry: &IndexEntry) -> EntryInfo {
        EntryInfo {
            index,
            position: entry.position,
            length: entry.length,
            checksum: entry.checksum,
            key: entry.key,
            max_timestamp: entry.max_timestamp,
            term: entry.term,
            kind: entry.kind,
            flags: entry.flags,
        }
    }
}
