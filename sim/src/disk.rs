//! The disk of a node: segments, and the raft-state file, behind one power switch.
//!
//! Every sync of either passes the switch, is counted, and may be the one at which the power goes:
//! then it fails, and so does everything after it, until [`Disk::crash`] says what is left.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use laminarmq::{LogEnv, MemEnv, Part, SegmentEnv, SegmentFiles, SyncNow, poll_ready};
use laminarmq_replica::StateFs;

use crate::random::Random;

/// Media take whole sectors of this many bytes.
const SECTOR: usize = 512;

/// What the disk does outside its contract; for canaries.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lies {
    /// Syncs of segments do nothing and say that they did.
    pub(crate) segments: bool,
    /// Syncs of the raft-state file do nothing and say that they did, but for the first few.
    pub(crate) state: bool,
}

#[derive(Debug, Default)]
struct Power {
    syncs: u64,
    cut_at: Option<u64>,
    is_cut: bool,
    fail_next: bool,
    is_full: bool,
    has_failed: bool,
    lies: Lies,
    /// Syncs of the raft-state file so far.
    state_syncs: u64,
}

impl Power {
    /// Whether a sync is to be done, pretended, or not even that.
    fn sync(&mut self, lies: bool) -> io::Result<bool> {
        if self.is_cut {
            return Err(io::Error::other("the power is cut"));
        }
        let number = self.syncs;
        self.syncs += 1;
        if self.cut_at == Some(number) {
            self.is_cut = true;
            return Err(io::Error::other("the power was cut at this sync"));
        }
        if std::mem::take(&mut self.fail_next) {
            self.has_failed = true;
            return Err(io::Error::other("the sync failed"));
        }
        Ok(!lies)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("no code panics while it holds this lock")
}

/// One node's disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    segments: MemEnv,
    state: Arc<Mutex<StateFiles>>,
    power: Arc<Mutex<Power>>,
}

impl Disk {
    pub(crate) fn new(lies: Lies) -> Self {
        let power = Power {
            lies,
            ..Power::default()
        };
        Self {
            segments: MemEnv::new(),
            state: Arc::default(),
            power: Arc::new(Mutex::new(power)),
        }
    }

    /// Syncs so far.
    pub(crate) fn syncs(&self) -> u64 {
        lock(&self.power).syncs
    }

    /// The power goes at the sync with this number, counted from 0 over the disk's whole life.
    pub(crate) fn cut_at(&self, sync: Option<u64>) {
        lock(&self.power).cut_at = sync;
    }

    /// Whether the power went at a sync.
    pub(crate) fn is_cut(&self) -> bool {
        lock(&self.power).is_cut
    }

    /// A process starts on the disk: failures of the one before explain nothing any more.
    pub(crate) fn start(&self) {
        lock(&self.power).has_failed = false;
    }

    /// Whether a sync of this process failed.
    pub(crate) fn has_failed(&self) -> bool {
        lock(&self.power).has_failed
    }

    /// The next sync fails, once.
    pub(crate) fn fail_next_sync(&self) {
        lock(&self.power).fail_next = true;
    }

    /// No more planned faults.
    pub(crate) fn be_good(&self) {
        self.fill(None);
        let mut power = lock(&self.power);
        power.cut_at = None;
        power.fail_next = false;
    }

    /// The disk has room for this many more bytes of segments; for any number again with `None`.
    pub(crate) fn fill(&self, room: Option<u64>) {
        lock(&self.power).is_full |= room.is_some();
        self.segments
            .set_capacity(room.map(|room| self.segment_bytes() + room));
        if room.is_none() {
            lock(&self.power).is_full = false;
        }
    }

    /// Whether a write may fail for want of room.
    pub(crate) fn is_full(&self) -> bool {
        lock(&self.power).is_full
    }

    fn segment_bytes(&self) -> u64 {
        let bases = poll_ready(self.segments.clone().list()).unwrap_or_default();
        let parts = [Part::Store, Part::Index];
        let files = bases
            .iter()
            .flat_map(|&base| parts.map(|part| (base, part)));
        files
            .filter_map(|(base, part)| Some(self.segments.file(base, part)?.len() as u64))
            .sum()
    }

    /// Flips a bit of a segment that is not the last one. False if there is none. The last record of a
    /// log could not be told from a torn one: that is outside the model.
    pub(crate) fn rot(&self, random: &mut Random) -> bool {
        let bases = poll_ready(self.segments.clone().list()).unwrap_or_default();
        let Some((_, sealed)) = bases.split_last().filter(|(_, sealed)| !sealed.is_empty()) else {
            return false;
        };
        let base = random.pick(sealed);
        let Some(mut bytes) = self
            .segments
            .file(base, Part::Store)
            .filter(|it| !it.is_empty())
        else {
            return false;
        };
        let at = usize::try_from(random.below(bytes.len() as u64)).expect("an index");
        bytes[at] ^= 1 << random.below(8);
        self.segments.set_file(base, Part::Store, Some(bytes));
        true
    }

