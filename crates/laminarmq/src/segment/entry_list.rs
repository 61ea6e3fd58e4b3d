//! A queue of index entries in blocks, so that a long one grows without being copied.
//!
//! Invariants:
//!
//! ```text
//! all blocks but the last have BLOCK entries
//! the first `gone` entries of the first block do not count any more; gone < BLOCK
//! ```

use std::collections::VecDeque;

use crate::format::IndexEntry;

/// Entries in a block.
const BLOCK: usize = 1024;

/// Most blocks that were dropped at the front whose memory is kept for those to come.
const SPARE: usize = 4;

#[derive(Debug, Default)]
pub(super) struct EntryList {
    blocks: VecDeque<Vec<IndexEntry>>,
    gone: usize,
    spare: Vec<Vec<IndexEntry>>,
}

impl EntryList {
    pub(super) fn len(&self) -> usize {
        let last = self.blocks.back().map_or(0, Vec::len);
        self.blocks.len().saturating_sub(1) * BLOCK + last - self.gone
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<&IndexEntry> {
        let place = self.gone + at;
        self.blocks.get(place / BLOCK)?.get(place % BLOCK)
    }

    #[inline]
    pub(super) fn push(&mut self, entry: IndexEntry) {
        match self.blocks.back_mut() {
            Some(last) if last.len() < BLOCK => last.push(entry),
            _ => self.push_block(entry),
        }
    }

    #[cold]
    fn push_block(&mut self, entry: IndexEntry) {
        // The first block grows from little, as there may be many short lists.
        let length = if self.blocks.is_empty() { 0 } else { BLOCK };
        let spare = self.spare.pop();
        let mut block = spare.unwrap_or_else(|| Vec::with_capacity(length));
        block.push(entry);
        self.blocks.push_back(block);
    }

    pub(super) fn extend(&mut self, mut entries: &[IndexEntry]) {
        while let Some((first, rest)) = entries.split_first() {
            self.push(*first);
            let last = self.blocks.back_mut().expect("something was pushed");
            let (fits, left) = rest.split_at(rest.len().min(BLOCK - last.len()));
            last.extend_from_slice(fits);
            entries = left;
        }
    }

    pub(super) fn truncate(&mut self, length: usize) {
        let end = self.gone + length;
        if length == 0 {
            return self.clear();
        }
        self.blocks.truncate(end.div_ceil(BLOCK));
        if let Some(last) = self.blocks.back_mut() {
            let before = (end.div_ceil(BLOCK) - 1) * BLOCK;
            last.truncate(end - before);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Drops the first `count` entries, which are there.
    pub(super) fn drop_front(&mut self, count: usize) {
        let is_all = count == self.len();
        self.gone += count;
        let dropped = if is_all {
            self.blocks.len()
        } else {
            self.gone / BLOCK
        };
        for mut block in self.blocks.drain(..dropped) {
            if self.spare.len() < SPARE {
                block.clear();
                self.spare.push(block);
            }
        }
        self.gone = if is_all { 0 } else { self.gone % BLOCK };
    }

    /// All entries from number `from` on.
    pub(super) fn iter_from(&self, from: usize) -> impl Iterator<Item = &IndexEntry> {
        let place = self.gone + from;
        let blocks = self.blocks.range((place / BLOCK).min(self.blocks.len())..);
        blocks.flatten().skip(place % BLOCK)
    }
}

impl From<Vec<IndexEntry>> for EntryList {
    fn from(entries: Vec<IndexEntry>) -> Self {
        let mut list = Self::default();
        list.extend(&entries);
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: usize) -> IndexEntry {
        IndexEntry {
            position: number as u64,
            length: 1,
            checksum: 2,
            key: 3,
            max_timestamp: 4,
            term: 5,
            kind: 6,
            flags: 7,
        }
    }

    fn check(list: &EntryList, want: &[IndexEntry]) {
        assert_eq!(list.len(), want.len());
        for at in [
            0,
            1,
            BLOCK - 1,
            BLOCK,
            want.len() / 2,
            want.len().saturating_sub(1),
            want.len(),
        ] {
            assert_eq!(list.get(at), want.get(at), "{at} of {}", want.len());
            let rest: Vec<IndexEntry> = list.iter_from(at).copied().collect();
            assert_eq!(rest, want.get(at..).unwrap_or_default(), "from {at}");
        }
    }

    #[test]
    fn it_is_a_queue_wherever_its_blocks_end() {
        let all: Vec<IndexEntry> = (0..3 * BLOCK + 5).map(entry).collect();
        let lengths = [
            0,
            1,
            2,
            BLOCK - 1,
            BLOCK,
            BLOCK + 1,
            2 * BLOCK,
            3 * BLOCK + 4,
        ];
        for held in lengths {
            for dropped in lengths.into_iter().filter(|dropped| *dropped <= held) {
                for kept in lengths.into_iter().filter(|kept| dropped + kept <= held) {
                    let mut list = EntryList::from(all[..held].to_vec());
                    check(&list, &all[..held]);
                    list.drop_front(dropped);
                    check(&list, &all[dropped..held]);
                    list.truncate(kept);
                    let mut want = all[dropped..dropped + kept].to_vec();
                    check(&list, &want);
                    list.push(all[0]);
                    list.extend(&all);
                    want.push(all[0]);
                    want.extend(&all);
                    check(&list, &want);
                    list.drop_front(want.len());
                    check(&list, &[]);
                    list.extend(&all[..2]);
                    check(&list, &all[..2]);
                }
            }
        }
    }
}
