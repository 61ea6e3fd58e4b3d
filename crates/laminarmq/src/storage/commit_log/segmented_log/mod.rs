//! A segmented log over any storage, hasher, serialisation and cache.
//!
//! ```text
//! log.lowest_index()  == segments[0].lowest_index()
//! log.highest_index() == write segment's highest_index()            (exclusive)
//! segments[i + 1].lowest_index() == segments[i].highest_index()
//! ```
//!
//! This is a shell over the engine, [`Log`]: what is here converts types, puts metadata in front of values, and
//! decides when a segment is full and whose index is cached. A log over
//! [files](crate::storage::impls::file::FileStorage) with a CRC-32C hasher opens with
//! [`Log::open`](crate::Log::open), and one of `Log` opens here with metadata of type `()`.

mod append;
mod caching;
mod error;
pub(crate) mod files;
pub mod index;
mod maintain;
pub(crate) mod metadata;
mod open;
mod read;
pub mod segment;
pub mod store;
mod stream;

use std::fmt;
use std::hash::Hasher;

use num_traits::{FromPrimitive, ToPrimitive};
use serde::{Deserialize, Serialize};

pub use error::{LogError, SegmentedLogError};
pub use read::{ReadResult, SeqRead};

use self::files::ProviderEnv;
use self::segment::{Segment, SegmentStorageProvider};
use crate::log::Log;
use crate::storage::{Sizable, Storage};

/// Settings of a [`SegmentedLog`]. None of them reaches the storage: a log may be opened with others later.
///
/// ```
/// use laminarmq::storage::commit_log::segmented_log::{Config, segment};
///
/// let config = Config {
///     segment_config: segment::Config {
///         max_store_size: 256_u64 << 20,
///         max_store_overflow: 64 << 20,
///         max_index_size: 16 << 20,
///     },
///     num_index_cached_read_segments: Some(8),
///     initial_index: 0_u64,
/// };
/// # let _ = config;
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config<Idx, Size> {
    /// Read segments that are index-cached at most. `None`: all of them. `Some(0)`: none, only the write segment is.
    /// `Some(n)`: those that exclusive reads hit last, and those that were write segments last.
    pub num_index_cached_read_segments: Option<usize>,
    /// When a segment is full.
    pub segment_config: segment::Config<Size>,
    /// Index of the first record of a log that is created. A stored log must not begin below it.
    pub initial_index: Idx,
}

/// Metadata of a record, and the record's index once it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaWithIdx<M, Idx> {
    /// The user's metadata.
    pub metadata: M,
    /// Of a record to append, the index that it has to get, or `None` for whichever is next.
    pub index: Option<Idx>,
}

impl<M, Idx: Eq> MetaWithIdx<M, Idx> {
    /// With that index; `None` where it has another one already.
    ///
    /// ```
    /// use laminarmq::storage::commit_log::segmented_log::MetaWithIdx;
    ///
    /// let free = MetaWithIdx { metadata: "a", index: None };
    /// let anchored = free.anchored_with_index(7).expect("it had none");
    /// assert_eq!(anchored.index, Some(7));
    /// assert!(anchored.anchored_with_index(8).is_none());
    /// ```
    pub fn anchored_with_index(self, anchor_idx: Idx) -> Option<Self> {
        match &self.index {
            Some(index) if *index != anchor_idx => None,
            _ => Some(Self {
                metadata: self.metadata,
                index: Some(anchor_idx),
            }),
        }
    }
}

/// A record of a segmented log.
pub type Record<M, Idx, T> = super::Record<MetaWithIdx<M, Idx>, T>;

type Engine<S, M, H, Idx, Size, SERP, SSP> = Log<ProviderEnv<S, M, H, Idx, Size, SERP, SSP>>;

