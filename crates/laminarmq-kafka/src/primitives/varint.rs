//! Variable-length integers, seven bits a byte, least significant group first; the high bit of a byte
//! says that another one follows.
//!
//! Two families share the layout. *Unsigned* ones (lengths in flexible messages, tagged fields) take the
//! value as it is. *Signed* ones (inside record batches) are zigzag coded first, so that small negative
//! numbers stay short.
//!
//! A decoder takes the front of a slice and answers the value with the number of bytes it used. It refuses
//! bits that do not fit the type, so each value has at most [`U32_BYTES_MAX`] or [`U64_BYTES_MAX`] bytes.
//! Padded forms (a last group of zeros) are accepted, as other implementations do.

use bytes::BufMut;

/// Most bytes that a 32-bit number takes.
pub const U32_BYTES_MAX: usize = 5;
/// Most bytes that a 64-bit number takes.
pub const U64_BYTES_MAX: usize = 10;

/// Why a variable-length integer could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VarintError {
    /// The input ended while a byte announced another one.
    #[error("the input ends inside a variable-length integer")]
    Truncated,
    /// The value does not fit the type.
    #[error("a variable-length integer is larger than its type")]
    TooLarge,
}

/// Reads an unsigned 32-bit number: the value and how many bytes it took.
pub fn get_u32(buf: &[u8]) -> Result<(u32, usize), VarintError> {
    let mut value = 0u32;
    for (i, &byte) in buf.iter().take(U32_BYTES_MAX).enumerate() {
        // The fifth byte holds the top four bits and cannot announce another.
        if i == U32_BYTES_MAX - 1 && byte > 0x0f {
            return Err(VarintError::TooLarge);
        }
        value |= u32::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok((value, i + 1));
        }
    }
    Err(VarintError::Truncated)
}

/// Reads an unsigned 64-bit number: the value and how many bytes it took.
pub fn get_u64(buf: &[u8]) -> Result<(u64, usize), VarintError> {
    let mut value = 0u64;
    for (i, &byte) in buf.iter().take(U64_BYTES_MAX).enumerate() {
        // The tenth byte holds the top bit alone.
        if i == U64_BYTES_MAX - 1 && byte > 0x01 {
            return Err(VarintError::TooLarge);
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok((value, i + 1));
        }
    }
    Err(VarintError::Truncated)
}

/// Reads a zigzag coded 32-bit number ("varint" in Kafka's words).
pub fn get_i32(buf: &[u8]) -> Result<(i32, usize), VarintError> {
    let (raw, used) = get_u32(buf)?;
    Ok(((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed(), used))
}

/// Reads a zigzag coded 64-bit number ("varlong" in Kafka's words).
pub fn get_i64(buf: &[u8]) -> Result<(i64, usize), VarintError> {
    let (raw, used) = get_u64(buf)?;
    Ok(((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed(), used))
}

/// Writes an unsigned 32-bit number.
pub fn put_u32(out: &mut impl BufMut, value: u32) {
    put_u64(out, u64::from(value));
}

/// Writes an unsigned 64-bit number.
pub fn put_u64(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8((value & 0x7f) as u8);
}

/// Writes a zigzag coded 32-bit number.
pub fn put_i32(out: &mut impl BufMut, value: i32) {
    put_u32(out, zigzag_i32(value));
}

/// Writes a zigzag coded 64-bit number.
pub fn put_i64(out: &mut impl BufMut, value: i64) {
    put_u64(out, zigzag_i64(value));
}

/// Bytes that [`put_u32`] writes for this value.
#[must_use]
pub const fn len_u32(value: u32) -> usize {
    len_u64(value as u64)
}

/// Bytes that [`put_u64`] writes for this value.
#[must_use]
pub const fn len_u64(value: u64) -> usize {
    let bits = (u64::BITS - (value | 1).leading_zeros()) as usize;
    bits.div_ceil(7)
}

/// Bytes that [`put_i32`] writes for this value.
#[must_use]
pub const fn len_i32(value: i32) -> usize {
    len_u32(zigzag_i32(value))
}

/// Bytes that [`put_i64`] writes for this value.
#[must_use]
pub const fn len_i64(value: i64) -> usize {
    len_u64(zigzag_i64(value))
}

const fn zigzag_i32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)).cast_unsigned()
}

const fn zigzag_i64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_bytes() {
        let mut out = Vec::new();
        put_u32(&mut out, 300);
        assert_eq!(out, [0xac, 0x02]);
        out.clear();
        put_i32(&mut out, -1);
        put_i32(&mut out, 1);
        put_i32(&mut out, -2);
        put_i32(&mut out, 64);
        assert_eq!(out, [0x01, 0x02, 0x03, 0x80, 0x01]);
        out.clear();
        put_i64(&mut out, i64::MIN);
        assert_eq!(
            out,
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]
        );
    }

    #[test]
    fn refuses_what_does_not_fit() {
        assert_eq!(get_u32(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok((u32::MAX, 5)));
        assert_eq!(
            get_u32(&[0xff, 0xff, 0xff, 0xff, 0x10]),
            Err(VarintError::TooLarge)
        );
        assert_eq!(
            get_u32(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]),
            Err(VarintError::TooLarge)
        );
        assert_eq!(get_u32(&[0x80, 0x80]), Err(VarintError::Truncated));
        assert_eq!(get_u32(&[]), Err(VarintError::Truncated));
        assert_eq!(get_u32(&[0x80, 0x00]), Ok((0, 2)));
        let mut long = [0xff; 10];
        long[9] = 0x01;
        assert_eq!(get_u64(&long), Ok((u64::MAX, 10)));
        long[9] = 0x02;
        assert_eq!(get_u64(&long), Err(VarintError::TooLarge));
        assert_eq!(get_u64(&long[..9]), Err(VarintError::Truncated));
    }

    proptest! {
        #[test]
        fn round_trips(u in any::<u64>(), shift in 0u32..64, rest in any::<[u8; 3]>()) {
            let u = u >> shift;
            let i = u.cast_signed();
            let small = u32::try_from(u & u64::from(u32::MAX)).unwrap();

            let mut out = Vec::new();
            put_u64(&mut out, u);
            prop_assert_eq!(out.len(), len_u64(u));
            out.extend(rest);
            prop_assert_eq!(get_u64(&out), Ok((u, out.len() - 3)));

            let mut out = Vec::new();
            put_i64(&mut out, i);
            prop_assert_eq!(out.len(), len_i64(i));
            out.extend(rest);
            prop_assert_eq!(get_i64(&out), Ok((i, out.len() - 3)));

            let mut out = Vec::new();
            put_u32(&mut out, small);
            prop_assert_eq!(out.len(), len_u32(small));
            out.extend(rest);
            prop_assert_eq!(get_u32(&out), Ok((small, out.len() - 3)));

            let mut out = Vec::new();
            put_i32(&mut out, small.cast_signed());
            prop_assert_eq!(out.len(), len_i32(small.cast_signed()));
            out.extend(rest);
            prop_assert_eq!(get_i32(&out), Ok((small.cast_signed(), out.len() - 3)));
        }
    }
}
