//! One file of a segment.
//!
//! - Reads and writes name their position; writes stand at the file's end, which only the owner moves.
//! - `length <= reserved`, and between the two the file holds zeros that were written ahead.

use std::fs::File;
use std::future::{Future, ready};
use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::calls::{Calls, Direct};
use super::open_files::{OpenFiles, Slot};
use crate::env::{LogFile, ReadAt, SyncNow};
use crate::limits::{PIECES_MAX, WRITE_AHEAD_PIECE, WRITE_BYTES_MAX};

/// A store or an index on a file system.
#[derive(Debug)]
pub struct LocalFile<C = Direct> {
    slot: Arc<Slot>,
    /// The file, while it is being written to; it is kept open then.
    pinned: Option<Arc<File>>,
    length: u64,
    reserved: u64,
    calls: PhantomData<fn() -> C>,
}

impl<C: Calls> LocalFile<C> {
    pub(crate) fn open(files: &OpenFiles, path: PathBuf) -> io::Result<Self> {
        let slot = files.open(path)?;
        let length = slot.get()?.metadata()?.len();
        Ok(Self {
            slot,
            pinned: None,
            length,
            reserved: length,
            calls: PhantomData,
        })
    }

    /// Returns once what was written is on the media.
    pub(crate) fn sync(&self) -> io::Result<()> {
        sync_content::<C>(&self.slot)
    }

    #[inline(always)]
    fn append_now(&mut self, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        let (start, file) = (self.length, self.pinned()?);
        // Nearly all appends are one piece that is written at once.
        let (position, result) = match &*pieces {
            [piece] if piece.len() <= room_at(start) => match C::write(file, piece, start) {
                Ok(written) if written == piece.len() => (start + written as u64, Ok(())),
                Ok(_) | Err(_) => write_all::<C>(file, start, pieces),
            },
            _ => write_all::<C>(file, start, pieces),
        };
        self.length = position;
        self.reserved = self.reserved.max(position);
        self.slot.wrote();
        result
    }

    /// The file itself, to be mapped, and where what was written and where what was reserved ends in it.
    #[cfg(target_os = "linux")]
    pub(super) fn reserved_stretch(&mut self) -> io::Result<(&File, u64, u64)> {
        let (length, reserved) = (self.length, self.reserved);
        Ok((self.pinned()?, length, reserved))
    }

    /// Takes note that the owner put so many bytes behind the last ones, to where was reserved.
    #[cfg(target_os = "linux")]
    #[inline]
    pub(super) fn was_put(&mut self, length: u64) {
        self.length += length;
        assert!(self.length <= self.reserved, "only what is there is mapped");
        self.slot.wrote();
    }

    #[inline(never)]
    fn read_unpinned(&self, position: u64, length: usize) -> io::Result<Bytes> {
        read_exactly::<C>(&*self.slot.get()?, position, length)
    }

    /// The file, to be changed.
    fn pinned(&mut self) -> io::Result<&File> {
        if self.pinned.is_none() {
            self.pinned = Some(self.slot.get()?);
            self.slot.pin();
        }
        Ok(self.pinned.as_deref().expect("it was pinned just now"))
    }
}

impl<C> Drop for LocalFile<C> {
    fn drop(&mut self) {
        if self.pinned.take().is_some() {
            self.slot.unpin();
        }
    }
}

/// Most bytes of a write at `position`, see [`WRITE_BYTES_MAX`].
fn room_at(position: u64) -> usize {
    let behind_boundary = position % WRITE_BYTES_MAX as u64;
    WRITE_BYTES_MAX - usize::try_from(behind_boundary).expect("below a usize")
}

