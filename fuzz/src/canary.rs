//! A fault that is there on purpose. Chance alone would take some 2^56 inputs to find it; a fuzzer that is guided
//! by coverage takes a second. `fuzz/run` fails when it is not found.

use std::hint::black_box;

/// Panics on inputs that begin with seven certain bytes.
pub fn check(input: &[u8]) {
    let Some(&[a, b, c, d, e, f, g]) = input.first_chunk::<7>() else {
        return;
    };
    // Each step is an edge of its own: one comparison of all bytes at once would need luck, however well it is guided.
    if black_box(a) == b'l' && black_box(b) == 0xff && black_box(c) == b'k' && black_box(d) == 0 {
        if black_box(e) == 0x6b && black_box(f) == 0x3d {
            assert_ne!(black_box(g), 0x7a, "the canary sings");
        }
    }
}
