//! What the measurements share: taking turns, filling, and reading back.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use laminarmq::{Append, Log, LogOptions, poll_ready};

use super::place::Place;
use super::table::Pair;
use super::values::{TURNS, Values};
use super::{Failure, HEADER_BYTES, STORE_HEADER_BYTES, Setting};

/// Records of a batch.
pub const BATCH: usize = 64;
/// The store of the first segment.
pub const STORE_NAME: &str = "00000000000000000000.log";
/// Bytes that are read back at once.
const READ_BACK_BYTES: u64 = 1 << 20;

/// What stands in for a chunk header in the files of the limits.
pub const BARE_HEADER: [u8; HEADER_BYTES] = [0xa5; HEADER_BYTES];

/// Takes the pairs, the limit first in every other one. The closures return nanoseconds per record.
///
/// # Errors
/// Those of the closures.
pub fn pairs(
    setting: &Setting,
    what: &str,
    mut limit: impl FnMut() -> Result<f64, Failure>,
    mut ours: impl FnMut() -> Result<f64, Failure>,
) -> Result<Vec<Pair>, Failure> {
    let mut pairs = Vec::with_capacity(setting.pairs);
    for number in 0..setting.pairs {
        let pair = if number % 2 == 0 {
            let limit = limit()?;
            let ours = ours()?;
            Pair { limit, ours }
        } else {
            let ours = ours()?;
            let limit = limit()?;
            Pair { limit, ours }
        };
        eprintln!(
            "{what}, {} of {}: limit {:.0} ns, library {:.0} ns",
            number + 1,
            setting.pairs,
            pair.limit,
            pair.ours
        );
        pairs.push(pair);
    }
    Ok(pairs)
}

/// The records of a run, one behind the other so often that each batch of them is a slice.
#[derive(Debug)]
pub struct Records<'a>(Vec<Append<'a>>);

impl<'a> Records<'a> {
    /// From values in pieces, see [`pieces`].
    #[must_use]
    pub fn new(pieces: &'a [[&'a [u8]; 1]]) -> Self {
        let record = |number: usize| Append {
            value: &pieces[number % TURNS],
            ..Append::default()
        };
        Self((0..TURNS + BATCH).map(record).collect())
    }

    /// `count` records from record `i` on, at most [`BATCH`].
    #[must_use]
    pub fn from(&self, i: usize, count: usize) -> &[Append<'a>] {
        &self.0[i % TURNS..][..count]
    }
}

/// The values as [`Append`] wants them.
#[must_use]
pub fn pieces(values: &Values) -> Vec<[&[u8]; 1]> {
    (0..TURNS).map(|turn| [values.of(turn)]).collect()
}

/// What a limit stores for each value: header and value, one behind the other.
#[must_use]
pub fn stored(values: &Values) -> Vec<Vec<u8>> {
    let stored = |turn| [&BARE_HEADER[..], values.of(turn)].concat();
    (0..TURNS).map(stored).collect()
}

/// A new file for a limit, with as many bytes in front as a store has.
///
/// # Errors
/// What the system says.
pub fn bare_file(place: &Place) -> io::Result<File> {
    let file = place.file("bare")?;
    io::Write::write_all(&mut &file, &[0; STORE_HEADER_BYTES])?;
    Ok(file)
}

/// Appends `count` records in batches.
///
/// # Errors
/// The log's.
pub fn fill(log: &mut Log, values: &Values, count: usize) -> Result<(), Failure> {
    let pieces = pieces(values);
    let records = Records::new(&pieces);
    let mut next = 0;
    while next < count {
        let batch = records.from(next, BATCH.min(count - next));
        poll_ready(log.append_many(batch))?;
        next += batch.len();
    }
    Ok(())
}

/// Opens a log for a run.
///
/// # Errors
/// The log's.
pub fn open(dir: &Path, options: LogOptions) -> Result<Log, Failure> {
    Ok(Log::open_dir(dir, options)?)
}

/// Reads all of a log and compares it with what `fill` writes.
///
/// # Errors
/// Where a record is missing or another, or cannot be read.
pub fn read_back(log: &Log, values: &Values, count: usize) -> Result<(), Failure> {
    let mut next = log.start_index();
    let wrong = |index: u64| format!("record {index} of {count} is not what was written");
    while next < log.end_index() {
        for record in poll_ready(log.read_range(next..log.end_index(), READ_BACK_BYTES))? {
            let number = usize::try_from(record.index)?;
            if record.index != next || record.value != values.of(number) {
                return Err(wrong(next).into());
            }
            next += 1;
        }
    }
    if next == count as u64 {
        Ok(())
    } else {
        Err(wrong(next).into())
    }
}

/// Reads all of a limit's file and compares it.
///
/// # Errors
/// Where there is something else, or the file cannot be read.
pub fn read_back_bare(path: &Path, values: &Values, count: usize) -> Result<(), Failure> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut header = [0; STORE_HEADER_BYTES];
    file.read_exact(&mut header)?;
    let mut found = Vec::new();
    for (i, want) in stored(values).iter().cycle().take(count).enumerate() {
        found.resize(want.len(), 0);
        file.read_exact(&mut found)?;
        if found != *want {
            return Err(format!("record {i} of {count} is not what was written").into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_what_was_written_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let values = Values::new(140);
        let mut log = open(&dir.path().join("log"), LogOptions::default()).unwrap();
        fill(&mut log, &values, 200).unwrap();
        read_back(&log, &values, 200).unwrap();
        read_back(&log, &values, 201).unwrap_err();
        read_back(&log, &values, 199).unwrap_err();
        let one_more = Append {
            value: &[values.of(0)],
            ..Append::default()
        };
        poll_ready(log.append(one_more)).unwrap();
        read_back(&log, &values, 201).unwrap_err();

        let place = Place::new(dir.path(), "bare").unwrap();
        let mut file = bare_file(&place).unwrap();
        for i in 0..100 {
            io::Write::write_all(&mut file, &stored(&values)[i % TURNS]).unwrap();
        }
        let path = place.path("bare");
        read_back_bare(&path, &values, 100).unwrap();
        read_back_bare(&path, &values, 101).unwrap_err();
        std::os::unix::fs::FileExt::write_all_at(&file, b"x", 64 + 99 * 196 + 60).unwrap();
        read_back_bare(&path, &values, 100).unwrap_err();
    }
}
