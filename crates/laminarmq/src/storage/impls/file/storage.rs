//! One file, by the engine's own means.

use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::FileStorageError;
#[cfg(target_os = "linux")]
use crate::env::Mapped;
use crate::env::{Calls, Direct, LocalFile, LogFile, OpenFiles};
use crate::storage::impls::common::PathAddressedStorageProvider;
use crate::storage::{AsyncConsume, AsyncTruncate, Sizable, Storage, Synced};

/// A file.
///
/// What was appended is with the operating system: killing the process loses nothing. It survives a power cut once
/// [`Storage::sync`] or [`AsyncConsume::close`] returned, if the file's name does.
///
/// ```
/// use laminarmq::storage::impls::common::PathAddressedStorageProvider;
/// use laminarmq::storage::impls::file::FileStorageProvider;
/// use laminarmq::storage::Storage;
///
/// # let dir = tempfile::tempdir()?;
/// # futures_lite::future::block_on(async {
/// let provider = FileStorageProvider::default();
/// let mut file = provider.obtain_storage(dir.path().join("some file")).await?;
/// file.append_slice(b"hello").await?;
/// assert_eq!(file.read(&1, &3).await?, "ell");
/// # Ok::<(), laminarmq::storage::impls::file::FileStorageError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PathStorage<C> {
    file: LocalFile<C>,
    #[cfg(target_os = "linux")]
    mapped: Mapped,
    path: PathBuf,
}

/// A file, by plain system calls.
pub type FileStorage = PathStorage<Direct>;

/// A file, through the io_uring of each thread that uses it.
#[cfg(all(feature = "io_uring", target_os = "linux"))]
pub type UringStorage = PathStorage<crate::env::Uring>;

/// Opens files, and creates those that are missing. Clones share a bound of how many are open at a time.
#[derive(Debug)]
pub struct PathStorageProvider<C> {
    files: OpenFiles,
    calls: PhantomData<fn() -> C>,
}

/// Opens files for plain system calls.
pub type FileStorageProvider = PathStorageProvider<Direct>;

/// Opens files for an io_uring. Where the system refuses one, the first call says so.
#[cfg(all(feature = "io_uring", target_os = "linux"))]
pub type UringStorageProvider = PathStorageProvider<crate::env::Uring>;

impl<C> Default for PathStorageProvider<C> {
    fn default() -> Self {
        let files = OpenFiles::default();
        let calls = PhantomData;
        Self { files, calls }
    }
}

impl<C> Clone for PathStorageProvider<C> {
    fn clone(&self) -> Self {
        let files = self.files.clone();
        let calls = PhantomData;
        Self { files, calls }
    }
}

impl<C: Calls> PathAddressedStorageProvider<PathStorage<C>> for PathStorageProvider<C> {
    async fn obtain_storage(
        &self,
        path: impl AsRef<Path>,
    ) -> Result<PathStorage<C>, FileStorageError> {
        let path = path.as_ref().to_path_buf();
        let file = LocalFile::open(&self.files, path.clone())?;
        Ok(PathStorage {
            file,
            #[cfg(target_os = "linux")]
            mapped: Mapped::default(),
            path,
        })
    }
}

#[cfg(target_os = "linux")]
impl<C: Calls> PathStorage<C> {
    /// Appends without a call, where there is mapped room; says whether there was.
    #[inline]
    fn put(&mut self, pieces: &[IoSlice<'_>]) -> bool {
        C::MAY_MAP && self.mapped.append(&mut self.file, pieces)
    }

    /// To be called before the file is cut.
    fn unmap(&mut self) {
        self.mapped.give_up();
    }

    #[inline]
    fn mapped_room(&self) -> u64 {
        if C::MAY_MAP {
            self.mapped.room(&self.file)
        } else {
            0
        }
    }

    fn map_room(&mut self, is_there: bool) {
        if !C::MAY_MAP {
        } else if is_there {
            self.mapped.room_was_made(&mut self.file);
        } else {
            self.mapped.no_room();
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl<C: Calls> PathStorage<C> {
    fn put(&mut self, _pieces: &[IoSlice<'_>]) -> bool {
        false
    }

    fn unmap(&mut self) {}

    fn mapped_room(&self) -> u64 {
        0
    }

    fn map_room(&mut self, _is_there: bool) {}
}

impl<C: Calls> Sizable for PathStorage<C> {
    type Size = u64;

    fn size(&self) -> u64 {
        self.file.len()
    }
}

impl<C: Calls> AsyncTruncate for PathStorage<C> {
    type TruncError = FileStorageError;
    type Mark = u64;

    async fn truncate(&mut self, mark: &u64) -> Result<(), FileStorageError> {
        if *mark > self.file.len() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.unmap();
        Ok(self.file.truncate(*mark).await?)
    }
}

impl<C: Calls> AsyncConsume for PathStorage<C> {
    type ConsumeError = FileStorageError;

    async fn remove(self) -> Result<(), FileStorageError> {
        let Self { file, path, .. } = self;
        drop(file);
        Ok(std::fs::remove_file(path)?)
    }

    async fn close(mut self) -> Result<(), FileStorageError> {
        self.unmap();
        Ok(self.file.sync()?)
    }
}

impl<C: Calls> Storage for PathStorage<C> {
    type Content = Bytes;
    type Position = u64;
    type Error = FileStorageError;

    async fn append_slice(&mut self, slice: &[u8]) -> Result<(u64, u64), FileStorageError> {
        let (start, pieces) = (self.file.len(), &mut [IoSlice::new(slice)]);
        if !self.put(pieces) {
            self.file.append(pieces).await?;
        }
        Ok((start, slice.len() as u64))
    }

    async fn read(&self, position: &u64, size: &u64) -> Result<Bytes, FileStorageError> {
        let length = usize::try_from(*size).map_err(io::Error::other)?;
        let end = position.checked_add(*size);
        if end.is_none_or(|end| end > self.file.len()) {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(self.file.read_at(*position, length).await?)
    }

    async fn append_vectored(
        &mut self,
        pieces: &mut [IoSlice<'_>],
    ) -> Result<(), FileStorageError> {
        if !self.put(pieces) {
            self.file.append(pieces).await?;
        }
        Ok(())
    }

    #[inline]
    fn room_now(&self) -> u64 {
        self.mapped_room()
    }

    #[inline]
    fn append_now(&mut self, header: &[u8], value: &[u8]) {
        let was_put = self.put(&[IoSlice::new(header), IoSlice::new(value)]);
        assert!(was_put, "only what there is room for");
    }

    async fn sync(&mut self) -> Result<Synced, FileStorageError> {
        self.file.sync()?;
        Ok(Synced::Done)
    }

    async fn preallocate(&mut self, length: u64) -> Result<(), FileStorageError> {
        let reserved = self.file.reserve(length).await;
        self.map_room(reserved.is_ok());
        Ok(reserved?)
    }

    #[cfg(target_os = "linux")]
    #[inline]
    fn wants_room(&self) -> bool {
        C::MAY_MAP && self.mapped.wants_room()
    }

    fn preallocated(&self) -> u64 {
        self.file.reserved()
    }

    fn rest(&mut self) {
        self.unmap();
        self.file.rest();
    }
}
