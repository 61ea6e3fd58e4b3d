//! Segments in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::storage::{InMemStorage, InMemStorageError, Memory};
use crate::storage::Synced;
use crate::storage::commit_log::segmented_log::segment::{
    Replaced, SegmentStorage, SegmentStorageProvider,
};

/// The memory of a segment.
#[derive(Debug, Default)]
struct Memories {
    store: Arc<Memory>,
    index: Arc<Memory>,
}

#[derive(Debug)]
struct Held<Idx> {
    segments: BTreeMap<Idx, Memories>,
    start: Option<Vec<u8>>,
}

/// Provides segments in memory. Clones share them, so that a log that was closed, or dropped, is opened again through
/// a clone.
///
/// ```
/// use laminarmq::storage::commit_log::segmented_log::segment::SegmentStorageProvider;
/// use laminarmq::storage::impls::in_mem::segment::InMemSegmentStorageProvider;
///
/// # futures_lite::future::block_on(async {
/// let mut provider = InMemSegmentStorageProvider::<u32>::default();
/// provider.obtain(&7).await?;
/// assert_eq!(provider.clone().obtain_base_indices_of_stored_segments().await?, [7]);
/// # Ok::<(), laminarmq::storage::impls::in_mem::storage::InMemStorageError>(())
/// # }).unwrap();
/// ```
pub struct InMemSegmentStorageProvider<Idx> {
    held: Arc<Mutex<Held<Idx>>>,
}

impl<Idx> fmt::Debug for InMemSegmentStorageProvider<Idx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segments = self.held().segments.len();
        f.debug_struct("InMemSegmentStorageProvider")
            .field("segments", &segments)
            .finish_non_exhaustive()
    }
}

impl<Idx> Default for InMemSegmentStorageProvider<Idx> {
    fn default() -> Self {
        let (segments, start) = (BTreeMap::new(), None);
        Self {
            held: Arc::new(Mutex::new(Held { segments, start })),
        }
    }
}

impl<Idx> Clone for InMemSegmentStorageProvider<Idx> {
    fn clone(&self) -> Self {
        Self {
            held: Arc::clone(&self.held),
        }
    }
}

impl<Idx> InMemSegmentStorageProvider<Idx> {
    fn held(&self) -> MutexGuard<'_, Held<Idx>> {
        // Nothing is half done where a thread that held the lock panicked.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn storage(memories: &Memories) -> SegmentStorage<InMemStorage> {
    SegmentStorage {
        store: InMemStorage::of(&memories.store),
        index: InMemStorage::of(&memories.index),
    }
}

impl<Idx: Clone + Ord> SegmentStorageProvider<InMemStorage, Idx>
    for InMemSegmentStorageProvider<Idx>
{
    async fn obtain_base_indices_of_stored_segments(
        &mut self,
    ) -> Result<Vec<Idx>, InMemStorageError> {
        let mut held = self.held();
        let is_there = |memories: &Memories| !memories.store.is_removed();
        held.segments.retain(|_, memories| is_there(memories));
        Ok(held.segments.keys().cloned().collect())
    }

    async fn obtain(
        &mut self,
        idx: &Idx,
    ) -> Result<SegmentStorage<InMemStorage>, InMemStorageError> {
        let mut held = self.held();
        let memories = held.segments.entry(idx.clone()).or_default();
        for memory in [&mut memories.store, &mut memories.index] {
            if memory.is_removed() {
                *memory = Arc::default();
            }
        }
        Ok(storage(memories))
    }

    async fn replace(
        &mut self,
        idx: &Idx,
        old: SegmentStorage<InMemStorage>,
        length: usize,
    ) -> Result<Replaced<InMemStorage>, InMemStorageError> {
        let mut held = self.held();
        let memories = held.segments.entry(idx.clone()).or_default();
        drop(old);
        let bytes = memories.store.beginning(length);
        let bytes = bytes.ok_or(InMemStorageError::OutOfBounds)?;
        *memories = Memories {
            store: Arc::new(Memory::of(bytes)),
            index: Arc::default(),
        };
        Ok(Replaced::Done(storage(memories)))
    }

    async fn read_start(&mut self) -> Result<Option<Vec<u8>>, InMemStorageError> {
        Ok(self.held().start.clone())
    }

    async fn write_start(&mut self, bytes: &[u8]) -> Result<Synced, InMemStorageError> {
        self.held().start = Some(bytes.to_vec());
        Ok(Synced::Done)
    }

    async fn remove_start(&mut self) -> Result<(), InMemStorageError> {
        self.held().start = None;
        Ok(())
    }
}
