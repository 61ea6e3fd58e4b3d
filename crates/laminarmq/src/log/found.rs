//! A stored segment as it is found: what its headers and its footer say, and whether the store agrees.
//!
//! A footer is one of three things. It *fits* the store: same length, and the store's last chunk is the one
//! that the footer names, which through the links vouches for every chunk header before it. Or the store
//! has moved on from it, or lost something: then it still proves what had been durable. Or it is *stale*,
//! from before a truncation and put back by somebody, or left by a crash while an empty segment was begun anew: the
//! chunk at the place of one of its entries, or the file header where it has none, is a valid one but another. Then it
//! proves nothing.

use super::open::io_in;
use crate::env::{LogFile, SegmentEnv};
use crate::error::{Damage, OpenError};
use crate::format::{
    CHUNK_HEADER_LENGTH, ChunkHeader, FILE_HEADER_LENGTH, FileHeader, Footer, chunk,
    file_header::FoundHeader,
};
use crate::record::Recovery;
use crate::segment::{Scan, Segment, scan};

/// A stored segment, as far as its headers and its footer tell.
pub(crate) struct Found<F> {
    pub(crate) segment: Segment<F>,
    /// Whether the store has its header.
    pub(crate) has_header: bool,
    pub(crate) footer: Option<Footer>,
    /// Length of the store as found.
    pub(crate) stored: u64,
    /// Whether the footer fits the store, so that no scan is needed.
    pub(crate) trusted: bool,
    /// Whether a scan found nothing but zeros behind the last record, written ahead and never used.
    pub(crate) is_unused: bool,
}

impl<F: LogFile> Found<F> {
    /// Everything below this index had been durable.
    pub(crate) fn mark(&self) -> u64 {
        let by_footer = self
            .footer
            .map_or(0, |footer| self.segment.base().saturating_add(footer.count));
        if self.has_header {
            by_footer.max(self.segment.header.durable_index)
        } else {
            by_footer
        }
    }

    pub(crate) async fn scan(&self, recovery: &mut Recovery) -> Result<Scan, OpenError> {
        let (base, framing) = (self.segment.base(), self.segment.framing);
        recovery.bytes_scanned += self.stored;
        let header_crc = self.has_header.then_some(self.segment.header_crc);
        scan(&self.segment.files.store, base, framing, header_crc)
            .await
            .map_err(io_in("scan", base))
    }
}

/// Opens one segment's files and reads what they say about themselves. `previous` and `next` are the base
/// indices of the segments beside it.
pub(crate) async fn find<E: SegmentEnv>(
    env: &mut E,
    base: u64,
    previous: Option<u64>,
    next: Option<u64>,
) -> Result<Found<E::File>, OpenError> {
    let files = env.open(base).await.map_err(io_in("open", base))?;
    let stored = files.store.len();
    let length = usize::try_from(stored)
        .unwrap_or(usize::MAX)
        .min(FILE_HEADER_LENGTH);
    let bytes = files
        .store
        .read_at(0, length)
        .await
        .map_err(io_in("read", base))?;
    let decoded = FileHeader::decode(&bytes, env.value_checksum().kind());
    let decoded = decoded.map_err(|source| OpenError::Format {
        segment: base,
        source,
    })?;
    let damaged = |what| {
        Err(Damage {
            segment: base,
            index: base,
            position: 0,
            what,
        }
        .into())
    };
    let (header, header_crc) = match decoded {
        FoundHeader::Whole(header, crc) if header.base_index == base => (header, Some(crc)),
        FoundHeader::Whole(..) => return damaged("the file of another segment"),
        FoundHeader::Damaged => return damaged("the file header is damaged"),
        // What the header would be, were it written now.
        FoundHeader::Unwritten => {
            let (created_ms, previous_base) = (env.now_ms(), previous.unwrap_or(base));
            (
                FileHeader {
                    base_index: base,
                    created_ms,
                    durable_index: base,
                    previous_base,
                    checksum: env.value_checksum().kind(),
                },
                None,
            )
        }
    };
    let has_header = header_crc.is_some();
    let values = env.value_checksum();
    let segment_of = |files| match header_crc {
        Some(crc) => Segment::found(files, header, crc, values),
        None => Segment::new(files, header, values),
    };
    let mut segment = segment_of(files);
    assert_eq!(
        segment.framing.seed,
        chunk::seed(base),
        "the seed is that of the file's name"
    );
    let mut footer = segment
        .read_footer(has_header)
        .await
        .map_err(io_in("read", base))?;
    let mut trusted = false;
    footer = footer.filter(|said| base.checked_add(said.count).is_some());
    if let Some(said) = footer.filter(|_| has_header) {
        segment.set_sealed(&said);
        match compare(&segment, &said, stored)
            .await
            .map_err(io_in("read", base))?
        {
            Agreement::Fits => trusted = next.is_none_or(|next| said.count == next - base),
            Agreement::Differs => {}
            Agreement::Stale => footer = None,
        }
        if !trusted {
            segment = segment_of(segment.files);
        }
    }
    Ok(Found {
        segment,
        has_header,
        footer,
        stored,
        trusted,
        is_unused: false,
    })
}

