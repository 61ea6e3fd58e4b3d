//! What every storage, and every provider of segments, has to do.
//!
//! ```
//! use futures_lite::future::block_on;
//! use laminarmq::storage::impls::in_mem::segment::InMemSegmentStorageProvider;
//! use laminarmq::test_util::storages;
//!
//! block_on(storages::run(InMemSegmentStorageProvider::<u64>::default));
//! ```

use std::io::IoSlice;

use futures_lite::stream;
use num_traits::{FromPrimitive, ToPrimitive};

use crate::storage::commit_log::segmented_log::segment::{
    Replaced, SegmentStorage, SegmentStorageProvider,
};
use crate::storage::{Storage, Synced};

/// Runs every check, each on what `fresh` provides, which has nothing stored. The provider is asked only for the base
/// indices 3, 30 and 200.
///
/// # Panics
///
/// Where a storage or its provider does not keep the contract.
pub async fn run<S, Idx, P>(mut fresh: impl FnMut() -> P)
where
    S: Storage,
    Idx: FromPrimitive + ToPrimitive,
    P: SegmentStorageProvider<S, Idx> + Clone,
{
    a_storage_grows_reads_and_shrinks(&mut fresh()).await;
    what_is_taken_at_once_is_there(&mut fresh()).await;
    streams_are_appended_whole_or_not_at_all(&mut fresh()).await;
    what_is_closed_is_there_again(&fresh()).await;
    segments_are_listed_and_removed(&mut fresh()).await;
    a_store_is_replaced_by_its_beginning(&mut fresh()).await;
    the_start_is_replaced_as_a_whole(&mut fresh()).await;
}

fn idx<Idx: FromPrimitive>(base: u64) -> Idx {
    Idx::from_u64(base).unwrap()
}

fn at<S: Storage>(position: usize) -> S::Position {
    S::Position::from_usize(position).unwrap()
}

async fn read<S: Storage>(storage: &S, position: usize, length: usize) -> Vec<u8> {
    let content = storage.read(&at::<S>(position), &at::<S>(length)).await;
    content.unwrap().to_vec()
}

fn size<S: Storage>(storage: &S) -> usize {
    storage.size().to_usize().unwrap()
}

async fn obtain<S, Idx, P>(provider: &mut P, base: u64) -> SegmentStorage<S>
where
    S: Storage,
    Idx: FromPrimitive,
    P: SegmentStorageProvider<S, Idx>,
{
    provider.obtain(&idx(base)).await.unwrap()
}

async fn a_storage_grows_reads_and_shrinks<S, Idx, P>(provider: &mut P)
where
    S: Storage,
    Idx: FromPrimitive + ToPrimitive,
    P: SegmentStorageProvider<S, Idx>,
{
    let mut storage = obtain(provider, 3).await.store;
    assert_eq!(size(&storage), 0);
    for (start, bytes) in [(0, &b"hello"[..]), (5, b""), (5, b" world")] {
        let (position, length) = storage.append_slice(bytes).await.unwrap();
        assert_eq!(position.to_usize(), Some(start));
        assert_eq!(length.to_usize(), Some(bytes.len()));
    }
    let mut pieces = [IoSlice::new(b"!"), IoSlice::new(b""), IoSlice::new(b"?!")];
    storage.append_vectored(&mut pieces).await.unwrap();
    assert_eq!(size(&storage), 14);
    assert_eq!(read(&storage, 0, 14).await, b"hello world!?!");
    assert_eq!(read(&storage, 6, 5).await, b"world");
    assert_eq!(read(&storage, 14, 0).await, b"");
    for (position, length) in [(0, 15), (14, 1), (15, 0), (100, 1)] {
        let outside = storage.read(&at::<S>(position), &at::<S>(length)).await;
        assert!(
            outside.is_err() || length == 0,
            "{length} bytes at {position} are not there"
        );
    }
    assert!(storage.truncate(&at::<S>(15)).await.is_err(), "it grew");
    storage.preallocate(at::<S>(4000)).await.unwrap();
    assert_eq!(size(&storage), 14, "what is preallocated shows");
    assert!(storage.preallocated() >= storage.size());
    storage.truncate(&at::<S>(7)).await.unwrap();
    storage.append_slice(b"orm").await.unwrap();
    storage.rest();
    assert_eq!(read(&storage, 0, 10).await, b"hello worm");
    // It goes on where a rest ended, and where it was synced.
    let _: Synced = storage.sync().await.unwrap();
    storage.append_slice(&[7; 100_000]).await.unwrap();
    assert_eq!(read(&storage, 9, 100_001).await[1..], [7; 100_000]);
}

