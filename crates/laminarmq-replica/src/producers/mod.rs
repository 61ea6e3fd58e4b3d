//! What a partition knows of its idempotent producers, so that a batch sent twice is stored once.
//!
//! - The table is a function of the log alone: of the data entries in their order, and of the
//!   checkpoints among them. So every replica has the same one, a restart makes it again, and what a truncation
//!   cuts off is taken back.
//! - Of each producer the last [`BATCHES_KEPT`] batches are known: as many as a client may have in
//!   flight. Of the producers the last [`PRODUCERS_MAX`], by their newest batch; who is forgotten
//!   may go on with any sequence number, as with other brokers.
//! - Proposals that are not in the log yet are told apart: they count as the producer's newest
//!   batches until the turn ends, and for nothing after it.
//!
//! The rules are Kafka's (KIP-98): sequence numbers count records and wrap from `i32::MAX` to 0; a
//! new epoch starts at 0; an old one is refused.

mod checkpoint;
mod undo;

#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};

use laminarmq_kafka::batch::ProducerStamp;

use self::undo::{Before, Of, Undo};

use crate::{LogIndex, Offset};

/// Batches of one producer that are known: what an idempotent client may have in flight at most.
pub(crate) const BATCHES_KEPT: usize = 5;

/// Producers of one partition that are known.
pub const PRODUCERS_MAX: usize = 10_000;

/// Most bytes of a checkpoint; logs must take records of this size.
pub const PRODUCERS_BYTES_MAX: u64 = 2 << 20;

const _: () = assert!(
    (checkpoint::HEADER_BYTES + PRODUCERS_MAX * checkpoint::PRODUCER_BYTES_MAX) as u64
        <= PRODUCERS_BYTES_MAX
);

/// A batch that is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownBatch {
    pub(crate) index: LogIndex,
    pub(crate) base_offset: Offset,
    pub(crate) base_sequence: i32,
    /// Records less one.
    pub(crate) last_delta: u32,
    /// Its max timestamp in milliseconds.
    pub(crate) timestamp: i64,
}

impl KnownBatch {
    fn next_sequence(&self) -> i32 {
        next_sequence(self.base_sequence, self.last_delta)
    }
}

/// The sequence number behind a batch's last record.
fn next_sequence(base: i32, last_delta: u32) -> i32 {
    // Both are below 2^31, so the sum fits; the sign bit is cut off, which is the wrap to 0.
    (base
        .cast_unsigned()
        .wrapping_add(last_delta)
        .wrapping_add(1)
        & 0x7fff_ffff)
        .cast_signed()
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    /// Oldest first, 1 to [`BATCHES_KEPT`].
    batches: VecDeque<KnownBatch>,
}

impl Producer {
    fn newest(&self) -> &KnownBatch {
        self.batches.back().expect("never empty")
    }
}

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the next one.
    Next,
    /// It is in the log already.
    Duplicate(KnownBatch),
    /// It may be one of those that were proposed in this turn: ask again after it.
    Unsettled,
}

/// Why a batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SequenceError {
    /// Its sequence number is not the next one.
    Gap { expected: i32, given: i32 },
    /// A later epoch of the producer was seen.
    OldEpoch { current: i16, given: i16 },
}

/// What is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    known: HashMap<i64, Producer>,
    /// The producers by the index of their newest batch, which is one producer's only.
    by_age: BTreeMap<LogIndex, i64>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    table: Table,
    undo: Undo,
    /// Epoch and next sequence number of those who proposed in this turn.
    proposed: HashMap<i64, (i16, i32)>,
}

impl Producers {
    /// Looks at a batch of `last_delta + 1` records before it is proposed.
    pub(crate) fn check(
        &self,
        stamp: ProducerStamp,
        last_delta: u32,
    ) -> Result<Verdict, SequenceError> {
        if let Some(&(epoch, next)) = self.proposed.get(&stamp.id) {
            let follows = match stamp.epoch {
                same if same == epoch => stamp.base_sequence == next,
                later => later > epoch && stamp.base_sequence == 0,
            };
            return Ok(if follows {
                Verdict::Next
            } else {
                Verdict::Unsettled
            });
        }
        let Some(producer) = self.table.known.get(&stamp.id) else {
            return Ok(Verdict::Next);
        };
        let given = stamp.base_sequence;
        if stamp.epoch < producer.epoch {
            let (current, given) = (producer.epoch, stamp.epoch);
            return Err(SequenceError::OldEpoch { current, given });
        }
        let expected = if stamp.epoch > producer.epoch {
            0
        } else {
            let same = |batch: &&KnownBatch| {
                (batch.base_sequence, batch.last_delta) == (given, last_delta)
            };
            if let Some(batch) = producer.batches.iter().find(same) {
                return Ok(Verdict::Duplicate(*batch));
            }
            producer.newest().next_sequence()
        };
        if given == expected {
            Ok(Verdict::Next)
        } else {
            Err(SequenceError::Gap { expected, given })
        }
    }

