//! A broker under load, with everything that it asked of the operating system.
//!
//! A recording is a directory: the traces of the broker's runs, what its data looked like after each, the
//! journal of the clients, and the order of events (`recording.json`). It can be looked at again at any
//! time, also with another broker.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::calls::{CALLS, Machine, Mark, SyncBug};
use super::disk::Disk;
use super::fate::Fate;
use super::image::Image;
use super::journal::{Journal, Request};
use super::load::{Load, Until};
use super::promises::{Moment, Promises};
use crate::strace::{Trace, parse};
use crate::{BrokerBuilder, BrokerProcess, Deadline, eventually};

const DESCRIPTION: &str = "recording.json";
/// The directory that the model of the disk stands for, in that of the recording.
const DISK: &str = "disk";
/// The broker's data directory in it.
pub(crate) const DATA: &str = "data";
/// How long the load may take until the broker is killed, and how long strace may take to end.
const LOAD_SECONDS: u64 = 120;

/// Far more than the lines have in which a broker's threads stop.
const TAIL_BYTES: u64 = 64 << 10;

/// How a run of the broker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum End {
    /// SIGTERM, without load.
    Orderly,
    /// SIGKILL under load; the system keeps what was written.
    Killed,
    /// The same, and of what was not synced only a part is left.
    PowerCut,
}

/// The runs of one recording.
const RUNS: [End; 5] = [
    End::Killed,
    End::Orderly,
    End::PowerCut,
    End::PowerCut,
    End::Orderly,
];

#[derive(Debug, Serialize, Deserialize)]
struct Description {
    seed: u64,
    /// What the root of the disk was called.
    root: String,
    /// How each run ended.
    ends: Vec<End>,
    /// The broker's address in each run.
    listeners: Vec<String>,
    requests: Vec<Request>,
}

/// A recorded broker.
#[derive(Debug)]
pub struct Recording {
    dir: PathBuf,
    description: Description,
    traces: Vec<Trace>,
    pub(crate) promises: Promises,
}

fn trace_path(dir: &Path, run: usize) -> PathBuf {
    dir.join(format!("trace-{run}"))
}

/// A copy of the disk after a run.
fn after_path(dir: &Path, run: usize) -> PathBuf {
    dir.join(format!("after-{run}"))
}

impl Recording {
    /// Runs the broker under strace and load, several times on one directory. `batches` is how many are
    /// acknowledged in each run, about.
    ///
    /// # Panics
    /// When the broker cannot be run, breaks off, or does to its directory what is not modelled.
    #[must_use]
    pub fn make(dir: &Path, seed: u64, batches: u32) -> Self {
        let dir = dir.canonicalize().expect("the directory is there");
        let root = dir.join(DISK);
        fs::create_dir(&root).expect("the directory takes another one");
        let mut description = Description {
            seed,
            root: root.to_str().expect("paths are UTF-8").to_owned(),
            ends: Vec::new(),
            listeners: Vec::new(),
            requests: Vec::new(),
        };
        let journal = Journal::default();
        let mut machine = Machine::new(&root, SyncBug::None);
        for (run, end) in RUNS.into_iter().enumerate() {
            let listener = run_broker(&dir, run, end, batches, &journal);
            description.ends.push(end);
            description.listeners.push(listener);
            let seen = Image::read(&root).expect("the disk can be read");
            seen.write(&after_path(&dir, run)).expect("a copy of it");

            let trace = read_trace(&dir, run);
            for &step in &trace.steps {
                machine
                    .step(&trace, step)
                    .unwrap_or_else(|error| panic!("run {run}: {error}; see {}", dir.display()));
            }
            description.end_run(&dir, run, &trace, &mut machine);
            if end == End::PowerCut {
                fs::remove_dir_all(&root).expect("the disk can be removed");
                machine
                    .disk
                    .seen()
                    .write(&root)
                    .expect("what is left of it");
            }
        }
        description.requests = journal.requests();
        let text = serde_json::to_vec(&description).expect("plain fields always serialise");
        fs::write(dir.join(DESCRIPTION), text).expect("the recording can be described");
        Self::load(&dir)
    }

