//! `laminarmq topic create|list|describe|delete`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{BrokerArgs, JsonArgs};
use crate::client::{Client, Missing, NewTopic, Topic};
use crate::failure::Failure;
use crate::output::table::{Align, Table};
use crate::output::{Out, human};

const CREATE_EXAMPLES: &str = "\
Examples:
  laminarmq topic create orders
  laminarmq topic create orders -p 3 -r 1
  laminarmq topic create logs -c flush=os -c max.message.bytes=8388608";

const LIST_EXAMPLES: &str = "\
Examples:
  laminarmq topic list
  laminarmq topic list -b 10.0.0.5:9092 --json";

const DESCRIBE_EXAMPLES: &str = "\
Examples:
  laminarmq topic describe orders
  laminarmq topic describe orders --json";

const DELETE_EXAMPLES: &str = "\
Examples:
  laminarmq topic delete orders
  laminarmq topic delete orders logs";

/// Largest number of partitions that the protocol can say; the broker's own limit is lower.
const PARTITIONS_MAX: i64 = i32::MAX as i64;

#[derive(Debug, Subcommand)]
pub(super) enum TopicCommand {
    /// Create topics
    #[command(after_help = CREATE_EXAMPLES)]
    Create(CreateArgs),
    /// List all topics
    #[command(after_help = LIST_EXAMPLES, visible_alias = "ls")]
    List(ListArgs),
    /// Show the partitions of topics: leader, replicas, offsets
    #[command(after_help = DESCRIBE_EXAMPLES)]
    Describe(NamesArgs),
    /// Delete topics with all their records
    #[command(after_help = DELETE_EXAMPLES, visible_alias = "rm")]
    Delete(NamesArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Names of the topics
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Number of partitions [default: the broker's]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=PARTITIONS_MAX))]
    partitions: Option<i32>,
    /// Replicas of each partition [default: the broker's]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replicas: Option<i16>,
    /// A setting of the topic, like `max.message.bytes=2000000`; may be repeated
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = parse_config)]
    configs: Vec<(String, String)>,
    /// A topic that is there already is no failure
    #[arg(long)]
    if_not_exists: bool,
    /// Only check whether it would work
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    json: JsonArgs,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Also the topics that the broker keeps for itself
    #[arg(short = 'i', long)]
    internal: bool,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    json: JsonArgs,
}

#[derive(Debug, Args)]
pub(super) struct NamesArgs {
    /// Names of the topics
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    json: JsonArgs,
}

impl TopicCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Create(args) => args.json.json,
            Self::List(args) => args.json.json,
            Self::Describe(args) | Self::Delete(args) => args.json.json,
        }
    }
}

pub(super) async fn run(command: TopicCommand) -> Result<(), Failure> {
    match command {
        TopicCommand::Create(args) => create(args).await,
        TopicCommand::List(args) => list(&args).await,
        TopicCommand::Describe(args) => describe(&args).await,
        TopicCommand::Delete(args) => delete(&args).await,
    }
}

fn parse_config(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(format!("`{text}` is not KEY=VALUE")),
    }
}

async fn create(args: CreateArgs) -> Result<(), Failure> {
    let client = args.brokers.connect().await?;
    let mut out = Out::stdout();
    for name in args.names {
        let topic = NewTopic {
            name,
            partitions: args.partitions,
            replicas: args.replicas,
            configs: args.configs.clone(),
        };
        let name = &topic.name;
        let created = match client.create_topic(&topic, args.dry_run).await {
            Ok(created) => created,
            Err(error) if args.if_not_exists && error.is_already_there() => {
                if args.json.json {
                    out.json(&json!({ "topic": name, "created": false }))?;
                } else {
                    out.line(format_args!("topic `{name}` is there already"))?;
                }
                continue;
            }
            Err(error) => {
                out.flush()?;
                return Err(error.into());
            }
        };
        if args.json.json {
            out.json(&json!({
                "topic": name,
                "created": !args.dry_run,
                "id": created.id.to_string(),
                "partitions": created.partitions,
                "replicas": created.replicas,
            }))?;
            continue;
        }
        let verb = if args.dry_run {
            "would create"
        } else {
            "created"
        };
        let size = match (created.partitions, created.replicas) {
            (Some(partitions), Some(replicas)) => format!(
                " with {}, {} each",
                human::plural(u64::from(partitions.unsigned_abs()), "partition"),
                human::plural(u64::from(replicas.unsigned_abs()), "replica"),
            ),
            _ => String::new(),
        };
        out.line(format_args!("{verb} topic `{name}`{size}"))?;
    }
    out.flush()
}