    pub(crate) fn set_now_ms(&self, now_ms: u64) {
        self.segments
            .set_now_ms(i64::try_from(now_ms).expect("runs are short"));
    }

    /// The power is gone, and comes back. Returns how many unsynced things were lost, and kept.
    pub(crate) fn crash(&self, random: &mut Random) -> (u64, u64) {
        let (mut lost, mut kept) = (0, 0);
        // Mostly all or nothing of a kind, sometimes any mixture.
        let chance = random.pick(&[0, 0, 250, 500, 900, 1000]);
        let mut keep = || {
            let keep = random.per_mille(chance);
            *if keep { &mut kept } else { &mut lost } += 1;
            keep
        };
        self.segments.crash_with(|_| keep());
        let mut power = lock(&self.power);
        // A liar's file goes back whole: half of it would be found damaged, and not be forgotten.
        lock(&self.state).crash(&mut || keep() && !power.lies.state);
        power.is_cut = false;
        power.has_failed = false;
        power.cut_at = None;
        power.fail_next = false;
        (lost, kept)
    }

    /// Every byte of these segments and of the state file, for the trace.
    pub(crate) fn bytes(&self, bases: &[u64]) -> Vec<u8> {
        let mut all = Vec::new();
        for &base in bases {
            for part in [Part::Store, Part::Index] {
                all.extend(self.segments.file(base, part).unwrap_or_default());
            }
        }
        let state = lock(&self.state);
        for (name, &file) in &state.names {
            all.extend_from_slice(name.as_bytes());
            all.extend_from_slice(&state.files[file].live);
        }
        all
    }
}

impl SegmentEnv for Disk {
    type File = <MemEnv as SegmentEnv>::File;

    async fn list(&mut self) -> io::Result<Vec<u64>> {
        self.segments.list().await
    }

    async fn open(&mut self, base_index: u64) -> io::Result<SegmentFiles<Self::File>> {
        self.segments.open(base_index).await
    }

    async fn remove(&mut self, base_index: u64, files: SegmentFiles<Self::File>) -> io::Result<()> {
        self.segments.remove(base_index, files).await
    }

    async fn sync(
        &mut self,
        base_index: u64,
        files: &mut SegmentFiles<Self::File>,
        part: Part,
    ) -> io::Result<()> {
        let lies = lock(&self.power).lies.segments;
        if lock(&self.power).sync(lies)? {
            self.segments.sync(base_index, files, part).await?;
        }
        Ok(())
    }

    async fn sync_names(&mut self) -> io::Result<()> {
        if lock(&self.power).sync(false)? {
            self.segments.sync_names().await?;
        }
        Ok(())
    }

    async fn read_start(&mut self) -> io::Result<Option<Bytes>> {
        self.segments.read_start().await
    }

    async fn write_start(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Its bytes are on the media when it returns.
        if lock(&self.power).sync(false)? {
            self.segments.write_start(bytes).await?;
        }
        Ok(())
    }

    async fn remove_start(&mut self) -> io::Result<()> {
        self.segments.remove_start().await
    }

    fn now_ms(&self) -> i64 {
        self.segments.now_ms()
    }
}

impl LogEnv for Disk {
    type Sync = DiskSync;

    fn sync_handle(&self, file: &Self::File) -> DiskSync {
        DiskSync {
            inner: self.segments.sync_handle(file),
            power: Arc::clone(&self.power),
            of_file: true,
        }
    }

    fn names_sync_handle(&self) -> DiskSync {
        DiskSync {
            inner: self.segments.names_sync_handle(),
            power: Arc::clone(&self.power),
            of_file: false,
        }
    }
}

/// One sync that passes the switch.
#[derive(Debug)]
pub(crate) struct DiskSync {
    inner: <MemEnv as LogEnv>::Sync,
    power: Arc<Mutex<Power>>,
    of_file: bool,
}

impl SyncNow for DiskSync {
    fn sync(&self) -> io::Result<()> {
        let lies = self.of_file && lock(&self.power).lies.segments;
        if lock(&self.power).sync(lies)? {
            self.inner.sync()
        } else {
            Ok(())
        }
    }
}

