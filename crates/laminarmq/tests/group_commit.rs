//! Commits of many threads: none ends before a sync that covers it has.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;
mod hooked;

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use common::{Rec, as_appends, contents, open, recs, small};
use hooked::Hooked;
use laminarmq::{AppendError, Commit, CommitError, Log, LogOptions, SharedLog, poll_ready};

const ROUNDS: u64 = 30;

fn options() -> LogOptions {
    small(1000)
}

fn shared(env: &Hooked) -> SharedLog<Hooked> {
    SharedLog::new(open(env.clone(), options()))
}

fn append(log: &SharedLog<Hooked>, records: &[Rec]) -> Result<Commit<Hooked>, AppendError> {
    as_appends(records, |appends| log.append_many(appends))
}

/// What a power cut would leave now.
fn on_media(env: &Hooked) -> Vec<Rec> {
    let disk = env.disk.crashed_copy(|_| false);
    contents(&open(disk, options()))
}

#[test]
fn nothing_is_durable_before_the_sync_is_done() {
    let env = Hooked::default();
    let log = shared(&env);
    let model = recs(0..60, 40);
    for (number, record) in model.iter().enumerate() {
        let commit = append(&log, std::slice::from_ref(record)).unwrap();
        let (index, before) = (commit.first(), log.durable_index());
        assert_eq!((index, before), (1 + number as u64, 1 + number as u64));
        let (seen, reader) = (log.clone(), log.reader());
        env.on_sync.set(move || {
            // The log can be used meanwhile.
            assert_eq!(
                (seen.durable_index(), reader.durable_index()),
                (before, before)
            );
        });
        assert_eq!(commit.wait().unwrap(), index);
        env.on_sync.clear();
        assert_eq!(log.durable_index(), index + 1);
        assert_eq!(on_media(&env), model[..=number]);
    }
    assert!(log.with(|log| log.segments().len()) > 3);
}

/// Lets another thread append and wait in the middle of the next sync, and returns what it got, and what was on
/// the media then.
fn waits_meanwhile(
    env: &Hooked,
    log: &SharedLog<Hooked>,
    record: Rec,
) -> Receiver<(Result<u64, CommitError>, Vec<Rec>)> {
    let (tell, result) = sync_channel(1);
    let (env_there, log_there) = (env.clone(), log.clone());
    let mut once = Some(record);
    env.on_sync.set(move || {
        let Some(record) = once.take() else {
            return;
        };
        let (env, log, tell) = (env_there.clone(), log_there.clone(), tell.clone());
        let (begin, has_begun) = sync_channel(0);
        thread::spawn(move || {
            let commit = append(&log, &[record]).unwrap();
            begin.send(()).unwrap();
            let got = commit.wait();
            tell.send((got, on_media(&env))).unwrap();
        });
        has_begun.recv().unwrap();
        // In nearly every round the other thread waits by then. Where not, the round tests less.
        (0..10).for_each(|_| thread::yield_now());
    });
    result
}

#[test]
fn who_comes_while_a_sync_runs_waits_for_the_next_one() {
    let env = Hooked::default();
    let log = shared(&env);
    for round in 0..ROUNDS {
        let [first, second] = &recs(2 * round..2 * round + 2, 20)[..] else {
            unreachable!("two records");
        };
        let commit = append(&log, std::slice::from_ref(first)).unwrap();
        let result = waits_meanwhile(&env, &log, second.clone());
        assert_eq!(commit.wait().unwrap(), 1 + 2 * round);
        let (got, media) = result.recv().unwrap();
        env.on_sync.clear();
        assert_eq!(got.unwrap(), 2 + 2 * round);
        assert_eq!(media.last(), Some(second), "round {round}");
    }
}

#[test]
fn a_failed_sync_fails_all_that_wait_and_all_that_come() {
    for round in 0..ROUNDS {
        let env = Hooked::default();
        let log = shared(&env);
        let model = recs(0..3, 20);
        append(&log, &model[..1]).unwrap().wait().unwrap();
        let commit = append(&log, &model[1..2]).unwrap();
        let result = waits_meanwhile(&env, &log, model[2].clone());
        env.disk.fail_sync(Some(0));
        assert!(matches!(commit.wait(), Err(CommitError::Poisoned(_))));
        let (got, _) = result.recv().unwrap();
        assert!(
            matches!(got, Err(CommitError::Poisoned(_))),
            "round {round}: {got:?}"
        );
        env.on_sync.clear();
        let syncs = env.disk.syncs();
        assert!(matches!(log.sync(), Err(CommitError::Poisoned(_))));
        assert!(matches!(
            append(&log, &model[2..]),
            Err(AppendError::Poisoned(_))
        ));
        assert_eq!((log.durable_index(), env.disk.syncs()), (2, syncs));
        log.close().unwrap_err();
    }
}

#[test]
fn one_sync_serves_all_that_had_appended() {
    let env = Hooked::default();
    let log = shared(&env);
    let model = recs(0..9, 20);
    let before = env.disk.syncs();
    let commits: Vec<_> = model
        .iter()
        .map(|record| append(&log, std::slice::from_ref(record)).unwrap())
        .collect();
    for (number, commit) in commits.into_iter().enumerate() {
        assert_eq!(commit.wait().unwrap(), 1 + number as u64);
    }
    assert_eq!(env.disk.syncs() - before, 1);
    log.sync().unwrap();
    assert_eq!(
        env.disk.syncs() - before,
        1,
        "there was nothing left to sync"
    );
    assert_eq!(on_media(&env), model);
}

#[test]
fn a_commit_whose_records_are_truncated_says_so() {
    let env = Hooked::default();
    let log = shared(&env);
    let model = recs(0..4, 20);
    append(&log, &model[..2]).unwrap().wait().unwrap();
    let gone = append(&log, &model[2..]).unwrap();
    log.with(|log| poll_ready(log.truncate_suffix(4))).unwrap();
    let truncated = CommitError::Truncated { index: 3, end: 4 };
    assert_eq!(gone.wait(), Err(truncated));
    log.sync().unwrap();
    assert_eq!(log.durable_index(), 4);
}

#[test]
fn closing_needs_no_other_handle_and_syncs_in_any_case() {
    let env = Hooked::default();
    let log = shared(&env);
    let model = recs(0..6, 20);
    let other = log.clone();
    drop(append(&log, &model[..3]).unwrap());
    log.close().unwrap();
    assert_eq!(on_media(&env), model[..3]);
    drop(append(&other, &model[3..]).unwrap());
    other.close().unwrap();
    let log: Log<Hooked> = open(env, options());
    assert!(log.recovery().is_clean());
    assert_eq!(contents(&log), model);
}
