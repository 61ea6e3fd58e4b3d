//! Reading a segment, and what it says of itself.

use std::collections::VecDeque;
use std::hash::Hasher;
use std::io;
use std::ops::Range;
use std::time::Duration;

use num_traits::{CheckedSub, FromPrimitive, ToPrimitive, Unsigned};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Segment, SegmentError, SegmentOpError};
use crate::common::serde_compat::SerializationProvider;
use crate::common::split::SplitAt;
use crate::env::system_now_ms;
use crate::error::ReadError;
use crate::format::{CHUNK_HEADER_LENGTH, FILE_HEADER_LENGTH, IndexEntry};
use crate::limits::STREAM_AHEAD_BYTES;
use crate::segment::{Piece, Place, parse_chunk};
use crate::storage::commit_log::segmented_log::index::{
    INDEX_BASE_MARKER_LENGTH, INDEX_RECORD_LENGTH, IndexError, IndexRecord,
};
use crate::storage::commit_log::segmented_log::metadata::Framed;
use crate::storage::commit_log::segmented_log::{MetaWithIdx, Record};
use crate::storage::{AsyncIndexedRead, Sizable, Storage};

impl<S, M, H, Idx, Size, SERP> Segment<S, M, H, Idx, Size, SERP>
where
    S: Storage,
{
    /// Bytes that count for the records of the store, see [`Config`](super::Config).
    pub(crate) fn store_size(&self) -> u64 {
        let chunks = self.count + self.summary.extra_chunks;
        let headers = FILE_HEADER_LENGTH as u64 + chunks * CHUNK_HEADER_LENGTH as u64;
        let values = self.store_length.saturating_sub(headers);
        values + self.count * self.files.store.limits().per_record
    }

    /// Bytes of the index with an entry for every record.
    pub(crate) fn index_size(&self) -> u64 {
        INDEX_BASE_MARKER_LENGTH as u64 + self.count * INDEX_RECORD_LENGTH as u64
    }

    /// Most bytes that the next record may count for.
    pub(crate) fn append_threshold(&self) -> u64 {
        let limits = self.files.store.limits();
        let room = limits.store.saturating_sub(self.store_size());
        room.saturating_add(limits.overflow)
    }

    /// Most bytes that the next record may have stored.
    pub(crate) fn stored_bytes_max(&self) -> u64 {
        let per_record = self.files.store.limits().per_record;
        self.append_threshold().saturating_sub(per_record)
    }

    /// Whether the segment takes no more records.
    #[must_use]
    pub fn is_maxed(&self) -> bool {
        let limits = self.files.store.limits();
        self.store_size() >= limits.store || self.index_size() >= limits.index
    }

    /// How long ago the segment was created, by the milliseconds of a clock; nothing where that was set back.
    pub(crate) fn age(&self, now_ms: i64) -> Duration {
        let age = now_ms.saturating_sub(self.header.created_ms);
        Duration::from_millis(u64::try_from(age).unwrap_or(0))
    }

    /// Whether the segment was created at least so long ago. The time is stored, in milliseconds.
    #[must_use]
    pub fn has_expired(&self, expiry_duration: Duration) -> bool {
        self.age(system_now_ms()) >= expiry_duration
    }

    /// The index entries of all records, where the segment is index-cached.
    ///
    /// They are put together when they are first asked for, and again after a change.
    pub fn cached_index_records(&self) -> Option<&Vec<IndexRecord>> {
        if !self.is_index_cached() {
            return None;
        }
        let collect = || {
            let mut records = Vec::with_capacity(usize::try_from(self.count).unwrap_or(0));
            let take = |_, entry: &IndexEntry| records.push(IndexRecord::from(entry));
            self.entries.for_each(0..self.count, take);
            records
        };
        Some(self.files.store.shown().get_or_init(collect))
    }

    pub(crate) fn is_index_cached(&self) -> bool {
        self.entries.range().start == 0
    }
}

