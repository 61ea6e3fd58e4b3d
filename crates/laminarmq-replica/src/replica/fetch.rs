//! Reads: plans that say where the bytes are. Whoever sends them reads them.
//!
//! A plan starts with the batch that holds the offset asked for, whole, and ends before the high
//! watermark; internal entries are left out.

use bytes::Bytes;
use laminarmq::{LogEnv, ReadError, ReadPlan, poll_ready};

use crate::replica::Replica;
use crate::{EntryKind, FetchError, LogIndex, Offset};

/// What a consumer may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Everything below the high watermark.
    #[default]
    ReadUncommitted,
    /// Everything below the last stable offset: no open transactions.
    ReadCommitted,
}

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchQuery {
    /// The first offset wanted.
    pub offset: Offset,
    /// Most bytes of batches.
    pub max_bytes: u64,
    /// Return the first batch even if it alone is larger than `max_bytes`.
    pub at_least_one: bool,
    /// What may be seen.
    pub isolation: Isolation,
}

/// Where the bytes of a fetch are.
pub struct FetchPlan<E: LogEnv> {
    /// Batches in order; all pieces together are whole batches.
    pub pieces: Vec<Piece<E>>,
    /// Bytes that the pieces are going to be; for files with the log's own headers, so a little
    /// more than the batches.
    pub bytes: u64,
    /// When the plan was made.
    pub high_watermark: Offset,
    /// When the plan was made.
    pub last_stable_offset: Offset,
    /// When the plan was made.
    pub start_offset: Offset,
    /// Aborted transactions in the range; none until there are transactions.
    pub aborted: Vec<AbortedTransaction>,
}

/// A transaction whose records a committed-only consumer leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: i64,
    /// Its first record.
    pub first_offset: Offset,
}

/// A part of a fetch.
pub enum Piece<E: LogEnv> {
    /// Bytes in memory: a part of a batch, or all of it.
    Memory(Bytes),
    /// Whole batches in segment files.
    File(FileRange<E>),
}

/// Batches in segment files. Reading blocks; do it where that hurts nobody.
pub struct FileRange<E: LogEnv> {
    plan: ReadPlan<E>,
}

impl<E: LogEnv> FileRange<E> {
    /// Reads and verifies the batches, in order, as slices of one buffer.
    ///
    /// [`ReadError::Truncated`]: the log's end was replaced meanwhile (not this part of it: what
    /// may be seen is never replaced); fetch again.
    pub fn read(self) -> Result<Vec<Bytes>, ReadError> {
        let data = |record: &laminarmq::Record| record.kind == EntryKind::Data.as_u8();
        let records = self.plan.read()?;
        Ok(records
            .into_iter()
            .filter(data)
            .map(|record| record.value)
            .collect())
    }
}

impl<E: LogEnv> FetchPlan<E> {
    /// Reads everything into one list, in this thread.
    pub fn read(self) -> Result<Vec<Bytes>, ReadError> {
        let mut out = Vec::new();
        for piece in self.pieces {
            match piece {
                Piece::Memory(bytes) => out.push(bytes),
                Piece::File(range) => out.extend(range.read()?),
            }
        }
        Ok(out)
    }
}

impl<E: LogEnv> Replica<E> {
    /// Plans a read. Between the high watermark and the end offset there is nothing to see, and
    /// the plan is empty; past the end it is an error.
    pub fn fetch(&self, query: FetchQuery) -> Result<FetchPlan<E>, FetchError> {
        let FetchQuery { offset, .. } = query;
        self.must_know_watermark()?;
        if offset < self.start_offset() || offset > self.end_offset() {
            let (start, end) = (self.start_offset(), self.end_offset());
            return Err(FetchError::OutOfRange { offset, start, end });
        }
        let mut plan = FetchPlan {
            pieces: Vec::new(),
            bytes: 0,
            high_watermark: self.high_watermark(),
            last_stable_offset: self.last_stable_offset(),
            start_offset: self.start_offset(),
            aborted: Vec::new(),
        };
        if offset < self.visible_end(query.isolation) && !self.plan_from_memory(&query, &mut plan) {
            self.plan_from_files(&query, &mut plan)?;
        }
        Ok(plan)
    }

    /// One past the last offset that a consumer may see.
    pub(super) fn visible_end(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::ReadUncommitted => self.high_watermark(),
            Isolation::ReadCommitted => self.last_stable_offset(),
        }
    }

    /// False if the first batch is not in memory.
    fn plan_from_memory(&self, query: &FetchQuery, plan: &mut FetchPlan<E>) -> bool {
        let Some(entries) = self.tail.holding(query.offset) else {
            return false;
        };
        let end = self.visible_end(query.isolation);
        let batches = entries
            .filter(|entry| entry.kind == EntryKind::Data)
            .take_while(|entry| entry.base_offset < end);
        for batch in batches {
            let bytes = batch.payload.len() as u64;
            let first = plan.pieces.is_empty() && query.at_least_one;
            if plan.bytes + bytes > query.max_bytes && !first {
                break;
            }
            plan.bytes += bytes;
            let pieces = [&batch.payload.head, &batch.payload.body];
            plan.pieces.extend(
                pieces
                    .into_iter()
                    .filter(|piece| !piece.is_empty())
                    .cloned()
                    .map(Piece::Memory),
            );
        }
        true
    }

    fn plan_from_files(
        &self,
        query: &FetchQuery,
        plan: &mut FetchPlan<E>,
    ) -> Result<(), FetchError> {
        let Some(first) = self.holder(query.offset)? else {
            return Ok(());
        };
        if first.length > query.max_bytes && !query.at_least_one {
            return Ok(());
        }
        let end = self.visible.get() + 1;
        let range = poll_ready(self.log().plan(first.index..end, query.max_bytes))?;
        plan.bytes = range.byte_len();
        plan.pieces.push(Piece::File(FileRange { plan: range }));
        Ok(())
    }

    /// The entry that holds an offset below the end.
    pub(super) fn holder(&self, offset: Offset) -> Result<Option<laminarmq::EntryInfo>, ReadError> {
        // Of entries with equal keys the data entry is the last: it alone moves the next key on.
        let holder = poll_ready(self.log().last_with_key_at_most(offset.get()))?;
        Ok(holder.filter(|entry| entry.kind == EntryKind::Data.as_u8()))
    }

    /// The batch at a data entry, wherever it is.
    pub(super) fn batch_at(&self, index: LogIndex) -> Result<Vec<Piece<E>>, ReadError> {
        if let Some(cached) = self.tail.get(index) {
            let pieces = [&cached.payload.head, &cached.payload.body];
            return Ok(pieces
                .into_iter()
                .filter(|piece| !piece.is_empty())
                .cloned()
                .map(Piece::Memory)
                .collect());
        }
        let plan = poll_ready(self.log().plan(index.get()..index.get() + 1, u64::MAX))?;
        Ok(vec![Piece::File(FileRange { plan })])
    }
}
