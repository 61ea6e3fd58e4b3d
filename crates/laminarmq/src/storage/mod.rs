//! The generic face: a log over any storage, hasher, serialisation and cache.
//!
//! Whoever has no storage of their own wants [`Log`](crate::Log), which is the same engine with all of these
//! chosen: 64-bit indices, CRC-32C, files.
//!
//! All traits here have native `async` methods. Nothing asks for an executor: futures over memory and files are
//! ready at the first poll. Whether a future is `Send` follows from the concrete types.

pub mod commit_log;
pub mod impls;

use std::collections::VecDeque;
use std::error::Error;
use std::future::poll_fn;
use std::io::IoSlice;
use std::iter::Sum;
use std::ops::{Deref, Range};
use std::pin::Pin;

use futures_core::Stream;
use num_traits::{CheckedSub, FromPrimitive, ToPrimitive, Unsigned, Zero, zero};

use crate::common::split::SplitAt;
use crate::common::stream::StreamUnexpectedLength;

/// Values that are read by a dense, unsigned index.
#[expect(async_fn_in_trait, reason = "Send follows from the concrete type")]
pub trait AsyncIndexedRead {
    /// Why a value could not be read.
    type ReadError: Error;
    /// What stands at an index.
    type Value;
    /// The index.
    type Idx: Unsigned + CheckedSub + ToPrimitive + Ord + Copy;

    /// The value at `idx`.
    ///
    /// # Errors
    ///
    /// Where there is none, or it cannot be read.
    async fn read(&self, idx: &Self::Idx) -> Result<Self::Value, Self::ReadError>;

    /// One past the last index.
    fn highest_index(&self) -> Self::Idx;

    /// The first index.
    fn lowest_index(&self) -> Self::Idx;

    /// Whether `idx` is in `[lowest_index, highest_index)`.
    fn has_index(&self, idx: &Self::Idx) -> bool {
        *idx >= self.lowest_index() && *idx < self.highest_index()
    }

    /// How many values there are.
    fn len(&self) -> Self::Idx {
        self.highest_index()
            .checked_sub(&self.lowest_index())
            .unwrap_or_else(zero)
    }

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len().is_zero()
    }

    /// How far `idx` is behind the first index; `None` where [`AsyncIndexedRead::has_index`] does not hold.
    fn normalize_index(&self, idx: &Self::Idx) -> Option<Self::Idx> {
        if self.has_index(idx) {
            idx.checked_sub(&self.lowest_index())
        } else {
            None
        }
    }
}

/// Reads that may change what is cached.
#[expect(async_fn_in_trait, reason = "Send follows from the concrete type")]
pub trait AsyncIndexedExclusiveRead: AsyncIndexedRead {
    /// As [`AsyncIndexedRead::read`], and keeps what it had to look up for the next time.
    ///
    /// # Errors
    ///
    /// As [`AsyncIndexedRead::read`].
    async fn exclusive_read(&mut self, idx: &Self::Idx) -> Result<Self::Value, Self::ReadError>;
}

/// What can be cut at its end.
#[expect(async_fn_in_trait, reason = "Send follows from the concrete type")]
pub trait AsyncTruncate {
    /// Why it was not cut.
    type TruncError: Error;
    /// Where to cut.
    type Mark: Unsigned;

    /// Drops everything from `mark` on.
    ///
    /// # Errors
    ///
    /// Where `mark` is no place in it, or the storage refuses.
    async fn truncate(&mut self, mark: &Self::Mark) -> Result<(), Self::TruncError>;
}

/// What is given up by its owner.
#[expect(async_fn_in_trait, reason = "Send follows from the concrete type")]
pub trait AsyncConsume {
    /// Why that failed.
    type ConsumeError: Error;

    /// Deletes it with everything in it.
    ///
    /// # Errors
    ///
    /// Where the storage refuses.
    async fn remove(self) -> Result<(), Self::ConsumeError>;

    /// Makes it durable and gives back what it holds.
    ///
    /// # Errors
    ///
    /// Where the storage refuses.
    async fn close(self) -> Result<(), Self::ConsumeError>;
}

/// What has a size.
pub trait Sizable {
    /// Counts bytes.
    type Size: Unsigned + FromPrimitive + Sum + Ord;

    /// Bytes in it.
    fn size(&self) -> Self::Size;
}

/// Whether [`Storage::sync`] can do what it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a storage that does not know may not have done anything"]
pub enum Synced {
    /// Everything that was appended survives a power cut.
    Done,
    /// This storage has no way to say so other than [`AsyncConsume::close`].
    Unsupported,
}

