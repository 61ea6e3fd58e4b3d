//! A segment's index file: written late and in blocks.

use std::io::{self, IoSlice};

use super::{Segment, SegmentEnd, scan};
use crate::checksum;
use crate::env::LogFile;
use crate::error::ReadError;
use crate::format::{
    FOOTER_LENGTH, Footer, INDEX_ENTRY_LENGTH, INDEX_HEADER_LENGTH, IndexHeader,
    index_entry_position,
};
use crate::limits::INDEX_BLOCK_BYTES;

/// Entries that make a block.
const BLOCK_ENTRIES: u64 = (INDEX_BLOCK_BYTES / INDEX_ENTRY_LENGTH) as u64;

/// What is left of an index file that is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IndexCut {
    /// Entries.
    written: u64,
    /// Their CRC-32C.
    crc: u32,
}

impl<F> Segment<F> {
    /// The next block is due after another block's worth of entries.
    pub(super) fn block_written(&mut self) {
        self.next_block_at = self.count + BLOCK_ENTRIES;
    }
}

impl<F: LogFile> Segment<F> {
    fn index_header(&self) -> IndexHeader {
        IndexHeader {
            base_index: self.base(),
            store_header_crc: self.header_crc,
            created_ms: self.header.created_ms,
        }
    }

    /// Empties the index file down to its header. Entries in memory stay and are all to be written again.
    pub(crate) async fn reset_index(&mut self) -> io::Result<()> {
        let header = self.index_header().encode();
        self.index_writes += 1;
        self.entries_written = 0;
        self.entries_crc = 0;
        self.footer = SegmentEnd::Open;
        self.next_block_at = BLOCK_ENTRIES;
        self.files.index.truncate(0).await?;
        self.files.index.append(&mut [IoSlice::new(&header)]).await
    }

    /// What the index file will hold when it is cut to the entries below number `kept`. Those are read where the file
    /// has more, which may find damage: to be called before anything is changed.
    pub(crate) async fn index_cut(&self, kept: u64) -> Result<IndexCut, ReadError> {
        let written = self.entries_written.min(kept);
        let crc = if written < self.entries_written {
            self.crc_of_entries(written).await?
        } else {
            self.entries_crc
        };
        Ok(IndexCut { written, crc })
    }

    /// Cuts the index file and takes away the footer. Entries in memory stay.
    pub(crate) async fn cut_index(&mut self, cut: IndexCut) -> io::Result<()> {
        let IndexCut { written, crc } = cut;
        let position = index_entry_position(written);
        self.index_writes += 1;
        self.footer = SegmentEnd::Open;
        if self.files.index.len() > position {
            self.files.index.truncate(position).await?;
        }
        (self.entries_written, self.entries_crc) = (written, crc);
        self.next_block_at = written + BLOCK_ENTRIES;
        Ok(())
    }

    /// CRC-32C of the first `count` entries in the file.
    async fn crc_of_entries(&self, count: u64) -> Result<u32, ReadError> {
        let (mut crc, mut number) = (0, 0);
        while number < count {
            let block = BLOCK_ENTRIES.min(count - number);
            let entries = self.view().read_entries(number, block).await?;
            for (entry, index) in entries.iter().zip(self.base() + number..) {
                crc = checksum::crc32c_append(crc, &entry.encode(index));
            }
            number += block;
        }
        Ok(crc)
    }

    /// Whether the index file begins with the header of this very store.
    pub(crate) async fn has_index_header(&self) -> io::Result<bool> {
        if self.files.index.len() < INDEX_HEADER_LENGTH as u64 {
            return Ok(false);
        }
        let bytes = self.files.index.read_at(0, INDEX_HEADER_LENGTH).await?;
        Ok(IndexHeader::decode(&bytes) == Some(self.index_header()))
    }

    /// The footer of this segment's index file, if there is one and it belongs to this store; to any
    /// store of this base index where `has_header` is off, because the store's header is lost.
    pub(crate) async fn read_footer(&self, has_header: bool) -> io::Result<Option<Footer>> {
        let length = self.files.index.len();
        let least = (INDEX_HEADER_LENGTH + FOOTER_LENGTH) as u64;
        if length < least {
            return Ok(None);
        }
        let header = self.files.index.read_at(0, INDEX_HEADER_LENGTH).await?;
        let belongs = |header: &IndexHeader| {
            header.base_index == self.base() && (!has_header || *header == self.index_header())
        };
        if !IndexHeader::decode(&header).is_some_and(|header| belongs(&header)) {
            return Ok(None);
        }
        let at = length - FOOTER_LENGTH as u64;
        let footer = Footer::decode(&self.files.index.read_at(at, FOOTER_LENGTH).await?);
        let entries = (length - least) / INDEX_ENTRY_LENGTH as u64;
        let aligned = (length - least).is_multiple_of(INDEX_ENTRY_LENGTH as u64);
        Ok(footer.filter(|footer| aligned && footer.count == entries))
    }

