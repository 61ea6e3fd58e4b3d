//! Consumer groups: who coordinates them, their offsets, and being a member of one.
//!
//! Invariants:
//! - A member holds partitions of one generation only. Once its heartbeats end, nothing is read for it
//!   until it has joined again; what was read and not committed is read again by whoever gets it next.
//! - A commit names the generation that its offsets were read in, so that the coordinator refuses those
//!   of a member that it has given up.
//! - Requests that a coordinator answers late on purpose (JoinGroup, SyncGroup) have a connection of
//!   their own: answers come in the order of requests, and a heartbeat must not wait behind them.

mod admin;
mod assignor;
mod coordinator;
mod heartbeat;
mod member;
mod offsets;
mod protocol;

pub(crate) use admin::{DescribedGroup, DescribedMember};
pub(crate) use coordinator::Coordinator;
pub(crate) use heartbeat::Heartbeats;
pub(crate) use member::Member;
pub(crate) use offsets::{Committer, TopicOffsets};

#[cfg(test)]
mod tests;
