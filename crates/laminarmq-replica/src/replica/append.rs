//! Entries get their place: offsets and epochs, the roll flag, one write.

use bytes::Bytes;
use laminarmq::{Append, LogEnv, poll_ready};
use laminarmq_kafka::batch::{BatchHeader, HEAD_BYTES, NO_TIMESTAMP};

use crate::consensus::NewEntry;
use crate::queue::{Queued, Waiting};
use crate::replica::{Answered, Replica, Tracked};
use crate::tail::Cached;
use crate::{
    Appended, DropReason, Effects, EntryKind, FLAG_PRODUCER, FLAG_ROLL, Fatal, LogIndex, LogPoint,
    Offset, Payload, Token,
};

/// What a record takes in a segment beside its value, about. Only the leader's decision to roll
/// depends on it, and that travels as a flag.
const RECORD_OVERHEAD_BYTES: u64 = 64;

/// An entry that is ready to be written.
struct Placed {
    cached: Cached,
    timestamp: i64,
    next_offset: Offset,
    token: Option<Token>,
}

impl<E: LogEnv> Replica<E> {
    /// Appends a turn's entries with one write per segment. Entries from the first one's index on
    /// are replaced.
    pub(super) fn append(
        &mut self,
        entries: Vec<NewEntry>,
        effects: &mut Effects<E>,
    ) -> Result<(), Fatal> {
        let first = entries.first().expect("called with entries").index;
        if first <= self.last_index() {
            self.truncate(first, effects)?;
        }
        assert_eq!(
            first.get(),
            self.log().end_index(),
            "entries continue the log"
        );
        let mut segment_bytes = self.log().write_segment_bytes();
        let mut placed = Vec::with_capacity(entries.len());
        for entry in entries {
            let entry = self.place(entry, segment_bytes, effects)?;
            if entry.cached.flags & FLAG_ROLL != 0 {
                segment_bytes = 0;
            }
            segment_bytes += entry.cached.payload.len() as u64 + RECORD_OVERHEAD_BYTES;
            self.end_offset = entry.next_offset;
            placed.push(entry);
        }
        self.write(&placed)?;
        for entry in placed {
            self.track(entry, effects);
        }
        Ok(())
    }

    /// Decides everything about one entry but its bytes' way to the disk.
    fn place(
        &mut self,
        entry: NewEntry,
        segment_bytes: u64,
        effects: &mut Effects<E>,
    ) -> Result<Placed, Fatal> {
        let at = LogPoint {
            index: entry.index,
            term: entry.term,
        };
        let roll_next = std::mem::take(&mut self.roll_next);
        let roll = if segment_bytes >= self.config.segment_bytes || roll_next {
            FLAG_ROLL
        } else {
            0
        };
        let base_offset = self.end_offset;
        let Some(number) = entry.queued else {
            self.own_noop = Some(at);
            let cached = Cached {
                at,
                kind: EntryKind::Noop,
                flags: roll,
                base_offset,
                payload: Payload::default(),
            };
            return Ok(Placed {
                cached,
                timestamp: NO_TIMESTAMP,
                next_offset: base_offset,
                token: None,
            });
        };
        let mut superseded = Vec::new();
        let queued = self.queue.take(number, &mut superseded);
        drop_never_appended(superseded, effects);
        let Queued { token, waiting, .. } = queued.expect("a payload waits until its turn");
        let (kind, flags, payload, timestamp, records) = match waiting {
            Waiting::Checkpoint => {
                let payload = self.checkpoint_payload();
                (EntryKind::Producers, roll, payload, NO_TIMESTAMP, 0)
            }
            Waiting::Batch(batch) => {
                let base = i64::try_from(base_offset.get());
                let base = base.map_err(|_| bad(at.index, "the offsets are used up"))?;
                let head = batch.head(base, at.term.leader_epoch());
                let payload = Payload {
                    head: Bytes::copy_from_slice(&head),
                    body: batch.body().clone(),
                };
                let records = u64::from(batch.record_count());
                let producer = if batch.producer().is_some() {
                    FLAG_PRODUCER
                } else {
                    0
                };
                (
                    EntryKind::Data,
                    roll | producer,
                    payload,
                    batch.max_timestamp(),
                    records,
                )
            }
            Waiting::Own(kind, payload) => (kind, roll, payload, NO_TIMESTAMP, 0),
            Waiting::Sent {
                kind: EntryKind::Data,
                flags,
                payload,
            } => {
                let header = parse_head(&payload);
                let header = header.ok_or_else(|| bad(at.index, "not a record batch"))?;
                if u64::try_from(header.base_offset) != Ok(base_offset.get()) {
                    let what = "the leader gave it another offset than follows here";
                    return Err(bad(at.index, what));
                }
                let records = record_count(&header).ok_or_else(|| bad(at.index, "no records"))?;
                (
                    EntryKind::Data,
                    flags,
                    payload,
                    header.max_timestamp,
                    records,
                )
            }
            Waiting::Sent {
                kind,
                flags,
                payload,
            } => (kind, flags, payload, NO_TIMESTAMP, 0),
        };
        let next_offset = Offset(base_offset.get() + records);
        self.learn(at.index, kind, flags, &payload)?;
        let cached = Cached {
            at,
            kind,
            flags,
            base_offset,
            payload,
        };
        Ok(Placed {
            cached,
            timestamp,
            next_offset,
            token,
        })
    }

