//! Idempotent producers and trims, seen from a shard.

use super::tests::{Bench, ONE, QUORUM, Seen, Test, config, read};
use super::trio::{LONG, Trio};
use super::*;
use laminarmq::MemEnv;
use laminarmq_kafka::batch::{
    BatchBuilder, BatchLimits, Compression, NewRecord, ProducerStamp, validate,
};
use laminarmq_replica::ReplicaConfig;

/// Batch `number` of a producer; each has one record.
fn produce(id: i64, epoch: i16, number: i32, ack: Ack, reply: u32) -> Input<Test> {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.set_producer(Some(ProducerStamp {
        id,
        epoch,
        base_sequence: number,
    }));
    let record = NewRecord {
        timestamp: 5,
        value: Some(b"value"),
        ..NewRecord::default()
    };
    builder.push(&record).unwrap();
    let batch = validate(builder.build(), &BatchLimits::default()).unwrap();
    Input::Append(Append {
        group: ONE,
        batch,
        ack,
        reply,
    })
}

fn answers(seen: Vec<Seen>) -> Vec<Seen> {
    seen.into_iter()
        .filter(|seen| matches!(seen, Seen::Appended(..) | Seen::Trimmed(..)))
        .collect()
}

#[test]
fn a_repetition_is_answered_when_the_first_one_is() {
    let disk = MemEnv::new();
    let mut bench = Bench::with(config(ONE), &disk);
    let first = bench.step([produce(7, 0, 0, QUORUM, 1)]);
    assert_eq!(answers(first), []);
    let again = bench.step([
        produce(7, 0, 0, QUORUM, 2),
        produce(7, 0, 0, Ack::Leader, 3),
    ]);
    assert_eq!(answers(again), [Seen::Appended(3, Ok(0))]);
    let saved = answers(bench.persist());
    assert_eq!(saved, [Seen::Appended(1, Ok(0)), Seen::Appended(2, Ok(0))]);
    let late = bench.step([produce(7, 0, 0, QUORUM, 4)]);
    assert_eq!(answers(late), [Seen::Appended(4, Ok(0))]);
    let next = bench.step([produce(7, 0, 1, Ack::Leader, 5)]);
    assert_eq!(
        answers(next),
        [Seen::Appended(5, Ok(1))],
        "nothing was stored twice"
    );
}

#[test]
fn a_repetition_in_the_same_step_is_told_apart_from_what_follows() {
    let disk = MemEnv::new();
    let mut bench = Bench::with(config(ONE), &disk);
    let seen = bench.step([
        produce(7, 0, 0, Ack::Leader, 1),
        produce(7, 0, 1, Ack::Leader, 2),
        produce(7, 0, 0, Ack::Leader, 3),
        produce(7, 0, 2, Ack::Leader, 4),
        produce(7, 0, 5, Ack::Leader, 5),
    ]);
    let gap = Refusal::SequenceGap {
        expected: 3,
        given: 5,
    };
    let mut seen = answers(seen);
    seen.sort_by_key(|seen| match seen {
        Seen::Appended(reply, _) => *reply,
        _ => u32::MAX,
    });
    let want = [
        Seen::Appended(1, Ok(0)),
        Seen::Appended(2, Ok(1)),
        Seen::Appended(3, Ok(0)),
        Seen::Appended(4, Ok(2)),
        Seen::Appended(5, Err(gap)),
    ];
    assert_eq!(seen, want);
}

#[test]
fn repetitions_keep_their_place_behind_a_full_log() {
    let disk = MemEnv::new();
    let small = ReplicaConfig {
        uncommitted_bytes_max: 1,
        ..config(ONE)
    };
    let mut bench = Bench::with(small, &disk);
    let inputs = [0, 1, 1, 2].into_iter().zip(1..);
    let seen = bench.step(inputs.map(|(number, reply)| produce(7, 0, number, QUORUM, reply)));
    assert_eq!(answers(seen), []);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.extend(answers(bench.persist()));
    }
    let want = [
        Seen::Appended(1, Ok(0)),
        Seen::Appended(2, Ok(1)),
        Seen::Appended(3, Ok(1)),
        Seen::Appended(4, Ok(2)),
    ];
    assert_eq!(seen, want);
}

#[test]
fn what_waits_for_a_first_one_is_refused_when_the_partition_goes() {
    let disk = MemEnv::new();
    let mut bench = Bench::with(config(ONE), &disk);
    bench.step([produce(7, 0, 0, QUORUM, 1), produce(7, 0, 0, QUORUM, 2)]);
    let seen = bench.step([Input::Remove {
        group: ONE,
        reply: 9,
    }]);
    let unconfirmed = |reply| Seen::Appended(reply, Err(Refusal::Unconfirmed));
    assert_eq!(answers(seen), [unconfirmed(1), unconfirmed(2)]);
}

#[test]
fn a_trim_is_answered_once_it_is_decided() {
    let disk = MemEnv::new();
    let mut bench = Bench::with(config(ONE), &disk);
    let inputs = (0..4).zip(1..);
    bench.step(inputs.map(|(number, reply)| produce(7, 0, number, QUORUM, reply)));
    bench.persist();
    let trim = |offset, reply| Input::Trim {
        group: ONE,
        to: TrimTo::Offset(Offset(offset)),
        reply,
    };
    let seen = bench.step([trim(3, 10)]);
    assert_eq!(answers(seen), []);
    assert_eq!(answers(bench.persist()), [Seen::Trimmed(10, Ok(3))]);
    let past = Refusal::OutOfRange {
        start: Offset(0),
        end: Offset(4),
    };
    let seen = answers(bench.step([trim(1, 11), trim(5, 12)]));
    assert_eq!(
        seen,
        [Seen::Trimmed(11, Ok(3)), Seen::Trimmed(12, Err(past))]
    );
    let seen = bench.step([read(ONE, 2, None, 13)]);
    let gone = Refusal::OutOfRange {
        start: Offset(3),
        end: Offset(4),
    };
    assert!(seen.contains(&Seen::Read(13, vec![Err(gone)])), "{seen:?}");
    let seen = bench.step([Input::Trim {
        group: GroupId(99),
        to: TrimTo::HighWatermark,
        reply: 14,
    }]);
    assert_eq!(
        answers(seen),
        [Seen::Trimmed(14, Err(Refusal::NoPartition))]
    );
}

