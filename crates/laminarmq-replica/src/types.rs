//! The numbers of this crate, each in a type of its own so that they cannot be mixed up.
//!
//! There is deliberately no `From` between them. `index` counts log entries (one per batch),
//! `offset` counts records inside batches; a bound called `*_end`, `high_watermark` or
//! `durable` is always exclusive.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The plain number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A partition's Raft group: given once by the metadata group, never reused.
    GroupId(u64)
}
number! {
    /// One replica of one group. Never 0. A replica that may have lost what it acknowledged
    /// gets a new one.
    ReplicaId(u64)
}
number! {
    /// A Kafka offset: counts records, also those inside a batch.
    Offset(u64)
}
number! {
    /// A Raft index, which is the index of the segmented log: counts entries. The first is 1.
    LogIndex(u64)
}
number! {
    /// A Raft term, which is Kafka's leader epoch: at most [`Term::MAX`].
    Term(u32)
}
number! {
    /// The caller's name for a proposal; comes back in the effects that concern it.
    Token(u64)
}

impl Term {
    /// The last usable term: a leader epoch is an `i32` on the wire.
    pub const MAX: Self = Self(i32::MAX.cast_unsigned());

    /// The term as Kafka writes it.
    ///
    /// # Panics
    /// Above [`Term::MAX`], which no replica reaches: it stops to campaign there, and refuses
    /// such terms from peers and files.
    #[must_use]
    pub fn leader_epoch(self) -> i32 {
        i32::try_from(self.0).expect("terms are bounded by Term::MAX wherever they enter")
    }
}

/// Where election timeouts come from. The simulator seeds it; the broker passes the machine's.
pub trait RandomSource {
    /// The next 64 random bits.
    fn next_u64(&mut self) -> u64;
}

impl<F: FnMut() -> u64> RandomSource for F {
    fn next_u64(&mut self) -> u64 {
        self()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_term_is_the_last_leader_epoch() {
        assert_eq!(Term::MAX.leader_epoch(), i32::MAX);
        assert_eq!(Term(0).leader_epoch(), 0);
    }

    #[test]
    #[should_panic(expected = "terms are bounded")]
    fn a_term_past_the_last_one_is_our_bug() {
        let _ = Term(Term::MAX.0 + 1).leader_epoch();
    }
}
