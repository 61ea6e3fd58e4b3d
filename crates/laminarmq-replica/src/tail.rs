//! The newest entries of the log, in memory, for consumers and followers at its end.
//!
//! Entries stand without a gap and end where the log ends; the oldest leave first. What is here is
//! in the log as well, so anything may leave at any time. Batches are shared, not copied: a
//! cached batch keeps the buffer alive that it arrived in.

use std::collections::VecDeque;

use crate::{EntryKind, LogIndex, LogPoint, Offset, Payload, PeerEntry};

/// What an entry without bytes takes in memory, about.
const ENTRY_OVERHEAD_BYTES: u64 = 128;

/// One cached entry.
#[derive(Clone, Debug)]
pub(crate) struct Cached {
    pub(crate) at: LogPoint,
    pub(crate) kind: EntryKind,
    pub(crate) flags: u8,
    /// The offset of its first record; of an internal entry, the next record's.
    pub(crate) base_offset: Offset,
    pub(crate) payload: Payload,
}

impl Cached {
    fn cost(&self) -> u64 {
        self.payload.len() as u64 + ENTRY_OVERHEAD_BYTES
    }

    /// As it is sent to a peer.
    pub(crate) fn to_peer_entry(&self) -> PeerEntry {
        PeerEntry {
            index: self.at.index,
            term: self.at.term,
            kind: self.kind,
            flags: self.flags,
            payload: self.payload.clone(),
        }
    }
}

/// The cache of one replica.
#[derive(Debug)]
pub(crate) struct Tail {
    entries: VecDeque<Cached>,
    bytes: u64,
    bytes_max: u64,
}

impl Tail {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    /// Adds the log's newest entry.
    pub(crate) fn push(&mut self, entry: Cached) {
        if let Some(last) = self.entries.back() {
            assert_eq!(
                last.at.index.get() + 1,
                entry.at.index.get(),
                "the cache has no gaps"
            );
        }
        self.bytes += entry.cost();
        self.entries.push_back(entry);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.cost();
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// Drops every entry from `from` on.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        while self
            .entries
            .back()
            .is_some_and(|entry| entry.at.index >= from)
        {
            let entry = self.entries.pop_back().expect("just looked at");
            self.bytes -= entry.cost();
        }
    }

    /// The entry with that index.
    pub(crate) fn get(&self, index: LogIndex) -> Option<&Cached> {
        let first = self.entries.front()?.at.index.get();
        self.entries
            .get(usize::try_from(index.get().checked_sub(first)?).ok()?)
    }

    /// The entries from the one that holds `offset` on, or `None` if that one is not here.
    ///
    /// `offset` must be below the end offset.
    pub(crate) fn holding(&self, offset: Offset) -> Option<impl Iterator<Item = &Cached>> {
        // Of entries with equal base offsets the last one is the data entry that has it.
        let after = self
            .entries
            .partition_point(|entry| entry.base_offset <= offset);
        let holder = after.checked_sub(1)?;
        (self.entries[holder].kind == EntryKind::Data).then(|| self.entries.range(holder..))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::Term;

    fn entry(index: u64, kind: EntryKind, base_offset: u64) -> Cached {
        Cached {
            at: LogPoint {
                index: LogIndex(index),
                term: Term(1),
            },
            kind,
            flags: 0,
            base_offset: Offset(base_offset),
            payload: Payload::whole(Bytes::from(vec![0; 100])),
        }
    }

    /// 5 no-op, 6 data 10..15, 7 no-op, 8 no-op, 9 data 15..20
    fn tail(bytes_max: u64) -> Tail {
        let mut tail = Tail::new(bytes_max);
        tail.push(entry(5, EntryKind::Noop, 10));
        tail.push(entry(6, EntryKind::Data, 10));
        tail.push(entry(7, EntryKind::Noop, 15));
        tail.push(entry(8, EntryKind::Noop, 15));
        tail.push(entry(9, EntryKind::Data, 15));
        tail
    }

    fn holder(tail: &Tail, offset: u64) -> Option<u64> {
        Some(tail.holding(Offset(offset))?.next()?.at.index.get())
    }

    #[test]
    fn the_holder_of_an_offset_is_the_last_data_entry_at_or_below_it() {
        let tail = tail(u64::MAX);
        let want = [
            (9, None),
            (10, Some(6)),
            (14, Some(6)),
            (15, Some(9)),
            (19, Some(9)),
        ];
        for (offset, index) in want {
            assert_eq!(holder(&tail, offset), index, "offset {offset}");
        }
    }

    #[test]
    fn the_oldest_leave_and_what_left_is_not_found() {
        let tail = tail(3 * (100 + ENTRY_OVERHEAD_BYTES));
        assert!(tail.get(LogIndex(6)).is_none());
        assert!(tail.get(LogIndex(7)).is_some());
        assert!(tail.get(LogIndex(10)).is_none());
        assert_eq!(holder(&tail, 14), None);
        // The holder of 15 is here although the entry before it, a no-op, has the same offset.
        assert_eq!(holder(&tail, 15), Some(9));
    }

    #[test]
    fn an_entry_above_the_bound_is_not_kept() {
        let tail = tail(10);
        assert!(tail.get(LogIndex(9)).is_none());
        assert_eq!(tail.bytes, 0);
    }

    #[test]
    fn truncation_drops_the_end() {
        let mut tail = tail(u64::MAX);
        tail.truncate(LogIndex(8));
        assert!(tail.get(LogIndex(8)).is_none());
        tail.push(entry(8, EntryKind::Data, 15));
        assert_eq!(holder(&tail, 16), Some(8));
    }
}
