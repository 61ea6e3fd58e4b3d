//! Reading from the start to the end, checksums verified, from the page cache. Limit: `pread(2)` of 64 KiB at a time into
//! one buffer, of the same file.

use std::fs::File;
use std::hint::black_box;

use laminarmq::{Log, LogOptions, poll_ready};

use super::budget::Budget;
use super::drive;
use super::place::Place;
use super::table::{Comparison, Report};
use super::values::Values;
use super::{Failure, Setting, VALUE_BYTES};

/// 0.8 of the speed, and 25 ns per record.
const BUDGET: Budget = Budget::Slower {
    speed: 0.8,
    ns: 25.0,
};

/// Bytes of each of the limit's reads.
const PIECE_BYTES: usize = 64 << 10;

/// For all lengths of values.
///
/// # Errors
/// When a run fails.
pub fn measure(setting: &Setting, report: &mut Report) -> Result<(), Failure> {
    report.note("streaming and random reads: from the page cache, limit and library on the same file; the library verifies headers and values.");
    for value_bytes in VALUE_BYTES {
        let values = Values::new(value_bytes);
        let count = setting.scale.records_of(value_bytes);
        let place = Place::new(&setting.dir, "stream")?;
        let dir = place.path("log");
        let mut log = drive::open(&dir, LogOptions::default())?;
        drive::fill(&mut log, &values, count)?;
        drive::read_back(&log, &values, count)?;
        let store = File::open(dir.join(drive::STORE_NAME))?;
        let pairs = drive::pairs(
            setting,
            &format!("streaming read, {value_bytes} bytes"),
            || {
                let spent = setting.clock.nanoseconds(|| {
                    setting.calls.read_through(&store, PIECE_BYTES)?;
                    Ok(())
                })?;
                Ok(spent / count as f64)
            },
            || ours(setting, &log, count),
        )?;
        report.comparisons.push(Comparison {
            run: "streaming read",
            value_bytes,
            budget: BUDGET,
            pairs,
        });
    }
    Ok(())
}

fn ours(setting: &Setting, log: &Log, count: usize) -> Result<f64, Failure> {
    let mut seen = 0;
    let spent = setting.clock.nanoseconds(|| {
        let mut records = log.stream(..)?;
        while let Some(record) = poll_ready(records.next())? {
            black_box(record.value);
            seen += 1;
        }
        Ok(())
    })?;
    if seen == count {
        Ok(spent / count as f64)
    } else {
        Err(format!("read {seen} of {count} records").into())
    }
}
