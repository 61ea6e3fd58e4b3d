//! One append, then a sync. Limit: `write(2)` and `fdatasync(2)`.
//!
//! What a sync costs depends on the file's state: one that grows has its new length written to the file system's
//! journal, one that overwrites bytes which are on the disk already has not. So the limit is taken in both states,
//! and the library is held to the one that its own store is in.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use laminarmq::{LogOptions, poll_ready};
use rustix::fs::fdatasync;

use super::budget::Budget;
use super::clock;
use super::drive::{self, Records};
use super::place::Place;
use super::table::{Comparison, Report};
use super::values::{TURNS, Values};
use super::{Failure, HEADER_BYTES, STORE_HEADER_BYTES, Setting, VALUE_BYTES};

/// Within 1.1 of the limit.
const BUDGET: Budget = Budget::Adds {
    ns: 0.0,
    share: 0.1,
};

/// What stands where a write goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// Nothing: each write makes the file longer.
    Grows,
    /// Zeros that were written and synced before.
    Written,
}

impl FileState {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Grows, Self::Written];

    /// A new file for a limit in that state with room for `bytes`, all of it on the disk.
    ///
    /// # Errors
    /// What the system says.
    pub fn bare_file(self, place: &Place, bytes: usize) -> io::Result<File> {
        let mut file = drive::bare_file(place)?;
        if self == Self::Written {
            let zeros = vec![0; 1 << 20];
            let mut left = bytes;
            while left > 0 {
                let piece = left.min(zeros.len());
                file.write_all(&zeros[..piece])?;
                left -= piece;
            }
            file.seek(SeekFrom::Start(STORE_HEADER_BYTES as u64))?;
        }
        file.sync_all()?;
        Ok(file)
    }

    /// The state that a store is in which holds `bytes` after its header.
    ///
    /// # Errors
    /// What the system says.
    pub fn of_store(store: &Path, bytes: usize) -> io::Result<Self> {
        let used = (STORE_HEADER_BYTES + bytes) as u64;
        let grows = fs::metadata(store)?.len() == used;
        Ok(if grows { Self::Grows } else { Self::Written })
    }
}

/// For all lengths of values and both states.
///
/// # Errors
/// When a run fails.
pub fn measure(setting: &Setting, report: &mut Report) -> Result<(), Failure> {
    report.note("append + sync: on the disk on both sides when the call returned. The library is held to the limit whose file is in the state of its own store.");
    let runs = [
        "append + sync, beside a file that grows",
        "append + sync, beside a file of written zeros",
    ];
    in_both_states(setting, report, runs, BUDGET, bare, ours)
}

/// Compares for all lengths of values and both states of the limit's file; the library is held to the budget where its
/// own store is in that state. `runs` are named in the order of [`FileState::ALL`].
///
/// # Errors
/// When a run fails.
pub fn in_both_states(
    setting: &Setting,
    report: &mut Report,
    runs: [&'static str; 2],
    budget: Budget,
    bare: impl Fn(&Setting, FileState, &Values) -> Result<f64, Failure>,
    ours: impl Fn(&Setting, &Values) -> Result<(f64, FileState), Failure>,
) -> Result<(), Failure> {
    for value_bytes in VALUE_BYTES {
        for (state, run) in FileState::ALL.into_iter().zip(runs) {
            let values = Values::new(value_bytes);
            let mut our_state = None;
            let pairs = drive::pairs(
                setting,
                &format!("{run}, {value_bytes} bytes"),
                || bare(setting, state, &values),
                || {
                    let (spent, found) = ours(setting, &values)?;
                    our_state = Some(found);
                    Ok(spent)
                },
            )?;
            report.comparisons.push(Comparison {
                run,
                value_bytes,
                budget: if our_state == Some(state) {
                    budget
                } else {
                    Budget::Shown
                },
                pairs,
            });
        }
    }
    Ok(())
}

fn bare(setting: &Setting, state: FileState, values: &Values) -> Result<f64, Failure> {
    let count = setting.scale.synced;
    let place = Place::new(&setting.dir, "sync-bare")?;
    let stored = drive::stored(values);
    let file = state.bare_file(&place, count * stored[0].len())?;
    let spent = clock::passed(|| {
        for i in 0..count {
            setting.calls.write(&file, black_box(&stored[i % TURNS]))?;
            fdatasync(&file)?;
        }
        Ok(())
    })?;
    drive::read_back_bare(&place.path("bare"), values, count)?;
    Ok(spent / count as f64)
}

fn ours(setting: &Setting, values: &Values) -> Result<(f64, FileState), Failure> {
    let count = setting.scale.synced;
    let place = Place::new(&setting.dir, "sync-ours")?;
    let dir = place.path("log");
    let mut log = drive::open(&dir, LogOptions::default())?;
    let pieces = drive::pieces(values);
    let records = Records::new(&pieces);
    let spent = clock::passed(|| {
        for i in 0..count {
            black_box(poll_ready(log.append(black_box(records.from(i, 1)[0])))?);
            poll_ready(log.sync())?;
        }
        Ok(())
    })?;
    let bytes = count * (HEADER_BYTES + values.of(0).len());
    let state = FileState::of_store(&dir.join(drive::STORE_NAME), bytes)?;
    drive::read_back(&log, values, count)?;
    if log.durable_index() != count as u64 {
        return Err("a record was not durable after its sync".into());
    }
    Ok((spent / count as f64, state))
}