impl<S, M, H, Idx, Size, SERP> Segment<S, M, H, Idx, Size, SERP>
where
    S: Storage,
    SERP: SerializationProvider,
{
    /// Takes all index entries into memory; where the index is damaged, from the store.
    ///
    /// # Errors
    ///
    /// Where neither can be read.
    pub async fn cache_index(&mut self) -> Result<(), SegmentOpError<S, SERP>> {
        if !self.is_index_cached() {
            match self.load_entries().await {
                Ok(()) => {}
                // The store has everything that an index is made of.
                Err(ReadError::Damaged(damage))
                    if self.rebuild_entries().await.unwrap_or(false) =>
                {
                    tracing::warn!(%damage, "a damaged index was read from its store instead");
                }
                Err(error) => {
                    return Err(SegmentError::of_index(error, self.files.index.aside()));
                }
            }
        }
        self.count_extra_chunks();
        Ok(())
    }

    /// What a footer does not say, from the entries, which are all held.
    fn count_extra_chunks(&mut self) {
        let mut values = 0;
        self.entries
            .for_each(0..self.count, |_, entry| values += entry.length);
        let header = CHUNK_HEADER_LENGTH as u64;
        let one_each = FILE_HEADER_LENGTH as u64 + self.count * header + values;
        self.summary.extra_chunks = self.store_length.saturating_sub(one_each) / header;
    }

    /// Gives the index entries back where the segment is index-cached; it no longer is then. Entries that the index
    /// storage does not have yet stay all the same.
    pub fn take_cached_index_records(&mut self) -> Option<Vec<IndexRecord>> {
        let records = self.cached_index_records().cloned();
        self.forget_written_index();
        records
    }

    /// Forgets the index entries, which the index storage has after this. Where it cannot be written they stay.
    pub(crate) async fn forget_index(&mut self) {
        if let Err(error) = self.flush_index().await {
            tracing::warn!(segment = self.base(), %error, "index entries stay in memory");
        }
        self.forget_written_index();
    }

    fn forget_written_index(&mut self) {
        if self.entries_written == self.count {
            self.entries.forget_all();
        }
    }
}

