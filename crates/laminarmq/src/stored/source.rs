//! The files of a log, to be read only. What would change something is refused.

use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::env::{
    LogFile, MemEnv, Part, ReadAt, SegmentEnv, SegmentFiles, bases_in, file_name, names,
};

/// Where the log is.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Dir(PathBuf),
    Memory(MemEnv),
}

/// A store or an index, with the length that it had when it was opened.
#[derive(Debug, Clone)]
pub(super) enum StoredFile {
    Disk(Arc<File>, u64),
    Memory(Bytes),
}

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl StoredFile {
    /// A file that is not there is empty.
    fn open(path: &Path) -> io::Result<Self> {
        match File::open(path) {
            Ok(file) => {
                let length = file.metadata()?.len();
                Ok(Self::Disk(Arc::new(file), length))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::Memory(Bytes::new())),
            Err(error) => Err(error),
        }
    }
}

impl LogFile for StoredFile {
    type Reader = ();

    fn len(&self) -> u64 {
        match self {
            Self::Disk(_, length) => *length,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    async fn append(&mut self, _pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        refused()
    }

    async fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        let end = position.checked_add(length as u64);
        if end.is_none_or(|end| end > self.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match self {
            Self::Disk(file, _) => file.read_at(position, length),
            Self::Memory(bytes) => {
                let start = usize::try_from(position).map_err(io::Error::other)?;
                Ok(bytes.slice(start..start + length))
            }
        }
    }

    async fn truncate(&mut self, _length: u64) -> io::Result<()> {
        refused()
    }

    fn reader(&self) {}
}

impl SegmentEnv for Source {
    type File = StoredFile;

    async fn list(&mut self) -> io::Result<Vec<u64>> {
        match self {
            Self::Dir(dir) => bases_in(dir),
            Self::Memory(disk) => disk.list().await,
        }
    }

    async fn open(&mut self, base_index: u64) -> io::Result<SegmentFiles<StoredFile>> {
        let this = &*self;
        let open = |part| match this {
            Self::Dir(dir) => StoredFile::open(&dir.join(file_name(base_index, part))),
            Self::Memory(disk) => {
                let bytes = disk.file(base_index, part).unwrap_or_default();
                Ok(StoredFile::Memory(bytes.into()))
            }
        };
        // The index first: what it says was in the store before.
        let index = open(Part::Index)?;
        let store = open(Part::Store)?;
        Ok(SegmentFiles { store, index })
    }

    async fn remove(&mut self, _base: u64, _files: SegmentFiles<StoredFile>) -> io::Result<()> {
        refused()
    }

    async fn sync(
        &mut self,
        _base_index: u64,
        _files: &mut SegmentFiles<StoredFile>,
        _part: Part,
    ) -> io::Result<()> {
        refused()
    }

    async fn sync_names(&mut self) -> io::Result<()> {
        refused()
    }

    async fn read_start(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::Dir(dir) => Ok(names::read_start(dir)?.map(Bytes::from)),
            Self::Memory(disk) => disk.read_start().await,
        }
    }

    fn now_ms(&self) -> i64 {
        0
    }
}
