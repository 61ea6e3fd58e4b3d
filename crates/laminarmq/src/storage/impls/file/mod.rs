//! Files, written and read at positions, through the page cache. No runtime is needed: futures are ready at the first
//! poll, and block for as long as the operating system takes.

mod error;
mod storage;

pub use error::FileStorageError;
pub use storage::{FileStorage, FileStorageProvider, PathStorage, PathStorageProvider};
#[cfg(all(feature = "io_uring", target_os = "linux"))]
pub use storage::{UringStorage, UringStorageProvider};
