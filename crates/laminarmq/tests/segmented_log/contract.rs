//! What a log does over any storage, generic under the bounds of the contract and no others.

use std::fmt::Debug;
use std::hash::Hasher;
use std::io;
use std::time::Duration;

use futures_lite::stream::{self, StreamExt};
use laminarmq::common::cache::Cache;
use laminarmq::common::serde_compat::SerializationProvider;
use laminarmq::common::split::SplitAt;
use laminarmq::storage::commit_log::CommitLog;
use laminarmq::storage::commit_log::segmented_log::index::{
    INDEX_BASE_MARKER_LENGTH, INDEX_RECORD_LENGTH,
};
use laminarmq::storage::commit_log::segmented_log::segment::{
    self, SegmentError, SegmentStorageProvider,
};
use laminarmq::storage::commit_log::segmented_log::{
    Config, MetaWithIdx, Record, SegmentedLog, SegmentedLogError, SeqRead,
};
use laminarmq::storage::{
    AsyncConsume, AsyncIndexedExclusiveRead, AsyncIndexedRead, AsyncTruncate, Sizable, Storage,
};
use num_traits::{CheckedSub, FromPrimitive, ToPrimitive, Unsigned};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn idx<Idx: FromPrimitive>(index: u64) -> Idx {
    Idx::from_u64(index).unwrap()
}

fn value(index: u64) -> Vec<u8> {
    let length = usize::try_from(20 + index * 7 % 90).unwrap();
    let byte = u8::try_from(index % 251).unwrap();
    vec![byte; length]
}

fn config<Idx: FromPrimitive, Size: FromPrimitive>(cached: Option<usize>) -> Config<Idx, Size> {
    let size = |bytes: usize| Size::from_usize(bytes).unwrap();
    Config {
        num_index_cached_read_segments: cached,
        segment_config: segment::Config {
            max_store_size: size(1000),
            max_store_overflow: size(500),
            max_index_size: size(INDEX_BASE_MARKER_LENGTH + 12 * INDEX_RECORD_LENGTH),
        },
        initial_index: idx(3),
    }
}

