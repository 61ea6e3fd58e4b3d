//! `laminarmq config show`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::JsonArgs;
use crate::config::{Resolved, ServeFlags};
use crate::failure::Failure;
use crate::output::Out;
use crate::output::table::{Align, Table};

const EXAMPLES: &str = "\
Examples:
  laminarmq config show                          what `serve` would run with here
  laminarmq config show --listen 0.0.0.0:9092    the same with a flag of `serve`
  LAMINARMQ_SHARDS=2 laminarmq config show       the same with a variable

A value comes from a flag, else the environment, else the file, else the default.
The file is flat TOML: `listen = \"127.0.0.1:9092\"`.";

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print every setting, its value and where that comes from
    #[command(after_help = EXAMPLES)]
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    json: JsonArgs,
    #[command(flatten)]
    flags: ServeFlags,
}

impl ConfigCommand {
    pub(super) fn json(&self) -> bool {
        let Self::Show(args) = self;
        args.json.json
    }
}

pub(super) fn run(command: &ConfigCommand) -> Result<(), Failure> {
    let ConfigCommand::Show(args) = command;
    let resolved = Resolved::load(&args.flags)?;
    let mut out = Out::stdout();
    if args.json.json {
        out.json(&as_json(&resolved))?;
    } else {
        for line in as_table(&resolved).lines() {
            out.line(line)?;
        }
    }
    out.flush()
}

fn as_table(resolved: &Resolved) -> Table {
    let mut table = Table::new(&[
        ("SETTING", Align::Left),
        ("VALUE", Align::Left),
        ("SOURCE", Align::Left),
    ]);
    for entry in &resolved.entries {
        table.row([
            entry.setting.name.to_owned(),
            entry
                .setting
                .text(&resolved.settings)
                .unwrap_or_else(|| String::from("-")),
            entry.source.to_string(),
        ]);
    }
    table
}

fn as_json(resolved: &Resolved) -> Value {
    let entries = resolved.entries.iter().map(|entry| {
        json!({
            "name": entry.setting.name,
            "value": entry.setting.json(&resolved.settings),
            "source": entry.source.word(),
            "from": entry.source.to_string(),
            "variable": entry.setting.environment(),
            "help": entry.setting.help,
        })
    });
    Value::Array(entries.collect())
}
