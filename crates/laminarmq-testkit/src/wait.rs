//! Waiting: for a condition, up to a deadline.
//!
//! This is the one place of the test kit that reads the clock or gives up the processor. A pause
//! spaces out probes, or what is done to processes; nothing depends on how long it lasts.

use std::fmt;
use std::time::{Duration, Instant};

/// The pause between two probes of a condition.
const PROBE_PAUSE: Duration = Duration::from_millis(2);

#[expect(
    clippy::disallowed_methods,
    reason = "tests of real processes live on real time"
)]
fn now() -> Instant {
    Instant::now()
}

/// Lets time pass: between probes of a condition that has a deadline, and as the pace of what a test does to a
/// process. Nothing may depend on how long it lasts; to wait for something there is [`eventually`].
#[expect(
    clippy::disallowed_methods,
    reason = "spaces out probes, and what is done to processes"
)]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// The moment at which a wait is given up.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
    limit: Duration,
}

/// A condition did not become true before its deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedOut {
    what: String,
    limit: Duration,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "still waiting after {:?}: {}", self.limit, self.what)
    }
}

impl std::error::Error for TimedOut {}

impl Deadline {
    /// A deadline `limit` from now.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self {
            at: now() + limit,
            limit,
        }
    }

    /// A deadline `seconds` from now.
    #[must_use]
    pub fn seconds(seconds: u64) -> Self {
        Self::after(Duration::from_secs(seconds))
    }

    /// The time that remains; zero once the deadline has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.at.saturating_duration_since(now())
    }

    /// Whether the deadline has passed.
    #[must_use]
    pub fn is_past(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Probes until the probe returns a value. The probe always runs at least once.
    pub fn wait_for<T>(
        &self,
        what: &str,
        mut probe: impl FnMut() -> Option<T>,
    ) -> Result<T, TimedOut> {
        loop {
            if let Some(found) = probe() {
                return Ok(found);
            }
            let remaining = self.remaining();
            if remaining.is_zero() {
                return Err(TimedOut {
                    what: what.to_owned(),
                    limit: self.limit,
                });
            }
            pause(PROBE_PAUSE.min(remaining));
        }
    }
}

/// Waits until the probe returns a value.
///
/// # Panics
/// When the deadline passes first, with `what` in the message.
#[track_caller]
pub fn eventually<T>(what: &str, deadline: Deadline, probe: impl FnMut() -> Option<T>) -> T {
    match deadline.wait_for(what, probe) {
        Ok(found) => found,
        Err(timed_out) => panic!("{timed_out}"),
    }
}

/// Measures how long something took, to print it; nothing may be asserted on it.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(now())
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        now().saturating_duration_since(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_what_the_probe_found_after_several_probes() {
        let mut probes = 0;
        let found = eventually("third probe", Deadline::seconds(10), || {
            probes += 1;
            (probes == 3).then_some(probes)
        });
        assert_eq!(found, 3);
    }

    #[test]
    fn a_condition_that_never_holds_times_out_after_one_probe_at_least() {
        let mut probes = 0;
        let result = Deadline::after(Duration::ZERO).wait_for("the impossible", || {
            probes += 1;
            None::<()>
        });
        let timed_out = result.expect_err("nothing was found");
        assert!(
            timed_out.to_string().contains("the impossible"),
            "{timed_out}"
        );
        assert_eq!(probes, 1);
    }
}
