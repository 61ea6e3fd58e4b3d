//! Log lines on stderr: one per event, as text for people or as JSON for programs.
//!
//! ```text
//! 2026-01-02T03:04:05.678901Z  INFO laminarmq_broker::broker: the broker stops took_ms=12
//! {"timestamp":"...","level":"INFO","message":"the broker stops","took_ms":12,"target":"laminarmq_broker::broker"}
//! ```
//!
//! In JSON every line on stderr is an object, a panic and the reason for which the program ends too.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal as _};
use std::panic;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFilter, LogFormat};
use crate::failure::Failure;
use crate::output;

/// Starts the log of this process. Calling it twice keeps the first.
pub(super) fn start(filter: &LogFilter, format: LogFormat) {
    let registry = tracing_subscriber::registry().with(filter.targets());
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    // An error here means that a subscriber is set already, which then writes the lines.
    let _ = match format {
        LogFormat::Text => {
            let styled = output::styled(io::stderr().is_terminal());
            registry.with(lines.with_ansi(styled)).try_init()
        }
        LogFormat::Json => {
            panic::set_hook(Box::new(tell_panic));
            let lines = lines
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false);
            registry.with(lines).try_init()
        }
    };
}

/// Writes the reason for which the program ends as a log line, where the others are JSON.
pub(super) fn tell_failure(failure: Failure, format: LogFormat) -> Failure {
    match format {
        LogFormat::Text => failure,
        LogFormat::Json => failure.tell(|what, hint| tracing::error!(hint, "{what}")),
    }
}

fn tell_panic(panic: &panic::PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let backtrace =
        matches!(backtrace.status(), BacktraceStatus::Captured).then(|| backtrace.to_string());
    let what = panic
        .payload_as_str()
        .unwrap_or("a panic without a message");
    tracing::error!(
        thread = std::thread::current().name(),
        location = panic.location().map(ToString::to_string),
        backtrace,
        "a panic: {what}"
    );
}
