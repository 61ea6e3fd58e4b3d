//! Segments in memory, on a disk that can lose power and fail on request.
//!
//! Clones of a [`MemEnv`] address the same disk: drop the log, open it again through a clone, and the data is
//! there. What a process wrote and what a sync put on the media are kept apart, so that
//! [`MemEnv::crash`] can take away what was not synced, whole or in 512-byte sectors.

mod disk;

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::{LogEnv, LogFile, Part, ReadAt, SegmentEnv, SegmentFiles, SyncNow, file_name};
use disk::{Disk, Node, lock};

pub use disk::CrashPoint;

/// The name that the start file has in a directory.
const START_FILE: &str = "log.start";

/// Segments in memory, on a disk that can lose power and fail on request. Clones address the same disk.
///
/// ```
/// use laminarmq::{Append, Log, LogOptions, MemEnv, poll_ready};
///
/// let disk = MemEnv::new();
/// let mut log = poll_ready(Log::open_with(disk.clone(), LogOptions::default()))?;
/// poll_ready(log.append(Append { value: &[b"kept"], ..Append::default() }))?;
/// poll_ready(log.sync())?;
/// poll_ready(log.append(Append { value: &[b"lost"], ..Append::default() }))?;
/// disk.crash();
/// let log = poll_ready(Log::open_with(disk, LogOptions::default()))?;
/// assert_eq!(log.end_index(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemEnv {
    disk: Arc<Mutex<Disk>>,
}

impl MemEnv {
    /// An empty disk, whose clock stands at 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the clock, in milliseconds since the Unix epoch.
    pub fn set_now_ms(&self, now_ms: i64) {
        lock(&self.disk).now_ms = now_ms;
    }

    /// Cuts the power: everything that was not synced is gone. Handles from before fail from now on.
    pub fn crash(&self) {
        self.crash_with(|_| false);
    }

    /// Cuts the power, where `keep` decides about each unsynced thing whether the media took it.
    pub fn crash_with(&self, mut keep: impl FnMut(CrashPoint) -> bool) {
        let mut disk = lock(&self.disk);
        *disk = disk.crashed(&mut keep);
    }

    /// The disk that a power cut would leave now, as another one; this one goes on. See
    /// [`MemEnv::crash_with`].
    #[must_use]
    pub fn crashed_copy(&self, mut keep: impl FnMut(CrashPoint) -> bool) -> Self {
        Self {
            disk: Arc::new(Mutex::new(lock(&self.disk).crashed(&mut keep))),
        }
    }

    /// A copy of the whole disk that shares nothing with this one; faults are not copied.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self {
            disk: Arc::new(Mutex::new(lock(&self.disk).copied())),
        }
    }

    /// How many syncs there were since the start or the last crash.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        lock(&self.disk).syncs
    }

    /// How many calls that change something there were, syncs not counted, since the start or the last crash.
    #[must_use]
    pub fn calls(&self) -> u64 {
        lock(&self.disk).calls
    }

    /// Lets one call that changes something fail: the one after `after` others from now. An append then
    /// leaves half of its bytes behind. `None` takes the request back.
    pub fn fail_call(&self, after: Option<u64>) {
        let mut disk = lock(&self.disk);
        disk.fail_call = after.map(|after| disk.calls + after);
    }

    /// Lets one sync fail: the one after `after` others from now. `None` takes the request back.
    pub fn fail_sync(&self, after: Option<u64>) {
        let mut disk = lock(&self.disk);
        disk.fail_sync = after.map(|after| disk.syncs + after);
    }

    /// Bounds the bytes of all files together; `None` lifts the bound. An append that does not fit writes as
    /// much as does, and fails with `StorageFull`. A crash or a copy of the disk keeps the bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        lock(&self.disk).capacity = bytes;
    }

    /// The bytes of a file, `None` where there is none.
    #[must_use]
    pub fn file(&self, base_index: u64, part: Part) -> Option<Vec<u8>> {
        let disk = lock(&self.disk);
        disk.names
            .get(&(base_index, part))
            .map(|node| lock(node).live.clone())
    }

    /// Replaces the bytes of a file, behind the back of any log; `None` removes it. Durable at once.
    pub fn set_file(&self, base_index: u64, part: Part, bytes: Option<Vec<u8>>) {
        lock(&self.disk).replace((base_index, part), bytes);
    }

    /// The bytes of the start file, `None` where there is none.
    #[must_use]
    pub fn start_file(&self) -> Option<Vec<u8>> {
        lock(&self.disk).start.clone()
    }

    /// Replaces the start file, behind the back of any log; `None` removes it. Durable at once.
    pub fn set_start_file(&self, bytes: Option<Vec<u8>>) {
        lock(&self.disk).replace_start(bytes);
    }

    /// Writes all files, synced or not, into a directory that is there, under the names that
    /// [`FileEnv`](crate::FileEnv) gives them. Other files of the directory stay.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn write_to_dir(&self, dir: impl AsRef<Path>) -> io::Result<()> {
        let (disk, dir) = (lock(&self.disk), dir.as_ref());
        for ((base_index, part), node) in &disk.names {
            std::fs::write(dir.join(file_name(*base_index, *part)), &lock(node).live)?;
        }
        match &disk.start {
            Some(start) => std::fs::write(dir.join(START_FILE), start),
            None => Ok(()),
        }
    }

    fn file_handle(&self, node: Node) -> MemFile {
        let (generation, length) = (lock(&self.disk).generation, lock(&node).live.len() as u64);
        MemFile {
            reader: MemReader {
                disk: Arc::clone(&self.disk),
                generation,
                node,
            },
            length,
        }
    }
}

