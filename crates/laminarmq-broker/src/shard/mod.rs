//! A shard owns partitions: nobody else touches them, so they need no locks.
//!
//! [`Shard::step`] is a plain function of its inputs: it takes what arrived, lets the partitions that it
//! concerns work until they are quiet, and pushes what is to be done outside to a list. It does not wait,
//! does not sync, takes no clock and knows no runtime. Time, if it needs any, is an argument.
//!
//! - Inputs of one partition take effect in the order in which they come.
//! - Each reply handle that came in goes out again exactly once, with its answer.
//! - Of each partition at most one [`PersistJob`] is outside.
//! - After a failure nothing is acknowledged any more, by any partition of the shard.

mod held;
mod in_sync;
mod log_size;
mod members;
mod partition;
mod refusal;
mod retention;
mod step;

#[cfg(test)]
mod fencing_tests;
#[cfg(test)]
mod min_insync_tests;
#[cfg(test)]
mod producer_tests;
#[cfg(test)]
mod rest_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trio;

pub use refusal::Refusal;
pub use retention::Retention;
pub use step::Shard;

use crate::cluster::{Incarnations, NodeId};
use crate::data_dir::InDoubt;
use crate::peer::Envelope;
use bytes::Bytes;
use laminarmq::LogEnv;
use laminarmq_kafka::batch::CheckedBatch;
use laminarmq_replica::{
    FetchPlan, FetchQuery, GroupId, GroupState, LogIndex, Offset, OffsetAnswer, OffsetQuery,
    PersistDone, PersistJob, Replica, ReplicaId, Term, TrimTo, Tuning,
};
use std::sync::Arc;

/// What surrounds a shard: its storage, and the handles by which answers find whoever asked. A handle is
/// opaque here; it comes back with the answer.
pub trait Outside {
    /// Storage of the partitions' logs.
    type Env: LogEnv;
    /// Names who appended.
    type AppendReply;
    /// Names who reads.
    type ReadReply;
    /// Names who looks up an offset.
    type LookupReply;
    /// Names who wants to know how large partitions are.
    type MeasureReply;
    /// Names who proposed a command.
    type CommandReply;
    /// Names who moves a partition's start.
    type TrimReply;
    /// Names who wants a partition opened, tuned or removed, or the shard closed.
    type ChangeReply;
}

/// What happens to a shard.
pub enum Input<O: Outside> {
    /// Own this partition from now on. Answered as its [`Hosted::answer`] says.
    Host(Box<Hosted<O>>),
    /// Give this partition up. Whoever waits for it is told that it is gone.
    Remove {
        /// The partition.
        group: GroupId,
        /// Who asks.
        reply: O::ChangeReply,
    },
    /// Append a batch.
    Append(Append<O>),
    /// Plan some reads.
    Read {
        /// Which.
        reads: Vec<Read>,
        /// Who asks.
        reply: O::ReadReply,
    },
    /// Look up an offset.
    Lookup {
        /// Where and for what.
        lookup: Lookup,
        /// Who asks.
        reply: O::LookupReply,
    },
    /// Say how many bytes the logs of some partitions have.
    Measure {
        /// The partitions.
        groups: Vec<GroupId>,
        /// Who asks.
        reply: O::MeasureReply,
    },
    /// Change settings of a partition; what comes after this goes by them.
    Tune {
        /// The partition.
        group: GroupId,
        /// The settings.
        tuning: Tuning,
        /// Who asks.
        reply: O::ChangeReply,
    },
    /// Nodes lost their directories: replace the replicas that were there in what this shard's partitions lead.
    Replaced(Arc<Incarnations>),
    /// Propose a command to a group with a state machine.
    Command {
        /// The group.
        group: GroupId,
        /// The command.
        command: Bytes,
        /// Who asks.
        reply: O::CommandReply,
    },
    /// Let a partition's log begin later.
    Trim {
        /// The partition.
        group: GroupId,
        /// Where it is to begin.
        to: TrimTo,
        /// Who asks.
        reply: O::TrimReply,
    },
    /// Let old records of a partition go. Answered like a trim, also where nothing is old.
    Retain {
        /// The partition.
        group: GroupId,
        /// What stays.
        retention: Retention,
        /// Milliseconds since the Unix epoch.
        now_ms: i64,
        /// Who asks.
        reply: O::TrimReply,
    },
    /// A message from another replica of a partition; whoever took it from the link has checked who sent it.
    /// One of a partition that is not here counts as lost.
    Peer(Box<Envelope>),
    /// What was sent to the replicas on this node last counts as lost.
    Unreachable {
        /// The node.
        node: NodeId,
    },
    /// A step of the clock that heartbeats and elections go by. How long it is, is the same on all nodes.
    /// Answered with [`Output::Ticked`].
    Tick {
        /// Nodes that say nothing.
        silent: Arc<[NodeId]>,
    },
    /// A job from [`Output::Persist`] ran.
    Persisted {
        /// The partition.
        group: GroupId,
        /// How it went.
        done: PersistDone,
    },
    /// Finish: sync and close every log. Answered when all are closed.
    Close {
        /// Who asks.
        reply: O::ChangeReply,
    },
}

/// A partition to own.
pub struct Hosted<O: Outside> {
    /// Its replica, opened.
    pub replica: Replica<O::Env>,
    /// Its group.
    pub group: GroupId,
    /// It may have lost what it acknowledged; on record until it has that again.
    pub(crate) doubt: Option<InDoubt>,
    /// When to answer.
    pub answer: Readiness,
    /// Who asks.
    pub reply: O::ChangeReply,
}

/// When a partition that was handed over is ready for whoever did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// When it leads and knows what is committed: for a partition that has no other replicas.
    Leads,
    /// At once: who leads is for its replicas to find out.
    Taken,
}

