//! Rules of the generic face, one by one.

use std::time::Duration;

use futures_lite::future::block_on;
use futures_lite::stream::StreamExt;
use laminarmq::common::serde_compat::bincode::BinCode;
use laminarmq::storage::commit_log::segmented_log::index::IndexError;
use laminarmq::storage::commit_log::segmented_log::segment::{Segment, SegmentError};
use laminarmq::storage::commit_log::segmented_log::store::StoreError;
use laminarmq::storage::commit_log::segmented_log::{Config, SegmentedLog, SegmentedLogError};
use laminarmq::storage::impls::in_mem::segment::InMemSegmentStorageProvider;
use laminarmq::storage::{
    AsyncConsume, AsyncIndexedExclusiveRead, AsyncIndexedRead, AsyncTruncate, Sizable,
};
use laminarmq::test_util::env_storage::{EnvProvider, EnvStorage};
use laminarmq::{Append, Log, MemEnv, poll_ready};

use crate::kinds::{
    Crc, FileLog, Files, Lru, MemLog, NoCache, append, append_pieces, config, open, rec,
};

/// The places of the segments that are index-cached.
fn cached<Idx, C>(log: &MemLog<Idx, C>) -> Vec<usize>
where
    Idx: num_traits::FromPrimitive + num_traits::ToPrimitive + Clone + Ord,
{
    let segments = log.segments().enumerate();
    let cached = segments.filter(|(_, segment)| segment.cached_index_records().is_some());
    cached.map(|(place, _)| place).collect()
}

/// One record in each of six read segments and in the write segment.
fn seven<C>(provider: &InMemSegmentStorageProvider<u64>, most: Option<usize>) -> MemLog<u64, C>
where
    C: laminarmq::common::cache::Cache<usize, ()> + Default,
    C::Error: std::fmt::Debug,
{
    block_on(async {
        let mut log = MemLog::new(config(10, most), provider.clone())
            .await
            .unwrap();
        for number in 0..7u8 {
            let record = rec(vec![number; 20]);
            log.append_record_with_contiguous_bytes(&record)
                .await
                .unwrap();
        }
        assert_eq!(log.segments().count(), 7);
        log
    })
}

async fn reopened<C>(
    log: MemLog<u64, C>,
    provider: &InMemSegmentStorageProvider<u64>,
    most: Option<usize>,
) -> MemLog<u64, C>
where
    C: laminarmq::common::cache::Cache<usize, ()> + Default,
    C::Error: std::fmt::Debug,
{
    log.close().await.unwrap();
    MemLog::new(config(10, most), provider.clone())
        .await
        .unwrap()
}

