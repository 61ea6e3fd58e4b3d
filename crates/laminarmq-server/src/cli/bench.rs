//! `laminarmq bench`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::produce::parse_acks;
use super::{BrokerArgs, JsonArgs};
use crate::bench::{self, Check, Goal, Plan, Target};
use crate::client::Acks;
use crate::config::{HostPort, address, quantity};
use crate::failure::Failure;
use crate::output::human;

pub(super) const EXAMPLES: &str = "\
Examples:
  laminarmq bench                                     a million records of 1 KiB at full speed
  laminarmq bench --duration 30s --rate 50000         latency at a fixed rate, open loop
  laminarmq bench --flush os --acks 1 --producers 4 --partitions 8
  laminarmq bench --mode consume                      fills a topic, then reads it at full speed
  laminarmq bench --mode both --rate 10000 --batch-size 10

Without --topic a topic is created for the run and deleted after it. Afterwards everything is
read back: each record must be there once, with the bytes that were sent (--verify false: not).
At a fixed rate latency counts from the moment at which a batch was due, so a stall shows up in
every batch that it delayed.";

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// What to measure
    #[arg(
        long,
        value_name = "produce|consume|both",
        default_value = "produce",
        hide_possible_values = true
    )]
    mode: Mode,
    /// Topic to use; created if missing, and kept [default: a new one, deleted afterwards]
    #[arg(long)]
    topic: Option<String>,
    /// Partitions of a topic that is created
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    partitions: u32,
    /// When a write counts as done, for a topic that is created: `sync` on the disk, `os` in the
    /// page cache
    #[arg(
        long,
        value_name = "sync|os",
        default_value = "sync",
        hide_possible_values = true
    )]
    flush: Flush,
    /// Who must have a batch: 0 nobody, 1 the leader, `all` a quorum
    #[arg(long, value_name = "0|1|all", default_value = "all", value_parser = parse_acks)]
    acks: Acks,
    /// Producers side by side, each with its own connection
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    producers: u32,
    /// Consumers side by side, which share the partitions
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    consumers: u32,
    /// Size of a value
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = parse_record_size)]
    record_size: usize,
    /// Records in a batch
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch_size: u32,
    /// Batches under way per producer
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1024))]
    in_flight: u32,
    /// Records to write, up to a whole batch [default: 1000000]
    #[arg(long, value_name = "N", conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    records: Option<u64>,
    /// How long to write, instead of how much
    #[arg(long, value_name = "TIME", value_parser = quantity::parse_duration)]
    duration: Option<Duration>,
    /// Records per second, all producers together [default: as fast as it goes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    rate: Option<u64>,
    /// Read everything back afterwards and compare
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_value_t = true, default_missing_value = "true", hide_possible_values = true, action = clap::ArgAction::Set)]
    verify: bool,
    /// What measured consumers look at: nothing but the batch heads, or also the CRC
    #[arg(
        long,
        value_name = "none|crc",
        default_value = "crc",
        hide_possible_values = true
    )]
    check: CheckArg,
    /// How much one fetch asks for
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_fetch_size)]
    fetch_size: u32,
    /// Keep a topic that was created for this run
    #[arg(long)]
    keep: bool,
    /// Send the frames to a plain sink that answers each with its length: the machine's limit
    #[arg(long, value_name = "HOST:PORT", hide_short_help = true, value_parser = address::parse, conflicts_with_all = ["raw_source", "mode", "topic"])]
    raw_sink: Option<HostPort>,
    /// Read bytes from a plain sender: the machine's limit
    #[arg(long, value_name = "HOST:PORT", hide_short_help = true, value_parser = address::parse, requires = "bytes", conflicts_with_all = ["mode", "topic"])]
    raw_source: Option<HostPort>,
    /// How many bytes to read from --raw-source
    #[arg(long, value_name = "SIZE", hide_short_help = true, value_parser = quantity::parse_bytes, requires = "raw_source")]
    bytes: Option<u64>,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    pub(super) json: JsonArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Write records
    Produce,
    /// Read records (written first, if there is no --topic)
    Consume,
    /// Write and read at the same time
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Flush {
    Sync,
    Os,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CheckArg {
    None,
    Crc,
}

/// Largest `--fetch-size`.
const FETCH_BYTES_MAX: u32 = 64 << 20;
/// Largest batch: what a topic may be set up to take, less room for what is around the values.
const BATCH_BYTES_MAX: u64 = 60 << 20;
/// Largest `--record-size`.
const RECORD_BYTES_MAX: u64 = 16 << 20;

fn parse_record_size(text: &str) -> Result<usize, String> {
    let bytes = quantity::parse_bytes(text)?;
    let min = bench::RECORD_BYTES_MIN;
    let size = usize::try_from(bytes)
        .ok()
        .filter(|_| bytes <= RECORD_BYTES_MAX);
    size.filter(|size| *size >= min).ok_or_else(|| {
        let max = quantity::exact_bytes(RECORD_BYTES_MAX);
        format!("`{text}` is not between {min} (a record's number and time) and {max}")
    })
}

fn parse_fetch_size(text: &str) -> Result<u32, String> {
    let bytes = quantity::parse_bytes(text)?;
    let size = u32::try_from(bytes)
        .ok()
        .filter(|size| (1..=FETCH_BYTES_MAX).contains(size));
    size.ok_or_else(|| {
        let max = quantity::exact_bytes(u64::from(FETCH_BYTES_MAX));
        format!("`{text}` is not between 1 and {max}")
    })
}

pub(super) fn run(args: BenchArgs) -> Result<(), Failure> {
    let batch_bytes = (args.record_size as u64).saturating_mul(u64::from(args.batch_size));
    if batch_bytes > BATCH_BYTES_MAX {
        let max = quantity::exact_bytes(BATCH_BYTES_MAX);
        return Err(Failure::usage(format_args!(
            "a batch of {} records of {} is larger than {max}",
            args.batch_size,
            human::bytes(args.record_size as u64)
        ))
        .hint("give a smaller --batch-size or --record-size"));
    }
    let goal = match (args.records, args.duration) {
        (_, Some(duration)) => Goal::Duration(duration),
        (records, None) => Goal::Records(records.unwrap_or(1_000_000)),
    };
    let target = match (args.raw_sink, args.raw_source) {
        (Some(sink), _) => Target::RawSink(sink),
        (None, Some(source)) => Target::RawSource {
            source,
            bytes: args.bytes.expect("clap requires it with --raw-source"),
        },
        (None, None) => match args.mode {
            Mode::Produce => Target::Produce,
            Mode::Consume => Target::Consume,
            Mode::Both => Target::Both,
        },
    };
    let plan = Plan {
        target,
        topic: args.topic,
        partitions: args.partitions,
        flush: match args.flush {
            Flush::Sync => "sync",
            Flush::Os => "os",
        },
        acks: args.acks,
        producers: args.producers,
        consumers: args.consumers,
        record_bytes: args.record_size,
        batch_records: args.batch_size,
        in_flight: args.in_flight,
        goal,
        rate: args.rate,
        verify: args.verify,
        check: match args.check {
            CheckArg::None => Check::Heads,
            CheckArg::Crc => Check::Crc,
        },
        fetch_bytes: args.fetch_size,
        keep: args.keep,
        json: args.json.json,
    };
    bench::run(&plan, &args.brokers.brokers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_holds_its_own_number() {
        assert_eq!(parse_record_size("1KiB"), Ok(1024));
        assert_eq!(parse_record_size("24"), Ok(24));
        assert!(parse_record_size("23").is_err());
        assert!(parse_record_size("1g").is_err());
    }
}
