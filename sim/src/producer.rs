//! One producer. An idempotent one does as real clients do: what it does not know the end of it sends
//! again, the same bytes, in order, to whoever leads, until it is acknowledged.
//!
//! - A new batch goes out only while fewer than [`IN_FLIGHT_MAX`] batches lie between it and the first one
//!   that is not acknowledged, that one included: so many a server remembers.
//! - A batch goes out only where those before it were acknowledged, or taken by the same leader.
//! - Once one in flight failed, nothing new goes out until the others have ended, too.
//! - Who gives up goes on with the next epoch, from sequence 0, and never sends the old batches again.

use std::collections::VecDeque;

use bytes::Bytes;
use laminarmq_kafka::batch::{
    BatchBuilder, BatchLimits, CheckedBatch, Compression, NewRecord, ProducerStamp, validate,
};

use crate::history::Stamp;

/// Batches that an idempotent producer may have in flight.
pub(crate) const IN_FLIGHT_MAX: u64 = 5;

/// Whom a client speaks to: a node, the node's lifetime, the term in which it leads.
pub(crate) type Leadership = (u64, u64, u32);

pub(crate) struct Producer {
    /// Who it thinks leads.
    pub(crate) leader: u64,
    pub(crate) in_flight: u64,
    pub(crate) sequences: Option<Sequences>,
}

/// What an idempotent producer knows of its batches.
pub(crate) struct Sequences {
    id: i64,
    epoch: i16,
    /// Of the next record.
    next: i32,
    /// Batches of this epoch so far.
    made: u64,
    /// What is not acknowledged, oldest first.
    line: VecDeque<Batch>,
    /// What was acknowledged in this epoch, the newest few, if nothing was given up.
    pub(crate) done: VecDeque<Batch>,
    /// Something in flight failed: the rest has to end first.
    pub(crate) failed: bool,
    /// The newest term of which a leader acknowledged something.
    pub(crate) newest_term: u32,
}

/// A batch that can be made again, byte for byte.
#[derive(Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) request: u64,
    pub(crate) codec: Compression,
    number: u64,
    /// Who took it first; if nobody did, it is not in the partition.
    pub(crate) taken_by: Option<Leadership>,
    pub(crate) times_sent: u64,
}

impl Producer {
    pub(crate) fn plain(leader: u64) -> Self {
        Self {
            leader,
            in_flight: 0,
            sequences: None,
        }
    }

    pub(crate) fn idempotent(leader: u64, id: i64, first_sequence: i32) -> Self {
        let sequences = Sequences {
            id,
            epoch: 0,
            next: first_sequence,
            made: 0,
            line: VecDeque::new(),
            done: VecDeque::new(),
            failed: false,
            newest_term: 0,
        };
        Self {
            sequences: Some(sequences),
            ..Self::plain(leader)
        }
    }

    /// Whether it has something to send; `new` says whether that may be a new batch.
    pub(crate) fn wants_to_send(&self, new: bool) -> bool {
        match &self.sequences {
            None => new,
            Some(it) if self.in_flight == 0 => new || !it.line.is_empty(),
            Some(it) => new && !it.failed && it.has_room(),
        }
    }
}

impl Sequences {
    pub(crate) fn has_room(&self) -> bool {
        let oldest = self.line.front().map_or(self.made, |batch| batch.number);
        self.made - oldest < IN_FLIGHT_MAX
    }

    /// A new batch, last in line.
    pub(crate) fn enqueue(&mut self, request: u64, records: usize, codec: Compression) -> Stamp {
        let stamp = Stamp {
            id: self.id,
            epoch: self.epoch,
            sequence: self.next,
        };
        self.line.push_back(Batch {
            request,
            codec,
            number: self.made,
            taken_by: None,
            times_sent: 0,
        });
        self.made += 1;
        let records = i32::try_from(records).expect("a few");
        self.next = self.next.wrapping_add(records) & i32::MAX;
        stamp
    }

    /// The requests that are not acknowledged, oldest first.
    pub(crate) fn line(&self) -> impl Iterator<Item = (u64, Compression)> {
        self.line.iter().map(|batch| (batch.request, batch.codec))
    }

    /// A request is sent. Returns what was known of it before.
    pub(crate) fn send(&mut self, request: u64, to: Leadership, taken: bool) -> Option<Batch> {
        let mut in_line = self.line.iter_mut();
        let batch = in_line.find(|batch| batch.request == request)?;
        let before = *batch;
        batch.times_sent += 1;
        batch.taken_by = before.taken_by.or(taken.then_some(to));
        Some(before)
    }

    pub(crate) fn acknowledged(&mut self, request: u64, term: u32) {
        self.newest_term = term.max(self.newest_term);
        let at = self.line.iter().position(|batch| batch.request == request);
        if let Some(batch) = at.and_then(|at| self.line.remove(at)) {
            self.done.push_back(batch);
        }
        while self.done.len() as u64 > IN_FLIGHT_MAX {
            self.done.pop_front();
        }
    }

    /// Gives up on everything; the batches are never sent again.
    pub(crate) fn give_up(&mut self) -> VecDeque<Batch> {
        self.epoch += 1;
        self.next = 0;
        self.made = 0;
        self.done.clear();
        std::mem::take(&mut self.line)
    }
}

/// The bytes of a batch: the same for the same arguments.
pub(crate) fn build(values: &[String], codec: Compression, stamp: Option<Stamp>) -> CheckedBatch {
    let mut builder = BatchBuilder::new(codec);
    builder.set_producer(stamp.map(|stamp| ProducerStamp {
        id: stamp.id,
        epoch: stamp.epoch,
        base_sequence: stamp.sequence,
    }));
    for value in values {
        let record = NewRecord {
            timestamp: 1,
            value: Some(value.as_bytes()),
            ..NewRecord::default()
        };
        builder.push(&record).expect("a small record");
    }
    let bytes: Bytes = builder.build();
    validate(bytes, &BatchLimits::default()).expect("we built it")
}
