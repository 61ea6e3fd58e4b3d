//! Where a log keeps its bytes and takes the time from.
//!
//! Two traits, the second on top of the first:
//!
//! - [`SegmentEnv`] is all that the engine needs: per segment a store file and an index file, which grow at
//!   the end, are read by position, cut, and synced. It is small enough to be built over somebody
//!   else's asynchronous storage.
//! - [`LogEnv`] adds handles that work beside the log's owner: readers and syncs on other threads.
//!
//! Contract of every implementation, checked by the conformance tests:
//!
//! - What `append` returned `Ok` for is visible to `read_at` at once, through every handle.
//! - `append` that fails may leave some of its bytes behind; the caller cuts them.
//! - Nothing is promised to survive a power cut before the matching sync has returned `Ok`: neither
//!   bytes, nor a new length, nor the name of a new file, nor that a removed name stays gone.
//! - Futures of [`FileEnv`] and [`MemEnv`] are ready at the first poll, see [`poll_ready`].

mod file;
mod mem;

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::checksum::ValueChecksum;

#[cfg(target_os = "linux")]
pub(crate) use file::Mapped;
pub(crate) use file::names::{self, bases_in, file_name};
pub use file::{Calls, DirEnv, Direct, FileEnv, LocalFile, LocalReader, LocalSync, OpenFiles};
#[cfg(all(feature = "io_uring", target_os = "linux"))]
pub use file::{Uring, UringEnv};
pub(crate) use file::{system_about_now_ms, system_now_ms};
pub use mem::{CrashPoint, MemEnv, MemFile, MemReader, MemSync};

/// Which file of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Records: the data.
    Store,
    /// Positions of the records: can be rebuilt from the store.
    Index,
}

/// The two files of a segment.
#[derive(Debug)]
pub struct SegmentFiles<F> {
    /// Records.
    pub store: F,
    /// Their positions.
    pub index: F,
}

impl<F> SegmentFiles<F> {
    /// The named one of the two.
    pub fn part(&self, part: Part) -> &F {
        match part {
            Part::Store => &self.store,
            Part::Index => &self.index,
        }
    }

    /// The named one of the two, to change it.
    pub fn part_mut(&mut self, part: Part) -> &mut F {
        match part {
            Part::Store => &mut self.store,
            Part::Index => &mut self.index,
        }
    }
}

/// A file that grows at its end and can be cut.
#[expect(
    async_fn_in_trait,
    reason = "Send follows from the concrete type; the engine spawns nothing"
)]
pub trait LogFile {
    /// A handle that reads this file beside its owner, see [`LogEnv`]. `()` where the storage has none.
    type Reader: Clone + Send + Sync + 'static;

    /// Whether the bytes are in this process's memory for as long as the file lasts: several pieces are appended as
    /// cheaply as one then, and writing the index early frees no memory.
    const IN_MEMORY: bool = false;

    /// Length in bytes. Where [`LogFile::reserve`] made the file longer than what was written to it, that
    /// does not count.
    fn len(&self) -> u64;

    /// Whether nothing has been written.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes all pieces at the end, in one call where the storage can. After an error the length is
    /// between the old one and the aimed one; [`LogFile::truncate`] restores it.
    async fn append(&mut self, pieces: &mut [IoSlice<'_>]) -> io::Result<()>;

    /// Appends a header and a value behind it, as [`LogFile::append`] does.
    async fn append_beside(&mut self, header: &[u8], value: &[u8]) -> io::Result<()> {
        let pieces = &mut [IoSlice::new(header), IoSlice::new(value)];
        self.append(pieces).await
    }

    /// Bytes that [`LogFile::append_now`] takes: 0 where an append is a call, or may wait or fail.
    fn room_now(&self) -> u64 {
        0
    }

    /// Appends a header and what stands behind it, together at most [`LogFile::room_now`] bytes, as [`LogFile::append`]
    /// does; panics where there is less room.
    fn append_now(&mut self, _header: &[u8], _value: &[u8]) {
        panic!("this file has no room that takes bytes at once");
    }

    /// Exactly `length` bytes from `position`; `UnexpectedEof` where the file is shorter.
    async fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes>;

    /// Cuts to `length`, which is at most [`LogFile::len`], and gives back what was reserved.
    async fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// A handle that reads this file beside its owner.
    fn reader(&self) -> Self::Reader;

    /// Makes room for the file to grow up to `length` bytes, by zeros that are written now, so that
    /// later appends overwrite them and a sync need not make the file longer. Nobody reads behind
    /// [`LogFile::len`], where they stand; after a crash the file ends in them. After an error the file is
    /// as it was. Does nothing where the storage gains nothing by it.
    async fn reserve(&mut self, _length: u64) -> io::Result<()> {
        Ok(())
    }

    /// Bytes up to which nothing has to be reserved: at least [`LogFile::len`].
    fn reserved(&self) -> u64 {
        self.len()
    }

    /// Whether appends like the last ones become cheaper by reserved room, whether something is synced or not.
    fn wants_room(&self) -> bool {
        false
    }

    /// Takes note that nothing will be appended for now: once everything is synced, the storage may close
    /// the file until it is read again.
    fn rest(&mut self) {}
}

/// Segments and a clock: what the engine needs.
#[expect(
    async_fn_in_trait,
    reason = "Send follows from the concrete type; the engine spawns nothing"
)]
pub trait SegmentEnv {
    /// A store or an index.
    type File: LogFile;

