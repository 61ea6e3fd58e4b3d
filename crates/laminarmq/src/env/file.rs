//! Segments as files of one directory: `<20-digit base index>.log` and `.index`, and beside
//! them `log.start`, which is replaced by a rename.
//!
//! - One owner per directory: the directory itself is locked for as long as a [`FileEnv`] lives.
//! - Writes go to the file's cursor, which only the owner moves and which always stands at the end; reads
//!   are positioned and never move it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{LogEnv, LogFile, Part, ReadAt, SegmentEnv, SegmentFiles, SyncNow};
use crate::limits::WRITE_BYTES_MAX;

const STORE_EXTENSION: &str = "log";
const INDEX_EXTENSION: &str = "index";
const START_FILE: &str = "log.start";
const START_FILE_NEW: &str = "log.start.new";
/// Digits of a base index in a file name: as many as `u64::MAX` has.
const BASE_DIGITS: usize = 20;

/// The segments of one directory, and the system's clock.
#[derive(Debug)]
pub struct FileEnv {
    dir: PathBuf,
    names: Arc<File>,
    /// Locked; a handle of its own, so that a sync on its way does not keep the directory locked.
    _lock: File,
}

impl FileEnv {
    /// Opens a directory, and creates it where it is missing.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when another [`FileEnv`] has the directory, else what the operating system says.
    pub fn new(dir: impl AsRef<Path>) -> io::Result<Self> {
        let dir = dir.as_ref().to_path_buf();
        create_dir_durably(&dir)?;
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
            _lock: lock,
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
        self.dir.join(file_name(base_index, part))
    }

