//! Consumer groups: Kafka's classic protocol, and the offsets that groups commit.
//!
//! A group lives in one partition of `__consumer_offsets` ([`partition_of`]), whose log holds commands in
//! place of batches ([`command`]). A [`Coordinator`] owns the groups of one partition.
//!
//! - The [`state`] of a partition is what its committed commands say; members, timers and requests that
//!   wait are beside it ([`group`]) and are made anew from the state when the partition is loaded.
//! - Whatever a member was told is committed first: its generation, its assignment, its offsets.
//! - A generation of a group is given out once, also across crashes.
//! - The coordinator takes no clock and knows no runtime: time is an argument, and each reply handle that
//!   came in goes out again exactly once, with its answer.
//! - The log stays short: now and then the whole state is written into it ([`checkpoint`]), and what stands
//!   before that is cut off.

mod bytes;
mod checkpoint;
mod command;
mod coordinator;
mod group;
mod place;
mod proposals;
mod record;
mod request;
mod service;
mod state;
mod subscription;
mod timers;
mod turn;

pub(crate) use coordinator::Coordinator;
pub(crate) use place::{GROUPS_PARTITIONS, GROUPS_TOPIC, partition_of};
pub(crate) use proposals::ProposalToken;
pub(crate) use record::{CommittedOffset, OffsetKey};
pub(crate) use request::{
    Answer, Commit, Description, GroupError, GroupOverview, GroupSummary, Join, JoinRefused,
    Joined, MemberDescription, MemberRef, NewOffset, Request, Sync,
};

pub(crate) use service::{GroupService, GroupsHandle, GroupsWiring, ServiceRequest};

use ::bytes::Bytes;
use laminarmq_replica::LogIndex;
use std::time::Duration;

/// Sixteen random bytes.
pub(crate) type Random = Box<dyn FnMut() -> [u8; 16] + Send>;

/// The time, twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// Since some moment of this run; never steps back. Deadlines are measured with it.
    pub(crate) mono: Duration,
    /// Milliseconds since 1970; what is kept across runs is measured with it.
    pub(crate) wall_ms: i64,
}

/// What is to be done outside of a coordinator.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output<R> {
    /// A request is answered.
    Reply {
        /// Who asked.
        reply: R,
        answer: Answer,
    },
    /// Propose this to the partition, in the order given, and hand the result back under the token.
    Propose {
        token: ProposalToken,
        command: Bytes,
    },
    /// The log is not needed before this index any more.
    Trim { first_kept: LogIndex },
}

type Outputs<R> = Vec<Output<R>>;
