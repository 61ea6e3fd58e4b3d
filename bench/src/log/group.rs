//! Sixteen threads that each append and wait until it is on the disk, one sync for all that wait. Limit: the same
//! with nothing around it: `write(2)` under a mutex, and whoever finds no sync under way does one `fdatasync(2)`
//! for all that was written before it.

use std::fs::File;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use laminarmq::{Append, LogOptions, SharedLog, poll_ready};
use rustix::fs::fdatasync;

use super::budget::Budget;
use super::calls::Calls;
use super::clock;
use super::drive;
use super::place::Place;
use super::sync::{FileState, in_both_states};
use super::table::Report;
use super::values::Values;
use super::{Failure, HEADER_BYTES, Setting};

/// Threads that append.
pub const APPENDERS: usize = 16;

/// At least the limit's rate.
const BUDGET: Budget = Budget::Slower {
    speed: 1.0,
    ns: 0.0,
};

/// Commits from many threads.
trait Committer: Sync {
    /// Appends record number `turn` of those that take turns, and returns once it is on the disk.
    fn commit(&self, turn: usize) -> Result<(), Failure>;
}

/// For all lengths of values and both states of the limit's file.
///
/// # Errors
/// When a run fails.
pub fn measure(setting: &Setting, report: &mut Report) -> Result<(), Failure> {
    report.note("16 appenders: on the disk on both sides when a thread goes on; time per record, all threads together.");
    let runs = [
        "16 appenders, beside a file that grows",
        "16 appenders, beside a file of written zeros",
    ];
    in_both_states(setting, report, runs, BUDGET, bare, ours)
}

/// Appends of all threads, a whole number for each.
fn count(setting: &Setting) -> usize {
    setting.scale.synced.div_ceil(APPENDERS) * APPENDERS * 4
}

/// Lets all threads commit their share; thread `t` writes value `t`.
fn run(committer: &impl Committer, count: usize) -> Result<f64, Failure> {
    let spent = clock::passed(|| {
        thread::scope(|scope| {
            let appender = |turn| {
                scope.spawn(move || (0..count / APPENDERS).try_for_each(|_| committer.commit(turn)))
            };
            let threads: Vec<_> = (0..APPENDERS).map(appender).collect();
            threads.into_iter().try_for_each(|thread| {
                let ended = thread.join();
                ended.map_err(|_| "a thread that appends panicked")?
            })
        })
    })?;
    Ok(spent / count as f64)
}

/// Checks that each thread's value is there as often as it was committed.
fn check<'a>(
    values: &Values,
    count: usize,
    found: impl Iterator<Item = &'a [u8]>,
) -> Result<(), Failure> {
    let mut seen = [0; APPENDERS];
    for value in found {
        let turn = values.turn_of(value).filter(|turn| *turn < APPENDERS);
        seen[turn.ok_or("a value that no thread wrote")?] += 1;
    }
    if seen == [count / APPENDERS; APPENDERS] {
        Ok(())
    } else {
        Err(format!("of {count} records there are, by thread, {seen:?}").into())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far a group has come, in records.
#[derive(Debug, Default)]
struct Progress {
    written: u64,
    synced: u64,
    is_syncing: bool,
}

/// The limit.
struct Bare {
    calls: Calls,
    file: File,
    stored: Vec<Vec<u8>>,
    progress: Mutex<Progress>,
    synced: Condvar,
}

impl Committer for Bare {
    fn commit(&self, turn: usize) -> Result<(), Failure> {
        let mut progress = lock(&self.progress);
        self.calls.write(&self.file, &self.stored[turn])?;
        progress.written += 1;
        let mine = progress.written;
        while progress.synced < mine {
            if progress.is_syncing {
                let woken = self.synced.wait(progress);
                progress = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            progress.is_syncing = true;
            let covers = progress.written;
            drop(progress);
            fdatasync(&self.file)?;
            progress = lock(&self.progress);
            progress.is_syncing = false;
            progress.synced = covers;
            self.synced.notify_all();
        }
        Ok(())
    }
}

fn bare(setting: &Setting, state: FileState, values: &Values) -> Result<f64, Failure> {
    let place = Place::new(&setting.dir, "group-bare")?;
    let count = count(setting);
    let stored = drive::stored(values);
    let stored_bytes = stored[0].len();
    let file = state.bare_file(&place, count * stored_bytes)?;
    let bare = Bare {
        calls: setting.calls,
        file,
        stored,
        progress: Mutex::default(),
        synced: Condvar::new(),
    };
    let spent = run(&bare, count)?;
    let bytes = std::fs::read(place.path("bare"))?;
    let records = bytes[super::STORE_HEADER_BYTES..].chunks(stored_bytes);
    check(
        values,
        count,
        records.take(count).map(|record| &record[HEADER_BYTES..]),
    )?;
    Ok(spent)
}

/// The library.
struct Shared<'a> {
    log: SharedLog,
    values: &'a Values,
}

impl Committer for Shared<'_> {
    fn commit(&self, turn: usize) -> Result<(), Failure> {
        let record = Append {
            value: &[self.values.of(turn)],
            ..Append::default()
        };
        self.log.append(record)?.wait()?;
        Ok(())
    }
}

fn ours(setting: &Setting, values: &Values) -> Result<(f64, FileState), Failure> {
    let place = Place::new(&setting.dir, "group-ours")?;
    let count = count(setting);
    let dir = place.path("log");
    let shared = Shared {
        log: SharedLog::new(drive::open(&dir, LogOptions::default())?),
        values,
    };
    let spent = run(&shared, count)?;
    let bytes = count * (HEADER_BYTES + values.of(0).len());
    let state = FileState::of_store(&dir.join(drive::STORE_NAME), bytes)?;
    let records = shared
        .log
        .with(|log| poll_ready(log.read_range(0..log.end_index(), u64::MAX)))?;
    check(
        values,
        count,
        records.iter().map(|record| &record.value[..]),
    )?;
    Ok((spent, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_commit_is_noticed() {
        let values = Values::new(140);
        let all: Vec<&[u8]> = (0..2 * APPENDERS)
            .map(|i| values.of(i % APPENDERS))
            .collect();
        let check = |found: &[&[u8]]| check(&values, all.len(), found.iter().copied());
        check(&all).unwrap();
        check(&all[1..]).unwrap_err();
        let mut other = all.clone();
        other[0] = values.of(APPENDERS);
        check(&other).unwrap_err();
    }
}