/// Everything a log is asked for. `metadata` is that of a record; the provider has nothing stored.
pub(crate) async fn holds<S, M, H, Idx, SERP, SSP, C>(
    provider: SSP,
    cached: Option<usize>,
    metadata: impl Fn(u64) -> M,
) where
    S: Storage,
    S::Size: FromPrimitive + Copy,
    S::Content: SplitAt<u8>,
    S::Position: ToPrimitive + Debug,
    M: Default + Clone + Serialize + DeserializeOwned,
    H: Hasher + Default,
    Idx: Unsigned + CheckedSub + FromPrimitive + ToPrimitive + Ord + Copy + Debug,
    Idx: Serialize + DeserializeOwned,
    SERP: SerializationProvider,
    SSP: SegmentStorageProvider<S, Idx> + Clone,
    C: Cache<usize, ()> + Default,
    C::Error: Debug,
{
    let open = async || {
        let config = config::<Idx, S::Size>(cached);
        SegmentedLog::<S, M, H, Idx, S::Size, SERP, SSP, C>::new(config, provider.clone())
            .await
            .unwrap()
    };
    let bytes_of = |metadata: &M| SERP::serialize(metadata).unwrap().to_vec();
    let to_append = |index: u64, anchored: bool| Record {
        metadata: MetaWithIdx {
            metadata: metadata(index),
            index: anchored.then(|| idx::<Idx>(index)),
        },
        value: value(index),
    };
    let check = async |log: &SegmentedLog<S, M, H, Idx, S::Size, SERP, SSP, C>, end: u64| {
        let start = log.lowest_index().to_u64().unwrap();
        assert_eq!(log.highest_index().to_u64(), Some(end));
        assert_eq!(log.len().to_u64(), Some(end - start));
        for index in start..end {
            let record = log.read(&idx(index)).await.unwrap();
            assert_eq!(&*record.value, value(index), "{index}");
            assert_eq!(record.metadata.index, Some(idx(index)));
            assert_eq!(
                bytes_of(&record.metadata.metadata),
                bytes_of(&metadata(index))
            );
        }
        for outside in [start.wrapping_sub(1), end] {
            let read = log
                .read(&Idx::from_u64(outside).unwrap_or_else(Idx::zero))
                .await;
            assert!(matches!(read, Err(SegmentedLogError::IndexOutOfBounds)));
        }
        let all = log.stream_unbounded().map(|record| record.value.to_vec());
        let want: Vec<_> = (start..end).map(value).collect();
        assert_eq!(all.collect::<Vec<_>>().await, want);
        // Segments follow on each other, and index sizes are exact.
        let mut next = start;
        for segment in log.segments() {
            assert_eq!(segment.lowest_index().to_u64(), Some(next));
            next = segment.highest_index().to_u64().unwrap();
            let records = segment.len().to_usize().unwrap();
            let index = INDEX_BASE_MARKER_LENGTH + records * INDEX_RECORD_LENGTH;
            let values: usize = (next - records as u64..next)
                .map(|it| value(it).len())
                .sum();
            let store = segment.size().to_usize().unwrap() - index;
            assert!(
                (values..=values + 64 + records * 128).contains(&store),
                "{store} {values}"
            );
            if let Some(cached) = segment.cached_index_records() {
                assert_eq!(cached.len(), records);
            }
        }
        assert_eq!(next, end);
    };

    let mut log = open().await;
    assert!(log.is_empty());
    check(&log, 3).await;
    let mut end = 3;
    for number in 0..60 {
        let record = to_append(end, number % 2 == 0);
        let index = if number % 3 == 0 {
            let pieces = record
                .value
                .chunks(7)
                .map(|piece| Ok::<_, io::Error>(piece.to_vec()));
            let value = stream::iter(pieces.collect::<Vec<_>>());
            let metadata = record.metadata;
            log.append(Record { metadata, value }).await.unwrap()
        } else {
            log.append_record_with_contiguous_bytes(&record)
                .await
                .unwrap()
        };
        assert_eq!(index.to_u64(), Some(end));
        end += 1;
    }
    check(&log, end).await;
    assert!(log.segments().count() > 4, "they were rotated");

    // Another index than the next one, a stream that fails, a stream that is too long: all as before.
    let size = log.size();
    let mut wrong = to_append(end, false);
    wrong.metadata.index = Some(idx(end + 1));
    let refused = log.append_record_with_contiguous_bytes(&wrong).await;
    assert!(matches!(
        refused,
        Err(SegmentedLogError::SegmentError(
            SegmentError::InvalidAppendIdx
        ))
    ));
    let failing = vec![Ok(vec![1; 50]), Err(io::Error::other("broken"))];
    let long = (0..40).map(|_| Ok(vec![2; 50])).collect();
    for items in [failing, long] {
        let metadata = to_append(end, false).metadata;
        let value = stream::iter(items);
        let refused = log.append(Record { metadata, value }).await;
        assert!(matches!(
            refused,
            Err(SegmentedLogError::SegmentError(SegmentError::StoreError(_)))
        ));
        assert!(log.size() == size);
        check(&log, end).await;
    }

    // Ranges.
    for (from, to) in [
        (3, end),
        (10, 31),
        (7, 7),
        (20, 10),
        (0, 5),
        (end - 1, end + 9),
    ] {
        let want: Vec<_> = (from.max(3)..to.min(end)).map(value).collect();
        let range = log.stream(idx::<Idx>(from)..idx(to));
        assert_eq!(
            range
                .map(|record| record.value.to_vec())
                .collect::<Vec<_>>()
                .await,
            want
        );
        let tried = log.try_stream(idx::<Idx>(from)..idx(to));
        let tried = tried.map(|record| record.unwrap().value.to_vec());
        assert_eq!(tried.collect::<Vec<_>>().await, want);
    }

    // One after the other, without a search; with a cache of indices and without.
    for exclusive in [false, true] {
        let (mut place, mut next, mut seen) = (0, idx::<Idx>(3), 3);
        while next < log.highest_index() {
            let read = if exclusive {
                log.read_seq_exclusive(place, &next).await.unwrap()
            } else {
                log.read_seq(place, &next).await.unwrap()
            };
            match read {
                SeqRead::Read { record, next_idx } => {
                    assert_eq!(&*record.value, value(seen));
                    (next, seen) = (next_idx, seen + 1);
                }
                SeqRead::Seek {
                    next_segment,
                    next_idx,
                } => (place, next) = (next_segment, next_idx),
            }
        }
        assert_eq!(seen, end);
    }
    for index in [3, end - 1, 20, 40, 3] {
        let record = log.exclusive_read(&idx(index)).await.unwrap();
        assert_eq!(&*record.value, value(index));
    }

    log.flush().await.unwrap();
    log.close().await.unwrap();
    let mut log = open().await;
    check(&log, end).await;

    // Truncation: outside, in the write segment, inside a read segment, at the base of one.
    for outside in [2, end, end + 1] {
        let refused = log.truncate(&idx(outside)).await;
        assert!(matches!(refused, Err(SegmentedLogError::IndexOutOfBounds)));
    }
    let bases: Vec<u64> = log
        .segments()
        .map(|it| it.lowest_index().to_u64().unwrap())
        .collect();
    let inside = bases[bases.len() - 2] + 2;
    for (from, segments) in [
        (end - 1, bases.len()),
        (inside, bases.len()),
        (bases[2], 3),
        (bases[1] + 1, 3),
    ] {
        log.truncate(&idx(from)).await.unwrap();
        check(&log, from).await;
        assert_eq!(log.segments().count(), segments, "{from}");
        end = from;
    }
    for index in end..end + 30 {
        log.append_record_with_contiguous_bytes(&to_append(index, true))
            .await
            .unwrap();
    }
    end += 30;
    check(&log, end).await;
    log.rotate_new_write_segment().await.unwrap();
    check(&log, end).await;
    log.close().await.unwrap();
    let mut log = open().await;
    check(&log, end).await;

    // Nothing is an hour old; everything is at least nothing old.
    assert!(
        log.remove_expired_segments(Duration::from_secs(3600))
            .await
            .unwrap()
            .is_zero()
    );
    let removed = log.remove_expired(Duration::ZERO).await.unwrap();
    assert_eq!(removed.to_u64(), Some(end - 3));
    assert_eq!(
        (log.lowest_index(), log.highest_index()),
        (idx(end), idx(end))
    );
    log.append_record_with_contiguous_bytes(&to_append(end, true))
        .await
        .unwrap();
    check(&log, end + 1).await;
    log.close().await.unwrap();
    let log = open().await;
    check(&log, end + 1).await;

    log.remove().await.unwrap();
    let log = open().await;
    check(&log, 3).await;
}
