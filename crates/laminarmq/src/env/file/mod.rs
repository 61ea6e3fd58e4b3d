//! Segments as files of one directory: `<20-digit base index>.log` and `.index`, and beside
//! them `log.start`, which is replaced by a rename.
//!
//! - One owner per directory: the directory itself is locked for as long as a [`DirEnv`] lives.
//! - A sealed store is never changed: [`SegmentEnv::replace`] writes `<base>.log.new` and renames it.

mod calls;
mod local;
#[cfg(target_os = "linux")]
mod map;
#[cfg(target_os = "linux")]
mod mapped;
pub(crate) mod names;
mod open_files;
#[cfg(all(feature = "io_uring", target_os = "linux"))]
mod uring;

use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{LogEnv, Part, SegmentEnv, SegmentFiles};

pub use calls::{Calls, Direct};
pub use local::{LocalFile, LocalReader, LocalSync};
#[cfg(target_os = "linux")]
pub(crate) use mapped::Mapped;
pub use open_files::OpenFiles;
#[cfg(all(feature = "io_uring", target_os = "linux"))]
pub use uring::Uring;

/// The segments of one directory, and the system's clock. `C` is how files are read and written.
#[derive(Debug)]
pub struct DirEnv<C> {
    dir: PathBuf,
    names: Arc<File>,
    files: OpenFiles,
    /// Locked; a handle of its own, so that a sync on its way does not keep the directory locked.
    _lock: File,
    calls: PhantomData<fn() -> C>,
}

/// The segments of one directory, by plain system calls.
pub type FileEnv = DirEnv<Direct>;

/// The segments of one directory, through the io_uring of each thread that reads, writes or syncs. Files are the same
/// as those of [`FileEnv`].
#[cfg(all(feature = "io_uring", target_os = "linux"))]
pub type UringEnv = DirEnv<Uring>;

impl DirEnv<Direct> {
    /// Opens a directory, and creates it where it is missing.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when another environment has the directory, else what the operating system says.
    pub fn new(dir: impl AsRef<Path>) -> io::Result<Self> {
        Self::sharing(dir, &OpenFiles::default())
    }

    /// As [`FileEnv::new`], where several logs share a bound of open files.
    ///
    /// # Errors
    ///
    /// As [`FileEnv::new`].
    pub fn sharing(dir: impl AsRef<Path>, files: &OpenFiles) -> io::Result<Self> {
        Self::open_dir(dir, files)
    }
}

#[cfg(all(feature = "io_uring", target_os = "linux"))]
impl DirEnv<Uring> {
    /// Opens a directory, and creates it where it is missing.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when another environment has the directory; where the system refuses an io_uring, an error that says
    /// so and what to do; else what the operating system says.
    pub fn new(dir: impl AsRef<Path>) -> io::Result<Self> {
        Self::sharing(dir, &OpenFiles::default())
    }

    /// As [`UringEnv::new`], where several logs share a bound of open files.
    ///
    /// # Errors
    ///
    /// As [`UringEnv::new`].
    pub fn sharing(dir: impl AsRef<Path>, files: &OpenFiles) -> io::Result<Self> {
        Uring::check()?;
        Self::open_dir(dir, files)
    }
}

impl<C: Calls> DirEnv<C> {
    fn open_dir(dir: impl AsRef<Path>, files: &OpenFiles) -> io::Result<Self> {
        let dir = dir.as_ref().to_path_buf();
        names::create_dir_durably(&dir)?;
        let lock = File::open(&dir)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let names = Arc::new(File::open(&dir)?);
        Ok(Self {
            dir,
            names,
            files: files.clone(),
            _lock: lock,
            calls: PhantomData,
        })
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a file of a segment is.
    #[must_use]
    pub fn path(&self, base_index: u64, part: Part) -> PathBuf {
        self.dir.join(names::file_name(base_index, part))
    }

    /// Where the next content of a store is written before it takes its place.
    fn new_store(&self, base_index: u64) -> PathBuf {
        names::new_store(&self.path(base_index, Part::Store))
    }
}

/// As [`system_now_ms`], in steps of a few milliseconds where the system has such a clock, which is several times as
/// cheap to read: for the times of records.
pub(crate) fn system_about_now_ms() -> i64 {
    #[cfg(target_os = "linux")]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        now.tv_sec * 1000 + now.tv_nsec / 1_000_000
    }
    #[cfg(not(target_os = "linux"))]
    system_now_ms()
}

