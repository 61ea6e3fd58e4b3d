//! An embeddable segmented log: records go in at the end, get dense 64-bit indices, and come out by index,
//! by key or by time.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! use laminarmq::{Append, Log, poll_ready};
//!
//! let mut log = Log::open(dir)?;
//! let index = poll_ready(log.append(Append { value: &[b"hello"], ..Append::default() }))?;
//! poll_ready(log.sync())?; // from here on it survives a power cut
//! assert_eq!(poll_ready(log.read(index))?.value, "hello");
//! poll_ready(log.close())?;
//! # Ok(())
//! # }
//! ```
//!
//! Whoever has a storage, a hasher, metadata or a cache of their own uses
//! [`SegmentedLog`](storage::commit_log::segmented_log::SegmentedLog), the same engine with all of these to choose.
//!
//! # Invariants
//!
//! ```text
//! start_index <= durable_index <= end_index                 (both ends exclusive)
//! segments[i].end_index == segments[i + 1].base_index
//! a store file is never changed below its end, except by truncation; that of a sealed segment never
//! an index file is derived from its store and never trusted above it
//! ```
//!
//! # What is durable when
//!
//! [`Log::append`] hands the bytes to the operating system: killing the process loses nothing, a power cut
//! may take them. They are durable once [`Log::sync`] returned, or once a [`SyncTicket`] that was taken
//! after the append ran and was handed to [`Log::complete`], or once [`Commit::wait`] of a [`SharedLog`] returned;
//! with a [`FlushPolicy`] some appends make everything durable by themselves. [`Log::truncate_prefix`] and
//! [`Log::reset`] are durable when they return, [`Log::truncate_suffix`] as far as it cuts durable records. A ticket
//! runs on any thread, so one writer appends on while another thread waits for the disk. A failed sync stops the log
//! for good.
//!
//! # What is in memory
//!
//! The index entries of the newest few thousand records (48 bytes each; [`IndexCache`] may ask for more), and what
//! an append or a read is working on. Neither grows with the log. Recovery of a segment that was not closed in order
//! holds 48 bytes per record of it while it lasts.

mod checksum;
pub mod common;
mod env;
mod error;
mod format;
pub mod limits;
mod log;
mod record;
pub mod retention;
mod segment;
pub mod storage;
mod stored;
#[cfg(feature = "test-util")]
pub mod test_util;

pub use checksum::{ChecksumKind, Crc32cHasher, ValueChecksum};
pub use env::{
    Calls, CrashPoint, DirEnv, Direct, FileEnv, LocalFile, LocalReader, LocalSync, LogEnv, LogFile,
    MemEnv, MemFile, MemReader, MemSync, OpenFiles, Part, ReadAt, SegmentEnv, SegmentFiles,
    SyncNow, poll_ready,
};
#[cfg(all(feature = "io_uring", target_os = "linux"))]
pub use env::{Uring, UringEnv};
pub use error::{
    AppendError, Damage, OpenError, OptionsError, OutOfBounds, Poisoned, ReadError, SyncError,
    TruncateError,
};
pub use format::FormatError;
pub use log::{
    Commit, CommitError, FlushPolicy, IndexCache, Log, LogOptions, LogReader, ReadPlan,
    ReaderStream, RecordReader, RecordRef, RecordStream, RecordWriter, SharedLog, SyncDone,
    SyncTicket,
};
pub use record::{Append, EntryInfo, Record, Recovery, SegmentInfo};
pub use stored::{
    Finding, FooterState, Inspection, Progress, Report, Severity, StoredLog, StoredRecords,
    StoredSegment,
};