impl SegmentEnv for MemEnv {
    type File = MemFile;

    async fn list(&mut self) -> io::Result<Vec<u64>> {
        let disk = lock(&self.disk);
        Ok(disk
            .names
            .keys()
            .filter(|(_, part)| *part == Part::Store)
            .map(|(base, _)| *base)
            .collect())
    }

    async fn open(&mut self, base_index: u64) -> io::Result<SegmentFiles<MemFile>> {
        let open = |part| {
            let mut disk = lock(&self.disk);
            if !disk.names.contains_key(&(base_index, part)) {
                disk.call()?;
            }
            let node = disk.names.entry((base_index, part)).or_default().clone();
            drop(disk);
            Ok::<_, io::Error>(self.file_handle(node))
        };
        let index = open(Part::Index)?;
        Ok(SegmentFiles {
            store: open(Part::Store)?,
            index,
        })
    }

    async fn remove(&mut self, base_index: u64, files: SegmentFiles<MemFile>) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        files.store.reader.check(&disk)?;
        disk.call()?;
        disk.remove_name((base_index, Part::Store));
        disk.remove_name((base_index, Part::Index));
        Ok(())
    }

    async fn replace(
        &mut self,
        base_index: u64,
        files: &mut SegmentFiles<MemFile>,
        length: u64,
    ) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        {
            let mut disk = lock(&self.disk);
            files.store.reader.check(&disk)?;
            let new = disk.copy_of(&files.store.reader.node, length)?;
            disk.call()?;
            disk.remove_name((base_index, Part::Index));
            disk.sync_names()?;
            disk.call()?;
            disk.names.insert((base_index, Part::Store), new);
        }
        *files = self.open(base_index).await?;
        lock(&self.disk).sync_names()
    }

    async fn sync(
        &mut self,
        _base_index: u64,
        files: &mut SegmentFiles<MemFile>,
        part: Part,
    ) -> io::Result<()> {
        self.sync_handle(files.part(part)).sync()
    }

    async fn sync_names(&mut self) -> io::Result<()> {
        lock(&self.disk).sync_names()
    }

    async fn read_start(&mut self) -> io::Result<Option<Bytes>> {
        Ok(self.start_file().map(Bytes::from))
    }

    async fn write_start(&mut self, bytes: &[u8]) -> io::Result<()> {
        lock(&self.disk).write_start(bytes)
    }

    async fn remove_start(&mut self) -> io::Result<()> {
        lock(&self.disk).remove_start()
    }

    fn now_ms(&self) -> i64 {
        lock(&self.disk).now_ms
    }
}

impl LogEnv for MemEnv {
    type Sync = MemSync;

