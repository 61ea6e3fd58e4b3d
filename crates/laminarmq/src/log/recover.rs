//! Recovery: believe what a footer vouches for, scan the rest, cut what was never durable, refuse damage.
//!
//! How a torn end is told from damage: everything below the *durable mark* had been synced. The mark is the
//! highest of what footers and the start file say (they are written after the sync), what file headers say (the durable index
//! when the file was created) and what chunks say that stand behind the place in question (the durable
//! index when they were appended). The first record that cannot be read lies
//!
//! - below the mark: an error that names segment, index and position; nothing is changed;
//! - at or above it: the log ends there. What stands behind is cut, and counted in [`Recovery`].
//!
//! A segment between two others is missing, as opposed to never written, where the header of the one behind
//! names another predecessor; names of segments become durable in order, so no crash does that.

use std::collections::VecDeque;

use super::found::{Found, find, load_entries};
use super::open::{io, io_in};
use super::roll::write_headers;
use super::sync::sync_index;
use crate::env::{LogFile, Part, SegmentEnv};
use crate::error::{Damage, OpenError, ReadError};
use crate::record::Recovery;
use crate::segment::{Scan, Segment, Summary, read_chunk_header};

/// Everything that is stored, made whole and durable. Below `floor` everything had been durable.
pub(super) async fn recover<E: SegmentEnv>(
    env: &mut E,
    bases: &[u64],
    floor: u64,
    recovery: &mut Recovery,
) -> Result<VecDeque<Segment<E::File>>, OpenError> {
    let mut all = VecDeque::with_capacity(bases.len());
    for (number, base) in bases.iter().enumerate() {
        let previous = number.checked_sub(1).map(|before| bases[before]);
        let next = bases.get(number + 1).copied();
        all.push_back(find(env, *base, previous, next).await?);
    }
    check_order(&all)?;
    let mark = all.iter().map(Found::mark).fold(floor, u64::max);

    let mut kept: VecDeque<Found<E::File>> = VecDeque::with_capacity(all.len());
    while let Some(mut found) = all.pop_front() {
        let mut stop = None;
        let mut proven = mark;
        if !found.trusted {
            let scan = found.scan(recovery).await?;
            (stop, proven) = (scan.stop, mark.max(scan.proven));
            found.segment.set_scanned(scan);
        }
        let end = found.segment.end();
        let is_whole = match all.front().map(|next| next.segment.base()) {
            None => stop.is_none() && end >= proven,
            // What stands behind the start of the next segment had been truncated before that began.
            Some(next) => next <= end,
        };
        if found.has_header && is_whole {
            if let Some(next) = all.front() {
                trim(&mut found.segment, next.segment.base()).await?;
                cut_tail(&mut found, stop, recovery).await?;
            }
            kept.push_back(found);
            continue;
        }
        // The log cannot be read on from here. May it end here?
        for later in &all {
            proven = proven.max(later.scan(recovery).await?.proven);
        }
        if end < proven {
            let what = stop.unwrap_or("the store ends before records that had been durable");
            let (segment, position) = (found.segment.base(), found.segment.store_length);
            return Err(Damage {
                segment,
                index: end,
                position,
                what,
            }
            .into());
        }
        drop_later(env, all, recovery).await?;
        cut_found(env, found, stop, &mut kept, recovery).await?;
        break;
    }
    finish(env, kept, recovery).await
}

/// Every segment has to follow the one before it.
fn check_order<F: LogFile>(all: &VecDeque<Found<F>>) -> Result<(), OpenError> {
    for (before, next) in all.iter().zip(all.iter().skip(1)) {
        let base = before.segment.base();
        if next.has_header && next.segment.header.previous_base != base {
            let end = before
                .footer
                .map_or(base, |footer| base.saturating_add(footer.count));
            return Err(OpenError::SegmentMissing {
                before: base,
                end,
                next: next.segment.base(),
            });
        }
    }
    Ok(())
}

/// Removes the segments behind the log's end, the last one first.
async fn drop_later<E: SegmentEnv>(
    env: &mut E,
    mut later: VecDeque<Found<E::File>>,
    recovery: &mut Recovery,
) -> Result<(), OpenError> {
    while let Some(found) = later.pop_back() {
        drop_segment(env, found, recovery).await?;
    }
    Ok(())
}

async fn drop_segment<E: SegmentEnv>(
    env: &mut E,
    found: Found<E::File>,
    recovery: &mut Recovery,
) -> Result<(), OpenError> {
    let base = found.segment.base();
    tracing::warn!(
        segment = base,
        bytes = found.stored,
        "dropped a segment that was never durable"
    );
    recovery.bytes_cut += found.stored;
    recovery.segments_dropped += 1;
    env.remove(base, found.segment.files)
        .await
        .map_err(io_in("remove", base))?;
    env.sync_names().await.map_err(io("sync the directory"))
}

