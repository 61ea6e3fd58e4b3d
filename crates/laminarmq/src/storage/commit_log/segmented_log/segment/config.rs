//! When a segment is full.

use num_traits::ToPrimitive;
use serde::{Deserialize, Serialize};

/// When a segment is full. What counts are logical bytes: for each record the value, the serialised metadata with its
/// index, and the metadata's length as four bytes; no headers, no padding, nothing that is preallocated.
///
/// ```
/// use laminarmq::storage::commit_log::segmented_log::index::{
///     INDEX_BASE_MARKER_LENGTH, INDEX_RECORD_LENGTH,
/// };
/// use laminarmq::storage::commit_log::segmented_log::segment::Config;
///
/// // 1 MiB or 10 000 records a segment, and no record takes one beyond 2 MiB.
/// let config = Config {
///     max_store_size: 1_u64 << 20,
///     max_store_overflow: 1 << 20,
///     max_index_size: (INDEX_BASE_MARKER_LENGTH + 10_000 * INDEX_RECORD_LENGTH) as u64,
/// };
/// # let _ = config;
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config<Size> {
    /// A segment whose store has so many bytes takes no more records.
    pub max_store_size: Size,
    /// By how much the last record may exceed that.
    pub max_store_overflow: Size,
    /// A segment whose index has so many bytes takes no more records.
    pub max_index_size: Size,
}

/// A [`Config`] as the engine counts, and what is counted for a record beside what is stored for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) store: u64,
    pub(crate) overflow: u64,
    pub(crate) index: u64,
    /// Bytes of the index in a record's metadata, and of the metadata's length where that is not stored.
    pub(crate) per_record: u64,
}

impl Limits {
    pub(crate) fn new<Size: ToPrimitive>(config: &Config<Size>, per_record: u64) -> Self {
        let bytes = |size: &Size| size.to_u64().unwrap_or(u64::MAX);
        Self {
            store: bytes(&config.max_store_size),
            overflow: bytes(&config.max_store_overflow),
            index: bytes(&config.max_index_size),
            per_record,
        }
    }
}
