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

use super::found::{Found, find};
use super::open::{io, io_in};
use super::roll::write_headers;
use super::sync::sync_index;
use crate::env::{LogFile, Part, SegmentEnv};
use crate::error::{Damage, OpenError, ReadError};
use crate::record::Recovery;
use crate::segment::{Segment, SegmentEnd};

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
            found.is_unused = scan.is_unused;
            found.segment.set_scanned(scan);
        }
        let end = found.segment.end();
        let is_whole = match all.front().map(|next| next.segment.base()) {
            None => (stop.is_none() || found.is_unused) && end >= proven,
            // What stands behind the start of the next segment had been truncated before that began.
            Some(next) => next <= end,
        };
        if found.has_header && is_whole {
            if let Some(next) = all.front() {
                trim(&mut found.segment, next.segment.base()).await?;
                // Records go too then.
                found.is_unused &= found.segment.end() == end;
            }
            cut_tail(&mut found, stop, recovery).await?;
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
        let fresh = Segment::new(
            found.segment.files,
            found.segment.header,
            found.segment.framing.values,
        );
        found = Found {
            segment: fresh,
            has_header: true,
            ..found
        };
        write_headers(&mut found.segment)
            .await
            .map_err(io_in("create", base))?;
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
    if found.is_unused {
        tracing::debug!(segment = base, bytes, "gave back what was written ahead");
        recovery.zeros_cut += bytes;
    } else {
        let reason = stop.unwrap_or("records that had been truncated");
        tracing::warn!(
            segment = base,
            position,
            bytes,
            reason,
            "cut an end that was never durable"
        );
        recovery.bytes_cut += bytes;
    }
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
    let (base, kept) = (segment.base(), end - segment.base());
    let cut = segment.cut_at(end).await;
    let (position, summary) = cut.map_err(|error| match error {
        ReadError::Damaged(damage) => damage.into(),
        error => io_in("read", base)(std::io::Error::other(error)),
    })?;
    segment.set_cut(kept, position, summary);
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
    for (number, found) in kept.into_iter().enumerate() {
        let mut segment = found.segment;
        if !found.trusted {
            recovery.indexes_rebuilt += 1;
            rebuild(env, &mut segment, number == last)
                .await
                .map_err(io_in("rebuild the index of", segment.base()))?;
        }
        segment.rest();
        segments.push_back(segment);
    }
    // Even where all is well: a truncation that was interrupted may have removed segments without a sync,
    // and they must not come back beside what is written next.
    env.sync_names().await.map_err(io("sync the directory"))?;
    Ok(segments)
}

/// Makes a scanned store durable, and writes its index. That of the write segment may fail for lack of room: its
/// entries then stay in memory, and the next block tries again.
async fn rebuild<E: SegmentEnv>(
    env: &mut E,
    segment: &mut Segment<E::File>,
    is_last: bool,
) -> std::io::Result<()> {
    env.sync(segment.base(), &mut segment.files, Part::Store)
        .await?;
    segment.reset_index().await?;
    if is_last {
        if segment.flush_index().await.is_ok() {
            segment.forget_written();
        }
        return Ok(());
    }
    segment.flush_index().await?;
    sync_index(env, segment).await?;
    segment.write_footer(SegmentEnd::Sealed).await?;
    segment.entries.forget_all();
    Ok(())
}
