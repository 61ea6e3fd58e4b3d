//! Runs three brokers and the machine's limit by turns, and prints a table.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::Parser;
use laminarmq_bench::fresh::{fresh, pairs};
use laminarmq_bench::generator::{Batches, Load, Run};
use laminarmq_bench::program::Program;
use laminarmq_bench::report::{Comparison, Measure, markdown};
use laminarmq_bench::{exit, machine};
use laminarmq_testkit::trio::Trio;
use laminarmq_testkit::{BrokerProcess, Client, Deadline, Stopwatch, eventually, laminarmq};

/// Compares three replicas with what the machine can do, and with one: one producer, one partition, acks=all, flush=sync.
///
/// Needs the release build of `laminarmq` (or LAMINARMQ_BIN), and should itself be built with --release.
/// Each pair is a run of the cluster and one of the other, in alternating order, on fresh files.
#[derive(Parser)]
struct Options {
    /// A directory on the file system under test; it is made, and must not be there yet.
    #[arg(long, default_value = "laminarmq-compare-cluster")]
    dir: PathBuf,
    /// How many pairs of runs for each comparison.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
    /// Records of each run.
    #[arg(long, default_value_t = 300_000)]
    records: u64,
    #[command(flatten)]
    batches: Batches,
    /// Records per second where latencies are compared, each a batch of its own.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// Records of each such run.
    #[arg(long, default_value_t = 10_000)]
    rate_records: u64,
    /// Only the comparisons that have this in their name.
    #[arg(long, default_value = "")]
    only: String,
}

/// What a node that lost its disk has to get back.
const FILLED: &str = "filled";
/// Longest time that it may take.
const CATCH_UP_SECONDS: u64 = 120;

fn main() -> ExitCode {
    exit("compare-cluster", compare(&Options::parse()))
}

fn compare(options: &Options) -> Result<(), String> {
    let Options { dir, rounds, .. } = options;
    fs::create_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let result = compare_in(options);
    fs::remove_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let version = machine::last_line(laminarmq().arg("--version"));
    let machine = machine::describe(machine::parent(dir));
    let table = markdown(&result?);
    println!(
        "{version}; {machine}. {rounds} pairs, acks=all, flush=sync. Every record was read back and compared.\n"
    );
    print!("{table}");
    Ok(())
}

fn compare_in(options: &Options) -> Result<Vec<Comparison>, String> {
    let Options {
        dir, rounds, only, ..
    } = options;
    let load = options.batches.load(options.records);
    let steady = Load {
        records: options.rate_records,
        batch_records: 1,
        rate: Some(options.rate),
        ..load
    };
    let limit = "each frame is written to three files by three programs, and synced; two of the three count";
    let cluster = |load: Load| with_trio(dir, |trio| load.produce(trio.brokers[0].addr(), "sync"));
    let alone = |load: Load| with_broker(dir, |broker| load.produce(broker.addr(), "sync"));
    let fan = || with_fan(dir, |fan| load.sink(fan.addr()));
    let mut compared = Vec::new();
    let mut compare = |name: &'static str,
                       to: &'static str,
                       one: &dyn Fn() -> Result<Run, String>,
                       other: &dyn Fn() -> Result<Run, String>| {
        if name.contains(only.as_str()) {
            compared.push(pairs(*rounds, name, to, one, other)?);
        }
        Ok::<_, String>(())
    };
    compare("produce, 3 replicas", limit, &|| cluster(load), &fan)?;
    compare(
        "produce, 3 replicas beside one",
        "one replica on one broker, with the same settings",
        &|| cluster(load),
        &|| alone(load),
    )?;
    compare(
        "latency at a fixed rate, 3 replicas beside one",
        "one replica on one broker, with the same settings",
        &|| cluster(steady),
        &|| alone(steady),
    )?;
    compare(
        "an emptied node catches up",
        limit,
        &|| catch_up(dir, load, None),
        &fan,
    )?;
    compare(
        "latency at a fixed rate, while an emptied node catches up",
        "the same without that",
        &|| catch_up(dir, load, Some(steady)),
        &|| cluster(steady),
    )?;
    Ok(compared)
}

fn with_trio<T>(dir: &Path, run: impl FnOnce(&mut Trio) -> Result<T, String>) -> Result<T, String> {
    fresh(&dir.join("trio"), |data| {
        fs::create_dir(data).map_err(|error| error.to_string())?;
        let mut trio = Trio::start_in(data, &[]);
        // Killed when it is dropped, before its files go.
        run(&mut trio)
    })
}

fn with_broker<T>(
    dir: &Path,
    run: impl FnOnce(&BrokerProcess) -> Result<T, String>,
) -> Result<T, String> {
    fresh(&dir.join("broker"), |data| {
        let mut broker = BrokerProcess::start(data);
        let result = run(&broker);
        broker.kill9();
        result
    })
}

fn with_fan<T>(dir: &Path, run: impl FnOnce(&Program) -> Result<T, String>) -> Result<T, String> {
    fresh(&dir.join("fan"), |files| {
        let start = |place: &str, more: &[OsString]| {
            let dir = files.join(place).into_os_string();
            let arguments = [&["--sync".into(), "--dir".into(), dir], more].concat();
            Program::start("limit-sink", arguments).map_err(|error| error.to_string())
        };
        let others = [start("second", &[])?, start("third", &[])?];
        let to = others.iter().map(|other| other.addr().to_string().into());
        let to: Vec<_> = [OsString::from("--to")].into_iter().chain(to).collect();
        run(&start("first", &to)?)
    })
}

/// The third node loses its disk and gets everything back. How fast; or, with a load, what the load saw meanwhile.
fn catch_up(dir: &Path, fill: Load, load: Option<Load>) -> Result<Run, String> {
    with_trio(dir, |trio| {
        let mut client =
            Client::connect(trio.brokers[0].addr()).map_err(|error| error.to_string())?;
        client.create_topic(FILLED, 1, &[]);
        let filled = fill.fill(trio.brokers[0].addr(), FILLED)?;
        let third = &mut trio.brokers[2];
        third.kill9();
        let lost = third.data_dir().to_owned();
        fs::remove_dir_all(&lost).map_err(|error| error.to_string())?;
        let began = Stopwatch::start();
        third.restart();
        let has_all = || bytes_in(&lost.join("topics").join(format!("{FILLED}-0"))) >= filled.bytes;
        let wait = || {
            let what = "the node has everything";
            eventually(what, Deadline::seconds(CATCH_UP_SECONDS), || {
                has_all().then_some(())
            });
            began.elapsed().as_secs_f64()
        };
        let Some(load) = load else {
            let seconds = wait();
            #[expect(
                clippy::cast_precision_loss,
                reason = "a rate needs no more than 52 bits"
            )]
            let rate = filled.bytes as f64 / seconds;
            let meaning = "from the start of the process, with an empty directory, until its files have all values";
            return Ok(Run {
                measure: Measure {
                    rate,
                    latency: None,
                },
                bytes: filled.bytes,
                meaning: meaning.to_owned(),
            });
        };
        let run = load.produce(trio.brokers[0].addr(), "sync");
        wait();
        run
    })
}

/// Bytes of the files in a folder, as far as it is there.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let length = |entry: io::Result<fs::DirEntry>| entry.and_then(|entry| entry.metadata());
    entries
        .filter_map(|entry| Some(length(entry).ok()?.len()))
        .sum()
}
