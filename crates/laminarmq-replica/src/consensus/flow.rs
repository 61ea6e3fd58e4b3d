//! Bytes of entries on the way to each peer.
//!
//! The raft crate counts messages in flight. Here their bytes are counted, and a peer that has too
//! many gets a window of exactly the messages that are out, which pauses it until answers come.
//! One round may add what [`Store`](super::store::Store) lets a round send, so a peer never has
//! more than twice the limit, and one entry, on its way.

use std::collections::{BTreeMap, VecDeque};

use raft::{ProgressState, Raft, Storage};

use crate::config::INFLIGHT_APPENDS_MAX;
use crate::{PeerBody, PeerMessage, ReplicaId};

pub(super) struct Flow {
    bytes_max: u64,
    peers: BTreeMap<ReplicaId, Window>,
}

#[derive(Default)]
struct Window {
    /// (index, bytes) of the appends that are out, in order.
    out: VecDeque<(u64, u64)>,
    bytes: u64,
    paused: bool,
}

impl Flow {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max: bytes_max.max(1),
            peers: BTreeMap::new(),
        }
    }

    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
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
    }

    /// Learns what was answered, and pauses or wakes peers accordingly.
    pub(super) fn settle<T: Storage>(&mut self, raft: &mut Raft<T>) {
        self.peers.retain(|id, window| {
            let Some(progress) = raft.prs().get(id.get()) else {
                return false;
            };
            if progress.state != ProgressState::Replicate {
                // Probing: one message at a time, and everything before it counts as lost.
                *window = Window {
                    paused: window.paused,
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
            let pause = window.bytes >= self.bytes_max;
            if pause {
                raft.adjust_max_inflight_msgs(
                    id.get(),
                    window.out.len().clamp(1, INFLIGHT_APPENDS_MAX),
                );
            } else if window.paused {
                raft.adjust_max_inflight_msgs(id.get(), INFLIGHT_APPENDS_MAX);
            }
            window.paused = pause;
            window.paused || !window.out.is_empty()
        });
    }
}
