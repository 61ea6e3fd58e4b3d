//! `laminarmq log`: looks at a log's folder without changing a byte, also beside a running broker.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use laminarmq::{
    Finding, FooterState, Inspection, Record, Report, Severity, StoredLog, StoredSegment,
};
use serde_json::{Value, json};

use super::JsonArgs;
use crate::failure::Failure;
use crate::output::progress::{Progress, Unit};
use crate::output::table::{Align, Table};
use crate::output::{Out, base64, human};

const INSPECT_EXAMPLES: &str = "\
Examples:
  laminarmq log inspect laminarmq-data/topics/orders-0
  laminarmq log inspect laminarmq-data/topics/orders-0 --json";

const VERIFY_EXAMPLES: &str = "\
Examples:
  laminarmq log verify laminarmq-data/topics/orders-0     exit code 1 if a record is lost
  for d in laminarmq-data/topics/*-[0-9]*; do laminarmq log verify \"$d\"; done";

const DUMP_EXAMPLES: &str = "\
Examples:
  laminarmq log dump laminarmq-data/topics/orders-0 -n 10
  laminarmq log dump laminarmq-data/topics/orders-0 --from 1000 --json    values in base64";

#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// Print segments, bounds and sizes
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect(DirArgs),
    /// Read and check everything, and say where the first damage is
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(DirArgs),
    /// Print the records, one per line
    #[command(after_help = DUMP_EXAMPLES)]
    Dump(DumpArgs),
}

#[derive(Debug, Args)]
pub(super) struct DirArgs {
    /// Folder of the log: of one partition, for a broker's data
    dir: PathBuf,
    #[command(flatten)]
    json: JsonArgs,
}

#[derive(Debug, Args)]
pub(super) struct DumpArgs {
    #[command(flatten)]
    of: DirArgs,
    /// First record, by its index in the log
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    from: u64,
    /// Most records to print
    #[arg(short = 'n', long, value_name = "COUNT")]
    count: Option<u64>,
}

impl LogCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Inspect(args) | Self::Verify(args) => args.json.json,
            Self::Dump(args) => args.of.json.json,
        }
    }
}

pub(super) fn run(command: &LogCommand) -> Result<(), Failure> {
    let mut out = Out::stdout();
    match command {
        LogCommand::Inspect(args) => inspect(args, &mut out)?,
        LogCommand::Verify(args) => verify(args, &mut out)?,
        LogCommand::Dump(args) => dump(args, &mut out)?,
    }
    out.flush()
}

/// The log in `dir` and what its headers say; a folder without segments is a mistake in typing.
fn open(dir: &Path) -> Result<(StoredLog, Inspection), Failure> {
    let log = StoredLog::in_dir(dir).map_err(Failure::failed)?;
    let found = log.inspect().map_err(Failure::failed)?;
    if found.segments.is_empty() {
        let topics = dir.join("topics");
        let hint = if topics.is_dir() {
            format!("name a partition's folder in {}", topics.display())
        } else {
            String::from("a log's folder has files like 00000000000000000001.log")
        };
        return Err(Failure::failed(format_args!("no log in {}", dir.display())).hint(hint));
    }
    Ok((log, found))
}

fn inspect(args: &DirArgs, out: &mut Out) -> Result<(), Failure> {
    let (_, found) = open(&args.dir)?;
    if args.json.json {
        return out.json(&inspection_json(&found));
    }
    for line in segments_table(&found.segments).lines() {
        out.line(line)?;
    }
    let bytes = found
        .segments
        .iter()
        .map(|s| s.store_bytes + s.index_bytes)
        .sum();
    out.line(format_args!(
        "\n{} in {}, {}: index {} to {} (exclusive)",
        human::plural(found.end_index - found.start_index, "record"),
        human::plural(found.segments.len() as u64, "segment"),
        human::bytes(bytes),
        found.start_index,
        found.end_index,
    ))
}

fn segments_table(segments: &[StoredSegment]) -> Table {
    let mut table = Table::new(&[
        ("BASE", Align::Right),
        ("END", Align::Right),
        ("STORE", Align::Right),
        ("INDEX", Align::Right),
        ("CREATED", Align::Right),
        ("NEWEST", Align::Right),
        ("STATE", Align::Left),
    ]);
    let number = |value: Option<i64>| value.map_or_else(|| String::from("-"), |v| v.to_string());
    for segment in segments {
        table.row([
            segment.base_index.to_string(),
            segment.end_index.to_string(),
            segment.store_bytes.to_string(),
            segment.index_bytes.to_string(),
            number(segment.created_ms),
            number(segment.max_timestamp),
            String::from(state(segment)),
        ]);
    }
    table
}

fn state(segment: &StoredSegment) -> &'static str {
    if segment.damage.is_some() {
        return "damaged";
    }
    if segment.is_removed {
        return "removed";
    }
    match segment.footer {
        FooterState::Fits => "sealed",
        FooterState::Missing => "open",
        FooterState::Differs => "appended-since",
    }
}

fn inspection_json(found: &Inspection) -> Value {
    json!({
        "start_index": found.start_index,
        "end_index": found.end_index,
        "resetting": found.resetting,
        "segments": found.segments.iter().map(segment_json).collect::<Vec<_>>(),
    })
}

fn segment_json(segment: &StoredSegment) -> Value {
    json!({
        "base_index": segment.base_index,
        "end_index": segment.end_index,
        "store_bytes": segment.store_bytes,
        "index_bytes": segment.index_bytes,
        "created_ms": segment.created_ms,
        "max_timestamp": segment.max_timestamp,
        "state": state(segment),
    })
}

fn verify(args: &DirArgs, out: &mut Out) -> Result<(), Failure> {
    let (log, found) = open(&args.dir)?;
    let total = found
        .segments
        .iter()
        .map(|segment| segment.store_bytes)
        .sum();
    let bar = Progress::new("verify", Unit::Bytes, total);
    let report = log.verify(&mut |progress| bar.set(progress.bytes_done));
    bar.finish();
    let report = report.map_err(Failure::failed)?;
    if args.json.json {
        out.json(&report_json(&report))?;
    } else {
        for finding in &report.findings {
            out.line(describe(finding))?;
        }
        out.line(format_args!(
            "checked {}: {}, index {} to {} (exclusive)",
            human::bytes(report.bytes_verified),
            human::plural(report.end_index - report.start_index, "record"),
            report.start_index,
            report.end_index,
        ))?;
    }
    out.flush()?;
    match report.first_damage() {
        None if report.is_sound() => Ok(()),
        None => Err(Failure::failed("an index does not fit its store")
            .hint("stop the broker, remove that .index file, and start again: it is rebuilt")),
        Some(damage) => Err(Failure::failed(describe(damage))
            .hint("restore this partition from a copy; nothing was changed")),
    }
}

fn describe(finding: &Finding) -> String {
    let place = &finding.place;
    let at = format!(
        "segment {:020}, record {}, byte {}: {}",
        place.segment, place.index, place.position, place.what
    );
    match finding.severity {
        Severity::Damage => format!("damaged: {at}"),
        Severity::TornEnd { bytes } => {
            format!(
                "torn end, {} to be cut at the next start: {at}",
                human::bytes(bytes)
            )
        }
        Severity::Truncated { bytes } => {
            format!(
                "truncated, {} to be cut at the next start: {at}",
                human::bytes(bytes)
            )
        }
        Severity::Index => format!("wrong index: {at}"),
        Severity::StaleIndex => format!("index to be rebuilt at the next start: {at}"),
    }
}

fn report_json(report: &Report) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "text": describe(finding),
            "segment": finding.place.segment,
            "index": finding.place.index,
            "position": finding.place.position,
        })
    };
    json!({
        "sound": report.is_sound(),
        "start_index": report.start_index,
        "end_index": report.end_index,
        "bytes_verified": report.bytes_verified,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn dump(args: &DumpArgs, out: &mut Out) -> Result<(), Failure> {
    let (log, _) = open(&args.of.dir)?;
    let records = log.records(args.from).map_err(Failure::failed)?;
    let most = args
        .count
        .map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    for record in records.take(most) {
        let record = record.map_err(|error| {
            Failure::failed(error)
                .hint("`laminarmq log verify` tells whether it is damage or a torn end")
        })?;
        if args.of.json.json {
            out.json(&record_json(&record))?;
        } else {
            out.line(format_args!(
                "{} term={} kind={} flags={} key={} time={} bytes={}",
                record.index,
                record.term,
                record.kind,
                record.flags,
                record.key,
                record.timestamp,
                record.value.len(),
            ))?;
        }
    }
    Ok(())
}

fn record_json(record: &Record) -> Value {
    json!({
        "index": record.index,
        "term": record.term,
        "kind": record.kind,
        "flags": record.flags,
        "key": record.key,
        "timestamp": record.timestamp,
        "value": base64::encode(&record.value),
    })
}
