//! The index of a segment: one entry of fixed width per record.

use std::error::Error;
use std::fmt::{self, Debug, Display};
use std::io;
use std::marker::PhantomData;

use num_traits::{CheckedSub, FromPrimitive, ToPrimitive, Unsigned};

use crate::format::{
    FOOTER_LENGTH, Footer, INDEX_ENTRY_LENGTH, INDEX_HEADER_LENGTH, IndexEntry, IndexHeader,
};
use crate::storage::{AsyncIndexedRead, Sizable, Storage};

/// Bytes in front of the first entry of an index.
pub const INDEX_BASE_MARKER_LENGTH: usize = INDEX_HEADER_LENGTH;

/// Bytes of an entry.
pub const INDEX_RECORD_LENGTH: usize = INDEX_ENTRY_LENGTH;

/// Where a record stands in its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexRecord {
    /// Where its first chunk begins, in bytes.
    pub position: u64,
    /// Bytes of the value with the serialised metadata in front, without headers.
    pub length: u64,
    /// That of those bytes; of a record in several chunks, the CRC-32C of their checksums.
    pub checksum: u64,
}

impl From<&IndexEntry> for IndexRecord {
    fn from(entry: &IndexEntry) -> Self {
        Self {
            position: entry.position,
            length: entry.length,
            checksum: entry.checksum,
        }
    }
}

/// What can be wrong with an index.
#[derive(Debug)]
pub enum IndexError<StorageError> {
    /// The storage refused.
    StorageError(StorageError),
    /// What was read is not an entry.
    IoError(io::Error),
    /// A position does not fit into the storage's type.
    IncompatiblePositionType,
    /// A size does not fit into the storage's type.
    IncompatibleSizeType,
    /// An index does not fit into the log's type.
    IncompatibleIdxType,
    /// There is no record with that index.
    IndexOutOfBounds,
    /// An index follows that is not the next one.
    IndexGapEncountered,
    /// The index has no base index: it was never begun.
    NoBaseIndexFound,
    /// The base index is another one.
    BaseIndexMismatch,
    /// The index ends in the middle of an entry.
    InconsistentIndexSize,
}

impl<SE: Display> Display for IndexError<SE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::StorageError(error) => return Display::fmt(error, f),
            Self::IoError(error) => return Display::fmt(error, f),
            Self::IncompatiblePositionType => {
                "a position in the index is too large for the storage"
            }
            Self::IncompatibleSizeType => "a size in the index is too large for the storage",
            Self::IncompatibleIdxType => "an index is too large for the log's type of indices",
            Self::IndexOutOfBounds => "there is no record with this index in the segment",
            Self::IndexGapEncountered => "the index does not go on with the next record",
            Self::NoBaseIndexFound => "the index was never begun",
            Self::BaseIndexMismatch => "the index is that of another segment",
            Self::InconsistentIndexSize => "the index ends in the middle of an entry",
        };
        f.write_str(text)
    }
}

impl<SE: Error> Error for IndexError<SE> {}

/// An index by itself, to be read: entries are verified as they are read, none is held.
///
/// A log has no use for it; it is for tools that look into a storage.
#[derive(Debug)]
pub struct Index<S, Idx> {
    storage: S,
    base: u64,
    count: u64,
    idx: PhantomData<fn() -> Idx>,
}

impl<S, Idx> Index<S, Idx>
where
    S: Storage,
    Idx: FromPrimitive + ToPrimitive,
{
    /// Opens an index.
    ///
    /// # Errors
    ///
    /// [`IndexError::NoBaseIndexFound`] where it has no header, [`IndexError::BaseIndexMismatch`] where
    /// `base_index` is given and is not its own, and what the storage says.
    pub async fn open(storage: S, base_index: Option<&Idx>) -> Result<Self, IndexError<S::Error>> {
        let size = storage.size().to_u64();
        let size = size.ok_or(IndexError::IncompatibleSizeType)?;
        let entries = size.checked_sub(INDEX_HEADER_LENGTH as u64);
        let entries = entries.ok_or(IndexError::NoBaseIndexFound)?;
        let header = read(&storage, 0, INDEX_HEADER_LENGTH).await?;
        let header = IndexHeader::decode(&header).ok_or(IndexError::NoBaseIndexFound)?;
        if base_index.is_some_and(|base| base.to_u64() != Some(header.base_index)) {
            return Err(IndexError::BaseIndexMismatch);
        }
        let base = header.base_index;
        let count = match footer(&storage, size).await? {
            Some(footer) => footer.count,
            None if entries.is_multiple_of(INDEX_ENTRY_LENGTH as u64) => {
                entries / INDEX_ENTRY_LENGTH as u64
            }
            None => return Err(IndexError::InconsistentIndexSize),
        };
        Ok(Self {
            storage,
            base,
            count,
            idx: PhantomData,
        })
    }

    /// The storage.
    pub fn into_storage(self) -> S {
        self.storage
    }
}

/// What ends the index of a segment that is complete.
async fn footer<S: Storage>(
    storage: &S,
    size: u64,
) -> Result<Option<Footer>, IndexError<S::Error>> {
    let at = size.checked_sub(FOOTER_LENGTH as u64);
    let Some(at) = at.filter(|at| *at >= INDEX_HEADER_LENGTH as u64) else {
        return Ok(None);
    };
    let bytes = read(storage, at, FOOTER_LENGTH).await?;
    Ok(Footer::decode(&bytes))
}

async fn read<S: Storage>(
    storage: &S,
    position: u64,
    length: usize,
) -> Result<S::Content, IndexError<S::Error>> {
    let at = S::Position::from_u64(position).ok_or(IndexError::IncompatiblePositionType)?;
    let size = S::Position::from_usize(length).ok_or(IndexError::IncompatibleSizeType)?;
    let content = storage.read(&at, &size).await;
    content.map_err(IndexError::StorageError)
}

impl<S, Idx> AsyncIndexedRead for Index<S, Idx>
where
    S: Storage,
    Idx: Unsigned + CheckedSub + FromPrimitive + ToPrimitive + Ord + Copy,
{
    type ReadError = IndexError<S::Error>;
    type Value = IndexRecord;
    type Idx = Idx;

    async fn read(&self, idx: &Idx) -> Result<IndexRecord, Self::ReadError> {
        let index = idx.to_u64().ok_or(IndexError::IncompatibleIdxType)?;
        let number = index.checked_sub(self.base);
        let number = number.filter(|number| *number < self.count);
        let number = number.ok_or(IndexError::IndexOutOfBounds)?;
        let at = INDEX_HEADER_LENGTH as u64 + number * INDEX_ENTRY_LENGTH as u64;
        let bytes = read(&self.storage, at, INDEX_ENTRY_LENGTH).await?;
        let entry = IndexEntry::decode(&bytes, index);
        let damaged = || IndexError::IoError(io::ErrorKind::InvalidData.into());
        entry.as_ref().map(IndexRecord::from).ok_or_else(damaged)
    }

    fn highest_index(&self) -> Idx {
        Idx::from_u64(self.base + self.count).unwrap_or_else(Idx::zero)
    }

    fn lowest_index(&self) -> Idx {
        Idx::from_u64(self.base).unwrap_or_else(Idx::zero)
    }
}

impl<S: Storage, Idx> Sizable for Index<S, Idx> {
    type Size = S::Size;

    fn size(&self) -> S::Size {
        self.storage.size()
    }
}
