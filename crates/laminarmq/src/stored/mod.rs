//! A stored log, looked at without opening it: what tools print.
//!
//! Nothing here takes a lock, creates a file, or changes a byte. So a log that is in use can be looked at
//! too; its last record may then be seen half-written, which reads like a torn end.
//!
//! The judgement is that of opening the log (see `log/recover.rs`), from the same facts: a place that cannot
//! be read is *damage* below what had been durable, and a *torn end*, which opening cuts, above.

mod facts;
mod records;
mod source;
mod verify;

use std::path::Path;

use crate::env::{MemEnv, SegmentEnv, poll_ready};
use crate::error::{Damage, OpenError};
use crate::format::StartFile;
use crate::log::found::Found;
use crate::log::open::io;

pub use records::StoredRecords;
use source::{Source, StoredFile};
pub use verify::{Finding, Progress, Report, Severity};

/// A log on a disk, to be looked at without opening it.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// use laminarmq::{Append, Log, StoredLog, poll_ready};
///
/// let mut log = Log::open(dir)?;
/// poll_ready(log.append(Append { value: &[b"hello"], ..Append::default() }))?;
///
/// let stored = StoredLog::in_dir(dir)?; // beside the writer
/// let report = stored.verify(&mut |_| {})?;
/// assert!(report.is_sound() && report.end_index == 1);
/// let values = stored.records(0)?.map(|record| record.map(|record| record.value));
/// assert_eq!(values.collect::<Result<Vec<_>, _>>()?, ["hello"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct StoredLog {
    source: Source,
}

/// What a log's segments say of themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Index of the first record.
    pub start_index: u64,
    /// One past the last record that follows on the ones before.
    pub end_index: u64,
    /// Whether a reset of the log was interrupted; opening it finishes that.
    pub resetting: bool,
    /// All segments that are there, in order of their indices.
    pub segments: Vec<StoredSegment>,
}

/// One segment as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSegment {
    /// Index of its first record, also in its file names.
    pub base_index: u64,
    /// One past its last record: as the footer says where that fits, else by a look at every record header.
    pub end_index: u64,
    /// Length of the store file in bytes.
    pub store_bytes: u64,
    /// Length of the index file in bytes; 0 where there is none.
    pub index_bytes: u64,
    /// When it was created, in milliseconds since the Unix epoch; `None` where its header is lost.
    pub created_ms: Option<i64>,
    /// Largest timestamp of its records; `None` without records.
    pub max_timestamp: Option<i64>,
    /// What its index file says at its end.
    pub footer: FooterState,
    /// All of its records were truncated, or a reset made them void: opening the log removes it.
    pub is_removed: bool,
    /// What is wrong with its file header, in which case nothing else is known.
    pub damage: Option<Damage>,
}

/// What the end of a segment's index file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FooterState {
    /// There is none: the segment is being written, or its writer was killed.
    Missing,
    /// It is the footer of exactly this store.
    Fits,
    /// The store has more or fewer records than it says.
    Differs,
}

impl StoredLog {
    /// The log in a directory.
    ///
    /// # Errors
    ///
    /// [`OpenError::Io`] where there is no such directory.
    pub fn in_dir(dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        let dir = dir.as_ref();
        let found = std::fs::read_dir(dir);
        found.map_err(io(&format!("read the directory {}", dir.display())))?;
        let source = Source::Dir(dir.to_path_buf());
        Ok(Self { source })
    }

    /// The log on a disk in memory.
    #[must_use]
    pub fn in_memory(disk: &MemEnv) -> Self {
        let source = Source::Memory(disk.clone());
        Self { source }
    }

    /// Segments, bounds and sizes. Reads headers and footers; of segments without a footer that fits,
    /// the header of every record, but no values.
    ///
    /// # Errors
    ///
    /// What the storage refused, a start file that is damaged, and formats of a newer version.
    pub fn inspect(&self) -> Result<Inspection, OpenError> {
        let (start, bases) = self.list()?;
        let removed = removed(start, &bases);
        let mut segments = Vec::with_capacity(bases.len());
        for number in 0..bases.len() {
            let mut segment = self.look(&bases, number)?.info;
            segment.is_removed = number < removed;
            segments.push(segment);
        }
        let floor = start.map_or(0, |said| said.start);
        let mut left = segments[removed..].iter();
        let first = left.next();
        let mut end = first.map_or(floor, |segment| segment.end_index);
        let start_index = floor.max(first.map_or(0, |segment| segment.base_index));
        for segment in left.take_while(|segment| segment.damage.is_none()) {
            if segment.base_index > end {
                break;
            }
            end = segment.end_index;
        }
        Ok(Inspection {
            start_index,
            end_index: end.max(start_index),
            resetting: start.is_some_and(|said| said.resetting),
            segments,
        })
    }

    /// What the start file says, and the base indices of all segments.
    fn list(&self) -> Result<(Option<StartFile>, Vec<u64>), OpenError> {
        let mut source = self.source.clone();
        let bytes = poll_ready(source.read_start()).map_err(io("read the start file"))?;
        let start = match bytes {
            None => None,
            Some(bytes) => Some(
                StartFile::decode(&bytes)
                    .map_err(|source| OpenError::StartFormat { source })?
                    .ok_or(OpenError::StartDamaged)?,
            ),
        };
        let bases = poll_ready(source.list()).map_err(io("list the segments"))?;
        Ok((start, bases))
    }
}

/// How many segments, from the front, opening the log removes because they were truncated.
fn removed(start: Option<StartFile>, bases: &[u64]) -> usize {
    match start {
        None => 0,
        Some(said) if said.resetting => bases.len(),
        Some(said) => {
            let below = bases.partition_point(|base| *base <= said.start);
            below.saturating_sub(1)
        }
    }
}

/// A segment and what it says, as far as its file header can be read.
struct Look {
    found: Option<Found<StoredFile>>,
    info: StoredSegment,
}
