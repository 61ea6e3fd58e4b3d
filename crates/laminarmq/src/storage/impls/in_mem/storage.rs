//! Bytes in memory.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::{Deref, Range};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::blocks::Blocks;
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
    bytes: Mutex<Blocks>,
    /// How many there are, to be told without the lock.
    length: AtomicUsize,
    is_removed: AtomicBool,
}

impl Memory {
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self {
            length: AtomicUsize::new(bytes.len()),
            bytes: Mutex::new(Blocks::of(bytes)),
            is_removed: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        // Nothing is half done where a thread that held the lock panicked.
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_removed(&self) -> bool {
        self.is_removed.load(Ordering::Acquire)
    }

    /// A copy of the first bytes, if there are as many.
    pub(super) fn beginning(&self, length: usize) -> Option<Vec<u8>> {
        self.lock().get(0, length).map(Cow::into_owned)
    }

    #[inline]
    fn append<P: Deref<Target = [u8]>>(&self, pieces: &[P]) -> usize {
        let mut bytes = self.lock();
        let end = bytes.append(pieces);
        self.length.store(end, Ordering::Release);
        end
    }

    fn change<T>(&self, change: impl FnOnce(&mut Blocks) -> T) -> T {
        let mut bytes = self.lock();
        let result = change(&mut bytes);
        self.length.store(bytes.len(), Ordering::Release);
        result
    }
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
    memory: Arc<Memory>,
}

impl InMemStorage {
    pub(super) fn of(memory: &Arc<Memory>) -> Self {
        Self {
            memory: Arc::clone(memory),
        }
    }
}

impl Sizable for InMemStorage {
    type Size = usize;

    fn size(&self) -> usize {
        self.memory.length.load(Ordering::Acquire)
    }
}

impl AsyncTruncate for InMemStorage {
    type TruncError = InMemStorageError;
    type Mark = usize;

    async fn truncate(&mut self, mark: &usize) -> Result<(), InMemStorageError> {
        self.memory.change(|bytes| {
            if *mark > bytes.len() {
                return Err(InMemStorageError::OutOfBounds);
            }
            bytes.truncate(*mark);
            Ok(())
        })
    }
}

impl AsyncConsume for InMemStorage {
    type ConsumeError = InMemStorageError;

    async fn remove(self) -> Result<(), InMemStorageError> {
        self.memory.change(|bytes| *bytes = Blocks::default());
        self.memory.is_removed.store(true, Ordering::Release);
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

    const IN_MEMORY: bool = true;

    async fn append_slice(&mut self, slice: &[u8]) -> Result<(usize, usize), InMemStorageError> {
        let end = self.memory.append(&[slice]);
        Ok((end - slice.len(), slice.len()))
    }

    async fn read(&self, position: &usize, size: &usize) -> Result<Vec<u8>, InMemStorageError> {
        let bytes = self.memory.lock();
        let wanted = bytes.get(*position, *size).map(Cow::into_owned);
        wanted.ok_or(InMemStorageError::OutOfBounds)
    }

    async fn read_part<T>(
        &self,
        position: &usize,
        size: &usize,
        part: impl FnOnce(&[u8]) -> Option<(Range<usize>, T)>,
    ) -> Result<Option<(Vec<u8>, T)>, InMemStorageError> {
        let bytes = self.memory.lock();
        let all = bytes.get(*position, *size);
        let all = all.ok_or(InMemStorageError::OutOfBounds)?;
        Ok(part(&all).map(|(range, found)| (all[range].to_vec(), found)))
    }

    async fn read_parts<T>(
        &self,
        position: &usize,
        size: &usize,
        mut part: impl FnMut(&[u8]) -> Option<(Range<usize>, T)>,
        parts: &mut VecDeque<(Vec<u8>, T)>,
    ) -> Result<(), InMemStorageError> {
        let bytes = self.memory.lock();
        let all = bytes.get(*position, *size);
        let all = all.ok_or(InMemStorageError::OutOfBounds)?;
        while let Some((range, found)) = part(&all) {
            parts.push_back((all[range].to_vec(), found));
        }
        Ok(())
    }

    async fn append_vectored(
        &mut self,
        pieces: &mut [IoSlice<'_>],
    ) -> Result<(), InMemStorageError> {
        self.memory.append(pieces);
        Ok(())
    }

    #[inline]
    fn room_now(&self) -> u64 {
        u64::MAX
    }

    #[inline]
    fn append_now(&mut self, header: &[u8], value: &[u8]) {
        self.memory.append(&[header, value]);
    }

    /// Memory is all the media there is.
    async fn sync(&mut self) -> Result<Synced, InMemStorageError> {
        Ok(Synced::Done)
    }
}