/// A container of bytes that grows at its end: all that a log needs of a file.
///
/// Only the methods without a default have to be written. A storage that cannot [`sync`](Storage::sync) is closed
/// and obtained again where a log has to be durable.
///
/// ```
/// use laminarmq::common::stream::StreamUnexpectedLength;
/// use laminarmq::storage::{AsyncConsume, AsyncTruncate, Sizable, Storage};
///
/// /// Bytes in memory that are gone with their owner.
/// #[derive(Default)]
/// struct Fleeting(Vec<u8>);
///
/// #[derive(Debug, thiserror::Error)]
/// enum Error {
///     #[error("nothing is there")]
///     Outside,
///     #[error(transparent)]
///     Stream(#[from] StreamUnexpectedLength),
/// }
///
/// impl Sizable for Fleeting {
///     type Size = usize;
///     fn size(&self) -> usize {
///         self.0.len()
///     }
/// }
///
/// impl AsyncTruncate for Fleeting {
///     type TruncError = Error;
///     type Mark = usize;
///     async fn truncate(&mut self, mark: &usize) -> Result<(), Error> {
///         self.0.truncate(*mark);
///         Ok(())
///     }
/// }
///
/// impl AsyncConsume for Fleeting {
///     type ConsumeError = Error;
///     async fn remove(self) -> Result<(), Error> {
///         Ok(())
///     }
///     async fn close(self) -> Result<(), Error> {
///         Ok(())
///     }
/// }
///
/// impl Storage for Fleeting {
///     type Content = Vec<u8>;
///     type Position = usize;
///     type Error = Error;
///     async fn append_slice(&mut self, slice: &[u8]) -> Result<(usize, usize), Error> {
///         let start = self.0.len();
///         self.0.extend_from_slice(slice);
///         Ok((start, slice.len()))
///     }
///     async fn read(&self, position: &usize, size: &usize) -> Result<Vec<u8>, Error> {
///         let bytes = self.0.get(*position..position + size);
///         bytes.map(<[u8]>::to_vec).ok_or(Error::Outside)
///     }
/// }
///
/// # futures_lite::future::block_on(async {
/// let mut storage = Fleeting::default();
/// let mut pieces = futures_lite::stream::iter([Ok::<_, ()>(b"in ".to_vec()), Ok(b"pieces".to_vec())]);
/// assert_eq!(storage.append(&mut pieces, None).await?, (0, 9));
/// assert_eq!(storage.read(&3, &6).await?, b"pieces");
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[expect(async_fn_in_trait, reason = "Send follows from the concrete type")]
pub trait Storage:
    AsyncTruncate<Mark = Self::Position, TruncError = Self::Error>
    + AsyncConsume<ConsumeError = Self::Error>
    + Sizable<Size = Self::Position>
{
    /// Bytes that were read.
    type Content: Deref<Target = [u8]> + Unpin;
    /// A place in the storage, in bytes from its beginning.
    type Position: Unsigned + FromPrimitive + ToPrimitive + Sum + Ord + Copy;
    /// Why something failed.
    type Error: Error + From<StreamUnexpectedLength>;

    /// Whether the bytes are in this process's memory for as long as the storage lasts. Several pieces are then appended as
    /// cheaply as one, and a log writes its index only where it does not hold it itself.
    const IN_MEMORY: bool = false;

    /// Appends bytes; returns where they begin and how many they are.
    ///
    /// # Errors
    ///
    /// Where the storage refuses. A part of the bytes may have been written then.
    async fn append_slice(
        &mut self,
        slice: &[u8],
    ) -> Result<(Self::Position, Self::Size), Self::Error>;

    /// Appends all that a stream yields, at most `append_threshold` bytes of it; returns where that begins and
    /// how many bytes it is.
    ///
    /// # Errors
    ///
    /// [`StreamUnexpectedLength`] where the stream yields an error or more than `append_threshold`, else what the
    /// storage says. What had been appended is cut again.
    async fn append<XBuf, XE, X>(
        &mut self,
        buf_stream: &mut X,
        append_threshold: Option<Self::Size>,
    ) -> Result<(Self::Position, Self::Size), Self::Error>
    where
        XBuf: Deref<Target = [u8]>,
        X: Stream<Item = Result<XBuf, XE>> + Unpin,
    {
        let start = self.size();
        let mut written = zero::<Self::Size>();
        while let Some(item) =
            poll_fn(|context| Pin::new(&mut *buf_stream).poll_next(context)).await
        {
            let fits = |buf: &XBuf| match append_threshold {
                None => true,
                Some(threshold) => Self::Size::from_usize(buf.len())
                    .is_some_and(|length| written <= threshold && length <= threshold - written),
            };
            let appended = match item {
                Ok(buf) if fits(&buf) => self.append_slice(&buf).await,
                Ok(_) | Err(_) => Err(StreamUnexpectedLength.into()),
            };
            match appended {
                Ok((_, length)) => written = written + length,
                Err(error) => {
                    self.truncate(&start).await?;
                    return Err(error);
                }
            }
        }
        Ok((start, written))
    }

    /// `size` bytes from `position` on.
    ///
    /// # Errors
    ///
    /// Where the storage has not as many bytes there, or refuses.
    async fn read(
        &self,
        position: &Self::Position,
        size: &Self::Size,
    ) -> Result<Self::Content, Self::Error>;

    /// Of `size` bytes from `position`, the part that `part` picks once it has seen them, and what else it found; `None`
    /// where it picks none. A storage that has the bytes in memory can lend them, and copy the part alone.
    ///
    /// # Errors
    ///
    /// As [`Storage::read`].
    async fn read_part<T>(
        &self,
        position: &Self::Position,
        size: &Self::Size,
        part: impl FnOnce(&[u8]) -> Option<(Range<usize>, T)>,
    ) -> Result<Option<(Self::Content, T)>, Self::Error>
    where
        Self::Content: SplitAt<u8>,
    {
        let content = self.read(position, size).await?;
        let Some((range, found)) = part(&content) else {
            return Ok(None);
        };
        let whole = if range.end == content.len() {
            Some(content)
        } else {
            content.split_at(range.end).map(|(whole, _)| whole)
        };
        let content = whole.and_then(|whole| whole.tail(range.start));
        Ok(content.map(|content| (content, found)))
    }

    /// As [`Storage::read_part`], for as many parts of the same bytes as a storage that can lend them likes: `part` is asked
    /// until it picks none, and what it picked goes behind what is in `parts`. Others ask it once.
    ///
    /// # Errors
    ///
    /// As [`Storage::read`].
    async fn read_parts<T>(
        &self,
        position: &Self::Position,
        size: &Self::Size,
        part: impl FnMut(&[u8]) -> Option<(Range<usize>, T)>,
        parts: &mut VecDeque<(Self::Content, T)>,
    ) -> Result<(), Self::Error>
    where
        Self::Content: SplitAt<u8>,
    {
        parts.extend(self.read_part(position, size, part).await?);
        Ok(())
    }

    /// Appends several pieces, one after the other, with as few calls as the storage can.
    ///
    /// # Errors
    ///
    /// As [`Storage::append_slice`].
    async fn append_vectored(&mut self, pieces: &mut [IoSlice<'_>]) -> Result<(), Self::Error> {
        for piece in pieces {
            self.append_slice(piece).await?;
        }
        Ok(())
    }

    /// Bytes that [`Storage::append_now`] takes: 0 from a storage for which an append is a call, or may wait or fail.
    fn room_now(&self) -> u64 {
        0
    }

    /// Appends a header and what stands behind it: together at most [`Storage::room_now`] bytes, which is why it cannot fail,
    /// and has nothing to wait for. What was appended is as safe as by [`Storage::append_slice`].
    ///
    /// # Panics
    ///
    /// Where there is less room.
    fn append_now(&mut self, _header: &[u8], _value: &[u8]) {
        panic!("this storage has no room that takes bytes at once");
    }

    /// Returns once everything that was appended, and the length after a truncation, survives a power cut.
    ///
    /// # Errors
    ///
    /// Where the storage refuses. What was appended may be lost then; a second call must not be believed.
    async fn sync(&mut self) -> Result<Synced, Self::Error> {
        Ok(Synced::Unsupported)
    }

    /// Makes room up to `length` bytes, so that later appends and syncs are cheaper. What is asked for does not
    /// show in [`Sizable::size`].
    ///
    /// # Errors
    ///
    /// Where the storage refuses; it is as before then.
    async fn preallocate(&mut self, _length: Self::Position) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Bytes up to which there is nothing to preallocate: at least [`Sizable::size`].
    fn preallocated(&self) -> Self::Position {
        self.size()
    }

    /// Whether appends like the last ones become cheaper by preallocated room, whether something is synced or not.
    fn wants_room(&self) -> bool {
        false
    }

    /// Takes note that nothing will be appended for now, so that the storage may let go of what only an append
    /// needs.
    fn rest(&mut self) {}
}
