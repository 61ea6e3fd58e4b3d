//! Appending a record piece by piece, its length unknown.
//!
//! The value goes to the store in chunks, each behind its own header, so that nothing is rewritten when the
//! end is known. Until [`RecordWriter::finish`] the chunks are a torn end that nobody reads, and that
//! recovery cuts; dropping the writer leaves the log as it was before.

use super::Log;
use crate::env::SegmentEnv;
use crate::error::AppendError;
use crate::limits::{STREAM_BUFFER_KEEP_BYTES, STREAM_CHUNK_BYTES};
use crate::record::Append;
use crate::segment::{Extent, Run};
use std::fmt;

/// A record that is being written.
///
/// ```
/// use laminarmq::{Append, Log, LogOptions, MemEnv, poll_ready};
///
/// let mut log = poll_ready(Log::open_with(MemEnv::new(), LogOptions::default()))?;
/// let mut record = poll_ready(log.record_writer(Append::default()))?;
/// for piece in ["as ", "long ", "as ", "it takes"] {
///     poll_ready(record.write(piece.as_bytes()))?;
/// }
/// let index = poll_ready(record.finish())?;
/// assert_eq!(poll_ready(log.read(index))?.value, "as long as it takes");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "without `finish`, nothing is appended"]
pub struct RecordWriter<'a, E: SegmentEnv> {
    log: &'a mut Log<E>,
    head: Append<'a>,
    /// The end of what was given, not yet in the store.
    buffer: Vec<u8>,
    written: Option<Extent>,
    /// A write failed, and what had been written of the record was taken back.
    is_given_up: bool,
}

impl<E: SegmentEnv> fmt::Debug for RecordWriter<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordWriter")
            .field("index", &self.log.end_index())
            .field("bytes", &self.value_len())
            .finish_non_exhaustive()
    }
}

impl<E: SegmentEnv> Log<E> {
    /// Begins a record whose value is written piece by piece and may be of any length, longer than the
    /// memory too: at most [`STREAM_CHUNK_BYTES`](crate::limits::STREAM_CHUNK_BYTES) are held. `head` has the
    /// record's other fields; its value is what stands first.
    ///
    /// # Errors
    ///
    /// As [`Log::append`], except that no length is too large.
    pub async fn record_writer<'a>(
        &'a mut self,
        head: Append<'a>,
    ) -> Result<RecordWriter<'a, E>, AppendError> {
        self.begin_change().await?;
        self.check_records(&[Append { value: &[], ..head }])?;
        if self.may_seal() {
            Box::pin(self.seal_durable()).await;
        }
        if self.options.auto_roll && self.write_segment_bytes() >= self.options.segment_bytes {
            Box::pin(self.roll()).await?;
        }
        let buffer = std::mem::take(&mut self.buffer);
        let mut writer = RecordWriter {
            log: self,
            head: Append { value: &[], ..head },
            buffer,
            written: None,
            is_given_up: false,
        };
        for piece in head.value {
            writer.write(piece).await?;
        }
        Ok(writer)
    }
}

impl<E: SegmentEnv> Log<E> {
    /// Keeps the buffer of a record for the next one, unless it is large.
    fn give_back_buffer(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= STREAM_BUFFER_KEEP_BYTES {
            buffer.clear();
            self.buffer = buffer;
        }
    }
}

impl<E: SegmentEnv> RecordWriter<'_, E> {
    /// Bytes of the value so far.
    #[must_use]
    pub fn value_len(&self) -> u64 {
        self.written.map_or(0, |extent| extent.value) + self.buffer.len() as u64
    }

    /// Takes in the next bytes of the value.
    ///
    /// # Errors
    ///
    /// The storage refused. The record is then given up; the log is as it was before, unless the error is
    /// [`AppendError::Poisoned`].
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), AppendError> {
        self.check()?;
        loop {
            let room = STREAM_CHUNK_BYTES - self.buffer.len();
            // A full chunk is written only once more follows, so that the last one is never empty.
            if bytes.len() <= room {
                self.buffer.extend_from_slice(bytes);
                return Ok(());
            }
            let (fits, rest) = bytes.split_at(room);
            if self.buffer.is_empty() {
                self.write_chunk(fits, false).await?;
            } else {
                self.buffer.extend_from_slice(fits);
                let full = std::mem::take(&mut self.buffer);
                let written = self.write_chunk(&full, false).await;
                self.buffer = full;
                self.buffer.clear();
                written?;
            }
            bytes = rest;
        }
    }

    /// Completes the record and returns its index. The bytes are then with the operating system.
    ///
    /// # Errors
    ///
    /// As [`RecordWriter::write`].
    pub async fn finish(mut self) -> Result<u64, AppendError> {
        self.check()?;
        let last = std::mem::take(&mut self.buffer);
        let extent = self.write_chunk(&last, true).await?;
        let log = &mut *self.log;
        let segment = log.write_segment_mut();
        let index = segment.take_in_chunks(&self.head, &extent);
        if segment.is_index_block_due() {
            Box::pin(log.flush_index_block()).await;
        }
        log.unfinished = false;
        log.pace.appended(1, extent.stored);
        log.changed();
        log.give_back_buffer(last);
        if log.is_flush_due() {
            log.flush().await?;
        }
        Ok(index)
    }

    /// Gives the record up: the log is as it was before. Dropping the writer does the same, but leaves the
    /// work to the next change.
    ///
    /// # Errors
    ///
    /// When what was written cannot be cut; the log is poisoned then.
    pub async fn abort(self) -> Result<(), AppendError> {
        Ok(self.log.begin_change().await?)
    }

    fn check(&self) -> Result<(), AppendError> {
        self.log.check_poisoned()?;
        if self.is_given_up {
            return Err(AppendError::GivenUp);
        }
        Ok(())
    }

    async fn write_chunk(&mut self, payload: &[u8], is_last: bool) -> Result<Extent, AppendError> {
        let log = &mut *self.log;
        let durable = log.durable;
        log.unfinished = true;
        let segment = log.write_segment_mut();
        let base = segment.base();
        let written = segment
            .append_chunk(&self.head, durable, self.written, payload, is_last)
            .await;
        let extent = written.map_err(|error| match error {
            Run::Undone(source) => {
                log.unfinished = false;
                self.is_given_up = true;
                AppendError::Io {
                    segment: base,
                    source,
                }
            }
            Run::Stuck(error) => log.poison("taking back an append", error.kind()).into(),
        })?;
        self.written = Some(extent);
        Ok(extent)
    }
}
