//! Splitting owned bytes in two.

use std::ops::Deref;

use bytes::{Buf, Bytes};

/// An owned slice that can be split in two owned slices.
///
/// ```
/// use laminarmq::common::split::SplitAt;
///
/// let (head, tail) = SplitAt::split_at(b"header:value".to_vec(), 7).expect("7 is within the bytes");
/// assert_eq!((&*head, &*tail), (&b"header:"[..], &b"value"[..]));
/// assert!(SplitAt::split_at(vec![1, 2, 3], 4).is_none());
/// ```
pub trait SplitAt<T>: Deref<Target = [T]> + Sized {
    /// `[0, at)` and `[at, len)`, without copying where the type allows; `None` where `at` is behind the end.
    fn split_at(self, at: usize) -> Option<(Self, Self)>;

    /// `[at, len)` alone; `None` where `at` is behind the end.
    fn tail(self, at: usize) -> Option<Self> {
        self.split_at(at).map(|(_, tail)| tail)
    }

    /// These parts one after the other, as one. `None` where the type cannot be made of parts; values that
    /// were written piece by piece and take several chunks cannot be read through such a type then, so that
    /// a log over it holds each value whole in memory before it is written.
    fn join(mut parts: Vec<Self>) -> Option<Self> {
        if parts.len() == 1 { parts.pop() } else { None }
    }

    /// Whether [`SplitAt::join`] takes any number of parts.
    const JOINS: bool = false;

    /// Whether splitting leaves the bytes where they are, so that many small parts of one large read cost little.
    const SHARES: bool = false;
}

impl<T> SplitAt<T> for Vec<T> {
    fn split_at(mut self, at: usize) -> Option<(Self, Self)> {
        if at > self.len() {
            return None;
        }
        if at == 0 {
            return Some((Vec::new(), self));
        }
        let tail = self.split_off(at);
        Some((self, tail))
    }

    /// Moves the bytes, and needs no more memory for them.
    fn tail(mut self, at: usize) -> Option<Self> {
        if at > self.len() {
            return None;
        }
        self.drain(..at);
        Some(self)
    }

    fn join(parts: Vec<Self>) -> Option<Self> {
        let mut joined = Vec::with_capacity(parts.iter().map(Vec::len).sum());
        for mut part in parts {
            joined.append(&mut part);
        }
        Some(joined)
    }

    const JOINS: bool = true;
}

impl SplitAt<u8> for Bytes {
    fn split_at(mut self, at: usize) -> Option<(Self, Self)> {
        if at > self.len() {
            return None;
        }
        let tail = self.split_off(at);
        Some((self, tail))
    }

    fn tail(mut self, at: usize) -> Option<Self> {
        if at > self.len() {
            return None;
        }
        self.advance(at);
        Some(self)
    }

    fn join(mut parts: Vec<Self>) -> Option<Self> {
        if parts.len() == 1 {
            return parts.pop();
        }
        Some(parts.concat().into())
    }

    const JOINS: bool = true;
    const SHARES: bool = true;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<C: SplitAt<u8> + From<Vec<u8>>>() {
        for at in 0..=5 {
            let (head, tail) = C::from(b"abcde".to_vec()).split_at(at).unwrap();
            assert_eq!((&*head, &*tail), b"abcde".split_at(at));
            let alone = C::from(b"abcde".to_vec()).tail(at);
            assert_eq!(alone.as_deref(), Some(&b"abcde"[at..]));
            let joined = C::join(vec![head, tail]).unwrap();
            assert_eq!(&*joined, b"abcde");
        }
        assert!(C::from(b"abcde".to_vec()).split_at(6).is_none());
        assert!(C::from(b"abcde".to_vec()).tail(6).is_none());
        assert!(C::join(Vec::new()).unwrap().is_empty());
    }

    #[test]
    fn every_place_splits_and_joins() {
        check::<Vec<u8>>();
        check::<Bytes>();
    }
}
