//! What a partition's shard tells the rest of the broker about it, and how a fetch that found too little
//! waits for more.
//!
//! A waiter takes [`PartitionWatch::version`] *before* it asks the shard, and passes it to
//! [`Waiter::watch`] when the answer was not enough: what happened in between wakes it at once.

use crate::shard::Progress;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;

/// One partition's progress, and those who wait for it.
#[derive(Debug, Default)]
pub(crate) struct PartitionWatch {
    /// Grows with every change. Changed with the lock held, read without.
    version: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    progress: Progress,
    waiting: Vec<Arc<Notify>>,
}

impl PartitionWatch {
    /// Number of the latest change.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn progress(&self) -> Progress {
        self.lock().progress
    }

    /// Takes over what the shard says, and wakes whoever waits.
    pub(crate) fn update(&self, progress: Progress) {
        let mut inner = self.lock();
        inner.progress = progress;
        self.wake(inner);
    }

    /// The partition is gone: wakes whoever waits.
    pub(crate) fn close(&self) {
        self.wake(self.lock());
    }

    fn wake(&self, mut inner: MutexGuard<'_, Inner>) {
        self.version.fetch_add(1, Ordering::Release);
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        for notify in waiting {
            notify.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder panics")
    }
}

/// Waits for a change of any of some partitions. Dropping it leaves no trace in them.
#[derive(Debug)]
pub(crate) struct Waiter<R: AsRef<PartitionWatch>> {
    notify: Arc<Notify>,
    watched: Vec<R>,
}

impl<R: AsRef<PartitionWatch>> Waiter<R> {
    pub(crate) fn new() -> Self {
        Self {
            notify: Arc::new(Notify::new()),
            watched: Vec::new(),
        }
    }

    /// Wakes also when this partition is past `version`.
    pub(crate) fn watch(&mut self, partition: R, version: u64) {
        let watch = partition.as_ref();
        let mut inner = watch.lock();
        if watch.version() == version {
            inner.waiting.push(Arc::clone(&self.notify));
            drop(inner);
            self.watched.push(partition);
        } else {
            self.notify.notify_one();
        }
    }

    /// Ends once one of the partitions has changed.
    pub(crate) async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl<R: AsRef<PartitionWatch>> Drop for Waiter<R> {
    fn drop(&mut self) {
        for partition in &self.watched {
            let mut inner = partition.as_ref().lock();
            inner
                .waiting
                .retain(|notify| !Arc::ptr_eq(notify, &self.notify));
        }
    }
}

impl AsRef<PartitionWatch> for Arc<super::Route> {
    fn as_ref(&self) -> &PartitionWatch {
        &self.watch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use laminarmq_replica::Offset;

    fn at(offset: u64) -> Progress {
        Progress {
            high_watermark: Some(Offset(offset)),
            ..Progress::default()
        }
    }

    /// The clock stands still while anything else can happen, so this takes no time.
    async fn in_time(waiter: &Waiter<Arc<PartitionWatch>>) {
        let second = std::time::Duration::from_secs(1);
        tokio::time::timeout(second, waiter.changed())
            .await
            .expect("the waiter wakes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_between_question_and_wait_is_not_missed() {
        let watch = Arc::new(PartitionWatch::default());
        let version = watch.version();
        watch.update(at(5));
        let mut waiter = Waiter::new();
        waiter.watch(Arc::clone(&watch), version);
        in_time(&waiter).await;
        assert_eq!(watch.progress(), at(5));
    }

    #[tokio::test(start_paused = true)]
    async fn any_of_several_partitions_wakes_and_a_dropped_waiter_leaves_nothing() {
        let watches: Vec<_> = (0..3)
            .map(|_| Arc::new(PartitionWatch::default()))
            .collect();
        let mut waiter = Waiter::new();
        for watch in &watches {
            waiter.watch(Arc::clone(watch), watch.version());
        }
        let second = Arc::clone(&watches[1]);
        tokio::spawn(async move { second.update(at(1)) });
        in_time(&waiter).await;
        let waiting = |n: usize| watches[n].lock().waiting.len();
        assert_eq!([waiting(0), waiting(1), waiting(2)], [1, 0, 1]);
        drop(waiter);
        assert_eq!([waiting(0), waiting(1), waiting(2)], [0, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_removed_partition_wakes_its_waiters() {
        let watch = Arc::new(PartitionWatch::default());
        let mut waiter = Waiter::new();
        waiter.watch(Arc::clone(&watch), watch.version());
        watch.close();
        in_time(&waiter).await;
    }
}
