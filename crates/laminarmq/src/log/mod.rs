//! The engine: segments in a row, the last one written.
//!
//! Invariants:
//!
//! ```text
//! segments is never empty; segments[i].end() == segments[i + 1].base()
//! start_index <= durable <= end_index
//! segments[0].base() <= start_index; only the first segment holds records below it, which are gone
//! everything below `durable` is on the media; it goes down only by truncation, which is then durable itself
//! changes counts what was done to stores and names; what happened up to `synced` is on the media
//! at most one segment, the last, has a name that is not on the media yet
//! an unfinished record stands behind the last one only until the next change, which cuts it first
//! ```
//!
//! After any failure that leaves doubt about what is stored, the log is poisoned: it still reads, but
//! refuses every change and every sync for good.

mod append;
mod beside;
pub(crate) mod found;
mod group;
mod lookup;
pub(crate) mod open;
mod options;
mod pace;
mod plan;
mod prefix;
mod read;
mod record_reader;
mod record_writer;
mod recover;
mod roll;
mod stream;
mod sync;
mod truncate;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::env::{FileEnv, ReaderOf, SegmentEnv};
use crate::error::Poisoned;
use crate::record::{Recovery, SegmentInfo};
use crate::segment::{Run, Scratch, Segment};
use beside::Shared;
use pace::Pace;

pub use beside::{LogReader, ReaderStream};
pub use group::{Commit, CommitError, SharedLog};
pub(crate) use lookup::locate;
pub use options::{FlushPolicy, IndexCache, LogOptions};
pub use plan::ReadPlan;
pub use record_reader::RecordReader;
pub use record_writer::RecordWriter;
pub use stream::{RecordRef, RecordStream};
pub use sync::{SyncDone, SyncTicket};

/// A segmented log.
///
/// All calls come from one owner; what has to happen beside it leaves as a [`ReadPlan`] or a [`SyncTicket`].
/// With [`FileEnv`] and [`MemEnv`](crate::MemEnv) every future is ready at the first poll, so that
/// [`poll_ready`](crate::poll_ready) is enough where there is no runtime.
///
/// ```
/// use laminarmq::{Append, Log, LogOptions, MemEnv, poll_ready};
///
/// let mut log = poll_ready(Log::open_with(MemEnv::new(), LogOptions::default()))?;
/// let batch = [b"a", b"b", b"c"].map(|value| [&value[..]]);
/// let batch = batch.each_ref().map(|value| Append { value, ..Append::default() });
/// assert_eq!(poll_ready(log.append_many(&batch))?, 0..3);
///
/// // Durable without holding up the writer: the ticket may run on another thread.
/// let ticket = log.sync_ticket().expect("something was appended");
/// let done = ticket.run();
/// assert_eq!(log.complete(done)?, 3);
///
/// let records = poll_ready(log.read_range(1..3, 1 << 20))?;
/// assert_eq!(records[1].value, "c");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Log<E: SegmentEnv = FileEnv> {
    env: E,
    options: LogOptions,
    recovery: Recovery,
    segments: VecDeque<Segment<E::File>>,
    /// Nothing below is in the log, though the first segment may still hold it.
    start: u64,
    durable: u64,
    /// Number of the last change.
    changes: u64,
    /// Number of the last change that is on the media.
    synced: u64,
    /// Numbers of the last changes of these kinds.
    names_changed_at: u64,
    truncated_at: u64,
    /// Whether segments may wait for their footer.
    unsealed: bool,
    /// The durable index when that was last looked at.
    sealed_for: u64,
    /// Shared with plans and readers: odd while bytes and entries that they refer to are being cut, or
    /// once that failed half-way.
    truncations: Arc<AtomicU64>,
    /// What readers beside the owner see.
    shared: Arc<Shared<ReaderOf<E>>>,
    /// Lookups so far, to tell which segments were used last.
    lookups: AtomicU64,
    pace: Pace,
    /// Whether a part of a record stands behind the last one.
    unfinished: bool,
    poisoned: Option<Poisoned>,
    scratch: Scratch,
    /// For records that are written piece by piece.
    buffer: Vec<u8>,
}

