//! One segment of a log over any storage.
//!
//! A segment here is the engine's segment, over files that are somebody's [`Storage`](crate::storage::Storage): what
//! stands in this folder converts types and names errors, and does nothing to bytes of its own.

mod append;
mod config;
mod consume;
mod error;
mod open;
mod provider;
mod read;

pub(crate) use append::{collect, next, next_index};
pub use config::Config;
pub(crate) use config::Limits;
pub use error::{SegmentError, SegmentOpError};
pub use provider::{Replaced, SegmentStorage, SegmentStorageProvider};
pub(crate) use read::{Ahead, Chunks, record};

use super::files::StorageFile;

/// A store and its index, covering `[lowest_index, highest_index)`.
///
/// Those of a log are seen through [`SegmentedLog::segments`](super::SegmentedLog::segments):
///
/// ```
/// # use futures_lite::future::block_on;
/// use laminarmq::common::{cache::NoOpCache, serde_compat::bincode::BinCode};
/// use laminarmq::storage::{AsyncIndexedRead, Sizable};
/// use laminarmq::storage::commit_log::segmented_log::{Config, SegmentedLog, index, segment};
/// use laminarmq::storage::impls::in_mem::{segment::InMemSegmentStorageProvider, storage::InMemStorage};
///
/// type Log = SegmentedLog<
///     InMemStorage, (), laminarmq::Crc32cHasher, u32, usize, BinCode,
///     InMemSegmentStorageProvider<u32>, NoOpCache<usize, ()>,
/// >;
/// # block_on(async {
/// let segment_config = segment::Config { max_store_size: 1000, max_store_overflow: 0, max_index_size: 1000 };
/// let log = Log::new(Config { segment_config, ..Config::default() }, Default::default()).await?;
/// let segment = log.segments().next().expect("there always is a write segment");
/// assert!(segment.is_empty() && !segment.is_maxed());
/// assert_eq!(segment.size(), index::INDEX_BASE_MARKER_LENGTH);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub type Segment<S, M, H, Idx, Size, SERP> =
    crate::segment::Segment<StorageFile<S, M, H, Idx, Size, SERP>>;