impl<S, M, H, Idx, Size, SERP> Segment<S, M, H, Idx, Size, SERP>
where
    S: Storage,
    S::Content: SplitAt<u8>,
    SERP: SerializationProvider,
    H: Hasher + Default,
    Idx: FromPrimitive,
    M: DeserializeOwned,
{
    /// The record with this index, verified.
    pub(crate) async fn read_record(
        &self,
        index: u64,
    ) -> Result<Record<M, Idx, S::Content>, SegmentOpError<S, SERP>> {
        if !(self.base()..self.end()).contains(&index) {
            return Err(SegmentError::IndexError(IndexError::IndexOutOfBounds));
        }
        let entry = self.view().entry(index).await;
        let entry =
            entry.map_err(|error| SegmentError::of_index(error, self.files.index.aside()))?;
        self.read_at_place(index, Place::from(&entry)).await
    }

    /// The record with this index, which stands there by the index, verified.
    #[inline]
    pub(crate) async fn read_at_place(
        &self,
        index: u64,
        place: Place,
    ) -> Result<Record<M, Idx, S::Content>, SegmentOpError<S, SERP>> {
        let store = &self.files.store;
        // Nearly every record is one chunk.
        let length = place.length.saturating_add(CHUNK_HEADER_LENGTH as u64);
        let mut what = "the record ends without its last chunk";
        let picked = store.read_part(place.position, length, |bytes| {
            match parse_chunk(bytes, 0, index, true, None, self.framing) {
                Ok((head, _, value)) if head.is_last() => {
                    Some(pick::<S, M, SERP>(bytes, value, head.entry_flags))
                }
                Ok(_) => None,
                Err((_, error)) => {
                    what = error;
                    None
                }
            }
        });
        match picked.await {
            Ok(Some((value, metadata))) => Ok(record(metadata?, index, value)),
            Ok(None) => Box::pin(self.read_chunks(index, place.position, what)).await,
            Err(error) => {
                let piece = Piece::one(&self.view(), index, place.position, length);
                Err(SegmentError::of_store(&piece.error(error), store.aside()))
            }
        }
    }

    /// Reads the records from `index` on, as many as the storage likes of those that stand at `places`, one behind the
    /// other and in a chunk each: puts them behind what is in `ahead`, verified. A record that cannot be read like this, and those behind it, are not among them.
    pub(crate) async fn read_ahead(
        &self,
        index: u64,
        places: &[Place],
        ahead: &mut VecDeque<Ahead<S, M, SERP>>,
    ) {
        let Some(first) = places.first() else { return };
        let follow = |pair: &[Place; 2]| {
            pair[0].one_chunk_end() == pair[1].position
                && pair[1].one_chunk_end() - first.position <= STREAM_AHEAD_BYTES
        };
        let behind = places.array_windows().take_while(|pair| follow(pair));
        let last = places[behind.count()];
        let length = last.one_chunk_end().saturating_sub(first.position);
        let (mut at, mut link, mut next) = (0, None, index);
        let read = self.files.store.read_parts(
            first.position,
            length,
            |bytes| {
                if at == bytes.len() {
                    return None;
                }
                let parsed = parse_chunk(bytes, at, next, true, link, self.framing);
                let (head, crc, value) = parsed.ok().filter(|(head, ..)| head.is_last())?;
                (at, link, next) = (value.end, Some(crc), next + 1);
                Some(pick::<S, M, SERP>(bytes, value, head.entry_flags))
            },
            ahead,
        );
        // Whoever needs the record reads it alone, and is told what is wrong with it.
        let _: io::Result<()> = read.await;
    }

    /// A record that is not one undamaged chunk, which `what` says of it.
    async fn read_chunks(
        &self,
        index: u64,
        position: u64,
        what: &'static str,
    ) -> Result<Record<M, Idx, S::Content>, SegmentOpError<S, SERP>> {
        let view = self.view();
        let store = &self.files.store;
        let failed = |error: ReadError| SegmentError::of_store(&error, store.aside());
        let piece = Piece::one(&view, index, position, 0);
        let span = view.span(index).await;
        let (entry, end) =
            span.map_err(|error| SegmentError::of_index(error, self.files.index.aside()))?;
        let one_chunk = entry.length.saturating_add(CHUNK_HEADER_LENGTH as u64);
        if end <= position.saturating_add(one_chunk) {
            return Err(failed(piece.damaged(index, position, what)));
        }
        let mut chunks = self.chunks(index).await?;
        let mut parts = Vec::new();
        let first = self.next_chunk(&mut chunks).await?;
        let (metadata, part) = self.split_first(first)?;
        parts.push(part);
        while let Some(part) = self.next_value(&mut chunks).await? {
            parts.push(part);
        }
        let whole = S::Content::join(parts).ok_or(SegmentError::RecordMetadataNotFound)?;
        Ok(record(metadata, index, whole))
    }

    /// Where the chunks of a record stand.
    pub(crate) async fn chunks(&self, index: u64) -> Result<Chunks, SegmentOpError<S, SERP>> {
        if !(self.base()..self.end()).contains(&index) {
            return Err(SegmentError::IndexError(IndexError::IndexOutOfBounds));
        }
        let span = self.view().span(index).await;
        let (entry, end) =
            span.map_err(|error| SegmentError::of_index(error, self.files.index.aside()))?;
        Ok(Chunks {
            index,
            at: entry.position,
            end,
            link: None,
        })
    }

    /// The next chunk, verified; `None` behind the last one.
    pub(crate) async fn next_chunk(
        &self,
        chunks: &mut Chunks,
    ) -> Result<Option<Chunk<S::Content>>, SegmentOpError<S, SERP>> {
        let Chunks {
            index,
            at,
            end,
            link,
        } = *chunks;
        if at >= end {
            return Ok(None);
        }
        let (view, store) = (self.view(), &self.files.store);
        let is_first = link.is_none();
        let piece = Piece::one(&view, index, at, 0);
        let failed = |error: ReadError| SegmentError::of_store(&error, store.aside());
        let damaged = |what| failed(piece.damaged(index, at, what));
        let left = end - at;
        let header = (CHUNK_HEADER_LENGTH as u64).min(left);
        let header = store.read_content(at, header).await;
        let header = header.map_err(|error| failed(piece.error(error)))?;
        let header = view.check_header(&header, index, is_first, link, left);
        let (header, _) = header.map_err(damaged)?;
        let content = store.read_content(at, header.stored_length()).await;
        let content = content.map_err(|error| failed(piece.error(error)))?;
        let parsed = parse_chunk(&content, 0, index, is_first, link, self.framing);
        let (head, crc, value) = parsed.map_err(|(_, what)| damaged(what))?;
        let next = at + head.stored_length();
        if head.is_last() != (next == end) {
            return Err(damaged("the record does not end where the index says"));
        }
        (chunks.at, chunks.link) = (next, Some(crc));
        let flags = head.entry_flags;
        Ok(Some(Chunk {
            content,
            value,
            flags,
        }))
    }

    /// Metadata and the value's beginning in the first chunk of a record, which holds the metadata as a whole.
    pub(crate) fn split_first(
        &self,
        first: Option<Chunk<S::Content>>,
    ) -> Result<(M, S::Content), SegmentOpError<S, SERP>> {
        let missing = || SegmentError::RecordMetadataNotFound;
        let Chunk {
            content,
            value,
            flags,
        } = first.ok_or_else(missing)?;
        let framed = Framed::of(&content[value.clone()], flags)?;
        let metadata = framed.metadata::<M, SERP, _>(&content[value.clone()])?;
        let value = content.tail(value.start + framed.value_at);
        Ok((metadata, value.ok_or_else(missing)?))
    }

    /// What the next chunk has of the value, behind the first one.
    pub(crate) async fn next_value(
        &self,
        chunks: &mut Chunks,
    ) -> Result<Option<S::Content>, SegmentOpError<S, SERP>> {
        let Some(Chunk { content, value, .. }) = self.next_chunk(chunks).await? else {
            return Ok(None);
        };
        let value = content.tail(value.start);
        Ok(Some(value.ok_or(SegmentError::RecordMetadataNotFound)?))
    }
}

