//! What can be wrong with a log, and how that follows from what the engine says.

use std::error::Error;
use std::fmt::{self, Debug, Display};

use super::files::Aside;
use super::index::IndexError;
use super::segment::SegmentError;
use crate::common::cache::Cache;
use crate::common::serde_compat::SerializationProvider;
use crate::common::stream::StreamUnexpectedLength;
use crate::error::{AppendError, OpenError, SyncError, TruncateError};
use crate::storage::Storage;

/// What can be wrong with a log: `SE` is the storage's error, `SDE` the serialisation's, `CE` the cache's.
#[derive(Debug)]
pub enum SegmentedLogError<SE, SDE, CE> {
    /// The storage refused.
    StorageError(SE),
    /// A segment refused.
    SegmentError(SegmentError<SE, SDE>),
    /// The cache refused. [`NoOpCache`](crate::common::cache::NoOpCache) refuses everything: use it only where all
    /// read segments are to be index-cached.
    CacheError(CE),
    /// Never returned: where the configuration needs a cache, there is one by construction.
    CacheNotFound,
    /// The stored log begins below `initial_index`.
    BaseIndexLesserThanInitialIndex,
    /// The log stopped: a flush or a repair failed, so that nobody knows what is stored. Close it, look at the
    /// storage, and open the log again.
    WriteSegmentLost,
    /// There is no record with that index.
    IndexOutOfBounds,
    /// A segment between two others is missing.
    IndexGapEncountered,
    /// What is stored cannot be opened: it is damaged below what had been made durable, or of another format.
    Unreadable(OpenError),
}

/// [`SegmentedLogError`] of a storage, a serialisation and a cache.
pub type LogError<S, SERP, C> = SegmentedLogError<
    <S as Storage>::Error,
    <SERP as SerializationProvider>::Error,
    <C as Cache<usize, ()>>::Error,
>;

impl<SE: Display, SDE: Display, CE: Debug> Display for SegmentedLogError<SE, SDE, CE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::StorageError(error) => return Display::fmt(error, f),
            Self::SegmentError(error) => return Display::fmt(error, f),
            Self::CacheError(error) => return write!(f, "the cache of indices: {error:?}"),
            Self::Unreadable(error) => return Display::fmt(error, f),
            Self::CacheNotFound => "there is no cache of indices",
            Self::BaseIndexLesserThanInitialIndex => {
                "the stored log begins below initial_index; lower initial_index"
            }
            Self::WriteSegmentLost => {
                "the log stopped after a failure; close it, look at the storage, and open it again"
            }
            Self::IndexOutOfBounds => "there is no record with this index in the log",
            Self::IndexGapEncountered => {
                "a segment between two others is missing; restore it from a copy"
            }
        };
        f.write_str(text)
    }
}

impl<SE: Error, SDE: Error, CE: Debug> Error for SegmentedLogError<SE, SDE, CE> {}

impl<SE, SDE, CE> From<SegmentError<SE, SDE>> for SegmentedLogError<SE, SDE, CE> {
    fn from(error: SegmentError<SE, SDE>) -> Self {
        Self::SegmentError(error)
    }
}

impl<SE, SDE, CE> SegmentedLogError<SE, SDE, CE> {
    pub(super) fn of_open(error: OpenError, aside: &Aside<SE>) -> Self {
        match error {
            OpenError::BelowInitialIndex { .. } => Self::BaseIndexLesserThanInitialIndex,
            OpenError::SegmentMissing { .. } => Self::IndexGapEncountered,
            OpenError::Io { .. } => match aside.take() {
                Some(failure) => Self::StorageError(failure),
                None => Self::Unreadable(error),
            },
            error => Self::Unreadable(error),
        }
    }

    pub(super) fn of_sync(error: &SyncError, aside: &Aside<SE>) -> Self {
        match error {
            SyncError::Io { .. } => Self::of_storage(error, aside),
            SyncError::Poisoned(_) => Self::WriteSegmentLost,
        }
    }

    pub(super) fn of_truncate(error: TruncateError, aside: &Aside<SE>) -> Self {
        match error {
            TruncateError::OutOfBounds(_) => Self::IndexOutOfBounds,
            TruncateError::Read(error) => Self::SegmentError(SegmentError::of_index(error, aside)),
            TruncateError::StartFile { .. } | TruncateError::Io { .. } => {
                Self::of_storage(&error, aside)
            }
            TruncateError::Poisoned(_) => Self::WriteSegmentLost,
        }
    }

    /// What something failed with for the storage's sake. Nothing had failed before.
    pub(super) fn of_storage(error: &dyn Display, aside: &Aside<SE>) -> Self {
        match aside.take() {
            Some(error) => Self::StorageError(error),
            None => {
                tracing::error!(%error, "something did not fit the storage");
                Self::WriteSegmentLost
            }
        }
    }

    /// An index that the log's type of indices cannot hold.
    pub(super) fn index_type() -> Self {
        Self::SegmentError(SegmentError::IndexError(IndexError::IncompatibleIdxType))
    }
}

impl<SE: From<StreamUnexpectedLength>, SDE, CE> SegmentedLogError<SE, SDE, CE> {
    pub(super) fn of_append(error: AppendError, aside: &Aside<SE>) -> Self {
        // A log that stops says so from the next call on; this one says why.
        match SegmentError::of_append(error, aside) {
            Some(error) => Self::SegmentError(error),
            None => match aside.take() {
                Some(error) => Self::StorageError(error),
                None => Self::WriteSegmentLost,
            },
        }
    }
}
