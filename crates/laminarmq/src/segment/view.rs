//! Looking things up in one segment, for its owner and for readers beside it.

use std::io;

use bytes::Bytes;

use super::entries::{Bounds, Entries, Place};
use super::read::{Piece, check_chunk};
use super::{Framing, Segment, Summary};
use crate::env::{LogFile, ReadAt};
use crate::error::{Damage, ReadError};
use crate::format::{
    CHUNK_HEADER_LENGTH, ChunkHeader, FILE_HEADER_LENGTH, INDEX_ENTRY_LENGTH, IndexEntry,
    index_entry_position,
};
use crate::limits::SEARCH_BLOCK_ENTRIES;
use crate::record::EntryInfo;

/// A file that can be read, whoever owns it.
pub(crate) trait ReadFile {
    /// Exactly `length` bytes from `position`.
    async fn read_bytes(&self, position: u64, length: usize) -> io::Result<Bytes>;
}

impl<F: LogFile> ReadFile for F {
    #[inline(always)]
    fn read_bytes(&self, position: u64, length: usize) -> impl Future<Output = io::Result<Bytes>> {
        self.read_at(position, length)
    }
}

/// A file that is read beside its owner.
#[derive(Debug, Clone)]
pub(crate) struct Beside<R>(pub(crate) R);

impl<R: ReadAt> ReadFile for Beside<R> {
    async fn read_bytes(&self, position: u64, length: usize) -> io::Result<Bytes> {
        self.0.read_at(position, length)
    }
}

/// A segment as it is at one time.
#[derive(Debug)]
pub(crate) struct View<'a, R> {
    pub(crate) base: u64,
    pub(crate) framing: Framing,
    pub(crate) bounds: Bounds,
    pub(crate) entries: &'a Entries,
    pub(crate) store: &'a R,
    pub(crate) index: &'a R,
}

impl<R> Clone for View<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for View<'_, R> {}

const INDEX_REBUILDS: &str = "not the index entry that was written; \
                              close the log and delete the index file, opening rebuilds it";
const INDEX_SHORT: &str = "the index file is too short; \
                           close the log and delete that file, opening rebuilds it";

