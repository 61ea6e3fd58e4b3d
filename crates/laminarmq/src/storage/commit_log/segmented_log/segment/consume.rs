//! Cutting, syncing and giving up a segment by itself.

use std::hash::Hasher;

use num_traits::{CheckedSub, FromPrimitive, ToPrimitive, Unsigned};

use super::{Segment, SegmentError, SegmentOpError, SegmentStorageProvider};
use crate::common::serde_compat::SerializationProvider;
use crate::env::{LogFile, Part, SegmentEnv};
use crate::segment::SegmentEnd;
use crate::storage::commit_log::segmented_log::files::ProviderEnv;
use crate::storage::commit_log::segmented_log::index::IndexError;
use crate::storage::{AsyncConsume, AsyncTruncate, Storage, Synced};

impl<S, M, H, Idx, Size, SERP> Segment<S, M, H, Idx, Size, SERP>
where
    S: Storage,
    SERP: SerializationProvider,
{
    /// What a failed call to the storage was, if the storage said.
    fn storage_error(&self, source: &std::io::Error) -> SegmentOpError<S, SERP> {
        let aside = self.files.store.aside().take();
        match aside.or_else(|| self.files.index.aside().take()) {
            Some(error) => SegmentError::StorageError(error),
            None => {
                tracing::error!(error = %source, "a segment did not fit the storage");
                SegmentError::IncompatiblePositionType
            }
        }
    }

    pub(crate) async fn sync_with<SSP>(
        &mut self,
        provider: &mut SSP,
    ) -> Result<(), SegmentOpError<S, SERP>>
    where
        H: Hasher + Default,
        Idx: FromPrimitive + ToPrimitive,
        SSP: SegmentStorageProvider<S, Idx>,
    {
        let (limits, aside) = (*self.files.store.limits(), self.files.store.aside().clone());
        let mut env = ProviderEnv::with(provider, limits, aside);
        let base = self.base();
        let written = self.flush_index().await;
        written.map_err(|error| self.storage_error(&error))?;
        for part in [Part::Store, Part::Index] {
            let synced = env.sync(base, &mut self.files, part).await;
            synced.map_err(|error| self.storage_error(&error))?;
        }
        let synced = env.sync_names().await;
        synced.map_err(|error| self.storage_error(&error))
    }
}

impl<S, M, H, Idx, SERP> AsyncTruncate for Segment<S, M, H, Idx, S::Size, SERP>
where
    S: Storage,
    SERP: SerializationProvider,
    Idx: Unsigned + CheckedSub + FromPrimitive + ToPrimitive + Ord + Copy,
{
    type TruncError = SegmentOpError<S, SERP>;
    type Mark = Idx;

    /// Drops the records from `mark` on. What is dropped may come back after a power cut until the segment is
    /// flushed.
    async fn truncate(&mut self, mark: &Idx) -> Result<(), Self::TruncError> {
        let from = mark.to_u64();
        let from = from.filter(|from| (self.base()..self.end()).contains(from));
        let from = from.ok_or(SegmentError::IndexError(IndexError::IndexOutOfBounds))?;
        let kept = from - self.base();
        let cut = self.cut_at(from).await;
        let (position, summary) =
            cut.map_err(|error| SegmentError::of_index(error, self.files.index.aside()))?;
        let index = self.index_cut(kept).await;
        let index =
            index.map_err(|error| SegmentError::of_index(error, self.files.index.aside()))?;
        let cut = self.cut_index(index).await;
        cut.map_err(|error| self.storage_error(&error))?;
        let cut = self.files.store.truncate(position).await;
        cut.map_err(|error| self.storage_error(&error))?;
        self.set_cut(kept, position, summary);
        Ok(())
    }
}

impl<S, M, H, Idx, SERP> AsyncConsume for Segment<S, M, H, Idx, S::Size, SERP>
where
    S: Storage,
    SERP: SerializationProvider,
{
    type ConsumeError = SegmentOpError<S, SERP>;

    async fn remove(self) -> Result<(), Self::ConsumeError> {
        let (store, index) = (self.files.store, self.files.index);
        for file in [store, index] {
            if let Some(storage) = file.into_storage() {
                let removed = storage.remove().await;
                removed.map_err(SegmentError::StorageError)?;
            }
        }
        Ok(())
    }

    async fn close(mut self) -> Result<(), Self::ConsumeError> {
        let completed = self.complete().await;
        completed.map_err(|error| self.storage_error(&error))?;
        // A footer vouches for what is on the media: not where the storage cannot say that it is.
        let mut is_synced = true;
        for part in [Part::Store, Part::Index] {
            is_synced &= self.sync_part(part).await? == Synced::Done;
        }
        if is_synced && !self.has_footer() {
            let written = self.write_footer(SegmentEnd::Closed).await;
            written.map_err(|error| self.storage_error(&error))?;
            let _: Synced = self.sync_part(Part::Index).await?;
        }
        let (store, index) = (self.files.store, self.files.index);
        for file in [store, index] {
            if let Some(storage) = file.into_storage() {
                let closed = storage.close().await;
                closed.map_err(SegmentError::StorageError)?;
            }
        }
        Ok(())
    }
}

impl<S, M, H, Idx, Size, SERP> Segment<S, M, H, Idx, Size, SERP>
where
    S: Storage,
    SERP: SerializationProvider,
{
    async fn sync_part(&mut self, part: Part) -> Result<Synced, SegmentOpError<S, SERP>> {
        match self.files.part_mut(part).storage_mut() {
            Some(storage) => storage.sync().await.map_err(SegmentError::StorageError),
            None => Ok(Synced::Unsupported),
        }
    }
}
