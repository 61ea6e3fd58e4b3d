//! Names in a log's directory, and the files that are replaced as a whole.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::env::Part;

const STORE_EXTENSION: &str = "log";
const STORE_EXTENSION_NEW: &str = "log.new";
const INDEX_EXTENSION: &str = "index";
const START_FILE: &str = "log.start";
const START_FILE_NEW: &str = "log.start.new";
/// Digits of a base index in a file name: as many as `u64::MAX` has.
const BASE_DIGITS: usize = 20;

/// Where the next content of a store is written before it takes its place.
pub(crate) fn new_store(store: &Path) -> PathBuf {
    store.with_extension(STORE_EXTENSION_NEW)
}

/// Removes a file, if there is one.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The name of a segment's file.
pub(crate) fn file_name(base_index: u64, part: Part) -> String {
    let extension = match part {
        Part::Store => STORE_EXTENSION,
        Part::Index => INDEX_EXTENSION,
    };
    format!("{base_index:0BASE_DIGITS$}.{extension}")
}

/// Base indices of the segments in a directory, ascending.
pub(crate) fn bases_in(dir: &Path) -> io::Result<Vec<u64>> {
    let mut bases = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        bases.extend(base_of_store(&entry?.path()));
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Creates a directory and its missing parents, and makes their names durable.
pub(crate) fn create_dir_durably(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_dir_durably(parent)?;
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

/// The base index in a store's file name; `None` for every other file.
fn base_of_store(path: &Path) -> Option<u64> {
    if path.extension()?.to_str()? != STORE_EXTENSION {
        return None;
    }
    let stem = path.file_stem()?.to_str()?;
    let digits = stem.len() == BASE_DIGITS && stem.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| stem.parse().ok()).flatten()
}

/// The start file of the log in a directory, if it has one.
pub(crate) fn read_start(dir: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(dir.join(START_FILE)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces it. Its bytes are on the media then, its name once the directory is synced.
pub(crate) fn write_start(dir: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = dir.join(START_FILE_NEW);
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(new, dir.join(START_FILE))
}

/// Removes it, if there is one.
pub(crate) fn remove_start(dir: &Path) -> io::Result<()> {
    remove_if_there(&dir.join(START_FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_store_names_are_segments() {
        let base = |name: &str| base_of_store(Path::new(name));
        assert_eq!(base("00000000000000000042.log"), Some(42));
        assert_eq!(base("18446744073709551615.log"), Some(u64::MAX));
        for other in [
            "00000000000000000042.index",
            "42.log",
            "0000000000000000004x.log",
            "+0000000000000000042.log",
            "18446744073709551616.log",
            "partition.meta",
            ".log",
        ] {
            assert_eq!(base(other), None, "{other}");
        }
    }
}
