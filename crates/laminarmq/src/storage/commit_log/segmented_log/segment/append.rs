//! Appending to a segment by itself.

use std::future::poll_fn;
use std::hash::Hasher;
use std::ops::Deref;
use std::pin::Pin;

use futures_core::Stream;
use num_traits::{CheckedSub, FromPrimitive, ToPrimitive, Unsigned};
use serde::Serialize;

use super::{Segment, SegmentError, SegmentOpError, SegmentStorageProvider};
use crate::common::serde_compat::SerializationProvider;
use crate::env::system_about_now_ms;
use crate::error::AppendError;
use crate::limits::RECORD_BYTES_CEILING;
use crate::record::Append;
use crate::segment::{Run, Scratch};
use crate::storage::Storage;
use crate::storage::commit_log::segmented_log::Record;
use crate::storage::commit_log::segmented_log::index::IndexError;
use crate::storage::commit_log::segmented_log::metadata::Serialized;

/// The next item of a stream.
pub(crate) async fn next<X: Stream + Unpin>(stream: &mut X) -> Option<X::Item> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

/// All that a stream yields, at most `limit` bytes; `None` where it yields an error or more.
pub(crate) async fn collect<X, XBuf, XE>(mut stream: X, limit: u64) -> Option<Vec<u8>>
where
    X: Stream<Item = Result<XBuf, XE>> + Unpin,
    XBuf: Deref<Target = [u8]>,
{
    let mut bytes = Vec::new();
    while let Some(item) = next(&mut stream).await {
        let Ok(buf) = item else { return None };
        if (bytes.len() + buf.len()) as u64 > limit {
            return None;
        }
        bytes.extend_from_slice(&buf);
    }
    Some(bytes)
}

impl<S, M, H, Idx, SERP> Segment<S, M, H, Idx, S::Size, SERP>
where
    S: Storage,
    M: Serialize,
    H: Hasher + Default,
    Idx: Unsigned + CheckedSub + FromPrimitive + ToPrimitive + Ord + Copy,
    SERP: SerializationProvider,
{
    /// Appends a record whose value is what a stream yields, all of which is held in memory before it is written: a log
    /// writes it as it comes.
    ///
    /// # Errors
    ///
    /// [`SegmentError::SegmentMaxed`], [`SegmentError::InvalidAppendIdx`], a stream that yields an error or too much,
    /// and what the storage says. The segment is as it was then.
    pub async fn append<XBuf, X, XE>(
        &mut self,
        record: Record<M, Idx, X>,
    ) -> Result<Idx, SegmentOpError<S, SERP>>
    where
        XBuf: Deref<Target = [u8]>,
        X: Stream<Item = Result<XBuf, XE>> + Unpin,
    {
        let Record { metadata, value } = record;
        let value = collect(value, self.append_threshold()).await;
        let value = value.ok_or_else(SegmentError::unexpected_length)?;
        self.append_record_with_contiguous_bytes(&Record { metadata, value })
            .await
    }

    /// Appends a record whose value is in memory.
    ///
    /// # Errors
    ///
    /// As [`Segment::append`].
    pub async fn append_record_with_contiguous_bytes<X>(
        &mut self,
        record: &Record<M, Idx, X>,
    ) -> Result<Idx, SegmentOpError<S, SERP>>
    where
        X: Deref<Target = [u8]>,
    {
        if self.is_maxed() {
            return Err(SegmentError::SegmentMaxed);
        }
        let index = self.next_index(record.metadata.index)?;
        let metadata = Serialized::of::<M, SERP, _>(&record.metadata.metadata)?;
        let [prefix, bytes] = metadata.pieces();
        let pieces = [prefix, bytes, &record.value];
        let append = Append {
            flags: metadata.flags(),
            key: self.summary.last_key,
            timestamp: system_about_now_ms(),
            value: &pieces,
            ..Append::default()
        };
        let length = append.value_len();
        let per_record = self.files.store.limits().per_record;
        if length > RECORD_BYTES_CEILING || length + per_record > self.append_threshold() {
            return Err(SegmentError::unexpected_length());
        }
        let durable = self.header.durable_index;
        let mut scratch = Scratch::default();
        let appended = self
            .append_run(std::slice::from_ref(&append), durable, &mut scratch)
            .await;
        appended.map_err(|error| {
            let (Run::Undone(source) | Run::Stuck(source)) = error;
            let segment = self.base();
            let aside = self.files.store.aside();
            SegmentError::of_append(AppendError::Io { segment, source }, aside)
                .expect("only a log stops")
        })?;
        if self.is_index_block_due() {
            Box::pin(self.flush_index_block()).await;
        }
        Ok(index)
    }

    /// The index that the next record gets, which is the one it asks for, if it does.
    fn next_index(&self, wanted: Option<Idx>) -> Result<Idx, SegmentOpError<S, SERP>> {
        let next = next_index::<Idx, _, _>(self.end())?;
        if wanted.is_some_and(|wanted| wanted != next) {
            return Err(SegmentError::InvalidAppendIdx);
        }
        Ok(next)
    }

    /// Makes everything durable that was appended, and returns the segment.
    ///
    /// # Errors
    ///
    /// What the storage says; what was appended may be lost then.
    pub async fn flush<SSP>(
        mut self,
        segment_storage_provider: &mut SSP,
    ) -> Result<Self, SegmentOpError<S, SERP>>
    where
        SSP: SegmentStorageProvider<S, Idx>,
    {
        self.sync_with(segment_storage_provider).await?;
        Ok(self)
    }
}

/// The index after `end - 1`, where the log's type can hold it and the one behind it.
pub(crate) fn next_index<Idx: FromPrimitive, SE, SDE>(
    end: u64,
) -> Result<Idx, SegmentError<SE, SDE>> {
    let behind = end.checked_add(1).and_then(Idx::from_u64);
    match (Idx::from_u64(end), behind) {
        (Some(next), Some(_)) => Ok(next),
        _ => Err(SegmentError::IndexError(IndexError::IncompatibleIdxType)),
    }
}
