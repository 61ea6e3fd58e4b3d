//! Runs by turns, each on fresh files.

use std::path::Path;
use std::{fs, io};

use crate::generator::Run;
use crate::report::{Comparison, Pair};

/// Takes the pairs, the broker first in every other one.
///
/// # Errors
/// That of the first run that failed.
pub fn pairs(
    rounds: u64,
    name: &'static str,
    limit_meaning: &'static str,
    broker: impl Fn() -> Result<Run, String>,
    limit: impl Fn() -> Result<Run, String>,
) -> Result<Comparison, String> {
    let mut comparison = Comparison {
        name,
        broker_meaning: String::new(),
        limit_meaning,
        pairs: Vec::new(),
    };
    for round in 0..rounds {
        let (broker, limit) = if round % 2 == 0 {
            let broker = broker()?;
            (broker, limit()?)
        } else {
            let limit = limit()?;
            (broker()?, limit)
        };
        eprintln!(
            "{name}, {} of {rounds}: broker {:.0} MB/s, limit {:.0} MB/s",
            round + 1,
            broker.measure.rate / 1e6,
            limit.measure.rate / 1e6,
        );
        comparison.broker_meaning = broker.meaning;
        comparison.pairs.push(Pair {
            broker: broker.measure,
            limit: limit.measure,
        });
    }
    Ok(comparison)
}

/// Runs with a path that is not there yet; afterwards removes what is there, and waits until the disk
/// has nothing left to do from this run.
///
/// # Errors
/// What the run returned, or what kept its files from being removed.
pub fn fresh<T>(path: &Path, run: impl FnOnce(&Path) -> Result<T, String>) -> Result<T, String> {
    let result = run(path);
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(format!("{}: {error}", path.display()));
        }
        Ok(()) | Err(_) => {}
    }
    rustix::fs::sync();
    result
}
