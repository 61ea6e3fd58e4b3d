//! A bound on how many files are open at once.
//!
//! Invariants:
//!
//! ```text
//! a file that was written to and not synced since stays open, and so does one that is being appended to
//! of the others at most `limit` are open, the least recently used ones being closed first (second chance)
//! ```
//!
//! Why unsynced ones stay open: the kernel reports a failed write-back once, to the descriptors that were
//! open then. A file that was closed in between could be synced with success although bytes of it are lost.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::limits::OPEN_FILES_DEFAULT;

/// How many files may be open at once, for one log or shared by many. Clones share the same bound.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let dir = tempfile::tempdir()?;
/// use laminarmq::{FileEnv, OpenFiles};
///
/// let files = OpenFiles::at_most(100);
/// let orders = FileEnv::sharing(dir.path().join("orders"), &files)?;
/// let payments = FileEnv::sharing(dir.path().join("payments"), &files)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct OpenFiles {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limit: usize,
    /// Those that are open, or were and are gone now; the hand of the clock is at the front.
    open: Mutex<VecDeque<Weak<Slot>>>,
}

impl Default for OpenFiles {
    fn default() -> Self {
        Self::at_most(OPEN_FILES_DEFAULT)
    }
}

impl OpenFiles {
    /// Closes what was used least recently where more than `limit` files are open. Files with unsynced
    /// writes and write segments stay open and do not count; with 0, every read opens its file.
    #[must_use]
    pub fn at_most(limit: usize) -> Self {
        let open = Mutex::default();
        Self {
            shared: Arc::new(Shared { limit, open }),
        }
    }

    /// How many files are open that may be closed at any time.
    #[must_use]
    pub fn count(&self) -> usize {
        let open = lock(&self.shared.open);
        open.iter()
            .filter_map(Weak::upgrade)
            .filter(|slot| lock(&slot.file).is_some() && !slot.is_busy())
            .count()
    }

