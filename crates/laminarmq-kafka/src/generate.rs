//! Valid messages of any API and version out of arbitrary bytes, for tests and fuzzers.
//!
//! The same bytes give the same message. When they run out the rest of the message is minimal, so that
//! shorter inputs give smaller messages and a test that shrinks its input shrinks the message.

use bytes::Bytes;

use crate::schema::{Layout, Message};
use crate::{ErrorCode, Records, Uuid};

pub use crate::api::{any_request as request, any_response as response};

/// Arbitrary bytes, used up from the front; zeros behind the end.
#[derive(Debug)]
pub struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    /// Uses these bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// Mostly small numbers, some at the ends of the type, some of all sizes.
    fn number(&mut self) -> i64 {
        match self.byte() {
            kind @ 0..=127 => i64::from(kind % 16),
            128..=143 => -1,
            144..=159 => i64::MIN,
            160..=175 => i64::MAX,
            _ => i64::from_be_bytes(self.array()),
        }
    }
}

/// A type that can be made up from bytes, in the form that a version allows.
pub trait Generate: Sized {
    /// Makes one up.
    fn generate(source: &mut Source<'_>, layout: Layout) -> Self;
}

/// Makes up a body of this version.
#[must_use]
pub fn message<M: Message + Generate>(source: &mut Source<'_>, version: i16) -> M {
    M::generate(source, crate::schema::layout::<M>(version))
}

macro_rules! numbers {
    ($($ty:ty),+) => { $(
        impl Generate for $ty {
            #[allow(clippy::cast_possible_truncation, reason = "any number will do")]
            fn generate(source: &mut Source<'_>, _: Layout) -> Self {
                match source.number() {
                    i64::MIN => Self::MIN,
                    i64::MAX => Self::MAX,
                    other => other as Self,
                }
            }
        }
    )+ };
}

numbers!(i8, i16, i32, i64);

impl Generate for bool {
    fn generate(source: &mut Source<'_>, _: Layout) -> Self {
        source.byte() % 2 == 1
    }
}

impl Generate for ErrorCode {
    fn generate(source: &mut Source<'_>, layout: Layout) -> Self {
        Self(i16::generate(source, layout))
    }
}

impl Generate for Uuid {
    fn generate(source: &mut Source<'_>, _: Layout) -> Self {
        Self(source.array())
    }
}

impl Generate for String {
    fn generate(source: &mut Source<'_>, _: Layout) -> Self {
        const LETTERS: [char; 8] = ['a', 'Z', '0', '-', '.', '_', 'é', '水'];
        // Past 127 a compact length takes a second byte.
        let len = match source.byte() {
            len @ 0..=247 => usize::from(len % 12),
            248..=255 => 126 + usize::from(source.byte() % 4),
        };
        (0..len)
            .map(|_| LETTERS[usize::from(source.byte() % 8)])
            .collect()
    }
}

impl Generate for Bytes {
    fn generate(source: &mut Source<'_>, _: Layout) -> Self {
        // Some long enough to be linked instead of copied.
        let len = match source.byte() {
            len @ 0..=223 => usize::from(len % 40),
            224..=255 => crate::primitives::writer::LINK_BYTES_MIN + usize::from(source.byte()),
        };
        let (a, b) = (source.byte(), source.byte());
        let bytes = [a, b].into_iter().cycle().take(len);
        bytes.collect::<Vec<_>>().into()
    }
}

impl Generate for Records {
    fn generate(source: &mut Source<'_>, layout: Layout) -> Self {
        if layout.nullable && source.byte() % 4 == 3 {
            return Self::null();
        }
        Vec::<Bytes>::generate(source, layout).into()
    }
}

impl<T: Generate> Generate for Vec<T> {
    fn generate(source: &mut Source<'_>, layout: Layout) -> Self {
        let len = source.byte() % 4;
        (0..len).map(|_| T::generate(source, layout)).collect()
    }
}

impl<T: Generate> Generate for Option<T> {
    fn generate(source: &mut Source<'_>, layout: Layout) -> Self {
        if layout.nullable && source.byte() % 4 == 3 {
            return None;
        }
        Some(T::generate(source, layout))
    }
}
