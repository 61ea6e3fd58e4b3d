//! The store of a segment: the bytes of its records.

use std::error::Error;
use std::fmt::{self, Display};
use std::hash::Hasher;
use std::marker::PhantomData;

use num_traits::{FromPrimitive, ToPrimitive};

use super::index::IndexRecord;
use crate::checksum::ValueChecksum;
use crate::common::split::SplitAt;
use crate::format::CHUNK_HEADER_LENGTH;
use crate::segment::{Framing, parse_chunk};
use crate::storage::{Sizable, Storage};

/// What can be wrong with a store.
#[derive(Debug)]
pub enum StoreError<SE> {
    /// The storage refused, or the stream that was to be appended was not what it should be.
    StorageError(SE),
    /// A size does not fit into the storage's type.
    IncompatibleSizeType,
    /// The bytes are not those that were written: no header of this record, or not its checksum.
    RecordHeaderMismatch,
    /// Nothing is stored there.
    ReadOnEmptyStore,
}

impl<SE: Display> Display for StoreError<SE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::StorageError(error) => return Display::fmt(error, f),
            Self::IncompatibleSizeType => "a size is too large for the storage",
            Self::RecordHeaderMismatch => {
                "the record is not what was written: restore the segment from a copy"
            }
            Self::ReadOnEmptyStore => "the store is empty",
        };
        f.write_str(text)
    }
}

impl<SE: Error> Error for StoreError<SE> {}

/// A store by itself, to be read with an index beside it.
///
/// A log has no use for it; it is for tools that look into a storage.
#[derive(Debug)]
pub struct Store<S, H> {
    storage: S,
    base: u64,
    hasher: PhantomData<fn() -> H>,
}

impl<S, H> Store<S, H>
where
    S: Storage,
    S::Content: SplitAt<u8>,
    H: Hasher + Default,
{
    /// The store of the segment with this base index.
    pub fn new(storage: S, base_index: u64) -> Self {
        let hasher = PhantomData;
        Self {
            storage,
            base: base_index,
            hasher,
        }
    }

    /// The bytes of the record with this index, which is one chunk, at the place that its index entry says: the
    /// value, with the serialised metadata in front.
    ///
    /// # Errors
    ///
    /// [`StoreError::RecordHeaderMismatch`] where the bytes are not those of that record.
    pub async fn read(
        &self,
        index: u64,
        place: &IndexRecord,
    ) -> Result<S::Content, StoreError<S::Error>> {
        if self.storage.size().to_u64() == Some(0) {
            return Err(StoreError::ReadOnEmptyStore);
        }
        let length = place.length.checked_add(CHUNK_HEADER_LENGTH as u64);
        let size = length.and_then(S::Position::from_u64);
        let at = S::Position::from_u64(place.position);
        let (Some(at), Some(size)) = (at, size) else {
            return Err(StoreError::IncompatibleSizeType);
        };
        let content = self.storage.read(&at, &size).await;
        let content = content.map_err(StoreError::StorageError)?;
        let framing = Framing::new(self.base, ValueChecksum::of_hasher::<H>());
        let mismatch = StoreError::RecordHeaderMismatch;
        match parse_chunk(&content, 0, index, true, None, framing) {
            Ok((head, _, value)) if head.is_last() => content.tail(value.start).ok_or(mismatch),
            Ok(_) | Err(_) => Err(mismatch),
        }
    }

    /// The storage.
    pub fn into_storage(self) -> S {
        self.storage
    }
}

impl<S: Storage, H> Sizable for Store<S, H> {
    type Size = S::Size;

    fn size(&self) -> S::Size {
        self.storage.size()
    }
}
