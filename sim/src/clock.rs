//! Simulated time: the queue of what happens when.

use std::collections::BTreeMap;

/// Microseconds since the start of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) u64);

impl Time {
    pub(crate) fn after_micros(self, micros: u64) -> Self {
        Self(self.0 + micros)
    }

    pub(crate) fn after_millis(self, millis: u64) -> Self {
        self.after_micros(millis * 1000)
    }

    pub(crate) fn millis(self) -> u64 {
        self.0 / 1000
    }
}

/// Events in the order of their times; of equal times, in the order in which they were planned.
pub(crate) struct Clock<T> {
    now: Time,
    planned: BTreeMap<(Time, u64), T>,
    next: u64,
}

impl<T> Clock<T> {
    pub(crate) fn new() -> Self {
        Self {
            now: Time::default(),
            planned: BTreeMap::new(),
            next: 0,
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.now
    }

    /// Plans an event; what lies in the past happens next.
    pub(crate) fn at(&mut self, time: Time, event: T) {
        self.planned.insert((time.max(self.now), self.next), event);
        self.next += 1;
    }

    pub(crate) fn in_micros(&mut self, micros: u64, event: T) {
        self.at(self.now.after_micros(micros), event);
    }

    /// Moves to the next event, unless that is after `end`.
    pub(crate) fn advance(&mut self, end: Time) -> Option<T> {
        let (&(time, number), _) = self.planned.first_key_value()?;
        if time > end {
            return None;
        }
        self.now = time;
        self.planned.remove(&(time, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_of_time_then_of_planning_and_never_back() {
        let mut clock = Clock::new();
        clock.at(Time(20), "c");
        clock.at(Time(10), "a");
        clock.at(Time(10), "b");
        assert_eq!(clock.advance(Time(15)), Some("a"));
        clock.at(Time(0), "late");
        assert_eq!(clock.advance(Time(15)), Some("b"));
        assert_eq!(clock.advance(Time(15)), Some("late"));
        assert_eq!(clock.now(), Time(10));
        assert_eq!(clock.advance(Time(15)), None);
        assert_eq!(clock.advance(Time(25)), Some("c"));
        assert_eq!(clock.now(), Time(20));
    }
}
