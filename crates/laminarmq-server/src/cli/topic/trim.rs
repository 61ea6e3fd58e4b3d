//! `laminarmq topic trim`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use crate::cli::place::{self, Bounds, Place};
use crate::cli::{BrokerArgs, JsonArgs, partitions};
use crate::client::Missing;
use crate::failure::Failure;
use crate::output::table::{Align, Table};
use crate::output::{Out, human};

pub(super) const EXAMPLES: &str = "\
Examples:
  laminarmq topic trim orders --to 5000                 what lies below offset 5000
  laminarmq topic trim orders --to end --partition 2    everything in partition 2
  laminarmq topic trim orders --to -1000                all but the last thousand of each partition
  laminarmq topic trim orders --to @2026-11-01          what is older than that day
  laminarmq topic trim orders --to @-7d --dry-run       what would go

The record at the place stays, and what comes after it. What was deleted does not come back.";

#[derive(Debug, Args)]
pub(in crate::cli) struct TrimArgs {
    /// The topic
    #[arg(value_name = "NAME")]
    name: String,
    /// The first offset that stays: end, N (offset), +N (after the start), -N (before the end), @TIME
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    to: Place,
    /// Trim these partitions only; may be repeated or separated by commas
    #[arg(short, long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,
    /// Only show what would be deleted
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    pub(in crate::cli) json: JsonArgs,
}

pub(super) async fn run(args: &TrimArgs) -> Result<(), Failure> {
    let client = args.brokers.connect().await?;
    let topic = client.topic(&args.name, Missing::Refuse).await?;
    let chosen = partitions::choose(&topic, &args.partition)?;
    let known = place::look_up(&client, &topic.name, &chosen, [args.to]).await?;
    let mut targets = BTreeMap::new();
    for (&partition, (bounds, found)) in &known {
        let target = args.to.resolve(*bounds, found);
        // A number that is too large would quietly delete everything.
        if let Some(asked) = args.to.outside(target).filter(|asked| *asked > bounds.end) {
            let what = format_args!(
                "partition {partition} of `{}` has {bounds}, nothing near {asked}",
                topic.name
            );
            return Err(Failure::failed(what)
                .hint("`--to end` deletes all records, --partition leaves others alone"));
        }
        targets.insert(partition, target);
    }
    let starts = if args.dry_run {
        targets.clone()
    } else {
        let mut below = targets.clone();
        below.retain(|partition, target| *target > known[partition].0.start);
        let mut starts = client.delete_records(&topic.name, &below).await?;
        for (partition, target) in &targets {
            starts.entry(*partition).or_insert(*target);
        }
        starts
    };
    let rows = starts.iter().map(|(&partition, &start)| Row {
        partition,
        before: known[&partition].0,
        start,
    });
    report(args, &rows.collect::<Vec<_>>())
}

/// A partition that was trimmed.
struct Row {
    partition: i32,
    before: Bounds,
    /// Where it starts now.
    start: i64,
}

impl Row {
    /// By offsets: what a compaction has taken before counts too.
    fn deleted(&self) -> u64 {
        u64::try_from(self.start - self.before.start).unwrap_or(0)
    }
}

fn report(args: &TrimArgs, rows: &[Row]) -> Result<(), Failure> {
    let mut out = Out::stdout();
    if args.json.json {
        let partitions = rows.iter().map(|row| {
            json!({
                "partition": row.partition,
                "old_start_offset": row.before.start,
                "new_start_offset": row.start,
                "end_offset": row.before.end,
                "deleted": row.deleted(),
            })
        });
        out.json(&json!({
            "topic": args.name,
            "trimmed": !args.dry_run,
            "partitions": partitions.collect::<Vec<_>>(),
        }))?;
        return out.flush();
    }
    let verb = if args.dry_run {
        "would delete"
    } else {
        "deleted"
    };
    let deleted = rows.iter().map(Row::deleted).sum();
    let deleted = human::plural(deleted, "record");
    out.line(format_args!("{verb} {deleted} of topic `{}`", args.name))?;
    let mut table = Table::new(&[
        ("PARTITION", Align::Right),
        ("OLD-START", Align::Right),
        ("NEW-START", Align::Right),
        ("END", Align::Right),
        ("DELETED", Align::Right),
    ]);
    for row in rows {
        table.row([
            row.partition.to_string(),
            row.before.start.to_string(),
            row.start.to_string(),
            row.before.end.to_string(),
            row.deleted().to_string(),
        ]);
    }
    out.table(&table)?;
    out.flush()
}
