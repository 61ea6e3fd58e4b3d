//! Memory that calls the test at the moments that matter: within a sync, and within a read beside the owner.
//!
//! A hook runs on the thread that syncs or reads. It may use the log: nothing is locked then, which is a part
//! of what is tested.
#![allow(dead_code, reason = "each test file uses a part of this")]
#![allow(clippy::unwrap_used, reason = "only tests use this")]

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use laminarmq::{
    LogEnv, LogFile, MemEnv, MemFile, MemReader, MemSync, Part, ReadAt, SegmentEnv, SegmentFiles,
    SyncNow,
};

type Act = Box<dyn FnMut() + Send>;

/// What to do, as long as something is set.
#[derive(Clone, Default)]
pub(crate) struct Hook(Arc<Mutex<Option<Act>>>);

impl Hook {
    pub(crate) fn set(&self, hook: impl FnMut() + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(hook));
    }

    pub(crate) fn clear(&self) {
        *self.0.lock().unwrap() = None;
    }

    /// Not while it runs already: a hook may sync and read itself.
    fn fire(&self) {
        let taken = self.0.lock().unwrap().take();
        if let Some(mut hook) = taken {
            hook();
            self.0.lock().unwrap().get_or_insert(hook);
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Hooked {
    pub(crate) disk: MemEnv,
    /// At the beginning of each sync of a ticket.
    pub(crate) on_sync: Hook,
    /// Behind each read beside the owner, before the reader gets the bytes.
    pub(crate) on_read: Hook,
}

impl Hooked {
    fn file(&self, file: MemFile) -> HookedFile {
        let on_read = self.on_read.clone();
        HookedFile { file, on_read }
    }

    fn files(&self, files: SegmentFiles<MemFile>) -> SegmentFiles<HookedFile> {
        SegmentFiles {
            store: self.file(files.store),
            index: self.file(files.index),
        }
    }
}

impl SegmentEnv for Hooked {
    type File = HookedFile;

    async fn list(&mut self) -> io::Result<Vec<u64>> {
        self.disk.list().await
    }

    async fn open(&mut self, base_index: u64) -> io::Result<SegmentFiles<HookedFile>> {
        let files = self.disk.open(base_index).await?;
        Ok(self.files(files))
    }

    async fn remove(&mut self, base_index: u64, files: SegmentFiles<HookedFile>) -> io::Result<()> {
        let (store, index) = (files.store.file, files.index.file);
        let files = SegmentFiles { store, index };
        self.disk.remove(base_index, files).await
    }

    async fn replace(
        &mut self,
        base_index: u64,
        files: &mut SegmentFiles<HookedFile>,
        length: u64,
    ) -> io::Result<()> {
        let mut plain = self.disk.open(base_index).await?;
        self.disk.replace(base_index, &mut plain, length).await?;
        *files = self.files(plain);
        Ok(())
    }

    async fn sync(
        &mut self,
        base_index: u64,
        files: &mut SegmentFiles<HookedFile>,
        part: Part,
    ) -> io::Result<()> {
        let _ = base_index;
        self.disk.sync_handle(&files.part(part).file).sync()
    }

    async fn sync_names(&mut self) -> io::Result<()> {
        self.disk.sync_names().await
    }

    async fn read_start(&mut self) -> io::Result<Option<Bytes>> {
        self.disk.read_start().await
    }

    async fn write_start(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.write_start(bytes).await
    }

    fn now_ms(&self) -> i64 {
        self.disk.now_ms()
    }
}

impl LogEnv for Hooked {
    type Sync = HookedSync;

    fn sync_handle(&self, file: &HookedFile) -> HookedSync {
        let (sync, on_sync) = (self.disk.sync_handle(&file.file), self.on_sync.clone());
        HookedSync { sync, on_sync }
    }

    fn names_sync_handle(&self) -> HookedSync {
        let (sync, on_sync) = (self.disk.names_sync_handle(), self.on_sync.clone());
        HookedSync { sync, on_sync }
    }
}

pub(crate) struct HookedFile {
    file: MemFile,
    on_read: Hook,
}

impl LogFile for HookedFile {
    type Reader = HookedReader;

    fn len(&self) -> u64 {
        self.file.len()
    }

    async fn append(&mut self, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.file.append(pieces).await
    }

    async fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        self.file.read_at(position, length).await
    }

    async fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.truncate(length).await
    }

    fn reader(&self) -> HookedReader {
        HookedReader {
            reader: self.file.reader(),
            on_read: self.on_read.clone(),
        }
    }

    async fn reserve(&mut self, length: u64) -> io::Result<()> {
        self.file.reserve(length).await
    }

    fn reserved(&self) -> u64 {
        self.file.reserved()
    }
}

#[derive(Clone)]
pub(crate) struct HookedReader {
    reader: MemReader,
    on_read: Hook,
}

impl ReadAt for HookedReader {
    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        let read = self.reader.read_at(position, length);
        self.on_read.fire();
        read
    }
}

pub(crate) struct HookedSync {
    sync: MemSync,
    on_sync: Hook,
}

impl SyncNow for HookedSync {
    fn sync(&self) -> io::Result<()> {
        self.on_sync.fire();
        self.sync.sync()
    }
}
