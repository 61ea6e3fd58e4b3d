//! A segment's index file: written late and in blocks, read by arithmetic.

use std::io::{self, IoSlice};

use super::Segment;
use crate::env::LogFile;
use crate::error::{Damage, ReadError};
use crate::format::{
    FOOTER_LENGTH, Footer, INDEX_ENTRY_LENGTH, INDEX_HEADER_LENGTH, IndexEntry, IndexHeader,
};
use crate::limits::{INDEX_BLOCK_BYTES, SEARCH_BLOCK_ENTRIES};

/// Entries that make a block.
const BLOCK_ENTRIES: u64 = (INDEX_BLOCK_BYTES / INDEX_ENTRY_LENGTH) as u64;

/// Where entry number `number` stands in an index file.
fn entry_position(number: u64) -> u64 {
    INDEX_HEADER_LENGTH as u64 + number * INDEX_ENTRY_LENGTH as u64
}

impl<F: LogFile> Segment<F> {
    fn index_header(&self) -> IndexHeader {
        IndexHeader {
            base_index: self.base(),
            store_header_crc: self.header_crc,
        }
    }

    /// Empties the index file down to its header. Entries in memory stay and are all to be written again.
    pub(crate) async fn reset_index(&mut self) -> io::Result<()> {
        let header = self.index_header().encode();
        self.index_writes += 1;
        self.entries_written = 0;
        self.entries_crc = 0;
        self.has_footer = false;
        self.next_block_at = BLOCK_ENTRIES;
        self.files.index.truncate(0).await?;
        self.files.index.append(&mut [IoSlice::new(&header)]).await
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

    /// Writes the entries that are only in memory yet. On failure the file is as it was, or is not
    /// believed by the next open.
    pub(crate) async fn flush_index(&mut self) -> io::Result<()> {
        let Some(entries) = &self.entries else {
            return Ok(());
        };
        let written = usize::try_from(self.entries_written).map_err(io::Error::other)?;
        let waiting = entries.get(written..).unwrap_or_default();
        if waiting.is_empty() {
            return Ok(());
        }
        self.index_writes += 1;
        let end = entry_position(self.entries_written);
        if self.files.index.len() > end {
            self.files.index.truncate(end).await?;
            self.has_footer = false;
        }
        let mut bytes = Vec::with_capacity(waiting.len() * INDEX_ENTRY_LENGTH);
        for (index, entry) in (self.header.base_index + self.entries_written..).zip(waiting) {
            bytes.extend_from_slice(&entry.encode(index));
        }
        let crc = crc32c::crc32c_append(self.entries_crc, &bytes);
        // Half a write is cut by the next one, since the file is then longer than `end`.
        self.files.index.append(&mut [IoSlice::new(&bytes)]).await?;
        self.entries_crc = crc;
        self.entries_written = self.count;
        self.block_written();
        Ok(())
    }

    /// Writes a block of entries once enough of them wait. A failure costs nothing but memory: the next
    /// block tries again, and a roll insists.
    pub(crate) async fn flush_index_block(&mut self) {
        if self.count < self.next_block_at {
            return;
        }
        if let Err(error) = self.flush_index().await {
            tracing::warn!(segment = self.base(), %error, "index entries stay in memory for now");
            self.block_written();
        }
    }

    /// The next block is due after another block's worth of entries.
    pub(super) fn block_written(&mut self) {
        self.next_block_at = self.count + BLOCK_ENTRIES;
    }

    /// Marks the segment as complete. To be called only once everything in its store was synced.
    pub(crate) async fn write_footer(&mut self) -> io::Result<()> {
        self.flush_index().await?;
        assert_eq!(
            self.entries_written, self.count,
            "a footer stands behind all entries"
        );
        let end = entry_position(self.count);
        if self.files.index.len() > end {
            self.files.index.truncate(end).await?;
        }
        let footer = Footer {
            count: self.count,
            store_length: self.store_length,
            entries_crc: self.entries_crc,
            last_chunk_crc: self.summary.last_chunk_crc,
            max_timestamp: self.summary.max_timestamp,
            first_key: self.summary.first_key,
            last_key: self.summary.last_key,
        };
        self.index_writes += 1;
        self.files
            .index
            .append(&mut [IoSlice::new(&footer.encode())])
            .await?;
        self.has_footer = true;
        Ok(())
    }

    /// One entry, from memory or straight from the file.
    pub(crate) async fn entry(&self, index: u64) -> Result<IndexEntry, ReadError> {
        assert!(
            (self.base()..self.end()).contains(&index),
            "callers check the bounds"
        );
        let number = index - self.base();
        if let Some(entries) = &self.entries {
            let number = usize::try_from(number).expect("it indexes a vector in memory");
            return Ok(entries[number]);
        }
        let mut found = self.read_entries(number, 1).await?;
        Ok(found.pop().expect("one entry was read"))
    }

    /// `count` entries from the file, beginning with entry number `number`.
    pub(crate) async fn read_entries(
        &self,
        number: u64,
        count: u64,
    ) -> Result<Vec<IndexEntry>, ReadError> {
        let position = entry_position(number);
        let segment = self.base();
        let io = |source| ReadError::Io {
            segment,
            position,
            source,
        };
        let count = usize::try_from(count).map_err(|error| io(io::Error::other(error)))?;
        let bytes = match self
            .files
            .index
            .read_at(position, count * INDEX_ENTRY_LENGTH)
            .await
        {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let what = "the index file is too short; close the log and delete that file, opening rebuilds it";
                return Err(Damage {
                    segment,
                    index: segment + number,
                    position,
                    what,
                }
                .into());
            }
            Err(error) => return Err(io(error)),
        };
        let mut entries = Vec::with_capacity(count);
        for (index, bytes) in (segment + number..).zip(bytes.chunks_exact(INDEX_ENTRY_LENGTH)) {
            let Some(entry) = IndexEntry::decode(bytes, index) else {
                let what = "not the index entry that was written; \
                            close the log and delete the index file, opening rebuilds it";
                let position = entry_position(index - segment);
                return Err(Damage {
                    segment,
                    index,
                    position,
                    what,
                }
                .into());
            };
            entries.push(entry);
        }
        Ok(entries)
    }

    /// First index in `[low, high)` whose entry does not fulfil `is_before`, or `high`. `is_before` holds up
    /// to some entry and for none behind it.
    pub(crate) async fn partition_point(
        &self,
        mut low: u64,
        mut high: u64,
        mut is_before: impl FnMut(u64, &IndexEntry) -> bool,
    ) -> Result<u64, ReadError> {
        let block = if self.entries.is_some() {
            0
        } else {
            SEARCH_BLOCK_ENTRIES
        };
        while low < high && high - low > block {
            let middle = low + (high - low) / 2;
            if is_before(middle, &self.entry(middle).await?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if low < high {
            let entries = self.read_entries(low - self.base(), high - low).await?;
            low += entries
                .iter()
                .zip(low..)
                .take_while(|(entry, index)| is_before(*index, entry))
                .count() as u64;
        }
        Ok(low)
    }
}
