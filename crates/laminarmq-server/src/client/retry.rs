//! When to try again: pauses that double, up to a deadline.

use std::time::{Duration, Instant};

use super::ClientError;
use crate::clock;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The attempts of one piece of work.
#[derive(Debug)]
pub(super) struct Attempts {
    deadline: Instant,
    pause: Duration,
    /// Whoever waits was told why.
    told: bool,
}

impl Attempts {
    /// Attempts that may go on for `budget`.
    pub(super) fn within(budget: Duration) -> Self {
        Self {
            deadline: clock::now() + budget,
            pause: FIRST_PAUSE,
            told: false,
        }
    }

    /// Pauses before the next attempt, or gives `error` back: it would not help, or time is up.
    pub(super) async fn after(&mut self, error: ClientError) -> Result<(), ClientError> {
        if !error.retriable() {
            return Err(error);
        }
        self.again(error).await
    }

    /// Pauses before the next attempt, whose caller knows that it may help; gives `error` back when time
    /// is up.
    pub(super) async fn again(&mut self, error: ClientError) -> Result<(), ClientError> {
        let now = clock::now();
        let Some(pause) = self.pause_at(now) else {
            return Err(error);
        };
        // Short trouble is nobody's business; more than about a second looks like a hang.
        if pause == PAUSE_MAX && !self.told {
            self.told = true;
            let left = self.deadline.saturating_duration_since(now).as_secs();
            tracing::warn!("{error}; trying again for up to {left} s");
        }
        clock::pause(pause).await;
        Ok(())
    }

    fn pause_at(&mut self, now: Instant) -> Option<Duration> {
        if now + self.pause > self.deadline {
            return None;
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use laminarmq_kafka::ErrorCode;

    use super::*;

    #[test]
    fn pauses_double_until_the_deadline() {
        let mut attempts = Attempts::within(Duration::from_secs(10));
        let start = attempts.deadline - Duration::from_secs(10);
        let pauses: Vec<_> = (0..8)
            .map_while(|_| attempts.pause_at(start))
            .map(|pause| pause.as_millis())
            .collect();
        assert_eq!(pauses, [20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(attempts.pause_at(attempts.deadline), None);
    }

    #[tokio::test]
    async fn an_error_for_good_is_given_back_at_once() {
        let mut attempts = Attempts::within(Duration::from_secs(10));
        let refused = |code| ClientError::refused("x", code, None);
        let for_good = attempts.after(refused(ErrorCode::MESSAGE_TOO_LARGE)).await;
        assert_eq!(
            for_good.expect_err("given back").code(),
            Some(ErrorCode::MESSAGE_TOO_LARGE)
        );
        let may_help = attempts
            .after(refused(ErrorCode::NOT_LEADER_OR_FOLLOWER))
            .await;
        may_help.expect("another attempt");
        let may_help = attempts.again(refused(ErrorCode::MESSAGE_TOO_LARGE)).await;
        may_help.expect("another attempt");
    }
}
