//! Bytes in pieces, for vectored writes that leave them where they are.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;

/// Bytes on their way to a socket.
pub(crate) struct Pieces {
    rest: VecDeque<Bytes>,
    remaining: usize,
}

impl Pieces {
    pub(crate) fn new(pieces: Vec<Bytes>) -> Self {
        let remaining = pieces.iter().map(Bytes::len).sum();
        Self {
            rest: pieces.into(),
            remaining,
        }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.rest
            .iter()
            .find(|piece| !piece.is_empty())
            .map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self.rest.iter().filter(|piece| !piece.is_empty());
        slices
            .iter_mut()
            .zip(pieces)
            .map(|(slice, piece)| *slice = IoSlice::new(piece))
            .count()
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "more was written than there is");
        self.remaining -= count;
        while count > 0 {
            let first = self.rest.front_mut().expect("remaining counts all pieces");
            if first.len() > count {
                first.advance(count);
                break;
            }
            count -= first.len();
            self.rest.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_advance_over_their_borders() {
        let texts: [&'static str; 4] = ["", "abc", "", "defg"];
        let all = || {
            Pieces::new(
                texts
                    .iter()
                    .map(|text| Bytes::from_static(text.as_bytes()))
                    .collect(),
            )
        };
        for first in 0..=7 {
            for second in 0..=7 - first {
                let mut pieces = all();
                pieces.advance(first);
                pieces.advance(second);
                assert_eq!(pieces.remaining(), 7 - first - second);
                let mut slices = [IoSlice::new(&[]); 8];
                let count = pieces.chunks_vectored(&mut slices);
                let rest: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
                assert_eq!(rest, b"abcdefg"[first + second..]);
                assert!(rest.starts_with(pieces.chunk()));
            }
        }
    }
}