    /// A file that is opened now, and created where it is missing.
    pub(super) fn open(&self, path: PathBuf) -> io::Result<Arc<Slot>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false);
        let file = Arc::new(file.open(&path)?);
        let slot = Arc::new(Slot {
            path,
            file: Mutex::new(Some(file)),
            used: AtomicBool::new(false),
            pins: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            was_synced: AtomicBool::new(false),
            files: self.clone(),
        });
        self.opened(&slot);
        Ok(slot)
    }

    fn opened(&self, slot: &Arc<Slot>) {
        let mut open = lock(&self.shared.open);
        open.push_back(Arc::downgrade(slot));
        if open.len() <= self.shared.limit {
            return;
        }
        open.retain(|slot| slot.strong_count() > 0);
        // Once around, and once more for those whose second chance was taken.
        for _ in 0..2 * open.len() {
            if open.len() <= self.shared.limit {
                return;
            }
            let Some(oldest) = open.pop_front() else {
                return;
            };
            let Some(file) = oldest.upgrade() else {
                continue;
            };
            let is_new = Arc::ptr_eq(&file, slot);
            if file.is_busy() || is_new || file.used.swap(false, Ordering::Relaxed) {
                open.push_back(oldest);
            } else {
                *lock(&file.file) = None;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("no code panics while it holds this lock")
}

/// A file that is open, or will be when it is needed.
#[derive(Debug)]
pub(super) struct Slot {
    path: PathBuf,
    file: Mutex<Option<Arc<File>>>,
    /// Whether it was used since the hand of the clock passed.
    used: AtomicBool,
    /// Owners that append.
    pins: AtomicU64,
    /// How often it was written to, and how many of those are on the media.
    writes: AtomicU64,
    synced: AtomicU64,
    was_synced: AtomicBool,
    files: OpenFiles,
}

impl Slot {
    /// Whether the file has to stay open.
    fn is_busy(&self) -> bool {
        let unsynced = self.writes.load(Ordering::Acquire) != self.synced.load(Ordering::Acquire);
        unsynced || self.pins.load(Ordering::Acquire) > 0
    }

    /// The open file.
    pub(super) fn get(self: &Arc<Self>) -> io::Result<Arc<File>> {
        self.used.store(true, Ordering::Relaxed);
        if let Some(file) = &*lock(&self.file) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(OpenOptions::new().read(true).write(true).open(&self.path)?);
        let file = {
            let mut held = lock(&self.file);
            Arc::clone(held.get_or_insert(file))
        };
        self.files.opened(self);
        Ok(file)
    }

    pub(super) fn pin(&self) {
        self.pins.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn unpin(&self) {
        self.pins.fetch_sub(1, Ordering::AcqRel);
    }

    /// To be called after a write, by the file's owner, of which there is one and which has it pinned: a
    /// sync that ran in between then counts for less than it did, never for more.
    pub(super) fn wrote(&self) {
        let writes = self.writes.load(Ordering::Relaxed);
        self.writes.store(writes + 1, Ordering::Release);
    }

    /// Writes that happened so far, for [`Slot::synced`].
    pub(super) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Acquire)
    }

    /// Whether so many writes are on the media. Not before the first sync: another process may have
    /// written to the file and died.
    pub(super) fn is_synced(&self, writes: u64) -> bool {
        self.was_synced.load(Ordering::Acquire) && self.synced.load(Ordering::Acquire) >= writes
    }

    /// Takes note that so many writes are on the media.
    pub(super) fn synced(&self, writes: u64) {
        self.synced.fetch_max(writes, Ordering::AcqRel);
        self.was_synced.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn opened(files: &OpenFiles, dir: &Path, name: &str) -> Arc<Slot> {
        files.open(dir.join(name)).expect("a file can be made")
    }

    fn is_open(slot: &Slot) -> bool {
        lock(&slot.file).is_some()
    }

    #[test]
    fn the_least_recently_used_is_closed_and_opens_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let files = OpenFiles::at_most(2);
        let slots: Vec<_> = ["a", "b", "c"]
            .map(|name| opened(&files, dir.path(), name))
            .into();
        assert_eq!(files.count(), 2);
        assert!(!is_open(&slots[0]) && is_open(&slots[1]) && is_open(&slots[2]));
        slots[1].get().expect("it is there");
        slots[0].get().expect("it is there");
        assert!(is_open(&slots[0]) && is_open(&slots[1]) && !is_open(&slots[2]));
    }

    #[test]
    fn unsynced_and_pinned_files_stay_open_and_do_not_count() {
        let dir = tempfile::tempdir().expect("a folder");
        let files = OpenFiles::at_most(1);
        let first = opened(&files, dir.path(), "a");
        first.wrote();
        let second = opened(&files, dir.path(), "b");
        second.pin();
        let third = opened(&files, dir.path(), "c");
        assert!(is_open(&first) && is_open(&second) && is_open(&third));
        first.synced(first.writes());
        second.unpin();
        let fourth = opened(&files, dir.path(), "d");
        assert!(!is_open(&first) && !is_open(&second) && !is_open(&third) && is_open(&fourth));
        assert_eq!(files.count(), 1);
    }

    #[test]
    fn what_another_process_wrote_is_not_taken_for_synced() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("a"), b"by a process that died").expect("written");
        let slot = opened(&OpenFiles::default(), dir.path(), "a");
        assert!(!slot.is_synced(slot.writes()));
        slot.synced(slot.writes());
        assert!(slot.is_synced(slot.writes()));
        slot.wrote();
        assert!(!slot.is_synced(slot.writes()));
    }

    #[test]
    fn files_that_are_gone_make_room() {
        let dir = tempfile::tempdir().expect("a folder");
        let files = OpenFiles::at_most(2);
        let first = opened(&files, dir.path(), "a");
        for name in ["b", "c", "d"] {
            drop(opened(&files, dir.path(), name));
        }
        drop(opened(&files, dir.path(), "e"));
        assert!(is_open(&first));
        assert!(lock(&files.shared.open).len() <= 2);
    }
}
