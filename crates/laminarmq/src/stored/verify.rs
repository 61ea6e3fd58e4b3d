//! Reads everything and compares it: headers, links, checksums of values, index entries, footers.
//!
//! Two passes over the facts, one over the bytes: first each segment is walked by itself, then it is judged
//! how they follow on each other, with the durable mark that they prove.

use std::io;

use super::source::StoredFile;
use super::{FooterState, StoredLog, StoredSegment, removed};
use crate::checksum;
use crate::env::{LogFile, Part, poll_ready};
use crate::error::{Damage, OpenError};
use crate::format::{
    FILE_HEADER_LENGTH, Footer, INDEX_ENTRY_LENGTH, INDEX_HEADER_LENGTH, IndexEntry,
};
use crate::limits::SCAN_WINDOW_BYTES;
use crate::log::found::Found;
use crate::log::open::io_in;
use crate::segment::{Segment, Step, Summary, Window, entry_of, search, step};

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of stores that were verified.
    pub bytes_done: u64,
    /// Bytes of all stores.
    pub bytes_total: u64,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Index of the first record.
    pub start_index: u64,
    /// One past the last record that can be read from the start on without a gap.
    pub end_index: u64,
    /// Bytes of stores that were read and compared.
    pub bytes_verified: u64,
    /// All segments that are there, in order of their indices.
    pub segments: Vec<StoredSegment>,
    /// Everything that is not as an orderly close leaves it, in order of the segments; at most two per
    /// segment.
    pub findings: Vec<Finding>,
}

/// One thing that is not as an orderly close leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it means.
    pub severity: Severity,
    /// In which of the segment's files.
    pub part: Part,
    /// Where, and what.
    pub place: Damage,
}

/// What a finding means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Records that had been durable cannot be read.
    Damage,
    /// A write that never became durable: opening the log cuts so many bytes, later segments included.
    TornEnd {
        /// Bytes of stores that go.
        bytes: u64,
    },
    /// Records behind a truncation whose cut did not reach the media: opening the log cuts so many bytes.
    Truncated {
        /// Bytes of the store that go.
        bytes: u64,
    },
    /// The index of a complete segment does not fit the store, which is whole. Lookups fail; to have it
    /// built again, close the log and remove the index file.
    Index,
    /// The index does not fit the store and does not claim to: opening the log builds it again.
    StaleIndex,
}

impl Report {
    /// Whether every record that had been durable can be read and found.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_bad =
            |finding: &Finding| matches!(finding.severity, Severity::Damage | Severity::Index);
        !self.findings.iter().any(is_bad)
    }

    /// The first place where records that had been durable cannot be read.
    #[must_use]
    pub fn first_damage(&self) -> Option<&Finding> {
        let is_damage = |finding: &&Finding| finding.severity == Severity::Damage;
        self.findings.iter().find(is_damage)
    }
}

/// What a walk through one segment found out.
struct Walked {
    end: u64,
    /// Where the record `end` would stand.
    position: u64,
    stop: Option<&'static str>,
    /// Nothing but zeros stands there.
    is_unused: bool,
    /// Everything below had been durable.
    proven: u64,
    /// Where the record stands at which the next segment begins, if this one holds it.
    next_at: Option<u64>,
    index: Option<Damage>,
    /// Base index of the segment before, as the header names it.
    previous: Option<u64>,
}

impl StoredLog {
    /// Reads and compares everything, and says where the first damage is. `progress` is called after every
    /// MiB or so and at the end of each segment.
    ///
    /// # Errors
    ///
    /// What the storage refused, a start file that is damaged, and formats of a newer version. Damage of
    /// segments is no error but a [`Finding`].
    pub fn verify(&self, progress: &mut dyn FnMut(Progress)) -> Result<Report, OpenError> {
        let (start, bases) = self.list()?;
        let (skipped, floor) = (removed(start, &bases), start.map_or(0, |said| said.start));
        let mut looks = Vec::with_capacity(bases.len());
        for number in 0..bases.len() {
            looks.push(self.look(&bases, number)?);
            looks[number].info.is_removed = number < skipped;
        }
        let live = &looks[skipped..];
        let bytes_total = live.iter().map(|look| look.info.store_bytes).sum();
        let mut bytes_done = 0;
        let mut mark = floor;
        let mut walks = Vec::with_capacity(live.len());
        for (number, look) in live.iter().enumerate() {
            let next = live.get(number + 1).map(|next| next.info.base_index);
            let Some(found) = &look.found else {
                walks.push(None);
                bytes_done += look.info.store_bytes;
                continue;
            };
            let mut tell = |position| {
                progress(Progress {
                    bytes_done: bytes_done + position,
                    bytes_total,
                });
            };
            let base = look.info.base_index;
            let walked = walk(found, next, &mut tell).map_err(io_in("read", base))?;
            bytes_done += look.info.store_bytes;
            mark = mark.max(found.mark());
            walks.push(Some(walked));
        }
        progress(Progress {
            bytes_done,
            bytes_total,
        });
        let segments: Vec<StoredSegment> = looks.into_iter().map(|look| look.info).collect();
        let first = segments.get(skipped).map_or(0, |first| first.base_index);
        let mut report = Report {
            start_index: floor.max(first),
            end_index: floor.max(first),
            bytes_verified: bytes_total,
            segments,
            findings: Vec::new(),
        };
        judge(&mut report, skipped, &walks, mark);
        Ok(report)
    }
}

