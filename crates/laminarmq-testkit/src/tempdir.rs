//! Directories for tests: removed at the end, kept (and named) when the test fails.

use std::path::{Path, PathBuf};

/// Where test directories are made; the system's temporary directory when not set. Point it at the
/// file system that is to be tested: a sync means little on one that lives in memory.
const PARENT_VARIABLE: &str = "LAMINARMQ_TEST_DIR";

/// A file system in memory, on most systems.
const MEMORY: &str = "/dev/shm";

/// A directory of its own for one test.
#[derive(Debug)]
pub struct TestDir {
    dir: Option<tempfile::TempDir>,
}

impl TestDir {
    /// Makes a fresh directory whose name starts with `name`.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let parent = std::env::var_os(PARENT_VARIABLE);
        Self::make(&parent.map_or_else(std::env::temp_dir, PathBuf::from), name)
    }

    /// The same in memory, where the system has a place for that: for many short-lived files of which it
    /// does not matter when they reach a disk.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn in_memory(name: &str) -> Self {
        let memory = Path::new(MEMORY);
        if std::env::var_os(PARENT_VARIABLE).is_none() && memory.is_dir() {
            Self::make(memory, name)
        } else {
            Self::new(name)
        }
    }

    fn make(parent: &Path, name: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix(&format!("laminarmq-{name}-"))
            .tempdir_in(parent)
            .unwrap_or_else(|error| {
                panic!(
                    "cannot make a test directory in {}: {error}",
                    parent.display()
                )
            });
        Self { dir: Some(dir) }
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir
            .as_ref()
            .expect("the directory is taken only at the end")
            .path()
    }

    /// A path inside the directory; nothing is made there.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Keeps the directory, and says where it is.
    #[must_use]
    pub fn keep(mut self) -> PathBuf {
        let dir = self.dir.take();
        dir.expect("the directory is taken only at the end").keep()
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        if let Some(dir) = self.dir.take()
            && std::thread::panicking()
        {
            eprintln!("kept for a look: {}", dir.keep().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_there_while_held_and_gone_afterwards() {
        let dir = TestDir::new("tempdir");
        let path = dir.path().to_owned();
        std::fs::write(dir.join("file"), b"content").expect("the directory takes files");
        assert!(path.join("file").exists());
        drop(dir);
        assert!(!path.exists());
    }
}
