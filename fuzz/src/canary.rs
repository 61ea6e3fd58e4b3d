//! A fault that is there on purpose. Chance alone would take some 2^64 inputs to find it; a fuzzer that is guided
//! by coverage and comparisons takes seconds. `fuzz/run` fails when it is not found.

/// Panics on one input.
pub fn check(input: &[u8]) {
    let Some(&[a, b, c, d, e, f, g, h]) = input.first_chunk::<8>() else {
        return;
    };
    if a == b'l' && b == 0xff && u16::from_be_bytes([c, d]) == 0x6b3d {
        assert_ne!(
            u32::from_le_bytes([e, f, g, h]),
            0x1de7_ec7a,
            "the canary sings"
        );
    }
}
