//! Any environment as a storage for [`SegmentedLog`](crate::storage::commit_log::segmented_log::SegmentedLog), so that what can
//! happen to a disk can happen to that log too.

use std::io::{self, IoSlice};

use bytes::Bytes;

use crate::common::stream::StreamUnexpectedLength;
use crate::storage::commit_log::segmented_log::segment::{
    Replaced, SegmentStorage, SegmentStorageProvider,
};
use crate::storage::{AsyncConsume, AsyncTruncate, Sizable, Storage, Synced};
use crate::{LogEnv, LogFile, Part, SegmentFiles, SyncNow};

/// What an environment says.
#[derive(Debug, thiserror::Error)]
pub enum EnvStorageError {
    /// It refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A stream failed, or was too long.
    #[error(transparent)]
    Stream(#[from] StreamUnexpectedLength),
}

/// A file of an environment.
#[derive(Debug)]
pub struct EnvStorage<E: LogEnv> {
    env: E,
    base_index: u64,
    part: Part,
    file: E::File,
}

/// The segments of an environment, whose clones have the same storage.
#[derive(Debug, Clone)]
pub struct EnvProvider<E>(pub E);

impl<E: LogEnv + Clone> EnvProvider<E> {
    fn storage(
        &self,
        base_index: u64,
        files: SegmentFiles<E::File>,
    ) -> SegmentStorage<EnvStorage<E>> {
        let storage = |part, file| EnvStorage {
            env: self.0.clone(),
            base_index,
            part,
            file,
        };
        SegmentStorage {
            store: storage(Part::Store, files.store),
            index: storage(Part::Index, files.index),
        }
    }
}

impl<E: LogEnv + Clone> SegmentStorageProvider<EnvStorage<E>, u64> for EnvProvider<E> {
    async fn obtain_base_indices_of_stored_segments(
        &mut self,
    ) -> Result<Vec<u64>, EnvStorageError> {
        Ok(self.0.list().await?)
    }

    async fn obtain(
        &mut self,
        idx: &u64,
    ) -> Result<SegmentStorage<EnvStorage<E>>, EnvStorageError> {
        let files = self.0.open(*idx).await?;
        Ok(self.storage(*idx, files))
    }

    async fn sync_names(&mut self) -> Result<(), EnvStorageError> {
        Ok(self.0.sync_names().await?)
    }

    async fn replace(
        &mut self,
        idx: &u64,
        storage: SegmentStorage<EnvStorage<E>>,
        length: u64,
    ) -> Result<Replaced<EnvStorage<E>>, EnvStorageError> {
        let mut files = SegmentFiles {
            store: storage.store.file,
            index: storage.index.file,
        };
        self.0.replace(*idx, &mut files, length).await?;
        Ok(Replaced::Done(self.storage(*idx, files)))
    }

    async fn read_start(&mut self) -> Result<Option<Vec<u8>>, EnvStorageError> {
        Ok(self.0.read_start().await?.map(Vec::from))
    }

    async fn write_start(&mut self, bytes: &[u8]) -> Result<Synced, EnvStorageError> {
        self.0.write_start(bytes).await?;
        Ok(Synced::Done)
    }

    async fn remove_start(&mut self) -> Result<(), EnvStorageError> {
        Ok(self.0.remove_start().await?)
    }
}

impl<E: LogEnv> Sizable for EnvStorage<E> {
    type Size = u64;

    fn size(&self) -> u64 {
        self.file.len()
    }
}

impl<E: LogEnv> AsyncTruncate for EnvStorage<E> {
    type TruncError = EnvStorageError;
    type Mark = u64;

    async fn truncate(&mut self, mark: &u64) -> Result<(), EnvStorageError> {
        if *mark > self.file.len() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(self.file.truncate(*mark).await?)
    }
}

impl<E: LogEnv> AsyncConsume for EnvStorage<E> {
    type ConsumeError = EnvStorageError;

    /// An environment removes both files of a segment with its store.
    async fn remove(mut self) -> Result<(), EnvStorageError> {
        if self.part == Part::Store {
            let files = self.env.open(self.base_index).await?;
            drop(self.file);
            self.env.remove(self.base_index, files).await?;
        }
        Ok(())
    }

    async fn close(self) -> Result<(), EnvStorageError> {
        Ok(self.env.sync_handle(&self.file).sync()?)
    }
}

impl<E: LogEnv> Storage for EnvStorage<E> {
    type Content = Bytes;
    type Position = u64;
    type Error = EnvStorageError;

    async fn append_slice(&mut self, slice: &[u8]) -> Result<(u64, u64), EnvStorageError> {
        let start = self.file.len();
        self.file.append(&mut [IoSlice::new(slice)]).await?;
        Ok((start, slice.len() as u64))
    }

    async fn read(&self, position: &u64, size: &u64) -> Result<Bytes, EnvStorageError> {
        let length = usize::try_from(*size).map_err(io::Error::other)?;
        Ok(self.file.read_at(*position, length).await?)
    }

    async fn append_vectored(&mut self, pieces: &mut [IoSlice<'_>]) -> Result<(), EnvStorageError> {
        Ok(self.file.append(pieces).await?)
    }

    async fn sync(&mut self) -> Result<Synced, EnvStorageError> {
        self.env.sync_handle(&self.file).sync()?;
        Ok(Synced::Done)
    }

    async fn preallocate(&mut self, length: u64) -> Result<(), EnvStorageError> {
        Ok(self.file.reserve(length).await?)
    }

    fn preallocated(&self) -> u64 {
        self.file.reserved()
    }

    fn wants_room(&self) -> bool {
        self.file.wants_room()
    }

    fn rest(&mut self) {
        self.file.rest();
    }
}
