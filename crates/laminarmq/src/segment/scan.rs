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

use super::read::{Extent, check_chunk};
use super::{Framing, Summary};
use crate::checksum::{self, ValueChecksum};
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
    /// Behind the last record there are only zeros, which were written ahead and never used.
    pub(crate) is_unused: bool,
}

/// A part of a file in memory that moves forward.
#[derive(Debug, Default)]
pub(crate) struct Window {
    start: u64,
    bytes: Bytes,
}

impl Window {
    /// The bytes from `position` on: at least `least` of them, or all up to the end of the file.
    async fn at<F: LogFile>(&mut self, file: &F, position: u64, least: usize) -> io::Result<&[u8]> {
        let left = file.len().saturating_sub(position);
        if left == 0 {
            return Ok(&[]);
        }
        let need = left.min(least as u64);
        let end = self.start + self.bytes.len() as u64;
        if position < self.start || position + need > end {
            let length = left.min(SCAN_WINDOW_BYTES as u64);
            let length = usize::try_from(length).map_err(io::Error::other)?;
            self.bytes = file.read_at(position, length).await?;
            self.start = position;
        }
        let from = usize::try_from(position - self.start).map_err(io::Error::other)?;
        Ok(self.bytes.get(from..).unwrap_or_default())
    }

    /// Exactly `length` bytes from `position`: of the window where it has them.
    pub(crate) async fn exactly<F: LogFile>(
        &mut self,
        file: &F,
        position: u64,
        length: usize,
    ) -> io::Result<Bytes> {
        let from = position.checked_sub(self.start);
        let from = from.and_then(|from| usize::try_from(from).ok());
        if let Some(from) = from
            && let Some(end) = from.checked_add(length)
            && end <= self.bytes.len()
        {
            return Ok(self.bytes.slice(from..end));
        }
        file.read_at(position, length).await
    }

    /// Exactly `length` bytes from `position`, through the window, which moves on.
    pub(crate) async fn forward<F: LogFile>(
        &mut self,
        file: &F,
        position: u64,
        length: usize,
    ) -> io::Result<Bytes> {
        self.at(file, position, length).await?;
        self.exactly(file, position, length).await
    }

    /// Checksum of the `length` bytes of a payload at `position`.
    async fn checksum<F: LogFile>(
        &mut self,
        file: &F,
        mut position: u64,
        length: u64,
        values: ValueChecksum,
    ) -> io::Result<u64> {
        if values != ValueChecksum::CRC32C {
            let length = usize::try_from(length).map_err(io::Error::other)?;
            return Ok(values.of(&self.forward(file, position, length).await?));
        }
        let (end, mut crc) = (position + length, 0);
        while position < end {
            let bytes = self.at(file, position, 1).await?;
            let take = bytes
                .len()
                .min(usize::try_from(end - position).unwrap_or(usize::MAX));
            if take == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            crc = checksum::crc32c_append(crc, &bytes[..take]);
            position += take as u64;
        }
        Ok(u64::from(crc))
    }
}

/// What stands at a place of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next record.
    Record(Extent),
    /// The end of the file.
    End,
    /// Something else. Chunks may stand from `search_from` on.
    Stop { why: &'static str, search_from: u64 },
}

/// Looks at `position`, where the record `index` has to stand that follows on a chunk with the checksum
/// `link`. Without `values`, nothing is said about the value.
pub(crate) async fn step<F: LogFile>(
    window: &mut Window,
    store: &F,
    (position, index, link): (u64, u64, u32),
    framing: Framing,
    values: bool,
) -> io::Result<Step> {
    if position >= store.len() {
        return Ok(Step::End);
    }
    let mut extent: Option<Extent> = None;
    loop {
        let stored = extent.map_or(0, |extent| extent.stored);
        let (at, is_first) = (position + stored, extent.is_none());
        let link = extent.map_or(link, |extent| extent.last_crc);
        let left = store.len().saturating_sub(at);
        let bytes = window.at(store, at, CHUNK_HEADER_LENGTH).await?;
        let decoded = ChunkHeader::decode(bytes, framing.seed);
        let (header, crc) = match check_chunk(decoded, index, is_first, Some(link), left) {
            Ok(found) => found,
            Err(_) if left == 0 => {
                let why = "the record ends without its last chunk";
                return Ok(Step::Stop {
                    why,
                    search_from: at,
                });
            }
            Err(why) => {
                return Ok(Step::Stop {
                    why,
                    search_from: at,
                });
            }
        };
        if values {
            let value_at = at + CHUNK_HEADER_LENGTH as u64;
            let length = u64::from(header.length);
            let checksum = window
                .checksum(store, value_at, length, framing.values)
                .await?;
            if checksum != header.checksum {
                return Ok(Step::Stop {
                    why: "the value does not have its checksum",
                    search_from: at + header.stored_length(),
                });
            }
        }
        let so_far = match extent {
            None => Extent::begin(header, crc),
            Some(mut extent) => {
                extent.push(&header, crc);
                extent
            }
        };
        if so_far.is_whole() {
            return Ok(Step::Record(so_far));
        }
        extent = Some(so_far);
    }
}

