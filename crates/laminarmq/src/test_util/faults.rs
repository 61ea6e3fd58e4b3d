//! An environment whose calls fail on request, around any other one: real files too.
//!
//! - [`FaultEnv`] passes everything on, and counts: calls that change something, reads, and syncs, whoever
//!   makes them (the log, a [`ReadPlan`](crate::ReadPlan), a [`SyncTicket`](crate::SyncTicket)).
//! - [`Faults::arm`] names one call by its number, or all from it on, and the error that it returns.
//! - A failing call keeps the contract of [`SegmentEnv`]: an append may leave bytes behind, a start file that
//!   could not be written is the old one.
//!
//! What a power cut takes from unsynced writes is another matter: [`MemEnv`](crate::MemEnv) knows that.
//!
//! ```
//! use std::io::ErrorKind;
//!
//! use laminarmq::test_util::faults::{Call, Fault, FaultEnv};
//! use laminarmq::{Append, Log, LogOptions, MemEnv, poll_ready};
//!
//! let env = FaultEnv::new(MemEnv::new());
//! let faults = env.faults();
//! let mut log = poll_ready(Log::open_with(env, LogOptions::default()))?;
//! faults.arm(Fault { kind: ErrorKind::StorageFull, ..Fault::nth(Call::Change, 0) });
//! poll_ready(log.append(Append::default())).unwrap_err();
//! assert_eq!(poll_ready(log.append(Append::default()))?, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use crate::checksum::ValueChecksum;
use crate::{LogEnv, LogFile, Part, ReadAt, SegmentEnv, SegmentFiles, SyncNow, poll_ready};

/// What kind of call it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Opens, appends to, cuts, reserves, replaces or removes a file, or replaces the start file.
    Change,
    /// Reads a file, the start file, or the list of segments.
    Read,
    /// Syncs a file or the names.
    Sync,
}

/// How much of a failing change happens nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// Half of the bytes of an append; nothing of any other change.
    Half,
    /// All of it. Of a start file and of a file's creation still nothing.
    All,
}

/// A failure to come.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Which calls it counts.
    pub call: Call,
    /// How many of them succeed before it.
    pub after: u64,
    /// What the failing call returns.
    pub kind: io::ErrorKind,
    /// What a failing change does nevertheless.
    pub left: Left,
    /// Whether all further calls of this kind fail too.
    pub lasts: bool,
}

impl Fault {
    /// One call of this kind fails, after `after` others from now, as a broken device would have it.
    #[must_use]
    pub fn nth(call: Call, after: u64) -> Self {
        Self {
            call,
            after,
            kind: io::ErrorKind::Other,
            left: Left::Half,
            lasts: false,
        }
    }
}

/// How many calls there were, failed ones included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of [`Call::Change`].
    pub changes: u64,
    /// Of [`Call::Read`].
    pub reads: u64,
    /// Of [`Call::Sync`].
    pub syncs: u64,
    /// So many of all of them failed because of a [`Fault`].
    pub failed: u64,
}

impl Counts {
    /// How many of this kind.
    #[must_use]
    pub fn of(&self, call: Call) -> u64 {
        match call {
            Call::Change => self.changes,
            Call::Read => self.reads,
            Call::Sync => self.syncs,
        }
    }
}

/// Orders faults from a [`FaultEnv`], and counts its calls. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    paused: bool,
    wants_room: bool,
    /// Its `after` goes down with each call that it counts.
    armed: Option<Fault>,
}

impl Faults {
    /// Orders a fault, in the place of one that was ordered before.
    pub fn arm(&self, fault: Fault) {
        self.lock().armed = Some(fault);
    }

    /// Takes the order back.
    pub fn disarm(&self) {
        self.lock().armed = None;
    }

    /// Nothing is counted, and nothing fails, until [`Faults::resume`]: for calls of the test itself.
    pub fn pause(&self) {
        self.lock().paused = true;
    }

    /// Ends [`Faults::pause`].
    pub fn resume(&self) {
        self.lock().paused = false;
    }

