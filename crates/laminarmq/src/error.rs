//! One error per operation, made of small facts. Every text says where and what to do.

use std::io;
use std::path::PathBuf;

use crate::format::FormatError;

/// A place in the log whose bytes are not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "segment {segment:020}, record {index}, position {position}: {what}; \
     restore this segment's files from a copy"
)]
pub struct Damage {
    /// Base index of the segment.
    pub segment: u64,
    /// The first record that cannot be read.
    pub index: u64,
    /// Byte position in the segment's file.
    pub position: u64,
    /// What is wrong there.
    pub what: &'static str,
}

/// The log refuses to go on, because it no longer knows what is on the media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the log stopped after {during} failed ({kind}); close it, check the disk, and open the log again"
)]
pub struct Poisoned {
    /// The operation that failed.
    pub during: &'static str,
    /// How it failed.
    pub kind: io::ErrorKind,
}

/// An index that the log does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("index {index} is outside the log, which holds [{start}, {end})")]
pub struct OutOfBounds {
    /// What was asked for.
    pub index: u64,
    /// First index of the log.
    pub start: u64,
    /// One past its last index.
    pub end: u64,
}

/// Why options are not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A segment has to hold more than its header.
    #[error("segment_bytes is {given}, must be at least {min}")]
    SegmentBytes {
        /// As given.
        given: u64,
        /// The least that is accepted.
        min: u64,
    },
    /// A sync after every 0 records or bytes.
    #[error("a flush policy of every 0 records or bytes; use 1 to sync with every append")]
    FlushEveryNothing,
    /// A record's length has to fit into a chunk header.
    #[error("record_bytes_max is {given}, must be from 1 to {max}")]
    RecordBytes {
        /// As given.
        given: u64,
        /// The most that is accepted.
        max: u64,
    },
}

/// Why a log did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Settings that contradict themselves.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The operating system refused something.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Its answer.
        source: io::Error,
    },
    /// Another process, or another `Log` of this one, has the directory open.
    #[error("{} is in use by another log; close that one first", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The stored log starts before the index that the options ask for.
    #[error("the stored log starts at {base}, below initial_index {initial}; lower initial_index")]
    BelowInitialIndex {
        /// First stored base index.
        base: u64,
        /// As configured.
        initial: u64,
    },
    /// The files of a segment between two others are gone.
    #[error(
        "records [{end}, {next}) are missing between segments {before:020} and {next:020}; \
         restore the missing segment's files"
    )]
    SegmentMissing {
        /// Base index of the segment before the gap.
        before: u64,
        /// One past the last record before the gap.
        end: u64,
        /// Base index of the segment after the gap.
        next: u64,
    },
    /// Records that had been made durable cannot be read.
    #[error("{0}")]
    Damaged(#[from] Damage),
    /// The start file is not what was written.
    #[error(
        "the start file is damaged, so nobody knows which records had been truncated; \
         restore log.start from a copy, or remove it to get back what the segments still hold"
    )]
    StartDamaged,
    /// The start file is of a format that this version does not read.
    #[error("log.start: {source}")]
    StartFormat {
        /// What does not fit.
        source: FormatError,
    },
    /// A file is of a format that this version does not read.
    #[error("segment {segment:020}: {source}")]
    Format {
        /// Base index of the segment.
        segment: u64,
        /// What does not fit.
        source: FormatError,
    },
}

/// Why an append or a roll did not happen. Unless it is `Poisoned`, the log is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The value is longer than the options allow.
    #[error("record of {bytes} bytes is longer than record_bytes_max, {max}")]
    TooLarge {
        /// Length of the value.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// Keys must not go down.
    #[error("key {given} is below {last}, the key of the record before")]
    KeyWentBack {
        /// Key of the record before.
        last: u64,
        /// As given.
        given: u64,
    },
    /// The index space is used up.
    #[error("the log is at its last index, {end}")]
    Full {
        /// The end index.
        end: u64,
    },
    /// A piece of the record could not be written before, so the record was given up.
    #[error("an earlier piece of this record could not be written; begin the record again")]
    GivenUp,
    /// The storage refused; what was half written has been taken back.
    #[error("segment {segment:020}: {source}")]
    Io {
        /// Base index of the segment that was to be written.
        segment: u64,
        /// Its answer.
        source: io::Error,
    },
    /// An earlier failure stopped the log.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not a place in the log.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// The bytes are not those that were written.
    #[error("{0}")]
    Damaged(#[from] Damage),
    /// The value is longer than what one read may hold in memory.
    #[error(
        "record {index} has {bytes} bytes, more than record_bytes_max, {max}; read it piece by piece"
    )]
    TooLarge {
        /// Its index.
        index: u64,
        /// Length of its value.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// The log was truncated while a plan was on its way; plan again.
    #[error("the log was truncated after this read was planned; plan it again")]
    Truncated,
    /// The storage refused.
    #[error("segment {segment:020}, position {position}: {source}")]
    Io {
        /// Base index of the segment.
        segment: u64,
        /// Byte position in its file.
        position: u64,
        /// Its answer.
        source: io::Error,
    },
}

/// Why a truncation did not happen. After `Io` the log is poisoned, because it may be half done.
#[derive(Debug, thiserror::Error)]
pub enum TruncateError {
    /// Not a place in the log.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// A record beside the cut cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The new start could not be written down; the log is as it was. `Unsupported` where the storage keeps
    /// no start file: then only the base index of a segment can become the start.
    #[error("the log's new start could not be stored, nothing was changed: {source}")]
    StartFile {
        /// Its answer.
        source: io::Error,
    },
    /// The storage refused.
    #[error("segment {segment:020}: {source}; the log stopped, open it again")]
    Io {
        /// Base index of the segment that was to be changed.
        segment: u64,
        /// Its answer.
        source: io::Error,
    },
    /// An earlier failure stopped the log.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Why the log could not be made durable. The log is poisoned then.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The storage refused.
    #[error("segment {segment:020}: {source}; the log stopped, open it again")]
    Io {
        /// Base index of the segment.
        segment: u64,
        /// Its answer.
        source: io::Error,
    },
    /// An earlier failure stopped the log.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}
