//! Batches of 64, nothing synced. Limit: one `writev(2)` per batch, with a slice for each header and each value, so
//! that nothing is copied in front of the call.

use std::hint::black_box;
use std::io::IoSlice;

use laminarmq::{LogOptions, poll_ready};

use super::budget::Budget;
use super::drive::{self, BARE_HEADER, BATCH, Records};
use super::place::Place;
use super::table::{Comparison, Report};
use super::values::Values;
use super::{Failure, HEADER_BYTES, Setting, VALUE_BYTES};

/// 0.8 of the speed, and 30 ns per record.
const BUDGET: Budget = Budget::Slower {
    speed: 0.8,
    ns: 30.0,
};

/// What the kernel takes in one call, `IOV_MAX`.
const SLICES_MAX: usize = 1024;
const _: () = assert!(2 * BATCH <= SLICES_MAX);

/// For all lengths of values.
///
/// # Errors
/// When a run fails.
pub fn measure(setting: &Setting, report: &mut Report) -> Result<(), Failure> {
    for value_bytes in VALUE_BYTES {
        let values = Values::new(value_bytes);
        let count = setting.scale.records_of(value_bytes) / BATCH * BATCH;
        let pairs = drive::pairs(
            setting,
            &format!("batches of {BATCH}, {value_bytes} bytes"),
            || bare(setting, &values, count),
            || ours(setting, &values, count),
        )?;
        report.comparisons.push(Comparison {
            run: "append, batches of 64",
            value_bytes,
            budget: BUDGET,
            pairs,
        });
    }
    Ok(())
}

fn bare(setting: &Setting, values: &Values, count: usize) -> Result<f64, Failure> {
    let place = Place::new(&setting.dir, "batch-bare")?;
    let file = drive::bare_file(&place)?;
    let batch_bytes = BATCH * (HEADER_BYTES + values.of(0).len());
    let mut slices = Vec::with_capacity(2 * BATCH);
    let spent = setting.clock.nanoseconds(|| {
        for i in (0..count).step_by(BATCH) {
            slices.clear();
            for record in i..i + BATCH {
                slices.push(IoSlice::new(&BARE_HEADER));
                slices.push(IoSlice::new(black_box(values.of(record))));
            }
            setting.calls.writev(&file, &slices, batch_bytes)?;
        }
        Ok(())
    })?;
    drive::read_back_bare(&place.path("bare"), values, count)?;
    Ok(spent / count as f64)
}

fn ours(setting: &Setting, values: &Values, count: usize) -> Result<f64, Failure> {
    let place = Place::new(&setting.dir, "batch-ours")?;
    let mut log = drive::open(&place.path("log"), LogOptions::default())?;
    let pieces = drive::pieces(values);
    let records = Records::new(&pieces);
    let spent = setting.clock.nanoseconds(|| {
        for i in (0..count).step_by(BATCH) {
            black_box(poll_ready(
                log.append_many(black_box(records.from(i, BATCH))),
            )?);
        }
        Ok(())
    })?;
    drive::read_back(&log, values, count)?;
    Ok(spent / count as f64)
}