/// Walks a segment's store, and its index beside it.
fn walk(
    found: &Found<StoredFile>,
    next: Option<u64>,
    tell: &mut dyn FnMut(u64),
) -> io::Result<Walked> {
    let segment = &found.segment;
    let (store, base) = (&segment.files.store, segment.base());
    let mut walked = Walked {
        end: base,
        position: 0,
        stop: Some("no file header"),
        is_unused: false,
        proven: 0,
        next_at: None,
        index: None,
        previous: found.has_header.then_some(segment.header.previous_base),
    };
    let mut window = Window::default();
    if !found.has_header {
        walked.proven = poll_ready(search(&mut window, store, 0, segment.framing.seed))?.proven;
        return Ok(walked);
    }
    walked.position = FILE_HEADER_LENGTH as u64;
    let mut summary = Summary::empty(segment.header_crc);
    let mut index = IndexWalk::new(found)?;
    let mut told = 0;
    loop {
        if next == Some(walked.end) {
            walked.next_at = Some(walked.position);
        }
        if walked.position - told >= SCAN_WINDOW_BYTES as u64 {
            told = walked.position;
            tell(told);
        }
        let place = (walked.position, walked.end, summary.last_chunk_crc);
        let found = step(&mut window, store, place, segment.framing, true);
        let extent = match poll_ready(found)? {
            Step::Record(extent) => extent,
            Step::End => {
                walked.stop = None;
                break;
            }
            Step::Stop { why, search_from } => {
                let behind = poll_ready(search(
                    &mut window,
                    store,
                    search_from,
                    segment.framing.seed,
                ))?;
                walked.proven = walked.proven.max(behind.proven);
                // Zeros that were written ahead and never used are no torn end.
                walked.is_unused = behind.only_zeros && search_from == walked.position;
                walked.stop = (!walked.is_unused).then_some(why);
                break;
            }
        };
        let entry = entry_of(&extent, walked.position, summary.max_timestamp);
        index.compare(segment, walked.end, &entry)?;
        let last_chunk = (walked.position + extent.last_at, extent.last_crc);
        summary.push(walked.end == base, &entry, last_chunk);
        walked.proven = walked.proven.max(extent.head.durable_index());
        walked.position += extent.stored;
        walked.end += 1;
    }
    index.finish(found, walked.end, walked.position, &summary);
    walked.index = index.wrong;
    tell(store.len());
    Ok(walked)
}

/// The entries of an index file, compared one after the other with those that they should be.
struct IndexWalk {
    window: Window,
    /// Entries in the file, as far as its header says that they are this store's.
    entries: u64,
    crc: u32,
    wrong: Option<Damage>,
}

impl IndexWalk {
    fn new(found: &Found<StoredFile>) -> io::Result<Self> {
        let file = &found.segment.files.index;
        let mut walk = Self {
            window: Window::default(),
            entries: 0,
            crc: 0,
            wrong: None,
        };
        // A file that is not there, or has no header yet, holds no entries.
        if file.is_empty() {
            return Ok(walk);
        }
        if !poll_ready(found.segment.has_index_header())? {
            walk.note(
                &found.segment,
                found.segment.base(),
                0,
                "no index header of this store",
            );
            return Ok(walk);
        }
        let bytes = file.len() - INDEX_HEADER_LENGTH as u64;
        walk.entries = match &found.footer {
            Some(footer) => footer.count,
            None => bytes / INDEX_ENTRY_LENGTH as u64,
        };
        Ok(walk)
    }

    fn note(
        &mut self,
        segment: &Segment<StoredFile>,
        index: u64,
        position: u64,
        what: &'static str,
    ) {
        let segment = segment.base();
        self.wrong.get_or_insert(Damage {
            segment,
            index,
            position,
            what,
        });
    }

    fn compare(
        &mut self,
        segment: &Segment<StoredFile>,
        index: u64,
        entry: &IndexEntry,
    ) -> io::Result<()> {
        let number = index - segment.base();
        if number >= self.entries {
            return Ok(());
        }
        let position = INDEX_HEADER_LENGTH as u64 + number * INDEX_ENTRY_LENGTH as u64;
        let file = &segment.files.index;
        let stored = self.window.forward(file, position, INDEX_ENTRY_LENGTH);
        let stored = poll_ready(stored)?;
        let want = entry.encode(index);
        if stored[..] != want {
            self.note(
                segment,
                index,
                position,
                "the index entry is not the record's",
            );
        }
        self.crc = checksum::crc32c_append(self.crc, &want);
        Ok(())
    }

