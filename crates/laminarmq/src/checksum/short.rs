//! CRC-32C of a few bytes, by the processor's instruction for it. A library that serves all lengths looks for the best way
//! at each call, which costs more than the sum of a header.
//!
//! What makes the `unsafe` place sound: the instruction is reached only after the processor was asked whether it has it.

#![allow(
    unsafe_code,
    reason = "a sum of 12 bytes takes 3 ns in place of 8, one of a header 5 in place of 11"
)]

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u16, _mm_crc32_u32, _mm_crc32_u64};

/// Longest input that this is the fastest way for, in bytes: the instruction takes eight at a time, one after the other.
pub(super) const SHORT_BYTES: usize = 64;

/// Of `bytes`, if the processor has the instruction.
#[inline]
pub(super) fn crc32c(bytes: &[u8]) -> Option<u32> {
    if !is_x86_feature_detected!("sse4.2") {
        return None;
    }
    // SAFETY: the processor has what the function needs.
    Some(unsafe { by_instruction(bytes) })
}

/// As [`crc32c`], for a length that is known beforehand: without a look at what is left.
#[inline]
pub(super) fn crc32c_array<const N: usize>(bytes: &[u8; N]) -> Option<u32> {
    if !is_x86_feature_detected!("sse4.2") {
        return None;
    }
    // SAFETY: the processor has what the function needs.
    Some(unsafe { array_by_instruction(bytes) })
}

#[target_feature(enable = "sse4.2")]
fn array_by_instruction<const N: usize>(bytes: &[u8; N]) -> u32 {
    by_instruction(bytes)
}

// Each step waits for the one before, so that what is left of eight bytes is taken in as few steps as can be.
#[target_feature(enable = "sse4.2")]
#[inline]
fn by_instruction(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut crc = u64::from(u32::MAX);
    for word in words {
        crc = _mm_crc32_u64(crc, u64::from_le_bytes(*word));
    }
    // The instruction leaves the upper half empty.
    let mut crc = (crc & 0xffff_ffff) as u32;
    let (four, rest) = rest.as_chunks::<4>();
    if let [four] = four {
        crc = _mm_crc32_u32(crc, u32::from_le_bytes(*four));
    }
    let (two, rest) = rest.as_chunks::<2>();
    if let [two] = two {
        crc = _mm_crc32_u16(crc, u16::from_le_bytes(*two));
    }
    if let [byte] = rest {
        crc = _mm_crc32_u8(crc, *byte);
    }
    !crc
}
