//! A queue of index entries in blocks, so that a long one grows without being copied.
//!
//! Invariants:
//!
//! ```text
//! all blocks but the last have BLOCK entries
//! the first `gone` entries of the first block do not count any more; gone < BLOCK
//! ```

use std::collections::VecDeque;

use super::entry_block::{BLOCK, Block, Narrow};
use crate::format::IndexEntry;

/// Most blocks that were dropped at the front whose memory is kept for those to come.
const SPARE: usize = 4;

#[derive(Debug, Default)]
pub(super) struct EntryList {
    blocks: VecDeque<Block>,
    gone: usize,
    spare: Vec<Vec<Narrow>>,
}

impl EntryList {
    pub(super) fn len(&self) -> usize {
        let last = self.blocks.back().map_or(0, Block::len);
        self.blocks.len().saturating_sub(1) * BLOCK + last - self.gone
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<IndexEntry> {
        let place = self.gone + at;
        self.blocks.get(place / BLOCK)?.get(place % BLOCK)
    }

    #[inline(always)]
    pub(super) fn push(&mut self, entry: &IndexEntry) {
        let last = self.blocks.back_mut();
        if !last.is_some_and(|last| last.push(entry)) {
            self.push_block(entry);
        }
    }

    #[cold]
    fn push_block(&mut self, entry: &IndexEntry) {
        // The first block grows from little, as there may be many short lists.
        let room = if self.blocks.is_empty() { 0 } else { BLOCK };
        let block = Block::starting(*entry, self.spare.pop(), room);
        self.blocks.push_back(block);
    }

    pub(super) fn extend(&mut self, entries: &[IndexEntry]) {
        for entry in entries {
            self.push(entry);
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
        for block in self.blocks.drain(..dropped) {
            if self.spare.len() < SPARE {
                self.spare.extend(block.into_memory());
            }
        }
        self.gone = if is_all { 0 } else { self.gone % BLOCK };
    }

    /// All entries from number `from` on.
    pub(super) fn iter_from(&self, from: usize) -> impl Iterator<Item = IndexEntry> {
        let place = self.gone + from;
        let mut at = place % BLOCK;
        let blocks = self.blocks.range((place / BLOCK).min(self.blocks.len())..);
        blocks.flat_map(move |block| block.iter_from(std::mem::take(&mut at)))
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
            // Blocks with one of another term are held in another way.
            term: if number.is_multiple_of(2 * BLOCK) {
                4
            } else {
                5
            },
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
            assert_eq!(
                list.get(at),
                want.get(at).copied(),
                "{at} of {}",
                want.len()
            );
            let rest: Vec<IndexEntry> = list.iter_from(at).collect();
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
                    list.push(&all[0]);
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
