//! Bytes of entries on the way to each peer.
//!
//! The raft crate counts messages in flight. Here their bytes are counted, and a peer that has too
//! many gets a window of exactly the messages that are out, which pauses it until answers come.
//! One round may add what [`Store`](super::store::Store) lets a round send, so a peer never has
//! more than twice the limit, and one entry, on its way.
//!
//! A peer that is behind has a smaller window, which bounds what its disk syncs at once: those that wait for
//! other syncs of that disk, or of one that it shares, do not wait long; see [`Pace`].

use std::collections::{BTreeMap, VecDeque};

use raft::{ProgressState, Raft, StateRole, Storage};

use super::pace::{Bounds, Pace, Seen};
use crate::config::INFLIGHT_APPENDS_MAX;
use crate::{PeerBody, PeerMessage, ReplicaId};

/// A leadership is new for so many ticks: what was written in it is not much yet.
const NEW_FOR_TICKS: u32 = 16;

pub(super) struct Flow {
    bounds: Bounds,
    led: Led,
    peers: BTreeMap<ReplicaId, Window>,
    /// Of those that follow.
    paces: BTreeMap<ReplicaId, Pace>,
}

/// The present leadership, or the last one.
#[derive(Clone, Copy, Default)]
struct Led {
    /// Its first entry.
    first: u64,
    ticks: u32,
}

impl Led {
    /// Whether a peer that has everything up to `matched` lacks nothing but what was written in it, a moment ago.
    fn wrote_all_after(self, matched: u64) -> bool {
        self.ticks <= NEW_FOR_TICKS && matched + 1 >= self.first
    }
}

#[derive(Default)]
struct Window {
    /// (index, bytes) of the appends that are out, in order.
    out: VecDeque<(u64, u64)>,
    bytes: u64,
    /// Mean bytes of what was out last, or more; not 0. It falls by a quarter with each message at most: one entry of a
    /// leadership's beginning among large ones says nothing of what the peer still lacks.
    mean: Option<u64>,
    /// Its number of messages is bounded by less than [`INFLIGHT_APPENDS_MAX`].
    bounded: bool,
}

impl Window {
    /// Something was sent.
    fn weigh(&mut self) {
        let mean = self.bytes / self.out.len() as u64;
        let before = self.mean.unwrap_or(1);
        self.mean = Some(mean.max(before - before / 4));
    }
}

impl Flow {
    pub(super) fn new(bytes_max: u64, catch_up_bytes: u64) -> Self {
        let max = bytes_max.max(1);
        let catch_up = catch_up_bytes.clamp(1, max);
        Self {
            bounds: Bounds { catch_up, max },
            led: Led::default(),
            peers: BTreeMap::new(),
            paces: BTreeMap::new(),
        }
    }

    pub(super) fn bytes_max(&self) -> u64 {
        self.bounds.max
    }

    /// A leadership begins, with this entry.
    pub(super) fn lead(&mut self, first: u64) {
        self.led = Led { first, ticks: 0 };
    }

    /// Whether a peer catches up.
    pub(super) fn is_behind(&self, id: ReplicaId) -> bool {
        matches!(self.paces.get(&id), Some(Pace::Behind(_)))
    }

    /// A message is about to leave.
    pub(super) fn sent(&mut self, to: ReplicaId, message: &PeerMessage) {
        let PeerBody::Append { entries, .. } = &message.body else {
            return;
        };
        let Some(last) = entries.last() else { return };
        let bytes = entries.iter().map(|entry| entry.payload.len() as u64).sum();
        let window = self.peers.entry(to).or_default();
        window.out.push_back((last.index.get(), bytes));
        window.bytes += bytes;
        window.weigh();
    }

    /// One step of the clock: sees who is behind, and how they get on.
    pub(super) fn tick<T: Storage>(&mut self, raft: &Raft<T>) {
        if raft.state != StateRole::Leader {
            self.paces.clear();
            return;
        }
        self.led.ticks = self.led.ticks.saturating_add(1);
        let last = raft.raft_log.last_index();
        let before = std::mem::take(&mut self.paces);
        for (&id, progress) in raft.prs().iter().filter(|(id, _)| **id != raft.id) {
            let id = ReplicaId(id);
            let seen = Seen {
                state: progress.state,
                matched: progress.matched,
                last,
                mean: self.peers.get(&id).and_then(|window| window.mean),
                lacks_new_only: self.led.wrote_all_after(progress.matched),
            };
            let pace = Pace::after(before.get(&id).copied(), seen, self.bounds);
            self.paces.extend(pace.map(|pace| (id, pace)));
        }
    }

    /// Learns what was answered, and pauses or wakes peers accordingly.
    pub(super) fn settle<T: Storage>(&mut self, raft: &mut Raft<T>) {
        let Self {
            bounds,
            led,
            peers,
            paces,
        } = self;
        peers.retain(|id, window| {
            let Some(progress) = raft.prs().get(id.get()) else {
                return false;
            };
            if progress.state != ProgressState::Replicate {
                // Probing: one message at a time, and everything before it counts as lost.
                *window = Window {
                    mean: window.mean,
                    bounded: window.bounded,
                    ..Window::default()
                };
            }
            while window
                .out
                .front()
                .is_some_and(|&(index, _)| index <= progress.matched)
            {
                let (_, bytes) = window.out.pop_front().expect("just looked at");
                window.bytes -= bytes;
            }
            let at_most = match paces.get(id) {
                Some(Pace::Abreast) => None,
                Some(Pace::Behind(behind)) => Some(behind.window),
                None if led.wrote_all_after(progress.matched) => None,
                // Before the first tick that sees it.
                None => Some(bounds.catch_up),
            };
            let cap = match at_most {
                // By the size of those before: a round sends all that a free window takes.
                Some(bytes) => messages(bytes / window.mean.unwrap_or(bytes)),
                None if window.bytes >= bounds.max => messages(window.out.len() as u64),
                None => INFLIGHT_APPENDS_MAX,
            };
            if window.bounded || cap < INFLIGHT_APPENDS_MAX {
                raft.adjust_max_inflight_msgs(id.get(), cap);
            }
            window.bounded = cap < INFLIGHT_APPENDS_MAX;
            window.bounded || window.mean.is_some()
        });
    }
}

fn messages(count: u64) -> usize {
    usize::try_from(count)
        .unwrap_or(INFLIGHT_APPENDS_MAX)
        .clamp(1, INFLIGHT_APPENDS_MAX)
}

#[cfg(test)]
mod tests;
