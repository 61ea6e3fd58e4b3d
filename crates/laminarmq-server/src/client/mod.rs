//! A Kafka client over our own codec: what the command line talks to brokers with.
//!
//! Invariants:
//! - The broker is not trusted. A frame is at most [`FRAME_BYTES_MAX`] and grows with the bytes that
//!   really came, a correlation id must be the next one expected, a response is decoded whole or the
//!   connection ends.
//! - Everything in flight is bounded: requests per connection, batches per partition, fetched bytes
//!   that nobody took yet.
//! - Within a partition records keep their order: one batch at a time is under way, and a retry sends
//!   the same bytes again.
//!
//! ```text
//! Producer -> lane per partition --\
//! Consumer -> fetcher --------------> Client (routing) -> Connection (pipelined) -> socket
//! admin, offsets ------------------/
//! Member, Coordinator -> a Connection of their own to the group's coordinator
//! ```

mod admin;
mod cluster;
mod configs;
mod connection;
mod consumer;
mod error;
#[cfg(test)]
mod fake_broker;
#[cfg(test)]
mod fake_groups;
mod frames;
mod group;
mod nodes;
mod offsets;
mod partitioner;
mod producer;
mod records;
mod retry;
mod versions;

use std::time::Duration;

pub(crate) use admin::NewTopic;
pub(crate) use cluster::{Client, Missing, Topic};
pub(crate) use configs::{Setting, SettingChange};
pub(crate) use consumer::{Assignment, Consumer, Delivery};
pub(crate) use error::ClientError;
pub(crate) use group::{
    Committer, Coordinator, DescribedGroup, DescribedMember, Heartbeats, Member, TopicOffsets,
};
pub(crate) use nodes::{Cluster, Node};
#[cfg(test)]
pub(crate) use producer::Written;
pub(crate) use producer::{Acks, Producer, ProducerOptions, Summary};

/// How a client names itself to brokers.
pub(crate) const CLIENT_ID: &str = "laminarmq";

/// Largest response that is read, in bytes.
pub(crate) const FRAME_BYTES_MAX: usize = 128 << 20;

/// What a client waits for, and how long.
#[derive(Debug, Clone)]
pub(crate) struct ClientOptions {
    /// For a TCP connection.
    pub(crate) connect_timeout: Duration,
    /// For the answer to one request.
    pub(crate) request_timeout: Duration,
    /// For one piece of work with all its attempts.
    pub(crate) delivery_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            delivery_timeout: Duration::from_secs(30),
        }
    }
}
