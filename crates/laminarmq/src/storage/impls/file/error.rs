use std::io;

use crate::common::stream::StreamUnexpectedLength;

/// What can be wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileStorageError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A stream that was to be appended failed, or was too long.
    #[error(transparent)]
    Stream(#[from] StreamUnexpectedLength),
}
