//! The same work for many items, a few at a time. For work that mostly waits for the disk.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads at work at the same time.
const THREADS: usize = 8;

/// What `work` makes of each item, in their order. A panic in it goes on in the caller.
pub(crate) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if items.len() <= 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(number) else {
                return done;
            };
            done.push((number, work(item)));
        }
    };
    let mut all: Vec<(usize, R)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS.min(items.len()))
            .map(|_| scope.spawn(take))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<(usize, R)>>| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().flat_map(join).collect()
    });
    all.sort_unstable_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn results_keep_the_order_of_the_items() {
        for count in [0, 1, 2, 100] {
            let items: Vec<u32> = (0..count).collect();
            assert_eq!(
                in_parallel(&items, |n| n * 2),
                (0..count).map(|n| n * 2).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn several_items_are_worked_on_at_the_same_time() {
        let all_here = Barrier::new(THREADS);
        in_parallel(&[(); THREADS], |()| {
            all_here.wait();
        });
    }

    #[test]
    #[should_panic(expected = "item 3")]
    fn a_panic_is_not_swallowed() {
        in_parallel(&[1, 2, 3], |n| assert!(*n < 3, "item {n}"));
    }
}
