//! The shards' surroundings in a real broker: files, threads, channels, and the switch that stops it all
//! when the data directory fails.

mod failure;
mod shard_thread;

pub(crate) use failure::Failure;
pub(crate) use shard_thread::{ShardThread, ShardWiring};

use crate::shard::{Appended, Input, Outside, Refusal};
use bytes::Bytes;
use laminarmq::FileEnv;
use laminarmq_replica::{FetchPlan, LogIndex, Offset, OffsetAnswer};
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
    type CommandReply = oneshot::Sender<Result<LogIndex, Refusal>>;
    type TrimReply = oneshot::Sender<Result<Offset, Refusal>>;
    type ChangeReply = oneshot::Sender<Result<(), Refusal>>;
}

pub(crate) type ShardInput = Input<Real>;
pub(crate) type Mailbox = mpsc::Sender<ShardInput>;

/// A committed command of the metadata group.
#[derive(Debug)]
pub(crate) struct AppliedCommand {
    pub(crate) index: LogIndex,
    pub(crate) command: Bytes,
}
