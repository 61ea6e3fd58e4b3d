//! The conformance suite on memory and on files.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::IoSlice;

use laminarmq::test_util::conformance;
use laminarmq::test_util::faults::{Call, Fault, FaultEnv};
use laminarmq::{
    Append, FileEnv, Log, LogEnv, LogFile, MemEnv, OpenError, Part, ReadAt, poll_ready,
};

#[test]
fn memory_conforms() {
    conformance::run(|| {
        let disk = MemEnv::new();
        move || disk.clone()
    });
}

#[test]
fn files_conform() {
    conformance::run(|| {
        let dir = tempfile::tempdir().unwrap();
        move || FileEnv::new(dir.path()).unwrap()
    });
}

#[cfg(target_os = "linux")]
#[test]
fn files_through_io_uring_conform() {
    conformance::run(|| {
        let dir = tempfile::tempdir().unwrap();
        move || laminarmq::UringEnv::new(dir.path()).unwrap()
    });
}

/// What one writes the other reads.
#[cfg(target_os = "linux")]
#[test]
fn files_are_the_same_through_io_uring() {
    let dir = tempfile::tempdir().unwrap();
    let long = vec![3; 3 << 20];
    let env = laminarmq::UringEnv::new(dir.path()).unwrap();
    let mut log = poll_ready(Log::open_with(env, laminarmq::LogOptions::default())).unwrap();
    for value in [&b"short"[..], &long] {
        let value = &[value];
        poll_ready(log.append(Append {
            value,
            ..Append::default()
        }))
        .unwrap();
    }
    poll_ready(log.close()).unwrap();
    let mut log = Log::open(dir.path()).unwrap();
    assert_eq!(poll_ready(log.read(0)).unwrap().value, "short");
    let value: &[&[u8]] = &[b"from files"];
    poll_ready(log.append(Append {
        value,
        ..Append::default()
    }))
    .unwrap();
    poll_ready(log.close()).unwrap();
    let env = laminarmq::UringEnv::new(dir.path()).unwrap();
    let log = poll_ready(Log::open_with(env, laminarmq::LogOptions::default())).unwrap();
    assert!(log.recovery().is_clean());
    assert_eq!(poll_ready(log.read(1)).unwrap().value, long);
    assert_eq!(poll_ready(log.read(2)).unwrap().value, "from files");
}

#[test]
fn an_environment_whose_faults_stay_away_conforms() {
    conformance::run(|| {
        let disk = MemEnv::new();
        move || FaultEnv::new(disk.clone())
    });
    conformance::run(|| {
        let dir = tempfile::tempdir().unwrap();
        move || FaultEnv::new(FileEnv::new(dir.path()).unwrap())
    });
}

#[test]
#[should_panic(expected = "injected fault")]
fn an_environment_with_a_fault_does_not_conform() {
    conformance::run(|| {
        let env = FaultEnv::new(MemEnv::new());
        env.faults().arm(Fault::nth(Call::Sync, 1));
        move || env.clone()
    });
}

#[test]
#[should_panic(expected = "left == right")]
fn a_storage_that_forgets_does_not_conform() {
    conformance::run(|| MemEnv::new);
}

/// Whoever holds the old file of a segment that is replaced, or has another name for it, keeps what it was.
fn keeps_what_was_held<E: LogEnv>(mut env: E, between: impl FnOnce()) {
    let mut files = poll_ready(env.open(7)).unwrap();
    poll_ready(files.store.append(&mut [IoSlice::new(b"0123456789")])).unwrap();
    poll_ready(env.sync(7, &mut files, Part::Store)).unwrap();
    let mut held = files.store.reader();
    held.hold().unwrap();
    between();
    poll_ready(env.replace(7, &mut files, 6)).unwrap();
    poll_ready(files.store.append(&mut [IoSlice::new(b"new")])).unwrap();
    assert_eq!(held.read_at(0, 10).unwrap(), "0123456789");
    assert_eq!(files.store.reader().read_at(0, 9).unwrap(), "012345new");
}

#[test]
fn a_replaced_store_stays_what_it_was_for_others() {
    keeps_what_was_held(MemEnv::new(), || {});
    let dir = tempfile::tempdir().unwrap();
    let (store, link) = (
        dir.path().join("00000000000000000007.log"),
        dir.path().join("link"),
    );
    let env = FileEnv::new(dir.path()).unwrap();
    keeps_what_was_held(env, || std::fs::hard_link(&store, &link).unwrap());
    assert_eq!(std::fs::read(link).unwrap(), b"0123456789");
    assert_eq!(std::fs::read(store).unwrap(), b"012345new");
}

#[test]
fn a_replacement_that_was_cut_short_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path()).unwrap();
    poll_ready(log.append(Append::default())).unwrap();
    poll_ready(log.close()).unwrap();
    let left = dir.path().join("00000000000000000000.log.new");
    for content in [&b""[..], b"a part of the store"] {
        std::fs::write(&left, content).unwrap();
        let log = Log::open(dir.path()).unwrap();
        assert!(log.recovery().is_clean() && log.end_index() == 1);
        assert!(!left.exists());
    }
}

#[test]
fn a_directory_is_used_by_one_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).unwrap();
    assert!(matches!(
        Log::open(dir.path()),
        Err(OpenError::InUse { .. })
    ));
    drop(log);
    Log::open(dir.path()).unwrap();
}

#[test]
fn handles_and_futures_are_send() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let dir = tempfile::tempdir().unwrap();
    let mut log = is_send(Log::open(dir.path()).unwrap());
    poll_ready(is_send(log.append(Append::default()))).unwrap();
    is_send(poll_ready(is_send(log.plan(0..1, 1))).unwrap());
    let done = is_send(log.sync_ticket().unwrap()).run();
    log.complete(is_send(done)).unwrap();
    poll_ready(is_send(log.close())).unwrap();
}
