//! Appends to files that make no call: what they leave when the process ends at once, and on a disk that is full.
//!
//! Each test runs itself again as another process, which appends.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::process::Command;

use futures_lite::future::block_on;
use futures_lite::stream::StreamExt;
use laminarmq::common::cache::NoOpCache;
use laminarmq::common::serde_compat::bincode::BinCode;
use laminarmq::storage::commit_log::segmented_log::{
    Config, MetaWithIdx, Record, SegmentedLog, segment,
};
use laminarmq::storage::impls::common::DiskBackedSegmentStorageProvider;
use laminarmq::storage::impls::file::{FileStorage, FileStorageProvider};
use laminarmq::storage::{AsyncIndexedRead, Sizable};
use laminarmq::{Crc32cHasher, Log as PlainLog};

type Files = DiskBackedSegmentStorageProvider<FileStorage, FileStorageProvider, u64>;
type Log =
    SegmentedLog<FileStorage, (), Crc32cHasher, u64, u64, BinCode, Files, NoOpCache<usize, ()>>;

/// Where the other process appends.
const DIR: &str = "LAMINARMQ_TEST_MAPPED_DIR";

fn open(dir: &Path) -> Log {
    let config = Config {
        segment_config: segment::Config {
            max_store_size: 1 << 30,
            max_store_overflow: 1 << 20,
            max_index_size: 1 << 30,
        },
        num_index_cached_read_segments: None,
        initial_index: 0,
    };
    block_on(Log::new(config, Files::new(dir).unwrap())).unwrap()
}

/// Short ones first, as many as most tests take, and then some that are longer than a page.
fn value(index: u64) -> Vec<u8> {
    let length = if index < 2000 {
        1 + index * 7 % 300
    } else {
        index * 7919 % 13_000
    };
    vec![index.to_le_bytes()[0]; usize::try_from(length).unwrap()]
}

fn append(log: &mut Log) -> Result<u64, String> {
    let value = value(log.highest_index());
    let metadata = MetaWithIdx {
        metadata: (),
        index: None,
    };
    let appended = block_on(log.append_record_with_contiguous_bytes(&Record { metadata, value }));
    appended.map_err(|error| format!("{error:?}"))
}

fn check(log: &Log, count: u64) {
    assert_eq!((log.lowest_index(), log.highest_index()), (0, count));
    let records: Vec<_> = block_on(log.try_stream(..).collect());
    assert_eq!(records.len() as u64, count);
    for (index, record) in (0..).zip(records) {
        assert_eq!(*record.unwrap().value, value(index));
    }
}

/// Whether a store in `dir` is mapped by this process.
fn is_mapped(dir: &Path) -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let dir = dir.to_str().unwrap();
    maps.lines()
        .any(|line| line.contains(dir) && line.ends_with(".log"))
}

/// Whether these tests say anything where the directory is.
fn maps_there(dir: &Path) -> bool {
    let mut log = open(dir);
    for _ in 0..100 {
        append(&mut log).unwrap();
    }
    let maps = is_mapped(dir);
    block_on(laminarmq::storage::AsyncConsume::remove(log)).unwrap();
    assert!(!is_mapped(dir), "it outlives the log");
    if !maps {
        println!("nothing is tested: files are not mapped on this file system");
    }
    maps
}

/// Runs `test` of this program in another process, by a shell that does `before` first; says what it printed.
fn again(test: &str, dir: &Path, before: &str) -> (String, std::process::ExitStatus) {
    let program = std::env::current_exe().unwrap();
    let command = format!("{before}; exec \"$0\" --exact {test} --nocapture");
    let output = Command::new("sh")
        .args(["-c", &command])
        .arg(program)
        .env(DIR, dir)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    (printed, output.status)
}

/// The number behind `what` in what was printed.
fn number(printed: &str, what: &str) -> u64 {
    let (_, behind) = printed
        .split_once(what)
        .unwrap_or_else(|| panic!("{what}: {printed}"));
    behind.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_process_that_ends_at_once_loses_nothing() {
    if let Some(dir) = std::env::var_os(DIR) {
        let mut log = open(Path::new(&dir));
        // More room than is made at once, and more than is mapped at once.
        let count = 3500;
        for _ in 0..count {
            append(&mut log).unwrap();
        }
        assert!(is_mapped(Path::new(&dir)));
        assert!(log.segments().map(|it| it.size()).sum::<u64>() > 8 << 20);
        println!("appended {count} ");
        std::process::abort();
    }
    let dir = tempfile::tempdir().unwrap();
    if !maps_there(dir.path()) {
        return;
    }
    let (printed, _) = again(
        "a_process_that_ends_at_once_loses_nothing",
        dir.path(),
        "true",
    );
    let count = number(&printed, "appended ");
    check(&open(dir.path()), count);
    // What was dropped without closing it, once more, and by the other face.
    let log = PlainLog::open(dir.path()).unwrap();
    assert_eq!((log.end_index(), log.recovery().bytes_cut), (count, 0));
}

#[test]
fn a_full_disk_is_an_error_and_takes_nothing_that_was_appended() {
    if let Some(dir) = std::env::var_os(DIR) {
        let mut log = open(Path::new(&dir));
        let mut was_mapped = false;
        let error = loop {
            match append(&mut log) {
                Ok(_) => was_mapped |= is_mapped(Path::new(&dir)),
                Err(error) => break error,
            }
        };
        assert!(was_mapped);
        let count = log.highest_index();
        check(&log, count);
        let again = append(&mut log).is_err();
        println!("appended {count} \nrefused {} \n{error}", u8::from(again));
        std::process::exit(0);
    }
    let dir = tempfile::tempdir().unwrap();
    if !maps_there(dir.path()) {
        return;
    }
    // In blocks of 512 bytes: a file may have so many, which is as if the disk had no more.
    for blocks in [300, 333, 400] {
        let before = format!("trap '' XFSZ; ulimit -f {blocks}");
        let test = "a_full_disk_is_an_error_and_takes_nothing_that_was_appended";
        let (printed, status) = again(test, dir.path(), &before);
        assert!(status.success(), "{status}: {printed}");
        assert_eq!(number(&printed, "refused "), 1, "{printed}");
        let count = number(&printed, "appended ");
        let mut log = open(dir.path());
        check(&log, count);
        append(&mut log).unwrap();
        check(&log, count + 1);
        block_on(laminarmq::storage::AsyncConsume::remove(log)).unwrap();
    }
}