#[test]
fn without_a_bound_every_segment_is_cached() {
    let provider = InMemSegmentStorageProvider::default();
    let log = seven::<NoCache>(&provider, None);
    assert_eq!(cached(&log), [0, 1, 2, 3, 4, 5, 6]);
    let log = block_on(reopened(log, &provider, None));
    assert_eq!(cached(&log), [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn with_none_only_the_write_segment_is() {
    let provider = InMemSegmentStorageProvider::default();
    let mut log = seven::<Lru>(&provider, Some(0));
    assert_eq!(cached(&log), [6]);
    block_on(log.exclusive_read(&2)).unwrap();
    assert_eq!(cached(&log), [6]);
    let log = block_on(reopened(log, &provider, Some(0)));
    assert_eq!(cached(&log), [6]);
}

#[test]
fn the_least_recently_used_index_goes() {
    let provider = InMemSegmentStorageProvider::default();
    let mut log = seven::<Lru>(&provider, Some(2));
    assert_eq!(cached(&log), [4, 5, 6], "those that were rotated last");
    block_on(async {
        log.read(&0).await.unwrap();
        assert_eq!(cached(&log), [4, 5, 6], "a read changes nothing");
        log.exclusive_read(&4).await.unwrap();
        log.exclusive_read(&1).await.unwrap();
        assert_eq!(cached(&log), [1, 4, 6]);
        log.read_seq_exclusive(0, &0).await.unwrap();
        assert_eq!(cached(&log), [0, 1, 6]);
        log.read_seq(3, &3).await.unwrap();
        log.read_seq_exclusive(99, &6).await.unwrap();
        assert_eq!(cached(&log), [0, 1, 6]);
        // The write segment becomes a read segment and stays cached.
        log.append_record_with_contiguous_bytes(&rec(vec![7; 20]))
            .await
            .unwrap();
        assert_eq!(cached(&log), [0, 6, 7]);
        log = reopened(log, &provider, Some(2)).await;
        assert_eq!(cached(&log), [7], "only the write segment");
        log.exclusive_read(&2).await.unwrap();
        log.exclusive_read(&5).await.unwrap();
        assert_eq!(cached(&log), [2, 5, 7]);
    });
}

#[test]
fn truncation_and_expiry_keep_the_cache_in_step() {
    block_on(async {
        let provider = InMemSegmentStorageProvider::default();
        let mut log = seven::<Lru>(&provider, Some(2));
        log.exclusive_read(&1).await.unwrap();
        log.exclusive_read(&4).await.unwrap();
        assert_eq!(cached(&log), [1, 4, 6]);
        log.truncate(&4).await.unwrap();
        assert_eq!(cached(&log), [1, 4], "number 4 is the write segment now");
        for number in [4, 5, 6u8] {
            log.append_record_with_contiguous_bytes(&rec(vec![number; 20]))
                .await
                .unwrap();
        }
        assert_eq!(cached(&log), [4, 5, 6]);
        log.exclusive_read(&2).await.unwrap();
        assert_eq!(cached(&log), [2, 5, 6]);

        // All go; what comes then is cached as if nothing had been.
        assert_eq!(
            log.remove_expired_segments(Duration::ZERO).await.unwrap(),
            7
        );
        assert_eq!(cached(&log), [0]);
        for number in 0..5u8 {
            log.append_record_with_contiguous_bytes(&rec(vec![number; 20]))
                .await
                .unwrap();
        }
        assert_eq!(cached(&log), [2, 3, 4]);
        log.exclusive_read(&7).await.unwrap();
        assert_eq!(cached(&log), [0, 3, 4]);
        assert_eq!(log.read(&7).await.unwrap().value, vec![0; 20]);
    });
}

#[test]
fn a_cache_that_can_do_nothing_is_refused_where_one_is_needed() {
    let opened = block_on(MemLog::<u64, NoCache>::new(
        config(10, Some(1)),
        InMemSegmentStorageProvider::default(),
    ));
    assert!(matches!(opened, Err(SegmentedLogError::CacheError(_))));
}

#[test]
fn records_may_take_what_is_left_and_the_overflow_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), 100);
    let empty = log.segments().next().unwrap().size();
    append(&mut log, &[1; 30]);
    let counted = log.segments().next().unwrap().size() - empty - 48 - 30;
    assert!(counted <= 64, "{counted}");
    let left = 100 - 30 - counted + 1000 - counted;
    let left = usize::try_from(left).unwrap();
    for (length, fits) in [(left + 1, false), (left, true)] {
        let size = log.size();
        let pieces = vec![Ok(vec![2; 100]), Ok(vec![2; length - 100])];
        let appended = append_pieces(&mut log, pieces);
        assert_eq!(appended.is_ok(), fits, "{length}");
        if !fits {
            assert!(matches!(
                appended,
                Err(SegmentedLogError::SegmentError(SegmentError::StoreError(
                    StoreError::StorageError(_)
                )))
            ));
            let whole = rec(vec![2; length]);
            assert!(block_on(log.append_record_with_contiguous_bytes(&whole)).is_err());
            assert_eq!(log.size(), size);
        }
    }
    assert_eq!(block_on(log.read(&1)).unwrap().value, vec![2; left]);
    assert_eq!(log.segments().count(), 1);
    assert!(log.segments().next().unwrap().is_maxed());
    // The next one rotates first; where it fails, the rotation is taken back.
    let names = || std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(names(), 2);
    append_pieces(&mut log, vec![Ok(vec![3; 50]), Err(())]).unwrap_err();
    assert_eq!((log.segments().count(), names()), (1, 2));
    assert_eq!(append(&mut log, b"next"), 2);
    assert_eq!((log.segments().count(), names()), (2, 4));
    drop(log);
    let log = open(dir.path(), 100);
    assert_eq!(block_on(log.stream_unbounded().count()), 3);
}