    /// The start file of the log in a directory.
    pub(crate) fn read_start_in(dir: &Path) -> io::Result<Option<Bytes>> {
        match std::fs::read(dir.join(START_FILE)) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The name of a segment's file.
pub(crate) fn file_name(base_index: u64, part: Part) -> String {
    let extension = match part {
        Part::Store => STORE_EXTENSION,
        Part::Index => INDEX_EXTENSION,
    };
    format!("{base_index:0BASE_DIGITS$}.{extension}")
}

/// Base indices of the segments in a directory, ascending.
pub(crate) fn bases_in(dir: &Path) -> io::Result<Vec<u64>> {
    let mut bases = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        bases.extend(base_of_store(&entry?.path()));
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Creates a directory and its missing parents, and makes their names durable.
fn create_dir_durably(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_dir_durably(parent)?;
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

/// The base index in a store's file name; `None` for every other file.
fn base_of_store(path: &Path) -> Option<u64> {
    if path.extension()?.to_str()? != STORE_EXTENSION {
        return None;
    }
    let stem = path.file_stem()?.to_str()?;
    let digits = stem.len() == BASE_DIGITS && stem.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| stem.parse().ok()).flatten()
}

impl SegmentEnv for FileEnv {
    type File = LocalFile;

    async fn list(&mut self) -> io::Result<Vec<u64>> {
        bases_in(&self.dir)
    }

    async fn open(&mut self, base_index: u64) -> io::Result<SegmentFiles<LocalFile>> {
        // The index first: a store makes a segment, and never stands without its index after this.
        let index = LocalFile::open(&self.path(base_index, Part::Index))?;
        let store = LocalFile::open(&self.path(base_index, Part::Store))?;
        Ok(SegmentFiles { store, index })
    }

    async fn remove(&mut self, base_index: u64, files: SegmentFiles<LocalFile>) -> io::Result<()> {
        drop(files);
        std::fs::remove_file(self.path(base_index, Part::Store))?;
        match std::fs::remove_file(self.path(base_index, Part::Index)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn sync(
        &mut self,
        _base_index: u64,
        files: &mut SegmentFiles<LocalFile>,
        part: Part,
    ) -> io::Result<()> {
        files.part(part).file.sync_data()
    }

    async fn sync_names(&mut self) -> io::Result<()> {
        self.names.sync_all()
    }

    async fn read_start(&mut self) -> io::Result<Option<Bytes>> {
        Self::read_start_in(&self.dir)
    }

    async fn write_start(&mut self, bytes: &[u8]) -> io::Result<()> {
        let new = self.dir.join(START_FILE_NEW);
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(new, self.dir.join(START_FILE))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the clock comes from"
    )]
    fn now_ms(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
    }
}

impl LogEnv for FileEnv {
    type Reader = Arc<File>;
    type Sync = LocalSync;

    fn reader(&self, file: &LocalFile) -> Arc<File> {
        Arc::clone(&file.file)
    }

    fn sync_handle(&self, file: &LocalFile) -> LocalSync {
        LocalSync {
            file: Arc::clone(&file.file),
            names: false,
        }
    }

    fn names_sync_handle(&self) -> LocalSync {
        LocalSync {
            file: Arc::clone(&self.names),
            names: true,
        }
    }
}

/// A store or an index on a file system.
#[derive(Debug)]
pub struct LocalFile {
    file: Arc<File>,
    length: u64,
}

impl LocalFile {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        Ok(Self {
            file: Arc::new(file),
            length,
        })
    }
}

/// One write at the cursor, which is at `position`: as many whole pieces as [`WRITE_BYTES_MAX`] allows,
/// or a part of the first.
fn write_some(mut file: &File, position: u64, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    let behind_boundary = position % WRITE_BYTES_MAX as u64;
    let room = WRITE_BYTES_MAX - usize::try_from(behind_boundary).expect("below a usize");
    let mut bytes = 0;
    let fits = |piece: &&IoSlice<'_>| {
        bytes += piece.len();
        bytes <= room
    };
    match pieces.iter().take_while(fits).count() {
        0 => file.write(&pieces[0][..room]),
        whole => file.write_vectored(&pieces[..whole]),
    }
}

impl LogFile for LocalFile {
    fn len(&self) -> u64 {
        self.length
    }

    async fn append(&mut self, mut pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        let file = &*self.file;
        IoSlice::advance_slices(&mut pieces, 0); // leaves out empty ones, so that 0 written means full
        while !pieces.is_empty() {
            match write_some(file, self.length, pieces) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.length += written as u64;
                    IoSlice::advance_slices(&mut pieces, written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        ReadAt::read_at(&self.file, position, length)
    }

    async fn truncate(&mut self, length: u64) -> io::Result<()> {
        assert!(
            length <= self.length,
            "truncation never makes a file longer"
        );
        self.file.set_len(length)?;
        (&*self.file).seek(SeekFrom::Start(length))?;
        self.length = length;
        Ok(())
    }
}

impl ReadAt for Arc<File> {
    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        let mut buffer = vec![0; length];
        self.read_exact_at(&mut buffer, position)?;
        Ok(buffer.into())
    }
}

/// Syncs a file's content and length, or a directory's names.
#[derive(Debug)]
pub struct LocalSync {
    file: Arc<File>,
    names: bool,
}

impl SyncNow for LocalSync {
    fn sync(&self) -> io::Result<()> {
        if self.names {
            self.file.sync_all()
        } else {
            self.file.sync_data()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::poll_ready;

    #[test]
    fn only_whole_store_names_are_segments() {
        let base = |name: &str| base_of_store(Path::new(name));
        assert_eq!(base("00000000000000000042.log"), Some(42));
        assert_eq!(base("18446744073709551615.log"), Some(u64::MAX));
        for other in [
            "00000000000000000042.index",
            "42.log",
            "0000000000000000004x.log",
            "+0000000000000000042.log",
            "18446744073709551616.log",
            "partition.meta",
            ".log",
        ] {
            assert_eq!(base(other), None, "{other}");
        }
    }

    #[test]
    fn pieces_of_all_sizes_arrive_whole_wherever_the_file_ends() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LocalFile::open(&dir.path().join("file")).unwrap();
        let mut want = Vec::new();
        let max = WRITE_BYTES_MAX;
        let mut byte = 0u8;
        for lengths in [
            vec![1, 0, max - 2, 1, 1],
            vec![max],
            vec![3 * max + 17, 5, 0, max],
            vec![0, 7, max - 24, max + 1],
            vec![1; 3000],
        ] {
            let pieces: Vec<Vec<u8>> = lengths
                .iter()
                .map(|length| {
                    byte = byte.wrapping_add(1);
                    vec![byte; *length]
                })
                .collect();
            let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            poll_ready(file.append(&mut slices)).unwrap();
            want.extend(pieces.concat());
            assert_eq!(file.len(), want.len() as u64);
        }
        let read = poll_ready(file.read_at(0, want.len())).unwrap();
        assert!(read == want);
    }

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
