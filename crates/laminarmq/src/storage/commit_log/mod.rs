//! Logs of records.

pub mod segmented_log;

use std::ops::Deref;
use std::time::Duration;

use futures_core::Stream;
use num_traits::zero;

use super::{AsyncConsume, AsyncIndexedRead, AsyncTruncate, Sizable};

/// A value and what is said about it.
///
/// ```
/// let record = laminarmq::storage::commit_log::Record { metadata: "text/plain", value: b"hello" };
/// assert_eq!(record.metadata, "text/plain");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<M, T> {
    /// Serialised when it is stored.
    pub metadata: M,
    /// Written and read as it is.
    pub value: T,
}

/// An append-only log of records.
///
/// ```
/// use laminarmq::storage::commit_log::{CommitLog, Record};
///
/// /// Appends lines, whatever log it is.
/// async fn append_lines<M: Default, T, L: CommitLog<M, T>>(log: &mut L, text: &str) -> Result<(), L::Error> {
///     for line in text.lines() {
///         let value = futures_lite::stream::iter([Ok::<_, ()>(line.as_bytes())]);
///         log.append(Record { metadata: M::default(), value }).await?;
///     }
///     Ok(())
/// }
/// ```
#[expect(async_fn_in_trait, reason = "Send follows from the concrete type")]
pub trait CommitLog<M, T>:
    AsyncIndexedRead<Value = Record<M, T>, ReadError = Self::Error>
    + AsyncTruncate<Mark = Self::Idx, TruncError = Self::Error>
    + AsyncConsume<ConsumeError = Self::Error>
    + Sizable
{
    /// Why something failed.
    type Error: std::error::Error;

    /// Appends a record whose value is what a stream yields, and returns its index.
    ///
    /// # Errors
    ///
    /// Where the stream yields an error or too much, or the storage refuses. The log is as it was then.
    async fn append<X, XBuf, XE>(&mut self, record: Record<M, X>) -> Result<Self::Idx, Self::Error>
    where
        X: Stream<Item = Result<XBuf, XE>> + Unpin,
        XBuf: Deref<Target = [u8]>;

    /// Removes what is at least as old as `expiry_duration`, and returns how many records that were.
    ///
    /// # Errors
    ///
    /// Where the storage refuses.
    async fn remove_expired(
        &mut self,
        _expiry_duration: Duration,
    ) -> Result<Self::Idx, Self::Error> {
        Ok(zero())
    }
}
