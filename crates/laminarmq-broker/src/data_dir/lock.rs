//! One process per data directory: the file `LOCK`, locked for as long as the process has it open.
//!
//! The lock is the operating system's and ends with the process, however it ends. The process id in the
//! file is for people only.

use super::error::DataDirError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

#[derive(Debug)]
pub(super) struct DirLock {
    /// Locked; dropping it unlocks.
    _file: File,
}

impl DirLock {
    pub(super) fn take(root: &Path) -> Result<Self, DataDirError> {
        let path = root.join("LOCK");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| DataDirError::io("open", &path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                return Err(DataDirError::InUse {
                    path: root.to_owned(),
                    pid,
                });
            }
            Err(TryLockError::Error(error)) => return Err(DataDirError::io("lock", &path, error)),
        }
        let mut write_pid = || {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write_pid().map_err(|error| DataDirError::io("write", &path, error))?;
        Ok(Self { _file: file })
    }
}
