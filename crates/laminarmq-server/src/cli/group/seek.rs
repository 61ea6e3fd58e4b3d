//! `laminarmq group seek`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use crate::cli::place::{self, Place};
use crate::cli::{BrokerArgs, JsonArgs, partitions};
use crate::client::{Client, ClientError, Committer, Coordinator, Missing, TopicOffsets};
use crate::failure::Failure;
use crate::output::table::{Align, Table};
use crate::output::{self, Out};

pub(super) const EXAMPLES: &str = "\
Examples:
  laminarmq group seek billing --to start                       read everything again
  laminarmq group seek billing --to end --topic orders          skip what is there
  laminarmq group seek billing --to 5000 --topic orders --partition 0
  laminarmq group seek billing --to -100 --topic orders         the last hundred of each partition
  laminarmq group seek billing --to @2026-11-26T15:00:00Z       what came since then
  laminarmq group seek billing --to @-1h --dry-run

Places are those of `consume -o`. Without --topic all topics move that the group has read.
The group must have no members: stop its readers first.";

#[derive(Debug, Args)]
pub(in crate::cli) struct SeekArgs {
    /// The group
    #[arg(value_name = "NAME")]
    name: String,
    /// Where to read on: start, end, N (offset), +N (after the start), -N (before the end), @TIME
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    to: Place,
    /// Only these topics; may be repeated or separated by commas
    #[arg(short, long, value_name = "TOPIC", value_delimiter = ',')]
    topic: Vec<String>,
    /// Only these partitions of the one topic; may be repeated or separated by commas
    #[arg(short, long, value_name = "N", requires = "topic", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    pub(in crate::cli) json: JsonArgs,
}

pub(super) async fn run(args: &SeekArgs) -> Result<(), Failure> {
    if args.topic.len() > 1 && !args.partition.is_empty() {
        return Err(Failure::usage("--partition goes with one --topic only"));
    }
    let client = args.brokers.connect().await?;
    let coordinator = Coordinator::of(&client, &args.name);
    match coordinator.describe().await {
        // The commit would be refused; this says so before anything is shown.
        Ok(group) if !group.members.is_empty() => {
            return Err(ClientError::GroupInUse(group.name).into());
        }
        // A group begins with its first offset.
        Ok(_) | Err(ClientError::NoSuchGroup(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let old = coordinator.committed(None).await?;
    let new = targets(&client, args, &old).await?;
    if !args.dry_run {
        coordinator.commit(&Committer::Outsider, &new).await?;
    }
    report(args, &old, &new)
}

/// The new offset of each partition that is to move.
async fn targets(
    client: &Client,
    args: &SeekArgs,
    old: &TopicOffsets,
) -> Result<TopicOffsets, Failure> {
    let named = !args.topic.is_empty();
    let topics: Vec<&String> = if named {
        args.topic.iter().collect()
    } else {
        old.keys().collect()
    };
    if topics.is_empty() {
        let group = &args.name;
        let what =
            format_args!("group `{group}` has no offsets yet, nor is it told in which topic");
        return Err(Failure::failed(what).hint("name one with --topic"));
    }
    let mut targets = TopicOffsets::new();
    for name in topics {
        let topic = match client.topic(name, Missing::Refuse).await {
            Err(ClientError::NoSuchTopic(_)) if !named => {
                output::warn(format_args!("topic `{name}` is gone: its offsets stay"));
                continue;
            }
            told => told?,
        };
        let mut chosen = partitions::choose(&topic, &args.partition)?;
        if !named {
            chosen.retain(|partition| old[name].contains_key(partition));
        }
        let known = place::look_up(client, name, &chosen, [args.to]).await?;
        let mut offsets = BTreeMap::new();
        for (partition, (bounds, found)) in known {
            let offset = args.to.resolve(bounds, &found);
            if let Some(asked) = args.to.outside(offset) {
                output::warn(format_args!(
                    "partition {partition} of `{name}` has {bounds}, not {asked}: taking {offset}"
                ));
            }
            offsets.insert(partition, offset);
        }
        targets.insert(name.clone(), offsets);
    }
    Ok(targets)
}

fn report(args: &SeekArgs, old: &TopicOffsets, new: &TopicOffsets) -> Result<(), Failure> {
    let rows = new.iter().flat_map(|(topic, partitions)| {
        partitions.iter().map(move |(&partition, &offset)| {
            let before = old.get(topic).and_then(|of| of.get(&partition)).copied();
            (topic, partition, before, offset)
        })
    });
    let mut out = Out::stdout();
    if args.json.json {
        let partitions = rows.map(|(topic, partition, before, offset)| {
            json!({
                "topic": topic,
                "partition": partition,
                "old_offset": before,
                "new_offset": offset,
            })
        });
        out.json(&json!({
            "group": args.name,
            "moved": !args.dry_run,
            "partitions": partitions.collect::<Vec<_>>(),
        }))?;
        return out.flush();
    }
    let verb = if args.dry_run { "would move" } else { "moved" };
    out.line(format_args!("{verb} group `{}`", args.name))?;
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("OLD", Align::Right),
        ("NEW", Align::Right),
    ]);
    for (topic, partition, before, offset) in rows {
        table.row([
            topic.clone(),
            partition.to_string(),
            before.map_or_else(|| String::from("-"), |offset| offset.to_string()),
            offset.to_string(),
        ]);
    }
    out.table(&table)?;
    out.flush()
}
