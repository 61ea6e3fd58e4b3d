//! What is counted for each other node.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts while the process lives, for one other node.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: Counter,)*
        }

        /// What the counters said at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub(crate) struct PeerCounts {
            $($(#[$doc])* pub(crate) $name: u64,)*
        }

        impl Counters {
            pub(super) fn read(&self) -> PeerCounts {
                PeerCounts { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Links to the node that came into being.
    links_opened,
    /// Attempts that did not become a link.
    dials_failed,
    /// Links from the node.
    links_accepted,
    /// Frames written.
    frames_sent,
    /// Bytes written.
    bytes_sent,
    /// Messages of replicas written.
    messages_sent,
    /// Messages of replicas that found no link or no room, or were lost with their link's queue.
    messages_dropped,
    /// Frames that arrived whole.
    frames_received,
    /// Their bytes.
    bytes_received,
    /// Messages of replicas that were taken.
    messages_received,
    /// Messages of replicas that found no room at their receiver.
    messages_refused,
    /// Calls to the node.
    calls_sent,
    /// Calls from the node.
    calls_received,
}

/// One number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
