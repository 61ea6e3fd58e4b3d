//! Requests of Kafka clients, by API.

use super::{SECONDS, counters, registered};
use laminarmq_kafka::api::served;
use laminarmq_kafka::{ApiKey, ErrorCode};
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Registry};
use std::time::Duration;

/// What an error code counts as that has no name.
const OTHER: &str = "OTHER";

#[derive(Debug)]
pub(crate) struct RequestMetrics {
    /// By the API's number; `None` for those that are not served.
    apis: Vec<Option<Api>>,
    errors: IntCounterVec,
}

#[derive(Debug)]
struct Api {
    received: IntCounter,
    seconds: Histogram,
}

impl RequestMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let received = counters(
            registry,
            "laminarmq_requests_total",
            "Requests that were received.",
            &["api"],
        );
        let options = HistogramOpts::new(
            "laminarmq_request_duration_seconds",
            "From the last byte of a request to the last byte of its answer handed to the system. A \
             fetch includes the time for which it waited for data.",
        );
        let seconds = registered(
            registry,
            HistogramVec::new(options.buckets(SECONDS.to_vec()), &["api"]),
        );
        let mut apis = Vec::new();
        for range in served() {
            let number = index(range.api).expect("a served API has a number that is not negative");
            if apis.len() <= number {
                apis.resize_with(number + 1, || None);
            }
            let name = [range.api.name()];
            apis[number] = Some(Api {
                received: received.with_label_values(&name),
                seconds: seconds.with_label_values(&name),
            });
        }
        Self {
            apis,
            errors: counters(
                registry,
                "laminarmq_request_errors_total",
                "Error codes in answers: of the whole request, of a topic, of a partition, each counted.",
                &["api", "error"],
            ),
        }
    }

    fn api(&self, api: ApiKey) -> Option<&Api> {
        self.apis.get(index(api)?)?.as_ref()
    }

    pub(crate) fn received(&self, api: ApiKey) {
        if let Some(api) = self.api(api) {
            api.received.inc();
        }
    }

    pub(crate) fn answered(&self, api: ApiKey, took: Duration) {
        if let Some(api) = self.api(api) {
            api.seconds.observe(took.as_secs_f64());
        }
    }

    /// Counts a code of an answer, unless it says that all is well.
    pub(crate) fn code(&self, api: ApiKey, code: ErrorCode) {
        if !code.is_none() {
            let error = code.name().unwrap_or(OTHER);
            self.errors.with_label_values(&[api.name(), error]).inc();
        }
    }
}

fn index(api: ApiKey) -> Option<usize> {
    usize::try_from(api.number()).ok()
}
