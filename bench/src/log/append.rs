//! One append per call, nothing synced. Limit: one `write(2)` per record, of header and value that already stand
//! together in memory.

use std::hint::black_box;

use laminarmq::{LogOptions, poll_ready};

use super::budget::Budget;
use super::drive::{self, Records};
use super::place::Place;
use super::table::{Comparison, Report};
use super::values::{TURNS, Values};
use super::{Failure, Setting, VALUE_BYTES};

/// The limit and 60 ns, or 10 %.
const BUDGET: Budget = Budget::Adds {
    ns: 60.0,
    share: 0.1,
};

/// For all lengths of values.
///
/// # Errors
/// When a run fails.
pub fn measure(setting: &Setting, report: &mut Report) -> Result<(), Failure> {
    report.note("append and batch: an append that returned is with the operating system on both sides; nothing is synced.");
    for value_bytes in VALUE_BYTES {
        let values = Values::new(value_bytes);
        let count = setting.scale.records_of(value_bytes);
        let pairs = drive::pairs(
            setting,
            &format!("append, {value_bytes} bytes"),
            || bare(setting, &values, count),
            || ours(setting, &values, count),
        )?;
        report.comparisons.push(Comparison {
            run: "append, one per call",
            value_bytes,
            budget: BUDGET,
            pairs,
        });
    }
    Ok(())
}

fn bare(setting: &Setting, values: &Values, count: usize) -> Result<f64, Failure> {
    let place = Place::new(&setting.dir, "append-bare")?;
    let file = drive::bare_file(&place)?;
    let stored = drive::stored(values);
    let spent = setting.clock.nanoseconds(|| {
        for i in 0..count {
            setting.calls.write(&file, black_box(&stored[i % TURNS]))?;
        }
        Ok(())
    })?;
    drive::read_back_bare(&place.path("bare"), values, count)?;
    Ok(spent / count as f64)
}

fn ours(setting: &Setting, values: &Values, count: usize) -> Result<f64, Failure> {
    let place = Place::new(&setting.dir, "append-ours")?;
    let mut log = drive::open(&place.path("log"), LogOptions::default())?;
    let pieces = drive::pieces(values);
    let records = Records::new(&pieces);
    let spent = setting.clock.nanoseconds(|| {
        for i in 0..count {
            black_box(poll_ready(log.append(black_box(records.from(i, 1)[0])))?);
        }
        Ok(())
    })?;
    drive::read_back(&log, values, count)?;
    Ok(spent / count as f64)
}
