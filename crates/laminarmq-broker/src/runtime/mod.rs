//! The shards' surroundings in a real broker: files, threads, channels, and the switch that stops it all
//! when the data directory fails.

mod failure;
mod shard_thread;

pub(crate) use failure::Failure;
pub(crate) use shard_thread::{ShardThread, ShardWiring};

use crate::groups::ProposalToken;
use crate::shard::{Appended, Input, Outside, Refusal};
use bytes::Bytes;
use laminarmq::FileEnv;
use laminarmq_replica::{FetchPlan, GroupId, LogIndex, Offset, OffsetAnswer};
use tokio::sync::{mpsc, oneshot};

/// Files, and channels of tokio to answer on.
#[derive(Debug)]
pub(crate) struct Real;

impl Outside for Real {
    type Env = FileEnv;
    type AppendReply = oneshot::Sender<Result<Appended, Refusal>>;
    type ReadReply = oneshot::Sender<Vec<Result<FetchPlan<FileEnv>, Refusal>>>;
    type LookupReply = oneshot::Sender<Result<OffsetAnswer<FileEnv>, Refusal>>;
    type MeasureReply = oneshot::Sender<Vec<Result<u64, Refusal>>>;
    type CommandReply = CommandReply;
    type TrimReply = oneshot::Sender<Result<Offset, Refusal>>;
    type ChangeReply = oneshot::Sender<Result<(), Refusal>>;
}

pub(crate) type ShardInput = Input<Real>;
pub(crate) type Mailbox = mpsc::Sender<ShardInput>;

/// Who proposed a command.
#[derive(Debug)]
pub(crate) enum CommandReply {
    /// Somebody who waits for the answer alone.
    Once(oneshot::Sender<Result<LogIndex, Refusal>>),
    /// The coordinator of the groups in this partition. It hears of the answer behind the command itself.
    Groups {
        group: GroupId,
        token: ProposalToken,
    },
}

/// What the coordinators of groups hear from their partitions, in the order of the log.
#[derive(Debug)]
pub(crate) enum LogEvent {
    /// A command is committed.
    Applied {
        group: GroupId,
        index: LogIndex,
        command: Bytes,
    },
    /// A proposal is committed, behind its own command, or was refused.
    Proposed {
        group: GroupId,
        token: ProposalToken,
        result: Result<LogIndex, Refusal>,
    },
    /// The partition's log begins anew: what is known of its groups is void.
    Reset { group: GroupId },
    /// This node leads the partition from now on, its earlier commands having come before this; or not any
    /// more.
    Leading { group: GroupId, leads: bool },
}

/// A committed command of the metadata group.
#[derive(Debug)]
pub(crate) struct AppliedCommand {
    pub(crate) index: LogIndex,
    pub(crate) command: Bytes,
}
