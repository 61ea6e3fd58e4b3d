//! Runs seeds, and says what happened.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use laminarmq_sim::{Canary, Counts, Options, Scenario, run};

/// Simulates replicas on faulty disks and links. A seed gives a run; the same seed gives the same
/// run, byte for byte.
#[derive(Parser)]
#[command(name = "laminarmq-sim", version)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, from that one on.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// single: one node, its power cut at every sync. trio: three replicas, every fault.
    #[arg(long, default_value_t = Scenario::Trio)]
    scenario: Scenario,
    /// A fault outside the model, which must be caught; a wrong name prints them all.
    #[arg(long)]
    canary: Option<Canary>,
    /// Fail if a kind of fault, or of what it leads to, did not happen in any of the seeds.
    #[arg(long)]
    require_all: bool,
    /// Print every event.
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    match simulate(&Arguments::parse(), &mut io::stdout().lock()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        // Whoever read this has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot print: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs all seeds; returns how many broke a promise, and what was missing.
fn simulate(arguments: &Arguments, out: &mut impl Write) -> io::Result<u64> {
    let mut counts = Counts::default();
    let mut failures: u64 = 0;
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.seeds) {
        let options = Options {
            seed,
            scenario: arguments.scenario,
            canary: arguments.canary,
            keep_all: arguments.trace,
        };
        let outcome = run(&options);
        if arguments.trace || outcome.failure.is_some() {
            for line in &outcome.trace {
                writeln!(out, "    {line}")?;
            }
        }
        counts.add(&outcome.counts);
        if outcome.failure.is_some() || arguments.seeds <= 20 {
            writeln!(out, "{outcome}")?;
        }
        failures += u64::from(outcome.failure.is_some());
    }
    writeln!(
        out,
        "{} seeds of {}, {failures} failed",
        arguments.seeds, arguments.scenario
    )?;
    write!(out, "{counts}")?;
    if arguments.require_all {
        for words in counts.missing() {
            writeln!(out, "missing: {words}")?;
            failures += 1;
        }
    }
    Ok(failures)
}
