//! Bytes in memory.

use std::io::IoSlice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::common::stream::StreamUnexpectedLength;
use crate::storage::{AsyncConsume, AsyncTruncate, Sizable, Storage, Synced};

/// What can be wrong with bytes in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InMemStorageError {
    /// A place behind the end.
    #[error("there are not as many bytes in this storage")]
    OutOfBounds,
    /// A stream that was to be appended failed, or was too long.
    #[error(transparent)]
    Stream(#[from] StreamUnexpectedLength),
}

/// Bytes that handles share, and whether they were removed.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) bytes: Vec<u8>,
    pub(super) is_removed: bool,
}

/// A storage in memory. Those that a provider hands out for the same segment share their bytes; one of
/// [`Default`] has bytes of its own.
///
/// ```
/// use laminarmq::storage::{Sizable, Storage, impls::in_mem::storage::InMemStorage};
///
/// # futures_lite::future::block_on(async {
/// let mut storage = InMemStorage::default();
/// assert_eq!(storage.append_slice(b"hello").await?, (0, 5));
/// assert_eq!(storage.read(&1, &3).await?, b"ell");
/// assert_eq!(storage.size(), 5);
/// # Ok::<(), laminarmq::storage::impls::in_mem::storage::InMemStorageError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct InMemStorage {
    memory: Arc<Mutex<Memory>>,
}

pub(super) fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    // Nothing is half done where a thread that held the lock panicked.
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InMemStorage {
    pub(super) fn of(memory: &Arc<Mutex<Memory>>) -> Self {
        Self {
            memory: Arc::clone(memory),
        }
    }
}

impl Sizable for InMemStorage {
    type Size = usize;

    fn size(&self) -> usize {
        lock(&self.memory).bytes.len()
    }
}

impl AsyncTruncate for InMemStorage {
    type TruncError = InMemStorageError;
    type Mark = usize;

    async fn truncate(&mut self, mark: &usize) -> Result<(), InMemStorageError> {
        let mut memory = lock(&self.memory);
        if *mark > memory.bytes.len() {
            return Err(InMemStorageError::OutOfBounds);
        }
        memory.bytes.truncate(*mark);
        Ok(())
    }
}

impl AsyncConsume for InMemStorage {
    type ConsumeError = InMemStorageError;

    async fn remove(self) -> Result<(), InMemStorageError> {
        let mut memory = lock(&self.memory);
        memory.bytes = Vec::new();
        memory.is_removed = true;
        Ok(())
    }

    async fn close(self) -> Result<(), InMemStorageError> {
        Ok(())
    }
}

impl Storage for InMemStorage {
    type Content = Vec<u8>;
    type Position = usize;
    type Error = InMemStorageError;

    async fn append_slice(&mut self, slice: &[u8]) -> Result<(usize, usize), InMemStorageError> {
        let mut memory = lock(&self.memory);
        let start = memory.bytes.len();
        memory.bytes.extend_from_slice(slice);
        Ok((start, slice.len()))
    }

    async fn read(&self, position: &usize, size: &usize) -> Result<Vec<u8>, InMemStorageError> {
        let memory = lock(&self.memory);
        let end = position.checked_add(*size);
        let bytes = end.and_then(|end| memory.bytes.get(*position..end));
        bytes
            .map(<[u8]>::to_vec)
            .ok_or(InMemStorageError::OutOfBounds)
    }

    async fn append_vectored(
        &mut self,
        pieces: &mut [IoSlice<'_>],
    ) -> Result<(), InMemStorageError> {
        let mut memory = lock(&self.memory);
        for piece in pieces {
            memory.bytes.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Memory is all the media there is.
    async fn sync(&mut self) -> Result<Synced, InMemStorageError> {
        Ok(Synced::Done)
    }
}
