//! Index entries next to each other in memory, each as short as they are alike.
//!
//! Invariants:
//!
//! ```text
//! a block has at most BLOCK entries
//! a narrow one holds how each entry differs from the first one that it ever had: what is taken out is what was put in
//! a block that became wide stays wide, until it is dropped
//! ```

use crate::format::IndexEntry;

/// Entries in a block.
pub(super) const BLOCK: usize = 1024;

/// What an entry has that others of its block may not have, in 20 bytes in place of 48: memory that is written once for
/// each append costs more than the sums to get at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Narrow {
    /// These three less the ones of the block's origin.
    position: u32,
    key: u32,
    max_timestamp: u32,
    length: u32,
    checksum: u32,
}

#[derive(Debug)]
pub(super) enum Block {
    Narrow {
        /// The first entry.
        origin: IndexEntry,
        entries: Vec<Narrow>,
    },
    /// Of entries that are too different.
    Wide(Vec<IndexEntry>),
}

/// The entry as it is held beside `origin`, where that is possible.
#[inline(always)]
fn narrow(origin: &IndexEntry, entry: &IndexEntry) -> Option<Narrow> {
    // Around the end of the numbers as well: adding goes the same way back.
    let position = entry.position.wrapping_sub(origin.position);
    let key = entry.key.wrapping_sub(origin.key);
    let time = entry.max_timestamp.wrapping_sub(origin.max_timestamp);
    let time = time.cast_unsigned();
    let all = position | key | time | entry.length | entry.checksum;
    let is_alike =
        (entry.term, entry.kind, entry.flags) == (origin.term, origin.kind, origin.flags);
    let low = |number: u64| (number & 0xffff_ffff) as u32;
    (all >> 32 == 0 && is_alike).then(|| Narrow {
        position: low(position),
        key: low(key),
        max_timestamp: low(time),
        length: low(entry.length),
        checksum: low(entry.checksum),
    })
}

#[inline]
fn widened(origin: &IndexEntry, entry: &Narrow) -> IndexEntry {
    IndexEntry {
        position: origin.position.wrapping_add(u64::from(entry.position)),
        key: origin.key.wrapping_add(u64::from(entry.key)),
        max_timestamp: (origin.max_timestamp).wrapping_add_unsigned(u64::from(entry.max_timestamp)),
        length: u64::from(entry.length),
        checksum: u64::from(entry.checksum),
        ..*origin
    }
}

impl Block {
    /// A block of one entry, in memory that held others before or has room for `room` of them.
    pub(super) fn starting(entry: IndexEntry, memory: Option<Vec<Narrow>>, room: usize) -> Self {
        let Some(first) = narrow(&entry, &entry) else {
            let mut entries = Vec::with_capacity(room);
            entries.push(entry);
            return Self::Wide(entries);
        };
        let mut entries = memory.unwrap_or_else(|| Vec::with_capacity(room));
        entries.push(first);
        let origin = entry;
        Self::Narrow { origin, entries }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Narrow { entries, .. } => entries.len(),
            Self::Wide(entries) => entries.len(),
        }
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<IndexEntry> {
        match self {
            Self::Narrow { origin, entries } => entries.get(at).map(|entry| widened(origin, entry)),
            Self::Wide(entries) => entries.get(at).copied(),
        }
    }

    /// Adds an entry, if there is room for one more; says whether there was.
    #[inline(always)]
    pub(super) fn push(&mut self, entry: &IndexEntry) -> bool {
        match self {
            Self::Narrow { origin, entries } if entries.len() < BLOCK => {
                match narrow(origin, entry) {
                    Some(narrow) => entries.push(narrow),
                    None => self.push_wide(entry),
                }
                true
            }
            Self::Wide(entries) if entries.len() < BLOCK => {
                entries.push(*entry);
                true
            }
            _ => false,
        }
    }

    #[cold]
    fn push_wide(&mut self, entry: &IndexEntry) {
        let mut wide: Vec<IndexEntry> = self.iter_from(0).collect();
        wide.push(*entry);
        *self = Self::Wide(wide);
    }

    pub(super) fn truncate(&mut self, length: usize) {
        match self {
            Self::Narrow { entries, .. } => entries.truncate(length),
            Self::Wide(entries) => entries.truncate(length),
        }
    }

