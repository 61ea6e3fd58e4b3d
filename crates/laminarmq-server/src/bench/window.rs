//! The batches of one connection that wait for their answer.
//!
//! The sending thread enters each batch before it writes it, and waits while the window is full; the
//! receiving thread takes the oldest out for each answer. Either may end the other.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::clock;

/// A batch under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) correlation_id: i32,
    /// When its latency began.
    pub(super) since: Instant,
}

#[derive(Debug, Default)]
struct State {
    pending: VecDeque<Pending>,
    /// The sender is done.
    closed: bool,
    /// The receiver is, before its time.
    failed: bool,
}

/// A bounded queue between the two threads of a connection.
#[derive(Debug)]
pub(super) struct Window {
    state: Mutex<State>,
    changed: Condvar,
    max: usize,
}

impl Window {
    pub(super) fn new(max: u32) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            max: usize::try_from(max).expect("32 bits fit"),
        }
    }

    /// Enters a batch, once there is room; false: the receiver failed. Its latency begins when it was
    /// due, or now where nothing was.
    pub(super) fn enter(&self, correlation_id: i32, due: Option<Instant>) -> bool {
        let mut state = self.lock();
        while state.pending.len() >= self.max && !state.failed {
            state = self.wait(state);
        }
        if state.failed {
            return false;
        }
        state.pending.push_back(Pending {
            correlation_id,
            since: due.unwrap_or_else(clock::now),
        });
        self.changed.notify_all();
        true
    }

    /// The batch whose answer comes next, once there is one; `None`: all were answered and the sender
    /// is done. It stays in the window.
    pub(super) fn oldest(&self) -> Option<Pending> {
        let mut state = self.lock();
        loop {
            if let Some(oldest) = state.pending.front() {
                return Some(*oldest);
            }
            if state.closed {
                return None;
            }
            state = self.wait(state);
        }
    }

    /// Takes the oldest batch out: it was answered.
    pub(super) fn leave(&self) {
        self.lock().pending.pop_front();
        self.changed.notify_all();
    }

    /// The sender is done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// The receiver cannot go on.
    pub(super) fn fail(&self) {
        self.lock().failed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No step leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_order_until_the_sender_is_done() {
        let window = Window::new(2);
        assert!(window.enter(1, None) && window.enter(2, None));
        assert_eq!(window.oldest().map(|p| p.correlation_id), Some(1));
        window.leave();
        window.close();
        assert_eq!(window.oldest().map(|p| p.correlation_id), Some(2));
        window.leave();
        assert_eq!(window.oldest(), None);
    }

    #[test]
    fn a_full_window_holds_the_sender_until_an_answer() {
        let window = Window::new(1);
        std::thread::scope(|scope| {
            assert!(window.enter(1, None));
            let second = scope.spawn(|| window.enter(2, None));
            // The second is either waiting or about to; it must not be in before the first left.
            assert_eq!(window.oldest().map(|p| p.correlation_id), Some(1));
            assert_eq!(window.lock().pending.len(), 1);
            window.leave();
            assert!(second.join().expect("no panic"));
            assert_eq!(window.oldest().map(|p| p.correlation_id), Some(2));
        });
    }

    #[test]
    fn a_failed_receiver_lets_the_sender_go() {
        let window = Window::new(1);
        std::thread::scope(|scope| {
            assert!(window.enter(1, None));
            let second = scope.spawn(|| window.enter(2, None));
            window.fail();
            assert!(!second.join().expect("no panic"));
        });
    }
}
