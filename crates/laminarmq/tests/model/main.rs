//! Random operations on a log against a plain vector, with crashes, failing calls and reopening. Failures
//! shrink, and print the line that replays them.
//!
//! `LAMINARMQ_MODEL_CASES=N` sets the number of cases of each test, for long runs.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;

mod act;
mod replay;
mod run;

use laminarmq::MemEnv;

use act::{Case, case};
use run::Run;

fn in_memory(case: &Case) {
    Run::start(MemEnv::new(), case).through(case);
}

fn on_files_in(case: &Case, dir: &std::path::Path) {
    let dir = tempfile::tempdir_in(dir).unwrap();
    Run::start(dir, case).through(case);
}

#[test]
fn in_memory_with_crashes_and_faults() {
    let name = "in_memory_with_crashes_and_faults";
    replay::cases("model", name, 40_000, &case(), in_memory);
}

#[test]
fn on_files_with_faults() {
    let dir = common::fast_dir();
    let run = |case: &Case| on_files_in(case, &dir);
    replay::cases("model", "on_files_with_faults", 4000, &case(), run);
}

/// A disk that syncs for real: few cases, each as slow as its syncs.
#[test]
fn on_a_disk() {
    let dir = std::env::temp_dir();
    let run = |case: &Case| on_files_in(case, &dir);
    replay::cases("model", "on_a_disk", 20, &case(), run);
}