async fn what_is_taken_at_once_is_there<S, Idx, P>(provider: &mut P)
where
    S: Storage,
    Idx: FromPrimitive + ToPrimitive,
    P: SegmentStorageProvider<S, Idx>,
{
    let mut storage = obtain(provider, 3).await.store;
    let mut want = Vec::new();
    // Some storages take bytes at once after a while only.
    for _ in 0..100 {
        storage.append_slice(b"slow").await.unwrap();
        want.extend(b"slow");
    }
    storage.preallocate(at::<S>(4000)).await.unwrap();
    while want.len() < 3000 && storage.room_now() >= 9 {
        storage.append_now(b"head", b"value");
        want.extend(b"headvalue");
        assert_eq!(size(&storage), want.len());
    }
    assert_eq!(read(&storage, 0, want.len()).await, want);
    storage.append_slice(b"!").await.unwrap();
    want.push(b'!');
    storage.truncate(&at::<S>(101)).await.unwrap();
    want.truncate(101);
    storage.append_slice(b"?").await.unwrap();
    want.push(b'?');
    assert_eq!(read(&storage, 0, want.len()).await, want);
    assert_eq!(size(&storage), want.len());
    storage.close().await.unwrap();
    let storage = obtain(provider, 3).await.store;
    assert_eq!(read(&storage, 0, want.len()).await, want);
}

async fn streams_are_appended_whole_or_not_at_all<S, Idx, P>(provider: &mut P)
where
    S: Storage,
    Idx: FromPrimitive + ToPrimitive,
    P: SegmentStorageProvider<S, Idx>,
{
    let mut storage = obtain(provider, 3).await.store;
    storage.append_slice(b"before").await.unwrap();
    let pieces = || [b"ab".to_vec(), Vec::new(), b"cde".to_vec()];
    let good = || stream::iter(pieces().map(Ok::<_, ()>));
    for threshold in [Some(0), Some(4)] {
        let threshold = threshold.map(at::<S>);
        let appended = storage.append(&mut good(), threshold).await;
        assert!(appended.is_err());
        assert_eq!(read(&storage, 0, size(&storage)).await, b"before");
    }
    let mut broken = stream::iter([Ok(b"ab".to_vec()), Err("broken")]);
    assert!(storage.append(&mut broken, None).await.is_err());
    assert_eq!(read(&storage, 0, size(&storage)).await, b"before");
    for (threshold, start) in [(Some(5), 6), (None, 11)] {
        let threshold = threshold.map(at::<S>);
        let (position, length) = storage.append(&mut good(), threshold).await.unwrap();
        assert_eq!(
            (position.to_usize(), length.to_usize()),
            (Some(start), Some(5))
        );
    }
    assert_eq!(read(&storage, 0, 16).await, b"beforeabcdeabcde");
}

async fn what_is_closed_is_there_again<S, Idx, P>(provider: &P)
where
    S: Storage,
    Idx: FromPrimitive + ToPrimitive,
    P: SegmentStorageProvider<S, Idx> + Clone,
{
    let mut first = provider.clone();
    let mut segment = obtain(&mut first, 30).await;
    segment.store.append_slice(b"store").await.unwrap();
    segment.index.append_slice(b"index").await.unwrap();
    segment.store.close().await.unwrap();
    segment.index.close().await.unwrap();
    first.sync_names().await.unwrap();
    drop(first);
    let segment = obtain(&mut provider.clone(), 30).await;
    assert_eq!(read(&segment.store, 0, 5).await, b"store");
    assert_eq!(read(&segment.index, 0, 5).await, b"index");
    assert_eq!((size(&segment.store), size(&segment.index)), (5, 5));
}