/// Milliseconds since the Unix epoch, by the system's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the clock comes from"
)]
pub(crate) fn system_now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

impl<C: Calls> SegmentEnv for DirEnv<C> {
    type File = LocalFile<C>;

    async fn list(&mut self) -> io::Result<Vec<u64>> {
        let bases = names::bases_in(&self.dir)?;
        for base in &bases {
            // What a crash left of a replacement that did not happen.
            names::remove_if_there(&self.new_store(*base))?;
        }
        Ok(bases)
    }

    async fn open(&mut self, base_index: u64) -> io::Result<SegmentFiles<LocalFile<C>>> {
        // The index first: a store makes a segment, and never stands without its index after this.
        let index = LocalFile::open(&self.files, self.path(base_index, Part::Index))?;
        let store = LocalFile::open(&self.files, self.path(base_index, Part::Store))?;
        Ok(SegmentFiles { store, index })
    }

    async fn remove(
        &mut self,
        base_index: u64,
        files: SegmentFiles<LocalFile<C>>,
    ) -> io::Result<()> {
        drop(files);
        std::fs::remove_file(self.path(base_index, Part::Store))?;
        names::remove_if_there(&self.path(base_index, Part::Index))
    }

    async fn replace(
        &mut self,
        base_index: u64,
        files: &mut SegmentFiles<LocalFile<C>>,
        length: u64,
    ) -> io::Result<()> {
        let (store, new) = (
            self.path(base_index, Part::Store),
            self.new_store(base_index),
        );
        let mut copy = File::create(&new)?;
        let copied = io::copy(&mut File::open(&store)?.take(length), &mut copy)?;
        if copied != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        copy.sync_all()?;
        // No index may promise more than the new store has, so it goes first.
        names::remove_if_there(&self.path(base_index, Part::Index))?;
        self.names.sync_all()?;
        std::fs::rename(&new, &store)?;
        *files = self.open(base_index).await?;
        self.names.sync_all()
    }

    async fn sync(
        &mut self,
        _base_index: u64,
        files: &mut SegmentFiles<LocalFile<C>>,
        part: Part,
    ) -> io::Result<()> {
        files.part(part).sync()
    }

    async fn sync_names(&mut self) -> io::Result<()> {
        self.names.sync_all()
    }

    async fn read_start(&mut self) -> io::Result<Option<Bytes>> {
        Ok(names::read_start(&self.dir)?.map(Bytes::from))
    }

    async fn write_start(&mut self, bytes: &[u8]) -> io::Result<()> {
        names::write_start(&self.dir, bytes)
    }

    async fn remove_start(&mut self) -> io::Result<()> {
        names::remove_start(&self.dir)
    }

    fn now_ms(&self) -> i64 {
        system_now_ms()
    }
}

impl<C: Calls> LogEnv for DirEnv<C> {
    type Sync = LocalSync<C>;

    fn sync_handle(&self, file: &LocalFile<C>) -> LocalSync<C> {
        LocalSync::content(file)
    }

    fn names_sync_handle(&self) -> LocalSync<C> {
        LocalSync::names(&self.names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SyncNow;

    #[test]
    fn a_directory_has_one_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let first = FileEnv::new(&path).unwrap();
        assert_eq!(
            FileEnv::new(&path).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        let sync = first.names_sync_handle();
        drop(first);
        FileEnv::new(&path).unwrap();
        sync.sync().unwrap();
    }
}
