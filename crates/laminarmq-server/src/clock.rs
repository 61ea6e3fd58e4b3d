//! The one place of this binary that asks the machine for the time.
//!
//! Everything below the command line takes its time from `Env` or from a caller, so that the
//! simulator owns it. A command line is the outermost shell: somebody has to look at the clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock: for deadlines and for measuring.
#[expect(
    clippy::disallowed_methods,
    reason = "the outermost shell reads the clock, here and nowhere else"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, as Kafka's timestamps count them.
#[expect(
    clippy::disallowed_methods,
    reason = "the outermost shell reads the clock, here and nowhere else"
)]
pub(crate) fn wall_ms() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Lets `duration` pass; for the pause between two attempts of a client.
#[expect(
    clippy::disallowed_methods,
    reason = "a client that backs off has nothing but the clock to wait for"
)]
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
