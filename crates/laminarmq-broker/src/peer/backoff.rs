//! Pauses between attempts to reach a node: doubling up to a bound, half of each drawn by lot, so that many
//! nodes do not come back to one at the same moment.

use crate::env::Env;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            next: min,
        }
    }

    /// The node was reached.
    pub(super) fn reset(&mut self) {
        self.next = self.min;
    }

    /// Pause before the next attempt.
    pub(super) fn pause(&mut self, env: &Env) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.max);
        let half = whole / 2;
        let micros = u64::try_from(half.as_micros()).expect("pauses are seconds at most");
        half + Duration::from_micros(env.next_u64() % (micros + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound_and_start_again() {
        let (min, max) = (Duration::from_millis(50), Duration::from_secs(1));
        let env = Env::system();
        let mut backoff = Backoff::new(min, max);
        for _ in 0..2 {
            for whole in [50, 100, 200, 400, 800, 1000, 1000].map(Duration::from_millis) {
                let pause = backoff.pause(&env);
                assert!(
                    (whole / 2..=whole).contains(&pause),
                    "{pause:?} of {whole:?}"
                );
            }
            backoff.reset();
        }
    }

    #[test]
    fn lots_are_drawn() {
        let env = Env::system();
        let pauses: std::collections::HashSet<_> = (0..20)
            .map(|_| Backoff::new(Duration::from_secs(1), Duration::from_secs(1)).pause(&env))
            .collect();
        assert!(pauses.len() > 10);
    }
}
