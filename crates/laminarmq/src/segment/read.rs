//! From the bytes of a store to records, nothing believed unchecked.

use std::ops::Range;

use bytes::{Buf, Bytes};

use super::Framing;
use super::view::View;
use crate::checksum;
use crate::error::{Damage, ReadError};
use crate::format::{CHUNK_HEADER_LENGTH, ChunkHeader};
use crate::record::Record;

/// Records that stand next to each other in one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Base index of the segment.
    pub(crate) segment: u64,
    pub(crate) framing: Framing,
    pub(crate) first_index: u64,
    pub(crate) count: u64,
    pub(crate) position: u64,
    pub(crate) length: u64,
}

impl Piece {
    pub(crate) fn of<R>(view: &View<'_, R>, range: Range<u64>, position: u64, length: u64) -> Self {
        Self {
            segment: view.base,
            framing: view.framing,
            first_index: range.start,
            count: range.end - range.start,
            position,
            length,
        }
    }

    /// Of one record.
    pub(crate) fn one<R>(view: &View<'_, R>, index: u64, position: u64, length: u64) -> Self {
        Self {
            segment: view.base,
            framing: view.framing,
            first_index: index,
            count: 1,
            position,
            length,
        }
    }

    /// Bytes to read; more than the address space holds cannot have been planned.
    pub(crate) fn byte_count(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    pub(crate) fn damaged(&self, index: u64, position: u64, what: &'static str) -> ReadError {
        ReadError::from(Damage {
            segment: self.segment,
            index,
            position,
            what,
        })
    }

    /// What a failed read of this piece means: a file that ends too early is damaged.
    pub(crate) fn error(&self, source: std::io::Error) -> ReadError {
        if source.kind() == std::io::ErrorKind::UnexpectedEof {
            let what = "the store file is shorter than what was written";
            return self.damaged(self.first_index, self.position, what);
        }
        ReadError::Io {
            segment: self.segment,
            position: self.position,
            source,
        }
    }
}

/// Whether a chunk header is one of record `index`, the first one or a later one, all of it in `bytes_left`.
#[inline]
pub(crate) fn check_chunk(
    header: Option<(ChunkHeader, u32)>,
    index: u64,
    is_first: bool,
    link: Option<u32>,
    bytes_left: u64,
) -> Result<(ChunkHeader, u32), &'static str> {
    let Some((header, crc)) = header else {
        return Err("no valid chunk header");
    };
    // The last index is never given out, so that one past it is a number too.
    if header.index != index || index == u64::MAX {
        return Err("the chunk of another record");
    }
    if header.is_first() != is_first {
        return Err(if is_first {
            "a later chunk of a record whose first one is missing"
        } else {
            "the record ends without its last chunk"
        });
    }
    if link.is_some_and(|link| link != header.link) {
        return Err("a chunk that does not follow the one before it");
    }
    if header.stored_length() > bytes_left {
        return Err("a chunk that is longer than what is left");
    }
    Ok((header, crc))
}

/// What the chunk headers of one record amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The first one: it has the caller's fields.
    pub(crate) head: ChunkHeader,
    /// Bytes of the value.
    pub(crate) value: u64,
    /// Bytes in the store, headers included.
    pub(crate) stored: u64,
    /// As in the index: that of the only chunk's payload; of several, the CRC-32C of their checksums.
    pub(crate) checksum: u64,
    /// Checksum of the last one, which the next chunk links to.
    pub(crate) last_crc: u32,
    /// Where the last one stands, from the beginning of the record.
    pub(crate) last_at: u64,
    /// How many there are beyond the first.
    pub(crate) extra: u64,
    is_whole: bool,
}

impl Extent {
    pub(crate) fn begin(head: ChunkHeader, crc: u32) -> Self {
        Self {
            head,
            value: u64::from(head.length),
            stored: head.stored_length(),
            checksum: head.checksum,
            last_crc: crc,
            last_at: 0,
            extra: 0,
            is_whole: head.is_last(),
        }
    }

    /// Takes in the next chunk's header.
    pub(crate) fn push(&mut self, header: &ChunkHeader, crc: u32) {
        let sum = if self.last_at == 0 {
            checksum::crc32c(&self.checksum.to_le_bytes())
        } else {
            u32::try_from(self.checksum).expect("that of several chunks is a CRC-32C")
        };
        let sum = checksum::crc32c_append(sum, &header.checksum.to_le_bytes());
        self.checksum = u64::from(sum);
        self.last_at = self.stored;
        self.extra += 1;
        self.last_crc = crc;
        self.value += u64::from(header.length);
        self.stored += header.stored_length();
        self.is_whole = header.is_last();
    }

