//! What can be wrong with a segment, and how that follows from what the engine says.

use std::error::Error;
use std::fmt::{self, Display};

use crate::common::serde_compat::SerializationProvider;
use crate::common::stream::StreamUnexpectedLength;
use crate::error::{AppendError, ReadError};
use crate::storage::Storage;
use crate::storage::commit_log::segmented_log::files::Aside;
use crate::storage::commit_log::segmented_log::index::IndexError;
use crate::storage::commit_log::segmented_log::store::StoreError;

/// What can be wrong with a segment.
#[derive(Debug)]
pub enum SegmentError<StorageError, SerDeError> {
    /// The storage refused.
    StorageError(StorageError),
    /// The store refused, or what stands there is damaged.
    StoreError(StoreError<StorageError>),
    /// The index refused, or what stands there is damaged.
    IndexError(IndexError<StorageError>),
    /// A position does not fit into the storage's type.
    IncompatiblePositionType,
    /// Metadata could not be serialised, or what is stored is none.
    SerializationError(SerDeError),
    /// The record was written without metadata, which the log's type of metadata needs.
    RecordMetadataNotFound,
    /// The index in the metadata is not the next one.
    InvalidAppendIdx,
    /// The storage wrote something else than it was given.
    InvalidIndexRecordGenerated,
    /// The serialised metadata is longer than 4 GiB.
    UsizeU32Inconvertible,
    /// The segment is full, and so is every new one with this configuration.
    SegmentMaxed,
}

impl<SE: Display, SDE: Display> Display for SegmentError<SE, SDE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::StorageError(error) => return Display::fmt(error, f),
            Self::StoreError(error) => return Display::fmt(error, f),
            Self::IndexError(error) => return Display::fmt(error, f),
            Self::SerializationError(error) => {
                return write!(f, "the metadata of a record: {error}");
            }
            Self::IncompatiblePositionType => "a position is too large for the storage",
            Self::RecordMetadataNotFound => {
                "the record has no metadata; open the log with metadata of type `()`"
            }
            Self::InvalidAppendIdx => {
                "the index in the metadata is not the next one of the log; leave it out, or use highest_index"
            }
            Self::InvalidIndexRecordGenerated => {
                "the storage wrote something else than it was given"
            }
            Self::UsizeU32Inconvertible => "the serialised metadata is longer than 4 GiB",
            Self::SegmentMaxed => {
                "an empty segment is full already: raise max_store_size and max_index_size"
            }
        };
        f.write_str(text)
    }
}

impl<SE: Error, SDE: Error> Error for SegmentError<SE, SDE> {}

/// [`SegmentError`] of a storage and a serialisation.
pub type SegmentOpError<S, SERP> =
    SegmentError<<S as Storage>::Error, <SERP as SerializationProvider>::Error>;

impl<SE: From<StreamUnexpectedLength>, SDE> SegmentError<SE, SDE> {
    /// The stream of a value failed, or yielded more than the segment takes.
    pub(crate) fn unexpected_length() -> Self {
        Self::StoreError(StoreError::StorageError(StreamUnexpectedLength.into()))
    }

    /// What an append failed with; `None` where the log stopped.
    pub(crate) fn of_append(error: AppendError, aside: &Aside<SE>) -> Option<Self> {
        match error {
            AppendError::Poisoned(_) => None,
            AppendError::Io { source, .. } => Some(match aside.take() {
                Some(error) => Self::StoreError(StoreError::StorageError(error)),
                None => {
                    tracing::error!(error = %source, "an append did not fit the storage");
                    Self::IncompatiblePositionType
                }
            }),
            AppendError::TooLarge { .. } | AppendError::GivenUp => Some(Self::unexpected_length()),
            AppendError::Full { .. } => Some(Self::IndexError(IndexError::IncompatibleIdxType)),
            AppendError::KeyWentBack { .. } => {
                unreachable!("every record gets the key of the one before")
            }
        }
    }
}

impl<SE, SDE> SegmentError<SE, SDE> {
    /// What reading a record's index entry failed with.
    pub(crate) fn of_index(error: ReadError, aside: &Aside<SE>) -> Self {
        Self::IndexError(match error {
            ReadError::OutOfBounds(_) | ReadError::Truncated => IndexError::IndexOutOfBounds,
            ReadError::Io { source, .. } => match aside.take() {
                Some(error) => IndexError::StorageError(error),
                None => IndexError::IoError(source),
            },
            error @ (ReadError::Damaged(_) | ReadError::TooLarge { .. }) => {
                tracing::error!(%error, "an index entry cannot be read");
                let invalid = std::io::ErrorKind::InvalidData;
                IndexError::IoError(std::io::Error::new(invalid, error.to_string()))
            }
        })
    }

    /// What reading a record's bytes failed with.
    pub(crate) fn of_store(error: &ReadError, aside: &Aside<SE>) -> Self {
        let failure = match error {
            ReadError::Io { .. } => aside.take(),
            _ => None,
        };
        Self::StoreError(match failure {
            Some(error) => StoreError::StorageError(error),
            None => {
                tracing::error!(%error, "a record cannot be read");
                StoreError::RecordHeaderMismatch
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Damage;

    /// A failure that the engine got over, a block of the index that was not written for instance, is no reason of
    /// what is found damaged later; and of two failures the last one is the reason.
    #[test]
    fn an_old_failure_explains_nothing() {
        let aside = Aside::default();
        let damaged = || {
            ReadError::from(Damage {
                segment: 0,
                index: 0,
                position: 0,
                what: "damaged",
            })
        };
        let failed = |source| ReadError::Io {
            segment: 0,
            position: 0,
            source,
        };
        aside.put("old");
        let index = SegmentError::<_, ()>::of_index(damaged(), &aside);
        assert!(matches!(
            index,
            SegmentError::IndexError(IndexError::IoError(_))
        ));
        let store = SegmentError::<_, ()>::of_store(&damaged(), &aside);
        assert!(matches!(
            store,
            SegmentError::StoreError(StoreError::RecordHeaderMismatch)
        ));
        let source = aside.put("new");
        let store = SegmentError::<_, ()>::of_store(&failed(source), &aside);
        assert!(matches!(
            store,
            SegmentError::StoreError(StoreError::StorageError("new"))
        ));
    }
}
