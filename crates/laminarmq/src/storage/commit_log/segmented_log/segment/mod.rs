//! One segment of a log over any storage.
//!
//! A segment here is the engine's segment, over files that are somebody's [`Storage`](crate::storage::Storage): what
//! stands in this folder converts types and names errors, and does nothing to bytes of its own.

mod append;
mod config;
mod consume;
mod error;
mod provider;
mod read;

pub(crate) use append::{collect, next, next_index};
pub use config::Config;
pub(crate) use config::Limits;
pub use error::{SegmentError, SegmentOpError};
pub use provider::{Replaced, SegmentStorage, SegmentStorageProvider};
pub(crate) use read::{Chunks, record};

use super::files::StorageFile;

/// A store and its index, covering `[lowest_index, highest_index)`.
///
/// Those of a log are seen through [`SegmentedLog::segments`](super::SegmentedLog::segments).
pub type Segment<S, M, H, Idx, Size, SERP> =
    crate::segment::Segment<StorageFile<S, M, H, Idx, Size, SERP>>;
