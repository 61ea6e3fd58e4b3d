//! The few operations on files and folders that the data directory needs, each with its syncs.

use super::error::DataDirError;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

/// Makes `path` and the folders above it; each new entry is on disk when this returns.
pub(super) fn create_dir_all(path: &Path) -> Result<(), DataDirError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent(path);
    create_dir_all(parent)?;
    match fs::create_dir(path) {
        Ok(()) => sync_dir(parent),
        // Another process was faster; the lock decides who may go on.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(DataDirError::io("make the folder", path, error)),
    }
}

/// The folder that holds `path`; the current one for a bare name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// Puts the entries of folder `path` on disk.
pub(super) fn sync_dir(path: &Path) -> Result<(), DataDirError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| DataDirError::io("sync the folder", path, error))
}

/// Replaces file `name` in `dir` as a whole: after a crash it has the old or the new content.
pub(super) fn write_whole(dir: &Path, name: &str, content: &[u8]) -> Result<(), DataDirError> {
    let path = dir.join(name);
    let aside = dir.join(format!("{name}.new"));
    let write = || {
        let mut file = File::create(&aside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&aside, &path)
    };
    write().map_err(|error| DataDirError::io("write", &path, error))?;
    sync_dir(dir)
}

/// The whole file, or `None` when it is not there.
pub(super) fn read_whole(path: &Path) -> Result<Option<Vec<u8>>, DataDirError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DataDirError::io("read", path, error)),
    }
}

/// Names in folder `path`, sorted. A name that is not UTF-8 is none of ours and left out.
pub(super) fn list(path: &Path) -> Result<Vec<String>, DataDirError> {
    let wrong = |error| DataDirError::io("list", path, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(wrong)? {
        if let Ok(name) = entry.map_err(wrong)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes folder `path` with everything in it.
pub(super) fn remove_dir_all(path: &Path) -> Result<(), DataDirError> {
    fs::remove_dir_all(path).map_err(|error| DataDirError::io("remove", path, error))
}
