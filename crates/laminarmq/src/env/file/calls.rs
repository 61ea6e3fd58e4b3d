//! How a file's bytes are asked for.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, IoSlice};

/// A way to ask the operating system. Calls are made and waited for by the thread that needs them.
///
/// Lengths are as the system gives them: a write may write less than it was given, a read may read less than was asked
/// for, and 0 means that the disk is full, or that the file ends.
pub trait Calls: Debug + Send + Sync + 'static {
    /// Whether a storage with these calls may do without one where it puts bytes to memory that the file is mapped to.
    const MAY_MAP: bool = false;

    /// Writes at a position.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn write(file: &File, bytes: &[u8], position: u64) -> io::Result<usize>;

    /// Writes pieces one behind the other at a position; at most 1024 of them.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn write_pieces(file: &File, pieces: &[IoSlice<'_>], position: u64) -> io::Result<usize>;

    /// Reads from a position into the room that `buffer` has behind what is in it.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn read(file: &File, buffer: &mut Vec<u8>, position: u64) -> io::Result<usize>;

    /// Returns once the file's content and length are on the media.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn sync_data(file: &File) -> io::Result<()>;
}

/// Plain system calls, one each.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direct;

impl Calls for Direct {
    const MAY_MAP: bool = cfg!(target_os = "linux");

    #[inline(always)]
    fn write(file: &File, bytes: &[u8], position: u64) -> io::Result<usize> {
        Ok(rustix::io::pwrite(file, bytes, position)?)
    }

    fn write_pieces(file: &File, pieces: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(file, pieces, position)?)
    }

    #[inline(always)]
    fn read(file: &File, buffer: &mut Vec<u8>, position: u64) -> io::Result<usize> {
        let room = rustix::buffer::spare_capacity(buffer);
        Ok(rustix::io::pread(file, room, position)?)
    }

    fn sync_data(file: &File) -> io::Result<()> {
        file.sync_data()
    }
}