    /// Reads a recording again.
    ///
    /// # Panics
    /// When there is none, or it is not whole.
    #[must_use]
    pub fn load(dir: &Path) -> Self {
        let text = fs::read(dir.join(DESCRIPTION))
            .unwrap_or_else(|error| panic!("no recording in {}: {error}", dir.display()));
        let description: Description = serde_json::from_slice(&text).expect("a description");
        let traces: Vec<_> = (0..description.ends.len())
            .map(|run| read_trace(dir, run))
            .collect();
        let promises = Promises::read(&traces, &description.listeners, &description.requests)
            .unwrap_or_else(|error| panic!("{error}; see {}", dir.display()));
        Self {
            dir: dir.to_owned(),
            description,
            traces,
            promises,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Goes through all that happened, and shows the disk after each step.
    pub(crate) fn replay(&self, bug: SyncBug, mut look: impl FnMut(Moment, Mark, &Disk)) {
        let mut machine = Machine::new(Path::new(&self.description.root), bug);
        for (run, trace) in self.traces.iter().enumerate() {
            for (number, &step) in trace.steps.iter().enumerate() {
                let mark = machine
                    .step(trace, step)
                    .expect("it was modelled when it was recorded");
                look(Moment { run, step: number }, mark, &machine.disk);
            }
            self.description
                .end_run(&self.dir, run, trace, &mut machine);
            if bug != SyncBug::None && self.description.ends[run] == End::PowerCut {
                // With other syncs the next run would have begun on another disk.
                return;
            }
        }
    }
}

impl Description {
    /// The broker's run is over: compares the model with the disk, and cuts the power where that was done.
    fn end_run(&self, dir: &Path, run: usize, trace: &Trace, machine: &mut Machine) {
        let after = after_path(dir, run);
        machine.disk.settle(&after).expect("the copy can be read");
        let real = Image::read(&after).expect("the copy can be read");
        if let Some(difference) = real.difference(&machine.disk.seen()) {
            panic!(
                "after run {run} the model is not what is on the disk: {difference}; see {}",
                dir.display()
            );
        }
        machine.restart(trace);
        if self.ends[run] == End::PowerCut {
            let seed = self.seed ^ (1 << 32) ^ run as u64;
            let mut fate = Fate::by_chance(ChaCha8Rng::seed_from_u64(seed));
            let (left, _) = machine.disk.after_cut(&mut fate);
            machine.disk = Disk::of_image(&left);
        }
    }
}

/// Returns the broker's address.
fn run_broker(dir: &Path, run: usize, end: End, batches: u32, journal: &Journal) -> String {
    let output = trace_path(dir, run);
    let calls = format!("-etrace={CALLS}");
    let wrapper = [
        "strace",
        // The traced program keeps the process id, so that signals reach it.
        "-D",
        "-f",
        "-yy",
        "-xx",
        // All bytes of all writes.
        "-v",
        "-s1000000000",
        "--seccomp-bpf",
        "--quiet=attach,personality",
        &calls,
        "-o",
        output.to_str().expect("paths are UTF-8"),
    ];
    let data = dir.join(DISK).join(DATA);
    let started = BrokerBuilder::new(&data).wrapper(&wrapper).try_start();
    let mut broker = started.unwrap_or_else(|why| {
        panic!("run {run} does not start on what the run before left: {why}")
    });
    let acknowledged = AtomicUsize::new(0);
    let load = Load {
        run,
        addr: broker.addr(),
        journal,
        until: match end {
            End::Orderly => Until::Acknowledged(batches / 4),
            End::Killed | End::PowerCut => Until::Broken,
        },
        acknowledged: &acknowledged,
    };
    if run == 0 {
        load.make_topics();
    }
    let pid = broker.pid();
    match end {
        End::Orderly => {
            load.run();
            broker.sigterm();
            assert!(broker.wait_for_exit().success(), "the broker ends cleanly");
        }
        End::Killed | End::PowerCut => {
            let waited = thread::scope(|scope| {
                let loaded = scope.spawn(|| load.run());
                let enough =
                    || (acknowledged.load(Ordering::Relaxed) >= batches as usize).then_some(());
                let waited = Deadline::seconds(LOAD_SECONDS).wait_for("acknowledgements", enough);
                stop(&broker, &output);
                broker.kill9();
                loaded.join().expect("the load goes on until it is broken");
                waited
            });
            if let Err(timed_out) = waited {
                panic!("{timed_out}; the broker's output:\n{}", broker.output());
            }
        }
    }
    let thread = pid.to_string();
    eventually("strace ends", Deadline::seconds(LOAD_SECONDS), || {
        let tail = tail(&output).expect("there is a trace");
        let last = tail.trim_ascii_end().rsplit(|&byte| byte == b'\n').next()?;
        let last = str::from_utf8(last).ok()?.strip_prefix(&thread)?;
        // The main thread's end is the last line.
        last.trim_start().starts_with("+++ ").then_some(())
    });
    broker.addr().to_string()
}

/// Stops all threads of the broker between calls: of a thread that is killed within one, strace may write
/// any result.
fn stop(broker: &BrokerProcess, trace: &Path) {
    const STOPPED: &[u8] = b" --- stopped by SIGSTOP ---\n";
    let tasks = format!("/proc/{}/task", broker.pid());
    broker.sigstop();
    eventually(
        "the broker stands still",
        Deadline::seconds(LOAD_SECONDS),
        || {
            let threads = fs::read_dir(&tasks).expect("the broker is there").count();
            // All of it: between the lines of two threads there may be the bytes of a long write. A run is
            // stopped once, and bytes are written as hex digits.
            let trace = fs::read(trace).expect("there is a trace");
            let lines = trace.split_inclusive(|&byte| byte == b'\n');
            let stopped = lines.filter(|line| line.ends_with(STOPPED));
            (stopped.count() >= threads).then_some(())
        },
    );
}

/// The last bytes of a file: room for a line for each thread.
fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    Ok(tail)
}

fn read_trace(dir: &Path, run: usize) -> Trace {
    let path = trace_path(dir, run);
    let read = || -> io::Result<Trace> {
        let text = fs::read_to_string(&path)?;
        parse(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    };
    read().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
