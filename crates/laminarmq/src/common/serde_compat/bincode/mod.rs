//! The default encoding of the crate `bincode` 1, which is no longer maintained: fixed width, little-endian.
//!
//! ```text
//! u8..u128, i8..i128, f32, f64    their bytes, little-endian
//! bool                            one byte, 0 or 1
//! char                            its UTF-8
//! str, bytes, sequence, map       number of bytes or items as u64, then those
//! Option                          one byte, 0 or 1, then the value
//! enum                            number of the variant as u32, then its fields
//! tuple, struct                   its fields; `()` and unit structs are nothing
//! ```
//!
//! Nothing in the bytes says what they are, so formats that have to ask (`deserialize_any`) cannot be read.
//!
//! Two things can be written and not read again, because bytes may be anybody's. The crate has neither limit.
//!
//! - More than 65 536 items that take no bytes, as in a long `Vec<()>`: a length alone could ask for any number of them.
//! - Values that stand more than 128 deep inside of each other ([`BinCodeError::TooDeep`]).

mod de;
mod ser;

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use super::SerializationProvider;

/// The fixed-width little-endian encoding.
///
/// ```
/// use laminarmq::common::serde_compat::{SerializationProvider, bincode::BinCode};
///
/// let bytes = BinCode::serialize(&(7u16, "ab", Some(true)))?;
/// assert_eq!(bytes, [7, 0, 2, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', 1, 1]);
/// assert_eq!(BinCode::deserialize::<(u16, &str, Option<bool>)>(&bytes)?, (7, "ab", Some(true)));
/// # Ok::<(), laminarmq::common::serde_compat::bincode::BinCodeError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BinCode;

/// Why a value could not be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BinCodeError {
    /// The bytes end in the middle of a value.
    #[error("the bytes end in the middle of a value")]
    UnexpectedEnd,
    /// Bytes that no value has at this place.
    #[error("not the bytes of a {0}")]
    Invalid(&'static str),
    /// A sequence or a map that does not say how many items it has.
    #[error("a sequence has to say its length")]
    LengthUnknown,
    /// The bytes do not say what they are.
    #[error("this encoding cannot tell what follows")]
    NotSelfDescribing,
    /// Too many values inside of each other.
    #[error("values stand more than 128 deep inside of each other")]
    TooDeep,
    /// What the type has to say.
    #[error("{0}")]
    Custom(String),
}

impl serde::ser::Error for BinCodeError {
    fn custom<T: Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

impl serde::de::Error for BinCodeError {
    fn custom<T: Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

impl SerializationProvider for BinCode {
    type SerializedBytes = Vec<u8>;
    type Error = BinCodeError;

    fn serialize<T>(value: &T) -> Result<Vec<u8>, BinCodeError>
    where
        T: Serialize,
    {
        let mut bytes = Vec::with_capacity(Self::serialized_size(value)?);
        value.serialize(&mut ser::Serializer(&mut bytes))?;
        Ok(bytes)
    }

    fn serialized_size<T>(value: &T) -> Result<usize, BinCodeError>
    where
        T: Serialize,
    {
        let mut size = ser::Count::default();
        value.serialize(&mut ser::Serializer(&mut size))?;
        Ok(size.0)
    }

    fn deserialize<'a, T>(bytes: &'a [u8]) -> Result<T, BinCodeError>
    where
        T: Deserialize<'a>,
    {
        T::deserialize(&mut de::Deserializer::new(bytes))
    }
}

#[cfg(test)]
mod tests;
