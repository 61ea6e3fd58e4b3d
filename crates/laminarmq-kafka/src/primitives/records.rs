//! Record batches as a list of shared pieces, so that an answer to a fetch is never copied together.

use bytes::{Bytes, BytesMut};

/// Zero or more record batches one after the other, cut into pieces anywhere; or null.
///
/// Where one piece ends and the next begins carries no meaning, and equality does not see it. A decoder
/// gives one piece, a slice of the frame.
#[derive(Debug, Clone, Default)]
pub struct Records(Inner);

#[derive(Debug, Clone)]
enum Inner {
    Null,
    Pieces(Vec<Bytes>),
}

impl Default for Inner {
    fn default() -> Self {
        Self::Pieces(Vec::new())
    }
}

impl Records {
    /// No value at all, which differs from no bytes on the wire.
    #[must_use]
    pub const fn null() -> Self {
        Self(Inner::Null)
    }

    /// Present, with no bytes. The same as the default.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Inner::Pieces(Vec::new()))
    }

    /// Whether this is null.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self.0, Inner::Null)
    }

    /// The pieces in order; none for null.
    #[must_use]
    pub fn pieces(&self) -> &[Bytes] {
        match &self.0 {
            Inner::Null => &[],
            Inner::Pieces(pieces) => pieces,
        }
    }

    /// All bytes of all pieces; 0 for null.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces().iter().map(Bytes::len).sum()
    }

    /// Whether there are no bytes, null or not.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces().iter().all(Bytes::is_empty)
    }

    /// The bytes in one piece: without a copy when there is at most one already. Empty for null.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Inner::Null => Bytes::new(),
            Inner::Pieces(mut pieces) if pieces.len() <= 1 => pieces.pop().unwrap_or_default(),
            Inner::Pieces(pieces) => {
                let mut all = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
                for piece in &pieces {
                    all.extend_from_slice(piece);
                }
                all.freeze()
            }
        }
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Self(Inner::Pieces(vec![bytes]))
    }
}

impl From<Vec<Bytes>> for Records {
    fn from(pieces: Vec<Bytes>) -> Self {
        Self(Inner::Pieces(pieces))
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |records: &Self| records.pieces().to_vec().into_iter().flatten();
        self.is_null() == other.is_null()
            && self.len() == other.len()
            && bytes(self).eq(bytes(other))
    }
}

impl Eq for Records {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_about_bytes_and_null() {
        let cut = Records::from(vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")]);
        let whole = Records::from(Bytes::from_static(b"abc"));
        assert_eq!(cut, whole);
        assert_ne!(cut, Records::from(Bytes::from_static(b"abd")));
        assert_ne!(cut, Records::from(Bytes::from_static(b"abcd")));
        assert_ne!(Records::null(), Records::empty());
        assert_eq!(Records::default(), Records::from(Bytes::new()));
    }

    #[test]
    fn one_piece_is_handed_out_without_a_copy() {
        let bytes = Bytes::from(vec![7; 10]);
        let same = Records::from(bytes.clone()).into_bytes();
        assert_eq!(bytes.as_ptr(), same.as_ptr());
        let cut = Records::from(vec![bytes.slice(..4), bytes.slice(4..)]);
        assert_eq!(cut.len(), 10);
        assert_eq!(cut.into_bytes(), bytes);
        assert!(Records::null().into_bytes().is_empty());
    }
}
