//! Appending records to a segment's store: one write, whatever their number.

use std::io::{self, IoSlice};
use std::ops::Range;

use super::{Segment, Summary};
use crate::env::LogFile;
use crate::format::{CHUNK_HEADER_LENGTH, ChunkHeader, IndexEntry, chunk};
use crate::limits::{COPY_BYTES_MAX, SCRATCH_KEEP_BYTES};
use crate::record::Append;

/// A stretch of what is to be written.
#[derive(Debug, Clone)]
enum Stretch {
    /// Of the scratch bytes.
    Copied(Range<usize>),
    /// Piece `.1` of record `.0`, where it stands.
    Given(usize, usize),
}

/// Memory that one append leaves to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    stretches: Vec<Stretch>,
    entries: Vec<IndexEntry>,
}

impl Scratch {
    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(SCRATCH_KEEP_BYTES);
        self.entries.clear();
        self.entries
            .shrink_to(SCRATCH_KEEP_BYTES / size_of::<IndexEntry>());
        self.stretches.clear();
        self.stretches
            .shrink_to(SCRATCH_KEEP_BYTES / size_of::<Stretch>());
    }

    fn copy(&mut self, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let end = self.bytes.len();
        match self.stretches.last_mut() {
            Some(Stretch::Copied(range)) => range.end = end,
            _ => self.stretches.push(Stretch::Copied(start..end)),
        }
    }
}

/// A failed write of a run.
#[derive(Debug)]
pub(crate) enum Run {
    /// Its bytes are taken back.
    Undone(io::Error),
    /// They could not be: the store is not what the log believes.
    Stuck(io::Error),
}

