//! One file, by the engine's own means.

use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::FileStorageError;
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
        Ok(PathStorage { file, path })
    }
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
        Ok(self.file.truncate(*mark).await?)
    }
}

impl<C: Calls> AsyncConsume for PathStorage<C> {
    type ConsumeError = FileStorageError;

    async fn remove(self) -> Result<(), FileStorageError> {
        let Self { file, path } = self;
        drop(file);
        Ok(std::fs::remove_file(path)?)
    }

    async fn close(self) -> Result<(), FileStorageError> {
        Ok(self.file.sync()?)
    }
}

impl<C: Calls> Storage for PathStorage<C> {
    type Content = Bytes;
    type Position = u64;
    type Error = FileStorageError;

    async fn append_slice(&mut self, slice: &[u8]) -> Result<(u64, u64), FileStorageError> {
        let start = self.file.len();
        self.file.append(&mut [IoSlice::new(slice)]).await?;
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
        Ok(self.file.append(pieces).await?)
    }

    async fn sync(&mut self) -> Result<Synced, FileStorageError> {
        self.file.sync()?;
        Ok(Synced::Done)
    }

    async fn preallocate(&mut self, length: u64) -> Result<(), FileStorageError> {
        Ok(self.file.reserve(length).await?)
    }

    fn preallocated(&self) -> u64 {
        self.file.reserved()
    }

    fn rest(&mut self) {
        self.file.rest();
    }
}
