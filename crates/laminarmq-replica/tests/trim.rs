//! The start of a log moves: what is gone, what stays, and what a crash in between leaves.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use bytes::Bytes;
use common::{Group, Node, batch, config, log, open, run};
use laminarmq_kafka::batch::BatchLimits;
use laminarmq_replica::{
    FetchError, GroupState, Isolation, LogIndex, Offset, OffsetQuery, PeerBody, PeerMessage,
    ProposeError, ReplicaConfig, ReplicaId, SEGMENT_BYTES_MIN, Token, TrimError, TrimProposed,
    TrimTo,
};

fn sole() -> ReplicaConfig {
    ReplicaConfig {
        segment_bytes: SEGMENT_BYTES_MIN,
        tail_cache_bytes: 0,
        ..config(1, &[1])
    }
}

/// Batches of ten records each, in several segments.
fn filled(batches: u64) -> Node {
    let mut node = Node::new(sole());
    node.settle();
    for token in 0..batches {
        node.propose(token, 10);
        node.settle();
    }
    node
}

fn trim(node: &mut Node, to: TrimTo) -> TrimProposed {
    node.replica.propose_trim(to, Token(999)).unwrap()
}

fn offsets(node: &Node) -> Vec<i64> {
    let start = node.replica.start_offset().get();
    node.values(start).into_iter().map(|(at, _)| at).collect()
}

fn earliest(node: &Node) -> u64 {
    let answer = node.replica.offset_for(OffsetQuery::Earliest).unwrap();
    let found = answer.resolve(&BatchLimits::default()).unwrap().unwrap();
    found.offset.get()
}

#[test]
fn records_before_the_offset_are_gone_and_files_with_them() {
    let mut node = filled(30);
    let segments = node.replica.log().segments().len();
    assert!(segments > 4, "{segments} segments");
    assert_eq!(
        trim(&mut node, TrimTo::Offset(Offset(155))),
        TrimProposed::Queued
    );
    node.settle();
    assert!(node.seen.committed.iter().any(|&(token, _)| token == 999));
    assert_eq!(node.replica.start_offset(), Offset(155));
    assert_eq!(earliest(&node), 155);
    assert!(node.replica.log().segments().len() < segments);
    // The batch that holds 155 stays whole, for readers that cut it themselves.
    assert_eq!(offsets(&node), (155..300).collect::<Vec<_>>());
    let before = node.replica.fetch(node.query(154, 1)).map(|_| ());
    assert!(matches!(before, Err(FetchError::OutOfRange { .. })));
    // What follows goes on where it would have.
    node.propose(500, 10);
    node.settle();
    assert_eq!(node.replica.end_offset(), Offset(310));

    for power in [false, true] {
        node.restart(power);
        node.settle();
        assert_eq!(node.replica.start_offset(), Offset(155));
        assert_eq!(offsets(&node), (155..310).collect::<Vec<_>>());
    }
}

#[test]
fn everything_may_be_trimmed_and_the_offsets_go_on() {
    let mut node = filled(3);
    assert_eq!(trim(&mut node, TrimTo::HighWatermark), TrimProposed::Queued);
    node.settle();
    assert_eq!(node.replica.start_offset(), Offset(30));
    assert_eq!(
        trim(&mut node, TrimTo::HighWatermark),
        TrimProposed::Already
    );
    assert_eq!(
        trim(&mut node, TrimTo::Offset(Offset(7))),
        TrimProposed::Already
    );
    assert!(offsets(&node).is_empty());
    node.restart(true);
    node.settle();
    assert_eq!(node.replica.start_offset(), Offset(30));
    node.propose(50, 2);
    node.settle();
    assert_eq!(offsets(&node), [30, 31]);
}

#[test]
fn nothing_that_is_not_committed_can_be_trimmed() {
    let mut node = filled(2);
    node.propose(7, 10);
    let job = node.replica.advance().unwrap().persist.unwrap();
    let refused = node
        .replica
        .propose_trim(TrimTo::Offset(Offset(21)), Token(1));
    assert!(matches!(
        refused,
        Err(TrimError::OutOfRange {
            offset: Offset(21),
            high_watermark: Offset(20)
        })
    ));
    let end = node.replica.log().end_index();
    let refused = node
        .replica
        .propose_trim(TrimTo::Index(LogIndex(end)), Token(1));
    assert!(matches!(refused, Err(TrimError::Uncommitted { .. })));
    let done = run(job, &mut node.saved);
    node.replica.on_persisted(done).unwrap();
    node.settle();
    assert_eq!(
        trim(&mut node, TrimTo::Index(LogIndex(end))),
        TrimProposed::Queued
    );
    node.settle();
    assert_eq!(node.replica.log().start_index(), end);
    assert_eq!(node.replica.start_offset(), Offset(30));
}

