//! Opening one segment whose writer was killed. Limit: reading the same store from its start to its end.

use std::fs::{self, File};
use std::path::Path;

use laminarmq::LogOptions;

use super::budget::Budget;
use super::clock::Clock;
use super::drive;
use super::open;
use super::place::{Place, drop_caches};
use super::table::{Comparison, Report};
use super::values::Values;
use super::{Failure, HEADER_BYTES, STORE_HEADER_BYTES, Setting, VALUE_BYTES};

/// Half of the limit's speed.
const BUDGET: Budget = Budget::Slower {
    speed: 0.5,
    ns: 0.0,
};

/// Values of 1 KiB and more.
const LEAST_VALUE_BYTES: usize = 1024;
/// Bytes of each of the limit's reads: faster than 64 KiB.
const PIECE_BYTES: usize = 1 << 20;

/// What the page cache holds when a run starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cache {
    /// All of the store.
    Full,
    /// Nothing of it.
    Dropped,
}

impl Cache {
    fn clock(self, setting: &Setting) -> Clock {
        match self {
            Self::Full => setting.clock,
            Self::Dropped => Clock::Wall,
        }
    }

    fn prepare(self, setting: &Setting, store: &Path) -> Result<(), Failure> {
        match self {
            Self::Full => setting
                .calls
                .read_through(&File::open(store)?, PIECE_BYTES)
                .map(drop)?,
            Self::Dropped => drop_caches()?,
        }
        Ok(())
    }
}

/// From the page cache.
///
/// # Errors
/// When a run fails.
pub fn measure_cached(setting: &Setting, report: &mut Report) -> Result<(), Failure> {
    measure(setting, report, Cache::Full)
}

/// From the disk.
///
/// # Errors
/// When a run fails, or the caches cannot be dropped.
pub fn measure_cold(setting: &Setting, report: &mut Report) -> Result<(), Failure> {
    drop_caches()?;
    measure(setting, report, Cache::Dropped)
}

fn measure(setting: &Setting, report: &mut Report, cache: Cache) -> Result<(), Failure> {
    let run = match cache {
        Cache::Full => "recover an unclean segment, cached",
        Cache::Dropped => "recover an unclean segment, caches dropped",
    };
    report.note("recover: the process that wrote the segment ended without closing the log; the limit reads the same store 1 MiB at a time. When opening returns, what it found is durable.");
    let lengths = VALUE_BYTES.into_iter();
    for value_bytes in lengths.filter(|value_bytes| *value_bytes >= LEAST_VALUE_BYTES) {
        // One record short of a full segment, so that the next one is not begun.
        let room = usize::try_from(setting.scale.recover_bytes)? - STORE_HEADER_BYTES;
        let count = room / (HEADER_BYTES + value_bytes) - 1;
        let kept = Place::new(&setting.dir, "recover-kept")?;
        let kept = kept.path("log");
        open::fill(&kept, value_bytes, count, true)?;
        let values = Values::new(value_bytes);
        let pairs = drive::pairs(
            setting,
            &format!("{run}, {value_bytes} bytes"),
            || {
                let store = kept.join(drive::STORE_NAME);
                cache.prepare(setting, &store)?;
                let file = File::open(&store)?;
                let spent = cache.clock(setting).nanoseconds(|| {
                    setting.calls.read_through(&file, PIECE_BYTES)?;
                    Ok(())
                })?;
                Ok(spent / count as f64)
            },
            || ours(setting, &kept, cache, &values, count),
        )?;
        report.comparisons.push(Comparison {
            run,
            value_bytes,
            budget: BUDGET,
            pairs,
        });
    }
    Ok(())
}

/// Recovers a copy.
fn ours(
    setting: &Setting,
    kept: &Path,
    cache: Cache,
    values: &Values,
    count: usize,
) -> Result<f64, Failure> {
    let place = Place::new(&setting.dir, "recover")?;
    let dir = place.path("log");
    fs::create_dir(&dir)?;
    for entry in fs::read_dir(kept)? {
        let entry = entry?;
        fs::copy(entry.path(), dir.join(entry.file_name()))?;
    }
    rustix::fs::sync();
    cache.prepare(setting, &dir.join(drive::STORE_NAME))?;
    let mut log = None;
    let spent = cache.clock(setting).nanoseconds(|| {
        log = Some(drive::open(&dir, LogOptions::default())?);
        Ok(())
    })?;
    let log = log.ok_or("opened above")?;
    let scanned = log.recovery().bytes_scanned;
    eprintln!("recovery verified {scanned} bytes of the store");
    if log.recovery().is_clean() {
        return Err("there was nothing to recover: the log had been closed in order".into());
    }
    drive::read_back(&log, values, count)?;
    Ok(spent / count as f64)
}
