//! Proposing batches, and what is known of those who produce them.
//!
//! The leader writes a checkpoint of its table of producers into the log from time to time, so that
//! opening reads the newest one and the entries behind it, however long the log is.

use bytes::Bytes;
use laminarmq::{Log, LogEnv, ReadError, poll_ready};
use laminarmq_kafka::batch::{BatchHeader, CheckedBatch, HEAD_BYTES, ProducerStamp};

use crate::producers::{KnownBatch, PRODUCERS_BYTES_MAX, Producers, SequenceError, Table, Verdict};
use crate::queue::Waiting;
use crate::replica::Replica;
use crate::{
    EntryKind, FLAG_PRODUCER, Fatal, LogIndex, Offset, OpenError, Payload, ProposeError, Token,
};

/// Bytes of batches between two checkpoints; so many are read again after a crash, at most.
const CHECKPOINT_BYTES: u64 = 64 << 20;
/// Entries between two checkpoints; so many index entries are looked at after a crash, at most.
const CHECKPOINT_ENTRIES: u64 = 1 << 16;
/// Entries since the last checkpoint that make one worth while when the log is closed.
const CLOSING_ENTRIES: u64 = 1 << 12;

// A checkpoint is a small part of what stands between two of them.
const _: () = assert!(PRODUCERS_BYTES_MAX * 16 <= CHECKPOINT_BYTES);

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proposed {
    /// It is proposed; its token comes back in the effects.
    Queued,
    /// The same batch of the same producer is in the log already, and the token does not come back.
    /// It is acknowledged once [`Replica::is_visible`] says so of its index.
    Duplicate {
        /// Its entry.
        index: LogIndex,
        /// The offset of its first record.
        base_offset: Offset,
        /// Its max timestamp in milliseconds.
        timestamp: i64,
    },
}

/// What stands behind the newest checkpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SinceCheckpoint {
    /// The newest checkpoint; 0 if there is none.
    pub(super) last: LogIndex,
    bytes: u64,
    entries: u64,
    /// Entries of idempotent producers.
    flagged: u64,
    /// One is proposed and not in the log yet.
    queued: bool,
}

impl SinceCheckpoint {
    pub(super) fn count(&mut self, flags: u8, bytes: u64) {
        self.bytes += bytes;
        self.entries += 1;
        self.flagged += u64::from(flags & FLAG_PRODUCER != 0);
    }

    pub(super) fn written(&mut self, at: LogIndex) {
        *self = Self {
            last: at,
            ..Self::default()
        };
    }

    /// The turn has ended: what was proposed is in the log, or never will be.
    pub(super) fn end_turn(&mut self) {
        self.queued = false;
    }

    /// The end of the log was cut: a checkpoint there is gone.
    pub(super) fn truncate(&mut self, from: LogIndex) {
        if self.last >= from {
            // Not known any more; too low a number costs a checkpoint too many.
            self.last = LogIndex(0);
        }
    }
}

impl<E: LogEnv> Replica<E> {
    /// Proposes one checked batch. It gets its offset when it reaches the log.
    ///
    /// `token` comes back in the effects; see [`Effects`](crate::Effects). A batch of an idempotent
    /// producer is compared with what is known of it: it may be a repetition, or be refused.
    pub fn propose_batch(
        &mut self,
        batch: CheckedBatch,
        token: Token,
    ) -> Result<Proposed, ProposeError> {
        self.may_propose(batch.size() as u64)?;
        let stamp = batch.producer();
        if let Some(stamp) = stamp
            && let Verdict::Duplicate(known) = self.check_producer(stamp, &batch)?
        {
            return Ok(Proposed::Duplicate {
                index: known.index,
                base_offset: known.base_offset,
                timestamp: known.timestamp,
            });
        }
        let last_delta = batch.last_offset_delta();
        let waiting = Waiting::Batch(Box::new(batch));
        self.propose(EntryKind::Data, u64::from(last_delta) + 1, token, waiting)?;
        if let Some(stamp) = stamp {
            self.producers.propose(stamp, last_delta);
        }
        if self.checkpoint.bytes >= CHECKPOINT_BYTES
            || self.checkpoint.entries >= CHECKPOINT_ENTRIES
        {
            self.propose_checkpoint();
        }
        Ok(Proposed::Queued)
    }

    /// Whether anything is known of an idempotent producer: of one of whom nothing is, any batch is taken.
    pub fn knows_producer(&self, id: i64) -> bool {
        self.producers.knows(id)
    }

    /// Whether this replica leads, and has a batch of an idempotent producer from its own term: then it took what the
    /// producer has sent since another one led.
    pub fn has_own_batch_of(&self, id: i64) -> bool {
        let began = self.own_noop.filter(|it| it.term == self.leader_epoch());
        let newest = self.producers.newest_of(id);
        began.is_some_and(|began| newest.is_some_and(|newest| newest > began.index))
    }

    fn check_producer(
        &self,
        stamp: ProducerStamp,
        batch: &CheckedBatch,
    ) -> Result<Verdict, ProposeError> {
        match self.producers.check(stamp, batch.last_offset_delta()) {
            Ok(Verdict::Unsettled) => Err(ProposeError::Unsettled),
            Ok(verdict) => Ok(verdict),
            Err(SequenceError::Gap { expected, given }) => {
                Err(ProposeError::SequenceGap { expected, given })
            }
            Err(SequenceError::OldEpoch { current, given }) => {
                Err(ProposeError::OldProducerEpoch { current, given })
            }
        }
    }

