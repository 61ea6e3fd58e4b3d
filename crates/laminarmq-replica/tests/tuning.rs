//! Settings change while a replica is open, segments begin when somebody asks, and epochs end somewhere.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use bytes::Bytes;
use common::{Node, config};
use laminarmq_kafka::batch::BatchLimits;
use laminarmq_replica::{
    ConfigError, Flush, Offset, OffsetQuery, ProposeError, ReplicaConfig, SEGMENT_BYTES_MIN, Term,
    Token, TrimTo, Tuning,
};

fn started(config: ReplicaConfig) -> Node {
    let mut node = Node::new(config);
    node.settle();
    node
}

fn tuning() -> Tuning {
    Tuning {
        flush: Flush::Sync,
        segment_bytes: 1 << 30,
        entry_bytes_max: 1 << 20,
    }
}

fn segments(node: &Node) -> usize {
    node.replica.log().segments().len()
}

#[test]
fn what_comes_after_a_change_goes_by_it() {
    let mut node = started(ReplicaConfig {
        state_machine: true,
        ..config(1, &[1])
    });
    for token in 0..10 {
        node.propose(token, 10);
        node.settle();
    }
    assert_eq!(segments(&node), 1);
    let small = Tuning {
        segment_bytes: SEGMENT_BYTES_MIN,
        entry_bytes_max: 500,
        ..tuning()
    };
    node.replica.tune(small).unwrap();
    for token in 10..20 {
        node.propose(token, 10);
        node.settle();
    }
    assert!(segments(&node) > 2, "{}", segments(&node));
    let command = |bytes| Bytes::from(vec![1; bytes]);
    let refused = node.replica.propose_command(command(501), Token(50));
    let too_large = ProposeError::TooLarge {
        bytes: 501,
        max: 500,
    };
    assert_eq!(refused, Err(too_large));
    node.replica.tune(tuning()).unwrap();
    node.replica
        .propose_command(command(501), Token(50))
        .unwrap();
}

#[test]
fn a_change_of_when_to_flush_counts_from_the_next_entry_on() {
    let mut node = started(config(1, &[1]));
    let os = Tuning {
        flush: Flush::Os,
        ..tuning()
    };
    node.replica.tune(os).unwrap();
    let syncs = node.disk.syncs();
    node.propose(1, 1);
    node.settle();
    assert_eq!(node.replica.high_watermark(), Offset(1));
    assert_eq!(node.disk.syncs(), syncs);
    node.replica.tune(tuning()).unwrap();
    node.propose(2, 1);
    node.settle();
    assert!(node.disk.syncs() > syncs);
    node.restart(true);
    node.settle();
    assert_eq!(
        node.replica.end_offset(),
        Offset(2),
        "the sync covered both"
    );
}

#[test]
fn settings_out_of_their_bounds_change_nothing() {
    let mut node = started(config(1, &[1]));
    for (wrong, setting) in [
        (
            Tuning {
                segment_bytes: SEGMENT_BYTES_MIN - 1,
                ..tuning()
            },
            "segment_bytes",
        ),
        (
            Tuning {
                entry_bytes_max: 0,
                ..tuning()
            },
            "entry_bytes_max",
        ),
    ] {
        match node.replica.tune(wrong) {
            Err(ConfigError::Bounds { name, .. }) => assert_eq!(name, setting),
            other => panic!("{other:?}"),
        }
    }
    node.propose(1, 1);
    node.settle();
    assert_eq!(segments(&node), 1);
}

#[test]
fn the_next_entry_begins_a_segment_once() {
    let mut node = started(config(1, &[1]));
    node.replica.roll_next();
    assert_eq!(segments(&node), 1, "not before there is an entry");
    for token in 0..3 {
        node.propose(token, 1);
        node.settle();
    }
    assert_eq!(segments(&node), 2);
    let mut follower = started(config(1, &[1, 2]));
    follower.replica.roll_next();
    follower.settle();
    assert_eq!(segments(&follower), 1);
}

#[test]
fn a_trim_of_everything_gives_a_large_segment_back() {
    let mut node = started(config(1, &[1]));
    let bytes = |node: &Node| node.replica.log().write_segment_bytes();
    // Few bytes stay where they are.
    node.propose(1, 10);
    node.settle();
    node.replica
        .propose_trim(TrimTo::HighWatermark, Token(9))
        .unwrap();
    node.settle();
    assert_eq!(node.replica.log().segments().next().unwrap().base_index, 1);
    let mut token = 100;
    while bytes(&node) < 1 << 20 {
        node.propose(token, 1000);
        node.settle();
        token += 1;
    }
    let end = node.replica.end_offset();
    // Not while some of it stays.
    let some = TrimTo::Offset(Offset(end.get() - 1));
    node.replica.propose_trim(some, Token(10)).unwrap();
    node.settle();
    assert_eq!(node.replica.log().segments().next().unwrap().base_index, 1);
    node.replica
        .propose_trim(TrimTo::HighWatermark, Token(11))
        .unwrap();
    node.settle();
    assert!(bytes(&node) < 10_000, "{}", bytes(&node));
    assert_eq!(segments(&node), 1);
    for power in [false, true] {
        node.restart(power);
        node.settle();
        assert_eq!(node.replica.start_offset(), end);
        assert_eq!(node.replica.end_offset(), end);
    }
    node.propose(1, 1);
    node.settle();
    assert_eq!(node.values(end.get()).len(), 1);
}

/// Epoch and end that are answered to an epoch.
fn end_of(node: &Node, epoch: u32) -> Option<(u32, u64)> {
    let query = OffsetQuery::EndOfEpoch(Term(epoch));
    let answer = node.replica.offset_for(query).unwrap();
    let found = answer.resolve(&BatchLimits::default()).unwrap()?;
    assert_eq!(found.timestamp, None);
    Some((found.epoch.get(), found.offset.get()))
}

#[test]
fn epochs_end_where_the_next_ones_begin_also_after_a_trim() {
    let mut node = started(config(1, &[1]));
    // Terms 1, 2 and 3 with ten, no and twenty records.
    for batches in [1, 0, 2] {
        for token in 0..batches {
            node.propose(token, 10);
            node.settle();
        }
        node.restart(false);
        node.settle();
    }
    let all = |node: &Node| (0..6).map(|epoch| end_of(node, epoch)).collect::<Vec<_>>();
    let want = [
        Some((0, 0)),
        Some((1, 10)),
        Some((2, 10)),
        Some((3, 30)),
        Some((4, 30)),
        None,
    ];
    assert_eq!(all(&node), want);
    node.propose(7, 5);
    node.settle();
    assert_eq!(end_of(&node, 4), Some((4, 35)));
    node.replica
        .propose_trim(TrimTo::Offset(Offset(20)), Token(8))
        .unwrap();
    node.settle();
    let want = [
        Some((0, 20)),
        Some((1, 20)),
        Some((2, 20)),
        Some((3, 30)),
        Some((4, 35)),
        None,
    ];
    assert_eq!(all(&node), want);
}
