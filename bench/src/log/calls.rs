//! The system calls that the limits consist of. Each is one call that must do all of it.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;

use clap::ValueEnum;

/// By which way the limits enter the kernel.
///
/// Where the kernel guards its returns against speculation, the first return of user code to a frame from
/// before a call is mispredicted, which may take longer than 100 ns. A call through the C library always pays
/// that; the instruction inlined into a loop that does nothing else does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Calls {
    /// Through the C library, as the standard library does: what bare calls cost a program.
    Libc,
    /// The instruction itself in the loop of the limit: what they cost the machine.
    Raw,
}

fn whole(done: usize, of: usize) -> io::Result<()> {
    if done == of {
        Ok(())
    } else {
        Err(io::Error::other(format!("a call did {done} of {of} bytes")))
    }
}

impl Calls {
    /// `write(2)` at the file's cursor.
    ///
    /// # Errors
    /// When it fails or does a part only, as all others here.
    #[inline]
    pub fn write(self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        let done = match self {
            Self::Raw => rustix::io::write(file, bytes)?,
            Self::Libc => file.write(bytes)?,
        };
        whole(done, bytes.len())
    }

    /// `writev(2)` at the file's cursor, of `length` bytes together.
    ///
    /// # Errors
    /// As [`Self::write`].
    #[inline]
    pub fn writev(self, mut file: &File, slices: &[IoSlice<'_>], length: usize) -> io::Result<()> {
        let done = match self {
            Self::Raw => rustix::io::writev(file, slices)?,
            Self::Libc => file.write_vectored(slices)?,
        };
        whole(done, length)
    }

    /// `pread(2)` of the whole buffer.
    ///
    /// # Errors
    /// As [`Self::write`].
    #[inline]
    pub fn pread(self, file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let of = buffer.len();
        let done = match self {
            Self::Raw => rustix::io::pread(file, buffer, at)?,
            Self::Libc => file.read_at(buffer, at)?,
        };
        whole(done, of)
    }

    /// Reads a file from its start to its end, `piece` bytes at a time into the same buffer; returns its
    /// length.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn read_through(self, file: &File, piece: usize) -> io::Result<u64> {
        let length = file.metadata()?.len();
        let mut buffer = vec![0; piece];
        let mut at = 0;
        while at < length {
            let left = usize::try_from(length - at).unwrap_or(usize::MAX);
            let buffer = &mut buffer[..piece.min(left)];
            self.pread(file, buffer, at)?;
            std::hint::black_box(&*buffer);
            at += buffer.len() as u64;
        }
        Ok(length)
    }
}