#[test]
fn segments_that_are_full_when_empty_are_refused() {
    let none = Config::default();
    let mut log = block_on(MemLog::<u64>::new(
        none,
        InMemSegmentStorageProvider::default(),
    ))
    .unwrap();
    let refused = block_on(log.append_record_with_contiguous_bytes(&rec(vec![1])));
    assert!(matches!(
        refused,
        Err(SegmentedLogError::SegmentError(SegmentError::SegmentMaxed))
    ));
}

#[test]
fn indices_end_where_their_type_does() {
    type Tiny = MemLog<u8>;
    let settings = Config {
        initial_index: 250,
        ..config(5000, None)
    };
    let provider = InMemSegmentStorageProvider::default();
    let mut log = block_on(Tiny::new(settings, provider)).unwrap();
    let record = || {
        use laminarmq::storage::commit_log::segmented_log::{MetaWithIdx, Record};
        let metadata = MetaWithIdx {
            metadata: (),
            index: None,
        };
        let value = vec![1];
        Record { metadata, value }
    };
    for index in 250..255 {
        let appended = block_on(log.append_record_with_contiguous_bytes(&record()));
        assert_eq!(appended.unwrap(), index);
    }
    let refused = block_on(log.append_record_with_contiguous_bytes(&record()));
    assert!(matches!(
        refused,
        Err(SegmentedLogError::SegmentError(SegmentError::IndexError(
            IndexError::IncompatibleIdxType
        )))
    ));
    assert_eq!((log.highest_index(), log.len()), (255, 5));
}

#[test]
fn another_initial_index_and_missing_segments_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), 10);
    for number in 0..4u8 {
        append(&mut log, &[number; 20]);
    }
    block_on(log.close()).unwrap();
    let above = Config {
        initial_index: 1,
        ..config(10, None)
    };
    let opened = block_on(FileLog::<()>::new(above, Files::new(dir.path()).unwrap()));
    assert!(matches!(
        opened,
        Err(SegmentedLogError::BaseIndexLesserThanInitialIndex)
    ));
    for extension in ["log", "index"] {
        std::fs::remove_file(dir.path().join(format!("{:020}.{extension}", 1))).unwrap();
    }
    let files = Files::new(dir.path()).unwrap();
    let opened = block_on(FileLog::<()>::new(config(10, None), files));
    assert!(matches!(
        opened,
        Err(SegmentedLogError::IndexGapEncountered)
    ));
}

#[test]
fn another_checksum_is_named() {
    type Sip = std::hash::DefaultHasher;
    let dir = tempfile::tempdir().unwrap();
    let files = || Files::new(dir.path()).unwrap();
    let mut log = block_on(FileLog::<(), Sip>::new(config(100, None), files())).unwrap();
    block_on(log.append_record_with_contiguous_bytes(&rec(vec![1; 5]))).unwrap();
    drop(log);
    let log = block_on(FileLog::<(), Sip>::new(config(100, None), files())).unwrap();
    assert_eq!(block_on(log.read(&0)).unwrap().value, vec![1; 5]);
    drop(log);
    let error = block_on(FileLog::<(), Crc>::new(config(100, None), files())).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("CRC-32C") && text.contains("check value"),
        "{text}"
    );
    let text = Log::open(dir.path()).unwrap_err().to_string();
    assert!(
        text.contains("CRC-32C") && text.contains("check value"),
        "{text}"
    );
}

#[test]
fn damage_is_an_error_and_ends_a_stream() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), 5000);
    for number in 0..9u8 {
        append(&mut log, &[number; 20]);
    }
    block_on(log.close()).unwrap();
    let path = dir.path().join(format!("{:020}.log", 0));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[64 + 5 * 76 + 60] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let log = open(dir.path(), 5000);
    let damaged = |error| {
        matches!(
            error,
            SegmentedLogError::SegmentError(SegmentError::StoreError(
                StoreError::RecordHeaderMismatch
            ))
        )
    };
    block_on(async {
        for index in [0, 4, 6, 8] {
            log.read(&index).await.unwrap();
        }
        assert!(damaged(log.read(&5).await.unwrap_err()));
        assert_eq!(log.stream(..).count().await, 5);
        assert_eq!(log.stream_unbounded().count().await, 5);
        let tried: Vec<_> = log.try_stream(2..).collect().await;
        assert_eq!(tried.len(), 4);
        assert!(tried[..3].iter().all(Result::is_ok));
        assert!(
            tried
                .into_iter()
                .last()
                .is_some_and(|last| damaged(last.unwrap_err()))
        );
        assert_eq!(log.try_stream(6..).count().await, 3);
    });
}

