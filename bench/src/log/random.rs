//! Reading single records by index, the index in memory, the file in the page cache. Limit: `pread(2)` of exactly the
//! stored bytes into one buffer, at the same places of the same file.

use std::fs::File;
use std::hint::black_box;

use laminarmq::{IndexCache, Log, LogOptions, poll_ready};

use super::budget::Budget;
use super::drive;
use super::place::Place;
use super::table::{Comparison, Report};
use super::values::{Numbers, Values};
use super::{Failure, HEADER_BYTES, STORE_HEADER_BYTES, Setting, VALUE_BYTES};

/// 0.7 of the speed.
const BUDGET: Budget = Budget::Slower {
    speed: 0.7,
    ns: 0.0,
};

/// For all lengths of values.
///
/// # Errors
/// When a run fails.
pub fn measure(setting: &Setting, report: &mut Report) -> Result<(), Failure> {
    for value_bytes in VALUE_BYTES {
        let values = Values::new(value_bytes);
        let count = setting.scale.records_of(value_bytes);
        let place = Place::new(&setting.dir, "random")?;
        let dir = place.path("log");
        let options = LogOptions {
            index_cache: IndexCache::All,
            ..LogOptions::default()
        };
        let mut log = drive::open(&dir, options)?;
        drive::fill(&mut log, &values, count)?;
        drive::read_back(&log, &values, count)?;
        let store = File::open(dir.join(drive::STORE_NAME))?;
        // Each run has places of its own, the two of a pair have the same.
        let (mut bare_seed, mut our_seed) = (0, 0);
        let pairs = drive::pairs(
            setting,
            &format!("random read, {value_bytes} bytes"),
            || {
                bare_seed += 1;
                bare(setting, &store, value_bytes, count, bare_seed)
            },
            || {
                our_seed += 1;
                ours(setting, &log, &values, count, our_seed)
            },
        )?;
        report.comparisons.push(Comparison {
            run: "random read by index",
            value_bytes,
            budget: BUDGET,
            pairs,
        });
    }
    Ok(())
}

fn bare(
    setting: &Setting,
    store: &File,
    value_bytes: usize,
    count: usize,
    seed: u64,
) -> Result<f64, Failure> {
    let mut numbers = Numbers::new(seed);
    let stored_bytes = HEADER_BYTES + value_bytes;
    let mut buffer = vec![0; stored_bytes];
    let spent = setting.clock.nanoseconds(|| {
        for _ in 0..setting.scale.reads {
            let at = STORE_HEADER_BYTES + numbers.below(count) * stored_bytes;
            setting.calls.pread(store, &mut buffer, at as u64)?;
            black_box(&buffer);
        }
        Ok(())
    })?;
    Ok(spent / setting.scale.reads as f64)
}

fn ours(
    setting: &Setting,
    log: &Log,
    values: &Values,
    count: usize,
    seed: u64,
) -> Result<f64, Failure> {
    let mut numbers = Numbers::new(seed);
    let spent = setting.clock.nanoseconds(|| {
        for _ in 0..setting.scale.reads {
            let index = numbers.below(count) as u64;
            black_box(poll_ready(log.read(index))?);
        }
        Ok(())
    })?;
    // Outside of the time: the same places again, compared.
    let mut numbers = Numbers::new(seed);
    for _ in 0..setting.scale.reads.min(1000) {
        let number = numbers.below(count);
        let record = poll_ready(log.read(number as u64))?;
        if record.value != values.of(number) {
            return Err(format!("record {number} is not what was written").into());
        }
    }
    Ok(spent / setting.scale.reads as f64)
}
