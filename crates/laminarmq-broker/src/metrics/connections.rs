//! Connections of Kafka clients.

use super::{counter, counters, gauge};
use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};

#[derive(Debug)]
pub(crate) struct ConnectionMetrics {
    open: IntGauge,
    accepted: IntCounter,
    closed: IntCounterVec,
}

impl ConnectionMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            open: gauge(
                registry,
                "laminarmq_connections_open",
                "Connections of Kafka clients that are open.",
            ),
            accepted: counter(
                registry,
                "laminarmq_connections_accepted_total",
                "Connections of Kafka clients that were accepted.",
            ),
            closed: counters(
                registry,
                "laminarmq_connections_closed_total",
                "Connections of Kafka clients that ended, by the reason.",
                &["reason"],
            ),
        }
    }

    /// Counts a connection for as long as the result lives.
    pub(crate) fn opened(&self) -> OpenConnection<'_> {
        self.accepted.inc();
        self.open.inc();
        OpenConnection(self)
    }

    pub(crate) fn closed(&self, reason: &'static str) {
        self.closed.with_label_values(&[reason]).inc();
    }
}

/// See [`ConnectionMetrics::opened`]. A panic of the connection's task ends it too.
#[derive(Debug)]
pub(crate) struct OpenConnection<'a>(&'a ConnectionMetrics);

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.open.dec();
    }
}