impl<R: ReadFile> View<'_, R> {
    /// One past the last record.
    pub(crate) fn end(&self) -> u64 {
        self.base + self.bounds.count
    }

    /// One entry, from memory or straight from the file.
    pub(crate) async fn entry(&self, index: u64) -> Result<IndexEntry, ReadError> {
        // The owner checks the bounds; for a reader beside it they may have changed since.
        if !(self.base..self.end()).contains(&index) {
            return Err(ReadError::Truncated);
        }
        let number = index - self.base;
        if let Some(entry) = self.entries.get(number) {
            return Ok(entry);
        }
        let mut found = self.read_entries(number, 1).await?;
        Ok(found.pop().expect("one entry was read"))
    }

    /// The entry of record `index`, and where the record ends in the store.
    pub(crate) async fn span(&self, index: u64) -> Result<(IndexEntry, u64), ReadError> {
        // For a reader beside the owner, a truncation may have taken the record from the segment before.
        let number = index.checked_sub(self.base).ok_or(ReadError::Truncated)?;
        if let Some(found) = self.entries.get_with_end(number) {
            return Ok(found);
        }
        Ok((self.entry(index).await?, self.end_position(index).await?))
    }

    /// Where the record `index` ends in the store.
    pub(crate) async fn end_position(&self, index: u64) -> Result<u64, ReadError> {
        if index + 1 < self.end() {
            Ok(self.entry(index + 1).await?.position)
        } else {
            Ok(self.bounds.store_length)
        }
    }

    /// The entry of record `index` contradicts others, with whatever check it has.
    pub(crate) fn not_written(&self, index: u64) -> ReadError {
        ReadError::from(Damage {
            segment: self.base,
            index,
            position: index_entry_position(index - self.base),
            what: INDEX_REBUILDS,
        })
    }

    /// `count` entries from the file, beginning with entry number `number`.
    pub(crate) async fn read_entries(
        &self,
        number: u64,
        count: u64,
    ) -> Result<Vec<IndexEntry>, ReadError> {
        let position = index_entry_position(number);
        let segment = self.base;
        let io = |source| ReadError::Io {
            segment,
            position,
            source,
        };
        let damaged = |index, position, what| {
            ReadError::from(Damage {
                segment,
                index,
                position,
                what,
            })
        };
        let count = usize::try_from(count).map_err(|error| io(io::Error::other(error)))?;
        let read = self
            .index
            .read_bytes(position, count * INDEX_ENTRY_LENGTH)
            .await;
        let bytes = read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged(segment + number, position, INDEX_SHORT),
            _ => io(error),
        })?;
        let mut entries = Vec::with_capacity(count);
        // The bytes come first: behind the last of them there may be no further index.
        for (bytes, index) in bytes
            .chunks_exact(INDEX_ENTRY_LENGTH)
            .zip(segment + number..)
        {
            let entry = IndexEntry::decode(bytes, index);
            let position = index_entry_position(index - segment);
            entries.push(entry.ok_or_else(|| damaged(index, position, INDEX_REBUILDS))?);
        }
        Ok(entries)
    }

    /// Where the records from `first` on stand, which is in the segment: at least one, at most `most`, in place of what
    /// is in `places`.
    pub(crate) async fn places(
        &self,
        first: u64,
        most: usize,
        places: &mut Vec<Place>,
    ) -> Result<(), ReadError> {
        places.clear();
        self.entries.places(first - self.base, most, places);
        if !places.is_empty() {
            return Ok(());
        }
        let in_file = self.entries.range().start.saturating_sub(first - self.base);
        let read = self.read_entries(first - self.base, in_file.min(most as u64));
        match Box::pin(read).await {
            Ok(entries) => places.extend(entries.iter().map(Place::from)),
            // It may be another one of them that is damaged.
            Err(_) => places.push(Place::from(&self.entry(first).await?)),
        }
        Ok(())
    }

    /// First index in `[low, high)` whose entry does not fulfil `is_before`, or `high`. `is_before` holds up
    /// to some entry and for none behind it.
    pub(crate) async fn partition_point(
        &self,
        mut low: u64,
        mut high: u64,
        mut is_before: impl FnMut(&IndexEntry) -> bool,
    ) -> Result<u64, ReadError> {
        let base = self.base;
        let numbers = low - base..high - base;
        let in_memory = self.entries.partition_point(numbers, &mut is_before);
        if let Some(number) = in_memory {
            return Ok(base + number);
        }
        while low < high && high - low > SEARCH_BLOCK_ENTRIES {
            let middle = low + (high - low) / 2;
            if is_before(&self.entry(middle).await?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        // Entries that are not in memory are in the file, but not the other way round.
        if low < high && self.entries.get(low - base).is_none() {
            let held = self.entries.range().start.max(low - base);
            let in_file = held.min(high - base) - (low - base);
            let entries = self.read_entries(low - base, in_file).await?;
            let before = entries.iter().take_while(|entry| is_before(entry)).count() as u64;
            low += before;
            if before < in_file {
                return Ok(low);
            }
        }
        while low < high && is_before(&self.entry(low).await?) {
            low += 1;
        }
        Ok(low)
    }

    /// The first chunk header of record `index`, whose entry says `position`, checked, and its checksum.
    pub(crate) async fn chunk_header(
        &self,
        index: u64,
        position: u64,
    ) -> Result<(ChunkHeader, u32), ReadError> {
        self.chunk(index, position, true).await
    }

    /// Whether `bytes` are the header of a chunk of record `index`, see [`check_chunk`].
    pub(crate) fn check_header(
        &self,
        bytes: &[u8],
        index: u64,
        is_first: bool,
        link: Option<u32>,
        left: u64,
    ) -> Result<(ChunkHeader, u32), &'static str> {
        check_chunk(
            ChunkHeader::decode(bytes, self.framing.seed),
            index,
            is_first,
            link,
            left,
        )
    }

    async fn chunk(
        &self,
        index: u64,
        position: u64,
        is_first: bool,
    ) -> Result<(ChunkHeader, u32), ReadError> {
        let length = CHUNK_HEADER_LENGTH as u64;
        let piece = Piece::one(self, index, position, length);
        let read = self.store.read_bytes(position, CHUNK_HEADER_LENGTH).await;
        let bytes = read.map_err(|error| piece.error(error))?;
        let left = self.bounds.store_length.saturating_sub(position);
        self.check_header(&bytes, index, is_first, None, left)
            .map_err(|what| piece.damaged(index, position, what))
    }

    /// Position and checksum of the header of the last chunk of record `index`.
    pub(crate) async fn last_chunk(&self, index: u64) -> Result<(u64, u32), ReadError> {
        let mut position = self.entry(index).await?.position;
        let (mut header, mut crc) = self.chunk(index, position, true).await?;
        while !header.is_last() {
            position += header.stored_length();
            (header, crc) = self.chunk(index, position, false).await?;
        }
        Ok((position, crc))
    }
}