    /// Whether the last chunk of the record is among them.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }
}

/// A record as it stands in bytes that were read.
pub(crate) struct Parsed {
    pub(crate) head: ChunkHeader,
    /// The value's place where it is one chunk.
    pub(crate) value: Range<usize>,
    /// The value where it is several.
    pub(crate) joined: Option<Vec<u8>>,
    /// Where the next record begins.
    pub(crate) end: usize,
    pub(crate) last_crc: u32,
}

impl Parsed {
    /// The record, its value being a slice of `bytes`, except of one in several chunks.
    pub(crate) fn into_record(self, bytes: &Bytes, index: u64) -> Record {
        let value = match self.joined {
            Some(joined) => joined.into(),
            None => bytes.slice(self.value),
        };
        with_value(&self.head, index, value)
    }
}

fn with_value(head: &ChunkHeader, index: u64, value: Bytes) -> Record {
    Record {
        index,
        term: head.term,
        kind: head.kind,
        flags: head.entry_flags,
        key: head.key,
        timestamp: head.timestamp,
        value,
    }
}

/// The record of one chunk whose value is at `value` of `bytes`, which only it was read for. A slice would
/// have to share them, for which they need a counter in memory of its own.
pub(crate) fn record_of(
    head: &ChunkHeader,
    index: u64,
    mut bytes: Bytes,
    value: Range<usize>,
) -> Record {
    bytes.truncate(value.end);
    bytes.advance(value.start);
    with_value(head, index, bytes)
}

/// Verifies the record `index` that begins at `at` of `bytes` and follows on a chunk with the checksum
/// `link`. The error says at which place of `bytes`, and what.
pub(crate) fn parse_record(
    bytes: &[u8],
    at: usize,
    index: u64,
    link: Option<u32>,
    framing: Framing,
) -> Result<Parsed, (usize, &'static str)> {
    let (head, crc, value) = parse_chunk(bytes, at, index, true, link, framing)?;
    let mut parsed = Parsed {
        head,
        end: value.end,
        value,
        joined: None,
        last_crc: crc,
    };
    if head.is_last() {
        return Ok(parsed);
    }
    let mut joined = bytes[parsed.value.clone()].to_vec();
    loop {
        let link = Some(parsed.last_crc);
        let (header, crc, value) = parse_chunk(bytes, parsed.end, index, false, link, framing)?;
        joined.extend_from_slice(&bytes[value.clone()]);
        (parsed.end, parsed.last_crc) = (value.end, crc);
        if header.is_last() {
            parsed.joined = Some(joined);
            return Ok(parsed);
        }
    }
}

/// Verifies one chunk; says where its payload is.
#[inline]
pub(crate) fn parse_chunk(
    bytes: &[u8],
    at: usize,
    index: u64,
    is_first: bool,
    link: Option<u32>,
    framing: Framing,
) -> Result<(ChunkHeader, u32, Range<usize>), (usize, &'static str)> {
    let rest = bytes.get(at..).unwrap_or_default();
    let found = ChunkHeader::decode(rest, framing.seed);
    let (header, crc) =
        check_chunk(found, index, is_first, link, rest.len() as u64).map_err(|what| (at, what))?;
    let start = at + CHUNK_HEADER_LENGTH;
    let length = usize::try_from(header.length).expect("it is at most the buffer's length");
    let value = start..start + length;
    if framing.values.of(&bytes[value.clone()]) != header.checksum {
        return Err((at, "the value does not have its checksum"));
    }
    Ok((header, crc, value))
}

/// Appends the records in `bytes`, which were read from where `piece` says, to `out`. Values are slices,
/// except of records in several chunks.
pub(crate) fn parse_records(
    piece: &Piece,
    bytes: &Bytes,
    out: &mut Vec<Record>,
) -> Result<(), ReadError> {
    let (mut at, mut link) = (0, None);
    for index in piece.first_index..piece.first_index + piece.count {
        let parsed = parse_record(bytes, at, index, link, piece.framing)
            .map_err(|(at, what)| piece.damaged(index, piece.position + at as u64, what))?;
        (at, link) = (parsed.end, Some(parsed.last_crc));
        out.push(parsed.into_record(bytes, index));
    }
    Ok(())
}
