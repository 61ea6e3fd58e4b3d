//! Reading many records one after the other.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::hash::Hasher;
use std::ops::{Bound, RangeBounds};

use futures_core::Stream;
use futures_lite::stream::unfold;
use num_traits::{CheckedSub, FromPrimitive, ToPrimitive, Unsigned};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::metadata::Framed;
use super::segment::{Ahead, Chunks, SegmentError, SegmentStorageProvider, record};
use super::{LogError, ReadResult, Record, SegmentedLog};
use crate::common::cache::Cache;
use crate::common::serde_compat::SerializationProvider;
use crate::common::split::SplitAt;
use crate::limits::{STREAM_PLACES, STREAM_WINDOW_BYTES};
use crate::log::locate;
use crate::segment::{Place, parse_chunk};
use crate::storage::Storage;

/// The next record of a stream, or what is wrong with it.
type Next<S, M, Idx, SERP> = Result<
    Option<Record<M, Idx, <S as Storage>::Content>>,
    SegmentError<<S as Storage>::Error, <SERP as SerializationProvider>::Error>,
>;

/// Where a stream has come to.
struct Cursor<S: Storage, M, SERP: SerializationProvider> {
    next: u64,
    end: u64,
    /// Of the segment that holds `next`, or ends there.
    place: usize,
    window: Option<Window<S::Content>>,
    /// The next records, where they are read ahead.
    ahead: VecDeque<Ahead<S, M, SERP>>,
    /// Memory for where those stand.
    places: Vec<Place>,
}

/// Records that were read with one call.
struct Window<C> {
    /// From the next record on.
    rest: C,
    /// How many there are.
    left: u64,
    /// Checksum of the chunk before, where that was seen.
    link: Option<u32>,
}

