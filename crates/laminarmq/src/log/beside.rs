//! Reading beside the writer.
//!
//! Invariants:
//!
//! ```text
//! no lock is held while a file is read: one is taken to copy the list of segments, and one per index entry
//! the truncation count is odd while bytes or entries that a reader may have looked up are being changed
//! ```
//!
//! So a reader looks things up without asking anybody. One record that it found was in the log at some time
//! while it looked, since its checksums say so. Several records, and errors, it believes only if the count
//! was even and is the same afterwards; else it begins again.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::Log;
use super::lookup::Segments;
use super::stream::{Cursor, RecordRef};
use crate::env::{LogEnv, LogFile, ReaderOf, poll_ready};
use crate::error::{OutOfBounds, ReadError};
use crate::limits::READ_RETRIES_MAX;
use crate::record::{EntryInfo, Record};
use crate::segment::{Beside, Entries, Framing, Segment, View};

/// What a log's owner tells its readers.
pub(super) struct Shared<R> {
    pub(super) truncations: Arc<AtomicU64>,
    pub(super) start: AtomicU64,
    pub(super) durable: AtomicU64,
    /// Only kept true while there are readers.
    segments: Mutex<Arc<[Handle<R>]>>,
    readers: AtomicUsize,
}

/// One segment, as a reader needs it.
struct Handle<R> {
    base: u64,
    framing: Framing,
    entries: Entries,
    store: Beside<R>,
    index: Beside<R>,
}

impl<R: Clone> Shared<R> {
    pub(super) fn new(truncations: Arc<AtomicU64>, start: u64, durable: u64) -> Self {
        Self {
            truncations,
            start: AtomicU64::new(start),
            durable: AtomicU64::new(durable),
            segments: Mutex::new(Arc::new([])),
            readers: AtomicUsize::new(0),
        }
    }

    pub(super) fn has_readers(&self) -> bool {
        self.readers.load(Ordering::Acquire) > 0
    }

    pub(super) fn set<F: LogFile<Reader = R>>(&self, segments: &VecDeque<Segment<F>>) {
        let handle = |segment: &Segment<F>| Handle {
            base: segment.base(),
            framing: segment.framing,
            entries: segment.entries.share(),
            store: Beside(segment.files.store.reader()),
            index: Beside(segment.files.index.reader()),
        };
        let handles = segments.iter().map(handle).collect();
        *self.lock() = handles;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<[Handle<R>]>> {
        self.segments
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

/// Reads a log while its owner appends, from any thread. Clones share nothing that would make them wait for each
/// other or for the writer.
///
/// A reader sees what was appended, durable or not; [`LogReader::durable_index`] says which. It keeps files
/// open, or opens them again, as the log does. Once the log is dropped, what is left of it can still be
/// read.
///
/// ```
/// use laminarmq::{Append, Log, LogOptions, MemEnv, poll_ready};
///
/// let mut log = poll_ready(Log::open_with(MemEnv::new(), LogOptions::default()))?;
/// let reader = log.reader();
/// poll_ready(log.append(Append { value: &[b"hello"], ..Append::default() }))?;
/// let thread = std::thread::spawn(move || reader.read(0));
/// assert_eq!(thread.join().unwrap()?.value, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LogReader<E: LogEnv> {
    shared: Arc<Shared<ReaderOf<E>>>,
    value_bytes_max: u64,
}

impl<E: LogEnv> fmt::Debug for LogReader<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader")
            .field("start_index", &self.start_index())
            .field("durable_index", &self.durable_index())
            .field("end_index", &self.end_index())
            .finish_non_exhaustive()
    }
}

impl<E: LogEnv> Clone for LogReader<E> {
    fn clone(&self) -> Self {
        self.shared.readers.fetch_add(1, Ordering::AcqRel);
        Self {
            shared: Arc::clone(&self.shared),
            value_bytes_max: self.value_bytes_max,
        }
    }
}

impl<E: LogEnv> Drop for LogReader<E> {
    fn drop(&mut self) {
        self.shared.readers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<E: LogEnv> Log<E> {
    /// A handle that reads beside this owner.
    #[must_use]
    pub fn reader(&self) -> LogReader<E> {
        self.shared.readers.fetch_add(1, Ordering::AcqRel);
        self.shared.set(&self.segments);
        LogReader {
            shared: Arc::clone(&self.shared),
            value_bytes_max: self.options.record_bytes_max,
        }
    }
}

/// How much a look comes back with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    One,
    Several,
}

/// The log as a reader found it.
struct Snapshot<R> {
    segments: Arc<[Handle<R>]>,
    start: u64,
    value_bytes_max: u64,
}

impl<R: crate::env::ReadAt> Segments for Snapshot<R> {
    type File = Beside<R>;

    fn start(&self) -> u64 {
        self.start.max(self.segments[0].base)
    }

    fn count(&self) -> usize {
        self.segments.len()
    }

    fn view(&self, number: usize) -> View<'_, Beside<R>> {
        let handle = &self.segments[number];
        View {
            base: handle.base,
            framing: handle.framing,
            bounds: handle.entries.bounds(),
            entries: &handle.entries,
            store: &handle.store,
            index: &handle.index,
        }
    }