    /// Lets files want room from now on ([`LogFile::wants_room`]), so that it is reserved for every append, or no longer.
    pub fn want_room(&self, wants_room: bool) {
        self.lock().wants_room = wants_room;
    }

    /// How many calls there were.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Counts a call. Where it has to fail, how much of it happens, and what it returns.
    fn count(&self, call: Call) -> Result<(), (Left, io::Error)> {
        let mut state = self.lock();
        if state.paused {
            return Ok(());
        }
        match call {
            Call::Change => state.counts.changes += 1,
            Call::Read => state.counts.reads += 1,
            Call::Sync => state.counts.syncs += 1,
        }
        let Some(fault) = state.armed.as_mut().filter(|fault| fault.call == call) else {
            return Ok(());
        };
        if fault.after > 0 {
            fault.after -= 1;
            return Ok(());
        }
        let fault = *fault;
        if !fault.lasts {
            state.armed = None;
        }
        state.counts.failed += 1;
        Err((fault.left, io::Error::new(fault.kind, "injected fault")))
    }

    fn read(&self) -> io::Result<()> {
        self.count(Call::Read).map_err(|(_, error)| error)
    }

    fn sync(&self) -> io::Result<()> {
        self.count(Call::Sync).map_err(|(_, error)| error)
    }

    /// A change that happens as a whole or not at all.
    fn change<T>(&self, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.count(Call::Change) {
            Ok(()) => change(),
            Err((left, error)) => {
                if left == Left::All {
                    change()?;
                }
                Err(error)
            }
        }
    }
}

/// Another environment whose calls fail on request.
///
/// Its storage is one whose futures are ready at the first poll, as those of [`FileEnv`](crate::FileEnv) and
/// [`MemEnv`](crate::MemEnv) are.
#[derive(Debug, Clone)]
pub struct FaultEnv<E> {
    inner: E,
    faults: Faults,
}

impl<E> FaultEnv<E> {
    /// Around an environment, with faults of its own.
    #[must_use]
    pub fn new(inner: E) -> Self {
        Self::with(inner, &Faults::default())
    }

    /// Around an environment, with faults that others share, for instance one that was opened before.
    #[must_use]
    pub fn with(inner: E, faults: &Faults) -> Self {
        let faults = faults.clone();
        Self { inner, faults }
    }

    /// What orders the faults.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// The environment inside.
    #[must_use]
    pub fn inner(&self) -> &E {
        &self.inner
    }

    fn wrap<F>(&self, inner: F) -> Faulty<F> {
        let faults = self.faults.clone();
        Faulty { inner, faults }
    }
}

/// A file, a reader or a sync of a [`FaultEnv`].
#[derive(Debug, Clone)]
pub struct Faulty<T> {
    inner: T,
    faults: Faults,
}

impl<E: LogEnv> SegmentEnv for FaultEnv<E> {
    type File = Faulty<E::File>;

    async fn list(&mut self) -> io::Result<Vec<u64>> {
        self.faults.read()?;
        self.inner.list().await
    }

    async fn open(&mut self, base_index: u64) -> io::Result<SegmentFiles<Self::File>> {
        self.faults
            .count(Call::Change)
            .map_err(|(_, error)| error)?;
        let files = self.inner.open(base_index).await?;
        Ok(SegmentFiles {
            store: self.wrap(files.store),
            index: self.wrap(files.index),
        })
    }

    async fn remove(&mut self, base_index: u64, files: SegmentFiles<Self::File>) -> io::Result<()> {
        let files = SegmentFiles {
            store: files.store.inner,
            index: files.index.inner,
        };
        let inner = &mut self.inner;
        self.faults
            .change(|| poll_ready(inner.remove(base_index, files)))
    }

