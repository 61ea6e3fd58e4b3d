//! How a schema becomes code.
//!
//! A message is written down once, in `messages/<api>.rs`, as a list of fields with the versions that have
//! them; the API table in [`crate::api`] says which versions exist and from which one on they are flexible.
//! [`Wire`] reads and writes a value in a [`Layout`]; the macro `schema!` implements it for structures, and
//! nothing else knows about versions.

mod macros;
mod wire;

pub(crate) use macros::schema;

use std::fmt::Debug;

use bytes::Bytes;

use crate::primitives::reader::{DecodeError, DecodeReason, Reader};
use crate::primitives::writer::{EncodeError, EncodeReason, Writer};
use crate::{ApiKey, ErrorCode};

/// What a value's form on the wire depends on, besides its type.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The message's version.
    pub version: i16,
    /// Whether lengths are compact and structures end with tagged fields.
    pub flexible: bool,
    /// Whether null is allowed for the field at hand.
    pub nullable: bool,
}

impl Layout {
    pub(crate) const fn nullable(self, nullable: bool) -> Self {
        Self { nullable, ..self }
    }
}

/// A value that stands in messages.
pub trait Wire: Sized {
    /// The fewest bytes that a value takes, to judge the count of an array by.
    fn min_len(layout: Layout) -> usize;
    /// Takes a value from the front of the reader.
    fn read(r: &mut Reader, layout: Layout) -> Result<Self, DecodeError>;
    /// Appends the value.
    fn write(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError>;
    /// Calls `found` with every error code in the value, [`ErrorCode::NONE`] too.
    fn error_codes(&self, found: &mut dyn FnMut(ErrorCode)) {
        // Most types hold none.
        let _ = found;
    }
}

/// First and last version, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The first one.
    pub min: i16,
    /// The last one.
    pub max: i16,
}

impl Versions {
    /// Whether `version` is one of them.
    #[must_use]
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// The highest version in both ranges: what a client picks after it was told `other`.
    #[must_use]
    pub fn highest_common(self, other: Self) -> Option<i16> {
        let max = self.max.min(other.max);
        (max >= self.min.max(other.min)).then_some(max)
    }
}

/// The body of a request or of a response.
pub trait Message: Wire + Default + Debug + Clone + PartialEq {
    /// The API that it belongs to.
    const API: ApiKey;
    /// The versions that can be read and written.
    const VERSIONS: Versions;
    /// The first version with compact lengths and tagged fields.
    const FLEXIBLE_FROM: i16;
    /// The message's name, for errors.
    const NAME: &'static str;

    /// Reads the body in this version and leaves what follows it; [`Self::decode_exact`] refuses that.
    fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(r
                .error(DecodeReason::UnsupportedVersion(version))
                .or_at(Self::NAME, "version"));
        }
        Self::read(r, layout::<Self>(version))
    }

    /// Reads the body from the whole of `body`. Bytes behind the last field are an error: either the peer's
    /// idea of this version differs from ours, or it is up to no good.
    fn decode_exact(body: Bytes, version: i16) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        let message = Self::decode(&mut r, version)?;
        r.finish().map_err(|e| e.or_at(Self::NAME, "end"))?;
        Ok(message)
    }

    /// Writes the body in this version. Fails when a field holds what the version cannot say, unless the
    /// schema calls the field ignorable.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::new(EncodeReason::UnsupportedVersion(version))
                .or_at(Self::NAME, "version"));
        }
        self.write(w, layout::<Self>(version))
    }
}

pub(crate) fn layout<M: Message>(version: i16) -> Layout {
    Layout {
        version,
        flexible: version >= M::FLEXIBLE_FROM,
        nullable: false,
    }
}

/// The body of a request.
pub trait Request: Message {
    /// The API, as its number stands in the header.
    const KEY: ApiKey = Self::API;
    /// What it is answered with, in the same version.
    type Response: Message;
}
