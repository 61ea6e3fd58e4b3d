//! 128-bit identifiers, as 16 bytes on the wire.

use std::fmt;
use std::str::FromStr;

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

/// Text that is no identifier in the usual form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoUuid;

/// Reads what [`Display`](fmt::Display) writes, also with capital digits, and nothing else.
impl FromStr for Uuid {
    type Err = NoUuid;

    fn from_str(text: &str) -> Result<Self, NoUuid> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
        let mut bytes = [0; 16];
        let (pairs, rest) = digits.as_chunks::<2>();
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return Err(NoUuid);
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(NoUuid);
            *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).expect("two digits");
        }
        let uuid = Self(bytes);
        // The groups are where they belong.
        if uuid.to_string().eq_ignore_ascii_case(text) {
            Ok(uuid)
        } else {
            Err(NoUuid)
        }
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

    #[test]
    fn reads_what_it_shows_and_nothing_else() {
        let text = "00112233-4455-6677-8899-aabbccddeeff";
        let uuid: Uuid = text.parse().unwrap();
        assert_eq!(uuid.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(uuid));
        let wrong = [
            "",
            "00112233-4455-6677-8899-aabbccddeef",
            "00112233-4455-6677-8899-aabbccddeefff",
            "00112233-4455-6677-8899-aabbccddeefg",
            "001122334455-6677-8899-aabbccddeeff-",
            "00112233445566778899aabbccddeeff",
            "+0112233-4455-6677-8899-aabbccddeeff",
            "é0112233-4455-6677-8899-aabbccddeeff",
        ];
        for text in wrong {
            assert_eq!(text.parse::<Uuid>(), Err(NoUuid), "{text}");
        }
    }
}
