//! Writes the seeds: `seeds FOLDER` makes `FOLDER/TARGET/NUMBER` anew for every target.

use std::path::PathBuf;
use std::{env, fs, io};

// Everything here is instrumented, and what the instrumentation calls is in there.
use libfuzzer_sys as _;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).expect("usage: seeds FOLDER");
    for (target, seeds) in laminarmq_fuzz::SEEDS {
        let folder = PathBuf::from(&folder).join(target);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        for (number, seed) in seeds().iter().enumerate() {
            fs::write(folder.join(format!("{number:03}")), seed)?;
        }
    }
    Ok(())
}