#[test]
fn a_failed_flush_stops_the_log() {
    type Disk =
        SegmentedLog<EnvStorage<MemEnv>, (), Crc, u64, u64, BinCode, EnvProvider<MemEnv>, NoCache>;
    let disk = MemEnv::new();
    block_on(async {
        let mut log = Disk::new(config(500, None), EnvProvider(disk.clone()))
            .await
            .unwrap();
        log.append_record_with_contiguous_bytes(&rec(vec![1; 9]))
            .await
            .unwrap();
        disk.fail_sync(Some(0));
        assert!(matches!(
            log.flush().await,
            Err(SegmentedLogError::StorageError(_))
        ));
        disk.fail_sync(None);
        let again = log.flush().await;
        assert!(matches!(again, Err(SegmentedLogError::WriteSegmentLost)));
        let appended = log
            .append_record_with_contiguous_bytes(&rec(vec![1; 9]))
            .await;
        assert!(matches!(appended, Err(SegmentedLogError::WriteSegmentLost)));
        let truncated = log.truncate(&0).await;
        assert!(matches!(
            truncated,
            Err(SegmentedLogError::WriteSegmentLost)
        ));
        let rotated = log.rotate_new_write_segment().await;
        assert!(matches!(rotated, Err(SegmentedLogError::WriteSegmentLost)));
        assert_eq!(log.read(&0).await.unwrap().value, vec![1; 9]);
    });
}

#[test]
fn ages_count_from_creation_and_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), 10);
    for number in 0..3u8 {
        append(&mut log, &[number; 20]);
    }
    block_on(log.close()).unwrap();
    // As if the first two segments had been created an hour ago.
    for base in [0, 1] {
        let path = dir.path().join(format!("{base:020}.log"));
        let mut bytes = std::fs::read(&path).unwrap();
        let created = i64::from_le_bytes(bytes[24..32].try_into().unwrap()) - 3_600_000;
        bytes[24..32].copy_from_slice(&created.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        // The first chunk links to the header.
        let link = 64 + 52;
        bytes[link..link + 4].copy_from_slice(&crc.to_le_bytes());
        let mut seeded = b"laminarmq chunk".to_vec();
        seeded.extend(u64::to_le_bytes(base));
        seeded.extend(&bytes[68..120]);
        let chunk = crc32c::crc32c(&seeded);
        bytes[64..68].copy_from_slice(&chunk.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        std::fs::remove_file(path.with_extension("index")).unwrap();
    }
    let mut log = open(dir.path(), 10);
    let old = Duration::from_secs(3000);
    let expired: Vec<_> = log
        .segments()
        .map(|segment| segment.has_expired(old))
        .collect();
    assert_eq!(expired, [true, true, false]);
    assert_eq!(block_on(log.remove_expired_segments(old)).unwrap(), 2);
    assert_eq!((log.lowest_index(), log.highest_index()), (2, 3));
    assert_eq!(block_on(log.remove_expired_segments(old)).unwrap(), 0);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    // Everything goes, and the new write segment is as young as it is.
    assert_eq!(
        block_on(log.remove_expired_segments(Duration::ZERO)).unwrap(),
        1
    );
    assert_eq!((log.lowest_index(), log.highest_index()), (3, 3));
    append(&mut log, b"x");
    drop(log);
    let log = open(dir.path(), 10);
    assert_eq!((log.lowest_index(), log.highest_index()), (3, 4));
}

#[test]
fn one_engine_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), 200);
    for number in 0..20u8 {
        append(&mut log, &[number; 40]);
    }
    append_pieces(&mut log, vec![Ok(vec![20; 300]), Ok(vec![20; 40])]).unwrap();
    block_on(log.close()).unwrap();

    let mut engine = Log::open(dir.path()).unwrap();
    assert!(engine.recovery().is_clean(), "{:?}", engine.recovery());
    assert_eq!((engine.start_index(), engine.end_index()), (0, 21));
    for index in 0..20 {
        let value = poll_ready(engine.read(index)).unwrap().value;
        assert_eq!(value, vec![u8::try_from(index).unwrap(); 40]);
    }
    let value: &[&[u8]] = &[b"from ", b"the engine"];
    poll_ready(engine.append(Append {
        value,
        key: 7,
        ..Append::default()
    }))
    .unwrap();
    poll_ready(engine.truncate_prefix(3)).unwrap();
    poll_ready(engine.close()).unwrap();

    let mut log = open(dir.path(), 200);
    assert_eq!((log.lowest_index(), log.highest_index()), (3, 22));
    assert_eq!(block_on(log.read(&21)).unwrap().value, "from the engine");
    assert_eq!(block_on(log.stream(..).count()), 19);
    append(&mut log, b"and again");
    block_on(log.close()).unwrap();
    let stored = laminarmq::StoredLog::in_dir(dir.path()).unwrap();
    let report = stored.verify(&mut |_| {}).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn metadata_that_was_not_written_is_an_error_and_no_invention() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), 200);
    append(&mut log, b"without");
    block_on(log.close()).unwrap();
    let files = Files::new(dir.path()).unwrap();
    let log = block_on(FileLog::<u32>::new(config(200, None), files)).unwrap();
    assert!(matches!(
        block_on(log.read(&0)),
        Err(SegmentedLogError::SegmentError(
            SegmentError::RecordMetadataNotFound
        ))
    ));
}

