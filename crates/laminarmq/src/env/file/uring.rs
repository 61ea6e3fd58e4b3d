//! File calls through an io_uring of the calling thread.
//!
//! Invariants, which make the two `unsafe` places sound:
//!
//! ```text
//! a ring belongs to one thread, and has at most one entry under way
//! the memory and the file that an entry names are borrowed until its completion was taken
//! ```
//!
//! So nothing here is asynchronous: what this gives is another way into the kernel, which a system may prefer or
//! forbid. Where it forbids it, opening says so.

#![expect(
    unsafe_code,
    reason = "the kernel is given addresses; the module's invariants say why they stay valid"
)]

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;

use io_uring::squeue::Entry;
use io_uring::{IoUring, opcode, types};

use super::calls::Calls;

/// Entries of a ring: one is enough for one call at a time.
const ENTRIES: u32 = 2;

thread_local! {
    static RING: RefCell<Option<IoUring>> = const { RefCell::new(None) };
}

/// Calls through an io_uring.
#[derive(Debug, Clone, Copy, Default)]
pub struct Uring;

impl Uring {
    /// Whether the system lets this thread have a ring.
    pub(super) fn check() -> io::Result<()> {
        with_ring(|_| Ok(()))
    }
}

fn refused(error: &io::Error) -> io::Error {
    let what = format!(
        "this system refuses io_uring ({error}); it may be switched off (sysctl kernel.io_uring_disabled), forbidden \
         to containers, or unknown to this kernel; open the log on plain files instead"
    );
    io::Error::new(error.kind(), what)
}

/// Runs `work` with this thread's ring, which is made at its first use.
fn with_ring<T>(work: impl FnOnce(&mut IoUring) -> io::Result<T>) -> io::Result<T> {
    RING.with_borrow_mut(|slot| {
        let ring = match slot {
            Some(ring) => ring,
            None => slot.insert(IoUring::new(ENTRIES).map_err(|error| refused(&error))?),
        };
        work(ring)
    })
}

/// Has one entry carried out.
///
/// # Safety
///
/// What the entry names, its file and its memory, is valid until this returns, and nobody else uses the memory in a way
/// that the entry's operation rules out.
unsafe fn call(entry: &Entry) -> io::Result<usize> {
    with_ring(|ring| {
        // SAFETY: the caller vouches for the entry until this function returns, which it does only once the entry's
        // completion was taken, or the process ends.
        unsafe { ring.submission().push(entry) }.expect("no other entry is under way");
        loop {
            match ring.submit_and_wait(1) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The entry may be under way, and its memory must not be given back.
                Err(error) => unreachable_ring(&error),
            }
            if let Some(done) = ring.completion().next() {
                let result = done.result();
                return usize::try_from(result)
                    .map_err(|_| io::Error::from_raw_os_error(result.wrapping_neg()));
            }
        }
    })
}

/// A ring that no longer answers, with an entry under way that may still write to memory.
fn unreachable_ring(error: &io::Error) -> ! {
    tracing::error!(%error, "the io_uring failed with a call under way");
    std::process::abort()
}

/// A length as an entry has it; what is longer is done in parts by the caller.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(1 << 30)
}

impl Calls for Uring {
    fn write(file: &File, bytes: &[u8], position: u64) -> io::Result<usize> {
        let fd = types::Fd(file.as_raw_fd());
        let entry = opcode::Write::new(fd, bytes.as_ptr(), length(bytes.len()));
        let entry = entry.offset(position).build();
        // SAFETY: `file` and `bytes` are borrowed until the call returns, and the kernel only reads them.
        unsafe { call(&entry) }
    }

    fn write_pieces(file: &File, pieces: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        let fd = types::Fd(file.as_raw_fd());
        // The standard library guarantees that an `IoSlice` is laid out as an `iovec`.
        let entry = opcode::Writev::new(fd, pieces.as_ptr().cast(), length(pieces.len()));
        let entry = entry.offset(position).build();
        // SAFETY: `file`, `pieces` and what they point to are borrowed until the call returns, and the kernel
        // only reads them.
        unsafe { call(&entry) }
    }

    fn read(file: &File, buffer: &mut Vec<u8>, position: u64) -> io::Result<usize> {
        let fd = types::Fd(file.as_raw_fd());
        let (filled, room) = (buffer.len(), buffer.spare_capacity_mut());
        let room_length = length(room.len());
        let entry = opcode::Read::new(fd, room.as_mut_ptr().cast(), room_length);
        let entry = entry.offset(position).build();
        // SAFETY: `file` is borrowed and `buffer` borrowed alone until the call returns; the kernel writes to its
        // room only.
        let read = unsafe { call(&entry) }?;
        assert!(read <= room_length as usize, "a read keeps within its room");
        // SAFETY: the kernel wrote so many bytes behind what was filled, within the buffer's capacity.
        unsafe { buffer.set_len(filled + read) };
        Ok(read)
    }

    fn sync_data(file: &File) -> io::Result<()> {
        let fd = types::Fd(file.as_raw_fd());
        let entry = opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC);
        let entry = entry.build();
        // SAFETY: `file` is borrowed until the call returns, and the entry names no memory.
        unsafe { call(&entry) }.map(drop)
    }
}
