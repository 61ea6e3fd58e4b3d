//! `laminarmq group`: consumer groups, their members, and how far they have read.

mod delete;
mod describe;
mod list;
mod seek;

use clap::Subcommand;

use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum GroupCommand {
    /// List all groups
    #[command(after_help = list::EXAMPLES, visible_alias = "ls")]
    List(list::ListArgs),
    /// Show groups: members, what each reads, and how far it is behind
    #[command(after_help = describe::EXAMPLES)]
    Describe(describe::DescribeArgs),
    /// Set where a group without members reads on
    #[command(after_help = seek::EXAMPLES)]
    Seek(seek::SeekArgs),
    /// Delete groups without members, or forget how far they have read a topic
    #[command(after_help = delete::EXAMPLES, visible_alias = "rm")]
    Delete(delete::DeleteArgs),
}

impl GroupCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::List(args) => args.json.json,
            Self::Describe(args) => args.json.json,
            Self::Seek(args) => args.json.json,
            Self::Delete(args) => args.json.json,
        }
    }
}

pub(super) async fn run(command: GroupCommand) -> Result<(), Failure> {
    match command {
        GroupCommand::List(args) => list::run(&args).await,
        GroupCommand::Describe(args) => describe::run(&args).await,
        GroupCommand::Seek(args) => seek::run(&args).await,
        GroupCommand::Delete(args) => delete::run(&args).await,
    }
}