/// Everything that a segment can do without a log, on files.
#[test]
fn a_segment_by_itself() {
    use futures_lite::stream;
    use laminarmq::storage::impls::file::FileStorage;
    type One = Segment<FileStorage, (), Crc, u64, u64, BinCode>;
    let dir = tempfile::tempdir().unwrap();
    let mut files = Files::<u64>::new(dir.path()).unwrap();
    let settings = config::<u64, u64>(300, None).segment_config;
    block_on(async {
        let mut segment = One::open(&mut files, &7, settings).await.unwrap();
        for number in 0..4u8 {
            let record = rec(vec![number; 40]);
            let index = segment.append_record_with_contiguous_bytes(&record).await;
            assert_eq!(index.unwrap(), 7 + u64::from(number));
        }
        let pieces = || stream::iter([Ok(vec![9; 30]), Ok(vec![9; 10])]);
        let broken = stream::iter([Ok(vec![9; 30]), Err(())]);
        assert!(segment.append(rec(broken)).await.is_err());
        assert_eq!(
            segment
                .append(rec(pieces().map(|it: Result<_, ()>| it)))
                .await
                .unwrap(),
            11
        );
        segment.truncate(&10).await.unwrap();
        assert!(segment.truncate(&10).await.is_err());
        segment = segment.flush(&mut files).await.unwrap();
        assert_eq!(segment.take_cached_index_records().unwrap().len(), 3);
        assert_eq!(segment.cached_index_records(), None);
        assert_eq!(segment.read(&9).await.unwrap().value, vec![2; 40]);
        assert!(segment.read(&10).await.is_err());
        while !segment.is_maxed() {
            segment
                .append_record_with_contiguous_bytes(&rec(vec![5; 40]))
                .await
                .unwrap();
        }
        let full = segment
            .append_record_with_contiguous_bytes(&rec(vec![5; 40]))
            .await;
        assert!(matches!(full, Err(SegmentError::SegmentMaxed)));
        let end = segment.highest_index();
        segment.close().await.unwrap();
        let segment = One::open(&mut files, &7, settings).await.unwrap();
        assert_eq!((segment.lowest_index(), segment.highest_index()), (7, end));
        assert_eq!(segment.read(&8).await.unwrap().value, vec![1; 40]);
        segment.remove().await.unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    });
}

