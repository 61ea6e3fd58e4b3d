//! Taking back what entries changed that are cut off: exactly, so that the table stays a function of the log.
//!
//! A change is kept as long as its entry is not committed: what is committed is never cut. So there are as many as
//! entries that may be uncommitted, one for each batch of an idempotent producer.

use std::collections::VecDeque;

use super::{KnownBatch, Producer, Producers, Table};
use crate::LogIndex;

/// What one entry changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) index: LogIndex,
    pub(super) what: Before,
}

/// What was there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// A batch of this producer.
    Batch {
        id: i64,
        of: Of,
        /// Who was forgotten to make room.
        forgotten: Option<Box<(i64, Producer)>>,
    },
    /// All of it: a checkpoint took its place.
    Table(Box<Table>),
}

/// What was known of a producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// Nothing.
    Nobody,
    /// Fewer batches of the same epoch than are kept.
    Fewer,
    /// As many as are kept, this one the oldest.
    Full(KnownBatch),
    /// Another epoch.
    Epoch(Box<Producer>),
}

/// The changes that can be taken back.
#[derive(Debug)]
pub(super) struct Undo {
    changes: VecDeque<Change>,
    /// All from this entry on are there.
    from: LogIndex,
}

impl Default for Undo {
    fn default() -> Self {
        Self {
            changes: VecDeque::new(),
            from: LogIndex(1),
        }
    }
}

impl Undo {
    pub(super) fn push(&mut self, index: LogIndex, what: Before) {
        self.changes.push_back(Change { index, what });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    /// What is before `from` is never taken back.
    pub(super) fn forget_before(&mut self, from: LogIndex) {
        while self.changes.pop_front_if(|it| it.index < from).is_some() {}
        self.from = from.max(self.from);
    }
}

impl Producers {
    /// Entries up to here are committed, or cannot be taken back by this table: it does not have to remember what
    /// was before them.
    pub(crate) fn settle(&mut self, last: LogIndex) {
        self.undo.forget_before(LogIndex(last.get() + 1));
    }

    /// Entries from `from` on are gone. False if what was before them is not known: the table has to be made anew from
    /// the log.
    #[must_use]
    pub(crate) fn truncate(&mut self, from: LogIndex) -> bool {
        if from < self.undo.from {
            return false;
        }
        while let Some(change) = self.undo.changes.pop_back_if(|it| it.index >= from) {
            match change.what {
                Before::Batch { id, of, forgotten } => {
                    self.take_back(id, of);
                    if let Some(forgotten) = forgotten {
                        let (id, producer) = *forgotten;
                        self.table.insert(id, producer);
                    }
                }
                Before::Table(table) => self.table = *table,
            }
        }
        true
    }

    fn take_back(&mut self, id: i64, of: Of) {
        let Some(mut producer) = self.table.remove(id) else {
            unreachable!(
                "who appended last is among the newest {}",
                super::PRODUCERS_MAX
            )
        };
        match of {
            Of::Nobody => return,
            Of::Epoch(before) => producer = *before,
            Of::Fewer => {
                producer.batches.pop_back();
            }
            Of::Full(oldest) => {
                producer.batches.pop_back();
                producer.batches.push_front(oldest);
            }
        }
        self.table.insert(id, producer);
    }
}