/// Writes all pieces from `position` on; says where that ended, and how.
fn write_all<C: Calls>(
    file: &File,
    mut position: u64,
    mut pieces: &mut [IoSlice<'_>],
) -> (u64, io::Result<()>) {
    IoSlice::advance_slices(&mut pieces, 0); // leaves out empty ones, so that 0 written means full
    while !pieces.is_empty() {
        match write_some::<C>(file, position, pieces) {
            Ok(0) => return (position, Err(io::ErrorKind::WriteZero.into())),
            Ok(written) => {
                position += written as u64;
                IoSlice::advance_slices(&mut pieces, written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (position, Err(error)),
        }
    }
    (position, Ok(()))
}

/// One write at `position`: as many whole pieces as [`WRITE_BYTES_MAX`] allows, or a part of the first.
fn write_some<C: Calls>(file: &File, position: u64, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    let room = room_at(position);
    if let [piece] = pieces {
        return C::write(file, &piece[..piece.len().min(room)], position);
    }
    let mut bytes = 0;
    let fits = |piece: &&IoSlice<'_>| {
        bytes += piece.len();
        bytes <= room
    };
    match pieces.iter().take(PIECES_MAX).take_while(fits).count() {
        0 => C::write(file, &pieces[0][..room], position),
        whole => C::write_pieces(file, &pieces[..whole], position),
    }
}

impl<C: Calls> LogFile for LocalFile<C> {
    type Reader = LocalReader<C>;

    fn len(&self) -> u64 {
        self.length
    }

    // These two are done before there is a future, and inlined: what is awaited then costs nothing.

    #[inline(always)]
    fn append(&mut self, pieces: &mut [IoSlice<'_>]) -> impl Future<Output = io::Result<()>> {
        ready(self.append_now(pieces))
    }

    #[inline(always)]
    fn read_at(&self, position: u64, length: usize) -> impl Future<Output = io::Result<Bytes>> {
        ready(match &self.pinned {
            Some(file) => read_exactly::<C>(file, position, length),
            None => self.read_unpinned(position, length),
        })
    }

    async fn truncate(&mut self, length: u64) -> io::Result<()> {
        assert!(
            length <= self.length,
            "truncation never makes a file longer"
        );
        self.pinned()?.set_len(length)?;
        (self.length, self.reserved) = (length, length);
        self.slot.wrote();
        Ok(())
    }

    fn reader(&self) -> LocalReader<C> {
        LocalReader {
            slot: Arc::clone(&self.slot),
            held: None,
            calls: PhantomData,
        }
    }

    async fn reserve(&mut self, length: u64) -> io::Result<()> {
        let reserved = self.reserved;
        if length <= reserved {
            return Ok(());
        }
        let file = self.pinned()?;
        let written = write_zeros::<C>(file, reserved, length);
        if written.is_err() {
            file.set_len(reserved)?;
        } else {
            self.reserved = length;
        }
        self.slot.wrote();
        written
    }

    fn reserved(&self) -> u64 {
        self.reserved
    }

    fn rest(&mut self) {
        if self.pinned.take().is_some() {
            self.slot.unpin();
        }
    }
}

/// In pieces that begin and end at multiples of their length, where the file has them: memory that the system finds for as
/// much at once costs it a fraction of what it costs page by page, and so does mapping it.
fn write_zeros<C: Calls>(file: &File, mut position: u64, end: u64) -> io::Result<()> {
    static ZEROS: [u8; WRITE_AHEAD_PIECE] = [0; WRITE_AHEAD_PIECE];
    while position < end {
        let piece_end = (position + 1).next_multiple_of(WRITE_AHEAD_PIECE as u64);
        let length = usize::try_from(end.min(piece_end) - position).expect("at most a piece");
        let zeros = IoSlice::new(&ZEROS[..length]);
        match write_some::<C>(file, position, &[zeros]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => position += written as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Exactly `length` bytes from `position`, into memory that is not filled with zeros first.
#[inline(always)]
fn read_exactly<C: Calls>(file: &File, position: u64, length: usize) -> io::Result<Bytes> {
    if length == 0 {
        return Ok(Bytes::new()); // a read into no memory at all is refused
    }
    let mut buffer = Vec::with_capacity(length);
    match C::read(file, &mut buffer, position) {
        Ok(read) if read == length => {}
        read => read_rest::<C>(file, position, length, &mut buffer, read)?,
    }
    Ok(buffer.into())
}

/// Fills up what a first read, which may have failed, left.
#[cold]
fn read_rest<C: Calls>(
    file: &File,
    position: u64,
    length: usize,
    buffer: &mut Vec<u8>,
    mut read: io::Result<usize>,
) -> io::Result<()> {
    loop {
        match read {
            // An allocation may have more room than was asked for.
            _ if buffer.len() >= length => {
                buffer.truncate(length);
                return Ok(());
            }
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        read = C::read(file, buffer, position + buffer.len() as u64);
    }
}

/// Reads a file beside its owner, and opens it where it had been closed.
#[derive(Debug)]
pub struct LocalReader<C = Direct> {
    slot: Arc<Slot>,
    held: Option<Arc<File>>,
    calls: PhantomData<fn() -> C>,
}

impl<C> Clone for LocalReader<C> {
    fn clone(&self) -> Self {
        Self {
            slot: Arc::clone(&self.slot),
            held: self.held.clone(),
            calls: PhantomData,
        }
    }
}

impl<C: Calls> ReadAt for LocalReader<C> {
    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        match &self.held {
            Some(file) => read_exactly::<C>(file, position, length),
            None => read_exactly::<C>(&*self.slot.get()?, position, length),
        }
    }

    fn hold(&mut self) -> io::Result<()> {
        self.held = Some(self.slot.get()?);
        Ok(())
    }
}

impl ReadAt for Arc<File> {
    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        read_exactly::<Direct>(self, position, length)
    }
}

/// Syncs a file's content and length, or a directory's names.
#[derive(Debug)]
pub struct LocalSync<C = Direct> {
    what: What,
    calls: PhantomData<fn() -> C>,
}

#[derive(Debug)]
enum What {
    Content(Arc<Slot>),
    Names(Arc<File>),
}

impl<C: Calls> LocalSync<C> {
    pub(super) fn content(file: &LocalFile<C>) -> Self {
        Self {
            what: What::Content(Arc::clone(&file.slot)),
            calls: PhantomData,
        }
    }

    pub(super) fn names(directory: &Arc<File>) -> Self {
        Self {
            what: What::Names(Arc::clone(directory)),
            calls: PhantomData,
        }
    }
}

impl<C: Calls> SyncNow for LocalSync<C> {
    fn sync(&self) -> io::Result<()> {
        match &self.what {
            What::Content(slot) => sync_content::<C>(slot),
            What::Names(directory) => directory.sync_all(),
        }
    }
}

/// Syncs what was written to a file before the call. Where that is on the media already, the file may be closed, or
/// its name gone or given to another; there is nothing to do then.
fn sync_content<C: Calls>(slot: &Arc<Slot>) -> io::Result<()> {
    let writes = slot.writes();
    if slot.is_synced(writes) {
        return Ok(());
    }
    match slot.get() {
        Ok(file) => C::sync_data(&file)?,
        // Never written to by us, or it would still be open; and the name is gone meanwhile.
        Err(error) if writes == 0 && error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    slot.synced(writes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::poll_ready;

    #[test]
    fn pieces_of_all_sizes_arrive_whole_wherever_the_file_ends() {
        let dir = tempfile::tempdir().unwrap();
        let files = OpenFiles::default();
        let mut file = LocalFile::<Direct>::open(&files, dir.path().join("file")).unwrap();
        let mut want = Vec::new();
        let max = WRITE_BYTES_MAX;
        let mut byte = 0u8;
        for lengths in [
            vec![1, 0, max - 2, 1, 1],
            vec![max],
            vec![3 * max + 17, 5, 0, max],
            vec![0, 7, max - 24, max + 1],
            vec![1; 3000],
        ] {
            let pieces: Vec<Vec<u8>> = lengths
                .iter()
                .map(|length| {
                    byte = byte.wrapping_add(1);
                    vec![byte; *length]
                })
                .collect();
            let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            poll_ready(file.append(&mut slices)).unwrap();
            want.extend(pieces.concat());
            assert_eq!(file.len(), want.len() as u64);
        }
        assert_eq!(poll_ready(file.read_at(3, 0)).unwrap(), "");
        let read = poll_ready(file.read_at(0, want.len())).unwrap();
        assert!(read == want);
    }

    #[test]
    fn reserved_zeros_are_overwritten_and_never_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let files = OpenFiles::default();
        let mut file = LocalFile::<Direct>::open(&files, path.clone()).unwrap();
        let length = || std::fs::metadata(&path).unwrap().len();
        poll_ready(file.append(&mut [IoSlice::new(b"abc")])).unwrap();
        poll_ready(file.reserve(200_000)).unwrap();
        assert_eq!(
            (file.len(), file.reserved(), length()),
            (3, 200_000, 200_000)
        );
        poll_ready(file.append(&mut [IoSlice::new(b"def")])).unwrap();
        assert_eq!((file.len(), length()), (6, 200_000));
        assert_eq!(poll_ready(file.read_at(0, 6)).unwrap(), "abcdef");
        poll_ready(file.append(&mut [IoSlice::new(&vec![1; 300_000])])).unwrap();
        assert_eq!((file.len(), file.reserved()), (300_006, 300_006));
        poll_ready(file.reserve(400_000)).unwrap();
        poll_ready(file.truncate(5)).unwrap();
        assert_eq!((file.len(), file.reserved(), length()), (5, 5, 5));
    }

    #[test]
    fn a_file_without_writes_that_is_gone_has_nothing_to_sync() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let files = OpenFiles::at_most(0);
        let file = LocalFile::<Direct>::open(&files, path.clone()).unwrap();
        // Another one is opened, for which this one is closed.
        let _other = LocalFile::<Direct>::open(&files, dir.path().join("other")).unwrap();
        let sync = LocalSync::content(&file);
        std::fs::remove_file(path).unwrap();
        sync.sync().unwrap();
    }
}