    fn sync_handle(&self, file: &MemFile) -> MemSync {
        MemSync {
            disk: Arc::clone(&self.disk),
            generation: file.reader.generation,
            node: Some(Arc::clone(&file.reader.node)),
        }
    }

    fn names_sync_handle(&self) -> MemSync {
        MemSync {
            disk: Arc::clone(&self.disk),
            generation: lock(&self.disk).generation,
            node: None,
        }
    }
}

/// A store or an index in memory.
#[derive(Debug)]
pub struct MemFile {
    reader: MemReader,
    length: u64,
}

impl LogFile for MemFile {
    type Reader = MemReader;

    fn len(&self) -> u64 {
        self.length
    }

    async fn append(&mut self, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut disk = lock(&self.reader.disk);
        self.reader.check(&disk)?;
        let failed = disk.call();
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        let most = if failed.is_err() { bytes / 2 } else { bytes };
        let written = disk.write(&self.reader.node, self.length, pieces, most);
        self.length += written as u64;
        failed.and(if written < most {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        })
    }

    async fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        ReadAt::read_at(&self.reader, position, length)
    }

    async fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut disk = lock(&self.reader.disk);
        self.reader.check(&disk)?;
        disk.call()?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let mut content = lock(&self.reader.node);
        assert!(
            length <= content.live.len(),
            "truncation never makes a file longer"
        );
        content.truncate(length);
        self.length = length as u64;
        Ok(())
    }

    fn reader(&self) -> MemReader {
        self.reader.clone()
    }

    async fn reserve(&mut self, length: u64) -> io::Result<()> {
        let mut disk = lock(&self.reader.disk);
        self.reader.check(&disk)?;
        let reserved = lock(&self.reader.node).live.len() as u64;
        if length <= reserved {
            return Ok(());
        }
        disk.call()?;
        if disk.free() < length - reserved {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let length = usize::try_from(length).map_err(io::Error::other)?;
        lock(&self.reader.node).live.resize(length, 0);
        Ok(())
    }

    fn reserved(&self) -> u64 {
        lock(&self.reader.node).live.len() as u64
    }
}

/// Reads a file in memory beside its writer.
#[derive(Debug, Clone)]
pub struct MemReader {
    disk: Arc<Mutex<Disk>>,
    generation: u64,
    node: Node,
}

impl MemReader {
    fn check(&self, disk: &Disk) -> io::Result<()> {
        check_generation(self.generation, disk)
    }
}

fn check_generation(generation: u64, disk: &Disk) -> io::Result<()> {
    if generation == disk.generation {
        Ok(())
    } else {
        Err(io::Error::other(
            "the power was cut since this file was opened",
        ))
    }
}

