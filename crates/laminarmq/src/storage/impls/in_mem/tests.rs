//! What only memory can show; `test_util::storages` has the rules that hold for every provider.

use futures_lite::future::block_on;

use super::segment::InMemSegmentStorageProvider;
use super::storage::{InMemStorage, InMemStorageError};
use crate::storage::commit_log::segmented_log::segment::{Replaced, SegmentStorageProvider};
use crate::storage::{AsyncConsume, Sizable, Storage};

#[test]
fn reads_outside_are_errors() {
    block_on(async {
        let mut storage = InMemStorage::default();
        storage.append_slice(b"hello").await.unwrap();
        for (position, size) in [(0, 6), (5, 1), (6, 0), (usize::MAX, 1), (1, usize::MAX)] {
            let read = storage.read(&position, &size).await;
            assert_eq!(read, Err(InMemStorageError::OutOfBounds));
        }
    });
}

#[test]
fn what_is_dropped_without_closing_is_there_again() {
    block_on(async {
        let mut provider = InMemSegmentStorageProvider::<u32>::default();
        let clone = provider.clone();
        let mut segment = provider.obtain(&7).await.unwrap();
        segment.store.append_slice(b"store").await.unwrap();
        drop((segment, provider));
        let segment = clone.clone().obtain(&7).await.unwrap();
        assert_eq!(segment.store.read(&0, &5).await.unwrap(), b"store");
    });
}

#[test]
fn a_store_makes_a_segment() {
    block_on(async {
        let mut provider = InMemSegmentStorageProvider::<u32>::default();
        let mut segment = provider.obtain(&7).await.unwrap();
        segment.store.append_slice(b"store").await.unwrap();
        segment.index.append_slice(b"index").await.unwrap();
        segment.index.remove().await.unwrap();
        let bases = provider.obtain_base_indices_of_stored_segments().await;
        assert_eq!(bases, Ok(vec![7]), "its index can be built again");
        let again = provider.obtain(&7).await.unwrap();
        assert_eq!((again.store.size(), again.index.size()), (5, 0));
        again.store.remove().await.unwrap();
        let bases = provider.obtain_base_indices_of_stored_segments().await;
        assert_eq!(bases, Ok(vec![]));
    });
}

#[test]
fn whoever_has_a_replaced_store_keeps_it() {
    block_on(async {
        let mut provider = InMemSegmentStorageProvider::<u32>::default();
        let mut segment = provider.obtain(&7).await.unwrap();
        segment.store.append_slice(b"a long store").await.unwrap();
        let held = provider.obtain(&7).await.unwrap();
        let replaced = provider.replace(&7, segment, 6).await.unwrap();
        let Replaced::Done(mut segment) = replaced else {
            panic!("memory can be replaced");
        };
        segment.store.append_slice(b"!").await.unwrap();
        assert_eq!(held.store.read(&0, &12).await.unwrap(), b"a long store");
        assert_eq!(segment.store.read(&0, &7).await.unwrap(), b"a long!");
    });
}

#[test]
fn memory_may_be_sent_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<InMemStorage>();
    is_send::<InMemSegmentStorageProvider<u64>>();
}
