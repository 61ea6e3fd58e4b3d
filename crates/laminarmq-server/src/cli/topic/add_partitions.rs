//! `laminarmq topic add-partitions`.

use clap::Args;
use serde_json::json;

use super::PARTITIONS_MAX;
use crate::cli::{BrokerArgs, JsonArgs};
use crate::client::{Client, Missing};
use crate::failure::Failure;
use crate::output::{Out, human};

pub(super) const EXAMPLES: &str = "\
Examples:
  laminarmq topic add-partitions orders -p 6      6 in all, with those that are there
  laminarmq topic add-partitions orders -p 6 --dry-run

Records stay where they are, and a key may go to another partition from then on.";

#[derive(Debug, Args)]
pub(in crate::cli) struct AddArgs {
    /// Names of the topics
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// How many partitions each shall have in all
    #[arg(short, long, value_name = "TOTAL", value_parser = clap::value_parser!(i32).range(1..=PARTITIONS_MAX))]
    partitions: i32,
    /// Only check whether it would work
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    pub(in crate::cli) json: JsonArgs,
}

pub(super) async fn run(args: &AddArgs) -> Result<(), Failure> {
    let client = args.brokers.connect().await?;
    let mut out = Out::stdout();
    for name in &args.names {
        let before = match add(&client, name, args).await {
            Ok(before) => before,
            Err(failure) => {
                out.flush()?;
                return Err(failure);
            }
        };
        if args.json.json {
            out.json(&json!({
                "topic": name,
                "added": !args.dry_run,
                "old": before,
                "new": args.partitions,
            }))?;
        } else {
            let has = if args.dry_run { "would have" } else { "has" };
            let now = human::plural(u64::from(args.partitions.unsigned_abs()), "partition");
            out.line(format_args!(
                "topic `{name}` {has} {now} (before: {before})"
            ))?;
        }
    }
    out.flush()
}

/// How many there were before.
async fn add(client: &Client, name: &str, args: &AddArgs) -> Result<usize, Failure> {
    let before = client.topic(name, Missing::Refuse).await?.partitions.len();
    if usize::try_from(args.partitions).is_ok_and(|total| total <= before) {
        let have = human::plural(before as u64, "partition");
        let what =
            format_args!("topic `{name}` has {have} already, and partitions cannot be taken away");
        return Err(Failure::failed(what).hint("-p wants the number of all of them"));
    }
    client
        .add_partitions(name, args.partitions, args.dry_run)
        .await?;
    Ok(before)
}
