//! Opening a large log that was closed in order, nothing of it in memory: how long, and how much memory a process has
//! used at most that does nothing else. A child process fills it, and each opening is a child of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, mem};

use clap::{Args, Subcommand};
use laminarmq::{LogOptions, poll_ready};

use super::clock;
use super::drive;
use super::place::{Place, drop_caches};
use super::table::{Ceiling, Report};
use super::values::Values;
use super::{Failure, HEADER_BYTES, Setting};

/// Bytes of each value.
const VALUE: usize = 1024;
/// Longest that opening may take, in milliseconds.
const MOST_MS: f64 = 100.0;
/// Most memory of the process that opens, in MB of 1 000 000 bytes.
const MOST_MB: f64 = 20.0;

/// What this program does as its own child.
#[derive(Debug, Clone, Subcommand)]
pub enum Child {
    /// Fills a log and ends.
    #[command(hide = true)]
    Fill(Fill),
    /// Opens a log; prints nanoseconds and the most memory in bytes.
    #[command(hide = true)]
    Open {
        /// The log.
        dir: PathBuf,
    },
}

/// What to fill a log with.
#[derive(Debug, Clone, Args)]
pub struct Fill {
    /// The log.
    dir: PathBuf,
    /// Bytes of each value.
    #[arg(long)]
    value_bytes: usize,
    /// How many records.
    #[arg(long)]
    count: usize,
    /// End as if killed, without closing the log.
    #[arg(long)]
    unclean: bool,
}

impl Child {
    /// Does it.
    ///
    /// # Errors
    /// What the log says.
    pub fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Fill(Fill {
                dir,
                value_bytes,
                count,
                unclean,
            }) => {
                let mut log = drive::open(dir, LogOptions::default())?;
                drive::fill(&mut log, &Values::new(*value_bytes), *count)?;
                if *unclean {
                    mem::forget(log);
                } else {
                    poll_ready(log.close())?;
                }
            }
            Self::Open { dir } => {
                let mut end = 0;
                let spent = clock::passed(|| {
                    let log = drive::open(dir, LogOptions::default())?;
                    if !log.recovery().is_clean() {
                        return Err("the log had not been closed in order".into());
                    }
                    end = log.end_index();
                    mem::forget(log);
                    Ok(())
                })?;
                println!("{spent} {} {end}", peak_memory()?);
            }
        }
        Ok(())
    }
}

/// The most memory that this process has had, in bytes, its program included.
fn peak_memory() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("the kernel does not say how much memory was used")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

/// Runs this program as its own child and returns what it printed.
///
/// # Errors
/// When it fails.
fn child(arguments: &[&str], dir: &Path) -> Result<String, Failure> {
    let done = Command::new(env::current_exe()?)
        .args(arguments)
        .arg(dir)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if done.status.success() {
        Ok(String::from_utf8(done.stdout)?)
    } else {
        Err(format!("the child {arguments:?}: {}", done.status).into())
    }
}

/// Fills a log in a child, and leaves it as a close or a kill would.
///
/// # Errors
/// When the child fails.
pub fn fill(dir: &Path, value_bytes: usize, count: usize, unclean: bool) -> Result<(), Failure> {
    let (value_bytes, count) = (value_bytes.to_string(), count.to_string());
    let mut arguments = vec!["fill", "--value-bytes", &value_bytes, "--count", &count];
    arguments.extend(unclean.then_some("--unclean"));
    child(&arguments, dir).map(drop)
}

/// Takes the time and the memory.
///
/// # Errors
/// When a run fails, or the caches cannot be dropped.
pub fn measure(setting: &Setting, report: &mut Report) -> Result<(), Failure> {
    drop_caches()?;
    let bytes = setting.scale.open_bytes;
    let count = usize::try_from(bytes)? / (HEADER_BYTES + VALUE);
    let place = Place::new(&setting.dir, "open")?;
    let dir = place.path("log");
    fill(&dir, VALUE, count, false)?;
    let stored = stored_bytes(&dir)?;
    let (mut ms, mut mb) = (Vec::new(), Vec::new());
    for number in 0..setting.pairs {
        drop_caches()?;
        let printed = child(&["open"], &dir)?;
        let mut numbers = printed.split_whitespace().map(str::parse::<f64>);
        let mut number_of = |what: &str| -> Result<f64, Failure> {
            Ok(numbers
                .next()
                .ok_or(format!("the child says no {what}"))??)
        };
        let (spent, peak, end) = (
            number_of("time")?,
            number_of("memory")?,
            number_of("end index")?,
        );
        if end != count as f64 {
            return Err(format!("{end} of {count} records after opening").into());
        }
        eprintln!(
            "open, {} of {}: {:.1} ms, {:.1} MB",
            number + 1,
            setting.pairs,
            spent / 1e6,
            peak / 1e6
        );
        ms.push(spent / 1e6);
        mb.push(peak / 1e6);
    }
    let log = drive::open(&dir, LogOptions::default())?;
    drive::read_back(&log, &Values::new(VALUE), count)?;
    let what = format!(
        "open a closed log of {:.2} GiB, {count} records of {VALUE} bytes, caches dropped",
        stored as f64 / f64::from(1 << 30),
    );
    report.ceilings.push(Ceiling {
        what: format!("{what}: time"),
        unit: "ms",
        most: MOST_MS,
        values: ms,
    });
    report.ceilings.push(Ceiling {
        what: format!("{what}: peak memory of the process, its program included"),
        unit: "MB",
        most: MOST_MB,
        values: mb,
    });
    report.note("open: all bytes were written, synced and dropped from the page cache; everything was read back afterwards.");
    Ok(())
}

/// Bytes that the stores of a log take on the disk, holes left out.
fn stored_bytes(dir: &Path) -> Result<u64, Failure> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|end| end == "log") {
            let metadata = entry.metadata()?;
            bytes += metadata.len().min(metadata.blocks() * 512);
        }
    }
    Ok(bytes)
}