/// An index and a store say the same as the log, and refuse what is not theirs.
#[test]
fn an_index_and_a_store_by_themselves() {
    use laminarmq::storage::commit_log::segmented_log::index::Index;
    use laminarmq::storage::commit_log::segmented_log::segment::SegmentStorageProvider;
    use laminarmq::storage::commit_log::segmented_log::store::Store;
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), 5000);
    for number in 0..9u8 {
        append(&mut log, &[number; 40]);
    }
    block_on(log.close()).unwrap();
    let mut files = Files::<u64>::new(dir.path()).unwrap();
    block_on(async {
        let segment = files.obtain(&0).await.unwrap();
        let index = Index::<_, u64>::open(segment.index, Some(&0))
            .await
            .unwrap();
        let store = Store::<_, Crc>::new(segment.store, 0);
        assert_eq!((index.lowest_index(), index.highest_index()), (0, 9));
        assert!(matches!(
            index.read(&9).await,
            Err(IndexError::IndexOutOfBounds)
        ));
        for number in 0..9u8 {
            let place = index.read(&number.into()).await.unwrap();
            assert_eq!(
                store.read(number.into(), &place).await.unwrap(),
                vec![number; 40]
            );
            let other = store.read(u64::from(number) + 1, &place).await;
            assert!(matches!(other, Err(StoreError::RecordHeaderMismatch)));
        }
        let again = Index::<_, u64>::open(index.into_storage(), Some(&1)).await;
        assert!(matches!(again, Err(IndexError::BaseIndexMismatch)));
    });
}

/// Whatever the disk has room for: what was appended is there, the log goes on once there is room, and an error that the
/// log got over says nothing about a later one.
#[test]
fn a_full_disk_takes_nothing_back() {
    type Disk =
        SegmentedLog<EnvStorage<MemEnv>, (), Crc, u64, u64, BinCode, EnvProvider<MemEnv>, NoCache>;
    let settings = || config(300, None);
    for capacity in (400..4000).step_by(13) {
        let disk = MemEnv::new();
        block_on(async {
            let mut log = Disk::new(settings(), EnvProvider(disk.clone()))
                .await
                .unwrap();
            disk.set_capacity(Some(capacity));
            let mut kept = 0;
            for number in 0..30u8 {
                let record = rec(vec![number; 40]);
                match log.append_record_with_contiguous_bytes(&record).await {
                    Ok(index) => {
                        assert_eq!(index, kept);
                        kept += 1;
                    }
                    Err(_) => break,
                }
            }
            assert!(kept < 30, "{capacity} bytes are too many");
            assert_eq!(log.highest_index(), kept);
            let outside = log.read(&kept).await;
            assert!(matches!(outside, Err(SegmentedLogError::IndexOutOfBounds)));
            disk.set_capacity(None);
            for index in kept..30 {
                let record = rec(vec![u8::try_from(index).unwrap(); 40]);
                let appended = log.append_record_with_contiguous_bytes(&record).await;
                assert_eq!(appended.unwrap(), index, "{capacity}");
            }
            drop(log);
            let log = Disk::new(settings(), EnvProvider(disk.clone()))
                .await
                .unwrap();
            for index in 0..30 {
                let value = log.read(&index).await.unwrap().value;
                assert_eq!(value, vec![u8::try_from(index).unwrap(); 40]);
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_on_files_lives_in_a_spawned_task() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_path_buf();
    let task = tokio::spawn(async move {
        let files = Files::new(&path).unwrap();
        let mut log = FileLog::<(), Crc, Lru>::new(config(200, Some(1)), files)
            .await
            .unwrap();
        for number in 0..20u8 {
            use laminarmq::storage::commit_log::CommitLog;
            log.append_record_with_contiguous_bytes(&rec(vec![number; 40]))
                .await
                .unwrap();
            let pieces = futures_lite::stream::iter([Ok::<_, ()>(vec![number; 40])]);
            log.append(rec(pieces)).await.unwrap();
            tokio::task::yield_now().await;
        }
        log.exclusive_read(&3).await.unwrap();
        log.truncate(&30).await.unwrap();
        log.flush().await.unwrap();
        log.rotate_new_write_segment().await.unwrap();
        log.remove_expired_segments(Duration::from_secs(60))
            .await
            .unwrap();
        let count = log.stream(..).count().await;
        log.close().await.unwrap();
        count
    });
    assert_eq!(task.await.unwrap(), 30);
}