    fn value_bytes_max(&self) -> u64 {
        self.value_bytes_max
    }
}

impl<E: LogEnv> LogReader<E> {
    /// Index of the first record.
    #[must_use]
    pub fn start_index(&self) -> u64 {
        self.shared.start.load(Ordering::Acquire)
    }

    /// Everything below this index survives a power cut.
    #[must_use]
    pub fn durable_index(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// One past the last record.
    #[must_use]
    pub fn end_index(&self) -> u64 {
        self.snapshot().end()
    }

    fn snapshot(&self) -> Snapshot<ReaderOf<E>> {
        Snapshot {
            segments: Arc::clone(&self.shared.lock()),
            start: self.start_index(),
            value_bytes_max: self.value_bytes_max,
        }
    }

    /// What `look` finds in a log that is not truncated meanwhile.
    fn look<T>(
        &self,
        what: What,
        mut look: impl FnMut(&Snapshot<ReaderOf<E>>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        for _ in 0..READ_RETRIES_MAX {
            let before = self.shared.truncations.load(Ordering::SeqCst);
            let log = self.snapshot();
            let found = look(&log);
            if found.is_ok() && what == What::One {
                return found;
            }
            let is_steady = before.is_multiple_of(2)
                && self.shared.truncations.load(Ordering::SeqCst) == before;
            // A segment whose start was truncated may have been removed while it was read.
            let may_be_gone = matches!(found, Err(ReadError::Io { .. }))
                && !Arc::ptr_eq(&log.segments, &self.shared.lock());
            if is_steady && !may_be_gone {
                return found;
            }
            std::thread::yield_now();
        }
        Err(ReadError::Truncated)
    }

    /// As [`Log::entry`].
    ///
    /// # Errors
    ///
    /// As [`Log::entry`]; [`ReadError::Truncated`] where the log was being truncated all the while: try again.
    pub fn entry(&self, index: u64) -> Result<EntryInfo, ReadError> {
        self.look(What::One, |log| poll_ready(log.entry_info(index)))
    }

    /// As [`Log::last_with_key_at_most`].
    ///
    /// # Errors
    ///
    /// As [`LogReader::entry`].
    pub fn last_with_key_at_most(&self, key: u64) -> Result<Option<EntryInfo>, ReadError> {
        self.look(What::Several, |log| {
            poll_ready(log.last_matching(key, |_| true))
        })
    }

    /// As [`Log::first_at_or_after_time`].
    ///
    /// # Errors
    ///
    /// As [`LogReader::entry`].
    pub fn first_at_or_after_time(&self, timestamp: i64) -> Result<Option<EntryInfo>, ReadError> {
        self.look(What::Several, |log| {
            poll_ready(log.first_at_or_after(timestamp))
        })
    }

    /// As [`Log::read`].
    ///
    /// # Errors
    ///
    /// As [`Log::read`], and as [`LogReader::entry`].
    pub fn read(&self, index: u64) -> Result<Record, ReadError> {
        self.look(What::One, |log| poll_ready(log.read_one(index)))
    }

    /// As [`Log::read_range`].
    ///
    /// # Errors
    ///
    /// As [`Log::read_range`], and as [`LogReader::entry`].
    pub fn read_range(&self, range: Range<u64>, max_bytes: u64) -> Result<Vec<Record>, ReadError> {
        self.look(What::Several, |log| {
            poll_ready(log.read_many(range.clone(), max_bytes))
        })
    }

    /// As [`Log::stream`], up to where the log ends now.
    ///
    /// # Errors
    ///
    /// As [`Log::stream`].
    pub fn stream(
        &self,
        range: impl std::ops::RangeBounds<u64>,
    ) -> Result<ReaderStream<E>, OutOfBounds> {
        let truncations = self.shared.truncations.load(Ordering::SeqCst) & !1;
        let log = self.snapshot();
        let cursor = Cursor::new(&log, range)?;
        Ok(ReaderStream {
            reader: self.clone(),
            log,
            cursor,
            truncations,
        })
    }
}

/// The records of a range in order, read beside the writer. See [`RecordStream`](super::RecordStream).
pub struct ReaderStream<E: LogEnv> {
    reader: LogReader<E>,
    log: Snapshot<ReaderOf<E>>,
    cursor: Cursor,
    truncations: u64,
}

impl<E: LogEnv> fmt::Debug for ReaderStream<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderStream")
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}

impl<E: LogEnv> ReaderStream<E> {
    /// The next record, blocking; `None` behind the last one.
    ///
    /// # Errors
    ///
    /// As [`Log::read`]; [`ReadError::Truncated`] once the log's end was truncated since the stream was made, whether
    /// or not that reaches its records.
    #[expect(
        clippy::should_implement_trait,
        reason = "a record is borrowed from the stream, which Iterator cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<RecordRef<'_>>, ReadError> {
        let found = poll_ready(self.cursor.next(&self.log));
        let shared = &self.reader.shared;
        if shared.truncations.load(Ordering::SeqCst) != self.truncations {
            return Err(ReadError::Truncated);
        }
        found
    }
}