    /// Before the log is closed: proposes a checkpoint where that spares the next opening work. Says
    /// whether it did; then [`Replica::advance`] has something to do.
    pub fn prepare_close(&mut self) -> bool {
        let worth = self.checkpoint.flagged > 0 || self.checkpoint.entries >= CLOSING_ENTRIES;
        worth && self.may_propose(0).is_ok() && self.propose_checkpoint()
    }

    /// Proposes a checkpoint; it is made when it gets its place. Says whether one is on its way.
    pub(super) fn propose_checkpoint(&mut self) -> bool {
        if !self.checkpoint.queued {
            let number = self.queue.next_number();
            // A leader that is handing over leaves it to the next one.
            let Ok(index) = self.consensus.propose(EntryKind::Producers, number) else {
                return false;
            };
            self.enqueue(index, 0, None, Waiting::Checkpoint);
            self.checkpoint.queued = true;
        }
        true
    }

    /// The checkpoint for the next place in the log.
    pub(super) fn checkpoint_payload(&self) -> Payload {
        Payload::whole(Bytes::from(self.producers.table().encode()))
    }

    /// Entries from `from` on were cut off the log.
    pub(super) fn unlearn(&mut self, from: LogIndex) -> Result<(), Fatal> {
        if self.producers.truncate(from) {
            self.checkpoint.truncate(from);
        } else {
            // They stood there when the log was opened.
            (self.producers, self.checkpoint) = read_producers(self.log())?;
        }
        Ok(())
    }

    /// An entry of these bytes is about to be in the log.
    pub(super) fn learn(
        &mut self,
        index: LogIndex,
        kind: EntryKind,
        flags: u8,
        payload: &Payload,
    ) -> Result<(), Fatal> {
        match kind {
            EntryKind::Data if flags & FLAG_PRODUCER != 0 => {
                let header = super::append::parse_head(payload);
                if let Some((id, epoch, batch)) = header.and_then(|head| known_batch(index, &head))
                {
                    self.producers.append(id, epoch, batch);
                }
            }
            // This replica's own says what the table holds already; reading it back would be work for nothing.
            EntryKind::Producers if self.is_leader() => {
                self.checkpoint.written(index);
                return Ok(());
            }
            EntryKind::Producers => {
                let what = NO_CHECKPOINT;
                let table = Table::decode(&payload.body, index)
                    .map_err(|_| Fatal::Entry { index, what })?;
                self.producers.replace(index, table);
                self.checkpoint.written(index);
                return Ok(());
            }
            _ => {}
        }
        self.checkpoint.count(flags, payload.len() as u64);
        Ok(())
    }
}

/// What a stored batch says of its producer.
fn known_batch(index: LogIndex, header: &BatchHeader) -> Option<(i64, i16, KnownBatch)> {
    let batch = KnownBatch {
        index,
        base_offset: Offset(u64::try_from(header.base_offset).ok()?),
        base_sequence: header.base_sequence,
        last_delta: u32::try_from(header.last_offset_delta).ok()?,
        timestamp: header.max_timestamp,
    };
    let possible =
        header.producer_id >= 0 && header.producer_epoch >= 0 && batch.base_sequence >= 0;
    possible.then_some((header.producer_id, header.producer_epoch, batch))
}

/// Why the log does not say what is known of its producers.
#[derive(Debug)]
pub(super) enum ProducersUnread {
    Read(ReadError),
    /// It is no checkpoint.
    Entry(LogIndex),
}

const NO_CHECKPOINT: &str = "not a checkpoint of producers";

impl From<ReadError> for ProducersUnread {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<ProducersUnread> for OpenError {
    fn from(error: ProducersUnread) -> Self {
        match error {
            ProducersUnread::Read(error) => Self::Read(error),
            ProducersUnread::Entry(index) => Self::Entry {
                index,
                what: NO_CHECKPOINT,
            },
        }
    }
}

impl From<ProducersUnread> for Fatal {
    fn from(error: ProducersUnread) -> Self {
        match error {
            ProducersUnread::Read(error) => Self::Read(error),
            ProducersUnread::Entry(index) => Self::Entry {
                index,
                what: NO_CHECKPOINT,
            },
        }
    }
}

/// What the log says of its producers: the newest checkpoint, and the batches behind it.
pub(super) fn read_producers<E: LogEnv>(
    log: &Log<E>,
) -> Result<(Producers, SinceCheckpoint), ProducersUnread> {
    let mut producers = Producers::default();
    let mut since = SinceCheckpoint::default();
    let mut first = log.start_index();
    for index in (log.start_index()..log.end_index()).rev() {
        if poll_ready(log.entry(index))?.kind == EntryKind::Producers.as_u8() {
            let record = poll_ready(log.read(index))?;
            let at = LogIndex(index);
            let table = Table::decode(&record.value, at).map_err(|_| ProducersUnread::Entry(at))?;
            producers.replace(at, table);
            since.written(LogIndex(index));
            first = index + 1;
            break;
        }
    }
    for index in first..log.end_index() {
        let entry = poll_ready(log.entry(index))?;
        since.count(entry.flags, entry.length);
        if entry.kind != EntryKind::Data.as_u8() || entry.flags & FLAG_PRODUCER == 0 {
            continue;
        }
        let value = poll_ready(log.read(index))?.value;
        let header = value.get(..HEAD_BYTES).map(BatchHeader::parse);
        if let Some(Ok(header)) = header
            && let Some((id, epoch, batch)) = known_batch(LogIndex(index), &header)
        {
            producers.append(id, epoch, batch);
            // What stands in the log already is not taken back by what it displaced.
            producers.settle(LogIndex(index));
        }
    }
    producers.settle(LogIndex(log.end_index() - 1));
    Ok((producers, since))
}
