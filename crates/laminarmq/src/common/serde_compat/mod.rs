//! How metadata becomes bytes.

pub mod bincode;

use std::error::Error;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// Turns values into bytes and back.
pub trait SerializationProvider {
    /// Bytes of a value.
    type SerializedBytes: Deref<Target = [u8]>;
    /// Why that failed.
    type Error: Error;

    /// The bytes of a value.
    ///
    /// # Errors
    ///
    /// Where the format has no way to write it.
    fn serialize<T>(value: &T) -> Result<Self::SerializedBytes, Self::Error>
    where
        T: Serialize;

    /// How many bytes a value takes.
    ///
    /// # Errors
    ///
    /// As [`SerializationProvider::serialize`].
    fn serialized_size<T>(value: &T) -> Result<usize, Self::Error>
    where
        T: Serialize;

    /// The value that begins with `bytes`.
    ///
    /// # Errors
    ///
    /// Where the bytes are not those of such a value.
    fn deserialize<'a, T>(bytes: &'a [u8]) -> Result<T, Self::Error>
    where
        T: Deserialize<'a>;
}
