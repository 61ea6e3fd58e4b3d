//! Runs the library and the machine's own calls by turns, and prints a table.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::{env, fs};

use clap::Parser;
use clap::builder::PossibleValuesParser;
use laminarmq_bench::log::calls::Calls;
use laminarmq_bench::log::clock::Clock;
use laminarmq_bench::log::open::Child;
use laminarmq_bench::log::table::Report;
use laminarmq_bench::log::{MEASUREMENTS, Scale, Setting};
use laminarmq_bench::{exit, machine};

/// Compares the library with what the machine can do with the same bytes.
///
/// Each pair is a run of the bare system calls and one of the library, in alternating order. To be built with
/// --release. Measurements with dropped caches need to be run as root; they fail elsewhere.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Options {
    /// A directory on the file system under test; it is made, and must not be there yet.
    #[arg(long, default_value = "laminarmq-log-compare")]
    dir: PathBuf,
    /// How many pairs of runs for each comparison [default: 7, with --quick 3].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pairs: Option<u64>,
    /// Short runs: a look, not a result.
    #[arg(long)]
    quick: bool,
    /// Only these measurements; may be given several times.
    #[arg(long, value_parser = PossibleValuesParser::new(MEASUREMENTS.map(|(name, _)| name)))]
    only: Vec<String>,
    /// How the bare calls enter the kernel.
    #[arg(long, value_enum, default_value_t = Calls::Libc)]
    calls: Calls,
    /// What is counted as time.
    #[arg(long, value_enum, default_value_t = Clock::Wall)]
    clock: Clock,
    #[command(subcommand)]
    child: Option<Child>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match &options.child {
        Some(child) => exit("log-compare, as a child", child.run()),
        None => exit("log-compare", compare(&options)),
    }
}

fn compare(options: &Options) -> Result<(), String> {
    let say = |error: std::io::Error| format!("{}: {error}", options.dir.display());
    fs::create_dir(&options.dir).map_err(say)?;
    let (scale, pairs) = if options.quick {
        (Scale::QUICK, 3)
    } else {
        (Scale::FULL, 7)
    };
    let setting = Setting {
        dir: options.dir.clone(),
        pairs: options
            .pairs
            .map_or(pairs, |pairs| usize::try_from(pairs).expect("at most 1000")),
        calls: options.calls,
        clock: options.clock,
        scale,
    };
    let load_before = machine::load();
    let mut report = Report::default();
    let mut failed = Vec::new();
    for (name, measure) in MEASUREMENTS {
        let is_wanted = options.only.is_empty() || options.only.iter().any(|only| only == name);
        if is_wanted && let Err(error) = measure(&setting, &mut report) {
            eprintln!("{name}: {error}");
            report.note(format!("**{name} was not measured**: {error}."));
            failed.push(name);
        }
    }
    let machine = machine::describe(&options.dir);
    fs::remove_dir_all(&options.dir).map_err(say)?;
    let commit = machine::last_line(Command::new("git").args([
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
    ]));
    println!(
        "    {}\n\nCommit {commit}; {machine}. Load average {load_before} before and {} after. {} pairs; the limit's calls: {}; times: {}.\n",
        env::args().collect::<Vec<_>>().join(" "),
        machine::load(),
        setting.pairs,
        match setting.calls {
            Calls::Raw => "the system call instruction in their loop",
            Calls::Libc => "through the C library",
        },
        match setting.clock {
            Clock::Wall => "that passed",
            Clock::Thread => "that a processor worked, and with syncs that passed",
        },
    );
    print!("{}", report.markdown());
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("not measured: {}", failed.join(", ")))
    }
}
