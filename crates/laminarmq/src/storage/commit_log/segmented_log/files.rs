//! The engine's environment over somebody's storages.
//!
//! - A failure of the storage is put aside as it is, and the engine is told only that there was one; whoever called
//!   the engine takes it from there.
//! - A storage is there except while it is closed and obtained again; where that fails it stays away, and every
//!   later call fails.

use std::collections::VecDeque;
use std::fmt;
use std::hash::Hasher;
use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use num_traits::{FromPrimitive, ToPrimitive};

use super::index::IndexRecord;
use super::segment::{Limits, Replaced, SegmentStorage, SegmentStorageProvider};
use crate::checksum::ValueChecksum;
use crate::common::split::SplitAt;
use crate::env::{LogFile, Part, SegmentEnv, SegmentFiles, cut_in_place, system_now_ms};
use crate::storage::{Storage, Synced};

/// What the log over a storage is generic over beside it; none of these is held.
type Types<M, H, Idx, Size, SERP> = PhantomData<fn() -> (M, H, Idx, Size, SERP)>;

/// The last failure of a storage. It says why an operation failed that failed for the storage's sake; where the engine got
/// over it, nobody asks, and the next one takes its place.
pub(crate) struct Aside<E>(Arc<Mutex<Option<E>>>);

impl<E> Clone for Aside<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E> Default for Aside<E> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }
}

impl<E> Aside<E> {
    /// Keeps a failure for the caller; what the engine is told instead.
    pub(crate) fn put(&self, error: E) -> io::Error {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(error);
        io::ErrorKind::Other.into()
    }

    pub(crate) fn take(&self) -> Option<E> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take()
    }
}

/// A position or an index that the types of the log cannot hold.
pub(crate) fn too_large() -> io::Error {
    io::ErrorKind::FileTooLarge.into()
}

fn gone() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// A storage as one of a segment's files.
pub struct StorageFile<S: Storage, M, H, Idx, Size, SERP> {
    storage: Option<S>,
    aside: Aside<S::Error>,
    limits: Limits,
    /// The entries of the segment as its users see them, once they asked. Only on stores.
    shown: OnceLock<Vec<IndexRecord>>,
    types: Types<M, H, Idx, Size, SERP>,
}

impl<S: Storage, M, H, Idx, Size, SERP> fmt::Debug for StorageFile<S, M, H, Idx, Size, SERP> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageFile")
            .field("len", &self.length())
            .finish_non_exhaustive()
    }
}

