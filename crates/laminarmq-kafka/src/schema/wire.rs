//! The forms of the protocol's basic types.
//!
//! | type | before flexible versions | in flexible versions |
//! |---|---|---|
//! | numbers, `bool`, [`Uuid`], [`ErrorCode`] | fixed width, big endian | the same |
//! | `String` | 16-bit length, -1 is null | length + 1 as a varint, 0 is null |
//! | `Bytes`, [`Records`], arrays | 32-bit length or count, -1 is null | length + 1 as a varint, 0 is null |
//!
//! `Option` of these is a value that may be null in the versions that the schema names.

use bytes::Bytes;

use super::{Layout, Wire};
use crate::primitives::reader::{DecodeError, DecodeReason, Reader};
use crate::primitives::writer::{EncodeError, EncodeReason, Writer};
use crate::{ErrorCode, Records, Uuid};

fn not_null<T>(r: &Reader, value: Option<T>) -> Result<T, DecodeError> {
    value.ok_or_else(|| r.error(DecodeReason::Null))
}

fn may_be_null<T>(r: &Reader, layout: Layout, value: Option<T>) -> Result<Option<T>, DecodeError> {
    if value.is_none() && !layout.nullable {
        return Err(r.error(DecodeReason::Null));
    }
    Ok(value)
}

fn may_write_null(layout: Layout, is_null: bool) -> Result<(), EncodeError> {
    if is_null && !layout.nullable {
        return Err(EncodeError::new(EncodeReason::Null(layout.version)));
    }
    Ok(())
}

macro_rules! fixed {
    ($($ty:ty, $len:literal, $read:expr, $write:expr $(, $errors:expr)?;)+) => { $(
        impl Wire for $ty {
            fn min_len(_: Layout) -> usize {
                $len
            }

            fn read(r: &mut Reader, _: Layout) -> Result<Self, DecodeError> {
                $read(r)
            }

            fn write(&self, w: &mut Writer, _: Layout) -> Result<(), EncodeError> {
                $write(w, *self);
                Ok(())
            }

            $(
                fn error_codes(&self, found: &mut dyn FnMut(ErrorCode)) {
                    $errors(*self, found);
                }
            )?
        }
    )+ };
}

fixed! {
    i8, 1, Reader::i8, Writer::i8;
    i16, 2, Reader::i16, Writer::i16;
    i32, 4, Reader::i32, Writer::i32;
    i64, 8, Reader::i64, Writer::i64;
    // Any value but 0 is true, as in other implementations.
    bool, 1, |r: &mut Reader| Ok(r.i8()? != 0), |w: &mut Writer, v| w.i8(i8::from(v));
    Uuid, 16, |r: &mut Reader| Ok(Self(r.array()?)), |w: &mut Writer, v: Self| w.put(&v.0);
    ErrorCode, 2, |r: &mut Reader| Ok(Self(r.i16()?)), |w: &mut Writer, v: Self| w.i16(v.0),
        |code, found: &mut dyn FnMut(ErrorCode)| found(code);
}

/// Implements [`Wire`] for a type and its `Option` from one pair of functions over the `Option`.
macro_rules! nullable {
    ($ty:ty $(, $generic:ident)?; $short:literal; $read:expr; $write:expr $(; $errors:expr)?) => {
        impl$(<$generic: Wire>)? Wire for $ty {
            fn min_len(layout: Layout) -> usize {
                if layout.flexible { 1 } else { $short }
            }

            fn read(r: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
                let value = $read(r, layout)?;
                not_null(r, value)
            }

            fn write(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
                $write(Some(self), w, layout)
            }

            $(
                fn error_codes(&self, found: &mut dyn FnMut(ErrorCode)) {
                    $errors(Some(self), found);
                }
            )?
        }

        impl$(<$generic: Wire>)? Wire for Option<$ty> {
            fn min_len(layout: Layout) -> usize {
                <$ty>::min_len(layout)
            }

            fn read(r: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
                let value = $read(r, layout)?;
                may_be_null(r, layout, value)
            }

            fn write(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
                may_write_null(layout, self.is_none())?;
                $write(self.as_ref(), w, layout)
            }

            $(
                fn error_codes(&self, found: &mut dyn FnMut(ErrorCode)) {
                    $errors(self.as_ref(), found);
                }
            )?
        }
    };
}

nullable!(String; 2; read_string; write_string);
nullable!(Bytes; 4; read_bytes; write_bytes);
nullable!(Vec<T>, T; 4; read_array; write_array; array_error_codes);

fn read_string(r: &mut Reader, layout: Layout) -> Result<Option<String>, DecodeError> {
    match r.string_len(layout.flexible)? {
        Some(len) => r.text(len).map(Some),
        None => Ok(None),
    }
}

fn write_string(text: Option<&String>, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
    w.string_len(text.map(String::len), layout.flexible)?;
    w.put(text.map_or(&[], |text| text.as_bytes()));
    Ok(())
}

fn read_bytes(r: &mut Reader, layout: Layout) -> Result<Option<Bytes>, DecodeError> {
    match r.long_len(layout.flexible)? {
        Some(len) => r.shared(len).map(Some),
        None => Ok(None),
    }
}

fn write_bytes(bytes: Option<&Bytes>, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
    w.long_len(bytes.map(Bytes::len), layout.flexible)?;
    if let Some(bytes) = bytes {
        w.link(bytes);
    }
    Ok(())
}

fn read_array<T: Wire>(r: &mut Reader, layout: Layout) -> Result<Option<Vec<T>>, DecodeError> {
    let Some(count) = r.long_len(layout.flexible)? else {
        return Ok(None);
    };
    let count = r.claim::<T>(count, T::min_len(layout))?;
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        elements.push(T::read(r, layout)?);
    }
    Ok(Some(elements))
}

fn write_array<T: Wire>(
    elements: Option<&Vec<T>>,
    w: &mut Writer,
    layout: Layout,
) -> Result<(), EncodeError> {
    w.long_len(elements.map(Vec::len), layout.flexible)?;
    for element in elements.into_iter().flatten() {
        element.write(w, layout)?;
    }
    Ok(())
}

fn array_error_codes<T: Wire>(elements: Option<&Vec<T>>, found: &mut dyn FnMut(ErrorCode)) {
    for element in elements.into_iter().flatten() {
        element.error_codes(found);
    }
}

impl Wire for Records {
    fn min_len(layout: Layout) -> usize {
        Bytes::min_len(layout)
    }

    fn read(r: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        let bytes = Option::<Bytes>::read(r, layout)?;
        Ok(bytes.map_or(Self::null(), Self::from))
    }

    fn write(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        may_write_null(layout, self.is_null())?;
        w.long_len((!self.is_null()).then(|| self.len()), layout.flexible)?;
        for piece in self.pieces() {
            w.link(piece);
        }
        Ok(())
    }
}
