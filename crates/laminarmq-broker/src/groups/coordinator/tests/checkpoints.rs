use super::*;
use crate::limits::{GROUP_CHECKPOINT_BYTES_MIN, GROUP_PROPOSED_BYTES_MAX};

fn long_commit(partitions: i32, metadata: usize) -> Request {
    let offset = |partition| NewOffset {
        key: key(1, partition),
        offset: 1,
        leader_epoch: -1,
        metadata: Some("x".repeat(metadata)),
    };
    Request::Commit(Commit {
        generation: -1,
        offsets: (0..partitions).map(offset).collect(),
        ..Commit::default()
    })
}

fn kinds(bench: &Bench) -> Vec<Command> {
    bench
        .log
        .iter()
        .map(|(_, command)| Command::decode(command).unwrap())
        .collect()
}

#[test]
fn the_log_is_cut_when_it_has_grown_beyond_the_state() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("members", 3);
    let mut bytes = 0;
    while bench.trims.is_empty() {
        assert_eq!(
            bench.ask("g", long_commit(100, 100)),
            Answer::Commit(Ok(()))
        );
        bytes = bench
            .log
            .iter()
            .map(|(_, command)| command.len() as u64)
            .sum();
        assert!(bytes < 2 * GROUP_CHECKPOINT_BYTES_MIN, "no checkpoint");
    }
    assert!(bytes > GROUP_CHECKPOINT_BYTES_MIN);
    assert_eq!(bench.replayed().state, bench.coordinator.state);
    let at = bench
        .log
        .iter()
        .position(|(index, _)| *index == bench.trims[0])
        .unwrap();
    assert!(matches!(kinds(&bench)[at], Command::CheckpointBegin { .. }));
    let kept: usize = bench.log[at..]
        .iter()
        .map(|(_, command)| command.len())
        .sum();
    assert!(kept < 40_000, "{kept}");
    bench.crash();
    assert_eq!(bench.beat("members", generation, &ids[0]), Ok(()));
    // And on it goes.
    for _ in 0..300 {
        bench.ask("g", long_commit(100, 100));
    }
    assert!(bench.trims.len() > 2, "{:?}", bench.trims);
    assert!(bench.trims.is_sorted());
    assert_eq!(bench.replayed().state, bench.coordinator.state);
}

/// The kind of the newest command in the log.
fn newest(bench: &Bench) -> u8 {
    bench.log.last().map_or(0, |(_, command)| command[1])
}

const BEGIN: u8 = 7;
const END: u8 = 9;

#[test]
fn nothing_comes_between_and_what_waits_goes_on_behind() {
    let mut bench = Bench::new();
    bench.ask("big", long_commit(3000, 4000));
    bench.commits = false;
    let mut replies = Vec::new();
    // Until a checkpoint is under way there is always something outside.
    while newest(&bench) != BEGIN {
        if bench.outside.len() < 2 {
            replies.push(bench.send("big", long_commit(500, 4000)));
        }
        bench.commit_one();
        assert!(bench.log.len() < 4000);
    }
    let waiting = replies.iter().filter(|reply| bench.waits(**reply)).count();
    assert!(waiting > 0, "some wait for the checkpoint");
    for n in 0..20 {
        replies.push(bench.send(&format!("g{n}"), long_commit(1, 1)));
        bench.commit_one();
        let outside: usize = bench.outside.iter().map(|(_, command)| command.len()).sum();
        assert!(outside <= GROUP_PROPOSED_BYTES_MAX + 300_000, "{outside}");
    }
    bench.commit_all();
    for reply in replies {
        assert_eq!(bench.take_answer(reply), Answer::Commit(Ok(())));
    }
    let log = kinds(&bench);
    let find = |kind: u8| {
        bench
            .log
            .iter()
            .position(|(_, command)| command[1] == kind)
            .unwrap()
    };
    let (begin, end) = (find(BEGIN), find(END));
    assert!(end - begin > 40, "{begin} {end}");
    let between = &log[begin + 1..end];
    assert!(
        between
            .iter()
            .all(|c| matches!(c, Command::CheckpointChunk { .. }))
    );
    assert_eq!(bench.trims, [bench.log[begin].0]);
    assert_eq!(bench.replayed().state, bench.coordinator.state);
}

#[test]
fn one_that_was_cut_short_is_written_again() {
    let mut bench = Bench::new();
    bench.ask("big", long_commit(300, 1000));
    // What of the checkpoint is left outside when the crash comes: its end, a chunk more, and so on.
    for left in 1..4 {
        bench.trims.clear();
        bench.commits = false;
        while !bench.outside.iter().any(|(_, command)| command[1] == END) {
            bench.send("big", long_commit(300, 1000));
            while bench
                .outside
                .front()
                .is_some_and(|(_, command)| command[1] < BEGIN)
            {
                bench.commit_one();
            }
        }
        while bench.outside.len() > left {
            bench.commit_one();
        }
        assert!(bench.trims.is_empty());
        let state = bench.replayed().state;
        bench.commits = true;
        bench.crash();
        assert_eq!(bench.replayed().state, state);
        while bench.trims.is_empty() {
            bench.ask("big", long_commit(300, 1000));
        }
        assert_eq!(bench.replayed().state, bench.coordinator.state);
    }
}