    /// The memory of a narrow block, without what was in it.
    pub(super) fn into_memory(self) -> Option<Vec<Narrow>> {
        match self {
            Self::Narrow { mut entries, .. } => {
                entries.clear();
                Some(entries)
            }
            Self::Wide(_) => None,
        }
    }

    /// All entries from number `from` on.
    #[inline]
    pub(super) fn iter_from(&self, from: usize) -> impl Iterator<Item = IndexEntry> {
        let no_origin = &NO_ORIGIN;
        let (origin, narrow, wide) = match self {
            Self::Narrow { origin, entries } => (origin, entries.get(from..), None),
            Self::Wide(entries) => (no_origin, None, entries.get(from..)),
        };
        let narrow = narrow.unwrap_or_default().iter();
        let wide = wide.unwrap_or_default().iter().copied();
        narrow.map(|entry| widened(origin, entry)).chain(wide)
    }
}

/// Of a block that has none.
static NO_ORIGIN: IndexEntry = IndexEntry {
    position: 0,
    length: 0,
    checksum: 0,
    key: 0,
    max_timestamp: 0,
    term: 0,
    kind: 0,
    flags: 0,
};

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: IndexEntry = IndexEntry {
        position: 1 << 40,
        length: u32::MAX as u64,
        checksum: u32::MAX as u64,
        key: u64::MAX - 1,
        max_timestamp: i64::MAX - 1,
        term: 5,
        kind: 6,
        flags: 7,
    };

    fn changed(change: impl FnOnce(&mut IndexEntry)) -> IndexEntry {
        let mut entry = FIRST;
        change(&mut entry);
        entry
    }

    /// What a block makes of entries, and whether it is narrow.
    fn check(all: &[IndexEntry]) -> bool {
        let mut block = Block::starting(all[0], None, 4);
        for entry in &all[1..] {
            assert!(block.push(entry));
        }
        for from in 0..=all.len() {
            let held: Vec<IndexEntry> = block.iter_from(from).collect();
            assert_eq!(held, all[from..]);
            assert_eq!(block.get(from), all.get(from).copied());
        }
        assert_eq!(block.len(), all.len());
        matches!(block, Block::Narrow { .. })
    }

    #[test]
    fn what_is_taken_out_is_what_was_put_in() {
        let far = u64::from(u32::MAX);
        let near = [
            changed(|entry| entry.position += far),
            changed(|entry| entry.key = entry.key.wrapping_add(far)),
            changed(|entry| entry.max_timestamp = i64::MIN + 7),
            changed(|entry| (entry.length, entry.checksum) = (0, 0)),
        ];
        for entry in near {
            assert!(check(&[FIRST, entry, FIRST]), "{entry:?}");
        }
        let farther = [
            changed(|entry| entry.position += far + 1),
            changed(|entry| entry.position -= 1),
            changed(|entry| entry.key = 0x1_0000_0000),
            changed(|entry| entry.key -= 1),
            changed(|entry| entry.max_timestamp -= 1),
            changed(|entry| entry.length += 1),
            changed(|entry| entry.checksum += 1),
            changed(|entry| entry.term += 1),
            changed(|entry| entry.kind += 1),
            changed(|entry| entry.flags += 1),
        ];
        for entry in farther {
            assert!(!check(&[FIRST, entry, FIRST]), "{entry:?}");
            assert!(!check(&[FIRST, FIRST, entry, entry]), "{entry:?}");
        }
        assert!(!check(&[changed(|entry| entry.checksum += 1), FIRST]));
    }

    #[test]
    fn a_block_ends_whatever_is_in_it() {
        for wide in [false, true] {
            let other = changed(|entry| entry.term += u32::from(wide));
            let mut block = Block::starting(FIRST, None, 0);
            for number in 1..BLOCK {
                assert!(block.push(&other), "{number}");
            }
            assert!(!block.push(&FIRST));
            assert_eq!(block.len(), BLOCK);
            block.truncate(1);
            assert!(block.push(&FIRST));
            assert_eq!(block.get(1), Some(FIRST));
            assert_eq!(block.into_memory().is_some(), !wide);
        }
    }
}
