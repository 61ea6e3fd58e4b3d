//! Logs of format version 1 that were written once: `tests/fixtures/data-v1/` of the workspace.
//!
//! They are frozen. A change that makes one of these tests fail breaks the logs that people have: change the
//! code, never the files.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::append;
use laminarmq::test_util::model::{Rec, check, check_searches};
use laminarmq::{
    Append, FileEnv, Log, LogOptions, MemEnv, OpenError, Part, SegmentEnv, StoredLog, poll_ready,
};

const OPTIONS: LogOptions = LogOptions {
    initial_index: 5,
    auto_roll: false,
    ..common::DEFAULT_OPTIONS
};

/// Longer than one chunk of a record that is written piece by piece.
const LONG: usize = 600_000;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/data-v1")
        .join(name)
}

fn record(number: u64) -> Rec {
    let length = usize::try_from(number * 37 % 150).unwrap();
    Rec {
        term: u32::try_from(number / 4).unwrap(),
        kind: u8::try_from(number % 3).unwrap(),
        flags: u8::try_from(number % 2).unwrap(),
        key: number * 10,
        timestamp: 1_700_000_000_000 + i64::try_from(number * 7919 % 1000).unwrap(),
        value: vec![u8::try_from(number).unwrap(); length],
    }
}

/// Three segments, the second one with a record in three chunks; starts inside the first.
fn write(disk: &MemEnv) -> Vec<Rec> {
    disk.set_now_ms(1_700_000_001_234);
    let mut log = poll_ready(Log::open_with(disk.clone(), OPTIONS)).unwrap();
    let mut model: Vec<Rec> = (0..10).map(record).collect();
    append(&mut log, &model).unwrap();
    poll_ready(log.roll()).unwrap();
    poll_ready(log.sync()).unwrap();
    let mut long = record(10);
    long.value = vec![0xa5; LONG];
    let head = Append {
        term: long.term,
        kind: long.kind,
        flags: long.flags,
        key: long.key,
        timestamp: long.timestamp,
        value: &[],
    };
    let mut writer = poll_ready(log.record_writer(head)).unwrap();
    poll_ready(writer.write(&long.value)).unwrap();
    poll_ready(writer.finish()).unwrap();
    model.push(long);
    append(&mut log, &[record(11)]).unwrap();
    model.push(record(11));
    poll_ready(log.roll()).unwrap();
    append(&mut log, &[record(12), record(13)]).unwrap();
    model.extend([record(12), record(13)]);
    poll_ready(log.truncate_prefix(8)).unwrap();
    model.drain(..3);
    poll_ready(log.close()).unwrap();
    model
}

/// The files that a log has on a disk in memory, by name.
fn files(disk: &MemEnv) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for base in poll_ready(SegmentEnv::list(&mut disk.clone())).unwrap() {
        for (part, extension) in [(Part::Store, "log"), (Part::Index, "index")] {
            let name = format!("{base:020}.{extension}");
            files.insert(name, disk.file(base, part).unwrap());
        }
    }
    files.extend(disk.start_file().map(|bytes| ("log.start".into(), bytes)));
    files
}

fn stored_files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(path).unwrap())
        })
        .collect()
}

fn copy_of(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in stored_files(&fixture(name)) {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    dir
}

#[test]
fn what_is_written_today_are_the_frozen_bytes() {
    let disk = MemEnv::new();
    write(&disk);
    let (today, frozen) = (files(&disk), stored_files(&fixture("log")));
    assert!(today.keys().eq(frozen.keys()), "{:?}", today.keys());
    for (name, bytes) in &frozen {
        assert!(today[name] == *bytes, "{name} differs");
    }
}

#[test]
fn the_frozen_log_opens_and_goes_on() {
    let mut model = write(&MemEnv::new());
    let dir = copy_of("log");
    for _ in 0..2 {
        let report = StoredLog::in_dir(dir.path())
            .unwrap()
            .verify(&mut |_| {})
            .unwrap();
        assert!(report.findings.is_empty(), "{report:?}");
        let mut log = Log::open_dir(dir.path(), OPTIONS).unwrap();
        assert!(log.recovery().is_clean());
        check(&log, 8, &model);
        check_searches(&log, 8, &model);
        let next = record(10 + model.len() as u64);
        append(&mut log, std::slice::from_ref(&next)).unwrap();
        model.push(next);
        poll_ready(log.roll()).unwrap();
        poll_ready(log.close()).unwrap();
    }
}

/// The same, killed instead of closed: no footer at the end, half a record, and blocks written ahead.
fn kill(files: &mut BTreeMap<String, Vec<u8>>) {
    let store = files.get_mut("00000000000000000017.log").unwrap();
    let torn = store[64..100].to_vec();
    store.extend(torn);
    store.extend([0; 700]);
    files.remove("00000000000000000017.index");
}

#[test]
fn the_frozen_log_of_a_killed_process_recovers() {
    let disk = MemEnv::new();
    let model = write(&disk);
    let mut want = files(&disk);
    kill(&mut want);
    assert_eq!(want, stored_files(&fixture("log-killed")));
    let dir = copy_of("log-killed");
    let log = Log::open_dir(dir.path(), OPTIONS).unwrap();
    assert_eq!(log.recovery().bytes_cut, 736);
    check(&log, 8, &model);
}

#[test]
fn every_file_of_a_newer_version_is_refused_by_name_or_built_again() {
    for (name, bytes) in stored_files(&fixture("log")) {
        let dir = copy_of("log");
        let mut newer = bytes;
        newer[8] = 2;
        let crc = crc32c::crc32c(&newer[..60]).to_le_bytes();
        newer[60..64].copy_from_slice(&crc);
        fs::write(dir.path().join(&name), &newer).unwrap();
        let opened = poll_ready(Log::open_with(FileEnv::new(dir.path()).unwrap(), OPTIONS));
        if Path::new(&name).extension().is_some_and(|it| it == "index") {
            assert_eq!(opened.unwrap().recovery().indexes_rebuilt, 1, "{name}");
            continue;
        }
        let error = opened.expect_err("another format");
        let by_name = matches!(
            error,
            OpenError::Format { .. } | OpenError::StartFormat { .. }
        );
        let text = error.to_string();
        assert!(by_name, "{name}: {text}");
        assert!(
            text.contains("version 2") && text.contains("version 1"),
            "{text}"
        );
    }
}