#[derive(Clone, Debug, Default)]
struct StateFile {
    live: Vec<u8>,
    media: Vec<u8>,
}

impl StateFile {
    fn crashed(&self, keep: &mut impl FnMut() -> bool) -> Vec<u8> {
        let same = self
            .live
            .iter()
            .zip(&self.media)
            .take_while(|(a, b)| a == b)
            .count();
        let mut left = self.media.clone();
        if same == self.live.len() && same == left.len() {
            return left;
        }
        if keep() {
            left.resize(self.live.len(), 0);
        }
        for sector in same / SECTOR..left.len().div_ceil(SECTOR) {
            let (start, end) = (
                sector * SECTOR,
                left.len().min((sector + 1) * SECTOR).min(self.live.len()),
            );
            if start < end && keep() {
                left[start..end].copy_from_slice(&self.live[start..end]);
            }
        }
        left
    }
}

/// The files beside the segments: names that point to files, live and on the media.
#[derive(Debug, Default)]
struct StateFiles {
    files: Vec<StateFile>,
    names: BTreeMap<String, usize>,
    names_media: BTreeMap<String, usize>,
}

impl StateFiles {
    fn file(&mut self, name: &str) -> io::Result<&mut StateFile> {
        let at = *self.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(&mut self.files[at])
    }

    fn crash(&mut self, keep: &mut impl FnMut() -> bool) {
        let names: BTreeSet<String> = self
            .names
            .keys()
            .chain(self.names_media.keys())
            .cloned()
            .collect();
        // The directory is one small thing: all of its changes are there, or none.
        if self.names != self.names_media && names.iter().any(|_| keep()) {
            self.names_media.clone_from(&self.names);
        }
        self.names.clone_from(&self.names_media);
        for file in &mut self.files {
            let left = file.crashed(keep);
            *file = StateFile {
                live: left.clone(),
                media: left,
            };
        }
    }
}

impl StateFs for Disk {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut state = lock(&self.state);
        match state.file(name) {
            Ok(file) => Ok(Some(file.live.clone())),
            Err(_) => Ok(None),
        }
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = lock(&self.state);
        if !state.names.contains_key(name) {
            let at = state.files.len();
            state.files.push(StateFile::default());
            state.names.insert(name.to_owned(), at);
        }
        state.file(name)?.live = bytes.to_vec();
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        lock(&self.state).file(name)?.live.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut power = lock(&self.power);
        power.state_syncs += 1;
        // A file that is never there is found out too soon: the first few states are kept.
        let lies = power.lies.state && power.state_syncs > 3;
        if power.sync(lies)? {
            let mut state = lock(&self.state);
            let file = state.file(name)?;
            file.media.clone_from(&file.live);
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = lock(&self.state);
        let at = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), at);
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        if lock(&self.power).sync(false)? {
            let mut state = lock(&self.state);
            state.names_media = state.names.clone();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_stays_and_the_rest_may_go() {
        let mut disk = Disk::new(Lies::default());
        let mut random = Random::new(1, 0);
        StateFs::write(&mut disk, "a", b"old").unwrap();
        StateFs::sync(&mut disk, "a").unwrap();
        StateFs::sync_names(&mut disk).unwrap();
        StateFs::append(&mut disk, "a", b" and new").unwrap();
        let mut seen = BTreeSet::new();
        for _ in 0..40 {
            let mut copy = Disk::new(Lies::default());
            {
                let from = lock(&disk.state);
                let mut to = lock(&copy.state);
                to.files.clone_from(&from.files);
                to.names.clone_from(&from.names);
                to.names_media.clone_from(&from.names_media);
            }
            copy.crash(&mut random);
            seen.insert(
                StateFs::read(&mut copy, "a")
                    .unwrap()
                    .expect("its name was synced"),
            );
        }
        assert!(seen.contains(&b"old"[..]) && seen.contains(&b"old and new"[..]));
        assert!(
            seen.contains(&b"old\0\0\0\0\0\0\0\0"[..]),
            "a length without its bytes: {seen:?}"
        );
    }

    #[test]
    fn the_power_goes_at_the_sync_that_was_named() {
        let mut disk = Disk::new(Lies::default());
        StateFs::write(&mut disk, "a", b"x").unwrap();
        disk.cut_at(Some(1));
        StateFs::sync(&mut disk, "a").unwrap();
        StateFs::sync_names(&mut disk).unwrap_err();
        assert!(disk.is_cut());
        StateFs::sync(&mut disk, "a").unwrap_err();
        disk.crash(&mut Random::new(1, 0));
        assert!(!disk.is_cut());
        assert_eq!(disk.syncs(), 2);
    }
}