    /// One change and one sync. Where the change fails, or leaves half behind, and where the sync fails, the
    /// store is the old one without its index.
    async fn replace(
        &mut self,
        base_index: u64,
        files: &mut SegmentFiles<Self::File>,
        length: u64,
    ) -> io::Result<()> {
        let mut inner = self.inner.open(base_index).await?;
        let without_index = match self.faults.count(Call::Change) {
            Ok(()) => self.faults.sync(),
            Err((Left::Half, error)) => Err(error),
            Err((Left::Nothing, error)) => return Err(error),
            Err((Left::All, error)) => {
                self.inner.replace(base_index, &mut inner, length).await?;
                return Err(error);
            }
        };
        if let Err(error) = without_index {
            inner.index.truncate(0).await?;
            self.inner.sync(base_index, &mut inner, Part::Index).await?;
            return Err(error);
        }
        self.inner.replace(base_index, &mut inner, length).await?;
        *files = SegmentFiles {
            store: self.wrap(inner.store),
            index: self.wrap(inner.index),
        };
        Ok(())
    }

    async fn sync(
        &mut self,
        _base_index: u64,
        files: &mut SegmentFiles<Self::File>,
        part: Part,
    ) -> io::Result<()> {
        self.sync_handle(files.part(part)).sync()
    }

    async fn sync_names(&mut self) -> io::Result<()> {
        self.faults.sync()?;
        self.inner.sync_names().await
    }

    async fn read_start(&mut self) -> io::Result<Option<Bytes>> {
        self.faults.read()?;
        self.inner.read_start().await
    }

    async fn write_start(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.faults.count(Call::Change) {
            Ok(()) => self.inner.write_start(bytes).await,
            Err((_, error)) => Err(error),
        }
    }

    async fn remove_start(&mut self) -> io::Result<()> {
        match self.faults.count(Call::Change) {
            Ok(()) => self.inner.remove_start().await,
            Err((_, error)) => Err(error),
        }
    }

    async fn close(&mut self, base_index: u64, files: SegmentFiles<Self::File>) -> io::Result<()> {
        let SegmentFiles { store, index } = files;
        let files = SegmentFiles {
            store: store.inner,
            index: index.inner,
        };
        self.inner.close(base_index, files).await
    }

    fn now_ms(&self) -> i64 {
        self.inner.now_ms()
    }

    fn value_checksum(&self) -> ValueChecksum {
        self.inner.value_checksum()
    }
}

impl<E: LogEnv> LogEnv for FaultEnv<E> {
    type Sync = Faulty<E::Sync>;

    fn sync_handle(&self, file: &Self::File) -> Self::Sync {
        self.wrap(self.inner.sync_handle(&file.inner))
    }

    fn names_sync_handle(&self) -> Self::Sync {
        self.wrap(self.inner.names_sync_handle())
    }
}

impl<F: LogFile<Reader: ReadAt>> LogFile for Faulty<F> {
    type Reader = Faulty<F::Reader>;

    fn len(&self) -> u64 {
        self.inner.len()
    }

    async fn append(&mut self, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        match self.faults.count(Call::Change) {
            Ok(()) => self.inner.append(pieces).await,
            Err((left, error)) => {
                let bytes: Vec<u8> = pieces
                    .iter()
                    .flat_map(|piece| piece.iter().copied())
                    .collect();
                let written = match left {
                    Left::Nothing => 0,
                    Left::Half => bytes.len() / 2,
                    Left::All => bytes.len(),
                };
                let left = &mut [IoSlice::new(&bytes[..written])];
                self.inner.append(left).await?;
                Err(error)
            }
        }
    }

    async fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        self.faults.read()?;
        self.inner.read_at(position, length).await
    }

    async fn truncate(&mut self, length: u64) -> io::Result<()> {
        let inner = &mut self.inner;
        self.faults.change(|| poll_ready(inner.truncate(length)))
    }

    fn reader(&self) -> Self::Reader {
        Faulty {
            inner: self.inner.reader(),
            faults: self.faults.clone(),
        }
    }

    /// Keeps the contract: where it fails, nothing happens, whatever the fault leaves.
    async fn reserve(&mut self, length: u64) -> io::Result<()> {
        if length <= self.inner.reserved() {
            return Ok(());
        }
        self.faults
            .count(Call::Change)
            .map_err(|(_, error)| error)?;
        self.inner.reserve(length).await
    }

    fn wants_room(&self) -> bool {
        self.faults.lock().wants_room
    }

    fn reserved(&self) -> u64 {
        self.inner.reserved()
    }

    fn rest(&mut self) {
        self.inner.rest();
    }
}