    /// Writes the entries that are only in memory yet, a block at a time. On failure the file is as it was after
    /// a block, or is not believed by the next open.
    pub(crate) async fn flush_index(&mut self) -> io::Result<()> {
        while self.entries_written < self.count {
            self.index_writes += 1;
            let end = index_entry_position(self.entries_written);
            if self.files.index.len() > end {
                self.footer = SegmentEnd::Open;
                // Half a write of an earlier try goes here too.
                self.files.index.truncate(end).await?;
            }
            let block = self.entries_written..self.count.min(self.entries_written + BLOCK_ENTRIES);
            let base = self.header.base_index;
            let bytes = &mut self.index_bytes;
            bytes.clear();
            self.entries.for_each(block.clone(), |number, entry| {
                let at = bytes.len();
                bytes.extend_from_slice(&[0; INDEX_ENTRY_LENGTH]);
                let place = bytes[at..].first_chunk_mut();
                entry.encode_into(base + number, place.expect("it was made just now"));
            });
            let crc = checksum::crc32c_append(self.entries_crc, bytes);
            self.files.index.append(&mut [IoSlice::new(bytes)]).await?;
            (self.entries_crc, self.entries_written) = (crc, block.end);
        }
        self.block_written();
        Ok(())
    }

    /// Forgets the entries that the index file has, but for the newest, which are read most.
    pub(crate) fn forget_written(&self) {
        let recent = self.count.saturating_sub(BLOCK_ENTRIES);
        self.entries.forget_below(self.entries_written.min(recent));
    }

    /// Takes all entries into memory.
    pub(crate) async fn load_entries(&self) -> Result<(), ReadError> {
        let missing = self.entries.range().start;
        let mut entries = Vec::new();
        let mut crc = 0;
        // In blocks, so that their bytes do not double what this needs.
        while (entries.len() as u64) < missing {
            let number = entries.len() as u64;
            let count = BLOCK_ENTRIES.min(missing - number);
            entries.append(&mut self.view().read_entries(number, count).await?);
        }
        for (entry, index) in entries.iter().zip(self.base()..) {
            crc = checksum::crc32c_append(crc, &entry.encode(index));
        }
        if self.has_footer() && crc != self.entries_crc && missing == self.count {
            let what = "the index is not the one that its footer names; \
                        close the log and delete the index file, opening rebuilds it";
            let (segment, index) = (self.base(), self.base());
            let position = index_entry_position(0);
            return Err(crate::error::Damage {
                segment,
                index,
                position,
                what,
            }
            .into());
        }
        self.entries.prepend(entries);
        Ok(())
    }

    /// Takes all entries into memory, from the store, where the index is damaged; says whether the store has all
    /// of them. The index file of a segment that grows is written anew with the next entries.
    pub(crate) async fn rebuild_entries(&mut self) -> io::Result<bool> {
        let scanned = scan(
            &self.files.store,
            self.base(),
            self.framing,
            Some(self.header_crc),
        );
        let scanned = scanned.await?;
        let is_whole =
            scanned.entries.len() as u64 == self.count && scanned.valid_length == self.store_length;
        if !is_whole {
            return Ok(false);
        }
        self.summary = scanned.summary;
        self.entries.restart_with(scanned.entries, self.bounds());
        if self.footer != SegmentEnd::Sealed {
            self.reset_index().await?;
        }
        Ok(true)
    }

    /// Whether enough entries wait for [`Segment::flush_index_block`] to write them. Where the files are in memory as well,
    /// they never do.
    #[inline]
    pub(crate) fn is_index_block_due(&self) -> bool {
        !F::IN_MEMORY && self.count >= self.next_block_at
    }

    /// Whether that will be so with one more record.
    #[inline]
    pub(crate) fn is_index_block_due_next(&self) -> bool {
        !F::IN_MEMORY && self.count + 1 >= self.next_block_at
    }

    /// Writes a block of entries once enough of them wait. A failure costs nothing but memory: the next
    /// block tries again, and a roll insists. Says whether one was written.
    pub(crate) async fn flush_index_block(&mut self) -> bool {
        if !self.is_index_block_due() {
            return false;
        }
        if let Err(error) = self.flush_index().await {
            tracing::warn!(segment = self.base(), %error, "index entries stay in memory for now");
            self.block_written();
            return false;
        }
        true
    }

    /// Marks the segment as complete. To be called only once everything in its store was synced.
    pub(crate) async fn write_footer(&mut self, end_as: SegmentEnd) -> io::Result<()> {
        assert_ne!(end_as, SegmentEnd::Open, "that has no footer");
        self.flush_index().await?;
        assert_eq!(
            self.entries_written, self.count,
            "a footer stands behind all entries"
        );
        let end = index_entry_position(self.count);
        self.footer = SegmentEnd::Open;
        if self.files.index.len() > end {
            self.files.index.truncate(end).await?;
        }
        let footer = Footer {
            is_sealed: end_as == SegmentEnd::Sealed,
            count: self.count,
            store_length: self.store_length,
            entries_crc: self.entries_crc,
            last_chunk_crc: self.summary.last_chunk_crc,
            max_timestamp: self.summary.max_timestamp,
            first_key: self.summary.first_key,
            last_key: self.summary.last_key,
            last_chunk_at: self.summary.last_chunk_at,
        };
        self.index_writes += 1;
        self.files
            .index
            .append(&mut [IoSlice::new(&footer.encode())])
            .await?;
        self.footer = end_as;
        Ok(())
    }
}
