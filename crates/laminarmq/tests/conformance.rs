//! The conformance suite on memory and on files.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use laminarmq::test_util::conformance;
use laminarmq::test_util::faults::{Call, Fault, FaultEnv};
use laminarmq::{Append, FileEnv, Log, MemEnv, OpenError, poll_ready};

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
