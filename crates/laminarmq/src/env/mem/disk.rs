//! The simulated disk behind [`MemEnv`](super::MemEnv).
//!
//! Invariants:
//!
//! ```text
//! a file's first `same` bytes are equal in the page cache (`live`) and on the media (`media`)
//! same <= live.len() and same <= media.len()
//! `names` is what a process sees, `names_media` what a power cut leaves
//! ```

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::env::Part;

/// Media take whole sectors of this many bytes.
pub(super) const SECTOR: usize = 512;

/// Base index and part: the name of a file.
pub(super) type Name = (u64, Part);
pub(super) type Node = Arc<Mutex<Content>>;

/// One thing that had been written but not synced when the power went, and that the media may have taken
/// nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// A file's name that was added (`true`), perhaps removed again since, or removed (`false`).
    Name {
        /// The segment.
        base_index: u64,
        /// Which of its files.
        part: Part,
        /// Whether it was added.
        added: bool,
    },
    /// A new start file in the place of the old one.
    Start,
    /// A file's new length.
    Length {
        /// The segment.
        base_index: u64,
        /// Which of its files.
        part: Part,
    },
    /// One 512-byte sector of a file.
    Sector {
        /// The segment.
        base_index: u64,
        /// Which of its files.
        part: Part,
        /// Number of the sector, counted from the start of the file.
        sector: u64,
    },
}

/// A file's bytes, twice.
#[derive(Debug, Default, Clone)]
pub(super) struct Content {
    pub(super) live: Vec<u8>,
    media: Vec<u8>,
    same: usize,
}

impl Content {
    pub(super) fn truncate(&mut self, length: usize) {
        self.live.truncate(length);
        self.same = self.same.min(length);
    }

    fn sync(&mut self) {
        self.media.truncate(self.same);
        self.media.extend_from_slice(&self.live[self.same..]);
        self.same = self.live.len();
    }

    /// What a power cut leaves, where `keep` decides about each unsynced thing.
    fn crashed(
        &self,
        (base_index, part): Name,
        keep: &mut dyn FnMut(CrashPoint) -> bool,
    ) -> Vec<u8> {
        let mut left = self.media.clone();
        let changed = self.same < self.live.len() || self.same < self.media.len();
        if !changed {
            return left;
        }
        if self.live.len() != self.media.len() && keep(CrashPoint::Length { base_index, part }) {
            left.resize(self.live.len(), 0);
        }
        for sector in self.same / SECTOR..left.len().div_ceil(SECTOR) {
            let start = sector * SECTOR;
            let end = left.len().min(start + SECTOR).min(self.live.len());
            let point = CrashPoint::Sector {
                base_index,
                part,
                sector: sector as u64,
            };
            if start < end && keep(point) {
                left[start..end].copy_from_slice(&self.live[start..end]);
            }
        }
        left
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("no code panics while it holds this lock")
}

/// All files, and the faults that were asked for.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) names: BTreeMap<Name, Node>,
    names_media: BTreeMap<Name, Node>,
    /// Names that were added and taken away again since the last sync of names.
    gone: Vec<(Name, Node)>,
    pub(super) start: Option<Vec<u8>>,
    start_media: Option<Vec<u8>>,
    pub(super) now_ms: i64,
    pub(super) syncs: u64,
    pub(super) calls: u64,
    pub(super) fail_call: Option<u64>,
    pub(super) fail_sync: Option<u64>,
    /// Bytes that all files together may have.
    pub(super) capacity: Option<u64>,
    /// Goes up with every crash: handles from before are then dead.
    pub(super) generation: u64,
}

impl Disk {
    /// Counts a call that changes something, and fails it where that was asked for.
    pub(super) fn call(&mut self) -> io::Result<()> {
        let number = self.calls;
        self.calls += 1;
        if self.fail_call == Some(number) {
            Err(injected())
        } else {
            Ok(())
        }
    }

    /// Bytes that can be written yet.
    pub(super) fn free(&self) -> u64 {
        let Some(capacity) = self.capacity else {
            return u64::MAX;
        };
        let files = self.names.values().map(|node| lock(node).live.len() as u64);
        let start = self.start.as_ref().map_or(0, |start| start.len() as u64);
        capacity.saturating_sub(files.sum::<u64>() + start)
    }

