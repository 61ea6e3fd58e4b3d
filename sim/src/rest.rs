//! What lets groups rest: each node says to the others that it is alive, and misses those that do not. As the
//! broker does it for all groups of a node at once.

use crate::checkers::Broken;
use crate::cluster::{Cluster, Event};
use laminarmq_replica::ReplicaId;
use std::collections::BTreeMap;

/// Ticks between two words of a node.
const ALIVE_EVERY: u64 = 2;
/// A node that is not heard of for so many ticks is silent.
pub(crate) const SILENT_TICKS: u32 = 6;

/// Of whom a node heard.
#[derive(Default)]
pub(crate) struct Hearing {
    ticks: u64,
    heard: BTreeMap<u64, u64>,
}

impl Hearing {
    fn misses(&self, id: u64) -> bool {
        let heard = self.heard.get(&id).copied().unwrap_or(0);
        self.ticks - heard >= SILENT_TICKS.into()
    }
}

impl Cluster {
    /// One tick of a node that is up.
    pub(crate) fn tick(&mut self, id: u64) -> Result<(), Broken> {
        let others: Vec<_> = self.nodes.keys().copied().filter(|it| *it != id).collect();
        let up = self.nodes.get_mut(&id).and_then(|node| node.up.as_mut());
        let up = up.expect("it ticks while it is up");
        up.hearing.ticks += 1;
        let speaks = up.hearing.ticks.is_multiple_of(ALIVE_EVERY);
        let members = up.replica.members();
        let misses =
            |other: &&u64| members.contains(ReplicaId(**other)) && up.hearing.misses(**other);
        let missed = others.iter().find(misses).copied();
        let rested = up.replica.is_at_rest();
        if let Some(missed) = missed.filter(|_| rested) {
            up.replica.wake(SILENT_TICKS);
            self.counts.missed_at_rest += 1;
            self.note(&format!("{id} misses {missed}"));
        }
        let up = self.nodes.get_mut(&id).and_then(|node| node.up.as_mut());
        up.expect("it is up").replica.tick();
        if speaks {
            self.say_alive(id, &others);
        }
        self.pump(id)
    }

    fn say_alive(&mut self, from: u64, others: &[u64]) {
        let now = self.clock.now();
        for &to in others {
            for arrival in self.network.send(from, to, now, &mut self.counts) {
                self.clock.at(arrival, Event::Alive { from, to });
            }
        }
    }

    pub(crate) fn hear(&mut self, from: u64, to: u64) {
        if self.network.is_blocked(from, to) {
            self.counts.blocked += 1;
        } else if let Some(up) = self.nodes.get_mut(&to).and_then(|node| node.up.as_mut()) {
            let ticks = up.hearing.ticks;
            up.hearing.heard.insert(from, ticks);
        }
    }

    /// Notes who began to rest.
    pub(crate) fn see_rest(&mut self, id: u64) {
        let Some(up) = self.nodes.get_mut(&id).and_then(|node| node.up.as_mut()) else {
            return;
        };
        let rests = up.replica.is_at_rest();
        if std::mem::replace(&mut up.rested, rests) != rests {
            let leads = up.replica.is_leader();
            self.counts.rests += u64::from(rests && leads);
            self.note(&format!("{id} {}", if rests { "rests" } else { "wakes" }));
        }
    }

    /// Clients do nothing for a while.
    pub(crate) fn lull(&mut self) {
        let lasts = self.timing.between(200, 1_500) * 1000;
        self.quiet_until = self.clock.now().after_micros(lasts);
        let pause = self.timing.between(2_000, 6_000) * 1000;
        self.clock.in_micros(pause, Event::Lull);
    }
}