impl<F: LogFile> Segment<F> {
    /// Where the store ends, and what the records amount to, when it is cut to end at record `end`.
    pub(crate) async fn cut_at(&self, end: u64) -> Result<(u64, Summary), ReadError> {
        let (view, base) = (self.view(), self.base());
        if end == base {
            let length = FILE_HEADER_LENGTH as u64;
            return Ok((length, Summary::empty(self.header_crc)));
        }
        let first = view.entry(base).await?;
        let (last, position) = view.span(end - 1).await?;
        let last_chunk = view.last_chunk(end - 1).await?;
        let extra_chunks = self.extra_chunks_below(end, position).await?;
        Ok((
            position,
            Summary::of(&first, &last, last_chunk, extra_chunks),
        ))
    }

    /// Chunks beyond one per record of the records below `end`, which end at `position`.
    async fn extra_chunks_below(&self, end: u64, position: u64) -> Result<u64, ReadError> {
        if self.summary.extra_chunks == 0 {
            return Ok(0);
        }
        let header = CHUNK_HEADER_LENGTH as u64;
        let (mut number, kept) = (0, end - self.base());
        let mut one_per_record = FILE_HEADER_LENGTH as u64 + kept * header;
        let view = self.view();
        while number < kept {
            let entry = match self.entries.get(number) {
                Some(entry) => entry,
                None => view.entry(self.base() + number).await?,
            };
            one_per_record += entry.length;
            number += 1;
        }
        Ok(position.saturating_sub(one_per_record) / header)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::poll_ready;

    /// Nothing is to be read from it.
    struct NoFile;

    impl ReadFile for NoFile {
        async fn read_bytes(&self, _position: u64, _length: usize) -> io::Result<Bytes> {
            Err(io::Error::other("not asked for"))
        }
    }

    /// A reader looks for its segment while the owner cuts: it may come to one behind the record.
    #[test]
    fn a_record_outside_the_segment_is_truncated() {
        let bounds = Bounds {
            count: 0,
            store_length: FILE_HEADER_LENGTH as u64,
            summary: Summary::empty(0),
        };
        let view = View {
            base: 60,
            framing: Framing::new(60, crate::checksum::ValueChecksum::CRC32C),
            bounds,
            entries: &Entries::new(bounds),
            store: &NoFile,
            index: &NoFile,
        };
        for index in [0, 59, 60, 61, u64::MAX - 1] {
            let entry = poll_ready(view.entry(index));
            assert!(matches!(entry, Err(ReadError::Truncated)), "{index}");
            let span = poll_ready(view.span(index));
            assert!(matches!(span, Err(ReadError::Truncated)), "{index}");
        }
    }
}
