//! The checksum of everything that is stored: CRC-32C (Castagnoli), as iSCSI has it (RFC 3720, appendix B.4).

use crc_fast::{CrcAlgorithm, Digest};

/// Of `bytes`.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
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

#[cfg(test)]
mod tests {
    use super::*;

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