impl<S, M, H, Idx, SERP, SSP, C> SegmentedLog<S, M, H, Idx, S::Size, SERP, SSP, C>
where
    S: Storage,
    S::Content: SplitAt<u8>,
    M: Serialize + DeserializeOwned,
    H: Hasher + Default,
    Idx: Unsigned + CheckedSub + FromPrimitive + ToPrimitive + Ord + Copy,
    SERP: SerializationProvider,
    SSP: SegmentStorageProvider<S, Idx>,
    C: Cache<usize, ()>,
    C::Error: Debug,
{
    /// The records of a range in order, as far as they are in the log; an empty or inverted range has none. It never
    /// skips: at a record that cannot be read it ends, and says so in the log of the program.
    /// [`SegmentedLog::try_stream`] yields the error.
    pub fn stream<RB>(
        &self,
        index_bounds: RB,
    ) -> impl Stream<Item = Record<M, Idx, S::Content>> + '_
    where
        RB: RangeBounds<Idx>,
    {
        self.readable(self.cursor(&index_bounds))
    }

    /// All records in order, as [`SegmentedLog::stream`] has them.
    pub fn stream_unbounded(&self) -> impl Stream<Item = Record<M, Idx, S::Content>> + '_ {
        self.readable(self.cursor(&..))
    }

    /// The records of a range in order, as far as they are in the log; an empty or inverted range has none. It ends
    /// with the first error.
    ///
    /// # Errors
    ///
    /// Items are as [`AsyncIndexedRead::read`](crate::storage::AsyncIndexedRead::read) has them.
    pub fn try_stream<RB>(
        &self,
        index_bounds: RB,
    ) -> impl Stream<Item = ReadResult<S, M, Idx, SERP, C>> + '_
    where
        RB: RangeBounds<Idx>,
    {
        unfold(self.cursor(&index_bounds), move |mut cursor| async move {
            let item = self.advance(&mut cursor).await.transpose()?;
            let item = item.map_err(LogError::<S, SERP, C>::SegmentError);
            if item.is_err() {
                cursor.end = cursor.next;
            }
            Some((item, cursor))
        })
    }

    /// A record whose value comes in pieces, for values that are too long to be held: one chunk at a time is, which
    /// has at most 256 KiB of a value that was appended as a stream, and all of one that was appended as a whole. Each
    /// piece is verified before it is yielded.
    ///
    /// # Errors
    ///
    /// As [`AsyncIndexedRead::read`](crate::storage::AsyncIndexedRead::read); items as well, after which the stream ends.
    pub async fn read_pieces(
        &self,
        idx: &Idx,
    ) -> Result<
        Record<M, Idx, impl Stream<Item = Result<S::Content, LogError<S, SERP, C>>> + '_>,
        LogError<S, SERP, C>,
    > {
        let index = self.index_of(idx)?;
        let segment = &self.log.all_segments()[self.place_of(index)];
        let mut chunks = segment.chunks(index).await?;
        let first = segment.next_chunk(&mut chunks).await?;
        let (metadata, first) = segment.split_first(first)?;
        let begun = Some((Some(first), chunks));
        let pieces = unfold(begun, move |state: Option<(_, Chunks)>| async move {
            let (first, mut chunks) = state?;
            if let Some(first) = first {
                return Some((Ok(first), Some((None, chunks))));
            }
            match segment.next_value(&mut chunks).await {
                Ok(piece) => Some((Ok(piece?), Some((None, chunks)))),
                Err(error) => Some((Err(error.into()), None)),
            }
        });
        Ok(record(metadata, index, pieces))
    }

    fn readable(
        &self,
        cursor: Box<Cursor<S, M, SERP>>,
    ) -> impl Stream<Item = Record<M, Idx, S::Content>> + '_ {
        unfold(cursor, move |mut cursor| async move {
            match self.advance(&mut cursor).await {
                Ok(item) => item.map(|record| (record, cursor)),
                Err(_) => {
                    tracing::error!(
                        index = cursor.next,
                        "a stream of records ended early: a record cannot be read"
                    );
                    None
                }
            }
        })
    }

    /// In a box, because streams hand it from one step to the next.
    fn cursor(&self, bounds: &impl RangeBounds<Idx>) -> Box<Cursor<S, M, SERP>> {
        let (start, end) = (self.log.start_index(), self.log.end_index());
        // An index that is no u64 is behind every log.
        let number = |idx: &Idx| idx.to_u64().unwrap_or(u64::MAX);
        let from = match bounds.start_bound() {
            Bound::Included(idx) => number(idx),
            Bound::Excluded(idx) => number(idx).saturating_add(1),
            Bound::Unbounded => start,
        };
        let to = match bounds.end_bound() {
            Bound::Included(idx) => number(idx).saturating_add(1),
            Bound::Excluded(idx) => number(idx),
            Bound::Unbounded => end,
        };
        let next = from.max(start);
        Box::new(Cursor {
            next,
            end: to.min(end),
            place: self.place_of(next),
            window: None,
            ahead: VecDeque::new(),
            places: Vec::new(),
        })
    }

    /// The next record; `None` at the end. What is not done for each record is in boxes: this future is moved for each.
    #[inline]
    async fn advance(&self, cursor: &mut Cursor<S, M, SERP>) -> Next<S, M, Idx, SERP> {
        if cursor.next >= cursor.end {
            return Ok(None);
        }
        let segments = self.log.all_segments();
        while segments[cursor.place].end() <= cursor.next {
            cursor.place += 1;
            cursor.window = None;
        }
        let segment = &segments[cursor.place];
        if S::Content::SHARES {
            if cursor.window.is_none() {
                cursor.window = Some(Box::pin(self.read_window(cursor)).await?);
            }
            if let Some(record) = self.take_from_window(cursor)? {
                return Ok(Some(record));
            }
        }
        if S::IN_MEMORY {
            if cursor.ahead.is_empty() {
                Box::pin(self.read_ahead(cursor)).await?;
            }
            if let Some((value, metadata)) = cursor.ahead.pop_front() {
                let record = record(metadata?, cursor.next, value);
                cursor.next += 1;
                return Ok(Some(record));
            }
        }
        let record = Box::pin(segment.read_record(cursor.next)).await?;
        cursor.next += 1;
        Ok(Some(record))
    }

    /// Takes some of the next records from memory, none where the next one is not as nearly all are.
    #[inline(never)]
    async fn read_ahead(
        &self,
        cursor: &mut Cursor<S, M, SERP>,
    ) -> Result<(), SegmentError<S::Error, SERP::Error>> {
        let segment = &self.log.all_segments()[cursor.place];
        let end = cursor.end.min(segment.end());
        let most = usize::try_from(end - cursor.next).unwrap_or(usize::MAX);
        let places = &mut cursor.places;
        let view = segment.view();
        let found = view.places(cursor.next, STREAM_PLACES.min(most), places);
        let failed = |error| SegmentError::of_index(error, segment.files.index.aside());
        found.await.map_err(failed)?;
        segment
            .read_ahead(cursor.next, places, &mut cursor.ahead)
            .await;
        Ok(())
    }

    /// Reads as many records as fit into a window, at least the next one.
    async fn read_window(
        &self,
        cursor: &Cursor<S, M, SERP>,
    ) -> Result<Window<S::Content>, SegmentError<S::Error, SERP::Error>> {
        let segment = &self.log.all_segments()[cursor.place];
        let (store, index) = (&segment.files.store, &segment.files.index);
        let view = segment.view();
        let most = STREAM_WINDOW_BYTES as u64;
        let piece = locate(&view, cursor.next, cursor.end, most).await;
        let (_, piece) = piece.map_err(|error| SegmentError::of_index(error, index.aside()))?;
        let rest = store.read_content(piece.position, piece.length).await;
        let rest =
            rest.map_err(|error| SegmentError::of_store(&piece.error(error), store.aside()))?;
        Ok(Window {
            rest,
            left: piece.count,
            link: None,
        })
    }

    /// The next record, if it is one chunk and undamaged, as nearly all are; else the window is given up.
    fn take_from_window(&self, cursor: &mut Cursor<S, M, SERP>) -> Next<S, M, Idx, SERP> {
        let Some(Window { rest, left, link }) = cursor.window.take() else {
            return Ok(None);
        };
        let framing = self.log.all_segments()[cursor.place].framing;
        let index = cursor.next;
        let found = parse_chunk(&rest, 0, index, true, link, framing);
        let Some((head, crc, value)) = found.ok().filter(|(head, ..)| head.is_last()) else {
            return Ok(None);
        };
        let framed = Framed::of(&rest[value.clone()], head.entry_flags)?;
        let metadata = framed.metadata::<M, SERP, _>(&rest[value.clone()])?;
        let missing = || SegmentError::RecordMetadataNotFound;
        let (whole, rest) = rest.split_at(value.end).ok_or_else(missing)?;
        let value_at = value.start + framed.value_at;
        let value = whole.tail(value_at).ok_or_else(missing)?;
        cursor.next += 1;
        if left > 1 {
            cursor.window = Some(Window {
                rest,
                left: left - 1,
                link: Some(crc),
            });
        }
        Ok(Some(record(metadata, index, value)))
    }
}
