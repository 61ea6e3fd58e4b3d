//! Idempotent producers: what was stored is not stored again, whatever happened meanwhile.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use common::{Group, Node, checked, config};
use laminarmq_kafka::batch::{BatchBuilder, CheckedBatch, Compression, NewRecord, ProducerStamp};
use laminarmq_replica::{
    EntryKind, Offset, ProposeError, Proposed, ReplicaConfig, ReplicaId, Token, TrimTo,
};

fn sole() -> ReplicaConfig {
    config(1, &[1])
}

/// Batch `number` of a producer whose batches have two records.
fn batch(id: i64, epoch: i16, number: i32) -> CheckedBatch {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.set_producer(Some(ProducerStamp {
        id,
        epoch,
        base_sequence: number * 2,
    }));
    for record in 0..2 {
        let value = format!("{id}-{epoch}-{number}-{record}");
        let record = NewRecord {
            timestamp: 1_000 + i64::from(number),
            value: Some(value.as_bytes()),
            ..NewRecord::default()
        };
        builder.push(&record).unwrap();
    }
    checked(builder.build())
}

fn propose(node: &mut Node, batch: CheckedBatch) -> Result<Proposed, ProposeError> {
    node.replica.propose_batch(batch, Token(1))
}

/// Proposes batches `numbers` of producer 7 and waits for each.
fn produce(node: &mut Node, numbers: std::ops::Range<i32>) {
    for number in numbers {
        assert_eq!(propose(node, batch(7, 0, number)), Ok(Proposed::Queued));
        node.settle();
    }
}

fn assert_knows(node: &mut Node, numbers: std::ops::Range<i32>) {
    let end = node.replica.end_offset();
    for number in numbers.clone() {
        let answer = propose(node, batch(7, 0, number)).unwrap();
        let Proposed::Duplicate {
            index,
            base_offset,
            timestamp,
        } = answer
        else {
            panic!("batch {number} of {numbers:?} was taken again");
        };
        assert_eq!(base_offset, Offset(u64::try_from(number).unwrap() * 2));
        assert_eq!(timestamp, 1_000 + i64::from(number));
        assert!(node.replica.is_visible(index));
    }
    let gap = ProposeError::SequenceGap {
        expected: numbers.end * 2,
        given: numbers.end * 2 + 2,
    };
    assert_eq!(propose(node, batch(7, 0, numbers.end + 1)), Err(gap));
    node.settle();
    assert_eq!(node.replica.end_offset(), end, "nothing was appended");
}

fn checkpoints(node: &Node) -> Vec<u64> {
    let log = node.replica.log();
    let kind = |index: &u64| laminarmq::poll_ready(log.entry(*index)).unwrap().kind;
    (log.start_index()..log.end_index())
        .filter(|index| kind(index) == EntryKind::Producers.as_u8())
        .collect()
}

#[test]
fn the_last_five_are_known_after_any_restart() {
    let mut node = Node::new(sole());
    node.settle();
    produce(&mut node, 0..8);
    assert_knows(&mut node, 3..8);
    for power in [false, true] {
        node.restart(power);
        node.settle();
        assert_knows(&mut node, 3..8);
    }
}

#[test]
fn a_duplicate_is_not_acknowledged_before_the_first_is() {
    let mut node = Node::new(sole());
    node.settle();
    propose(&mut node, batch(7, 0, 0)).unwrap();
    let effects = node.replica.advance().unwrap();
    let Ok(Proposed::Duplicate { index, .. }) = propose(&mut node, batch(7, 0, 0)) else {
        panic!("it is in the log");
    };
    assert!(!node.replica.is_visible(index));
    let done = common::run(effects.persist.unwrap(), &mut node.saved);
    node.replica.on_persisted(done).unwrap();
    node.settle();
    assert!(node.replica.is_visible(index));
}

