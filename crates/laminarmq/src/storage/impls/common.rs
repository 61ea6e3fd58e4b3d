//! Segments in a directory, over any storage that has a path.
//!
//! - Files are named as [`FileEnv`](crate::FileEnv) names them, so that a directory is a
//!   [`Log`](crate::Log)'s too where the storage writes plain files.
//! - An index is created before its store: a store makes a segment, and never stands without its index.

use std::fmt::{self, Display};
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use num_traits::{FromPrimitive, ToPrimitive};

use crate::env::{Part, names};
use crate::storage::commit_log::segmented_log::segment::{
    Replaced, SegmentStorage, SegmentStorageProvider,
};
use crate::storage::{Storage, Synced};

/// Bytes that are copied at a time where a store is replaced.
const COPY_BYTES: u64 = 256 << 10;

/// Opens storages by their path.
#[expect(async_fn_in_trait, reason = "Send follows from the concrete type")]
pub trait PathAddressedStorageProvider<S>
where
    S: Storage,
{
    /// The storage at `path`, created empty where there is none.
    ///
    /// # Errors
    ///
    /// Where the storage refuses.
    async fn obtain_storage(&self, path: impl AsRef<Path>) -> Result<S, S::Error>;
}

/// Provides segments in one directory. Clones have the same directory.
///
/// Nothing keeps two logs from having the same directory at the same time, which would destroy both;
/// [`Log::open`](crate::Log::open) does.
///
/// ```
/// use laminarmq::storage::commit_log::segmented_log::segment::SegmentStorageProvider;
/// use laminarmq::storage::impls::common::DiskBackedSegmentStorageProvider;
/// use laminarmq::storage::impls::file::{FileStorage, FileStorageProvider};
///
/// # let dir = tempfile::tempdir()?;
/// # futures_lite::future::block_on(async {
/// type Files = DiskBackedSegmentStorageProvider<FileStorage, FileStorageProvider, u32>;
/// let mut files = Files::new(dir.path().join("log"))?;
/// files.obtain(&7).await?;
/// assert!(dir.path().join("log/00000000000000000007.log").exists());
/// # Ok::<(), laminarmq::storage::impls::file::FileStorageError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DiskBackedSegmentStorageProvider<S, P, Idx> {
    dir: PathBuf,
    provider: P,
    types: PhantomData<fn() -> (S, Idx)>,
}

impl<S, P: Clone, Idx> Clone for DiskBackedSegmentStorageProvider<S, P, Idx> {
    fn clone(&self) -> Self {
        Self {
            dir: self.dir.clone(),
            provider: self.provider.clone(),
            types: PhantomData,
        }
    }
}

impl<S, P, Idx> fmt::Debug for DiskBackedSegmentStorageProvider<S, P, Idx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskBackedSegmentStorageProvider")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl<S, P, Idx> DiskBackedSegmentStorageProvider<S, P, Idx> {
    /// In a directory, which is created where it is missing.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn new(storage_directory_path: impl AsRef<Path>) -> io::Result<Self>
    where
        P: Default,
    {
        Self::with_storage_directory_path_and_provider(storage_directory_path, P::default())
    }

    /// The same, over storages of this provider.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn with_storage_directory_path_and_provider(
        storage_directory_path: impl AsRef<Path>,
        storage_provider: P,
    ) -> io::Result<Self> {
        let dir = storage_directory_path.as_ref().to_path_buf();
        names::create_dir_durably(&dir)?;
        Ok(Self {
            dir,
            provider: storage_provider,
            types: PhantomData,
        })
    }

    fn path(&self, base_index: u64, part: Part) -> PathBuf {
        self.dir.join(names::file_name(base_index, part))
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

/// An index as it stands in file names.
fn number<Idx: Display>(idx: &Idx) -> io::Result<u64> {
    let text = idx.to_string();
    text.parse().map_err(|_| {
        let what = format!("{text} cannot be the base index of a segment");
        io::Error::new(io::ErrorKind::InvalidInput, what)
    })
}

impl<S, P, Idx> SegmentStorageProvider<S, Idx> for DiskBackedSegmentStorageProvider<S, P, Idx>
where
    S: Storage,
    S::Error: From<io::Error>,
    P: PathAddressedStorageProvider<S>,
    Idx: Clone + Ord + FromStr + Display,
{
    async fn obtain_base_indices_of_stored_segments(&mut self) -> Result<Vec<Idx>, S::Error> {
        let mut bases = Vec::new();
        for base in names::bases_in(&self.dir)? {
            // What a crash left of a replacement that did not happen.
            names::remove_if_there(&names::new_store(&self.path(base, Part::Store)))?;
            let parsed = base.to_string().parse().map_err(|_| {
                let what = format!("segment {base:020} is behind the log's type of indices");
                io::Error::new(io::ErrorKind::InvalidData, what)
            })?;
            bases.push(parsed);
        }
        Ok(bases)
    }

    async fn obtain(&mut self, idx: &Idx) -> Result<SegmentStorage<S>, S::Error> {
        let base = number(idx)?;
        let index = self.path(base, Part::Index);
        let index = self.provider.obtain_storage(index).await?;
        let store = self.path(base, Part::Store);
        let store = self.provider.obtain_storage(store).await?;
        Ok(SegmentStorage { store, index })
    }

    async fn sync_names(&mut self) -> Result<(), S::Error> {
        Ok(self.sync_dir()?)
    }

    async fn replace(
        &mut self,
        idx: &Idx,
        storage: SegmentStorage<S>,
        length: S::Position,
    ) -> Result<Replaced<S>, S::Error> {
        let store = self.path(number(idx)?, Part::Store);
        let new = names::new_store(&store);
        names::remove_if_there(&new)?;
        let mut copy = self.provider.obtain_storage(&new).await?;
        copy_bytes(&storage.store, &mut copy, length).await?;
        match copy.sync().await? {
            Synced::Done => drop(copy),
            Synced::Unsupported => copy.close().await?,
        }
        // No index may promise more than the new store has, so it goes first.
        storage.index.remove().await?;
        self.sync_dir()?;
        drop(storage.store);
        std::fs::rename(&new, &store)?;
        let storage = self.obtain(idx).await?;
        self.sync_dir()?;
        Ok(Replaced::Done(storage))
    }

    async fn read_start(&mut self) -> Result<Option<Vec<u8>>, S::Error> {
        Ok(names::read_start(&self.dir)?)
    }

    async fn write_start(&mut self, bytes: &[u8]) -> Result<Synced, S::Error> {
        names::write_start(&self.dir, bytes)?;
        Ok(Synced::Done)
    }

    async fn remove_start(&mut self) -> Result<(), S::Error> {
        Ok(names::remove_start(&self.dir)?)
    }
}

/// Appends the first `length` bytes of one storage to another.
async fn copy_bytes<S>(from: &S, to: &mut S, length: S::Position) -> Result<(), S::Error>
where
    S: Storage,
    S::Error: From<io::Error>,
{
    let too_large = || io::Error::from(io::ErrorKind::FileTooLarge);
    let end = length.to_u64().ok_or_else(too_large)?;
    let mut at = 0;
    while at < end {
        let piece = (end - at).min(COPY_BYTES);
        let position = S::Position::from_u64(at).ok_or_else(too_large)?;
        let size = S::Position::from_u64(piece).ok_or_else(too_large)?;
        to.append_slice(&from.read(&position, &size).await?).await?;
        at += piece;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
