//! Appending a record chunk by chunk.
//!
//! Until the last chunk is there and was taken in, what was written is a torn end that nobody reads.

use std::io::IoSlice;

use super::{Extent, Run, Segment};
use crate::env::LogFile;
use crate::format::{ChunkHeader, IndexEntry, chunk};
use crate::record::Append;

impl<F: LogFile> Segment<F> {
    /// Writes the next chunk of a record behind those that `written` sums up, and returns the new sum. `head` has the
    /// record's fields; its value does not matter. `durable` is the log's durable index, at most this segment's
    /// end. After an error all chunks of the record are gone, unless the error says otherwise.
    pub(crate) async fn append_chunk(
        &mut self,
        head: &Append<'_>,
        durable: u64,
        written: Option<Extent>,
        payload: &[u8],
        is_last: bool,
    ) -> Result<Extent, Run> {
        let (link, first) = match &written {
            None => (self.summary.last_chunk_crc, chunk::FIRST),
            Some(extent) => (extent.last_crc, 0),
        };
        let header = ChunkHeader {
            flags: first | if is_last { chunk::LAST } else { 0 },
            length: u32::try_from(payload.len()).expect("a chunk is short"),
            checksum: self.framing.values.of(payload),
            ..head.chunk_header(self.end(), durable, link)
        };
        let (bytes, crc) = header.encode(self.framing.seed);
        let mut pieces = [IoSlice::new(&bytes), IoSlice::new(payload)];
        if let Err(error) = self.files.store.append(&mut pieces).await {
            return Err(self.undo(error).await);
        }
        let extent = match written {
            None => Extent::begin(header, crc),
            Some(mut extent) => {
                extent.push(&header, crc);
                extent
            }
        };
        debug_assert_eq!(self.files.store.len(), self.store_length + extent.stored);
        Ok(extent)
    }

    /// Takes in a record all of whose chunks are written, and returns its index.
    pub(crate) fn take_in_chunks(&mut self, head: &Append<'_>, extent: &Extent) -> u64 {
        let (index, position) = (self.end(), self.store_length);
        let entry = IndexEntry {
            position,
            length: extent.value,
            checksum: extent.checksum,
            key: head.key,
            max_timestamp: self.summary.max_timestamp.max(head.timestamp),
            term: head.term,
            kind: head.kind,
            flags: head.flags,
        };
        let mut summary = self.summary;
        let last_chunk = (position + extent.last_at, extent.last_crc);
        summary.push(self.count == 0, &entry, last_chunk);
        summary.extra_chunks += extent.extra;
        self.appended(&[entry], position + extent.stored, summary);
        index
    }
}
