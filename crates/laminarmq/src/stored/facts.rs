//! A first look at a segment: its headers, its footer, and where it ends.

use super::source::StoredFile;
use super::{FooterState, Look, StoredLog, StoredSegment};
use crate::env::{LogFile, SegmentEnv, poll_ready};
use crate::error::OpenError;
use crate::format::FILE_HEADER_LENGTH;
use crate::log::found::{Found, find};
use crate::log::open::io_in;
use crate::segment::{Step, Window, step};

impl StoredLog {
    /// Segment number `number` of `bases`.
    pub(super) fn look(&self, bases: &[u64], number: usize) -> Result<Look, OpenError> {
        let base = bases[number];
        let previous = number.checked_sub(1).map(|before| bases[before]);
        let next = bases.get(number + 1).copied();
        let mut source = self.source.clone();
        let found = match poll_ready(find(&mut source, base, previous, next)) {
            Ok(found) => found,
            Err(OpenError::Damaged(damage)) => {
                let files = poll_ready(source.open(base)).map_err(io_in("open", base))?;
                let info = StoredSegment {
                    base_index: base,
                    end_index: base,
                    store_bytes: files.store.len(),
                    index_bytes: files.index.len(),
                    created_ms: None,
                    max_timestamp: None,
                    footer: FooterState::Missing,
                    is_removed: false,
                    damage: Some(damage),
                };
                let found = None;
                return Ok(Look { found, info });
            }
            Err(error) => return Err(error),
        };
        let (mut end, mut max_timestamp) =
            (found.segment.end(), found.segment.summary.max_timestamp);
        if !found.trusted {
            (end, max_timestamp) = headers(&found).map_err(io_in("read", base))?;
        }
        let info = StoredSegment {
            base_index: base,
            end_index: end,
            store_bytes: found.stored,
            index_bytes: found.segment.files.index.len(),
            created_ms: found.has_header.then_some(found.segment.header.created_ms),
            max_timestamp: (end > base).then_some(max_timestamp),
            footer: match found.footer {
                _ if found.trusted => FooterState::Fits,
                Some(_) => FooterState::Differs,
                None => FooterState::Missing,
            },
            is_removed: false,
            damage: None,
        };
        let found = Some(found);
        Ok(Look { found, info })
    }
}

/// End index and largest timestamp, from the headers of records without their values.
fn headers(found: &Found<StoredFile>) -> std::io::Result<(u64, i64)> {
    let segment = &found.segment;
    let (mut index, mut max_timestamp) = (segment.base(), i64::MIN);
    if !found.has_header {
        return Ok((index, max_timestamp));
    }
    let mut window = Window::default();
    let (mut position, mut link) = (FILE_HEADER_LENGTH as u64, segment.header_crc);
    loop {
        let (store, place) = (&segment.files.store, (position, index, link));
        let next = step(&mut window, store, place, segment.framing, false);
        let Step::Record(extent) = poll_ready(next)? else {
            return Ok((index, max_timestamp));
        };
        position += extent.stored;
        (index, link) = (index + 1, extent.last_crc);
        max_timestamp = max_timestamp.max(extent.head.timestamp);
    }
}
