//! Appending records.

use std::fmt::Debug;
use std::hash::Hasher;
use std::ops::Deref;
use std::time::Duration;

use futures_core::Stream;
use num_traits::{CheckedSub, FromPrimitive, ToPrimitive, Unsigned};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::metadata::Serialized;
use super::segment::{SegmentError, SegmentStorageProvider, collect, next, next_index};
use super::{LogError, MetaWithIdx, Record, SegmentedLog, SegmentedLogError};
use crate::common::cache::Cache;
use crate::common::serde_compat::SerializationProvider;
use crate::common::split::SplitAt;
use crate::env::system_about_now_ms;
use crate::limits::RECORD_BYTES_CEILING;
use crate::log::RecordWriter;
use crate::record::Append;
use crate::storage::Storage;
use crate::storage::commit_log::CommitLog;

impl<S, M, H, Idx, SERP, SSP, C> SegmentedLog<S, M, H, Idx, S::Size, SERP, SSP, C>
where
    S: Storage,
    M: Serialize,
    H: Hasher + Default,
    Idx: Unsigned + CheckedSub + FromPrimitive + ToPrimitive + Ord + Copy,
    SERP: SerializationProvider,
    SSP: SegmentStorageProvider<S, Idx>,
    C: Cache<usize, ()>,
    C::Error: Debug,
{
    /// Appends a record whose value is in memory, and returns its index.
    ///
    /// # Errors
    ///
    /// As [`CommitLog::append`].
    pub async fn append_record_with_contiguous_bytes<X>(
        &mut self,
        record: &Record<M, Idx, X>,
    ) -> Result<Idx, LogError<S, SERP, C>>
    where
        X: Deref<Target = [u8]>,
    {
        let index = self.check_index(record.metadata.index)?;
        let metadata = Serialized::of::<M, SERP, _>(&record.metadata.metadata)?;
        if self.append_whole_now(&metadata, &record.value) {
            return Ok(index);
        }
        // A future is moved before it is polled: what is rare stays out of it.
        if self.write_segment().is_maxed() {
            Box::pin(self.append_whole_rotated(&metadata, &record.value)).await?;
        } else {
            self.append_whole(&metadata, &record.value).await?;
        }
        Ok(index)
    }

    /// As [`Self::append_whole`], where the write segment is full.
    #[cold]
    async fn append_whole_rotated(
        &mut self,
        metadata: &Serialized<SERP::SerializedBytes>,
        value: &[u8],
    ) -> Result<(), LogError<S, SERP, C>> {
        let rotated = self.make_room().await?;
        let appended = self.append_whole(metadata, value).await;
        self.undo_rotation(rotated, appended.is_err()).await?;
        appended
    }

    /// The index that the next record gets.
    fn check_index(&self, wanted: Option<Idx>) -> Result<Idx, LogError<S, SERP, C>> {
        if self.log.poisoned().is_some() {
            return Err(SegmentedLogError::WriteSegmentLost);
        }
        let next = next_index::<Idx, _, _>(self.log.end_index())?;
        if wanted.is_some_and(|wanted| wanted != next) {
            return Err(SegmentError::InvalidAppendIdx.into());
        }
        Ok(next)
    }

    /// Rotates where the write segment is full; says whether it did.
    async fn make_room(&mut self) -> Result<bool, LogError<S, SERP, C>> {
        if !self.write_segment().is_maxed() {
            return Ok(false);
        }
        // Before anything is created, since a new segment would be as full.
        if self.write_segment().count == 0 || self.is_maxed_when_empty() {
            return Err(SegmentError::SegmentMaxed.into());
        }
        Box::pin(self.roll()).await?;
        Ok(true)
    }

    fn is_maxed_when_empty(&self) -> bool {
        let limits = self.write_segment().files.store.limits();
        limits.store == 0 || limits.index <= super::index::INDEX_BASE_MARKER_LENGTH as u64
    }

    /// Takes back the rotation that an append began with, where the append failed.
    async fn undo_rotation(
        &mut self,
        rotated: bool,
        failed: bool,
    ) -> Result<(), LogError<S, SERP, C>> {
        if !rotated {
            return Ok(());
        }
        let before = self.read_segment_count() - 1;
        if !failed || self.log.poisoned().is_some() {
            return self.keep_index_of(before).await;
        }
        let end = self.log.end_index();
        let cut = Box::pin(self.log.cut_segment(before, end)).await;
        cut.map_err(|error| SegmentedLogError::of_truncate(error, self.aside()))
    }

    fn head(&self, flags: u8) -> Append<'static> {
        Append {
            flags,
            key: self.log.last_key(),
            timestamp: system_about_now_ms(),
            ..Append::default()
        }
    }

    /// As [`Self::append_whole`], where the storage takes the record at once, nothing is wrong with it, and the write segment is
    /// neither full nor empty; says whether that was so.
    #[inline(always)]
    fn append_whole_now(
        &mut self,
        metadata: &Serialized<SERP::SerializedBytes>,
        value: &[u8],
    ) -> bool {
        let segment = self.write_segment();
        let stored = metadata.stored_len() + value.len() as u64;
        if segment.is_maxed() || stored > segment.stored_bytes_max().min(RECORD_BYTES_CEILING) {
            return false;
        }
        let [prefix, bytes] = metadata.pieces();
        let (all, alone) = ([prefix, bytes, value], [value]);
        let record = Append {
            flags: metadata.flags(),
            key: segment.summary.last_key,
            timestamp: system_about_now_ms(),
            value: if bytes.is_empty() { &alone } else { &all },
            ..Append::default()
        };
        self.log.append_now(&record)
    }

    #[inline]
    async fn append_whole(
        &mut self,
        metadata: &Serialized<SERP::SerializedBytes>,
        value: &[u8],
    ) -> Result<(), LogError<S, SERP, C>> {
        let stored = metadata.stored_len() + value.len() as u64;
        if stored
            > self
                .write_segment()
                .stored_bytes_max()
                .min(RECORD_BYTES_CEILING)
        {
            return Err(SegmentError::unexpected_length().into());
        }
        let head = self.head(metadata.flags());
        let [prefix, bytes] = metadata.pieces();
        let (all, alone) = ([prefix, bytes, value], [value]);
        let value = if bytes.is_empty() { &alone[..] } else { &all };
        let appended = self.log.append(Append { value, ..head }).await;
        appended.map_err(|error| SegmentedLogError::of_append(error, self.aside()))?;
        Ok(())
    }

    /// Appends what a stream yields, as it comes.
    async fn append_pieces<X, XBuf, XE>(
        &mut self,
        metadata: &Serialized<SERP::SerializedBytes>,
        stream: &mut X,
    ) -> Result<(), LogError<S, SERP, C>>
    where
        X: Stream<Item = Result<XBuf, XE>> + Unpin,
        XBuf: Deref<Target = [u8]>,
    {
        let limit = self.write_segment().stored_bytes_max();
        let aside = self.aside().clone();
        let failed = |error| SegmentedLogError::of_append(error, &aside);
        let head = self.head(metadata.flags());
        let pieces = metadata.pieces();
        let value = &pieces[..];
        let writer = self.log.record_writer(Append { value, ..head }).await;
        let mut writer = writer.map_err(failed)?;
        if writer.value_len() > limit {
            return give_up(writer).await.map_err(failed)?;
        }
        while let Some(item) = next(stream).await {
            let fits = |buf: &XBuf| {
                let length = writer.value_len().checked_add(buf.len() as u64);
                length.is_some_and(|length| length <= limit)
            };
            match item {
                Ok(buf) if fits(&buf) => writer.write(&buf).await.map_err(failed)?,
                Ok(_) | Err(_) => return give_up(writer).await.map_err(failed)?,
            }
        }
        writer.finish().await.map_err(failed)?;
        Ok(())
    }
}

