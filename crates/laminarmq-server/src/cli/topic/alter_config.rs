//! `laminarmq topic alter-config`.

use clap::Args;
use serde_json::{Value, json};

use super::describe::value_text;
use super::parse_setting;
use crate::cli::{BrokerArgs, JsonArgs};
use crate::client::{Client, Setting, SettingChange};
use crate::failure::Failure;
use crate::output::Out;
use crate::output::table::{Align, Table};

pub(super) const EXAMPLES: &str = "\
Examples:
  laminarmq topic alter-config orders -c retention.ms=86400000
  laminarmq topic alter-config orders logs -c max.message.bytes=8388608 -c flush=os
  laminarmq topic alter-config orders --unset retention.ms";

#[derive(Debug, Args)]
pub(in crate::cli) struct AlterArgs {
    /// Names of the topics
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// A setting and its value; may be repeated
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = parse_setting, required_unless_present = "unset")]
    configs: Vec<(String, String)>,
    /// A setting that goes back to its default; may be repeated or separated by commas
    #[arg(short, long, value_name = "KEY", value_delimiter = ',')]
    unset: Vec<String>,
    /// Only check whether it would work
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    pub(in crate::cli) json: JsonArgs,
}

impl AlterArgs {
    fn changes(&self) -> Result<Vec<SettingChange>, Failure> {
        let set = self.configs.iter().map(|(name, value)| SettingChange::Set {
            name: name.clone(),
            value: value.clone(),
        });
        let unset = self.unset.iter().map(|name| SettingChange::Unset {
            name: name.trim().to_owned(),
        });
        let changes: Vec<_> = set.chain(unset).collect();
        for (at, change) in changes.iter().enumerate() {
            let name = change.name();
            if changes[..at].iter().any(|other| other.name() == name) {
                let what = format_args!("the setting `{name}` is named twice");
                return Err(Failure::usage(what).hint("name it once, with -c or with --unset"));
            }
        }
        Ok(changes)
    }
}

pub(super) async fn run(args: &AlterArgs) -> Result<(), Failure> {
    let changes = args.changes()?;
    let client = args.brokers.connect().await?;
    let mut out = Out::stdout();
    for (at, topic) in args.names.iter().enumerate() {
        let altered = alter(&client, topic, &changes, args.dry_run).await;
        let (before, after) = match altered {
            Ok(altered) => altered,
            Err(failure) => {
                out.flush()?;
                return Err(failure);
            }
        };
        let rows = changes.iter().map(|change| Row {
            change,
            before: find(&before, change),
            after: find(&after, change),
        });
        if args.json.json {
            let settings: Vec<_> = rows.map(|row| row.json(args.dry_run)).collect();
            out.json(&json!({
                "topic": topic,
                "altered": !args.dry_run,
                "settings": settings,
            }))?;
            continue;
        }
        let verb = if args.dry_run {
            "would alter"
        } else {
            "altered"
        };
        if at > 0 {
            out.line("")?;
        }
        out.line(format_args!("{verb} topic `{topic}`"))?;
        let mut table = Table::new(&[
            ("SETTING", Align::Left),
            ("OLD", Align::Left),
            ("NEW", Align::Left),
            ("SOURCE", Align::Left),
        ]);
        for row in rows {
            table.row(row.cells(args.dry_run));
        }
        out.table(&table)?;
    }
    out.flush()
}

type Settings = Option<Vec<Setting>>;

/// The settings before and after; where nothing is altered, the same.
async fn alter(
    client: &Client,
    topic: &str,
    changes: &[SettingChange],
    dry_run: bool,
) -> Result<(Settings, Settings), Failure> {
    let before = client.topic_settings(topic).await?;
    client.alter_topic(topic, changes, dry_run).await?;
    let after = if dry_run {
        before.clone()
    } else {
        client.topic_settings(topic).await?
    };
    Ok((before, after))
}

fn find<'a>(settings: &'a Settings, change: &SettingChange) -> Option<&'a Setting> {
    let mut settings = settings.as_ref()?.iter();
    settings.find(|setting| setting.name == change.name())
}

/// One change and what it changed, as far as the broker tells.
struct Row<'a> {
    change: &'a SettingChange,
    before: Option<&'a Setting>,
    after: Option<&'a Setting>,
}

impl Row<'_> {
    /// The value that was asked for, where the broker does not tell the one in force (yet).
    fn wanted(&self) -> Option<&str> {
        match self.change {
            SettingChange::Set { value, .. } => Some(value),
            SettingChange::Unset { .. } => None,
        }
    }

    fn cells(&self, dry_run: bool) -> [String; 4] {
        let dash = || String::from("-");
        let before = self.before.map_or_else(dash, value_text);
        let (after, source) = match (self.wanted(), self.after) {
            (_, Some(after)) if !dry_run => (value_text(after), after.source.name()),
            (Some(wanted), _) => (wanted.to_owned(), "topic"),
            (None, _) => (String::from("(default)"), "-"),
        };
        let name = self.change.name().to_owned();
        [name, before, after, String::from(source)]
    }

    fn json(&self, dry_run: bool) -> Value {
        let after = self.after.filter(|_| !dry_run);
        json!({
            "name": self.change.name(),
            "old": self.before.and_then(|setting| setting.value.as_deref()),
            "new": match after {
                Some(setting) => setting.value.as_deref(),
                None => self.wanted(),
            },
            "source": after.map(|setting| setting.source.name()),
        })
    }
}
