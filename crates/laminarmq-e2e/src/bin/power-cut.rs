//! Power cuts on real files, as many as wanted: see `laminarmq_testkit::power_cut`.
//!
//!     cargo run -p laminarmq-e2e --bin power-cut -- --images 5000 --seed 1
//!
//! Each recording of the broker gives 1000 images. `--recording DIR` takes the one that is there, or makes it
//! there, and `--image N` looks at one of its images only. Exit status 1: a promise was broken.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use laminarmq_testkit::power_cut::{Plan, Recording, Totals, check_images};
use laminarmq_testkit::{Stopwatch, TestDir};

const IMAGES_PER_RECORDING: usize = 1000;
/// Acknowledged batches in each run of the broker.
const BATCHES: u32 = 400;

struct Arguments {
    images: usize,
    seed: u64,
    recording: Option<PathBuf>,
    image: Option<usize>,
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments {
        images: IMAGES_PER_RECORDING,
        seed: 1,
        recording: None,
        image: None,
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or(format!("{name} needs a value"))?;
        let number = || value.parse().map_err(|error| format!("{name}: {error}"));
        match name.as_str() {
            "--images" => found.images = number()?,
            "--seed" => found.seed = value.parse().map_err(|error| format!("{name}: {error}"))?,
            "--image" => found.image = Some(number()?),
            "--recording" => found.recording = Some(value.into()),
            _ => {
                return Err(format!(
                    "{name} is unknown: --images, --seed, --recording, --image"
                ));
            }
        }
    }
    if found.image.is_some() && found.recording.is_none() {
        return Err("--image needs the --recording that it is of".to_owned());
    }
    Ok(found)
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("power-cut: {error}");
            return ExitCode::from(2);
        }
    };
    let started = Stopwatch::start();
    let mut totals = Totals::default();
    let mut failed = false;
    let mut seed = arguments.seed;
    while totals.checked < arguments.images && !failed {
        let mut own_dir = None;
        let recording = match &arguments.recording {
            Some(kept) if kept.is_dir() => Recording::load(kept),
            Some(kept) => {
                std::fs::create_dir_all(kept).expect("the recording's directory can be made");
                Recording::make(kept, seed, BATCHES)
            }
            None => {
                let dir = own_dir.insert(TestDir::new("power-cut"));
                Recording::make(dir.path(), seed, BATCHES)
            }
        };
        let left = arguments.images - totals.checked;
        let plan = Plan {
            images: match arguments.recording {
                Some(_) => left,
                None => left.min(IMAGES_PER_RECORDING),
            },
            seed,
            only: arguments.image,
            ..Plan::default()
        };
        let before = totals.checked;
        let (found, failures) = check_images(&recording, &plan, |now| {
            print!("\r{} images checked", before + now.checked);
            drop(io::stdout().flush());
        });
        println!("\nrecording with seed {seed}: {found}");
        totals.add(found);
        for failure in &failures {
            println!("\n{failure}");
        }
        failed = !failures.is_empty();
        if let Some(dir) = own_dir.filter(|_| failed) {
            println!("\nthe recording is kept: {}", dir.keep().display());
        }
        if arguments.recording.is_some() {
            break;
        }
        seed += 1;
    }
    println!("\nall: {totals}\nin {:?}", started.elapsed());
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
