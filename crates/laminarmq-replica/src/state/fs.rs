//! The few file operations that the `raft-state` journal needs, so that the simulator can own
//! them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Named files in one directory.
///
/// What [`StateFs::write`], [`StateFs::append`] and [`StateFs::rename`] did may be lost, or torn,
/// by a power cut, until the file and (for names) the directory are synced.
pub trait StateFs {
    /// The whole file, or `None` if there is none.
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Makes the file, or empties it, and writes `bytes`.
    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Adds `bytes` to the end of a file that exists.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Makes the file's bytes survive a power cut.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Gives a file another name, atomically replacing what had it.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Makes the names survive a power cut.
    fn sync_names(&mut self) -> io::Result<()>;
}

/// A directory of the file system.
#[derive(Debug)]
pub struct StateDir {
    dir: PathBuf,
    /// The file appended to last, kept open: appends and syncs come in pairs.
    open: Option<(String, File)>,
}

impl StateDir {
    /// Uses the directory `dir`, which must exist.
    #[must_use]
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self {
            dir: dir.as_ref().to_owned(),
            open: None,
        }
    }

    fn open(&mut self, name: &str) -> io::Result<&mut File> {
        if self.open.as_ref().is_none_or(|(open, _)| open != name) {
            let file = OpenOptions::new().append(true).open(self.dir.join(name))?;
            self.open = Some((name.to_owned(), file));
        }
        let (_, file) = self.open.as_mut().expect("set just above");
        Ok(file)
    }
}

impl StateFs for StateDir {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.dir.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.open = None;
        File::create(self.dir.join(name))?.write_all(bytes)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.open(name)?.write_all(bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.open(name)?.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.open = None;
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn sync_names(&mut self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}
