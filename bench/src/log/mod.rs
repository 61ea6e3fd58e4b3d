//! The library beside the machine: one module per measurement, each with its own limit in it.
//!
//! - Limit and library take turns, in the same directory, on fresh files (readers: on the same file).
//! - Both store the same bytes: each record is a header of [`HEADER_BYTES`] and its value, and a store
//!   begins with [`STORE_HEADER_BYTES`].
//! - After each run that writes, everything is read back and compared; files are removed and the disk is
//!   left to come to rest before the next run. None of that is in the times.

pub mod append;
pub mod batch;
pub mod budget;
pub mod calls;
pub mod clock;
pub mod drive;
pub mod group;
pub mod open;
pub mod place;
pub mod random;
pub mod recover;
pub mod stream;
pub mod sync;
pub mod table;
pub mod values;

use std::error::Error;
use std::path::PathBuf;

use calls::Calls;
use clock::Clock;
use table::Report;

/// Header of each record in a store, in bytes.
pub const HEADER_BYTES: usize = 56;
/// Header of a store, in bytes.
pub const STORE_HEADER_BYTES: usize = 64;
/// Lengths of the values that are measured, in bytes.
pub const VALUE_BYTES: [usize; 6] = [12, 140, 560, 1120, 2940, 11760];

/// What goes wrong while measuring; it ends that measurement.
pub type Failure = Box<dyn Error + Send + Sync>;

/// How a measurement is taken.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Where files are put.
    pub dir: PathBuf,
    /// Pairs of runs, or runs where there is no limit beside them.
    pub pairs: usize,
    /// How the limits call the system.
    pub calls: Calls,
    /// What is counted where nothing waits for the disk.
    pub clock: Clock,
    /// How much each run does.
    pub scale: Scale,
}

/// How much each run does.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Most records and stored bytes of a run that writes or reads one after the other. Few enough bytes
    /// that writers are not made to wait for the disk.
    pub records: usize,
    /// See `records`.
    pub bytes: usize,
    /// Reads of a run of random reads.
    pub reads: usize,
    /// Appends of a run in which each is synced; of all threads together.
    pub synced: usize,
    /// Stored bytes of the log that is opened.
    pub open_bytes: u64,
    /// Stored bytes of the segment that is recovered.
    pub recover_bytes: u64,
}

impl Scale {
    /// The scale that the published table is made with.
    pub const FULL: Self = Self {
        records: 500_000,
        bytes: 192 << 20,
        reads: 200_000,
        synced: 960,
        open_bytes: 10 << 30,
        recover_bytes: 1 << 30,
    };
    /// A look at all of it in a few minutes.
    pub const QUICK: Self = Self {
        records: 100_000,
        bytes: 48 << 20,
        reads: 50_000,
        synced: 320,
        open_bytes: 1 << 30,
        recover_bytes: 256 << 20,
    };

    /// Records of a run with values of that length.
    #[must_use]
    pub fn records_of(&self, value_bytes: usize) -> usize {
        self.records.min(self.bytes / (value_bytes + HEADER_BYTES))
    }
}

/// Takes a measurement and writes it down.
pub type Measure = fn(&Setting, &mut Report) -> Result<(), Failure>;

/// All measurements, by the names that `--only` takes.
pub const MEASUREMENTS: [(&str, Measure); 9] = [
    ("append", append::measure),
    ("batch", batch::measure),
    ("stream", stream::measure),
    ("random", random::measure),
    ("sync", sync::measure),
    ("group", group::measure),
    ("open", open::measure),
    ("recover", recover::measure_cached),
    ("recover-cold", recover::measure_cold),
];
