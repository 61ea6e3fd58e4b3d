//! One segment: a store, its index, and what is known about both.
//!
//! Invariants:
//!
//! ```text
//! store.len() == store_length          except while an append or a truncation runs, or a record is unfinished
//! index.len() == header + entries_written * entry (+ footer)
//! entries.range().start <= entries_written <= count == entries.range().end
//! footer => everything in the store was synced before the footer was written
//! footer == Sealed => neither file is ever changed again
//! ```

mod entries;
mod entry_block;
mod entry_list;
mod index;
mod pieces;
mod read;
mod scan;
mod view;
mod write;

use std::sync::atomic::AtomicU64;

use crate::checksum::ValueChecksum;
use crate::env::{LogFile, SegmentFiles};
use crate::format::{FILE_HEADER_LENGTH, FileHeader, Footer, IndexEntry, chunk};
use crate::record::SegmentInfo;

pub(crate) use entries::{Bounds, Entries, Place};
pub(crate) use index::IndexCut;
pub(crate) use read::{Extent, Parsed, Piece, parse_chunk, parse_record, parse_records, record_of};
pub(crate) use scan::{Scan, Step, Window, entry_of, scan, search, step};
pub(crate) use view::{Beside, ReadFile, View, describe};
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
    /// Where the last chunk's header stands; 0 without records.
    pub(crate) last_chunk_at: u64,
    /// Chunks beyond the first of each record; 0 too of a segment that was opened by its footer, which does not say.
    pub(crate) extra_chunks: u64,
}

/// How the chunks of one segment are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Framing {
    /// Where the checksums of chunk headers start from.
    pub(crate) seed: u32,
    /// What payloads have.
    pub(crate) values: ValueChecksum,
}

impl Framing {
    pub(crate) fn new(base_index: u64, values: ValueChecksum) -> Self {
        let seed = chunk::seed(base_index);
        Self { seed, values }
    }
}

impl Summary {
    pub(crate) fn empty(header_crc: u32) -> Self {
        Self {
            max_timestamp: i64::MIN,
            first_key: 0,
            last_key: 0,
            last_chunk_crc: header_crc,
            last_chunk_at: 0,
            extra_chunks: 0,
        }
    }

    /// Of a segment whose first and last records have these entries, whose last chunk has its header at that
    /// position, with that checksum, and that has so many chunks beyond one per record.
    pub(crate) fn of(
        first: &IndexEntry,
        last: &IndexEntry,
        last_chunk: (u64, u32),
        extra_chunks: u64,
    ) -> Self {
        Self {
            max_timestamp: last.max_timestamp,
            first_key: first.key,
            last_key: last.key,
            last_chunk_crc: last_chunk.1,
            last_chunk_at: last_chunk.0,
            extra_chunks,
        }
    }

    /// Takes in the next record, of one chunk or of several, whose last chunk has its header at that position, with that checksum.
    pub(crate) fn push(&mut self, is_first: bool, entry: &IndexEntry, last_chunk: (u64, u32)) {
        if is_first {
            self.first_key = entry.key;
        }
        self.last_key = entry.key;
        self.max_timestamp = entry.max_timestamp;
        (self.last_chunk_at, self.last_chunk_crc) = last_chunk;
    }
}

/// What stands at the end of an index file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentEnd {
    /// No footer: entries may be missing.
    Open,
    /// A footer: the log was closed in order. What is appended next removes it.
    Closed,
    /// A footer for good: another segment follows.
    Sealed,
}

/// A store and its index.
#[derive(Debug)]
pub struct Segment<F> {
    pub(crate) files: SegmentFiles<F>,
    pub(crate) header: FileHeader,
    pub(crate) header_crc: u32,
    pub(crate) framing: Framing,
    pub(crate) count: u64,
    pub(crate) store_length: u64,
    pub(crate) summary: Summary,
    /// Those entries that are in memory; readers beside the owner share them.
    pub(crate) entries: Entries,
    pub(crate) entries_written: u64,
    /// CRC-32C of the entries in the index file.
    pub(crate) entries_crc: u32,
    pub(crate) footer: SegmentEnd,
    /// Number of the last change to the store, as [`Log`](crate::Log) counts them.
    pub(crate) changed_at: u64,
    /// How often the index file was written, and up to which time that is on the media.
    pub(crate) index_writes: u64,
    pub(crate) index_synced: u64,
    /// Number of the lookup that used this segment last.
    pub(crate) used_at: AtomicU64,
    /// Entries at which the next block goes to the index file.
    next_block_at: u64,
    /// Bytes on their way to the index file.
    index_bytes: Vec<u8>,
}