#[test]
fn a_follower_proposes_no_trim() {
    let mut node = Node::new(config(1, &[1, 2]));
    node.settle();
    let refused = node.replica.propose_trim(TrimTo::HighWatermark, Token(1));
    assert!(matches!(
        refused,
        Err(TrimError::Propose(ProposeError::NotLeader { .. }))
    ));
}

#[test]
fn a_crash_between_the_saved_start_and_the_cut_is_finished_at_the_next_opening() {
    let mut node = filled(30);
    let (start_before, end) = (
        node.replica.log().start_index(),
        node.replica.log().end_index(),
    );
    trim(&mut node, TrimTo::Offset(Offset(200)));
    // The entry is saved, then committed; its state goes out with the next job, and the crash comes
    // when that is saved.
    let mut saved: Option<GroupState> = None;
    while saved
        .as_ref()
        .is_none_or(|state| state.start.index.get() == 1)
    {
        let job = node
            .replica
            .advance()
            .unwrap()
            .persist
            .expect("more to save");
        if job
            .state
            .as_ref()
            .is_some_and(|state| state.start.index.get() > 1)
        {
            let _ = run(job, &mut saved);
        } else {
            let done = run(job, &mut node.saved);
            node.replica.on_persisted(done).unwrap();
        }
    }
    assert_eq!(
        node.replica.log().start_index(),
        start_before,
        "not cut yet"
    );
    assert_eq!(
        node.replica.start_offset(),
        Offset(200),
        "but not read any more"
    );
    node.saved = saved;
    node.restart(true);
    assert!(node.replica.log().start_index() > start_before);
    assert!(node.replica.log().end_index() > end);
    node.settle();
    assert_eq!(node.replica.start_offset(), Offset(200));
    assert_eq!(offsets(&node), (200..300).collect::<Vec<_>>());
}

#[test]
fn a_crash_at_every_job_leaves_the_old_start_or_the_new_one() {
    for jobs in 0..6 {
        for power in [false, true] {
            let mut node = filled(30);
            trim(&mut node, TrimTo::Offset(Offset(200)));
            for _ in 0..jobs {
                let effects = node.replica.advance().unwrap();
                if let Some(job) = effects.persist {
                    let done = run(job, &mut node.saved);
                    node.replica.on_persisted(done).unwrap();
                }
            }
            node.restart(power);
            node.settle();
            let start = node.replica.start_offset().get();
            assert!(
                start == 0 || start == 200,
                "start {start} after {jobs} jobs"
            );
            assert!(
                jobs < 2 || start == 200,
                "a committed trim is gone after {jobs} jobs"
            );
            let want: Vec<i64> = (i64::try_from(start).unwrap()..300).collect();
            assert_eq!(offsets(&node), want);
        }
    }
}

#[test]
fn a_state_machine_gets_what_is_left() {
    let mut node = Node::new(ReplicaConfig {
        state_machine: true,
        ..sole()
    });
    node.settle();
    for number in 0..40 {
        let command = Bytes::from(vec![number; 100]);
        node.replica
            .propose_command(command, Token(number.into()))
            .unwrap();
        node.settle();
    }
    let (first, _) = node.seen.commands[25].clone();
    trim(&mut node, TrimTo::Index(LogIndex(first)));
    node.settle();
    node.restart(true);
    node.settle();
    let commands: Vec<u8> = node
        .seen
        .commands
        .iter()
        .map(|(_, bytes)| bytes[0])
        .collect();
    assert_eq!(commands, (25..40).collect::<Vec<u8>>());
}

#[test]
fn a_look_up_by_time_finds_nothing_before_the_start() {
    let mut node = Node::new(sole());
    node.settle();
    // Times 1000 to 1009, offsets 0 to 9.
    node.replica
        .propose_batch(batch("a", 10, 1_000), Token(1))
        .unwrap();
    node.settle();
    trim(&mut node, TrimTo::Offset(Offset(6)));
    node.settle();
    let at = |time| {
        let answer = node
            .replica
            .offset_for(OffsetQuery::AtOrAfter(time))
            .unwrap();
        answer
            .resolve(&BatchLimits::default())
            .unwrap()
            .map(|found| found.offset.get())
    };
    assert_eq!(
        [at(0), at(1_005), at(1_007), at(1_010)],
        [Some(6), Some(6), Some(7), None]
    );
}

