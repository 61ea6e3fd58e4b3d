//! Where a group's log is to begin from now on: the payload of an [`EntryKind::Trim`](crate::EntryKind::Trim)
//! entry.
//!
//! ```text
//! version u8 = 1, first index kept u64, start offset u64; little-endian
//! ```
//!
//! Described in `docs/formats/log-entries.md`. The leader decides both numbers, so every replica begins
//! at the same entry, whatever its clock and its disk say.

use thiserror::Error;

use crate::wire::{Cursor, Short};
use crate::{LogIndex, Offset};

const VERSION: u8 = 1;

/// What to trim to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimTo {
    /// Records before this offset; at most the high watermark. Entries that hold no later record go.
    Offset(Offset),
    /// Everything that consumers can see at the moment.
    HighWatermark,
    /// Entries before this index, which is a committed one or the next. For groups with a state machine:
    /// whoever asks knows that the state can be made from the rest.
    Index(LogIndex),
}

/// A decided trim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trim {
    /// The first entry that is kept.
    pub(crate) first: LogIndex,
    /// The first readable offset.
    pub(crate) offset: Offset,
}

/// Why bytes are no trim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a trim")]
pub(crate) struct NoTrim;

impl From<Short> for NoTrim {
    fn from(Short: Short) -> Self {
        Self
    }
}

impl Trim {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.first.get().to_le_bytes());
        out.extend_from_slice(&self.offset.get().to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, NoTrim> {
        let mut cursor = Cursor::new(bytes);
        let version = cursor.u8()?;
        let trim = Self {
            first: LogIndex(cursor.u64()?),
            offset: Offset(cursor.u64()?),
        };
        if version == VERSION && cursor.remaining() == 0 && trim.first.get() > 0 {
            Ok(trim)
        } else {
            Err(NoTrim)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trim_comes_back_and_nothing_else_is_one() {
        let trim = Trim {
            first: LogIndex(7),
            offset: Offset(1 << 40),
        };
        let bytes = trim.encode();
        assert_eq!(Trim::decode(&bytes), Ok(trim));
        for length in 0..bytes.len() {
            assert!(Trim::decode(&bytes[..length]).is_err());
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(Trim::decode(&longer).is_err());
        let mut newer = bytes;
        newer[0] = 2;
        assert!(Trim::decode(&newer).is_err());
        let nothing = Trim {
            first: LogIndex(0),
            offset: Offset(0),
        };
        assert!(Trim::decode(&nothing.encode()).is_err());
    }
}