/// Cuts the torn end of the segment in which the log ends, which then is the last of `kept`.
async fn cut_found<E: SegmentEnv>(
    env: &mut E,
    mut found: Found<E::File>,
    stop: Option<&'static str>,
    kept: &mut VecDeque<Found<E::File>>,
    recovery: &mut Recovery,
) -> Result<(), OpenError> {
    let base = found.segment.base();
    if !found.has_header {
        if !kept.is_empty() {
            return drop_segment(env, found, recovery).await;
        }
        recovery.bytes_cut += found.stored;
        let fresh = Segment::new(found.segment.files, found.segment.header);
        found = Found {
            segment: fresh,
            has_header: true,
            ..found
        };
        write_headers(&mut found.segment)
            .await
            .map_err(io_in("create", base))?;
        found.segment.entries = Some(Vec::new());
    } else {
        cut_tail(&mut found, stop, recovery).await?;
    }
    kept.push_back(found);
    Ok(())
}

/// Cuts what stands behind the last record of a segment.
async fn cut_tail<F: LogFile>(
    found: &mut Found<F>,
    stop: Option<&'static str>,
    recovery: &mut Recovery,
) -> Result<(), OpenError> {
    let (base, position) = (found.segment.base(), found.segment.store_length);
    let Some(bytes) = found
        .stored
        .checked_sub(position)
        .filter(|bytes| *bytes > 0)
    else {
        return Ok(());
    };
    let reason = stop.unwrap_or("records that had been truncated");
    tracing::warn!(
        segment = base,
        position,
        bytes,
        reason,
        "cut an end that was never durable"
    );
    recovery.bytes_cut += bytes;
    found
        .segment
        .files
        .store
        .truncate(position)
        .await
        .map_err(io_in("cut", base))
}

/// Forgets scanned records from index `end` on.
async fn trim<F: LogFile>(segment: &mut Segment<F>, end: u64) -> Result<(), OpenError> {
    if end >= segment.end() {
        return Ok(());
    }
    let base = segment.base();
    let mut entries = segment
        .entries
        .take()
        .expect("only a scan finds more than a footer says");
    let kept = usize::try_from(end - base).expect("fewer than are in memory");
    let position = entries[kept].position;
    entries.truncate(kept);
    let last_chunk_crc = match entries.last() {
        None => segment.header_crc,
        Some(entry) => match read_chunk_header(segment, end - 1, entry.position).await {
            Ok((_, crc)) => crc,
            Err(ReadError::Damaged(damage)) => return Err(damage.into()),
            Err(error) => return Err(io_in("read", base)(std::io::Error::other(error))),
        },
    };
    segment.set_scanned(Scan {
        summary: Summary::of(&entries, last_chunk_crc),
        entries,
        valid_length: position,
        stop: None,
        proven: 0,
    });
    Ok(())
}

/// Makes what was found durable, and the indexes whole.
async fn finish<E: SegmentEnv>(
    env: &mut E,
    kept: VecDeque<Found<E::File>>,
    recovery: &mut Recovery,
) -> Result<VecDeque<Segment<E::File>>, OpenError> {
    let last = kept.len() - 1;
    let mut segments = VecDeque::with_capacity(kept.len());
    for (number, mut found) in kept.into_iter().enumerate() {
        let is_last = number == last;
        // It became the last one only now, when those behind it were dropped.
        let unloaded = is_last && found.trusted && found.segment.entries.is_none();
        if unloaded && !load_entries(&mut found.segment).await {
            let scan = found.scan(recovery).await?;
            if let Some(what) = scan.stop {
                let (segment, position) = (found.segment.base(), scan.valid_length);
                let index = segment + scan.entries.len() as u64;
                return Err(Damage {
                    segment,
                    index,
                    position,
                    what,
                }
                .into());
            }
            found.segment.set_scanned(scan);
            found.trusted = false;
        }
        let mut segment = found.segment;
        let base = segment.base();
        if !found.trusted {
            recovery.indexes_rebuilt += 1;
            env.sync(base, &mut segment.files, Part::Store)
                .await
                .map_err(io_in("sync", base))?;
            segment
                .reset_index()
                .await
                .map_err(io_in("rebuild the index of", base))?;
            if !is_last {
                let failed = |error| io_in("rebuild the index of", base)(error);
                segment.flush_index().await.map_err(failed)?;
                sync_index(env, &mut segment).await.map_err(failed)?;
                segment.write_footer().await.map_err(failed)?;
                segment.entries = None;
            }
        }
        segments.push_back(segment);
    }
    // Even where all is well: a truncation that was interrupted may have removed segments without a sync,
    // and they must not come back beside what is written next.
    env.sync_names().await.map_err(io("sync the directory"))?;
    Ok(segments)
}
