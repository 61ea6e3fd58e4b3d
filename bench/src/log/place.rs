//! Where a run has its files, and how the disk comes to rest after it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// A new directory for one run. Dropping it removes everything in it and waits until the disk has nothing
/// left to do.
#[derive(Debug)]
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// Makes the directory `name` in `parent`.
    ///
    /// # Errors
    /// When it is there already, or cannot be made.
    pub fn new(parent: &Path, name: &str) -> io::Result<Self> {
        let dir = parent.join(name);
        fs::create_dir(&dir)?;
        Ok(Self { dir })
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A new file in it, for writing and reading.
    ///
    /// # Errors
    /// What the system says.
    pub fn file(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.path(name))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            eprintln!("{} stays behind: {error}", self.dir.display());
        }
        rustix::fs::sync();
    }
}

/// Has the kernel forget all files that are on the disk already, so that they are read from there.
///
/// # Errors
/// Where this process may not: a number with warm caches would say something else.
pub fn drop_caches() -> io::Result<()> {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").map_err(|error| {
        let why = format!(
            "cannot drop the page cache (run as root, outside of a container that forbids it): {error}"
        );
        io::Error::new(error.kind(), why)
    })
}
