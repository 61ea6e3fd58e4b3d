//! The format of a log's files as `docs/formats` says it, read and mended by code that shares nothing with the log.

use std::ops::Range;

/// Length of the header of a store and of an index.
pub const HEADER: usize = 64;
const CHUNK_HEADER: usize = 56;
const FIRST: u16 = 1;
const LAST: u16 = 2;
const BASE: Range<usize> = 16..24;
const HEADER_CRC: Range<usize> = 60..64;
const INDEX_ENTRY: usize = 48;
const FOOTER: usize = 128;

/// A record as it stands in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its index.
    pub index: u64,
    /// The caller's.
    pub term: u32,
    /// The caller's.
    pub kind: u8,
    /// The caller's.
    pub flags: u8,
    /// The caller's.
    pub key: u64,
    /// The caller's.
    pub timestamp: i64,
    /// The whole value.
    pub value: Vec<u8>,
}

impl From<laminarmq::Record> for Stored {
    fn from(record: laminarmq::Record) -> Self {
        Self {
            index: record.index,
            term: record.term,
            kind: record.kind,
            flags: record.flags,
            key: record.key,
            timestamp: record.timestamp,
            value: record.value.to_vec(),
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// The base index that a store's or an index's header names, whether the header is right or not.
pub fn base_index(file: &[u8]) -> Option<u64> {
    (file.len() >= HEADER).then(|| u64_at(file, BASE.start))
}

fn seed(base: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(b"laminarmq chunk"), &base.to_le_bytes())
}

/// A record that stands at `at` with every checksum right, where it ends, and the CRC of its last chunk. Its first
/// chunk links to `link`, where one is named.
fn record_at(
    store: &[u8],
    mut at: usize,
    seed: u32,
    mut link: Option<u32>,
) -> Option<(Stored, usize, u32)> {
    let mut open: Option<Stored> = None;
    loop {
        let head = store.get(at..)?.first_chunk::<CHUNK_HEADER>()?;
        let payload = store[at + CHUNK_HEADER..].get(..u32_at(head, 8) as usize)?;
        let flags = u16::from_le_bytes([head[4], head[5]]);
        let crc = u32_at(head, 0);
        let index = u64_at(head, 16);
        let is_right = crc == crc32c::crc32c_append(seed, &head[4..])
            && flags & !(FIRST | LAST) == 0
            && (flags & FIRST != 0) == open.is_none()
            && open.as_ref().is_none_or(|record| record.index == index)
            && u64_at(head, 24) == u64::from(crc32c::crc32c(payload))
            && link.is_none_or(|link| link == u32_at(head, 52));
        if !is_right {
            return None;
        }
        let record = open.get_or_insert_with(|| Stored {
            index,
            term: u32_at(head, 48),
            kind: head[6],
            flags: head[7],
            key: u64_at(head, 32),
            timestamp: u64_at(head, 40).cast_signed(),
            value: Vec::new(),
        });
        record.value.extend_from_slice(payload);
        at += CHUNK_HEADER + payload.len();
        link = Some(crc);
        if flags & LAST != 0 {
            return Some((open?, at, crc));
        }
    }
}

/// The records of a store, up to the first place that is not the next one. Empty where the header is wrong.
pub fn records(store: &[u8]) -> Vec<Stored> {
    let mut records: Vec<Stored> = Vec::new();
    let Some(header) = store.first_chunk::<HEADER>() else {
        return records;
    };
    if header[..8] != *b"LAMQSTOR" || u32_at(header, 60) != crc32c::crc32c(&header[..60]) {
        return records;
    }
    let base = u64_at(header, BASE.start);
    let (mut at, mut link) = (HEADER, u32_at(header, 60));
    while let Some((record, end, crc)) = record_at(store, at, seed(base), Some(link)) {
        if Some(record.index) != base.checked_add(records.len() as u64) {
            break;
        }
        (at, link) = (end, crc);
        records.push(record);
    }
    records
}

/// Every record that stands anywhere in a store with its checksums right, whatever is in front of it: what a lookup
/// through an index may find.
pub fn records_anywhere(store: &[u8]) -> Vec<Stored> {
    let Some(base) = base_index(store) else {
        return Vec::new();
    };
    let seed = seed(base);
    let found = (HEADER..store.len()).filter_map(|at| record_at(store, at, seed, None));
    found.map(|(record, ..)| record).collect()
}

/// Makes the CRCs of a store right, and with `linked` also what links its chunks.
pub fn mend(store: &mut [u8], linked: bool) {
    if store.len() < HEADER {
        return;
    }
    let crc = crc32c::crc32c(&store[..60]);
    store[HEADER_CRC].copy_from_slice(&crc.to_le_bytes());
    let seed = seed(u64_at(store, BASE.start));
    let (mut at, mut link) = (HEADER, crc);
    while store.len() - at >= CHUNK_HEADER {
        let length = u32_at(store, at + 8) as usize;
        let payload = at + CHUNK_HEADER;
        let end = payload.saturating_add(length);
        if let Some(payload) = store.get(payload..end) {
            let crc = u64::from(crc32c::crc32c(payload));
            store[at + 24..at + 32].copy_from_slice(&crc.to_le_bytes());
        }
        if linked {
            store[at + 52..at + 56].copy_from_slice(&link.to_le_bytes());
        }
        link = crc32c::crc32c_append(seed, &store[at + 4..payload]);
        store[at..at + 4].copy_from_slice(&link.to_le_bytes());
        if end > store.len() {
            return;
        }
        at = end;
    }
}

/// Makes the CRCs of an index right, its footer's included where it has one.
pub fn mend_index(index: &mut [u8]) {
    if index.len() < HEADER {
        return;
    }
    let crc = crc32c::crc32c(&index[..60]);
    index[HEADER_CRC].copy_from_slice(&crc.to_le_bytes());
    let base = u64_at(index, BASE.start);
    let has_footer =
        index.len() >= HEADER + FOOTER && index[index.len() - FOOTER..].starts_with(b"LAMQFOOT");
    let end = index.len() - if has_footer { FOOTER } else { 0 };
    let (content, footer) = index.split_at_mut(end);
    for (number, entry) in (0..).zip(content[HEADER..].chunks_exact_mut(INDEX_ENTRY)) {
        let record = base.wrapping_add(number).to_le_bytes();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&record), &entry[..46]);
        entry[46..].copy_from_slice(&crc.to_le_bytes()[..2]);
    }
    if has_footer {
        let entries = crc32c::crc32c(&content[HEADER..]);
        footer[32..36].copy_from_slice(&entries.to_le_bytes());
        let crc = crc32c::crc32c(&footer[..124]);
        footer[124..].copy_from_slice(&crc.to_le_bytes());
    }
}
