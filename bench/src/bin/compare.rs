//! Runs the broker and the machine's limit by turns, and prints a table.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use laminarmq_bench::fresh::{fresh, pairs};
use laminarmq_bench::generator::{Batches, Run, source};
use laminarmq_bench::program::Program;
use laminarmq_bench::report::{Comparison, markdown};
use laminarmq_bench::{exit, machine};
use laminarmq_testkit::{BrokerProcess, laminarmq};

/// Compares the broker with what the machine can do: one producer or consumer, one partition.
///
/// Needs the release build of `laminarmq` (or LAMINARMQ_BIN), and should itself be built with --release.
/// Each pair is a run of the broker and one of the limit program, in alternating order, on fresh files.
#[derive(Parser)]
struct Options {
    /// A directory on the file system under test; it is made, and must not be there yet.
    #[arg(long, default_value = "laminarmq-compare")]
    dir: PathBuf,
    /// How many pairs of runs for each comparison.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
    /// Records of each run.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Records of each run with flush=sync.
    #[arg(long, default_value_t = 300_000)]
    records_sync: u64,
    #[command(flatten)]
    batches: Batches,
}

fn main() -> ExitCode {
    exit("compare", compare(&Options::parse()))
}

fn compare(options: &Options) -> Result<(), String> {
    fs::create_dir(&options.dir).map_err(|error| format!("{}: {error}", options.dir.display()))?;
    let result = compare_in(options);
    fs::remove_dir_all(&options.dir)
        .map_err(|error| format!("{}: {error}", options.dir.display()))?;
    print!("{}\n{}", header(options), markdown(&result?));
    Ok(())
}

fn compare_in(options: &Options) -> Result<Vec<Comparison>, String> {
    let Options { dir, rounds, .. } = options;
    let batches = &options.batches;
    let all = batches.load(options.records);
    let synced = batches.load(options.records_sync);
    // The limit's file is as long as what the consumer of the first run reads: values and all around them.
    let consumed = Cell::new(0);
    let consume = |broker: &BrokerProcess| {
        all.consume(broker.addr())
            .inspect(|run| consumed.set(run.bytes))
    };
    Ok(vec![
        pairs(
            *rounds,
            "produce, flush=os",
            "each frame is written to a file, nothing is synced",
            || with_broker(dir, |broker| all.produce(broker.addr(), "os")),
            || with_sink(dir, &[], |limit| all.sink(limit.addr())),
        )?,
        pairs(
            *rounds,
            "produce, flush=sync",
            "each frame is written to a file, then fdatasync is called",
            || with_broker(dir, |broker| synced.produce(broker.addr(), "sync")),
            || with_sink(dir, &["--sync"], |limit| synced.sink(limit.addr())),
        )?,
        pairs(
            *rounds,
            "consume",
            "a cached file is read 1 MiB at a time and sent",
            || with_broker(dir, consume),
            || {
                with_source(dir, consumed.get(), |limit| {
                    source(limit.addr(), consumed.get())
                })
            },
        )?,
    ])
}

fn with_broker(
    dir: &Path,
    run: impl Fn(&BrokerProcess) -> Result<Run, String>,
) -> Result<Run, String> {
    fresh(&dir.join("broker"), |data| {
        let mut broker = BrokerProcess::start(data);
        let result = run(&broker);
        broker.kill9();
        result
    })
}

fn with_sink(
    dir: &Path,
    flags: &[&str],
    run: impl Fn(&Program) -> Result<Run, String>,
) -> Result<Run, String> {
    fresh(&dir.join("sink"), |files| {
        let mut arguments = vec!["--dir".into(), files.as_os_str().to_owned()];
        arguments.extend(flags.iter().map(Into::into));
        run(&Program::start("limit-sink", arguments).map_err(|error| error.to_string())?)
    })
}

fn with_source(
    dir: &Path,
    bytes: u64,
    run: impl Fn(&Program) -> Result<Run, String>,
) -> Result<Run, String> {
    fresh(&dir.join("source"), |files| {
        fs::create_dir(files).map_err(|error| error.to_string())?;
        let arguments = [
            "--file".into(),
            files.join("file").into_os_string(),
            "--bytes".into(),
            bytes.to_string().into(),
        ];
        run(&Program::start("limit-source", arguments).map_err(|error| error.to_string())?)
    })
}

/// What a reader must know to judge the numbers.
fn header(options: &Options) -> String {
    let Options {
        rounds,
        records,
        records_sync,
        batches:
            Batches {
                record_bytes,
                batch_records,
                in_flight,
            },
        ..
    } = options;
    let version = machine::last_line(laminarmq().arg("--version"));
    let machine = machine::describe(machine::parent(&options.dir));
    format!(
        "{version}; {machine}. One producer or consumer, one partition, \
         {rounds} pairs; {records} records ({records_sync} with flush=sync) of {record_bytes} bytes, \
         {batch_records} to a batch, {in_flight} batches under way, acks=all. Every record was read back \
         and compared (consume: counted).\n"
    )
}
