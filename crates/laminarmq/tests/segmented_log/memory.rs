//! How much memory the generic face takes: allocations per record, and bytes for a record of any length.

use allocation_counter::measure;
use futures_lite::future::block_on;
use futures_lite::stream::{self, StreamExt};
use laminarmq::storage::AsyncConsume;
use laminarmq::storage::AsyncIndexedRead;
use laminarmq::storage::commit_log::CommitLog;
use laminarmq::storage::impls::in_mem::segment::InMemSegmentStorageProvider;

use crate::kinds::{Crc, FileLog, Files, MemLog, NoCache, rec};
use laminarmq::storage::commit_log::segmented_log::{Config, segment};

const RECORDS: u64 = 1000;
const VALUE: [u8; 140] = [7; 140];

/// One segment that holds whatever comes.
fn large<Size: TryFrom<u64>>() -> Config<u64, Size> {
    let size = |bytes: u64| Size::try_from(bytes).ok().unwrap();
    Config {
        segment_config: segment::Config {
            max_store_size: size(1 << 40),
            max_store_overflow: size(1 << 40),
            max_index_size: size(1 << 30),
        },
        ..Config {
            num_index_cached_read_segments: None,
            initial_index: 0,
            segment_config: segment::Config {
                max_store_size: size(0),
                max_store_overflow: size(0),
                max_index_size: size(0),
            },
        }
    }
}

/// Allocations per record, rounded up, of `run`, which handles [`RECORDS`] of them.
fn per_record(run: impl FnOnce()) -> u64 {
    measure(run).count_total.div_ceil(RECORDS)
}

/// The crate that had this interface before took 8 allocations per append and 9 per read; fewer than half of that.
#[test]
fn appends_and_reads_allocate_little() {
    let dir = tempfile::tempdir().unwrap();
    let files = Files::new(dir.path()).unwrap();
    let mut on_files = block_on(FileLog::<(), Crc, NoCache>::new(large(), files)).unwrap();
    let memory = InMemSegmentStorageProvider::default();
    let mut in_memory = block_on(MemLog::<u64>::new(large(), memory)).unwrap();

    macro_rules! check {
        ($log:ident, $appends:literal, $streamed:literal, $reads:literal, $stream:literal) => {
            block_on(async {
                // What grows by doubling has grown before.
                for _ in 0..2 * RECORDS {
                    $log.append_record_with_contiguous_bytes(&rec(&VALUE[..]))
                        .await
                        .unwrap();
                }
            });
            let appends = per_record(|| {
                block_on(async {
                    for _ in 0..RECORDS {
                        $log.append_record_with_contiguous_bytes(&rec(&VALUE[..]))
                            .await
                            .unwrap();
                    }
                });
            });
            assert!(appends <= $appends, "{appends} per append");
            let streamed = per_record(|| {
                block_on(async {
                    for _ in 0..RECORDS {
                        let value = stream::iter([Ok::<_, ()>(&VALUE[..])]);
                        $log.append(rec(value)).await.unwrap();
                    }
                });
            });
            assert!(streamed <= $streamed, "{streamed} per streamed append");
            let reads = per_record(|| {
                block_on(async {
                    for index in 0..RECORDS {
                        assert_eq!(&*$log.read(&index).await.unwrap().value, VALUE);
                    }
                });
            });
            assert!(reads <= $reads, "{reads} per read");
            let stream = per_record(|| {
                block_on(async {
                    let records = $log.stream(..RECORDS);
                    assert_eq!(records.count().await as u64, RECORDS);
                });
            });
            assert!(stream <= $stream, "{stream} per record of a stream");
        };
    }
    check!(on_files, 1, 1, 2, 1);
    check!(in_memory, 1, 1, 2, 2);
}

#[test]
fn a_record_larger_than_what_may_be_held_goes_in_and_out() {
    const PIECE: usize = 100_000;
    const PIECES: usize = 700;
    const HELD: u64 = 2 << 20;
    let dir = tempfile::tempdir().unwrap();
    let files = || Files::new(dir.path()).unwrap();
    let byte = |number: usize| u8::try_from(number % 251).unwrap();
    let appended = measure(|| {
        block_on(async {
            let mut log = FileLog::<(), Crc, NoCache>::new(large(), files())
                .await
                .unwrap();
            let pieces =
                stream::iter(0..PIECES).map(|number| Ok::<_, ()>(vec![byte(number); PIECE]));
            assert_eq!(log.append(rec(pieces)).await.unwrap(), 0);
            log.append_record_with_contiguous_bytes(&rec(&b"behind"[..]))
                .await
                .unwrap();
            log.close().await.unwrap();
        });
    });
    assert!(
        appended.bytes_max < HELD,
        "{} bytes held",
        appended.bytes_max
    );
    let read = measure(|| {
        block_on(async {
            let log = FileLog::<(), Crc, NoCache>::new(large(), files())
                .await
                .unwrap();
            let mut pieces = Box::pin(log.read_pieces(&0).await.unwrap().value);
            let mut length = 0;
            while let Some(piece) = pieces.next().await {
                for byte_read in &*piece.unwrap() {
                    assert_eq!(*byte_read, byte(length / PIECE));
                    length += 1;
                }
            }
            assert_eq!(length, PIECE * PIECES);
            assert_eq!(log.read(&1).await.unwrap().value, "behind");
        });
    });
    assert!(read.bytes_max < HELD, "{} bytes held", read.bytes_max);
    // Who wants it whole gets it whole.
    block_on(async {
        let log = FileLog::<(), Crc, NoCache>::new(large(), files())
            .await
            .unwrap();
        assert_eq!(log.read(&0).await.unwrap().value.len(), PIECE * PIECES);
        assert_eq!(log.stream(..).count().await, 2);
    });
}