    /// Base indices of all stored segments (those with a store), ascending.
    async fn list(&mut self) -> io::Result<Vec<u64>>;

    /// Opens a segment's files and creates, empty, what is missing.
    async fn open(&mut self, base_index: u64) -> io::Result<SegmentFiles<Self::File>>;

    /// Removes a segment's files: the store first, since only a store makes a segment.
    async fn remove(&mut self, base_index: u64, files: SegmentFiles<Self::File>) -> io::Result<()>;

    /// Cuts a sealed segment's store to `length` and empties its index, durably. Where the storage can, the
    /// old files are not touched but replaced by new ones, so that whoever else has them keeps them.
    /// At any time a power cut leaves the old store, with its index or without, or the new store
    /// without an index. After an error nobody knows which, and `files` may still be the old ones.
    async fn replace(
        &mut self,
        base_index: u64,
        files: &mut SegmentFiles<Self::File>,
        length: u64,
    ) -> io::Result<()> {
        cut_in_place(self, base_index, files, length).await
    }

    /// Returns once the content and length of that file are on the media.
    async fn sync(
        &mut self,
        base_index: u64,
        files: &mut SegmentFiles<Self::File>,
        part: Part,
    ) -> io::Result<()>;

    /// Returns once all names that were added and removed so far are on the media.
    async fn sync_names(&mut self) -> io::Result<()>;

    /// The content of the start file, `None` where there is none. A storage that cannot keep one has none.
    async fn read_start(&mut self) -> io::Result<Option<Bytes>> {
        Ok(None)
    }

    /// Replaces the start file as a whole. Its bytes are on the media when this returns, its name is after
    /// the next [`SegmentEnv::sync_names`]: a power cut before that leaves the old file or the new one.
    /// After an error the old one is there. `Unsupported` from a storage that cannot do it.
    async fn write_start(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes the start file, if there is one. Its name is gone for good after the next
    /// [`SegmentEnv::sync_names`].
    async fn remove_start(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Takes a segment's files back. Everything in them was synced.
    async fn close(&mut self, _base_index: u64, files: SegmentFiles<Self::File>) -> io::Result<()> {
        drop(files);
        Ok(())
    }

    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;

    /// The checksum of values. A stored log that has another one is not opened.
    fn value_checksum(&self) -> ValueChecksum {
        ValueChecksum::CRC32C
    }
}

/// [`SegmentEnv::replace`] for a storage that can only cut: the index first, since none may promise more than the store
/// has.
pub(crate) async fn cut_in_place<E: SegmentEnv + ?Sized>(
    env: &mut E,
    base_index: u64,
    files: &mut SegmentFiles<E::File>,
    length: u64,
) -> io::Result<()> {
    files.index.truncate(0).await?;
    env.sync(base_index, files, Part::Index).await?;
    files.store.truncate(length).await?;
    env.sync(base_index, files, Part::Store).await
}

/// An environment whose files can be read and synced beside the log's owner, on any thread.
pub trait LogEnv: SegmentEnv<File: LogFile<Reader: ReadAt>> {
    /// Syncs a file or the directory beside its writer.
    type Sync: SyncNow + Send + 'static;

    /// A handle that syncs `file`.
    fn sync_handle(&self, file: &Self::File) -> Self::Sync;

    /// A handle that syncs the names of files.
    fn names_sync_handle(&self) -> Self::Sync;
}

/// The handle that reads an environment's files beside their owner.
pub(crate) type ReaderOf<E> = <<E as SegmentEnv>::File as LogFile>::Reader;

/// Reads by position, blocking.
pub trait ReadAt {
    /// Exactly `length` bytes from `position`; `UnexpectedEof` where the file is shorter.
    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes>;

    /// Makes sure that this handle reads on after the file was removed or replaced.
    fn hold(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One sync, blocking.
pub trait SyncNow {
    /// Returns once everything written before the handle was made is on the media.
    fn sync(&self) -> io::Result<()>;
}

/// Takes the result of a future that never waits, as those of a log on [`FileEnv`] or [`MemEnv`].
///
/// # Panics
///
/// When the future is not ready at the first poll: the storage is one that waits, and calling it like
/// this is a bug.
// Handing a future to a function means copying it; inlined, it is built where it is polled.
#[inline(always)]
pub fn poll_ready<F: Future>(future: F) -> F::Output {
    let future = pin!(future);
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a future that must be ready at the first poll was pending"),
    }
}
