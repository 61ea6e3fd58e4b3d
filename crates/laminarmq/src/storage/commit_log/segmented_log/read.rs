//! Reading records one by one.

use std::fmt::Debug;
use std::hash::Hasher;

use num_traits::{CheckedSub, FromPrimitive, ToPrimitive, Unsigned};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::segment::SegmentStorageProvider;
use super::{LogError, Record, SegmentedLog, SegmentedLogError};
use crate::common::cache::Cache;
use crate::common::serde_compat::SerializationProvider;
use crate::common::split::SplitAt;
use crate::storage::{AsyncIndexedExclusiveRead, AsyncIndexedRead, Storage};

/// What stands at an index, for readers that go on from there without searching.
///
/// ```
/// use futures_lite::future::block_on;
/// use laminarmq::common::{cache::NoOpCache, serde_compat::bincode::BinCode};
/// use laminarmq::storage::AsyncIndexedRead;
/// use laminarmq::storage::commit_log::segmented_log::{
///     Config, MetaWithIdx, Record, SegmentedLog, SeqRead, segment,
/// };
/// use laminarmq::storage::impls::in_mem::{segment::InMemSegmentStorageProvider, storage::InMemStorage};
///
/// type Log = SegmentedLog<
///     InMemStorage, (), laminarmq::Crc32cHasher, u32, usize, BinCode,
///     InMemSegmentStorageProvider<u32>, NoOpCache<usize, ()>,
/// >;
/// # block_on(async {
/// // Two records and a segment is full.
/// let segment_config = segment::Config { max_store_size: 30, max_store_overflow: 90, max_index_size: 1 << 20 };
/// let config = Config { segment_config, ..Config::default() };
/// let mut log = Log::new(config, InMemSegmentStorageProvider::default()).await?;
/// for value in ["a", "b", "c", "d", "e"] {
///     let metadata = MetaWithIdx { metadata: (), index: None };
///     log.append_record_with_contiguous_bytes(&Record { metadata, value: value.as_bytes() }).await?;
/// }
/// let (mut segment, mut index, mut values) = (0, log.lowest_index(), Vec::new());
/// while index < log.highest_index() {
///     match log.read_seq(segment, &index).await? {
///         SeqRead::Read { record, next_idx } => {
///             values.extend(record.value);
///             index = next_idx;
///         }
///         SeqRead::Seek { next_segment, next_idx } => (segment, index) = (next_segment, next_idx),
///     }
/// }
/// assert_eq!(values, b"abcde");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeqRead<M, Idx, C> {
    /// The record.
    Read {
        /// As it is stored.
        record: Record<M, Idx, C>,
        /// What to read next in the same segment.
        next_idx: Idx,
    },
    /// The segment ended.
    Seek {
        /// The segment to go on with.
        next_segment: usize,
        /// What to read there.
        next_idx: Idx,
    },
}

/// A record that was read, or why it could not be.
pub type ReadResult<S, M, Idx, SERP, C> =
    Result<Record<M, Idx, <S as Storage>::Content>, LogError<S, SERP, C>>;

impl<S, M, H, Idx, Size, SERP, SSP, C> SegmentedLog<S, M, H, Idx, Size, SERP, SSP, C>
where
    S: Storage,
    H: Hasher + Default,
    Idx: FromPrimitive + ToPrimitive,
    SSP: SegmentStorageProvider<S, Idx>,
{
    /// Place of the segment that holds `index`, which is in the log.
    pub(super) fn place_of(&self, index: u64) -> usize {
        let segments = self.log.all_segments();
        let behind = segments.partition_point(|segment| segment.end() <= index);
        behind.min(segments.len() - 1)
    }

    /// The index as the engine counts, if it is in the log.
    pub(super) fn index_of<SDE, CE>(
        &self,
        idx: &Idx,
    ) -> Result<u64, SegmentedLogError<S::Error, SDE, CE>> {
        let range = self.log.start_index()..self.log.end_index();
        let index = idx.to_u64().filter(|index| range.contains(index));
        index.ok_or(SegmentedLogError::IndexOutOfBounds)
    }
}

impl<S, M, H, Idx, SERP, SSP, C> AsyncIndexedRead
    for SegmentedLog<S, M, H, Idx, S::Size, SERP, SSP, C>
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
    type ReadError = LogError<S, SERP, C>;
    type Value = Record<M, Idx, S::Content>;
    type Idx = Idx;

    /// One record, its checksum verified. What is cached stays as it is.
    async fn read(&self, idx: &Idx) -> Result<Self::Value, Self::ReadError> {
        let index = self.index_of(idx)?;
        let segment = &self.log.all_segments()[self.place_of(index)];
        Ok(segment.read_record(index).await?)
    }

    fn highest_index(&self) -> Idx {
        Idx::from_u64(self.log.end_index()).expect("appends keep within the type")
    }

    fn lowest_index(&self) -> Idx {
        Idx::from_u64(self.log.start_index()).expect("appends keep within the type")
    }
}

impl<S, M, H, Idx, SERP, SSP, C> AsyncIndexedExclusiveRead
    for SegmentedLog<S, M, H, Idx, S::Size, SERP, SSP, C>
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
    /// As [`AsyncIndexedRead::read`]; the segment that holds the record is index-cached then, and the cache may let
    /// another one go.
    async fn exclusive_read(&mut self, idx: &Idx) -> Result<Self::Value, Self::ReadError> {
        let index = self.index_of(idx)?;
        let place = self.place_of(index);
        if place < self.read_segment_count() {
            self.use_index_of(place).await?;
        }
        Ok(self.log.all_segments()[place].read_record(index).await?)
    }
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
    /// The record at `idx`, in the segment with this number, without a search for the segment; a number past the read
    /// segments means the write segment. Behind the end of a read segment, where to go on.
    ///
    /// # Errors
    ///
    /// [`SegmentedLogError::IndexOutOfBounds`] outside the log; an error of the index where the segment
    /// begins behind `idx`; else as [`AsyncIndexedRead::read`].
    pub async fn read_seq(
        &self,
        segment_id: usize,
        idx: &Idx,
    ) -> Result<SeqRead<M, Idx, S::Content>, LogError<S, SERP, C>> {
        let index = self.index_of(idx)?;
        let place = segment_id.min(self.read_segment_count());
        self.read_at_place(place, index, *idx).await
    }

    /// As [`SegmentedLog::read_seq`]; the segment is index-cached then, and the cache may let another one go.
    ///
    /// # Errors
    ///
    /// As [`SegmentedLog::read_seq`].
    pub async fn read_seq_exclusive(
        &mut self,
        segment_id: usize,
        idx: &Idx,
    ) -> Result<SeqRead<M, Idx, S::Content>, LogError<S, SERP, C>> {
        let index = self.index_of(idx)?;
        let reads = self.read_segment_count();
        let place = segment_id.min(reads);
        if place < reads {
            self.use_index_of(place).await?;
        }
        self.read_at_place(place, index, *idx).await
    }

    async fn read_at_place(
        &self,
        place: usize,
        index: u64,
        idx: Idx,
    ) -> Result<SeqRead<M, Idx, S::Content>, LogError<S, SERP, C>> {
        let segment = &self.log.all_segments()[place];
        if index >= segment.end() {
            return Ok(SeqRead::Seek {
                next_segment: place + 1,
                next_idx: idx,
            });
        }
        let record = segment.read_record(index).await?;
        let next_idx = idx + Idx::one();
        Ok(SeqRead::Read { record, next_idx })
    }
}
