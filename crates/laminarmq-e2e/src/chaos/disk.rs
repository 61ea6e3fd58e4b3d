//! A small file system that can be filled to the last byte.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A file system that takes more than this is not the small one that it should be.
const FILLER_BYTES_MAX: u64 = 4 << 30;
/// What is written at once, and what at last.
const PIECES: [usize; 2] = [1 << 20, 1];

/// One node's file system.
#[derive(Debug)]
pub struct Disk {
    filler: PathBuf,
}

impl Disk {
    /// The file system that is mounted at `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            filler: dir.join("filler"),
        }
    }

    /// Takes all room that there is now; again, where it was taken before and some became free. Returns how
    /// many bytes it has by then.
    ///
    /// # Panics
    /// When something else than a full disk ends it.
    pub fn fill(&self) -> u64 {
        let mut options = OpenOptions::new();
        let opened = options.create(true).append(true).open(&self.filler);
        let mut filler =
            opened.unwrap_or_else(|error| panic!("{error}: {}", self.filler.display()));
        for piece in PIECES {
            fill(&mut filler, &vec![0; piece]);
        }
        let bytes = filler.metadata().expect("an open file has a length").len();
        assert!(bytes < FILLER_BYTES_MAX, "{}", self.filler.display());
        bytes
    }

    /// Gives the room back.
    ///
    /// # Panics
    /// When it was not taken.
    pub fn free(&self) {
        std::fs::remove_file(&self.filler).expect("it was filled");
    }
}

fn fill(filler: &mut File, piece: &[u8]) {
    let mut bytes = 0;
    loop {
        match filler.write(piece) {
            Ok(written) => bytes += written as u64,
            Err(error) if error.kind() == ErrorKind::StorageFull => return,
            Err(error) => panic!("filling the disk: {error}"),
        }
        if bytes >= FILLER_BYTES_MAX {
            return;
        }
    }
}