/// A log of segments over any storage.
///
/// `S` storage, `M` metadata of records, `H` checksum of values, `Idx` and `Size` unsigned integers, `SERP`
/// serialisation of metadata, `SSP` where segments come from, `C` which read segments stay index-cached.
///
/// What an append promises: when it returns, the bytes are with the storage, for files with the operating system;
/// they survive a power cut once [`SegmentedLog::flush`] or a rotation returned after it.
///
/// ```
/// use futures_lite::{future::block_on, stream};
/// use laminarmq::common::{cache::NoOpCache, serde_compat::bincode::BinCode};
/// use laminarmq::storage::commit_log::segmented_log::{Config, MetaWithIdx, Record, SegmentedLog, segment};
/// use laminarmq::storage::commit_log::CommitLog;
/// use laminarmq::storage::impls::in_mem::{segment::InMemSegmentStorageProvider, storage::InMemStorage};
/// use laminarmq::storage::AsyncIndexedRead;
/// use std::convert::Infallible;
/// use std::hash::DefaultHasher;
///
/// // The types are long to write once, and never again.
/// type InMemLog = SegmentedLog<
///     InMemStorage, (), DefaultHasher, u64, usize, BinCode,
///     InMemSegmentStorageProvider<u64>, NoOpCache<usize, ()>,
/// >;
///
/// let config = Config {
///     segment_config: segment::Config {
///         max_store_size: 1 << 20,
///         max_store_overflow: 1 << 19,
///         max_index_size: 1 << 20,
///     },
///     ..Config::default()
/// };
/// block_on(async {
///     let mut log = InMemLog::new(config, InMemSegmentStorageProvider::default()).await?;
///     let metadata = MetaWithIdx { metadata: (), index: None };
///     let value = stream::iter([Ok::<_, Infallible>(b"as it ".to_vec()), Ok(b"arrives".to_vec())]);
///     let index = log.append(Record { metadata, value }).await?;
///     assert_eq!(log.read(&index).await?.value, b"as it arrives");
/// #   Ok::<(), Box<dyn std::error::Error>>(())
/// })
/// # .unwrap();
/// ```
pub struct SegmentedLog<S, M, H, Idx, Size, SERP, SSP, C>
where
    S: Storage,
    H: Hasher + Default,
    Idx: FromPrimitive + ToPrimitive,
    SSP: SegmentStorageProvider<S, Idx>,
{
    log: Engine<S, M, H, Idx, Size, SERP, SSP>,
    /// Which read segments are index-cached, by their numbers; `None` where all are.
    cache: Option<C>,
    /// Segments that were removed from the front: what a segment's place has to be added to for its number, so that
    /// numbers never change.
    removed: usize,
}

impl<S, M, H, Idx, Size, SERP, SSP, C> fmt::Debug for SegmentedLog<S, M, H, Idx, Size, SERP, SSP, C>
where
    S: Storage,
    H: Hasher + Default,
    Idx: FromPrimitive + ToPrimitive,
    SSP: SegmentStorageProvider<S, Idx>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.log.fmt(f)
    }
}

impl<S, M, H, Idx, Size, SERP, SSP, C> SegmentedLog<S, M, H, Idx, Size, SERP, SSP, C>
where
    S: Storage,
    H: Hasher + Default,
    Idx: FromPrimitive + ToPrimitive,
    SSP: SegmentStorageProvider<S, Idx>,
{
    /// All segments: the read segments in order, then the write segment.
    pub fn segments(&self) -> impl Iterator<Item = &Segment<S, M, H, Idx, Size, SERP>> {
        self.log.all_segments().iter()
    }

    fn write_segment(&self) -> &Segment<S, M, H, Idx, Size, SERP> {
        let last = self.log.all_segments().back();
        last.expect("a log has at least one segment")
    }

    /// How many segments there are beside the write segment.
    fn read_segment_count(&self) -> usize {
        self.log.all_segments().len() - 1
    }

    fn aside(&self) -> &files::Aside<S::Error> {
        self.log.env().aside()
    }
}

impl<S, M, H, Idx, SERP, SSP, C> Sizable for SegmentedLog<S, M, H, Idx, S::Size, SERP, SSP, C>
where
    S: Storage,
    H: Hasher + Default,
    Idx: FromPrimitive + ToPrimitive,
    SSP: SegmentStorageProvider<S, Idx>,
{
    type Size = S::Size;

    fn size(&self) -> S::Size {
        self.segments().map(Sizable::size).sum()
    }
}
