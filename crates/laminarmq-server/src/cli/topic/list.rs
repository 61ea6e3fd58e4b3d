//! `laminarmq topic list`.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::{BrokerArgs, JsonArgs};
use crate::client::Topic;
use crate::failure::Failure;
use crate::output::table::{Align, Table};
use crate::output::{self, Out};

pub(super) const EXAMPLES: &str = "\
Examples:
  laminarmq topic list
  laminarmq topic list -b 10.0.0.5:9092 --json";

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Also the topics that the broker keeps for itself
    #[arg(short = 'i', long)]
    internal: bool,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    pub(in crate::cli) json: JsonArgs,
}

pub(super) async fn run(args: &ListArgs) -> Result<(), Failure> {
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
        output::note("no topics yet: `laminarmq topic create NAME` creates one");
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
    out.table(&table)?;
    out.flush()
}

pub(super) fn replicas(topic: &Topic) -> usize {
    let counts = topic.partitions.iter().map(|p| p.replicas.len());
    counts.max().unwrap_or(0)
}