#[test]
fn batches_in_flight_are_taken_in_order_and_repetitions_wait_for_the_log() {
    let mut node = Node::new(sole());
    node.settle();
    for number in 0..5 {
        assert_eq!(
            propose(&mut node, batch(7, 0, number)),
            Ok(Proposed::Queued)
        );
    }
    assert_eq!(
        propose(&mut node, batch(7, 0, 2)),
        Err(ProposeError::Unsettled)
    );
    assert_eq!(
        propose(&mut node, batch(7, 0, 9)),
        Err(ProposeError::Unsettled)
    );
    // Another producer is not concerned.
    assert_eq!(propose(&mut node, batch(8, 0, 0)), Ok(Proposed::Queued));
    node.settle();
    assert_knows(&mut node, 0..5);
}

#[test]
fn epochs_are_fenced_over_a_restart() {
    let mut node = Node::new(sole());
    node.settle();
    produce(&mut node, 0..2);
    propose(&mut node, batch(7, 3, 0)).unwrap();
    node.settle();
    node.restart(true);
    node.settle();
    let old = ProposeError::OldProducerEpoch {
        current: 3,
        given: 0,
    };
    assert!(!old.is_retriable());
    assert_eq!(propose(&mut node, batch(7, 0, 2)), Err(old));
}

#[test]
fn a_closing_checkpoint_spares_the_look_through_the_log() {
    let mut node = Node::new(sole());
    node.settle();
    assert!(!node.replica.prepare_close(), "nothing to say");
    produce(&mut node, 0..8);
    assert!(node.replica.prepare_close());
    node.settle();
    assert_eq!(checkpoints(&node), [node.replica.log().end_index() - 1]);
    assert!(!node.replica.prepare_close(), "it was said");
    node.restart(true);
    node.settle();
    assert_knows(&mut node, 3..8);
}

#[test]
fn what_is_known_of_producers_outlives_their_records() {
    let mut node = Node::new(sole());
    node.settle();
    produce(&mut node, 0..8);
    node.replica
        .propose_trim(TrimTo::HighWatermark, Token(9))
        .unwrap();
    node.settle();
    assert_eq!(node.replica.start_offset(), Offset(16));
    assert_knows(&mut node, 3..8);
    node.restart(true);
    node.settle();
    assert_knows(&mut node, 3..8);
    // A second trim finds the checkpoint where it is and needs none.
    produce(&mut node, 8..9);
    assert_eq!(checkpoints(&node).len(), 1);
}

#[test]
fn a_checkpoint_is_written_after_so_many_entries() {
    let mut node = Node::new(ReplicaConfig {
        tail_cache_bytes: 0,
        ..sole()
    });
    node.settle();
    for round in 0..70 {
        for number in 0..1_000 {
            let number = round * 1_000 + number;
            assert_eq!(
                propose(&mut node, batch(7, 0, number)),
                Ok(Proposed::Queued)
            );
        }
        node.settle();
    }
    let written = checkpoints(&node);
    assert_eq!(written.len(), 1, "{written:?}");
    assert!((65_000..=66_100).contains(&written[0]), "{written:?}");
    node.restart(false);
    node.settle();
    assert_knows(&mut node, 69_995..70_000);
}

/// A leader that nobody hears takes more of the producer, and of a later epoch; the next leader's log has none of that. With
/// and without a restart in between.
#[test]
fn what_is_cut_off_displaced_nothing() {
    for (epoch, restarts) in [(0, false), (0, true), (1, false), (1, true)] {
        let mut group = Group::of(&[1, 2, 3]);
        let old = group.elect();
        for number in 0..8 {
            propose(group.node(old), batch(7, 0, number)).unwrap();
            group.settle();
        }
        let mut alone = group.nodes.remove(&old).unwrap();
        for number in 8 * i32::from(epoch == 0)..14 {
            let answer = propose(&mut alone, batch(7, epoch, number));
            assert_eq!(answer, Ok(Proposed::Queued));
            alone.settle();
        }
        if restarts {
            alone.restart(false);
        }
        let next = group.elect();
        group.nodes.insert(old, alone);
        for _ in 0..10 {
            group.tick();
        }
        assert_eq!(group.node(old).replica.end_offset(), Offset(16));
        group.node(next).replica.transfer_leadership(ReplicaId(old));
        group.settle();
        assert!(group.node(old).replica.is_leader());
        assert_knows(group.node(old), 3..8);
    }
}