async fn segments_are_listed_and_removed<S, Idx, P>(provider: &mut P)
where
    S: Storage,
    Idx: FromPrimitive + ToPrimitive,
    P: SegmentStorageProvider<S, Idx>,
{
    async fn listed<S, Idx, P>(provider: &mut P) -> Vec<u64>
    where
        S: Storage,
        Idx: ToPrimitive,
        P: SegmentStorageProvider<S, Idx>,
    {
        let bases = provider.obtain_base_indices_of_stored_segments().await;
        let bases = bases.unwrap();
        bases.iter().map(|base| base.to_u64().unwrap()).collect()
    }
    assert_eq!(listed(provider).await, []);
    for base in [30, 3, 200] {
        let mut segment = obtain(provider, base).await;
        segment.store.append_slice(b"store").await.unwrap();
        segment.store.close().await.unwrap();
        segment.index.close().await.unwrap();
    }
    assert_eq!(listed(provider).await, [3, 30, 200]);
    let segment = obtain(provider, 30).await;
    segment.store.remove().await.unwrap();
    segment.index.remove().await.unwrap();
    provider.sync_names().await.unwrap();
    assert_eq!(listed(provider).await, [3, 200]);
    let segment = obtain(provider, 30).await;
    assert_eq!((size(&segment.store), size(&segment.index)), (0, 0));
}

async fn a_store_is_replaced_by_its_beginning<S, Idx, P>(provider: &mut P)
where
    S: Storage,
    Idx: FromPrimitive + ToPrimitive,
    P: SegmentStorageProvider<S, Idx>,
{
    let mut segment = obtain(provider, 3).await;
    segment.store.append_slice(b"a long store").await.unwrap();
    segment.index.append_slice(b"index").await.unwrap();
    let _: Synced = segment.store.sync().await.unwrap();
    match provider
        .replace(&idx(3), segment, at::<S>(6))
        .await
        .unwrap()
    {
        Replaced::Unsupported(segment) => {
            assert_eq!((size(&segment.store), size(&segment.index)), (12, 5));
        }
        Replaced::Done(mut segment) => {
            assert_eq!((size(&segment.store), size(&segment.index)), (6, 0));
            segment.store.append_slice(b" goes on").await.unwrap();
            assert_eq!(read(&segment.store, 0, 14).await, b"a long goes on");
            segment.store.close().await.unwrap();
            segment.index.close().await.unwrap();
            let segment = obtain(provider, 3).await;
            assert_eq!(read(&segment.store, 0, 14).await, b"a long goes on");
            let bases = provider.obtain_base_indices_of_stored_segments().await;
            assert_eq!(bases.unwrap().len(), 1);
        }
    }
}

async fn the_start_is_replaced_as_a_whole<S, Idx, P>(provider: &mut P)
where
    S: Storage,
    P: SegmentStorageProvider<S, Idx> + Clone,
{
    assert_eq!(provider.read_start().await.unwrap(), None);
    for bytes in [&b"the first one, which is longer"[..], b"another"] {
        match provider.write_start(bytes).await.unwrap() {
            Synced::Done => {}
            Synced::Unsupported => {
                assert_eq!(provider.read_start().await.unwrap(), None);
                return;
            }
        }
        provider.sync_names().await.unwrap();
        let read = provider.clone().read_start().await.unwrap();
        assert_eq!(read.as_deref(), Some(bytes));
    }
    provider.remove_start().await.unwrap();
    assert_eq!(provider.clone().read_start().await.unwrap(), None);
    provider.remove_start().await.unwrap();
}
