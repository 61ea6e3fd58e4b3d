#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| laminarmq_fuzz::peer_frames::check(input));
