//! A stretch of a file as memory: bytes are put into it without a call, and are with the operating system then, as those
//! of a write are.
//!
//! What makes the `unsafe` places sound:
//!
//! - No reference to the mapped memory is ever made: it is only copied into, within its bounds, which are checked. So it
//!   does not matter that the file may be read, written and synced by others meanwhile.
//! - A [`Map`] is the only one that knows its address, and unmaps it once, when it is dropped.
//!
//! What keeps the process alive (the system ends one that touches a page which it cannot provide): only what was written is
//! touched of a stretch, on a file system that overwrites blocks in place, so that they are there; and whoever has the
//! map gives it up before the file is cut. The stretch may be longer than the file: one for many steps by which the
//! file grows spares mapping each of them anew.

#![allow(
    unsafe_code,
    reason = "an append of 12 bytes takes a tenth of the time of a system call, see docs/adr/0010"
)]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ptr::{self, NonNull};

use rustix::fs::{FsWord, fstatfs};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Bytes that a stretch has to begin at a multiple of, so that it does so at a page, as long as pages have at most so
/// many.
const ALIGNMENT: u64 = 64 << 10;

/// ext2, ext3, ext4; xfs; tmpfs.
const IN_PLACE: [FsWord; 3] = [0xef53, 0x5846_5342, 0x0102_1994];

/// Whether the file is on a file system that overwrites blocks in place, and needs no room for that.
pub(super) fn is_safe_for(file: &File) -> bool {
    fstatfs(file).is_ok_and(|stat| IN_PLACE.contains(&stat.f_type))
}

/// A stretch of a file as memory.
#[derive(Debug)]
pub(super) struct Map {
    at: NonNull<c_void>,
    length: usize,
    /// Its place in the file.
    start: u64,
    /// Up to where the file was written: nothing is touched from there on.
    written: u64,
}

// SAFETY: the memory belongs to no thread, and `&Map` gives no way to it.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// The stretch of `file` that has the bytes from `from` to `written`, up to where the file was written, and is at least
    /// `stretch` bytes long.
    pub(super) fn of(file: &File, from: u64, written: u64, stretch: u64) -> io::Result<Self> {
        let start = from - from % ALIGNMENT;
        let length = usize::try_from((written - start).max(stretch)).map_err(io::Error::other)?;
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: the system chooses an address where nothing is.
        let at = unsafe { mmap(ptr::null_mut(), length, protection, flags, file, start) }?;
        let at = NonNull::new(at).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            at,
            length,
            start,
            written,
        })
    }

    /// Takes note that the file was written up to there; says whether the stretch goes as far.
    pub(super) fn extend(&mut self, written: u64) -> bool {
        let is_in = written.saturating_sub(self.start) <= self.length as u64;
        if is_in {
            self.written = self.written.max(written);
        }
        is_in
    }

    /// Whether the bytes from `position` to `end` are in it, and were written.
    #[inline]
    pub(super) fn has(&self, position: u64, end: u64) -> bool {
        self.start <= position && position <= end && end <= self.written
    }

    /// Up to where it can be used, as a place in the file.
    #[inline]
    pub(super) fn end(&self) -> u64 {
        self.written
    }

    /// Puts bytes to that place of the file.
    #[inline]
    pub(super) fn put(&mut self, position: u64, bytes: &[u8]) {
        let end = position + bytes.len() as u64;
        assert!(self.has(position, end), "outside of the mapped stretch");
        let from = usize::try_from(position - self.start).expect("less than the length");
        // SAFETY: `from + bytes.len() <= self.written - self.start <= self.length`, so this stays in the mapping; `bytes` are
        // no part of it, as nobody can have a reference to it.
        unsafe {
            let to = self.at.as_ptr().cast::<u8>().add(from);
            ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: this is what was mapped, and nobody has its address any more.
        let unmapped = unsafe { munmap(self.at.as_ptr(), self.length) };
        debug_assert!(unmapped.is_ok(), "a mapping of ours is there");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn what_is_put_is_read_from_the_file_and_the_rest_stays() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[1; 300_000], 0).unwrap();
        let mut map = Map::of(&file, 200_000, 250_001, 1 << 20).unwrap();
        assert!(map.has(200_000, 250_001) && !map.has(250_000, 250_002));
        assert!(map.extend(300_000) && !map.extend(3 << 20));
        assert!(map.has(200_000, 300_000) && map.has(250_000, 250_000));
        assert!(!map.has(100_000, 200_001) && !map.has(299_999, 300_001));
        assert_eq!(map.end(), 300_000);
        map.put(200_000, b"first");
        map.put(299_996, b"last");
        let mut read = [0; 300_000];
        file.read_exact_at(&mut read, 0).unwrap();
        let mut want = [1; 300_000];
        want[200_000..200_005].copy_from_slice(b"first");
        want[299_996..].copy_from_slice(b"last");
        assert!(read == want);
        drop(map);
        file.read_exact_at(&mut read, 0).unwrap();
        assert!(read == want);
    }

    #[test]
    #[should_panic(expected = "outside of the mapped stretch")]
    fn nothing_is_put_outside() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[1; 100], 0).unwrap();
        Map::of(&file, 0, 100, 4096).unwrap().put(98, b"abc");
    }
}
