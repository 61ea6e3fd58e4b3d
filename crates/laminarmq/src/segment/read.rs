//! From the bytes of a store to records, nothing believed unchecked.

use bytes::Bytes;

use super::Segment;
use crate::env::LogFile;
use crate::error::{Damage, ReadError};
use crate::format::{CHUNK_HEADER_LENGTH, ChunkHeader};
use crate::record::Record;

/// Records that stand next to each other in one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Base index of the segment.
    pub(crate) segment: u64,
    pub(crate) seed: u32,
    pub(crate) first_index: u64,
    pub(crate) count: u64,
    pub(crate) position: u64,
    pub(crate) length: u64,
}

impl Piece {
    /// Bytes to read; more than the address space holds cannot have been planned.
    pub(crate) fn byte_count(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// What a failed read of this piece means: a file that ends too early is damaged.
    pub(crate) fn error(&self, source: std::io::Error) -> ReadError {
        let (segment, index, position) = (self.segment, self.first_index, self.position);
        if source.kind() == std::io::ErrorKind::UnexpectedEof {
            let what = "the store file is shorter than what was written";
            return Damage {
                segment,
                index,
                position,
                what,
            }
            .into();
        }
        ReadError::Io {
            segment,
            position,
            source,
        }
    }
}

/// Whether a chunk header is that of record `index`, all of it in `bytes_left`.
pub(crate) fn check_record(
    header: Option<(ChunkHeader, u32)>,
    index: u64,
    link: Option<u32>,
    bytes_left: u64,
) -> Result<(ChunkHeader, u32), &'static str> {
    let Some((header, crc)) = header else {
        return Err("no valid chunk header");
    };
    if !header.is_whole() {
        return Err("a chunk of a record in several chunks, which this build does not read");
    }
    // The last index is never given out, so that one past it is a number too.
    if header.index != index || index == u64::MAX {
        return Err("the chunk of another record");
    }
    if link.is_some_and(|link| link != header.link) {
        return Err("a chunk that does not follow the one before it");
    }
    if header.stored_length() > bytes_left {
        return Err("a chunk that is longer than what is left");
    }
    Ok((header, crc))
}

/// Appends the records in `bytes`, which were read from where `piece` says, to `out`. Values are slices.
pub(crate) fn parse_records(
    piece: &Piece,
    bytes: &Bytes,
    out: &mut Vec<Record>,
) -> Result<(), ReadError> {
    let (mut at, mut link) = (0, None);
    for index in piece.first_index..piece.first_index + piece.count {
        let damaged = |what| Damage {
            segment: piece.segment,
            index,
            position: piece.position + at as u64,
            what,
        };
        let rest = &bytes[at..];
        let found = ChunkHeader::decode(rest, piece.seed);
        let (header, crc) = check_record(found, index, link, rest.len() as u64).map_err(damaged)?;
        let end = at
            + usize::try_from(header.stored_length()).expect("it is at most the buffer's length");
        let value = bytes.slice(at + CHUNK_HEADER_LENGTH..end);
        if u64::from(crc32c::crc32c(&value)) != header.checksum {
            return Err(damaged("the value does not have its checksum").into());
        }
        out.push(Record {
            index,
            term: header.term,
            kind: header.kind,
            flags: header.entry_flags,
            key: header.key,
            timestamp: header.timestamp,
            value,
        });
        (at, link) = (end, Some(crc));
    }
    Ok(())
}

/// The header of record `index`, whose entry says `position`, checked.
pub(crate) async fn read_chunk_header<F: LogFile>(
    segment: &Segment<F>,
    index: u64,
    position: u64,
) -> Result<(ChunkHeader, u32), ReadError> {
    let piece = Piece {
        segment: segment.base(),
        seed: segment.seed,
        first_index: index,
        count: 1,
        position,
        length: CHUNK_HEADER_LENGTH as u64,
    };
    let read = segment
        .files
        .store
        .read_at(position, CHUNK_HEADER_LENGTH)
        .await;
    let bytes = read.map_err(|error| piece.error(error))?;
    let left = segment.store_length.saturating_sub(position);
    let found = ChunkHeader::decode(&bytes, segment.seed);
    check_record(found, index, None, left).map_err(|what| {
        Damage {
            segment: segment.base(),
            index,
            position,
            what,
        }
        .into()
    })
}