    fn finish(&mut self, found: &Found<StoredFile>, end: u64, length: u64, summary: &Summary) {
        let segment = &found.segment;
        let Some(footer) = found
            .footer
            .filter(|footer| footer.count == end - segment.base())
        else {
            return;
        };
        let want = Footer {
            is_sealed: footer.is_sealed,
            count: footer.count,
            store_length: length,
            entries_crc: self.crc,
            last_chunk_crc: summary.last_chunk_crc,
            max_timestamp: summary.max_timestamp,
            first_key: summary.first_key,
            last_key: summary.last_key,
            last_chunk_at: summary.last_chunk_at,
        };
        if footer != want {
            let position = INDEX_HEADER_LENGTH as u64 + footer.count * INDEX_ENTRY_LENGTH as u64;
            self.note(
                segment,
                end,
                position,
                "the footer is not that of the store",
            );
        }
    }
}

/// What a log whose records end in segment `number` is not opened for all the same, so that nothing is cut: the
/// header of each segment behind it must be whole, or never written, and name the one before.
fn refused_behind(
    number: usize,
    live: &[StoredSegment],
    walks: &[Option<Walked>],
) -> Option<Damage> {
    for (at, info) in live.iter().enumerate().skip(number + 1) {
        let Some(walked) = &walks[at] else {
            return info.damage.clone();
        };
        let before = &live[at - 1];
        if walked
            .previous
            .is_some_and(|said| said != before.base_index)
        {
            return Some(Damage {
                segment: before.base_index,
                index: before.end_index,
                position: before.store_bytes,
                what: "the segment behind this one is missing",
            });
        }
    }
    None
}

/// Everything below had been durable, as far as it concerns segment `number`: by `mark`, and by what chunks say in it
/// and behind it. Chunks of a segment before it do not count: what stands there behind its start had been truncated.
fn proven_from(number: usize, walks: &[Option<Walked>], mark: u64) -> u64 {
    let from = walks[number..].iter().flatten();
    from.map(|walked| walked.proven).fold(mark, u64::max)
}

/// How the segments follow on each other, and what that means. Below `mark` everything had been durable, as footers,
/// file headers and the start file say.
fn judge(report: &mut Report, skipped: usize, walks: &[Option<Walked>], mark: u64) {
    let live = &report.segments[skipped..];
    let mut findings = Vec::new();
    let mut end = report.end_index;
    for (number, (info, walked)) in live.iter().zip(walks).enumerate() {
        let base = info.base_index;
        let at = |index, position, what| Damage {
            segment: base,
            index,
            position,
            what,
        };
        let mut note = |severity, part, place| {
            findings.push(Finding {
                severity,
                part,
                place,
            });
        };
        let Some(walked) = walked else {
            let what = info.damage.as_ref().map_or("unknown", |damage| damage.what);
            note(Severity::Damage, Part::Store, at(base, 0, what));
            break;
        };
        end = walked.end;
        let next = live.get(number + 1).map(|next| next.base_index);
        let behind = walks.get(number + 1).and_then(Option::as_ref);
        if behind.is_some_and(|next| next.previous.is_some_and(|previous| previous != base)) {
            let what = "the segment behind this one is missing";
            note(
                Severity::Damage,
                Part::Store,
                at(end, walked.position, what),
            );
            break;
        }
        if let Some(cut) = walked.next_at {
            end = next.unwrap_or(end);
            let bytes = info.store_bytes - cut;
            let is_unused = walked.is_unused && cut == walked.position;
            if bytes > 0 && !is_unused {
                let what = "records that had been truncated";
                note(
                    Severity::Truncated { bytes },
                    Part::Store,
                    at(end, cut, what),
                );
            }
        } else if walked.end < proven_from(number, walks, mark) {
            let what = walked
                .stop
                .unwrap_or("the store ends before records that had been durable");
            note(
                Severity::Damage,
                Part::Store,
                at(end, walked.position, what),
            );
        } else if let Some(place) = refused_behind(number, live, walks) {
            note(Severity::Damage, Part::Store, place);
        } else if walked.stop.is_some() || next.is_some() {
            let here = if walked.is_unused {
                0
            } else {
                info.store_bytes - walked.position
            };
            let later = live[number + 1..].iter().map(|later| later.store_bytes);
            let bytes = here + later.sum::<u64>();
            let what = walked.stop.unwrap_or("the store ends");
            let severity = Severity::TornEnd { bytes };
            note(severity, Part::Store, at(end, walked.position, what));
        }
        if let Some(wrong) = walked.index.as_ref().filter(|wrong| wrong.index <= end) {
            let severity = if info.footer == FooterState::Fits {
                Severity::Index
            } else {
                Severity::StaleIndex
            };
            let place = at(wrong.index, wrong.position, wrong.what);
            note(severity, Part::Index, place);
        }
        if walked.next_at.is_none() {
            break;
        }
    }
    report.end_index = end.max(report.start_index);
    report.findings = findings;
}
