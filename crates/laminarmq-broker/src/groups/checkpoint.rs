//! Writing the whole state down, chunk by chunk.
//!
//! The chunks of one pass, applied to an empty state, give the state; it must not change during the pass.

use super::command::Change;
use super::record::OffsetKey;
use super::state::{State, Stored};
use crate::limits::GROUP_CHUNK_BYTES;
use std::ops::Bound;

/// Where a pass is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The group that comes next, or a name before it.
    group: String,
    /// What of that group was written already.
    written: Written,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Written {
    #[default]
    Nothing,
    /// All but the offsets.
    Record,
    /// And the offsets up to this one.
    Offsets(OffsetKey),
}

impl Cursor {
    /// The next chunk; `None` once everything is written. A chunk has about [`GROUP_CHUNK_BYTES`], or a
    /// single record that is larger.
    pub(super) fn next_chunk(&mut self, state: &State) -> Option<Vec<Change>> {
        let mut chunk = Chunk::default();
        let from = self.group.clone();
        for (name, stored) in state.groups_from(&from) {
            if self.group != name {
                self.group = name.to_owned();
                self.written = Written::Nothing;
            }
            if !self.write(name, stored, &mut chunk) {
                return Some(chunk.changes);
            }
            // The next group's name is the first one behind this.
            self.group.push('\0');
            self.written = Written::Nothing;
        }
        (!chunk.changes.is_empty()).then_some(chunk.changes)
    }

    /// False when the chunk is full before the group is done.
    fn write(&mut self, name: &str, stored: &Stored, chunk: &mut Chunk) -> bool {
        if self.written == Written::Nothing {
            let size = stored.record.as_ref().map_or(0, |record| record.size());
            if !chunk.has_room(size) {
                return false;
            }
            chunk.add_record(name, stored, size);
            self.written = Written::Record;
        }
        let after = match self.written {
            Written::Offsets(key) => Bound::Excluded(key),
            _ => Bound::Unbounded,
        };
        let mut offsets = Vec::new();
        let mut done = true;
        for (key, offset) in stored.offsets.range((after, Bound::Unbounded)) {
            if !chunk.has_room(offset.size()) {
                done = false;
                break;
            }
            chunk.bytes += offset.size();
            offsets.push((*key, offset.clone()));
            self.written = Written::Offsets(*key);
        }
        if !offsets.is_empty() {
            let group = name.to_owned();
            chunk.changes.push(Change::Offsets { group, offsets });
        }
        done
    }
}

#[derive(Default)]
struct Chunk {
    changes: Vec<Change>,
    bytes: u64,
}

impl Chunk {
    /// The first thing of a chunk always has room: every pass gets on.
    fn has_room(&self, bytes: u64) -> bool {
        self.bytes == 0 || self.bytes + bytes <= GROUP_CHUNK_BYTES
    }

    fn add_record(&mut self, name: &str, stored: &Stored, size: u64) {
        let group = || name.to_owned();
        self.bytes += 64 + name.len() as u64 + size;
        let mut covered = 0;
        if let Some(record) = &stored.record {
            covered = record.generation;
            self.changes.push(Change::Group {
                group: group(),
                record: record.clone(),
            });
        }
        if stored.given > covered {
            self.changes.push(Change::Generation {
                group: group(),
                generation: stored.given,
            });
        }
    }
}
