//! laminarmq's broker: the Kafka protocol on one side, replicated logs on the other.
//!
//! ```text
//! net         sockets, frames, answers in order
//! http        the other port: metrics, liveness, readiness
//! metrics     what is counted, and what a scrape reads
//! handlers    one file per API; checks batches, waits for answers
//! peer        what nodes say to each other: links, frames, calls
//! routing     which shard has a partition; waking those who wait for it
//! shard       owns partitions; a synchronous step without clock, locks or I/O of its own
//! flusher     makes what the shards wrote durable
//! groups      consumer groups and their offsets, in partitions whose logs hold commands
//! controller  the metadata group: topics, their partitions, producer ids
//! retention   from time to time: old records go
//! data_dir    the directory: lock, identity, folders
//! ```
//!
//! # Invariants
//!
//! - A partition is touched by its shard only. Reads are planned there and done elsewhere.
//! - Each queue, cache and buffer has a bound, see [`limits`]; a full one makes its senders wait.
//! - A request with `acks=all` is answered after a sync of its partition's data (unless the topic says
//!   `flush=os`); a failed sync ends the broker.
//! - What a client sends, whatever it is, has no effect on other connections.

mod broker;
mod cluster;
mod config;
mod context;
mod controller;
mod data_dir;
mod engine;
mod env;
mod flusher;
mod groups;
mod handlers;
mod http;
pub mod limits;
mod metrics;
mod net;
mod parallel;
mod peer;
mod retention;
mod routing;
mod runtime;
pub mod shard;
#[cfg(feature = "test-util")]
pub mod test_util;
mod topics;

pub use broker::{Broker, BrokerFailure, Running, StartError};
pub use cluster::{BootstrapError, Member, NodeId, NodeIdError};
pub use config::{
    BrokerConfig, BuildInfo, ClusterConfig, ConfigError, FlushMode, GroupConfig, HostPort,
};
pub use controller::{ControllerError, OpenError};
pub use data_dir::DataDirError;
pub use env::{Clock, Entropy, Env};
pub use limits::Limits;
pub use peer::{Envelope, Lane};
