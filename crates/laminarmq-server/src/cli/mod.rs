//! The command line: what was typed, turned into settings and calls.

mod bench;
mod brokers;
mod cluster;
mod config;
mod consume;
mod demo;
mod group;
mod interrupt;
mod log;
mod partitions;
mod place;
mod produce;
mod time;
mod topic;
mod version;

use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};

pub(crate) use brokers::BrokerArgs;
pub(crate) use version::long_version;

use crate::config::ServeFlags;
use crate::failure::{EXIT_FAILED, EXIT_USAGE, Failure};
use crate::output;
use crate::serve;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  laminarmq serve                              start a broker on 127.0.0.1:9092
  echo hello | laminarmq produce greetings     write a record
  laminarmq consume greetings -o start         read from the first record on
  laminarmq consume greetings -g readers       share the work with others, and go on there next time
  laminarmq topic list                         what is there

`laminarmq COMMAND --help` shows the flags of a command and examples.
Exit codes: 0 done, 1 failed, 2 called wrongly.";

/// One message queue: start it, write to it, read from it
#[derive(Debug, Parser)]
#[command(
    name = "laminarmq",
    version = version::long_version(),
    styles = STYLES,
    after_help = EXAMPLES,
    disable_help_subcommand = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a broker in the foreground
    #[command(after_help = serve::EXAMPLES)]
    Serve(ServeArgs),
    /// Create, list, describe, alter, trim and delete topics
    #[command(subcommand, visible_alias = "topics")]
    Topic(topic::TopicCommand),
    /// List, describe, move and delete consumer groups
    #[command(subcommand, visible_alias = "groups")]
    Group(group::GroupCommand),
    /// Show the nodes of the cluster, and whether it is well
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Write records: one per line of standard input or a file
    #[command(after_help = produce::EXAMPLES)]
    Produce(produce::ProduceArgs),
    /// Read records; follows new ones until Ctrl-C
    #[command(after_help = consume::EXAMPLES)]
    Consume(consume::ConsumeArgs),
    /// Show the settings of `serve` and where each comes from
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Measure throughput and latency with generated records
    #[command(after_help = bench::EXAMPLES)]
    Bench(Box<bench::BenchArgs>),
    /// Look into a log's files: what is there, and whether it is whole
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Print the version and the commit it was built from
    Version(JsonArgs),
}

/// Flags of `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) flags: ServeFlags,
}

/// `--json`, which every verb with a result has.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct JsonArgs {
    /// Print JSON: the result on stdout, an error on stderr
    #[arg(long)]
    pub(crate) json: bool,
}

impl Command {
    fn json(&self) -> bool {
        match self {
            Self::Serve(_) => false,
            Self::Topic(command) => command.json(),
            Self::Group(command) => command.json(),
            Self::Cluster(command) => command.json(),
            Self::Produce(args) => args.json.json,
            Self::Consume(args) => args.json.json,
            Self::Config(command) => command.json(),
            Self::Bench(args) => args.json.json,
            Self::Log(command) => command.json(),
            Self::Version(args) => args.json,
        }
    }

    fn run(self) -> Result<(), Failure> {
        match self {
            Self::Serve(args) => serve::run(&args.flags),
            Self::Topic(command) => on_client_runtime(topic::run(command)),
            Self::Group(command) => on_client_runtime(group::run(command)),
            Self::Cluster(command) => on_client_runtime(cluster::run(command)),
            Self::Produce(args) => on_client_runtime(produce::run(args)),
            Self::Consume(args) => on_client_runtime(consume::run(args)),
            Self::Config(command) => config::run(&command),
            Self::Bench(args) => bench::run(*args),
            Self::Log(command) => log::run(&command),
            Self::Version(args) => version::run(args),
        }
    }
}

/// Parses `arguments` (the program's name first), runs the command and tells how it ended.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return report_usage(&error),
    };
    let json = cli.command.json();
    match cli.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(text) = failure.render(json) {
                output::note(text);
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Prints clap's help (stdout, 0) or usage error (stderr, 2).
fn report_usage(error: &clap::Error) -> ExitCode {
    match error.print() {
        Ok(()) => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE)),
        // `laminarmq --help | head -1`
        Err(_) if !error.use_stderr() => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(EXIT_USAGE),
    }
}

/// Runs a command that talks to brokers. One thread does: a command line has one thing to do.
pub(crate) fn on_client_runtime(
    command: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    output::log_warnings();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format_args!("cannot start the runtime: {error}")))?;
    let result = runtime.block_on(command);
    // A blocked read of stdin must not keep the program alive.
    runtime.shutdown_background();
    result
}

const _: () = assert!(EXIT_FAILED != EXIT_USAGE);

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_that_takes_flags_shows_examples() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let examples = |command: &clap::Command| command.get_after_help().is_some();
            let all = if command.has_subcommands() {
                command.get_subcommands().all(examples)
            } else {
                examples(command) || name == "version"
            };
            assert!(all, "`{name}` has a command without examples");
        }
    }
}
