//! The table as bytes: the payload of an [`EntryKind::Producers`](crate::EntryKind::Producers) entry.
//!
//! ```text
//! version u8 = 1, count u32, then of each producer, the one with the oldest newest batch first:
//!   id i64, epoch i16, batches u8 (1 to 5), then of each, oldest first:
//!     index u64, base offset u64, base sequence i32, records less one u32, max timestamp i64
//! ```
//!
//! Little-endian. Described in `docs/formats/log-entries.md`.

use std::collections::VecDeque;

use thiserror::Error;

use super::{BATCHES_KEPT, KnownBatch, PRODUCERS_MAX, Producer, Table};
use crate::wire::{Cursor, Short};
use crate::{LogIndex, Offset};

const VERSION: u8 = 1;
pub(super) const HEADER_BYTES: usize = 1 + 4;
const BATCH_BYTES: usize = 8 + 8 + 4 + 4 + 8;
pub(super) const PRODUCER_BYTES_MAX: usize = 8 + 2 + 1 + BATCHES_KEPT * BATCH_BYTES;

/// Why bytes are no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum CheckpointError {
    #[error("a checkpoint of producers that ends early")]
    Short,
    #[error("a checkpoint of producers of an unknown version")]
    Version,
    #[error("a checkpoint of producers with impossible contents")]
    Contents,
}

impl From<Short> for CheckpointError {
    fn from(Short: Short) -> Self {
        Self::Short
    }
}

impl Table {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.known.len() * PRODUCER_BYTES_MAX);
        out.push(VERSION);
        let count = u32::try_from(self.known.len()).expect("bounded by PRODUCERS_MAX");
        out.extend_from_slice(&count.to_le_bytes());
        for id in self.by_age.values() {
            let producer = &self.known[id];
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&producer.epoch.to_le_bytes());
            out.push(u8::try_from(producer.batches.len()).expect("bounded by BATCHES_KEPT"));
            for batch in &producer.batches {
                out.extend_from_slice(&batch.index.get().to_le_bytes());
                out.extend_from_slice(&batch.base_offset.get().to_le_bytes());
                out.extend_from_slice(&batch.base_sequence.to_le_bytes());
                out.extend_from_slice(&batch.last_delta.to_le_bytes());
                out.extend_from_slice(&batch.timestamp.to_le_bytes());
            }
        }
        out
    }

    /// Reads what [`Table::encode`] wrote for the entry at `index`, and checks it: all of it stands before that.
    pub(crate) fn decode(bytes: &[u8], index: LogIndex) -> Result<Self, CheckpointError> {
        let mut cursor = Cursor::new(bytes);
        if cursor.u8()? != VERSION {
            return Err(CheckpointError::Version);
        }
        let count = cursor.u32()? as usize;
        if count > PRODUCERS_MAX {
            return Err(CheckpointError::Contents);
        }
        let mut table = Self::default();
        let mut newest = LogIndex(0);
        for _ in 0..count {
            let id = cursor.u64()?.cast_signed();
            let epoch = cursor.u16()?.cast_signed();
            let producer = Producer {
                epoch,
                batches: batches(&mut cursor)?,
            };
            let age = producer.newest().index;
            let known = table.known.insert(id, producer).is_some();
            if known || id < 0 || epoch < 0 || age <= newest {
                return Err(CheckpointError::Contents);
            }
            newest = age;
            table.by_age.insert(age, id);
        }
        if cursor.remaining() > 0 || newest >= index {
            return Err(CheckpointError::Contents);
        }
        Ok(table)
    }
}

fn batches(cursor: &mut Cursor<'_>) -> Result<VecDeque<KnownBatch>, CheckpointError> {
    let count = usize::from(cursor.u8()?);
    if !(1..=BATCHES_KEPT).contains(&count) {
        return Err(CheckpointError::Contents);
    }
    let mut batches = VecDeque::with_capacity(BATCHES_KEPT);
    let mut last = LogIndex(0);
    for _ in 0..count {
        let batch = KnownBatch {
            index: LogIndex(cursor.u64()?),
            base_offset: Offset(cursor.u64()?),
            base_sequence: cursor.u32()?.cast_signed(),
            last_delta: cursor.u32()?,
            timestamp: cursor.u64()?.cast_signed(),
        };
        let possible = batch.base_sequence >= 0 && i32::try_from(batch.last_delta).is_ok();
        if batch.index <= last || !possible {
            return Err(CheckpointError::Contents);
        }
        last = batch.index;
        batches.push_back(batch);
    }
    Ok(batches)
}
