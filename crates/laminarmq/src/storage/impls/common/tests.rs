//! What only a directory can show; `test_util::storages` has the rules that hold for every provider.

use std::fs;

use futures_lite::future::block_on;

use super::*;
use crate::storage::AsyncConsume;
use crate::storage::impls::file::{FileStorage, FileStorageError, FileStorageProvider};

type Files<Idx> = DiskBackedSegmentStorageProvider<FileStorage, FileStorageProvider, Idx>;

const STORE: &str = "00000000000000000007.log";
const INDEX: &str = "00000000000000000007.index";
const NEW: &str = "00000000000000000007.log.new";

fn kind<T>(result: Result<T, FileStorageError>) -> Option<io::ErrorKind> {
    match result {
        Err(FileStorageError::Io(error)) => Some(error.kind()),
        _ => None,
    }
}

#[test]
fn only_stores_are_segments_and_leftovers_of_a_replacement_go() {
    let dir = tempfile::tempdir().unwrap();
    for name in [STORE, NEW, "00000000000000000009.index", "7.log", "notes"] {
        fs::write(dir.path().join(name), "bytes").unwrap();
    }
    let mut files = Files::<u32>::new(dir.path()).unwrap();
    let bases = block_on(files.obtain_base_indices_of_stored_segments());
    assert_eq!(bases.unwrap(), [7]);
    assert!(!dir.path().join(NEW).exists());
    assert!(dir.path().join(STORE).exists() && dir.path().join("notes").exists());
}

#[test]
fn a_base_behind_the_type_of_indices_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("00000000000000000256.log"), "").unwrap();
    let mut files = Files::<u8>::new(dir.path()).unwrap();
    let bases = block_on(files.obtain_base_indices_of_stored_segments());
    assert_eq!(kind(bases), Some(io::ErrorKind::InvalidData));
    let mut files = Files::<u128>::new(dir.path()).unwrap();
    let segment = block_on(files.obtain(&u128::MAX));
    assert_eq!(kind(segment), Some(io::ErrorKind::InvalidInput));
}

#[test]
fn a_store_that_cannot_be_created_is_preceded_by_its_index() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(STORE)).unwrap();
    let mut files = Files::<u32>::new(dir.path()).unwrap();
    assert!(block_on(files.obtain(&7)).is_err());
    assert!(dir.path().join(INDEX).exists());
}

#[test]
fn whoever_has_a_replaced_store_keeps_it() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::<u32>::new(dir.path()).unwrap();
        let mut segment = files.obtain(&7).await.unwrap();
        // More than is copied at a time, and no multiple of it.
        let bytes: Vec<u8> = (0..700_001_u32).map(|n| n.to_le_bytes()[0]).collect();
        segment.store.append_slice(&bytes).await.unwrap();
        segment.index.append_slice(b"index").await.unwrap();
        let linked = dir.path().join("linked");
        fs::hard_link(dir.path().join(STORE), &linked).unwrap();
        fs::write(dir.path().join(NEW), [9; 900_000]).unwrap();

        let replaced = files.replace(&7, segment, 600_001).await.unwrap();
        assert!(matches!(replaced, Replaced::Done(_)));
        drop(replaced);
        assert_eq!(fs::read(dir.path().join(STORE)).unwrap(), bytes[..600_001]);
        assert_eq!(fs::read(dir.path().join(INDEX)).unwrap(), b"");
        assert_eq!(fs::read(linked).unwrap()[..bytes.len()], bytes);
        assert!(!dir.path().join(NEW).exists());
    });
}

#[test]
fn files_are_unlinked_and_read_within_their_bounds() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::<u32>::new(dir.path()).unwrap();
        let mut segment = files.obtain(&7).await.unwrap();
        segment.store.append_slice(b"hello").await.unwrap();
        for (position, size) in [(0, 6), (5, 1), (u64::MAX, 1), (1, u64::MAX)] {
            let read = segment.store.read(&position, &size).await;
            assert_eq!(kind(read), Some(io::ErrorKind::UnexpectedEof));
        }
        segment.store.remove().await.unwrap();
        assert!(!dir.path().join(STORE).exists() && dir.path().join(INDEX).exists());
        segment.index.remove().await.unwrap();
        assert!(!dir.path().join(INDEX).exists());
    });
}
