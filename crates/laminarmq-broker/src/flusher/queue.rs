//! A queue between threads that has room for everything that may wait: pushing never blocks.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};

/// At most `capacity` items wait; more are our own bug.
#[derive(Debug)]
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    filled: Condvar,
    capacity: usize,
}

#[derive(Debug)]
struct Inner<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let inner = Mutex::new(Inner {
            items: VecDeque::new(),
            closed: false,
        });
        Self {
            inner,
            filled: Condvar::new(),
            capacity,
        }
    }

    /// Adds an item.
    ///
    /// # Panics
    /// When more wait than there may be.
    pub(super) fn push(&self, item: T) {
        let mut inner = self.lock();
        assert!(
            inner.items.len() < self.capacity,
            "more jobs than partitions"
        );
        inner.items.push_back(item);
        drop(inner);
        self.filled.notify_one();
    }

    /// Items that wait.
    pub(super) fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Takes the oldest item, waiting for one; `None` once the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<T> {
        let mut inner = self.wait();
        inner.items.pop_front()
    }

    /// Takes all items, waiting for one; none once the queue is closed and empty.
    pub(super) fn pop_all(&self) -> VecDeque<T> {
        std::mem::take(&mut self.wait().items)
    }

    /// What is in the queue is still taken; nothing more comes.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    fn wait(&self) -> MutexGuard<'_, Inner<T>> {
        let empty = |inner: &mut Inner<T>| inner.items.is_empty() && !inner.closed;
        self.filled
            .wait_while(self.lock(), empty)
            .expect("no holder panics")
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn items_come_out_in_order_and_a_closed_queue_is_emptied() {
        let queue = Queue::new(3);
        queue.push(1);
        queue.push(2);
        queue.push(3);
        assert_eq!(queue.pop(), Some(1));
        queue.close();
        assert_eq!(queue.pop_all(), [2, 3]);
        assert_eq!(queue.pop(), None);
        assert!(queue.pop_all().is_empty());
    }

    #[test]
    fn a_waiting_thread_gets_what_comes_later() {
        let queue = Arc::new(Queue::new(1));
        let other = Arc::clone(&queue);
        let thread = std::thread::spawn(move || (other.pop(), other.pop()));
        queue.push(7);
        queue.close();
        assert_eq!(thread.join().unwrap(), (Some(7), None));
    }

    #[test]
    #[should_panic(expected = "more jobs than partitions")]
    fn more_than_there_may_be_is_a_bug() {
        let queue = Queue::new(1);
        queue.push(1);
        queue.push(2);
    }
}