impl<F: LogFile> Segment<F> {
    /// Appends records with one write. All or nothing: after an error the segment is as before, unless the
    /// error says otherwise. `durable` is the log's durable index, at most this segment's end.
    pub(crate) async fn append_run(
        &mut self,
        records: &[Append<'_>],
        durable: u64,
        scratch: &mut Scratch,
    ) -> Result<(), Run> {
        let (mut summary, mut length) = (self.summary, self.store_length);
        let first = self.end();
        scratch.clear();
        for (number, record) in records.iter().enumerate() {
            let index = first + number as u64;
            let value_length = record.value_len();
            let header = ChunkHeader {
                flags: chunk::FIRST | chunk::LAST,
                length: u32::try_from(value_length).expect("callers check the record's length"),
                checksum: self.framing.values.of_pieces(record.value),
                ..record.chunk_header(index, durable, summary.last_chunk_crc)
            };
            let (bytes, crc) = header.encode(self.framing.seed);
            scratch.copy(&bytes);
            for (piece_number, piece) in record.value.iter().enumerate() {
                if piece.len() <= COPY_BYTES_MAX {
                    scratch.copy(piece);
                } else {
                    scratch.stretches.push(Stretch::Given(number, piece_number));
                }
            }
            let entry = IndexEntry {
                position: length,
                length: value_length,
                checksum: header.checksum,
                key: record.key,
                max_timestamp: summary.max_timestamp.max(record.timestamp),
                term: record.term,
                kind: record.kind,
                flags: record.flags,
            };
            summary.push(self.count + number as u64 == 0, &entry, (length, crc));
            scratch.entries.push(entry);
            length += CHUNK_HEADER_LENGTH as u64 + value_length;
        }
        if let Err(error) = write(&mut self.files.store, records, scratch).await {
            return Err(Box::pin(self.undo(error)).await);
        }
        assert_eq!(
            self.files.store.len(),
            length,
            "the store grew by what was written"
        );
        self.appended(&scratch.entries, length, summary);
        Ok(())
    }

    /// As [`Segment::append_short`], for a store that has room which takes header and value at once; says whether it had. Nothing
    /// was done where it had not.
    #[inline(always)]
    pub(crate) fn append_now(
        &mut self,
        record: &Append<'_>,
        length: u64,
        durable: u64,
        scratch: &mut Scratch,
    ) -> bool {
        let stored = CHUNK_HEADER_LENGTH as u64 + length;
        if stored > self.files.store.room_now() {
            return false;
        }
        let (checksum, crc);
        match record.value {
            [value] => {
                let mut header = [0; CHUNK_HEADER_LENGTH];
                (checksum, crc) = self.encode_beside(record, value, durable, &mut header);
                self.files.store.append_now(&header, value);
            }
            _ if length <= COPY_BYTES_MAX as u64 => {
                let bytes = &mut scratch.bytes;
                (checksum, crc) = self.encode_short(record, length, durable, bytes);
                self.files.store.append_now(bytes, &[]);
            }
            _ => return false,
        }
        self.take_in_short(record, length, checksum, crc);
        true
    }

    /// As [`Segment::append_run`], for one record whose value has `length` bytes, and is short or in one piece in front of a
    /// file in memory; such a file, and mapped room, take header and value from where they are. The segment has records already.
    // What is borrowed before the write or made after it stays in functions of its own: an `async` one would keep it
    // in memory across the write.
    #[inline]
    pub(crate) async fn append_short(
        &mut self,
        record: &Append<'_>,
        length: u64,
        durable: u64,
        scratch: &mut Scratch,
    ) -> Result<(), Run> {
        let bytes = &mut scratch.bytes;
        let (checksum, crc, written);
        match record.value {
            [value] if F::IN_MEMORY || self.files.store.wants_room() => {
                bytes.resize(CHUNK_HEADER_LENGTH, 0);
                let header = bytes.first_chunk_mut().expect("it has that length");
                (checksum, crc) = self.encode_beside(record, value, durable, header);
                written = self.files.store.append_beside(bytes, value).await;
            }
            _ => {
                (checksum, crc) = self.encode_short(record, length, durable, bytes);
                written = self.files.store.append(&mut [IoSlice::new(bytes)]).await;
            }
        }
        if let Err(error) = written {
            return Err(Box::pin(self.undo(error)).await);
        }
        self.take_in_short(record, length, checksum, crc);
        Ok(())
    }

    /// Puts header and value of the next record into `bytes`; returns the checksums of the value and of the header.
    #[inline(always)]
    fn encode_short(
        &self,
        record: &Append<'_>,
        length: u64,
        durable: u64,
        bytes: &mut Vec<u8>,
    ) -> (u64, u32) {
        bytes.clear();
        bytes.extend_from_slice(&[0; CHUNK_HEADER_LENGTH]);
        for piece in record.value {
            bytes.extend_from_slice(piece);
        }
        let (header, value) = bytes
            .split_first_chunk_mut()
            .expect("a header's bytes were put there");
        let checksum = self.framing.values.of(value);
        let chunk = ChunkHeader {
            flags: chunk::FIRST | chunk::LAST,
            length: u32::try_from(length).expect("the value is short"),
            checksum,
            ..record.chunk_header(self.end(), durable, self.summary.last_chunk_crc)
        };
        let crc = chunk.encode_into(self.framing.seed, header);
        (checksum, crc)
    }

    /// Puts the header of the next record into `header`; returns the checksums of the value and of the header.
    #[inline(always)]
    fn encode_beside(
        &self,
        record: &Append<'_>,
        value: &[u8],
        durable: u64,
        header: &mut [u8; CHUNK_HEADER_LENGTH],
    ) -> (u64, u32) {
        let checksum = self.framing.values.of(value);
        let chunk = ChunkHeader {
            flags: chunk::FIRST | chunk::LAST,
            length: u32::try_from(value.len()).expect("callers check the record's length"),
            checksum,
            ..record.chunk_header(self.end(), durable, self.summary.last_chunk_crc)
        };
        let crc = chunk.encode_into(self.framing.seed, header);
        (checksum, crc)
    }

    /// Takes in the one record that was written behind the last one.
    #[inline(always)]
    fn take_in_short(&mut self, record: &Append<'_>, length: u64, checksum: u64, crc: u32) {
        let position = self.store_length;
        let end = position + CHUNK_HEADER_LENGTH as u64 + length;
        assert_eq!(
            self.files.store.len(),
            end,
            "the store grew by what was written"
        );
        let entry = IndexEntry {
            position,
            length,
            checksum,
            key: record.key,
            max_timestamp: self.summary.max_timestamp.max(record.timestamp),
            term: record.term,
            kind: record.kind,
            flags: record.flags,
        };
        // Not copied from one to the other: a copy would wait for what was written just now.
        let last_chunk = (position, crc);
        self.summary.push(false, &entry, last_chunk);
        self.store_length = end;
        self.count += 1;
        self.entries.push(&entry, end, last_chunk);
    }

    /// Takes in the records that the store has now, up to `length`.
    pub(crate) fn appended(&mut self, entries: &[IndexEntry], length: u64, summary: Summary) {
        (self.summary, self.store_length) = (summary, length);
        self.count += entries.len() as u64;
        self.entries.extend(entries, self.bounds());
    }

    /// Cuts what a failed write left behind the last record.
    pub(crate) async fn undo(&mut self, error: io::Error) -> Run {
        match self.files.store.truncate(self.store_length).await {
            Ok(()) => Run::Undone(error),
            Err(_) => Run::Stuck(error),
        }
    }
}

async fn write<F: LogFile>(
    store: &mut F,
    records: &[Append<'_>],
    scratch: &Scratch,
) -> io::Result<()> {
    if let [Stretch::Copied(range)] = scratch.stretches.as_slice() {
        return store
            .append(&mut [IoSlice::new(&scratch.bytes[range.clone()])])
            .await;
    }
    let slice = |stretch: &Stretch| match stretch {
        Stretch::Copied(range) => IoSlice::new(&scratch.bytes[range.clone()]),
        Stretch::Given(record, piece) => IoSlice::new(records[*record].value[*piece]),
    };
    let mut slices: Vec<IoSlice<'_>> = scratch.stretches.iter().map(slice).collect();
    store.append(&mut slices).await
}
