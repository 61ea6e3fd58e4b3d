//! Opening a log.

use std::fmt::Debug;
use std::hash::Hasher;

use num_traits::{CheckedSub, FromPrimitive, ToPrimitive, Unsigned};
use serde::Serialize;

use super::files::ProviderEnv;
use super::metadata::counted_beside;
use super::segment::{Limits, SegmentError, SegmentStorageProvider};
use super::{Config, LogError, SegmentedLog, SegmentedLogError};
use crate::common::cache::Cache;
use crate::common::serde_compat::SerializationProvider;
use crate::limits::RECORD_BYTES_CEILING;
use crate::log::{IndexCache, Log, LogOptions};
use crate::storage::Storage;

impl<S, M, H, Idx, SERP, SSP, C> SegmentedLog<S, M, H, Idx, S::Size, SERP, SSP, C>
where
    S: Storage,
    M: Default + Serialize,
    H: Hasher + Default,
    Idx: Unsigned + CheckedSub + FromPrimitive + ToPrimitive + Ord + Copy + Serialize,
    SERP: SerializationProvider,
    SSP: SegmentStorageProvider<S, Idx>,
    C: Cache<usize, ()> + Default,
    C::Error: Debug,
{
    /// Opens what the provider has stored; the last segment is the write segment. Where nothing is stored, a write
    /// segment is created at `initial_index`. What a crash left behind is repaired, and everything that is found is
    /// durable when this returns.
    ///
    /// # Errors
    ///
    /// [`SegmentedLogError::BaseIndexLesserThanInitialIndex`] and
    /// [`SegmentedLogError::IndexGapEncountered`] as they say; [`SegmentedLogError::Unreadable`] where records that had
    /// been durable cannot be read, or the format, or the checksum of values, is another one;
    /// [`SegmentedLogError::CacheError`] where the cache cannot hold as many segments as the configuration asks for.
    pub async fn new(
        config: Config<Idx, S::Size>,
        segment_storage_provider: SSP,
    ) -> Result<Self, LogError<S, SERP, C>> {
        let cache = match config.num_index_cached_read_segments {
            None => None,
            Some(capacity) => {
                let mut cache = C::default();
                cache
                    .reserve(capacity)
                    .and_then(|()| cache.shrink(capacity))
                    .map_err(SegmentedLogError::CacheError)?;
                Some(cache)
            }
        };
        let initial_index = config.initial_index.to_u64();
        let options = LogOptions {
            initial_index: initial_index.ok_or_else(SegmentedLogError::index_type)?,
            segment_bytes: u64::MAX,
            auto_roll: false,
            record_bytes_max: RECORD_BYTES_CEILING,
            index_cache: IndexCache::All,
            ..LogOptions::default()
        };
        let per_record = counted_beside::<M, Idx, SERP>();
        let per_record = per_record.map_err(SegmentError::SerializationError)?;
        let limits = Limits::new(&config.segment_config, per_record);
        let env = ProviderEnv::new(segment_storage_provider, limits);
        let aside = env.aside().clone();
        let log = Log::open_with(env, options).await;
        let log = log.map_err(|error| SegmentedLogError::of_open(error, &aside))?;
        let mut opened = Self {
            log,
            cache,
            removed: 0,
        };
        opened.begin_caching().await?;
        Ok(opened)
    }
}
