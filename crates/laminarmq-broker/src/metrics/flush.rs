//! The flusher: what it synced, how long that took, how much it covered.

use super::{SECONDS, counter, histogram};
use prometheus::{Histogram, IntCounter, Registry};
use std::time::Duration;

/// Upper bounds of how many log entries one sync covers.
const ENTRIES: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0,
];

#[derive(Debug)]
pub(crate) struct FlushMetrics {
    jobs: IntCounter,
    sync_seconds: Histogram,
    entries: Histogram,
    save_seconds: Histogram,
    saved_groups: IntCounter,
}

impl FlushMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            jobs: counter(
                registry,
                "laminarmq_flush_jobs_total",
                "Flush jobs that ran: syncs of a log, saves of a group's raft state, or both.",
            ),
            sync_seconds: histogram(
                registry,
                "laminarmq_flush_duration_seconds",
                "How long it took to make one partition's new entries durable (fdatasync).",
                SECONDS,
            ),
            entries: histogram(
                registry,
                "laminarmq_flush_entries",
                "Log entries (batches) that one sync made durable: the size of a group commit.",
                ENTRIES,
            ),
            save_seconds: histogram(
                registry,
                "laminarmq_raft_state_save_duration_seconds",
                "How long it took to write and sync the raft-state journal once.",
                SECONDS,
            ),
            saved_groups: counter(
                registry,
                "laminarmq_raft_state_saved_groups_total",
                "Groups whose raft state was saved; several share one save.",
            ),
        }
    }

    pub(crate) fn job(&self) {
        self.jobs.inc();
    }

    pub(crate) fn synced(&self, entries: u64, took: Duration) {
        self.sync_seconds.observe(took.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        self.entries.observe(entries as f64);
    }

    pub(crate) fn saved(&self, groups: usize, took: Duration) {
        self.save_seconds.observe(took.as_secs_f64());
        self.saved_groups.inc_by(groups as u64);
    }
}
