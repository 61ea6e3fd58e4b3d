//! Which segments are index-cached.
//!
//! The write segment always is. Of the read segments, those are whose numbers are in the cache, or all where there
//! is none.

use std::fmt::Debug;
use std::hash::Hasher;

use num_traits::{FromPrimitive, ToPrimitive};

use super::segment::SegmentStorageProvider;
use super::{LogError, SegmentedLog, SegmentedLogError};
use crate::common::cache::{Cache, Eviction, Lookup};
use crate::common::serde_compat::SerializationProvider;
use crate::storage::Storage;

impl<S, M, H, Idx, Size, SERP, SSP, C> SegmentedLog<S, M, H, Idx, Size, SERP, SSP, C>
where
    S: Storage,
    H: Hasher + Default,
    Idx: FromPrimitive + ToPrimitive,
    SERP: SerializationProvider,
    SSP: SegmentStorageProvider<S, Idx>,
    C: Cache<usize, ()>,
    C::Error: Debug,
{
    /// After opening: the write segment, and the read segments where there is no cache to choose among them.
    pub(super) async fn begin_caching(&mut self) -> Result<(), LogError<S, SERP, C>> {
        let all = self.cache.is_none();
        let reads = self.read_segment_count();
        for (place, segment) in self.log.all_segments_mut().iter_mut().enumerate() {
            if all || place == reads {
                segment.cache_index().await?;
            } else {
                segment.forget_index().await;
            }
        }
        Ok(())
    }

    /// Index-caches the read segment at `place`, if the cache has room for any, and lets the cache evict another one.
    pub(super) async fn use_index_of(&mut self, place: usize) -> Result<(), LogError<S, SERP, C>> {
        let number = self.removed + place;
        let Some(cache) = &mut self.cache else {
            return Ok(());
        };
        if cache.capacity() == 0 {
            return Ok(());
        }
        let found = cache.query(&number);
        if let Lookup::Hit(&()) = found.map_err(SegmentedLogError::CacheError)? {
            return Ok(());
        }
        self.log.all_segments_mut()[place].cache_index().await?;
        self.hold(place).await
    }

    /// The write segment at `place` became a read segment, its index still in memory.
    pub(super) async fn keep_index_of(&mut self, place: usize) -> Result<(), LogError<S, SERP, C>> {
        match &self.cache {
            None => Ok(()),
            Some(cache) if cache.capacity() == 0 => {
                self.log.all_segments_mut()[place].forget_index().await;
                Ok(())
            }
            Some(_) => self.hold(place).await,
        }
    }

    /// Enters a segment whose index is in memory into the cache.
    async fn hold(&mut self, place: usize) -> Result<(), LogError<S, SERP, C>> {
        let number = self.removed + place;
        let Some(cache) = &mut self.cache else {
            return Ok(());
        };
        let inserted = cache.insert(number, ());
        match inserted.map_err(SegmentedLogError::CacheError)? {
            Eviction::Block { key, value: () } => {
                let evicted = key.checked_sub(self.removed);
                let segments = self.log.all_segments_mut();
                if let Some(segment) = evicted.and_then(|place| segments.get_mut(place)) {
                    segment.forget_index().await;
                }
                Ok(())
            }
            Eviction::Value(()) | Eviction::None => Ok(()),
        }
    }

    /// Takes the segments at these places, which are gone, out of the cache.
    pub(super) fn drop_indexes(
        &mut self,
        places: std::ops::Range<usize>,
    ) -> Result<(), LogError<S, SERP, C>> {
        let Some(cache) = &mut self.cache else {
            return Ok(());
        };
        if cache.capacity() == 0 {
            return Ok(());
        }
        for place in places {
            let removed = cache.remove(&(self.removed + place));
            removed.map_err(SegmentedLogError::CacheError)?;
        }
        Ok(())
    }
}