#[test]
fn a_reader_from_before_the_trim_gets_its_batches() {
    let mut node = filled(20);
    let query = node.query(0, u64::MAX);
    assert_eq!(query.isolation, Isolation::ReadCommitted);
    let plan = node.replica.fetch(query).unwrap();
    trim(&mut node, TrimTo::Offset(Offset(150)));
    node.settle();
    // The files are open or gone: bytes as they were, or a clean answer.
    match plan.read() {
        Ok(batches) => assert!(!batches.is_empty()),
        Err(error) => assert!(error.to_string().contains("truncated"), "{error}"),
    }
    // A second one finds what is there.
    let (disk, state) = (node.disk.clone(), node.saved.clone());
    drop(node);
    assert!(log(&disk).start_index() > 1);
    let replica = open(&sole(), &disk, state);
    assert_eq!(replica.start_offset(), Offset(150));
}

/// The followers have the trim on their disks, and the leader has not: it is committed, and the leader must not say so
/// before its own log begins there.
#[test]
fn a_trim_is_answered_when_the_leader_begins_there() {
    let mut group = Group::of(&[1, 2, 3]);
    let id = group.elect();
    group.node(id).propose(1, 10);
    group.settle();
    let mut leader = group.nodes.remove(&id).unwrap();
    assert_eq!(
        trim(&mut leader, TrimTo::Offset(Offset(4))),
        TrimProposed::Queued
    );
    leader.propose(2, 10);
    let mut effects = leader.replica.advance().unwrap();
    let job = effects.persist.take().unwrap();
    let mut committed = Vec::new();
    for _ in 0..3 {
        for (to, message) in std::mem::take(&mut effects.messages) {
            let follower = group.node(to.get());
            follower.replica.step(ReplicaId(id), message).unwrap();
            for (_, reply) in follower.settle() {
                leader.replica.step(to, reply).unwrap();
            }
        }
        effects = leader.replica.advance().unwrap();
        committed.extend(effects.committed.iter().map(|done| done.token));
    }
    assert_eq!(committed, [Token(2)], "records are, by the two others");
    assert_eq!(leader.replica.start_offset(), Offset(0));
    let done = run(job, &mut leader.saved);
    leader.replica.on_persisted(done).unwrap();
    let effects = leader.replica.advance().unwrap();
    let committed: Vec<_> = effects.committed.iter().map(|done| done.token).collect();
    assert_eq!(committed, [Token(999)]);
    assert_eq!(leader.replica.start_offset(), Offset(4));
}

/// A follower asks for the entry just before the start while the leader is about to move the start there.
#[test]
fn what_a_message_was_to_bring_may_be_gone_by_then() {
    let voters = [1, 2, 3];
    let uncached = |id| {
        Node::new(ReplicaConfig {
            tail_cache_bytes: 0,
            ..config(id, &voters)
        })
    };
    let mut group = Group::new(voters.map(uncached));
    let leader = group.elect();
    let away = voters.into_iter().find(|id| *id != leader).unwrap();
    group.node(leader).propose(0, 1);
    group.settle();
    let kept = LogIndex(group.node(away).replica.log().end_index() - 1);
    let to_nobody = |_: ReplicaId, to: ReplicaId, _: &_| to.get() == away;
    for token in 1..4 {
        group.node(leader).propose(token, 1);
        group.settle_without(to_nobody);
    }
    // The next one that it lacks is the last one to go.
    let first = LogIndex(kept.get() + 2);
    trim(group.node(leader), TrimTo::Index(first));
    let mut answered = false;
    while !answered {
        let node = group.nodes.get_mut(&leader).unwrap();
        let mut effects = node.replica.advance().unwrap();
        let moved = node.replica.start_offset() > Offset(0);
        if let Some(job) = effects.persist.take() {
            let done = run(job, &mut node.saved);
            node.replica.on_persisted(done).unwrap();
            answered = moved;
        }
        let others = effects.messages.into_iter();
        for (to, message) in others.filter(|(to, _)| to.get() != away) {
            let other = group.node(to.get());
            other.replica.step(ReplicaId(leader), message).unwrap();
            for (_, reply) in other.settle() {
                group.node(leader).replica.step(to, reply).unwrap();
            }
        }
    }
    let node = group.nodes.get_mut(&leader).unwrap();
    assert!(node.replica.log().start_index() < first.get(), "not yet");
    // What it was sent is lost, and it is there again.
    node.replica.report_unreachable(ReplicaId(away));
    let term = node.replica.leader_epoch();
    let body = PeerBody::HeartbeatReply { commit: kept };
    let alive = PeerMessage { term, body };
    node.replica.step(ReplicaId(away), alive).unwrap();
    group.settle();
    group.tick();
    group.tick();
    let start = group.node(leader).replica.log().start_index();
    assert_eq!(start, first.get());
    let ends = [leader, away].map(|id| group.node(id).replica.end_offset());
    assert_eq!(ends, [Offset(4); 2]);
}