#[test]
fn closing_writes_down_what_is_known_of_producers_first() {
    let disk = MemEnv::new();
    let mut bench = Bench::with(config(ONE), &disk);
    bench.step([produce(7, 0, 0, QUORUM, 1)]);
    bench.persist();
    let seen = bench.step([Input::Close { reply: 5 }]);
    assert_eq!(seen, [Seen::Persist(ONE)], "a checkpoint is to be saved");
    let seen = bench.persist();
    assert_eq!(seen, [Seen::Final(ONE), Seen::Changed(5, Ok(()))]);
    assert!(bench.shard_is_closed());
}

/// Of two batches that a producer sent at once the first came when the partition could not take it, the second when it could.
#[test]
fn what_comes_behind_a_refused_batch_does_not_overtake_it() {
    let not_yet = Ack::Quorum { min_in_sync: 2 };
    for known in [false, true] {
        let disk = MemEnv::new();
        let mut bench = Bench::with(config(ONE), &disk);
        let (first, offset) = if known {
            bench.step([produce(7, 0, 0, Ack::Leader, 1)]);
            (1, 1)
        } else {
            (0, 0)
        };
        let refused = Refusal::TooFewInSync {
            in_sync: 1,
            wanted: 2,
        };
        let seen = bench.step([produce(7, 0, first, not_yet, 2)]);
        assert_eq!(answers(seen), [Seen::Appended(2, Err(refused))]);
        let seen = bench.step([produce(7, 0, first + 1, Ack::Leader, 3)]);
        assert_eq!(answers(seen), [Seen::Appended(3, Err(Refusal::NotLeader))]);
        // Another producer does not wait.
        let seen = bench.step([produce(8, 0, 5, Ack::Leader, 4)]);
        assert_eq!(answers(seen), [Seen::Appended(4, Ok(offset))]);
        for (number, reply) in [(first, 5), (first + 1, 6)] {
            let seen = bench.step([produce(7, 0, number, Ack::Leader, reply)]);
            assert!(
                matches!(answers(seen)[..], [Seen::Appended(_, Ok(_))]),
                "{number}"
            );
        }
        // What was never refused is a gap.
        let gap = Refusal::SequenceGap {
            expected: first + 2,
            given: first + 3,
        };
        let seen = bench.step([produce(7, 0, first + 3, Ack::Leader, 7)]);
        assert_eq!(answers(seen), [Seen::Appended(7, Err(gap))]);
    }
}

/// What a leader of before refused may come behind what the producer sent to its successor.
#[test]
fn a_gap_may_come_again_until_the_leader_has_a_batch_of_its_own_term() {
    let mut trio = Trio::new();
    for number in 0..2 {
        trio.append(1, number, QUORUM, 0);
    }
    trio.cut.insert(1);
    trio.ticks(LONG);
    trio.cut.clear();
    let leader = trio.leader().expect("another one");
    assert_ne!(leader, 1);
    trio.appended();
    // What is known already does not count: it was sent to the other one.
    let sent = [3, 0, 3, 2, 3, 5];
    for number in sent {
        trio.append(leader, number, QUORUM, number.cast_unsigned());
    }
    let gap = |given| Err(Refusal::SequenceGap { expected: 4, given });
    let want = [
        (3, Err(Refusal::NotLeader)),
        (0, Ok(0)),
        (3, Err(Refusal::NotLeader)),
        (2, Ok(2)),
        (3, Ok(3)),
        (5, gap(5)),
    ];
    assert_eq!(trio.appended(), want);
    // Nobody sends it again: a client of which more is gone than can be under way has lost it.
    trio.cut.insert(leader);
    trio.ticks(LONG);
    let leader = trio.leader().expect("another one");
    trio.appended();
    for _ in 0..6 {
        trio.append(leader, 9, QUORUM, 9);
    }
    let mut want = vec![(9, Err(Refusal::NotLeader)); 5];
    want.push((9, gap(9)));
    assert_eq!(trio.appended(), want);
}

/// It may be that nothing of it was taken yet.
#[test]
fn a_producer_that_nobody_knows_begins_with_its_first_batch() {
    let mut trio = Trio::new();
    for number in [2, 0, 2, 1, 2] {
        trio.append(1, number, QUORUM, number.cast_unsigned());
    }
    let gap = Refusal::SequenceGap {
        expected: 1,
        given: 2,
    };
    let want = [
        (2, Err(Refusal::NotLeader)),
        (0, Ok(0)),
        (2, Err(gap)),
        (1, Ok(1)),
        (2, Ok(2)),
    ];
    assert_eq!(trio.appended(), want);
    // Who was forgotten goes on where it is.
    let mut trio = Trio::new();
    for number in 4..10 {
        trio.append(1, number, QUORUM, 4);
    }
    let mut want = vec![(4, Err(Refusal::NotLeader)); 5];
    want.push((4, Ok(0)));
    assert_eq!(trio.appended(), want);
}