async fn list(args: &ListArgs) -> Result<(), Failure> {
    let client = args.brokers.connect().await?;
    let mut topics = client.topics().await?;
    topics.retain(|topic| args.internal || !topic.internal);
    let mut out = Out::stdout();
    if args.json.json {
        let topics = topics.iter().map(|topic| {
            json!({
                "topic": topic.name,
                "id": topic.id.to_string(),
                "internal": topic.internal,
                "partitions": topic.partitions.len(),
                "replicas": replicas(topic),
            })
        });
        out.json(&Value::Array(topics.collect()))?;
        return out.flush();
    }
    if topics.is_empty() && out.is_terminal() {
        crate::output::note("no topics yet: `laminarmq topic create NAME` creates one");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITIONS", Align::Right),
        ("REPLICAS", Align::Right),
    ]);
    for topic in &topics {
        table.row([
            topic.name.clone(),
            topic.partitions.len().to_string(),
            replicas(topic).to_string(),
        ]);
    }
    for line in table.lines() {
        out.line(line)?;
    }
    out.flush()
}

fn replicas(topic: &Topic) -> usize {
    let counts = topic.partitions.iter().map(|p| p.replicas.len());
    counts.max().unwrap_or(0)
}

async fn describe(args: &NamesArgs) -> Result<(), Failure> {
    let client = args.brokers.connect().await?;
    let mut out = Out::stdout();
    for (at, name) in args.names.iter().enumerate() {
        let topic = client.topic(name, Missing::Refuse).await?;
        if args.json.json {
            out.json(&describe_json(&client, &topic).await?)?;
        } else {
            if at > 0 {
                out.line("")?;
            }
            describe_text(&client, &topic, &mut out).await?;
        }
    }
    out.flush()
}

async fn describe_text(client: &Client, topic: &Topic, out: &mut Out) -> Result<(), Failure> {
    let bounds = client.bounds(&topic.name, &topic.led()).await?;
    out.line(format_args!("topic       {}", topic.name))?;
    out.line(format_args!("id          {}", topic.id))?;
    out.line(format_args!("partitions  {}", topic.partitions.len()))?;
    out.line(format_args!("replicas    {}", replicas(topic)))?;
    out.line("")?;
    let mut table = Table::new(&[
        ("PARTITION", Align::Right),
        ("LEADER", Align::Right),
        ("EPOCH", Align::Right),
        ("REPLICAS", Align::Left),
        ("IN-SYNC", Align::Left),
        ("START", Align::Right),
        ("END", Align::Right),
        ("RECORDS", Align::Right),
    ]);
    let or_dash = |number: Option<i64>| number.map_or(String::from("-"), |n| n.to_string());
    for partition in &topic.partitions {
        let bounds = bounds.get(&partition.index);
        table.row([
            partition.index.to_string(),
            or_dash(partition.leader.map(i64::from)),
            partition.leader_epoch.to_string(),
            nodes(&partition.replicas),
            nodes(&partition.in_sync),
            or_dash(bounds.map(|(start, _)| *start)),
            or_dash(bounds.map(|(_, end)| *end)),
            or_dash(bounds.map(|(start, end)| end - start)),
        ]);
    }
    for line in table.lines() {
        out.line(line)?;
    }
    Ok(())
}

async fn describe_json(client: &Client, topic: &Topic) -> Result<Value, Failure> {
    let bounds = client.bounds(&topic.name, &topic.led()).await?;
    let partitions = topic.partitions.iter().map(|partition| {
        let bounds = bounds.get(&partition.index);
        json!({
            "partition": partition.index,
            "leader": partition.leader,
            "leader_epoch": partition.leader_epoch,
            "replicas": partition.replicas,
            "in_sync": partition.in_sync,
            "start_offset": bounds.map(|(start, _)| start),
            "end_offset": bounds.map(|(_, end)| end),
        })
    });
    Ok(json!({
        "topic": topic.name,
        "id": topic.id.to_string(),
        "internal": topic.internal,
        "partitions": partitions.collect::<Vec<_>>(),
    }))
}

fn nodes(nodes: &[i32]) -> String {
    let nodes: Vec<String> = nodes.iter().map(i32::to_string).collect();
    nodes.join(",")
}

async fn delete(args: &NamesArgs) -> Result<(), Failure> {
    let client = args.brokers.connect().await?;
    let mut out = Out::stdout();
    for name in &args.names {
        if let Err(error) = client.delete_topic(name).await {
            out.flush()?;
            return Err(error.into());
        }
        if args.json.json {
            out.json(&json!({ "topic": name, "deleted": true }))?;
        } else {
            out.line(format_args!("deleted topic `{name}`"))?;
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_keys_and_values() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(parse_config("flush=os"), pair("flush", "os"));
        assert_eq!(parse_config("a = b=c"), pair("a", "b=c"));
        assert_eq!(parse_config("empty="), pair("empty", ""));
        assert!(parse_config("flush").is_err());
        assert!(parse_config("=os").is_err());
    }
}