/// Leaves the log as it was, and says why.
async fn give_up<E, SE, SDE, CE>(
    writer: RecordWriter<'_, E>,
) -> Result<Result<(), SegmentedLogError<SE, SDE, CE>>, crate::error::AppendError>
where
    E: crate::env::SegmentEnv,
    SE: From<crate::common::stream::StreamUnexpectedLength>,
{
    writer.abort().await?;
    Ok(Err(SegmentError::unexpected_length().into()))
}

impl<S, M, H, Idx, SERP, SSP, C> CommitLog<MetaWithIdx<M, Idx>, S::Content>
    for SegmentedLog<S, M, H, Idx, S::Size, SERP, SSP, C>
where
    S: Storage,
    S::Content: SplitAt<u8>,
    M: Default + Serialize + DeserializeOwned,
    H: Hasher + Default,
    Idx: Unsigned + CheckedSub + FromPrimitive + ToPrimitive + Ord + Copy + Serialize,
    SERP: SerializationProvider,
    SSP: SegmentStorageProvider<S, Idx>,
    C: Cache<usize, ()>,
    C::Error: Debug,
{
    type Error = LogError<S, SERP, C>;

    /// Appends a record whose value is what a stream yields, and returns its index. The value is written in chunks of
    /// 256 KiB as it comes, and never held as a whole; unless the storage's
    /// content [cannot be joined](SplitAt::JOINS).
    ///
    /// # Errors
    ///
    /// [`SegmentError::InvalidAppendIdx`] where the metadata has another index than the next one;
    /// `StreamUnexpectedLength` as an error of the storage where the stream yields an error, or more than
    /// `max_store_size - store.size + max_store_overflow`; what the storage says. The log is then as it was before,
    /// unless it stopped: [`SegmentedLogError::WriteSegmentLost`] is what every later change gets.
    async fn append<X, XBuf, XE>(
        &mut self,
        record: Record<M, Idx, X>,
    ) -> Result<Self::Idx, Self::Error>
    where
        X: Stream<Item = Result<XBuf, XE>> + Unpin,
        XBuf: Deref<Target = [u8]>,
    {
        let index = self.check_index(record.metadata.index)?;
        let metadata = Serialized::of::<M, SERP, _>(&record.metadata.metadata)?;
        let mut stream = record.value;
        let rotated = self.make_room().await?;
        let appended = if S::Content::JOINS {
            self.append_pieces(&metadata, &mut stream).await
        } else {
            match collect(stream, self.write_segment().stored_bytes_max()).await {
                Some(value) => self.append_whole(&metadata, &value).await,
                None => Err(SegmentError::unexpected_length().into()),
            }
        };
        self.undo_rotation(rotated, appended.is_err()).await?;
        appended.map(|()| index)
    }

    async fn remove_expired(
        &mut self,
        expiry_duration: Duration,
    ) -> Result<Self::Idx, Self::Error> {
        self.remove_expired_segments(expiry_duration).await
    }
}
