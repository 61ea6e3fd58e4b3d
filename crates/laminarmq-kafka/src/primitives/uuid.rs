//! 128-bit identifiers, as 16 bytes on the wire.

use std::fmt;

/// A 128-bit identifier of a topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// The identifier that stands for "none".
    pub const ZERO: Self = Self([0; 16]);

    /// Whether this stands for "none".
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

/// The usual form: hexadecimal digits in groups of 8-4-4-4-12.
impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_groups_of_hex() {
        let mut bytes = [0; 16];
        for (i, b) in (0u8..).zip(&mut bytes) {
            *b = i * 0x11;
        }
        assert_eq!(
            Uuid(bytes).to_string(),
            "00112233-4455-6677-8899-aabbccddeeff"
        );
        assert!(Uuid::default().is_zero());
    }
}
