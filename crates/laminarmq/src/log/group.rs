//! Group commit: many threads append, one sync serves all that wait.
//!
//! Invariants:
//!
//! ```text
//! an append holds the log's lock, a sync does not
//! at most one sync runs at a time; who comes meanwhile waits for the next one, which covers them all
//! after a failed sync every wait fails, and so does every append
//! ```

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::{Log, LogReader};
use crate::env::{FileEnv, LogEnv, poll_ready};
use crate::error::{AppendError, Poisoned, SyncError};
use crate::record::Append;

/// A log that many threads append to. Clones are handles of the same log.
///
/// ```
/// use laminarmq::{Append, Log, LogOptions, MemEnv, SharedLog, poll_ready};
///
/// let log = poll_ready(Log::open_with(MemEnv::new(), LogOptions::default()))?;
/// let log = SharedLog::new(log);
/// std::thread::scope(|threads| {
///     for value in ["a", "b", "c"] {
///         let log = &log;
///         threads.spawn(move || {
///             let record = Append { value: &[value.as_bytes()], ..Append::default() };
///             let commit = log.append(record).expect("memory takes it");
///             commit.wait().expect("memory does not fail"); // now it survives a power cut
///         });
///     }
/// });
/// assert_eq!(log.durable_index(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SharedLog<E: LogEnv = FileEnv> {
    group: Arc<Group<E>>,
}

struct Group<E: LogEnv> {
    state: Mutex<State<E>>,
    /// A sync ended.
    synced: Condvar,
}

struct State<E: LogEnv> {
    log: Log<E>,
    is_syncing: bool,
}

impl<E: LogEnv> Clone for SharedLog<E> {
    fn clone(&self) -> Self {
        let group = Arc::clone(&self.group);
        Self { group }
    }
}

impl<E: LogEnv> fmt::Debug for SharedLog<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedLog").field(&self.lock().log).finish()
    }
}

/// Records that were appended and may be waited for. Dropping it takes nothing back.
#[must_use = "the records are durable only once `wait` returned"]
pub struct Commit<E: LogEnv = FileEnv> {
    group: Arc<Group<E>>,
    first: u64,
    end: u64,
}

impl<E: LogEnv> fmt::Debug for Commit<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit")
            .field("first", &self.first)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// Why records did not become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A sync failed, this one or one before.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// The records were truncated before they became durable.
    #[error("the log was truncated to {end} before record {index} was durable")]
    Truncated {
        /// The first record of the commit.
        index: u64,
        /// Where the log ended then.
        end: u64,
    },
}

impl<E: LogEnv> SharedLog<E> {
    /// Shares a log.
    #[must_use]
    pub fn new(log: Log<E>) -> Self {
        let is_syncing = false;
        Self {
            group: Arc::new(Group {
                state: Mutex::new(State { log, is_syncing }),
                synced: Condvar::new(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.group.lock()
    }

    /// Appends one record, without waiting for the disk.
    ///
    /// # Errors
    ///
    /// As [`Log::append`].
    pub fn append(&self, record: Append<'_>) -> Result<Commit<E>, AppendError> {
        self.append_many(std::slice::from_ref(&record))
    }

    /// Appends records next to each other, without waiting for the disk.
    ///
    /// # Errors
    ///
    /// As [`Log::append_many`].
    pub fn append_many(&self, records: &[Append<'_>]) -> Result<Commit<E>, AppendError> {
        let range = poll_ready(self.lock().log.append_many(records))?;
        Ok(Commit {
            group: Arc::clone(&self.group),
            first: range.start,
            end: range.end,
        })
    }

    /// Works with the log itself, while nobody else does. Syncs of others may be on their way.
    ///
    /// # Panics
    ///
    /// Where `work` did in another thread before.
    pub fn with<T>(&self, work: impl FnOnce(&mut Log<E>) -> T) -> T {
        work(&mut self.lock().log)
    }

    /// A handle that reads without the lock.
    #[must_use]
    pub fn reader(&self) -> LogReader<E> {
        self.lock().log.reader()
    }

    /// Everything below this index survives a power cut.
    #[must_use]
    pub fn durable_index(&self) -> u64 {
        self.lock().log.durable_index()
    }

    /// Makes everything durable that was appended.
    ///
    /// # Errors
    ///
    /// When a sync failed.
    pub fn sync(&self) -> Result<(), CommitError> {
        let (first, end) = {
            let state = self.lock();
            (state.log.durable_index(), state.log.end_index())
        };
        self.group.wait_for(first, end).map(|_| ())
    }

    /// Closes the log as [`Log::close`] does. With other handles or commits left, syncs it, and leaves
    /// closing to whoever is last.
    ///
    /// # Errors
    ///
    /// As [`Log::close`].
    pub fn close(self) -> Result<(), SyncError> {
        match Arc::try_unwrap(self.group) {
            Ok(group) => {
                let state = group.state.into_inner();
                let state = state.expect("no code panics while it holds this lock");
                poll_ready(state.log.close())
            }
            Err(group) => poll_ready(group.lock().log.sync()),
        }
    }
}

impl<E: LogEnv> Commit<E> {
    /// Index of the first of the records.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Waits until the records survive a power cut, and returns the index of the first.
    ///
    /// Whoever waits while no sync runs begins one, for all records that are there by then.
    ///
    /// # Errors
    ///
    /// When a sync failed, or the records were truncated meanwhile.
    pub fn wait(self) -> Result<u64, CommitError> {
        self.group.wait_for(self.first, self.end)
    }
}

impl<E: LogEnv> Group<E> {
    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state
            .lock()
            .expect("no code panics while it holds this lock")
    }

    fn wait_for(&self, first: u64, end: u64) -> Result<u64, CommitError> {
        let mut state = self.lock();
        loop {
            if state.log.durable_index() >= end {
                return Ok(first);
            }
            state.log.check_poisoned()?;
            if state.log.end_index() < end {
                let end = state.log.end_index();
                return Err(CommitError::Truncated { index: first, end });
            }
            if state.is_syncing {
                state = self
                    .synced
                    .wait(state)
                    .expect("no code panics while it holds this lock");
                continue;
            }
            let Some(ticket) = state.log.sync_ticket() else {
                unreachable!("a log that is not durable has something to sync");
            };
            state.is_syncing = true;
            drop(state);
            let done = ticket.run();
            state = self.lock();
            state.is_syncing = false;
            let completed = state.log.complete(done);
            self.synced.notify_all();
            completed?;
        }
    }
}