/// A batch to append.
pub struct Append<O: Outside> {
    /// The partition.
    pub group: GroupId,
    /// The batch, checked.
    pub batch: CheckedBatch,
    /// When to answer.
    pub ack: Ack,
    /// Who asks.
    pub reply: O::AppendReply,
}

/// When an append is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// Once it is in the leader's log: with the operating system.
    Leader,
    /// Once it is committed: saved by a quorum.
    Quorum {
        /// And by at least so many replicas, of which as many have to be in sync when the batch comes. What a
        /// quorum has them have anyway, 1 for instance, asks for nothing more.
        min_in_sync: u32,
    },
}

/// A batch that is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// First offset that can be read.
    pub start_offset: Offset,
    /// The producer sent the batch again: the max timestamp of the first one, in milliseconds.
    pub repeated: Option<i64>,
}

/// A read to plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// The partition.
    pub group: GroupId,
    /// What to read.
    pub query: FetchQuery,
    /// The leader epoch that the reader believes in.
    pub epoch: Option<i32>,
}

/// An offset to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookup {
    /// The partition.
    pub group: GroupId,
    /// What to look for.
    pub query: OffsetQuery,
    /// The leader epoch that the reader believes in.
    pub epoch: Option<i32>,
}

/// What a reader may want to know about a partition, whenever one of it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// First offset that can be read.
    pub start_offset: Offset,
    /// First offset that is not committed; `None` while it is not known.
    pub high_watermark: Option<Offset>,
    /// The present leader epoch.
    pub epoch: Term,
    /// This replica leads.
    pub leads: bool,
    /// Who leads, as far as this replica knows.
    pub leader: Option<ReplicaId>,
    /// Voters that are heard of and follow, this one included; 0 unless this replica leads.
    pub in_sync: u32,
    /// This replica may lack what it acknowledged.
    pub in_doubt: bool,
    /// Bytes of the log on this node. Rides along: that it alone has grown is not told.
    pub log_bytes: u64,
}

/// What is to be done outside.
pub enum Output<O: Outside> {
    /// Run this job on another thread and hand its result back as [`Input::Persisted`].
    Persist {
        /// The partition.
        group: GroupId,
        /// The job.
        job: PersistJob<O::Env>,
        /// Entries of the log that it makes durable.
        entries: u64,
    },
    /// Send this to another replica. Losing it is allowed; messages to one replica keep their order on a lane.
    Send(Envelope),
    /// Another replica sent what no replica sends. It had no effect.
    Misbehaved {
        /// The partition.
        group: GroupId,
        /// Who sent it.
        from: ReplicaId,
        /// What was wrong with it, for people.
        what: String,
    },
    /// An append was taken or refused.
    Appended {
        /// Who asked.
        reply: O::AppendReply,
        /// The answer.
        result: Result<Appended, Refusal>,
    },
    /// Reads were planned, in the order asked for.
    Read {
        /// Who asked.
        reply: O::ReadReply,
        /// The answers.
        results: Vec<Result<FetchPlan<O::Env>, Refusal>>,
    },
    /// An offset was looked up.
    Lookup {
        /// Who asked.
        reply: O::LookupReply,
        /// The answer.
        result: Result<OffsetAnswer<O::Env>, Refusal>,
    },
    /// Bytes of the logs of some partitions, in the order asked for.
    Measured {
        /// Who asked.
        reply: O::MeasureReply,
        /// The answers.
        results: Vec<Result<u64, Refusal>>,
    },
    /// A command of this shard's own proposing is in the log, or was refused. Its effect comes as
    /// [`Output::Command`].
    Proposed {
        /// Who asked.
        reply: O::CommandReply,
        /// Where it is in the log, committed.
        result: Result<LogIndex, Refusal>,
    },
    /// A group's log begins anew, by a snapshot: its state machine forgets everything, and takes the commands
    /// that follow.
    Reset {
        /// The group.
        group: GroupId,
    },
    /// A committed command, in the order of the log. Comes before the [`Output::Proposed`] of the same
    /// index.
    Command {
        /// The group.
        group: GroupId,
        /// Where it is in the log.
        index: LogIndex,
        /// The command.
        command: Bytes,
    },
    /// A group with a state machine is led from here from now on, all commands of earlier leaders having
    /// been handed over; or not any more. Told first when the group is hosted.
    Leading {
        /// The group.
        group: GroupId,
        /// Whether it is led from here.
        leads: bool,
    },
    /// A partition's start was moved, or not.
    Trimmed {
        /// Who asked.
        reply: O::TrimReply,
        /// The first offset that can be read now.
        result: Result<Offset, Refusal>,
    },
    /// A partition got on, or its leader changed.
    Progress {
        /// The partition.
        group: GroupId,
        /// Where it is now.
        progress: Progress,
    },
    /// Which replicas of a partition that is led from here are in sync: told when that changes, after the
    /// [`Output::Progress`] that tells of the term.
    InSync {
        /// The partition.
        group: GroupId,
        /// In which it is led.
        term: Term,
        /// Those with a vote that count, the leader among them.
        replicas: Vec<ReplicaId>,
    },
    /// The last state of a partition that was closed in order. Saving it spares the next start a look
    /// through its log.
    Final {
        /// The state.
        state: GroupState,
    },
    /// A partition was opened, tuned or removed, or the shard closed.
    Changed {
        /// Who asked.
        reply: O::ChangeReply,
        /// The answer.
        result: Result<(), Refusal>,
    },
    /// A tick was taken.
    Ticked,
    /// The data directory must not be used any more.
    Failed {
        /// Why, for people.
        reason: String,
    },
}