impl<S: Storage, M, H, Idx, Size, SERP> StorageFile<S, M, H, Idx, Size, SERP> {
    pub(crate) fn aside(&self) -> &Aside<S::Error> {
        &self.aside
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn shown(&self) -> &OnceLock<Vec<IndexRecord>> {
        &self.shown
    }

    #[inline]
    fn changed(&mut self) {
        if self.shown.get().is_some() {
            self.shown.take();
        }
    }

    #[inline]
    fn length(&self) -> u64 {
        let size = self.storage.as_ref().map(|storage| storage.size());
        size.and_then(|size| size.to_u64()).unwrap_or(0)
    }

    fn storage(&mut self) -> io::Result<&mut S> {
        self.storage.as_mut().ok_or_else(gone)
    }

    /// The storage itself, which is closed or removed next.
    fn take(self) -> io::Result<S> {
        self.storage.ok_or_else(gone)
    }

    pub(crate) fn into_storage(self) -> Option<S> {
        self.storage
    }

    pub(crate) fn storage_mut(&mut self) -> Option<&mut S> {
        self.storage.as_mut()
    }

    /// The storage, and a stretch of it in its own numbers; `UnexpectedEof` where it has not as many bytes.
    #[inline]
    fn stretch(&self, position: u64, length: u64) -> io::Result<(&S, S::Position, S::Position)> {
        let storage = self.storage.as_ref().ok_or_else(gone)?;
        let end = position.checked_add(length);
        if end.is_none_or(|end| end > self.length()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let at = S::Position::from_u64(position).ok_or_else(too_large)?;
        let size = S::Position::from_u64(length).ok_or_else(too_large)?;
        Ok((storage, at, size))
    }

    /// Exactly `length` bytes from `position`, as the storage gives them; `UnexpectedEof` where it has not as many.
    #[inline]
    pub(crate) async fn read_content(&self, position: u64, length: u64) -> io::Result<S::Content> {
        let (storage, at, size) = self.stretch(position, length)?;
        let read = storage.read(&at, &size).await;
        let content = read.map_err(|error| self.aside.put(error))?;
        if content.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(content)
    }
}

impl<S, M, H, Idx, Size, SERP> StorageFile<S, M, H, Idx, Size, SERP>
where
    S: Storage,
    S::Content: SplitAt<u8>,
{
    /// Of exactly `length` bytes from `position`, the part that `part` picks, see [`Storage::read_part`].
    #[inline]
    pub(crate) async fn read_part<T>(
        &self,
        position: u64,
        length: u64,
        part: impl FnOnce(&[u8]) -> Option<(Range<usize>, T)>,
    ) -> io::Result<Option<(S::Content, T)>> {
        let (storage, at, size) = self.stretch(position, length)?;
        let mut is_short = false;
        let picked = storage.read_part(&at, &size, |bytes| {
            is_short = bytes.len() as u64 != length;
            if is_short { None } else { part(bytes) }
        });
        let picked = picked.await.map_err(|error| self.aside.put(error))?;
        if is_short {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(picked)
    }

    /// As [`Storage::read_parts`]; there may be fewer than `length` bytes for `part` to see.
    pub(crate) async fn read_parts<T>(
        &self,
        position: u64,
        length: u64,
        part: impl FnMut(&[u8]) -> Option<(Range<usize>, T)>,
        parts: &mut VecDeque<(S::Content, T)>,
    ) -> io::Result<()> {
        let (storage, at, size) = self.stretch(position, length)?;
        let read = storage.read_parts(&at, &size, part, parts).await;
        read.map_err(|error| self.aside.put(error))
    }
}

impl<S: Storage, M, H, Idx, Size, SERP> LogFile for StorageFile<S, M, H, Idx, Size, SERP> {
    type Reader = ();

    const IN_MEMORY: bool = S::IN_MEMORY;

    fn len(&self) -> u64 {
        self.length()
    }

    // A function of its own, since it is the only one that is called for each record.
    #[inline]
    async fn append_beside(&mut self, header: &[u8], value: &[u8]) -> io::Result<()> {
        self.changed();
        let storage = self.storage.as_mut().ok_or_else(gone)?;
        let pieces = &mut [IoSlice::new(header), IoSlice::new(value)];
        let appended = storage.append_vectored(pieces).await;
        appended.map_err(|error| self.aside.put(error))
    }

    async fn append(&mut self, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.changed();
        let storage = self.storage.as_mut().ok_or_else(gone)?;
        let appended = match pieces {
            [piece] => storage.append_slice(piece).await.map(|_| ()),
            _ => storage.append_vectored(pieces).await,
        };
        appended.map_err(|error| self.aside.put(error))
    }

    #[inline]
    fn room_now(&self) -> u64 {
        self.storage.as_ref().map_or(0, Storage::room_now)
    }

    #[inline]
    fn append_now(&mut self, header: &[u8], value: &[u8]) {
        self.changed();
        let storage = self.storage.as_mut().expect("it has room, so it is there");
        storage.append_now(header, value);
    }

    async fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        let content = self.read_content(position, length as u64).await?;
        Ok(Bytes::copy_from_slice(&content))
    }

    async fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.changed();
        let mark = S::Position::from_u64(length).ok_or_else(too_large)?;
        let truncated = self.storage()?.truncate(&mark).await;
        truncated.map_err(|error| self.aside.put(error))
    }

    fn reader(&self) {}

    async fn reserve(&mut self, length: u64) -> io::Result<()> {
        let length = S::Position::from_u64(length).ok_or_else(too_large)?;
        let reserved = self.storage()?.preallocate(length).await;
        reserved.map_err(|error| self.aside.put(error))
    }

    fn reserved(&self) -> u64 {
        let reserved = self.storage.as_ref().map(|storage| storage.preallocated());
        reserved.and_then(|bytes| bytes.to_u64()).unwrap_or(0)
    }

    #[inline]
    fn wants_room(&self) -> bool {
        let storage = self.storage.as_ref();
        storage.is_some_and(Storage::wants_room)
    }

    fn rest(&mut self) {
        if let Some(storage) = &mut self.storage {
            storage.rest();
        }
    }
}

/// Somebody's storages as the environment of a log.
pub(crate) struct ProviderEnv<S: Storage, M, H, Idx, Size, SERP, SSP> {
    provider: SSP,
    aside: Aside<S::Error>,
    limits: Limits,
    types: Types<M, H, Idx, Size, SERP>,
}

impl<S: Storage, M, H, Idx, Size, SERP, SSP> ProviderEnv<S, M, H, Idx, Size, SERP, SSP> {
    pub(crate) fn new(provider: SSP, limits: Limits) -> Self {
        Self::with(provider, limits, Aside::default())
    }

    /// As [`ProviderEnv::new`], putting failures aside where others look for them.
    pub(crate) fn with(provider: SSP, limits: Limits, aside: Aside<S::Error>) -> Self {
        Self {
            provider,
            aside,
            limits,
            types: PhantomData,
        }
    }

    pub(crate) fn aside(&self) -> &Aside<S::Error> {
        &self.aside
    }
}

type Files<S, M, H, Idx, Size, SERP> = SegmentFiles<StorageFile<S, M, H, Idx, Size, SERP>>;

impl<S, M, H, Idx, Size, SERP, SSP> ProviderEnv<S, M, H, Idx, Size, SERP, SSP>
where
    S: Storage,
    Idx: FromPrimitive,
    SSP: SegmentStorageProvider<S, Idx>,
{
    fn put(&self) -> impl Fn(S::Error) -> io::Error + '_ {
        |error| self.aside.put(error)
    }

    fn file(&self, storage: S) -> StorageFile<S, M, H, Idx, Size, SERP> {
        StorageFile {
            storage: Some(storage),
            aside: self.aside.clone(),
            limits: self.limits,
            shown: OnceLock::new(),
            types: PhantomData,
        }
    }

