//! `laminarmq topic create`.

use clap::Args;
use serde_json::json;

use super::{PARTITIONS_MAX, parse_setting};
use crate::cli::{BrokerArgs, JsonArgs};
use crate::client::NewTopic;
use crate::failure::Failure;
use crate::output::{Out, human};

pub(super) const EXAMPLES: &str = "\
Examples:
  laminarmq topic create orders
  laminarmq topic create orders -p 3 -r 1
  laminarmq topic create logs -c flush=os -c max.message.bytes=8388608";

#[derive(Debug, Args)]
pub(in crate::cli) struct CreateArgs {
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
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = parse_setting)]
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
    pub(in crate::cli) json: JsonArgs,
}

pub(super) async fn run(args: CreateArgs) -> Result<(), Failure> {
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
