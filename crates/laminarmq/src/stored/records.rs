//! All records of a stored log, one after the other.

use std::collections::VecDeque;
use std::io;

use super::source::StoredFile;
use super::{StoredLog, removed};
use crate::checksum::{ChecksumKind, ValueChecksum};
use crate::env::{LogFile, SegmentEnv, poll_ready};
use crate::error::{Damage, OpenError, ReadError};
use crate::format::{FILE_HEADER_LENGTH, FileHeader, file_header::FoundHeader};
use crate::limits::RECORD_BYTES_CEILING;
use crate::record::Record;
use crate::segment::{Segment, Step, Window, parse_record, search, step};

/// The records of a stored log in order of their indices, each verified. Ends at the first place that cannot
/// be read, with an error that names it, whether that is damage or a torn end: it never skips. Holds one
/// value and one read window in memory.
#[derive(Debug)]
pub struct StoredRecords {
    log: StoredLog,
    bases: VecDeque<u64>,
    from: u64,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    segment: Segment<StoredFile>,
    /// Where the next segment begins, if there is one.
    next_base: Option<u64>,
    window: Window,
    position: u64,
    index: u64,
    link: u32,
    /// Nothing but zeros follows.
    has_ended: bool,
}

impl StoredLog {
    /// The records from `from`, or from the start of the log, on.
    ///
    /// # Errors
    ///
    /// As [`StoredLog::inspect`].
    pub fn records(&self, from: u64) -> Result<StoredRecords, OpenError> {
        let (start, bases) = self.list()?;
        let floor = start.map_or(0, |said| said.start);
        let skipped = removed(start, &bases);
        let mut bases = VecDeque::from(bases);
        bases.drain(..skipped);
        let from = from.max(floor);
        while bases.get(1).is_some_and(|next| *next <= from) {
            bases.pop_front();
        }
        let log = self.clone();
        let current = None;
        Ok(StoredRecords {
            log,
            bases,
            from,
            current,
        })
    }
}

impl StoredRecords {
    /// The next record; `None` at the end of the last segment.
    fn step(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            let Some(current) = &mut self.current else {
                if self.bases.is_empty() {
                    return Ok(None);
                }
                self.enter()?;
                continue;
            };
            if current.next_base == Some(current.index) {
                self.current = None;
                continue;
            }
            let length = current.segment.files.store.len();
            let is_end = current.position == length || current.has_ended;
            if is_end && current.next_base.is_none() {
                self.current = None;
                continue;
            }
            let wanted = current.index >= self.from;
            if let Some(record) = current.read(wanted)? {
                return Ok(Some(record));
            }
        }
    }

    /// Goes to the next segment.
    fn enter(&mut self) -> Result<(), ReadError> {
        let base = self.bases.pop_front().expect("callers look");
        let position = 0;
        let damaged = |what| {
            let (segment, index) = (base, base);
            Damage {
                segment,
                index,
                position,
                what,
            }
        };
        let failed = |source| ReadError::Io {
            segment: base,
            position,
            source,
        };
        let mut source = self.log.source.clone();
        let files = poll_ready(source.open(base)).map_err(failed)?;
        let mut window = Window::default();
        let length =
            FILE_HEADER_LENGTH.min(usize::try_from(files.store.len()).unwrap_or(usize::MAX));
        let bytes = poll_ready(window.exactly(&files.store, 0, length)).map_err(failed)?;
        let (header, crc) = match FileHeader::decode(&bytes, ChecksumKind::Crc32c) {
            Ok(FoundHeader::Whole(header, crc)) if header.base_index == base => (header, crc),
            Ok(FoundHeader::Whole(..)) => return Err(damaged("the file of another segment").into()),
            Ok(FoundHeader::Damaged) => return Err(damaged("the file header is damaged").into()),
            Ok(FoundHeader::Unwritten) => return Err(damaged("no file header").into()),
            Err(error) => return Err(failed(io::Error::other(error))),
        };
        let segment = Segment::found(files, header, crc, ValueChecksum::CRC32C);
        self.current = Some(Current {
            next_base: self.bases.front().copied(),
            window,
            position: FILE_HEADER_LENGTH as u64,
            index: base,
            link: segment.header_crc,
            has_ended: false,
            segment,
        });
        Ok(())
    }
}

impl Current {
    /// Verifies the next record, and returns it if it is `wanted`.
    fn read(&mut self, wanted: bool) -> Result<Option<Record>, ReadError> {
        let segment = &self.segment;
        let at = self.position;
        let failed = |source| ReadError::Io {
            segment: segment.base(),
            position: at,
            source,
        };
        let (store, window) = (&segment.files.store, &mut self.window);
        let place = (at, self.index, self.link);
        let found = step(window, store, place, segment.framing, true);
        let extent = match poll_ready(found).map_err(failed)? {
            Step::Record(extent) => extent,
            stop => {
                let what = match stop {
                    Step::Stop { why, .. } => why,
                    _ => "the store ends before the next segment begins",
                };
                let behind = poll_ready(search(window, store, at, segment.framing.seed));
                if self.next_base.is_none() && behind.map_err(failed)?.only_zeros {
                    // Written ahead and never used.
                    self.has_ended = true;
                    return Ok(None);
                }
                let (segment, index) = (segment.base(), self.index);
                return Err(Damage {
                    segment,
                    index,
                    position: at,
                    what,
                }
                .into());
            }
        };
        let index = self.index;
        self.position = at + extent.stored;
        self.index += 1;
        self.link = extent.last_crc;
        if !wanted {
            return Ok(None);
        }
        let (bytes, max) = (extent.value, RECORD_BYTES_CEILING);
        if bytes > max {
            return Err(ReadError::TooLarge { index, bytes, max });
        }
        let length = usize::try_from(extent.stored).unwrap_or(usize::MAX);
        let bytes = poll_ready(window.exactly(store, at, length)).map_err(failed)?;
        let parsed = parse_record(&bytes, 0, index, None, segment.framing);
        let parsed = parsed.map_err(|(within, what)| {
            ReadError::from(Damage {
                segment: segment.base(),
                index,
                position: at + within as u64,
                what,
            })
        })?;
        Ok(Some(parsed.into_record(&bytes, index)))
    }
}

impl Iterator for StoredRecords {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if let Some(Err(_)) = item {
            (self.current, self.bases) = (None, VecDeque::new());
        }
        item
    }
}