/// A record that was read ahead: its value, and its metadata.
pub(crate) type Ahead<S, M, SERP> = (<S as Storage>::Content, Result<M, SegmentOpError<S, SERP>>);

/// Where the value is in a chunk that is a whole record, and the record's metadata.
#[inline]
fn pick<S, M, SERP>(
    bytes: &[u8],
    payload: Range<usize>,
    flags: u8,
) -> (Range<usize>, Result<M, SegmentOpError<S, SERP>>)
where
    S: Storage,
    M: DeserializeOwned,
    SERP: SerializationProvider,
{
    let stored = &bytes[payload.clone()];
    match Framed::of(stored, flags) {
        Ok(framed) => {
            let value = payload.start + framed.value_at..payload.end;
            (value, framed.metadata::<M, SERP, _>(stored))
        }
        Err(error) => (payload, Err(error)),
    }
}

/// Where a record is being read, chunk by chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunks {
    index: u64,
    /// Where the next one stands, and where the record ends.
    at: u64,
    end: u64,
    /// Checksum of the one before.
    link: Option<u32>,
}

/// A verified chunk.
pub(crate) struct Chunk<C> {
    content: C,
    /// Where its payload is in that.
    value: Range<usize>,
    flags: u8,
}

pub(crate) fn record<M, Idx: FromPrimitive, T>(
    metadata: M,
    index: u64,
    value: T,
) -> Record<M, Idx, T> {
    let index = Idx::from_u64(index);
    let metadata = MetaWithIdx { metadata, index };
    Record { metadata, value }
}

impl<S, M, H, Idx, SERP> AsyncIndexedRead for Segment<S, M, H, Idx, S::Size, SERP>
where
    S: Storage,
    S::Content: SplitAt<u8>,
    SERP: SerializationProvider,
    H: Hasher + Default,
    Idx: Unsigned + CheckedSub + FromPrimitive + ToPrimitive + Ord + Copy,
    M: Serialize + DeserializeOwned,
{
    type ReadError = SegmentOpError<S, SERP>;
    type Value = Record<M, Idx, S::Content>;
    type Idx = Idx;

    async fn read(&self, idx: &Idx) -> Result<Self::Value, Self::ReadError> {
        let index = idx.to_u64();
        let index = index.ok_or(SegmentError::IndexError(IndexError::IncompatibleIdxType))?;
        self.read_record(index).await
    }

    fn highest_index(&self) -> Idx {
        Idx::from_u64(self.end()).expect("appends keep within the type")
    }

    fn lowest_index(&self) -> Idx {
        Idx::from_u64(self.base()).expect("appends keep within the type")
    }
}

impl<S, M, H, Idx, SERP> Sizable for Segment<S, M, H, Idx, S::Size, SERP>
where
    S: Storage,
{
    type Size = S::Size;

    /// Bytes of the store, as [`Config`](super::Config) counts them, and of the index.
    fn size(&self) -> S::Size {
        let size = |bytes| S::Size::from_u64(bytes).unwrap_or_else(num_traits::zero);
        size(self.store_size()) + size(self.index_size())
    }
}
