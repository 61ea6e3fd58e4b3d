//! `laminarmq topic`: what there is, and changes to it.

mod add_partitions;
mod alter_config;
mod create;
mod delete;
mod describe;
mod list;
mod trim;

use clap::{Args, Subcommand};

use super::{BrokerArgs, JsonArgs};
use crate::failure::Failure;

/// Largest number of partitions that the protocol can say; the broker's own limit is lower.
const PARTITIONS_MAX: i64 = i32::MAX as i64;

#[derive(Debug, Subcommand)]
pub(super) enum TopicCommand {
    /// Create topics
    #[command(after_help = create::EXAMPLES)]
    Create(create::CreateArgs),
    /// List all topics
    #[command(after_help = list::EXAMPLES, visible_alias = "ls")]
    List(list::ListArgs),
    /// Show topics: leaders, replicas and offsets of their partitions, and their settings
    #[command(after_help = describe::EXAMPLES)]
    Describe(NamesArgs),
    /// Change settings of topics; what is not named stays as it is
    #[command(after_help = alter_config::EXAMPLES)]
    AlterConfig(alter_config::AlterArgs),
    /// Give topics more partitions
    #[command(after_help = add_partitions::EXAMPLES)]
    AddPartitions(add_partitions::AddArgs),
    /// Delete the oldest records of a topic
    #[command(after_help = trim::EXAMPLES)]
    Trim(trim::TrimArgs),
    /// Delete topics with all their records
    #[command(after_help = delete::EXAMPLES, visible_alias = "rm")]
    Delete(NamesArgs),
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
            Self::AlterConfig(args) => args.json.json,
            Self::AddPartitions(args) => args.json.json,
            Self::Trim(args) => args.json.json,
            Self::Describe(args) | Self::Delete(args) => args.json.json,
        }
    }
}

pub(super) async fn run(command: TopicCommand) -> Result<(), Failure> {
    match command {
        TopicCommand::Create(args) => create::run(args).await,
        TopicCommand::List(args) => list::run(&args).await,
        TopicCommand::Describe(args) => describe::run(&args).await,
        TopicCommand::AlterConfig(args) => alter_config::run(&args).await,
        TopicCommand::AddPartitions(args) => add_partitions::run(&args).await,
        TopicCommand::Trim(args) => trim::run(&args).await,
        TopicCommand::Delete(args) => delete::run(&args).await,
    }
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(format!("`{text}` is not KEY=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_keys_and_values() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(parse_setting("flush=os"), pair("flush", "os"));
        assert_eq!(parse_setting("a = b=c"), pair("a", "b=c"));
        assert_eq!(parse_setting("empty="), pair("empty", ""));
        assert!(parse_setting("flush").is_err());
        assert!(parse_setting("=os").is_err());
    }
}