enum Agreement {
    Fits,
    Differs,
    Stale,
}

/// Compares a footer with the last chunk that it names, or with the last record that the index knows and the
/// store still has whole, or with the file header where it counts no records.
async fn compare<F: LogFile>(
    segment: &Segment<F>,
    footer: &Footer,
    stored: u64,
) -> std::io::Result<Agreement> {
    let (store, seed) = (&segment.files.store, segment.framing.seed);
    if footer.count == 0 {
        // Without a chunk it names the file header, another one where the segment was begun anew since.
        return Ok(if footer.last_chunk_crc != segment.header_crc {
            Agreement::Stale
        } else if footer.store_length == stored {
            Agreement::Fits
        } else {
            Agreement::Differs
        });
    }
    if stored >= footer.store_length {
        let at = footer.last_chunk_at;
        let end_of_header = at.checked_add(CHUNK_HEADER_LENGTH as u64);
        if end_of_header.is_none_or(|end| end > stored) {
            return Ok(Agreement::Differs);
        }
        let bytes = store.read_at(at, CHUNK_HEADER_LENGTH).await?;
        return Ok(match ChunkHeader::decode(&bytes, seed) {
            None => Agreement::Differs,
            Some((_, crc)) if crc != footer.last_chunk_crc => Agreement::Stale,
            Some((header, _)) => {
                let is_end = header.is_last() && at + header.stored_length() == stored;
                if is_end && footer.store_length == stored {
                    Agreement::Fits
                } else {
                    Agreement::Differs
                }
            }
        });
    }
    // An index that cannot be read is built again; its footer has its own checksum.
    let (base, view) = (segment.base(), segment.view());
    let begins_inside = view.partition_point(base, segment.end(), |entry| entry.position < stored);
    let Ok(inside) = begins_inside.await else {
        return Ok(Agreement::Differs);
    };
    // The last of them is cut somewhere.
    let Some(index) = inside.checked_sub(2).filter(|index| *index >= base) else {
        return Ok(Agreement::Differs);
    };
    let Ok(entry) = view.entry(index).await else {
        return Ok(Agreement::Differs);
    };
    if entry.position + CHUNK_HEADER_LENGTH as u64 > stored {
        return Ok(Agreement::Differs);
    }
    let bytes = store.read_at(entry.position, CHUNK_HEADER_LENGTH).await?;
    let Some((header, _)) = ChunkHeader::decode(&bytes, seed) else {
        return Ok(Agreement::Differs);
    };
    let is_whole = header.is_first() && header.is_last();
    let same = header.index == index
        && (header.key, header.term) == (entry.key, entry.term)
        && (!is_whole
            || (u64::from(header.length), header.checksum) == (entry.length, entry.checksum));
    Ok(if same {
        Agreement::Differs
    } else {
        Agreement::Stale
    })
}
