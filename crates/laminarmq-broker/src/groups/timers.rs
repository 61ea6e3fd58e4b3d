//! Deadlines of groups and members, each of which may be moved and dropped.
//!
//! Moving a deadline back, which each heartbeat does, costs a look-up: it stays in the queue where it is and
//! is put to its new place when its old one comes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What a deadline is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The members that have not joined by now are out.
    Rebalance,
    /// The members that have not asked for their assignment by now are out.
    Sync,
    /// The member was silent for too long.
    Session(String),
    /// The member id that was given out was not used.
    Pending(String),
}

type Key = (Arc<str>, Timer);

#[derive(Debug, Clone, Copy)]
struct Deadline {
    due: Duration,
    /// Its place in the queue, at or before `due`.
    queued: Duration,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Duration, Key)>,
    deadlines: BTreeMap<Key, Deadline>,
}

impl Timers {
    pub(super) fn set(&mut self, group: &Arc<str>, timer: Timer, due: Duration) {
        let key = (Arc::clone(group), timer);
        match self.deadlines.get_mut(&key) {
            Some(deadline) if deadline.queued <= due => deadline.due = due,
            Some(deadline) => {
                let queued = (deadline.queued, key);
                self.queue.remove(&queued);
                *deadline = Deadline { due, queued: due };
                self.queue.insert((due, queued.1));
            }
            None => {
                self.deadlines
                    .insert(key.clone(), Deadline { due, queued: due });
                self.queue.insert((due, key));
            }
        }
    }

    pub(super) fn cancel(&mut self, group: &Arc<str>, timer: Timer) {
        let key = (Arc::clone(group), timer);
        if let Some(deadline) = self.deadlines.remove(&key) {
            self.queue.remove(&(deadline.queued, key));
        }
    }

    /// Takes a deadline that has come. Repeat until there is none.
    pub(super) fn pop(&mut self, now: Duration) -> Option<(Arc<str>, Timer)> {
        loop {
            let (queued, _) = self.queue.first().filter(|(queued, _)| *queued <= now)?;
            let queued = *queued;
            let (_, key) = self.queue.pop_first().expect("looked at above");
            let deadline = self
                .deadlines
                .get_mut(&key)
                .expect("what is queued has a deadline");
            debug_assert_eq!(deadline.queued, queued);
            if deadline.due <= now {
                self.deadlines.remove(&key);
                return Some(key);
            }
            deadline.queued = deadline.due;
            self.queue.insert((deadline.due, key));
        }
    }

    /// Not later than the next deadline.
    pub(super) fn next(&self) -> Option<Duration> {
        self.queue.first().map(|(queued, _)| *queued)
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.deadlines.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.queue.len(), self.deadlines.len());
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn deadlines_come_in_order_at_their_last_setting() {
        let group: Arc<str> = "g".into();
        let mut timers = Timers::default();
        timers.set(&group, Timer::Sync, secs(5));
        timers.set(&group, Timer::Rebalance, secs(3));
        timers.set(&group, Timer::Rebalance, secs(9));
        timers.set(&group, Timer::Session("a".to_owned()), secs(7));
        timers.set(&group, Timer::Session("a".to_owned()), secs(1));
        timers.set(&group, Timer::Pending("b".to_owned()), secs(2));
        timers.cancel(&group, Timer::Pending("b".to_owned()));
        let mut fired = Vec::new();
        for now in 0..10 {
            while let Some((_, timer)) = timers.pop(secs(now)) {
                fired.push((now, timer));
            }
        }
        let want = [
            (1, Timer::Session("a".to_owned())),
            (5, Timer::Sync),
            (9, Timer::Rebalance),
        ];
        assert_eq!(fired, want);
        assert_eq!((timers.len(), timers.next()), (0, None));
    }

    proptest! {
        /// Against a plain map.
        #[test]
        fn they_do_what_a_map_would(steps in prop::collection::vec((0u8..6, 0u64..20, 0u8..4), 0..200)) {
            let group: Arc<str> = "g".into();
            let mut timers = Timers::default();
            let mut model: BTreeMap<Timer, u64> = BTreeMap::new();
            let mut now = 0;
            for (member, ahead, action) in steps {
                let timer = Timer::Session(member.to_string());
                match action {
                    0 => {
                        timers.cancel(&group, timer.clone());
                        model.remove(&timer);
                    }
                    1 => {
                        now += ahead;
                        let mut fired = BTreeSet::new();
                        while let Some((_, timer)) = timers.pop(secs(now)) {
                            fired.insert(timer);
                        }
                        let due = model.iter().filter(|(_, due)| **due <= now);
                        prop_assert_eq!(&fired, &due.map(|(timer, _)| timer.clone()).collect());
                        model.retain(|_, due| *due > now);
                    }
                    _ => {
                        timers.set(&group, timer.clone(), secs(now + ahead));
                        model.insert(timer, now + ahead);
                    }
                }
                prop_assert_eq!(timers.len(), model.len());
                let next = model.values().min().map(|due| secs(*due));
                prop_assert!(timers.next() <= next || next.is_none());
                prop_assert_eq!(timers.next().is_none(), next.is_none());
            }
        }
    }
}