impl<E: SegmentEnv> fmt::Debug for Log<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("start_index", &self.start_index())
            .field("durable_index", &self.durable)
            .field("end_index", &self.end_index())
            .field("segments", &self.segments.len())
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}

impl<E: SegmentEnv> Log<E> {
    /// What opening the log had to repair.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Index of the first record of the log. The first segment may begin below it.
    #[must_use]
    pub fn start_index(&self) -> u64 {
        self.start
    }

    /// One past the last record: the index that the next append gets.
    #[must_use]
    pub fn end_index(&self) -> u64 {
        self.write_segment().end()
    }

    /// Everything below this index survives a power cut.
    #[must_use]
    pub fn durable_index(&self) -> u64 {
        self.durable
    }

    /// Length of the write segment's store in bytes, headers included.
    #[must_use]
    pub fn write_segment_bytes(&self) -> u64 {
        self.write_segment().store_length
    }

    /// All segments in order of their indices, the write segment last.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = SegmentInfo> {
        let last = self.segments.len() - 1;
        self.segments
            .iter()
            .enumerate()
            .map(move |(number, segment)| segment.info(number == last))
    }

    /// The settings that the log was opened with.
    #[must_use]
    pub fn options(&self) -> &LogOptions {
        &self.options
    }

    /// The failure that stopped the log, if one did.
    #[must_use]
    pub fn poisoned(&self) -> Option<Poisoned> {
        self.poisoned
    }

    /// The environment that the log was opened with.
    #[must_use]
    pub fn env(&self) -> &E {
        &self.env
    }

    /// The segments themselves, the write segment last.
    pub(crate) fn all_segments(&self) -> &VecDeque<Segment<E::File>> {
        &self.segments
    }

    /// The same, so that what is held in memory of them can be changed.
    pub(crate) fn all_segments_mut(&mut self) -> &mut VecDeque<Segment<E::File>> {
        &mut self.segments
    }

    /// By the environment's clock.
    pub(crate) fn now_ms(&self) -> i64 {
        self.env.now_ms()
    }

    fn write_segment(&self) -> &Segment<E::File> {
        self.segments
            .back()
            .expect("a log has at least one segment")
    }

    fn write_segment_mut(&mut self) -> &mut Segment<E::File> {
        self.segments
            .back_mut()
            .expect("a log has at least one segment")
    }

    fn check_poisoned(&self) -> Result<(), Poisoned> {
        self.poisoned.map_or(Ok(()), Err)
    }

    /// Stops the log for good.
    fn poison(&mut self, during: &'static str, kind: io::ErrorKind) -> Poisoned {
        let poisoned = *self.poisoned.get_or_insert(Poisoned { during, kind });
        tracing::error!(
            end_index = self.end_index(),
            durable_index = self.durable,
            "{poisoned}"
        );
        poisoned
    }

    /// Before anything is changed: the log is not stopped, and nothing stands behind the last record.
    async fn begin_change(&mut self) -> Result<(), Poisoned> {
        self.check_poisoned()?;
        if self.unfinished {
            let interrupted = io::ErrorKind::Interrupted.into();
            let undo = self.write_segment_mut().undo(interrupted);
            if let Run::Stuck(error) = Box::pin(undo).await {
                return Err(self.poison("taking back an unfinished record", error.kind()));
            }
            self.unfinished = false;
        }
        Ok(())
    }

    fn set_durable(&mut self, durable: u64) {
        self.durable = durable;
        self.shared.durable.store(durable, Ordering::Release);
    }

    fn set_start(&mut self, start: u64) {
        self.start = start;
        self.shared.start.store(start, Ordering::Release);
    }

    /// To be called when segments were added, removed or replaced.
    fn segments_changed(&mut self) {
        if self.shared.has_readers() {
            self.shared.set(&self.segments);
        }
    }

    /// Counts a change to the write segment's store.
    fn changed(&mut self) {
        self.changes += 1;
        let changes = self.changes;
        self.write_segment_mut().changed_at = changes;
    }
}