    /// Whether anything is known of a producer.
    pub(crate) fn knows(&self, id: i64) -> bool {
        self.table.known.contains_key(&id) || self.proposed.contains_key(&id)
    }

    /// The newest batch of a producer that is in the log.
    pub(crate) fn newest_of(&self, id: i64) -> Option<LogIndex> {
        let producer = self.table.known.get(&id)?;
        Some(producer.newest().index)
    }

    /// What is known at the end of the log.
    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// A batch that [`Producers::check`] let through is on its way to the log.
    pub(crate) fn propose(&mut self, stamp: ProducerStamp, last_delta: u32) {
        let next = next_sequence(stamp.base_sequence, last_delta);
        self.proposed.insert(stamp.id, (stamp.epoch, next));
    }

    /// The turn has ended: what was proposed is in the log by now, or will never be.
    pub(crate) fn end_turn(&mut self) {
        self.proposed.clear();
    }

    /// A batch is in the log.
    pub(crate) fn append(&mut self, id: i64, epoch: i16, batch: KnownBatch) {
        let index = batch.index;
        let of = self.table.append(id, epoch, batch);
        let forgotten = self.table.forget_oldest().map(Box::new);
        self.undo.push(index, Before::Batch { id, of, forgotten });
    }

    /// A checkpoint is in the log: `table` takes the place of what was known.
    pub(crate) fn replace(&mut self, index: LogIndex, table: Table) {
        let before = std::mem::replace(&mut self.table, table);
        self.undo.push(index, Before::Table(Box::new(before)));
    }
}

impl Producer {
    fn new(epoch: i16, batch: KnownBatch) -> Self {
        let mut batches = VecDeque::with_capacity(BATCHES_KEPT);
        batches.push_back(batch);
        Self { epoch, batches }
    }

    /// Takes in its next batch; returns what was known before.
    fn append(&mut self, epoch: i16, batch: KnownBatch) -> Of {
        if self.epoch != epoch {
            let before = std::mem::replace(self, Self::new(epoch, batch));
            return Of::Epoch(Box::new(before));
        }
        let is_full = self.batches.len() == BATCHES_KEPT;
        let oldest = if is_full {
            self.batches.pop_front()
        } else {
            None
        };
        self.batches.push_back(batch);
        oldest.map_or(Of::Fewer, Of::Full)
    }
}

impl Table {
    /// Takes in a producer's next batch; returns what was known of it before.
    fn append(&mut self, id: i64, epoch: i16, batch: KnownBatch) -> Of {
        let index = batch.index;
        let of = match self.known.entry(id) {
            Entry::Vacant(nobody) => {
                nobody.insert(Producer::new(epoch, batch));
                Of::Nobody
            }
            Entry::Occupied(mut producer) => {
                let producer = producer.get_mut();
                self.by_age.remove(&producer.newest().index);
                producer.append(epoch, batch)
            }
        };
        self.by_age.insert(index, id);
        of
    }

    fn insert(&mut self, id: i64, producer: Producer) {
        self.by_age.insert(producer.newest().index, id);
        self.known.insert(id, producer);
    }

    fn remove(&mut self, id: i64) -> Option<Producer> {
        let producer = self.known.remove(&id)?;
        self.by_age.remove(&producer.newest().index);
        Some(producer)
    }

    /// Makes room if there are too many.
    fn forget_oldest(&mut self) -> Option<(i64, Producer)> {
        if self.known.len() <= PRODUCERS_MAX {
            return None;
        }
        let (_, id) = self.by_age.pop_first().expect("as many as producers");
        Some((id, self.known.remove(&id).expect("it was there by age")))
    }
}
