//! `laminarmq group delete`.

use clap::Args;
use serde_json::json;

use crate::cli::{BrokerArgs, JsonArgs};
use crate::client::{Client, Coordinator};
use crate::failure::Failure;
use crate::output::{Out, human};

pub(super) const EXAMPLES: &str = "\
Examples:
  laminarmq group delete billing
  laminarmq group delete billing shipping
  laminarmq group delete billing --topic orders         only how far it has read that topic

A group must have no members to be deleted: stop its readers first.";

#[derive(Debug, Args)]
pub(in crate::cli) struct DeleteArgs {
    /// Names of the groups
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Forget the offsets in this topic, and keep the rest of the group
    #[arg(short, long, value_name = "TOPIC")]
    topic: Option<String>,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    pub(in crate::cli) json: JsonArgs,
}

pub(super) async fn run(args: &DeleteArgs) -> Result<(), Failure> {
    let client = args.brokers.connect().await?;
    let mut out = Out::stdout();
    for name in &args.names {
        let done = match &args.topic {
            None => delete(&client, name, args.json, &mut out).await,
            Some(topic) => forget(&client, name, topic, args.json, &mut out).await,
        };
        if let Err(failure) = done {
            out.flush()?;
            return Err(failure);
        }
    }
    out.flush()
}

async fn delete(client: &Client, name: &str, json: JsonArgs, out: &mut Out) -> Result<(), Failure> {
    Coordinator::of(client, name).delete().await?;
    if json.json {
        return out.json(&json!({ "group": name, "deleted": true }));
    }
    out.line(format_args!("deleted group `{name}`"))
}

async fn forget(
    client: &Client,
    name: &str,
    topic: &str,
    json: JsonArgs,
    out: &mut Out,
) -> Result<(), Failure> {
    let coordinator = Coordinator::of(client, name);
    let committed = coordinator.committed(None).await?;
    let Some(offsets) = committed.get(topic) else {
        let what = format_args!("group `{name}` has no offsets in topic `{topic}`");
        let hint = format_args!("`laminarmq group describe {name}` shows those it has");
        return Err(Failure::failed(what).hint(hint));
    };
    let partitions: Vec<i32> = offsets.keys().copied().collect();
    coordinator.forget_offsets(topic, &partitions).await?;
    if json.json {
        return out.json(&json!({ "group": name, "topic": topic, "forgotten": partitions }));
    }
    let count = human::plural(partitions.len() as u64, "partition");
    out.line(format_args!(
        "group `{name}` has forgotten how far it had read `{topic}` ({count})"
    ))
}
