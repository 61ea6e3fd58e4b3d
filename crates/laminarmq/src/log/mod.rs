//! The engine.

mod options;

use std::marker::PhantomData;
use std::ops::Range;
use std::path::Path;

use crate::env::{FileEnv, LogEnv, SegmentEnv};
use crate::error::{AppendError, OpenError, Poisoned, ReadError, SyncError, TruncateError};
use crate::record::{Append, EntryInfo, Record, Recovery, SegmentInfo};

pub use options::LogOptions;

/// A segmented log.
#[derive(Debug)]
pub struct Log<E: SegmentEnv = FileEnv> {
    env: PhantomData<E>,
}

/// A planned read.
#[derive(Debug)]
pub struct ReadPlan<E: LogEnv> {
    env: PhantomData<E::Reader>,
}

/// A sync to run.
#[derive(Debug)]
pub struct SyncTicket<E: LogEnv> {
    env: PhantomData<E::Sync>,
}

/// A sync that ran.
#[derive(Debug)]
pub struct SyncDone {}

impl Log<FileEnv> {
    /// Opens or creates the log in a directory with default options.
    pub fn open(_dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        unimplemented!()
    }
}

impl<E: SegmentEnv> Log<E> {
    /// Opens.
    pub async fn open_with(_env: E, _options: LogOptions) -> Result<Self, OpenError> {
        unimplemented!()
    }
    /// What opening repaired.
    pub fn recovery(&self) -> &Recovery {
        unimplemented!()
    }
    /// First.
    pub fn start_index(&self) -> u64 {
        unimplemented!()
    }
    /// One past the last.
    pub fn end_index(&self) -> u64 {
        unimplemented!()
    }
    /// Exclusive.
    pub fn durable_index(&self) -> u64 {
        unimplemented!()
    }
    /// Store bytes of the write segment.
    pub fn write_segment_bytes(&self) -> u64 {
        unimplemented!()
    }
    /// All, ascending.
    pub fn segments(&self) -> impl Iterator<Item = SegmentInfo> {
        std::iter::empty()
    }
    /// One record.
    pub async fn append(&mut self, _record: Append<'_>) -> Result<u64, AppendError> {
        unimplemented!()
    }
    /// Many records.
    pub async fn append_many(
        &mut self,
        _records: &[Append<'_>],
    ) -> Result<Range<u64>, AppendError> {
        unimplemented!()
    }
    /// New write segment; nothing when the write segment is empty.
    pub async fn roll(&mut self) -> Result<(), AppendError> {
        unimplemented!()
    }
    /// Drops every record `>= from`.
    pub async fn truncate_suffix(&mut self, _from: u64) -> Result<(), TruncateError> {
        unimplemented!()
    }
    /// From the index.
    pub async fn entry(&self, _index: u64) -> Result<EntryInfo, ReadError> {
        unimplemented!()
    }
    /// Last record with key <= `key`.
    pub async fn last_with_key_at_most(&self, _key: u64) -> Result<Option<EntryInfo>, ReadError> {
        unimplemented!()
    }
    /// Last record of that kind with key <= `key`.
    pub async fn last_of_kind_with_key_at_most(
        &self,
        _kind: u8,
        _key: u64,
    ) -> Result<Option<EntryInfo>, ReadError> {
        unimplemented!()
    }
    /// First record whose running maximum reaches `timestamp`.
    pub async fn first_at_or_after_time(
        &self,
        _timestamp: i64,
    ) -> Result<Option<EntryInfo>, ReadError> {
        unimplemented!()
    }
    /// One record.
    pub async fn read(&self, _index: u64) -> Result<Record, ReadError> {
        unimplemented!()
    }
    /// `range.end` past the end is cut to it; `max_bytes` counts values; at least one record.
    pub async fn read_range(
        &self,
        _range: Range<u64>,
        _max_bytes: u64,
    ) -> Result<Vec<Record>, ReadError> {
        unimplemented!()
    }
    /// Durable when it returns.
    pub async fn sync(&mut self) -> Result<(), SyncError> {
        unimplemented!()
    }
    /// Durable, and opening again needs no scan.
    pub async fn close(self) -> Result<(), SyncError> {
        unimplemented!()
    }
}

impl<E: LogEnv> Log<E> {
    /// No data I/O.
    pub async fn plan(
        &self,
        _range: Range<u64>,
        _max_bytes: u64,
    ) -> Result<ReadPlan<E>, ReadError> {
        unimplemented!()
    }
    /// `None`: nothing undurable.
    pub fn sync_ticket(&mut self) -> Option<SyncTicket<E>> {
        unimplemented!()
    }
    /// The durable index after.
    pub fn complete(&mut self, _done: SyncDone) -> Result<u64, Poisoned> {
        unimplemented!()
    }
}

impl<E: LogEnv> ReadPlan<E> {
    /// Blocking.
    pub fn read(self) -> Result<Vec<Record>, ReadError> {
        unimplemented!()
    }
}

impl<E: LogEnv> SyncTicket<E> {
    /// Exclusive.
    pub fn up_to(&self) -> u64 {
        unimplemented!()
    }
    /// Blocking.
    pub fn run(self) -> SyncDone {
        unimplemented!()
    }
}