/// Scans the store of the segment `base`, whose file header has the checksum `header_crc`. Without one,
/// nothing is believed, and the scan only looks for what chunks prove.
pub(crate) async fn scan<F: LogFile>(
    store: &F,
    base: u64,
    framing: Framing,
    header_crc: Option<u32>,
) -> io::Result<Scan> {
    let mut found = Scan {
        entries: Vec::new(),
        summary: Summary::empty(header_crc.unwrap_or_default()),
        valid_length: 0,
        stop: None,
        proven: 0,
        is_unused: false,
    };
    let mut window = Window::default();
    let mut search_from = 0;
    if header_crc.is_some() {
        found.valid_length = FILE_HEADER_LENGTH as u64;
        search_from = walk(&mut window, store, &mut found, base, framing).await?;
    } else {
        found.stop = Some("no file header");
    }
    if found.valid_length < store.len() {
        let behind = search(&mut window, store, search_from, framing.seed).await?;
        found.proven = found.proven.max(behind.proven);
        found.is_unused = behind.only_zeros && search_from == found.valid_length;
    }
    Ok(found)
}

/// Takes in record after record; returns where a search for further chunks has to start.
async fn walk<F: LogFile>(
    window: &mut Window,
    store: &F,
    found: &mut Scan,
    base: u64,
    framing: Framing,
) -> io::Result<u64> {
    loop {
        let position = found.valid_length;
        let index = base + found.entries.len() as u64;
        let place = (position, index, found.summary.last_chunk_crc);
        let extent = match step(window, store, place, framing, true).await? {
            Step::Record(extent) => extent,
            Step::End => return Ok(position),
            Step::Stop { why, search_from } => {
                found.stop = Some(why);
                return Ok(search_from);
            }
        };
        let entry = entry_of(&extent, position, found.summary.max_timestamp);
        let last_chunk = (position + extent.last_at, extent.last_crc);
        found
            .summary
            .push(found.entries.is_empty(), &entry, last_chunk);
        found.summary.extra_chunks += extent.extra;
        found.entries.push(entry);
        found.proven = found.proven.max(extent.head.durable_index());
        found.valid_length = position + extent.stored;
    }
}

/// The index entry of a record that stands at `position`, behind records with that largest timestamp.
pub(crate) fn entry_of(extent: &Extent, position: u64, max_timestamp: i64) -> IndexEntry {
    let header = &extent.head;
    IndexEntry {
        position,
        length: extent.value,
        checksum: extent.checksum,
        key: header.key,
        max_timestamp: max_timestamp.max(header.timestamp),
        term: header.term,
        kind: header.kind,
        flags: header.entry_flags,
    }
}

/// Spares a checksum at nearly every place.
fn looks_whole(place: &[u8]) -> bool {
    u16::from_le_bytes([place[4], place[5]]) <= chunk::FIRST | chunk::LAST
}

/// What stands behind the last record of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Behind {
    /// Everything below this index had been durable, as chunks there prove.
    pub(crate) proven: u64,
    /// Nothing but zeros.
    pub(crate) only_zeros: bool,
}

/// Looks for chunks at any place from `position` on.
pub(crate) async fn search<F: LogFile>(
    window: &mut Window,
    store: &F,
    mut position: u64,
    seed: u32,
) -> io::Result<Behind> {
    let mut behind = Behind {
        proven: 0,
        only_zeros: true,
    };
    loop {
        let bytes = window.at(store, position, CHUNK_HEADER_LENGTH).await?;
        let is_zero = bytes.iter().all(|byte| *byte == 0);
        behind.only_zeros &= is_zero;
        if bytes.len() < CHUNK_HEADER_LENGTH {
            return Ok(behind);
        }
        let mut step = bytes.len() - CHUNK_HEADER_LENGTH + 1;
        let mut skip = 0;
        // A header has bytes that are not zero, so it may only begin close to the end of these.
        let places = if is_zero { &[] } else { bytes };
        for (at, place) in places.windows(CHUNK_HEADER_LENGTH).enumerate() {
            let decoded = looks_whole(place)
                .then(|| ChunkHeader::decode(place, seed))
                .flatten();
            if let Some((header, _)) = decoded {
                behind.proven = behind.proven.max(header.durable_index());
                (step, skip) = (at, header.stored_length());
                break;
            }
        }
        position = position.saturating_add(step as u64).saturating_add(skip);
    }
}
