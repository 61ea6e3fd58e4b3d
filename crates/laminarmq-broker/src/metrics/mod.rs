//! What the broker counts about itself, for `/metrics`.
//!
//! - Whatever a request touches is a handle that was made at the start: counting it is a few atomic additions,
//!   without a lock, a look-up or memory. Only a refusal (an error code, a closed connection) looks its
//!   counter up.
//! - What is a state and not an event (offsets, queue lengths, bytes in flight) is not kept here: a scrape
//!   reads it where it is, see [`Serving`]. No scrape goes through a shard's mailbox.
//! - The values of a label are few and known: APIs, error codes, reasons, shards; and the topics, partitions
//!   and groups that there are. No text of a client becomes a label before it is the name of one of these.
//! - A name stands here or in a module below and in `docs/metrics.md`; a test holds the two together.

mod connections;
mod data;
mod exposition;
mod flush;
mod groups;
mod partitions;
mod peers;
mod process;
mod requests;
mod serving;

pub(crate) use connections::ConnectionMetrics;
pub(crate) use data::Amount;
pub(crate) use data::DataMetrics;
pub(crate) use flush::FlushMetrics;
pub(crate) use requests::RequestMetrics;
pub(crate) use serving::Serving;

use crate::config::BuildInfo;
use crate::env::Env;
use exposition::{Exposition, Kind, Labels};
use groups::GroupSnapshot;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};
use std::fmt;
use std::time::Duration;

/// Upper bounds of durations, in seconds: from a request that is answered from memory to a fetch that waits
/// as long as it may.
const SECONDS: &[f64] = &[
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];

/// All counters of one broker. Brokers in one process share none.
pub(crate) struct Metrics {
    env: Env,
    build: BuildInfo,
    started_ms: i64,
    registry: Registry,
    pub(crate) connections: ConnectionMetrics,
    pub(crate) requests: RequestMetrics,
    pub(crate) data: DataMetrics,
    pub(crate) flush: FlushMetrics,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// When something began, by [`Metrics::now`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(Duration);

impl Metrics {
    pub(crate) fn new(env: &Env, build: BuildInfo) -> Self {
        let registry = Registry::new();
        Self {
            env: env.clone(),
            build,
            started_ms: env.now_ms(),
            connections: ConnectionMetrics::new(&registry),
            requests: RequestMetrics::new(&registry),
            data: DataMetrics::new(&registry),
            flush: FlushMetrics::new(&registry),
            registry,
        }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment(self.env.monotonic())
    }

    /// How long ago that was.
    pub(crate) fn since(&self, moment: Moment) -> Duration {
        self.env.monotonic().saturating_sub(moment.0)
    }

    /// Everything, in Prometheus' text format. `serving` is there once the broker is past its start.
    pub(crate) fn render(
        &self,
        ready: bool,
        serving: Option<&Serving>,
        groups: Option<&[GroupSnapshot]>,
    ) -> String {
        let mut text = String::with_capacity(64 << 10);
        TextEncoder::new()
            .encode_utf8(&self.registry.gather(), &mut text)
            .expect("all families were checked when they were registered");
        let mut out = Exposition::after(text);
        self.own_state(ready, &mut out);
        process::write(&mut out);
        if let Some(serving) = serving {
            serving.write(groups, &mut out);
        }
        out.into_text()
    }

    fn own_state(&self, ready: bool, out: &mut Exposition) {
        let labels = Labels::of(&[
            ("version", self.build.version.as_str()),
            ("commit", self.build.commit.as_str()),
        ]);
        out.family(
            "laminarmq_build_info",
            Kind::Gauge,
            "Always 1; the labels say what was built.",
        )
        .sample(&labels, 1);
        out.family(
            "laminarmq_start_time_seconds",
            Kind::Gauge,
            "When the broker started, in seconds since 1970-01-01 UTC.",
        )
        .sample(&Labels::NONE, seconds(self.started_ms));
        out.family(
            "laminarmq_ready",
            Kind::Gauge,
            "1 while the broker serves, 0 while it starts, stops or has failed.",
        )
        .sample(&Labels::NONE, u8::from(ready));
    }
}

/// Milliseconds as seconds, exact: the text keeps all three digits.
fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

/// Puts a new instrument into the registry. A name that is wrong or taken is our own bug, and every start
/// finds it.
fn registered<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> C {
    let instrument = made.expect("names and labels are well formed");
    registry
        .register(Box::new(instrument.clone()))
        .expect("each name is used once");
    instrument
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    registered(registry, IntCounter::new(name, help))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    registered(registry, IntGauge::new(name, help))
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    registered(registry, Histogram::with_opts(options))
}

#[cfg(test)]
mod tests;
