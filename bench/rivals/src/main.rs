//! `SegmentedLog` beside the crate laminarmq 0.0.5, whose interface it continues: the same records, appended and read
//! back in alternating runs, in memory and on files. Each run counts the records that it read.

mod measure;
mod ours;
mod table;
mod theirs;

use std::path::PathBuf;

use clap::Parser;

use measure::{Clock, Run, floor};
use table::Table;

/// Compares the library with laminarmq 0.0.5 in alternating runs.
#[derive(Debug, Parser)]
struct Args {
    /// Pairs of runs for each comparison.
    #[arg(long, default_value_t = 7)]
    pairs: usize,
    /// Bytes of values that a run in memory appends.
    #[arg(long, default_value_t = 16 << 20)]
    bytes: usize,
    /// Records at most that a run on files appends; the other crate is slow there.
    #[arg(long, default_value_t = 20_000)]
    file_records: usize,
    /// Lengths of values, in bytes.
    #[arg(long, value_delimiter = ',', default_values_t = [12, 140, 560, 1120, 2940, 11760])]
    values: Vec<usize>,
    /// Where files are made; a new directory in it is used and removed.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Counts the time of the processor in place of time: for a machine that has other work. The other crate's appends to files
    /// wait for its threads, which does not count then.
    #[arg(long)]
    processor_time: bool,
}

fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    let clock = if args.processor_time {
        Clock::Processor
    } else {
        Clock::Wall
    };
    let mut table = Table::default();
    for value_bytes in args.values {
        let value = vec![7; value_bytes];
        let records = (args.bytes / value_bytes).clamp(2000, 300_000);
        let run = Run {
            value: &value,
            records,
            clock,
        };
        // The first runs find out what memory the process gets, and do not count.
        for pair in 0..=args.pairs {
            let floor = floor(&run);
            let (theirs, ours) = if pair % 2 == 0 {
                (theirs::in_memory(&run), ours::in_memory(&run))
            } else {
                let ours = ours::in_memory(&run);
                (theirs::in_memory(&run), ours)
            };
            if pair > 0 {
                table.add("in memory", &run, theirs, ours, Some(floor));
            }
        }
        let run = Run {
            value: &value,
            records: records.min(args.file_records),
            clock,
        };
        for _ in 0..args.pairs {
            let dir = || match &args.dir {
                Some(dir) => tempfile::tempdir_in(dir),
                None => tempfile::tempdir(),
            };
            let theirs = runtime.block_on(theirs::on_files(&run, dir()?.path()));
            let ours = ours::on_files(&run, dir()?.path());
            table.add("on files", &run, theirs, ours, None);
        }
        eprintln!("{value_bytes} bytes: done");
    }
    println!("{table}");
    Ok(())
}
