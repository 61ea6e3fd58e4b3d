//! Where segments come from.

use crate::storage::{Storage, Synced};

/// The two storages of a segment.
#[derive(Debug)]
pub struct SegmentStorage<S> {
    /// Records.
    pub store: S,
    /// Where they stand: derived from the store, and built again where it is lost.
    pub index: S,
}

/// Where segments come from. Clones address the same storage.
#[expect(async_fn_in_trait, reason = "Send follows from the concrete type")]
pub trait SegmentStorageProvider<S, Idx>
where
    S: Storage,
{
    /// Base indices of the segments that are stored, ascending.
    ///
    /// # Errors
    ///
    /// Where the storage refuses.
    async fn obtain_base_indices_of_stored_segments(&mut self) -> Result<Vec<Idx>, S::Error>;

    /// The storage of the segment with this base index, what is missing of it created empty.
    ///
    /// # Errors
    ///
    /// Where the storage refuses.
    async fn obtain(&mut self, idx: &Idx) -> Result<SegmentStorage<S>, S::Error>;

    /// Returns once the names of all storages that were created or removed so far survive a power cut. Has nothing to
    /// do where closing a storage sees to that.
    ///
    /// # Errors
    ///
    /// Where the storage refuses.
    async fn sync_names(&mut self) -> Result<(), S::Error> {
        Ok(())
    }

    /// Cuts the store of a segment to `length` bytes and empties its index, durably. Where the storage can, the old
    /// store is not touched but replaced by a new one, so that whoever else has it keeps it. At any time a power cut
    /// leaves the old store, with its index or without, or the new store without an index.
    ///
    /// `None` where this provider has no way of its own: both are then cut in place.
    ///
    /// # Errors
    ///
    /// Where the storage refuses. Nobody knows what is stored then.
    async fn replace(
        &mut self,
        _idx: &Idx,
        storage: SegmentStorage<S>,
        _length: S::Position,
    ) -> Result<Replaced<S>, S::Error> {
        Ok(Replaced::Unsupported(storage))
    }

    /// What [`SegmentStorageProvider::write_start`] stored, `None` where there is nothing.
    ///
    /// # Errors
    ///
    /// Where the storage refuses.
    async fn read_start(&mut self) -> Result<Option<Vec<u8>>, S::Error> {
        Ok(None)
    }

    /// Stores a few bytes beside the segments, replacing as a whole what was stored before. They are on the media
    /// when this returns, and their name is after the next [`SegmentStorageProvider::sync_names`].
    /// [`Synced::Unsupported`] from a provider that stores nothing beside segments.
    ///
    /// # Errors
    ///
    /// Where the storage refuses. What was stored before is still there then.
    async fn write_start(&mut self, _bytes: &[u8]) -> Result<Synced, S::Error> {
        Ok(Synced::Unsupported)
    }

    /// Removes what [`SegmentStorageProvider::write_start`] stored, if there is something.
    ///
    /// # Errors
    ///
    /// Where the storage refuses.
    async fn remove_start(&mut self) -> Result<(), S::Error> {
        Ok(())
    }
}

/// What became of a segment that was to be cut, see [`SegmentStorageProvider::replace`].
#[derive(Debug)]
pub enum Replaced<S> {
    /// It is durable: a store of the wanted length and an empty index.
    Done(SegmentStorage<S>),
    /// Nothing was done.
    Unsupported(SegmentStorage<S>),
}

impl<S, Idx, P> SegmentStorageProvider<S, Idx> for &mut P
where
    S: Storage,
    P: SegmentStorageProvider<S, Idx>,
{
    async fn obtain_base_indices_of_stored_segments(&mut self) -> Result<Vec<Idx>, S::Error> {
        (**self).obtain_base_indices_of_stored_segments().await
    }

    async fn obtain(&mut self, idx: &Idx) -> Result<SegmentStorage<S>, S::Error> {
        (**self).obtain(idx).await
    }

    async fn sync_names(&mut self) -> Result<(), S::Error> {
        (**self).sync_names().await
    }

    async fn replace(
        &mut self,
        idx: &Idx,
        storage: SegmentStorage<S>,
        length: S::Position,
    ) -> Result<Replaced<S>, S::Error> {
        (**self).replace(idx, storage, length).await
    }

    async fn read_start(&mut self) -> Result<Option<Vec<u8>>, S::Error> {
        (**self).read_start().await
    }

    async fn write_start(&mut self, bytes: &[u8]) -> Result<Synced, S::Error> {
        (**self).write_start(bytes).await
    }

    async fn remove_start(&mut self) -> Result<(), S::Error> {
        (**self).remove_start().await
    }
}