impl ReadAt for MemReader {
    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        let start = usize::try_from(position).map_err(io::Error::other)?;
        let content = lock(&self.node);
        let bytes = start
            .checked_add(length)
            .and_then(|end| content.live.get(start..end));
        bytes
            .map(Bytes::copy_from_slice)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Syncs a file in memory, or the names of all.
#[derive(Debug)]
pub struct MemSync {
    disk: Arc<Mutex<Disk>>,
    generation: u64,
    node: Option<Node>,
}

impl SyncNow for MemSync {
    fn sync(&self) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        check_generation(self.generation, &disk)?;
        match &self.node {
            Some(node) => disk.sync_file(node),
            None => disk.sync_names(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::poll_ready;

    fn append(file: &mut MemFile, bytes: &[u8]) -> io::Result<()> {
        poll_ready(file.append(&mut [IoSlice::new(bytes)]))
    }

    fn opened() -> (MemEnv, SegmentFiles<MemFile>) {
        let mut env = MemEnv::new();
        let files = poll_ready(env.open(0)).unwrap();
        poll_ready(env.sync_names()).unwrap();
        (env, files)
    }

    #[test]
    fn a_crash_takes_exactly_what_was_not_synced() {
        let (mut env, mut files) = opened();
        append(&mut files.store, b"synced").unwrap();
        poll_ready(env.sync(0, &mut files, Part::Store)).unwrap();
        append(&mut files.store, b" not").unwrap();
        poll_ready(env.open(9)).unwrap();
        let all = env.crashed_copy(|_| true);
        assert_eq!(all.file(0, Part::Store).unwrap(), b"synced not");
        assert_eq!(all.file(9, Part::Store).unwrap(), b"");
        env.crash();
        assert_eq!(env.file(0, Part::Store).unwrap(), b"synced");
        assert_eq!(env.file(9, Part::Store), None);
        append(&mut files.store, b"dead").unwrap_err();
    }

    #[test]
    fn a_name_that_was_added_and_removed_may_come_back() {
        let (mut env, _) = opened();
        let files = poll_ready(env.open(9)).unwrap();
        poll_ready(env.remove(9, files)).unwrap();
        let back = |env: &MemEnv| env.crashed_copy(|_| true).file(9, Part::Store);
        assert_eq!(back(&env), Some(vec![]));
        assert_eq!(back(&env.copy()), Some(vec![]));
        assert_eq!(env.crashed_copy(|_| false).file(9, Part::Store), None);
        poll_ready(env.sync_names()).unwrap();
        assert_eq!(back(&env), None);
    }

    #[test]
    fn an_unsynced_cut_may_come_back() {
        let (mut env, mut files) = opened();
        append(&mut files.store, b"0123456789").unwrap();
        poll_ready(env.sync(0, &mut files, Part::Store)).unwrap();
        poll_ready(files.store.truncate(4)).unwrap();
        append(&mut files.store, b"ab").unwrap();
        assert_eq!(env.file(0, Part::Store).unwrap(), b"0123ab");
        assert_eq!(
            env.crashed_copy(|_| false).file(0, Part::Store).unwrap(),
            b"0123456789"
        );
        let sector = |point| matches!(point, CrashPoint::Sector { .. });
        assert_eq!(
            env.crashed_copy(sector).file(0, Part::Store).unwrap(),
            b"0123ab6789"
        );
        let length = |point| matches!(point, CrashPoint::Length { .. });
        assert_eq!(
            env.crashed_copy(length).file(0, Part::Store).unwrap(),
            b"012345"
        );
    }

    #[test]
    fn sectors_are_kept_one_by_one() {
        let (env, mut files) = opened();
        append(&mut files.store, &[1; 3 * disk::SECTOR]).unwrap();
        let torn = env.crashed_copy(|point| !matches!(point, CrashPoint::Sector { sector: 1, .. }));
        let bytes = torn.file(0, Part::Store).unwrap();
        let ones = |sector: usize| bytes[sector * 512..][..512].iter().all(|byte| *byte == 1);
        assert_eq!([ones(0), ones(1), ones(2)], [true, false, true]);
    }

    #[test]
    fn a_disk_in_a_directory_is_the_same_to_an_environment_of_files() {
        let (mut env, mut files) = opened();
        append(&mut files.store, b"store").unwrap();
        append(&mut files.index, b"index").unwrap();
        poll_ready(env.open(9)).unwrap();
        poll_ready(env.write_start(b"start")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        env.write_to_dir(dir.path()).unwrap();
        let mut local = crate::FileEnv::new(dir.path()).unwrap();
        assert_eq!(poll_ready(local.list()).unwrap(), [0, 9]);
        assert_eq!(poll_ready(local.read_start()).unwrap().unwrap(), "start");
        let files = poll_ready(local.open(0)).unwrap();
        assert_eq!(poll_ready(files.store.read_at(0, 5)).unwrap(), "store");
        assert_eq!(poll_ready(files.index.read_at(0, 5)).unwrap(), "index");
    }

    #[test]
    fn faults_hit_the_call_they_name() {
        let (env, mut files) = opened();
        env.fail_call(Some(1));
        append(&mut files.store, b"abcd").unwrap();
        append(&mut files.store, b"efgh").unwrap_err();
        assert_eq!(env.file(0, Part::Store).unwrap(), b"abcdef");
        append(&mut files.store, b"ij").unwrap();
        env.fail_sync(Some(0));
        env.sync_handle(&files.store).sync().unwrap_err();
        env.sync_handle(&files.store).sync().unwrap();
        assert_eq!(env.syncs(), 3);
    }
}
