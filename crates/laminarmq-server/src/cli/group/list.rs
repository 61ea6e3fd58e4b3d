//! `laminarmq group list`.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::{BrokerArgs, JsonArgs};
use crate::failure::Failure;
use crate::output::table::{Align, Table};
use crate::output::{self, Out};

pub(super) const EXAMPLES: &str = "\
Examples:
  laminarmq group list
  laminarmq group list --state empty
  laminarmq group list --json | jq -r '.[].group'";

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Only groups in these states, like `stable` or `empty`; may be repeated or separated by commas
    #[arg(short, long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    pub(in crate::cli) json: JsonArgs,
}

pub(super) async fn run(args: &ListArgs) -> Result<(), Failure> {
    let client = args.brokers.connect().await?;
    let mut groups = client.groups().await?;
    groups.retain(|group| {
        let state = group.state.to_string();
        let mut wanted = args.state.iter();
        args.state.is_empty() || wanted.any(|wanted| wanted.eq_ignore_ascii_case(&state))
    });
    let mut out = Out::stdout();
    if args.json.json {
        let groups = groups.iter().map(|group| {
            json!({
                "group": group.name,
                "state": group.state.to_string(),
                "type": group.protocol_type,
                "coordinator": group.coordinator,
            })
        });
        out.json(&Value::Array(groups.collect()))?;
        return out.flush();
    }
    if groups.is_empty() && args.state.is_empty() && out.is_terminal() {
        output::note("no groups yet: `laminarmq consume TOPIC -g NAME` makes one");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("GROUP", Align::Left),
        ("STATE", Align::Left),
        ("TYPE", Align::Left),
        ("COORDINATOR", Align::Right),
    ]);
    for group in groups {
        let kind = Some(group.protocol_type).filter(|kind| !kind.is_empty());
        table.row([
            group.name,
            group.state.to_string(),
            kind.unwrap_or_else(|| String::from("-")),
            group.coordinator.to_string(),
        ]);
    }
    out.table(&table)?;
    out.flush()
}