    async fn obtain(&mut self, base: &Idx) -> io::Result<SegmentStorage<S>> {
        let obtained = self.provider.obtain(base).await;
        obtained.map_err(self.put())
    }

    fn give_back(
        &mut self,
        files: &mut Files<S, M, H, Idx, Size, SERP>,
        storage: SegmentStorage<S>,
    ) {
        files.store = self.file(storage.store);
        files.index = self.file(storage.index);
    }

    fn take(
        &mut self,
        files: &mut Files<S, M, H, Idx, Size, SERP>,
    ) -> io::Result<SegmentStorage<S>> {
        let (store, index) = (files.store.storage.take(), files.index.storage.take());
        Ok(SegmentStorage {
            store: store.ok_or_else(gone)?,
            index: index.ok_or_else(gone)?,
        })
    }

    /// Makes both durable by closing them, for storages that have no other way.
    async fn reopen(
        &mut self,
        base: &Idx,
        files: &mut Files<S, M, H, Idx, Size, SERP>,
    ) -> io::Result<()> {
        let lengths = (files.store.length(), files.index.length());
        let SegmentStorage { store, index } = self.take(files)?;
        store.close().await.map_err(self.put())?;
        index.close().await.map_err(self.put())?;
        let storage = self.obtain(base).await?;
        self.give_back(files, storage);
        if lengths != (files.store.length(), files.index.length()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

fn idx<Idx: FromPrimitive>(base_index: u64) -> io::Result<Idx> {
    Idx::from_u64(base_index).ok_or_else(too_large)
}

impl<S, M, H, Idx, Size, SERP, SSP> SegmentEnv for ProviderEnv<S, M, H, Idx, Size, SERP, SSP>
where
    S: Storage,
    H: Hasher + Default,
    Idx: FromPrimitive + ToPrimitive,
    SSP: SegmentStorageProvider<S, Idx>,
{
    type File = StorageFile<S, M, H, Idx, Size, SERP>;

    async fn list(&mut self) -> io::Result<Vec<u64>> {
        let bases = self.provider.obtain_base_indices_of_stored_segments().await;
        let bases = bases.map_err(self.put())?;
        bases
            .iter()
            .map(|base| base.to_u64().ok_or_else(too_large))
            .collect()
    }

    async fn open(&mut self, base_index: u64) -> io::Result<SegmentFiles<Self::File>> {
        let SegmentStorage { store, index } = self.obtain(&idx(base_index)?).await?;
        Ok(SegmentFiles {
            store: self.file(store),
            index: self.file(index),
        })
    }

    async fn remove(
        &mut self,
        _base_index: u64,
        files: SegmentFiles<Self::File>,
    ) -> io::Result<()> {
        let SegmentFiles { store, index } = files;
        store.take()?.remove().await.map_err(self.put())?;
        index.take()?.remove().await.map_err(self.put())
    }

    async fn replace(
        &mut self,
        base_index: u64,
        files: &mut SegmentFiles<Self::File>,
        length: u64,
    ) -> io::Result<()> {
        let base = idx(base_index)?;
        let wanted = S::Position::from_u64(length).ok_or_else(too_large)?;
        let storage = self.take(files)?;
        let replaced = self.provider.replace(&base, storage, wanted).await;
        match replaced.map_err(self.put())? {
            Replaced::Done(storage) => {
                self.give_back(files, storage);
                Ok(())
            }
            Replaced::Unsupported(storage) => {
                self.give_back(files, storage);
                cut_in_place(self, base_index, files, length).await
            }
        }
    }

    async fn sync(
        &mut self,
        base_index: u64,
        files: &mut SegmentFiles<Self::File>,
        part: Part,
    ) -> io::Result<()> {
        let synced = files.part_mut(part).storage()?.sync().await;
        match synced.map_err(self.put())? {
            Synced::Done => Ok(()),
            Synced::Unsupported => self.reopen(&idx(base_index)?, files).await,
        }
    }

    async fn sync_names(&mut self) -> io::Result<()> {
        let synced = self.provider.sync_names().await;
        synced.map_err(self.put())
    }

    async fn read_start(&mut self) -> io::Result<Option<Bytes>> {
        let read = self.provider.read_start().await;
        Ok(read.map_err(self.put())?.map(Bytes::from))
    }

    async fn write_start(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.provider.write_start(bytes).await;
        match written.map_err(self.put())? {
            Synced::Done => Ok(()),
            Synced::Unsupported => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    async fn remove_start(&mut self) -> io::Result<()> {
        let removed = self.provider.remove_start().await;
        removed.map_err(self.put())
    }

    async fn close(&mut self, _base_index: u64, files: SegmentFiles<Self::File>) -> io::Result<()> {
        let SegmentFiles { store, index } = files;
        store.take()?.close().await.map_err(self.put())?;
        index.take()?.close().await.map_err(self.put())
    }

    fn now_ms(&self) -> i64 {
        system_now_ms()
    }

    fn value_checksum(&self) -> ValueChecksum {
        ValueChecksum::of_hasher::<H>()
    }
}
