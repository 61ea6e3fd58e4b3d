//! What replicas say to each other as bytes, for whoever carries it.
//!
//! - Decoding takes any bytes: it refuses them or gives a value, never panics, and allocates
//!   nothing for a count that the bytes do not hold.
//! - A value has one encoding: what was decoded encodes to the same bytes again.
//! - Payloads of entries are not copied: a [`PieceWriter`] shares them, and a decoded payload is
//!   a slice of the buffer that was read.
//! - Whether a message makes sense is not asked here. [`Replica::step`](crate::Replica::step)
//!   asks.
//!
//! All numbers are little-endian. Described in `docs/formats/peer-frames.md`; this is version 1.

mod beats;
mod input;
mod message;
mod pieces;

#[cfg(test)]
mod tests;

pub use beats::{BEAT_BYTES_MAX, Beat, BeatReader, BeatWriter};
pub use message::{APPEND_ENTRIES_MAX, MESSAGE_OVERHEAD_MAX};
pub use pieces::{PieceWriter, SHARED_BYTES_MIN};

use thiserror::Error;

use crate::MembershipError;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    /// They end too early.
    #[error("ends too early")]
    Short,
    /// Bytes follow the end.
    #[error("{0} bytes after the end")]
    Trailing(usize),
    /// A number that stands for nothing this program knows.
    #[error("unknown {what} {value}")]
    Unknown {
        /// What it would be.
        what: &'static str,
        /// The number.
        value: u8,
    },
    /// More entries than a message may have.
    #[error("{0} entries in one append, at most {APPEND_ENTRIES_MAX} are allowed")]
    Entries(usize),
    /// What stands for a group's members is none.
    #[error("members: {0}")]
    Members(#[from] MembershipError),
    /// A number that is longer than it has to be, or too large.
    #[error("a number that is not in its shortest form")]
    Number,
}

/// Why a message has no encoding: no replica makes such a one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a message that no replica makes")]
pub struct Unencodable;