impl<R: ReadAt> ReadAt for Faulty<R> {
    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        self.faults.read()?;
        self.inner.read_at(position, length)
    }

    fn hold(&mut self) -> io::Result<()> {
        self.inner.hold()
    }
}

impl<S: SyncNow> SyncNow for Faulty<S> {
    fn sync(&self) -> io::Result<()> {
        self.faults.sync()?;
        self.inner.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemEnv;

    fn opened() -> (MemEnv, Faults, FaultEnv<MemEnv>) {
        let disk = MemEnv::new();
        let env = FaultEnv::new(disk.clone());
        (disk, env.faults(), env)
    }

    fn append(file: &mut impl LogFile, bytes: &[u8]) -> io::Result<()> {
        poll_ready(file.append(&mut [IoSlice::new(bytes)]))
    }

    #[test]
    fn a_fault_hits_the_call_that_it_names_and_leaves_what_it_says() {
        for (left, want) in [
            (Left::Nothing, &b"ok"[..]),
            (Left::Half, b"okab"),
            (Left::All, b"okabcd"),
        ] {
            let (disk, faults, mut env) = opened();
            let mut files = poll_ready(env.open(3)).unwrap();
            let kind = io::ErrorKind::StorageFull;
            let fault = Fault::nth(Call::Change, 1);
            faults.arm(Fault {
                kind,
                left,
                ..fault
            });
            append(&mut files.store, b"ok").unwrap();
            assert_eq!(append(&mut files.store, b"abcd").unwrap_err().kind(), kind);
            assert_eq!(disk.file(3, Part::Store).unwrap(), want);
            append(&mut files.store, b"again").unwrap();
        }
    }

    #[test]
    fn handles_count_and_fail_too() {
        let (_, faults, mut env) = opened();
        let mut files = poll_ready(env.open(3)).unwrap();
        append(&mut files.store, b"abcd").unwrap();
        let (reader, sync) = (files.store.reader(), env.sync_handle(&files.store));
        faults.arm(Fault::nth(Call::Read, 1));
        assert_eq!(reader.read_at(0, 2).unwrap(), "ab");
        reader.read_at(0, 2).unwrap_err();
        assert_eq!(reader.read_at(0, 2).unwrap(), "ab");
        let lasts = true;
        faults.arm(Fault {
            lasts,
            ..Fault::nth(Call::Sync, 1)
        });
        sync.sync().unwrap();
        for _ in 0..3 {
            sync.sync().unwrap_err();
            poll_ready(env.sync(3, &mut files, Part::Store)).unwrap_err();
            poll_ready(env.sync_names()).unwrap_err();
        }
        faults.disarm();
        sync.sync().unwrap();
        let counts = faults.counts();
        assert_eq!((counts.changes, counts.reads, counts.syncs), (2, 3, 11));
        assert_eq!(counts.failed, 10);
    }

    #[test]
    fn what_fails_as_a_whole_happens_only_where_that_is_asked_for() {
        let (disk, faults, mut env) = opened();
        poll_ready(env.write_start(b"old")).unwrap();
        for left in [Left::Nothing, Left::Half, Left::All] {
            let files = poll_ready(env.open(3)).unwrap();
            faults.arm(Fault {
                left,
                ..Fault::nth(Call::Change, 0)
            });
            poll_ready(env.remove(3, files)).unwrap_err();
            assert_eq!(disk.file(3, Part::Store).is_some(), left != Left::All);
            faults.arm(Fault {
                left,
                ..Fault::nth(Call::Change, 0)
            });
            poll_ready(env.write_start(b"new")).unwrap_err();
            assert_eq!(disk.start_file().unwrap(), b"old");
        }
    }
}
