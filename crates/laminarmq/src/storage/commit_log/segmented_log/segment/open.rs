//! Opening a segment by itself.

use std::hash::Hasher;

use num_traits::{FromPrimitive, ToPrimitive, Zero};
use serde::Serialize;

use super::{Config, Limits, Segment, SegmentError, SegmentOpError, SegmentStorageProvider};
use crate::common::serde_compat::SerializationProvider;
use crate::error::OpenError;
use crate::log::open::open_segment;
use crate::storage::Storage;
use crate::storage::commit_log::segmented_log::files::ProviderEnv;
use crate::storage::commit_log::segmented_log::index::IndexError;
use crate::storage::commit_log::segmented_log::metadata::counted_beside;
use crate::storage::commit_log::segmented_log::store::StoreError;

impl<S, M, H, Idx, SERP> Segment<S, M, H, Idx, S::Size, SERP>
where
    S: Storage,
    M: Default + Serialize,
    H: Hasher + Default,
    Idx: FromPrimitive + ToPrimitive + Zero + Serialize,
    SERP: SerializationProvider,
{
    /// Opens the segment with this base index, repaired as the last one of a log would be, or creates it. To be used
    /// beside no log: whoever appends to a segment that others follow destroys the log.
    ///
    /// # Errors
    ///
    /// Where the storage refuses, or what had been durable in it cannot be read.
    pub async fn open<SSP>(
        segment_storage_provider: &mut SSP,
        base_index: &Idx,
        config: Config<S::Size>,
    ) -> Result<Self, SegmentOpError<S, SERP>>
    where
        SSP: SegmentStorageProvider<S, Idx>,
    {
        let per_record = counted_beside::<M, Idx, SERP>();
        let per_record = per_record.map_err(SegmentError::SerializationError)?;
        let base = base_index.to_u64();
        let base = base.ok_or(SegmentError::IndexError(IndexError::IncompatibleIdxType))?;
        let limits = Limits::new(&config, per_record);
        let mut env = ProviderEnv::new(segment_storage_provider, limits);
        let opened = open_segment(&mut env, base).await;
        let mut segment = opened.map_err(|error| {
            let failure = match error {
                OpenError::Io { .. } => env.aside().take(),
                _ => None,
            };
            match failure {
                Some(failure) => SegmentError::StorageError(failure),
                None => {
                    tracing::error!(%error, "a segment cannot be opened");
                    SegmentError::StoreError(StoreError::RecordHeaderMismatch)
                }
            }
        })?;
        segment.cache_index().await?;
        Ok(segment)
    }
}
