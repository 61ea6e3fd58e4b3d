//! Reads a store from its start and finds out how far it can be believed.
//!
//! A store ends at the first place that is not the next record: no valid header, another index, a broken
//! link, a value without its checksum. Whether that place is a torn end, which may be cut, or damage, which
//! must not be, is for the log to decide; the scan collects what is needed for that. It looks on
//! behind the place for chunks, each of which proves that what was durable when it was written stood before
//! it.
//!
//! Such chunks are found by their seeded header checksum. Somebody who knows a segment's base index can
//! put the image of one into a value; where a crash then tears the very header of that record, the log
//! reports damage instead of cutting. It never loses or invents a record through that.

use std::io;

use bytes::Bytes;

use super::{Summary, check_record};
use crate::env::LogFile;
use crate::format::{CHUNK_HEADER_LENGTH, ChunkHeader, FILE_HEADER_LENGTH, IndexEntry, chunk};
use crate::limits::SCAN_WINDOW_BYTES;

/// What a scan found.
#[derive(Debug)]
pub(crate) struct Scan {
    /// One per record that can be believed.
    pub(crate) entries: Vec<IndexEntry>,
    pub(crate) summary: Summary,
    /// Bytes of the store up to the end of the last such record.
    pub(crate) valid_length: u64,
    /// Why the store ends there, where there are bytes behind.
    pub(crate) stop: Option<&'static str>,
    /// Everything below this index had been durable, as chunks anywhere in the store prove.
    pub(crate) proven: u64,
}

/// A part of a file in memory that moves forward.
struct Window<'a, F> {
    file: &'a F,
    start: u64,
    bytes: Bytes,
}

impl<'a, F: LogFile> Window<'a, F> {
    fn new(file: &'a F) -> Self {
        Self {
            file,
            start: 0,
            bytes: Bytes::new(),
        }
    }

    /// The bytes from `position` on: at least `least` of them, or all up to the end of the file.
    async fn at(&mut self, position: u64, least: usize) -> io::Result<&[u8]> {
        let left = self.file.len().saturating_sub(position);
        if left == 0 {
            return Ok(&[]);
        }
        let need = left.min(least as u64);
        let end = self.start + self.bytes.len() as u64;
        if position < self.start || position + need > end {
            let length = left.min(SCAN_WINDOW_BYTES as u64);
            let length = usize::try_from(length).map_err(io::Error::other)?;
            self.bytes = self.file.read_at(position, length).await?;
            self.start = position;
        }
        let from = usize::try_from(position - self.start).map_err(io::Error::other)?;
        Ok(self.bytes.get(from..).unwrap_or_default())
    }

    /// CRC-32C of `length` bytes from `position`.
    async fn checksum(&mut self, mut position: u64, length: u64) -> io::Result<u32> {
        let (end, mut crc) = (position + length, 0);
        while position < end {
            let bytes = self.at(position, 1).await?;
            let take = bytes
                .len()
                .min(usize::try_from(end - position).unwrap_or(usize::MAX));
            if take == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            crc = crc32c::crc32c_append(crc, &bytes[..take]);
            position += take as u64;
        }
        Ok(crc)
    }
}

/// Scans the store of the segment `base`, whose file header has the checksum `header_crc`. Without one,
/// nothing is believed, and the scan only looks for what chunks prove.
pub(crate) async fn scan<F: LogFile>(
    store: &F,
    base: u64,
    seed: u32,
    header_crc: Option<u32>,
) -> io::Result<Scan> {
    let mut found = Scan {
        entries: Vec::new(),
        summary: Summary::empty(header_crc.unwrap_or_default()),
        valid_length: 0,
        stop: None,
        proven: 0,
    };
    let mut window = Window::new(store);
    let mut search_from = 0;
    if header_crc.is_some() {
        found.valid_length = FILE_HEADER_LENGTH as u64;
        search_from = walk(&mut window, &mut found, base, seed).await?;
    } else {
        found.stop = Some("no file header");
    }
    if found.valid_length < store.len() {
        search(&mut window, &mut found, search_from, seed).await?;
    }
    Ok(found)
}

/// Takes in record after record; returns where a search for further chunks has to start.
async fn walk<F: LogFile>(
    window: &mut Window<'_, F>,
    found: &mut Scan,
    base: u64,
    seed: u32,
) -> io::Result<u64> {
    let length = window.file.len();
    loop {
        let position = found.valid_length;
        let left = length - position;
        if left == 0 {
            return Ok(position);
        }
        let decoded = ChunkHeader::decode(window.at(position, CHUNK_HEADER_LENGTH).await?, seed);
        let index = base + found.entries.len() as u64;
        let link = Some(found.summary.last_chunk_crc);
        let (header, crc) = match check_record(decoded, index, link, left) {
            Ok(found) => found,
            Err(why) => {
                found.stop = Some(why);
                return Ok(position);
            }
        };
        let value_at = position + CHUNK_HEADER_LENGTH as u64;
        let checksum = window.checksum(value_at, u64::from(header.length)).await?;
        if u64::from(checksum) != header.checksum {
            found.stop = Some("the value does not have its checksum");
            return Ok(position + header.stored_length());
        }
        let entry = IndexEntry {
            position,
            length: u64::from(header.length),
            checksum: header.checksum,
            key: header.key,
            max_timestamp: found.summary.max_timestamp.max(header.timestamp),
            term: header.term,
            kind: header.kind,
            flags: header.entry_flags,
        };
        found.summary.push(found.entries.is_empty(), &entry, crc);
        found.entries.push(entry);
        found.proven = found.proven.max(header.durable_index());
        found.valid_length = position + header.stored_length();
    }
}

/// Spares a checksum at nearly every place, zeros included.
fn looks_whole(place: &[u8]) -> bool {
    place[4..6] == (chunk::FIRST | chunk::LAST).to_le_bytes()
}

/// Looks for chunks at any place from `position` on.
async fn search<F: LogFile>(
    window: &mut Window<'_, F>,
    found: &mut Scan,
    mut position: u64,
    seed: u32,
) -> io::Result<()> {
    loop {
        let bytes = window.at(position, CHUNK_HEADER_LENGTH).await?;
        if bytes.len() < CHUNK_HEADER_LENGTH {
            return Ok(());
        }
        let mut step = bytes.len() - CHUNK_HEADER_LENGTH + 1;
        let mut skip = 0;
        for (at, place) in bytes.windows(CHUNK_HEADER_LENGTH).enumerate() {
            let decoded = looks_whole(place)
                .then(|| ChunkHeader::decode(place, seed))
                .flatten();
            if let Some((header, _)) = decoded {
                found.proven = found.proven.max(header.durable_index());
                (step, skip) = (at, header.stored_length());
                break;
            }
        }
        position = position.saturating_add(step as u64).saturating_add(skip);
    }
}
