//! What a scrape reads where it is: the state of a broker that is past its start.
//!
//! Nothing here waits for a shard or for the controller, and for the groups' coordinators only so long. Offsets come from what the shards told last
//! ([`PartitionWatch`](crate::routing::PartitionWatch)), the rest from counts that are kept anyway.

use super::exposition::{Exposition, Kind, Labels};
use super::groups::{self, GroupSnapshot};
use super::{partitions, peers};
use crate::context::Context;
use crate::flusher::Flusher;
use crate::limits::{GROUPS_LOOK_MAX, SEALED_FILES_OPEN_MAX};
use laminarmq::OpenFiles;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) context: Arc<Context>,
    pub(crate) flusher: Flusher,
    /// The files of sealed segments.
    pub(crate) sealed: OpenFiles,
}

impl Serving {
    /// The groups of which this node is the coordinator; `None` where nobody can tell now.
    pub(crate) async fn look_at_groups(&self) -> Option<Vec<GroupSnapshot>> {
        let overview = timeout(GROUPS_LOOK_MAX, self.context.groups.overview()).await;
        let overview = overview.ok()?.ok()?;
        let image = self.context.image();
        let snapshot = |group| GroupSnapshot::of(group, &image);
        Some(overview.into_iter().map(snapshot).collect())
    }

    pub(super) fn write(&self, groups: Option<&[GroupSnapshot]>, out: &mut Exposition) {
        self.bounds(out);
        self.shards(out);
        self.storage(out);
        let cluster = self.context.cluster.as_ref();
        let counts = cluster.map_or_else(Vec::new, |cluster| cluster.peers.counts());
        peers::write(&counts, out);
        let image = self.context.image();
        let partitions = partitions::Partitions::look(&image, &self.context.router);
        partitions.write(self.context.node_id, out);
        groups::write(groups, &partitions, out);
    }

    fn bounds(&self, out: &mut Exposition) {
        let limits = &self.context.config.limits;
        let mut gauge = |name, help, value: u64| {
            out.family(name, Kind::Gauge, help)
                .sample(&Labels::NONE, value);
        };
        gauge(
            "laminarmq_connections_max",
            "Connections of Kafka clients that are served at the same time; further ones wait.",
            limits.connections as u64,
        );
        gauge(
            "laminarmq_request_bytes_in_flight",
            "Bytes of request frames in memory, from their arrival to their answers.",
            taken(&self.context.frame_bytes, limits.bytes_in_flight),
        );
        gauge(
            "laminarmq_request_bytes_in_flight_max",
            "How many there may be; then reading from the sockets waits.",
            limits.bytes_in_flight.into(),
        );
        gauge(
            "laminarmq_fetch_bytes_in_flight",
            "Bytes of fetch answers in memory or on their way to a socket.",
            taken(&self.context.fetch_bytes, limits.fetch_bytes_in_flight),
        );
        gauge(
            "laminarmq_fetch_bytes_in_flight_max",
            "How many there may be; then fetches wait.",
            limits.fetch_bytes_in_flight.into(),
        );
    }

    fn shards(&self, out: &mut Exposition) {
        let shards: Vec<_> = (0..)
            .zip(self.context.router.shards())
            .map(|(number, load): (usize, _)| (Labels::of(&[("shard", &number.to_string())]), load))
            .collect();
        let mut depth = out.family(
            "laminarmq_shard_mailbox_depth",
            Kind::Gauge,
            "Inputs that wait for the shard.",
        );
        for (labels, load) in &shards {
            depth.sample(labels, load.waiting);
        }
        let mut most = out.family(
            "laminarmq_shard_mailbox_depth_max",
            Kind::Gauge,
            "How many may wait; then their senders do.",
        );
        for (labels, load) in &shards {
            most.sample(labels, load.waiting_max);
        }
        let mut partitions = out.family(
            "laminarmq_shard_partitions",
            Kind::Gauge,
            "Partitions that the shard owns, that of the metadata too.",
        );
        for (labels, load) in &shards {
            partitions.sample(labels, load.partitions);
        }
    }

    fn storage(&self, out: &mut Exposition) {
        let mut gauge = |name, help, value: usize| {
            out.family(name, Kind::Gauge, help)
                .sample(&Labels::NONE, value);
        };
        gauge(
            "laminarmq_flush_queue_depth",
            "Flush jobs that wait for a thread.",
            self.flusher.waiting(),
        );
        gauge(
            "laminarmq_sealed_files_open",
            "Files of sealed segments that are open.",
            self.sealed.count(),
        );
        gauge(
            "laminarmq_sealed_files_open_max",
            "How many stay open; beyond that those used least recently are closed.",
            SEALED_FILES_OPEN_MAX,
        );
    }
}

/// What is out of `semaphore`, which began with `limit` permits.
fn taken(semaphore: &Semaphore, limit: u32) -> u64 {
    u64::from(limit).saturating_sub(semaphore.available_permits() as u64)
}
