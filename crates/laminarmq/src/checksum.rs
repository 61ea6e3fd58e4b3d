//! The checksum of everything that is stored: CRC-32C (Castagnoli), as iSCSI has it (RFC 3720, appendix B.4).
//!
//! Only values may have another one, see [`ValueChecksum`].

#[cfg(target_arch = "x86_64")]
mod short;

use std::fmt;
use std::hash::Hasher;

use crc_fast::{CrcAlgorithm, Digest};

/// Of `bytes`.
#[inline]
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() <= short::SHORT_BYTES
        && let Some(crc) = short::crc32c(bytes)
    {
        return crc;
    }
    crc_fast::crc32_iscsi(bytes)
}

/// Of bytes whose number, which is a small one, is known beforehand.
#[inline]
pub(crate) fn crc32c_array<const N: usize>(bytes: &[u8; N]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if let Some(crc) = short::crc32c_array(bytes) {
        return crc;
    }
    crc_fast::crc32_iscsi(bytes)
}

/// Of what has the checksum `crc`, followed by `bytes`. For short ones several times as dear as [`crc32c`].
pub(crate) fn crc32c_append(crc: u32, bytes: &[u8]) -> u32 {
    if crc == 0 {
        return crc32c(bytes); // the checksum of nothing is 0
    }
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!crc));
    digest.update(bytes);
    u32::try_from(digest.finalize()).expect("a CRC-32 has 32 bits")
}

/// CRC-32C as a [`Hasher`], for the generic face: a log over files with this one is a [`Log`](crate::Log)'s too.
///
/// ```
/// use std::hash::Hasher;
/// use laminarmq::Crc32cHasher;
///
/// let mut hasher = Crc32cHasher::default();
/// hasher.write(b"1234");
/// hasher.write(b"56789");
/// assert_eq!(hasher.finish(), 0xe306_9283);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Crc32cHasher(u32);

impl Hasher for Crc32cHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = crc32c_append(self.0, bytes);
    }

    fn finish(&self) -> u64 {
        u64::from(self.0)
    }
}

/// What a checksum is told by: its value of the nine bytes `123456789`, which catalogues of checksums call its
/// check value.
const CHECK_INPUT: &[u8] = b"123456789";
const CHECK_CRC32C: u64 = 0xe306_9283;
const CHECK_CRC32: u64 = 0xcbf4_3926;

/// Which checksum the values of a log have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumKind {
    /// CRC-32C, which every [`Log`](crate::Log) uses.
    Crc32c,
    /// Another one, told by its value of the nine bytes `123456789`.
    Other(u64),
    /// A number in a file that this version does not know.
    Unknown(u8),
}

impl fmt::Display for ChecksumKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crc32c => f.write_str("CRC-32C"),
            Self::Other(CHECK_CRC32) => f.write_str("CRC-32"),
            Self::Other(check) => write!(f, "with the check value {check:#x}"),
            Self::Unknown(number) => write!(f, "number {number}"),
        }
    }
}

/// How the checksums of values are made. Those of headers and of indices are always CRC-32C.
#[derive(Clone, Copy)]
pub struct ValueChecksum(Sum);

#[derive(Clone, Copy)]
enum Sum {
    Crc32c,
    Other { check: u64, of: fn(&[u8]) -> u64 },
}

fn hash<H: Hasher + Default>(bytes: &[u8]) -> u64 {
    let mut hasher = H::default();
    hasher.write(bytes);
    hasher.finish()
}

impl ValueChecksum {
    /// CRC-32C.
    pub const CRC32C: Self = Self(Sum::Crc32c);

    /// What a hasher makes of a value, all of it in one call. A hasher that turns out to be CRC-32C is taken for that.
    #[must_use]
    pub fn of_hasher<H: Hasher + Default>() -> Self {
        match hash::<H>(CHECK_INPUT) {
            CHECK_CRC32C => Self::CRC32C,
            check => Self(Sum::Other {
                check,
                of: hash::<H>,
            }),
        }
    }

    /// Which one it is.
    #[must_use]
    pub fn kind(self) -> ChecksumKind {
        match self.0 {
            Sum::Crc32c => ChecksumKind::Crc32c,
            Sum::Other { check, .. } => ChecksumKind::Other(check),
        }
    }

    /// Of a whole value, or of a whole chunk of one.
    #[inline]
    pub(crate) fn of(self, bytes: &[u8]) -> u64 {
        match self.0 {
            Sum::Crc32c => u64::from(crc32c(bytes)),
            Sum::Other { of, .. } => of(bytes),
        }
    }

    /// Of pieces that are one value.
    #[inline]
    pub(crate) fn of_pieces(self, pieces: &[&[u8]]) -> u64 {
        match (self.0, pieces) {
            (Sum::Crc32c, _) => {
                let append = |sum, piece: &&[u8]| crc32c_append(sum, piece);
                u64::from(pieces.iter().fold(0, append))
            }
            (Sum::Other { of, .. }, [piece]) => of(piece),
            // Hashers may give another result where the same bytes come in other portions.
            (Sum::Other { of, .. }, _) => of(&pieces.concat()),
        }
    }
}

impl PartialEq for ValueChecksum {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind()
    }
}

impl Eq for ValueChecksum {}

impl fmt::Debug for ValueChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ValueChecksum").field(&self.kind()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hasher_is_told_by_what_it_makes_of_known_bytes() {
        use std::hash::DefaultHasher;
        let crc = ValueChecksum::of_hasher::<::crc32c::Crc32cHasher>();
        assert_eq!(crc, ValueChecksum::of_hasher::<Crc32cHasher>());
        assert_eq!(crc.kind(), ChecksumKind::Crc32c);
        let other = ValueChecksum::of_hasher::<DefaultHasher>();
        let whole = other.of(b"some bytes");
        assert!(matches!(other.kind(), ChecksumKind::Other(_)));
        assert_ne!(whole, crc.of(b"some bytes"));
        for pieces in [&[&b"some bytes"[..]][..], &[b"some", b"", b" bytes"]] {
            assert_eq!(other.of_pieces(pieces), whole);
            assert_eq!(crc.of_pieces(pieces), crc.of(b"some bytes"));
        }
        assert_ne!(crc, other);
        assert_eq!(ChecksumKind::Other(0xcbf4_3926).to_string(), "CRC-32");
    }

    /// Bit by bit, as the polynomial says.
    fn slow(mut crc: u32, bytes: &[u8]) -> u32 {
        crc = !crc;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            }
        }
        !crc
    }

    #[test]
    fn known_values() {
        assert_eq!(crc32c(b""), 0);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa); // RFC 3720, B.4
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn lengths_and_cuts_of_all_kinds_agree_with_the_polynomial() {
        let bytes: Vec<u8> = (0..1500u32)
            .map(|it| it.wrapping_mul(2_654_435_761).to_le_bytes()[3])
            .collect();
        for length in (0..300).chain([511, 512, 513, 1023, 1025, 1500]) {
            let want = slow(0, &bytes[..length]);
            assert_eq!(crc32c(&bytes[..length]), want, "{length}");
            if let Some(array) = bytes[..length].as_array::<52>() {
                assert_eq!(crc32c_array(array), want);
            }
            for cut in [0, 1, length / 3, length / 2, length.saturating_sub(1)] {
                let cut = cut.min(length);
                let first = crc32c(&bytes[..cut]);
                assert_eq!(
                    crc32c_append(first, &bytes[cut..length]),
                    want,
                    "{cut} of {length}"
                );
            }
        }
    }
}