impl<F> Segment<F> {
    /// A segment without records whose files hold nothing yet.
    pub(crate) fn new(files: SegmentFiles<F>, header: FileHeader, values: ValueChecksum) -> Self {
        let (_, header_crc) = header.encode();
        Self::found(files, header, header_crc, values)
    }

    /// The same for a store that has its header, with this checksum: that of what stands there, which may say more
    /// than this version knows.
    pub(crate) fn found(
        files: SegmentFiles<F>,
        header: FileHeader,
        header_crc: u32,
        values: ValueChecksum,
    ) -> Self {
        let bounds = Bounds {
            count: 0,
            store_length: FILE_HEADER_LENGTH as u64,
            summary: Summary::empty(header_crc),
        };
        Self {
            files,
            header,
            header_crc,
            framing: Framing::new(header.base_index, values),
            count: 0,
            store_length: bounds.store_length,
            summary: bounds.summary,
            entries: Entries::new(bounds),
            entries_written: 0,
            entries_crc: 0,
            footer: SegmentEnd::Open,
            changed_at: 0,
            index_writes: 0,
            index_synced: 0,
            used_at: AtomicU64::new(0),
            next_block_at: 0,
            index_bytes: Vec::new(),
        }
    }

    /// Forgets everything, to begin with another header. The files are not touched.
    pub(crate) fn restart(&mut self, header: FileHeader) {
        let (_, header_crc) = header.encode();
        (self.header, self.header_crc) = (header, header_crc);
        self.framing = Framing::new(header.base_index, self.framing.values);
        self.set_cut(0, FILE_HEADER_LENGTH as u64, Summary::empty(header_crc));
        self.changed_at = 0;
    }

    /// Takes over what a scan of the store found, all entries in memory and none in the file.
    pub(crate) fn set_scanned(&mut self, scan: Scan) {
        self.count = scan.entries.len() as u64;
        self.store_length = scan.valid_length;
        self.summary = scan.summary;
        self.entries.restart_with(scan.entries, self.bounds());
        (self.entries_written, self.entries_crc) = (0, 0);
        self.footer = SegmentEnd::Open;
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
            last_chunk_at: footer.last_chunk_at,
            extra_chunks: 0,
        };
        self.entries.restart(self.bounds());
        self.entries_written = footer.count;
        self.entries_crc = footer.entries_crc;
        self.footer = if footer.is_sealed {
            SegmentEnd::Sealed
        } else {
            SegmentEnd::Closed
        };
        self.block_written();
    }

    /// Takes over that nothing is left from record number `kept` on, the store being cut to that length and the
    /// index emptied.
    pub(crate) fn set_cut(&mut self, kept: u64, store_length: u64, summary: Summary) {
        (self.count, self.store_length, self.summary) = (kept, store_length, summary);
        self.entries.truncate(self.bounds());
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            count: self.count,
            store_length: self.store_length,
            summary: self.summary,
        }
    }

    pub(crate) fn has_footer(&self) -> bool {
        self.footer != SegmentEnd::Open
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

    /// The segment as it is now, to look things up in.
    pub(crate) fn view(&self) -> View<'_, F> {
        View {
            base: self.base(),
            framing: self.framing,
            bounds: self.bounds(),
            entries: &self.entries,
            store: &self.files.store,
            index: &self.files.index,
        }
    }
}

impl<F: LogFile> Segment<F> {
    /// Gives back what was reserved behind the last record, and writes the rest of the index. Says whether
    /// the store has to be synced for that.
    pub(crate) async fn complete(&mut self) -> std::io::Result<bool> {
        let is_longer = self.give_back().await?;
        self.flush_index().await?;
        Ok(is_longer)
    }

    /// Gives back what was reserved behind the last record. Says whether the store has to be synced for that.
    pub(crate) async fn give_back(&mut self) -> std::io::Result<bool> {
        let store = &mut self.files.store;
        let is_longer = store.reserved() > self.store_length;
        if is_longer {
            store.truncate(self.store_length).await?;
        }
        Ok(is_longer)
    }

    /// Takes note that nothing is appended to this segment any more.
    pub(crate) fn rest(&mut self) {
        self.files.store.rest();
        self.files.index.rest();
        self.index_bytes = Vec::new();
    }
}