    /// Writes at `position` of a file, which is at most its length, as much as there is room for and at most
    /// `most` bytes; says how many.
    pub(super) fn write(
        &self,
        node: &Node,
        position: u64,
        pieces: &[IoSlice<'_>],
        most: usize,
    ) -> usize {
        let free = usize::try_from(self.free()).unwrap_or(usize::MAX);
        let mut content = lock(node);
        let start = usize::try_from(position).expect("the file is in memory");
        let room = (content.live.len() - start).saturating_add(free).min(most);
        content.same = content.same.min(start);
        let mut at = start;
        for piece in pieces {
            let bytes = &piece[..piece.len().min(start + room - at)];
            let over = bytes.len().min(content.live.len() - at);
            content.live[at..at + over].copy_from_slice(&bytes[..over]);
            content.live.extend_from_slice(&bytes[over..]);
            at += bytes.len();
        }
        at - start
    }

    /// A new file without a name that has the first `length` bytes of another, on the media too.
    pub(super) fn copy_of(&mut self, node: &Node, length: usize) -> io::Result<Node> {
        self.call()?;
        if self.free() < length as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.count_sync()?;
        let content = lock(node);
        let bytes = content.live.get(..length);
        let bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?.to_vec();
        Ok(Arc::new(Mutex::new(Content {
            same: bytes.len(),
            media: bytes.clone(),
            live: bytes,
        })))
    }

    fn count_sync(&mut self) -> io::Result<()> {
        let number = self.syncs;
        self.syncs += 1;
        if self.fail_sync == Some(number) {
            Err(injected())
        } else {
            Ok(())
        }
    }

    pub(super) fn sync_file(&mut self, node: &Node) -> io::Result<()> {
        self.count_sync()?;
        lock(node).sync();
        Ok(())
    }

    /// Takes a name away. The media may have taken it before and keep it until the next sync of names.
    pub(super) fn remove_name(&mut self, name: Name) {
        let Some(node) = self.names.remove(&name) else {
            return;
        };
        if !self.names_media.contains_key(&name) {
            self.gone.push((name, node));
        }
    }

    pub(super) fn sync_names(&mut self) -> io::Result<()> {
        self.count_sync()?;
        self.gone.clear();
        self.names_media = self.names.clone();
        self.start_media.clone_from(&self.start);
        Ok(())
    }

    /// A new file is written and synced, then takes the old one's name.
    pub(super) fn write_start(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.call()?;
        // The new file stands beside the old one until it takes its place.
        if self.free() < bytes.len() as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.count_sync()?;
        self.call()?;
        self.start = Some(bytes.to_vec());
        Ok(())
    }

    /// Takes the start file away; the media may keep it until the next sync of names.
    pub(super) fn remove_start(&mut self) -> io::Result<()> {
        self.call()?;
        self.start = None;
        Ok(())
    }

    /// Puts the start file there, on the media too, or takes it away.
    pub(super) fn replace_start(&mut self, bytes: Option<Vec<u8>>) {
        self.start.clone_from(&bytes);
        self.start_media = bytes;
    }

    /// The disk as a power cut would leave it now.
    pub(super) fn crashed(&self, keep: &mut dyn FnMut(CrashPoint) -> bool) -> Self {
        let mut left = self.names_media.clone();
        let all = self.names.keys().chain(self.names_media.keys());
        for name in all.copied().collect::<std::collections::BTreeSet<_>>() {
            let (live, media) = (self.names.get(&name), self.names_media.get(&name));
            let same = match (live, media) {
                (Some(live), Some(media)) => Arc::ptr_eq(live, media),
                _ => false,
            };
            let (base_index, part) = name;
            let point = CrashPoint::Name {
                base_index,
                part,
                added: live.is_some(),
            };
            if same || !keep(point) {
                continue;
            }
            match live {
                Some(node) => left.insert(name, Arc::clone(node)),
                None => left.remove(&name),
            };
        }
        for (name, node) in &self.gone {
            let (base_index, part) = *name;
            let added = true;
            let point = CrashPoint::Name {
                base_index,
                part,
                added,
            };
            if !self.names.contains_key(name) && !left.contains_key(name) && keep(point) {
                left.insert(*name, Arc::clone(node));
            }
        }
        let names: BTreeMap<Name, Node> = left
            .into_iter()
            .map(|(name, node)| {
                let bytes = lock(&node).crashed(name, keep);
                let content = Content {
                    same: bytes.len(),
                    media: bytes.clone(),
                    live: bytes,
                };
                (name, Arc::new(Mutex::new(content)))
            })
            .collect();
        let start = if self.start != self.start_media && keep(CrashPoint::Start) {
            self.start.clone()
        } else {
            self.start_media.clone()
        };
        Self {
            names_media: names.clone(),
            names,
            start_media: start.clone(),
            start,
            now_ms: self.now_ms,
            capacity: self.capacity,
            generation: self.generation + 1,
            ..Self::default()
        }
    }

    /// Puts a file there, on the media too, or takes it away.
    pub(super) fn replace(&mut self, name: Name, bytes: Option<Vec<u8>>) {
        match bytes {
            Some(bytes) => {
                let content = Content {
                    same: bytes.len(),
                    media: bytes.clone(),
                    live: bytes,
                };
                let node = Arc::new(Mutex::new(content));
                self.names.insert(name, Arc::clone(&node));
                self.names_media.insert(name, node);
            }
            None => {
                self.names.remove(&name);
                self.names_media.remove(&name);
            }
        }
    }

    /// A copy of everything, synced or not, that shares nothing with this one.
    pub(super) fn copied(&self) -> Self {
        let mut copies: Vec<(Node, Node)> = Vec::new();
        let mut copy = |node: &Node| {
            if let Some((_, copy)) = copies.iter().find(|(old, _)| Arc::ptr_eq(old, node)) {
                return Arc::clone(copy);
            }
            let fresh = Arc::new(Mutex::new(lock(node).clone()));
            copies.push((Arc::clone(node), Arc::clone(&fresh)));
            fresh
        };
        Self {
            names: self
                .names
                .iter()
                .map(|(name, node)| (*name, copy(node)))
                .collect(),
            names_media: self
                .names_media
                .iter()
                .map(|(name, node)| (*name, copy(node)))
                .collect(),
            gone: self
                .gone
                .iter()
                .map(|(name, node)| (*name, copy(node)))
                .collect(),
            start: self.start.clone(),
            start_media: self.start_media.clone(),
            now_ms: self.now_ms,
            capacity: self.capacity,
            generation: self.generation,
            ..Self::default()
        }
    }
}

pub(super) fn injected() -> io::Error {
    io::Error::other("injected fault")
}
