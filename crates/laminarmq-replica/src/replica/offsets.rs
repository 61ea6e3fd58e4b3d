//! Looking offsets up: the ends, and by time.
//!
//! By time, the index finds the batch: the first one whose running maximum reaches the time. That
//! batch has such a record, because the maximum in a batch's head was checked against its records
//! when it came in. Which record it is, only the batch knows; whoever answers walks it.

use bytes::{Bytes, BytesMut};
use laminarmq::{LogEnv, ReadError, poll_ready};
use laminarmq_kafka::batch::{self, BatchLimits};

use crate::replica::{FetchPlan, Isolation, Piece, Replica};
use crate::{EntryKind, FetchError, LogIndex, Offset, Term};

/// Which offset is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuery {
    /// The first readable one.
    Earliest,
    /// The end of what may be seen.
    Latest(Isolation),
    /// The first record at or after this time, in milliseconds.
    AtOrAfter(i64),
    /// The first record that has the latest time of all.
    MaxTimestamp,
    /// The end of a leader epoch: of the last one up to this that the log knows, the first offset behind
    /// it, with that epoch. An epoch before all that the log knows ends where they start. Not found: one
    /// that is still to come.
    EndOfEpoch(Term),
}

/// A found offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset.
    pub offset: Offset,
    /// The record's time in milliseconds; for the ends there is no record.
    pub timestamp: Option<i64>,
    /// The leader epoch of the record, or the present one.
    pub epoch: Term,
}

/// The answer to a query.
pub enum OffsetAnswer<E: LogEnv> {
    /// Known at once.
    Found(FoundOffset),
    /// No such record.
    NotFound,
    /// One batch has to be looked into.
    Search(OffsetSearch<E>),
}

impl<E: LogEnv> OffsetAnswer<E> {
    /// The answer, after looking into the batch in this thread if there is one.
    pub fn resolve(self, limits: &BatchLimits) -> Result<Option<FoundOffset>, FetchError> {
        match self {
            Self::Found(found) => Ok(Some(found)),
            Self::NotFound => Ok(None),
            Self::Search(search) => search.run(limits),
        }
    }
}

/// A batch to be read, decompressed and walked: not on a shard's thread.
pub struct OffsetSearch<E: LogEnv> {
    pieces: Vec<Piece<E>>,
    base_offset: Offset,
    epoch: Term,
    time: i64,
    /// Records before it are trimmed, though their batch is there.
    start: Offset,
}

impl<E: LogEnv> OffsetSearch<E> {
    /// Walks the batch. `None`: it has no such record, so there is none.
    pub fn run(self, limits: &BatchLimits) -> Result<Option<FoundOffset>, FetchError> {
        let bad = |error: batch::BatchError| FetchError::Batch {
            offset: self.base_offset,
            what: error.to_string(),
        };
        let mut joined = BytesMut::new();
        for piece in self.pieces {
            match piece {
                Piece::Memory(bytes) => joined.extend_from_slice(&bytes),
                Piece::File(range) => range
                    .read()?
                    .iter()
                    .for_each(|bytes| joined.extend_from_slice(bytes)),
            }
        }
        let joined: Bytes = joined.freeze();
        for record in batch::records(&joined, limits).map_err(bad)? {
            let record = record.map_err(bad)?;
            let offset = Offset(u64::try_from(record.offset).unwrap_or(self.base_offset.get()));
            if record.timestamp >= self.time && offset >= self.start {
                let timestamp = Some(record.timestamp);
                return Ok(Some(FoundOffset {
                    offset,
                    timestamp,
                    epoch: self.epoch,
                }));
            }
        }
        Ok(None)
    }
}

impl<E: LogEnv> Replica<E> {
    /// Answers a query about offsets.
    pub fn offset_for(&self, query: OffsetQuery) -> Result<OffsetAnswer<E>, FetchError> {
        let end = |offset| {
            let found = FoundOffset {
                offset,
                timestamp: None,
                epoch: self.leader_epoch(),
            };
            OffsetAnswer::Found(found)
        };
        match query {
            OffsetQuery::Earliest => Ok(end(self.start_offset())),
            OffsetQuery::Latest(isolation) => {
                self.must_know_watermark()?;
                Ok(end(self.visible_end(isolation)))
            }
            OffsetQuery::AtOrAfter(time) => {
                self.must_know_watermark()?;
                self.search(time)
            }
            OffsetQuery::MaxTimestamp => {
                self.must_know_watermark()?;
                match self.max_timestamp()? {
                    Some(time) => self.search(time),
                    None => Ok(OffsetAnswer::NotFound),
                }
            }
            OffsetQuery::EndOfEpoch(epoch) => {
                self.must_know_watermark()?;
                self.end_of_epoch(epoch)
            }
        }
    }

    fn end_of_epoch(&self, asked: Term) -> Result<OffsetAnswer<E>, FetchError> {
        let terms = self.consensus.store().terms();
        if asked > terms.last() {
            return Ok(OffsetAnswer::NotFound);
        }
        let (epoch, next) = terms.up_to(asked);
        let end = match (epoch, next) {
            (None, _) => self.start_offset(),
            // The start may have moved past where the next epoch begins, and the log ends for a consumer
            // where nothing more may be seen.
            (Some(_), Some(next)) => self
                .offset_after(LogIndex(next.get() - 1))?
                .clamp(self.start_offset(), self.high_watermark()),
            (Some(_), None) => self.high_watermark(),
        };
        Ok(OffsetAnswer::Found(FoundOffset {
            offset: end,
            timestamp: None,
            epoch: epoch.unwrap_or(asked),
        }))
    }

    fn search(&self, time: i64) -> Result<OffsetAnswer<E>, FetchError> {
        let Some(mut entry) = poll_ready(self.log().first_at_or_after_time(time))? else {
            return Ok(OffsetAnswer::NotFound);
        };
        // An internal entry at the start of a segment may stand in front of it.
        while entry.kind != EntryKind::Data.as_u8() {
            if entry.index >= self.visible.get() {
                return Ok(OffsetAnswer::NotFound);
            }
            entry = poll_ready(self.log().entry(entry.index + 1))?;
        }
        let base_offset = Offset(entry.key);
        if base_offset >= self.high_watermark() {
            return Ok(OffsetAnswer::NotFound);
        }
        let pieces = self.batch_at(LogIndex(entry.index))?;
        let epoch = Term(entry.term);
        Ok(OffsetAnswer::Search(OffsetSearch {
            pieces,
            base_offset,
            epoch,
            time,
            start: self.start_offset(),
        }))
    }

    /// The latest time of all visible records; `None` if no record has one.
    fn max_timestamp(&self) -> Result<Option<i64>, ReadError> {
        let visible = self.visible.get();
        let mut max = None;
        for segment in self.log().segments() {
            if segment.base_index > visible || segment.base_index == segment.end_index {
                continue;
            }
            let in_segment = if segment.end_index <= visible + 1 {
                segment.max_timestamp
            } else {
                Some(poll_ready(self.log().entry(visible))?.max_timestamp)
            };
            max = max.max(in_segment);
        }
        Ok(max.filter(|&time| time >= 0))
    }
}

impl<E: LogEnv> FetchPlan<E> {
    /// Whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}