    /// Hands everything to the log: one write per run of entries between rolls.
    fn write(&mut self, placed: &[Placed]) -> Result<(), Fatal> {
        let pieces: Vec<[&[u8]; 2]> = placed
            .iter()
            .map(|entry| entry.cached.payload.pieces())
            .collect();
        let records: Vec<Append<'_>> = placed
            .iter()
            .zip(&pieces)
            .map(|(entry, value)| Append {
                term: entry.cached.at.term.get(),
                kind: entry.cached.kind.as_u8(),
                flags: entry.cached.flags,
                key: entry.cached.base_offset.get(),
                timestamp: entry.timestamp,
                value,
            })
            .collect();
        let mut rest = &records[..];
        while let Some(first) = rest.first() {
            let (log, terms) = self.consensus.store_mut().parts_mut();
            if first.flags & FLAG_ROLL != 0 {
                poll_ready(log.roll())?;
                // Worth a save: what was committed by now need not be looked at after a restart.
                self.persisting.state = true;
            }
            let run = rest
                .iter()
                .skip(1)
                .position(|record| record.flags & FLAG_ROLL != 0);
            let (run, after) = rest.split_at(run.map_or(rest.len(), |at| at + 1));
            poll_ready(log.append_many(run))?;
            for record in run {
                assert!(
                    terms.push(crate::Term(record.term)),
                    "terms never fall along the log"
                );
            }
            rest = after;
        }
        Ok(())
    }

    fn track(&mut self, entry: Placed, effects: &mut Effects<E>) {
        let Placed {
            cached,
            next_offset,
            token,
            ..
        } = entry;
        let index = cached.at.index;
        let base_offset = cached.base_offset;
        let bytes = cached.payload.len() as u64;
        let answered = match cached.kind {
            EntryKind::Data => Answered::Committed,
            _ => Answered::Applied,
        };
        self.tracked.push_back(Tracked {
            index,
            bytes,
            token,
            base_offset,
            next_offset,
            answered,
        });
        self.tracked_bytes += bytes;
        effects.appended.extend(token.map(|token| Appended {
            token,
            index,
            base_offset,
            next_offset,
        }));
        self.tail.push(cached);
    }

    /// A newer leader's log differs from `from` on.
    fn truncate(&mut self, from: LogIndex, effects: &mut Effects<E>) -> Result<(), Fatal> {
        assert!(
            from > self.applied && from > self.visible,
            "committed entries are never replaced"
        );
        let first_gone = poll_ready(self.log().entry(from.get()))?;
        let (log, terms) = self.consensus.store_mut().parts_mut();
        poll_ready(log.truncate_suffix(from.get()))?;
        terms.truncate(from);
        self.end_offset = Offset(first_gone.key);
        self.tail.truncate(from);
        self.unlearn(from)?;
        let kept = self.tracked.partition_point(|tracked| tracked.index < from);
        for gone in self.tracked.drain(kept..) {
            self.tracked_bytes -= gone.bytes;
            effects
                .dropped
                .extend(gone.token.map(|token| (token, DropReason::Overwritten)));
        }
        Ok(())
    }

    /// After a turn nothing may wait: its entries are all there are.
    pub(super) fn drop_superseded(&mut self, effects: &mut Effects<E>) {
        if !self.queue.is_empty() {
            let mut superseded = Vec::new();
            self.queue.clear(&mut superseded);
            drop_never_appended(superseded, effects);
        }
        self.producers.end_turn();
        self.checkpoint.end_turn();
    }
}

fn drop_never_appended<E: LogEnv>(tokens: Vec<Token>, effects: &mut Effects<E>) {
    let reason = DropReason::NeverAppended;
    effects
        .dropped
        .extend(tokens.into_iter().map(|token| (token, reason)));
}

/// The head of a batch in up to two pieces, the first of which is all of it or nothing.
pub(super) fn parse_head(payload: &Payload) -> Option<BatchHeader> {
    let front = if payload.head.is_empty() {
        &payload.body
    } else {
        &payload.head
    };
    let header = BatchHeader::parse(front.get(..HEAD_BYTES)?).ok()?;
    (header.size == payload.len()).then_some(header)
}

/// How many offsets a batch takes; `None` where that cannot be.
pub(super) fn record_count(header: &BatchHeader) -> Option<u64> {
    let delta = u64::try_from(header.last_offset_delta).ok()?;
    let base = u64::try_from(header.base_offset).ok()?;
    i64::try_from(base + delta + 1).ok()?;
    Some(delta + 1)
}

fn bad(index: LogIndex, what: &'static str) -> Fatal {
    Fatal::Entry { index, what }
}
