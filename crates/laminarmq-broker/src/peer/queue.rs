//! What waits for one lane to one node.
//!
//! - Pushing never waits, and is refused while there is no link.
//! - `len <= len_max`; `bytes <= bytes_max`, unless a single item has more.
//! - Who drains takes everything up to a bound: what gathered while the last bytes were written goes out together,
//!   without a timer.

use super::Envelope;
use super::calls::Call;
use crate::limits::{PEER_DRAIN_BYTES, PEER_DRAIN_LEN};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use tokio::sync::Notify;

/// One thing to be sent.
#[derive(Debug)]
pub(super) enum Item {
    Message(Envelope),
    Call(Call),
    /// This node is alive.
    Alive,
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Message(envelope) => envelope.message.payload_bytes(),
            Self::Call(call) => call.bytes.len(),
            Self::Alive => 0,
        }
    }
}

/// Why an item was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// There is no link.
    Closed,
    /// Too much waits.
    Full,
}

#[derive(Debug)]
pub(super) struct LaneQueue {
    state: Mutex<State>,
    /// There is something in a queue that was empty.
    filled: Notify,
    len_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    items: VecDeque<Item>,
    bytes: usize,
}

impl LaneQueue {
    /// Closed.
    pub(super) fn new(len_max: usize, bytes_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            filled: Notify::new(),
            len_max,
            bytes_max,
        }
    }

    pub(super) fn push(&self, item: Item) -> Result<(), NoRoom> {
        let bytes = item.bytes();
        let mut state = self.lock();
        if !state.open {
            return Err(NoRoom::Closed);
        }
        let first = state.items.is_empty();
        if !first && (state.items.len() >= self.len_max || state.bytes + bytes > self.bytes_max) {
            return Err(NoRoom::Full);
        }
        state.bytes += bytes;
        state.items.push_back(item);
        drop(state);
        if first {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// A link is there.
    pub(super) fn open(&self) {
        self.lock().open = true;
    }

    /// Takes nothing more; what waits can still be drained.
    pub(super) fn close(&self) {
        self.lock().open = false;
    }

    /// Takes nothing more, and forgets what waits. Returns how many messages that were.
    pub(super) fn clear(&self) -> u64 {
        let mut state = self.lock();
        let State { items, .. } = std::mem::take(&mut *state);
        drop(state);
        let messages = items.iter().filter(|item| matches!(item, Item::Message(_)));
        messages.count() as u64
    }

    /// Waits for something, then takes at most a drain of it. Returns whether nothing is left.
    ///
    /// May be dropped at any time: then nothing was taken.
    pub(super) async fn drain(&self, into: &mut Vec<Item>) -> bool {
        loop {
            let empty = self.drain_now(into);
            if !into.is_empty() {
                return empty;
            }
            self.filled.notified().await;
        }
    }

    /// Takes at most a drain of what is there. Returns whether nothing is left.
    pub(super) fn drain_now(&self, into: &mut Vec<Item>) -> bool {
        let mut state = self.lock();
        let mut bytes = 0;
        while let Some(item) = state.items.front() {
            let more = item.bytes();
            if into.len() >= PEER_DRAIN_LEN || !into.is_empty() && bytes + more > PEER_DRAIN_BYTES {
                break;
            }
            bytes += more;
            into.extend(state.items.pop_front());
        }
        state.bytes -= bytes;
        state.items.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

/// Whether it was told that a node is unreachable: once for each time that messages to it begin to be lost.
#[derive(Debug, Default)]
pub(super) struct Reach {
    told: AtomicBool,
}

impl Reach {
    /// Messages are lost. Returns whether that is to be told.
    pub(super) fn lost(&self) -> bool {
        !self.told.swap(true, Ordering::AcqRel)
    }

    /// Nothing is lost any more.
    pub(super) fn well(&self) {
        self.told.store(false, Ordering::Release);
    }
}
