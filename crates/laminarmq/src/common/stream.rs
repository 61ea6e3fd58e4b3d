//! What can be wrong with a stream of bytes.

/// A stream of bytes yielded an error, or more bytes than there was room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream yielded an error, or more bytes than may be written")]
pub struct StreamUnexpectedLength;
