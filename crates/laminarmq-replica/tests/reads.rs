//! Fetches and look-ups: the same answers from memory and from files, against a plain model.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use bytes::Bytes;
use common::{Node, checked, config};
use laminarmq_kafka::batch::{
    BatchBuilder, BatchHeader, BatchLimits, Compression, NewRecord, batches,
};
use laminarmq_replica::{
    FetchError, FetchQuery, Isolation, Offset, OffsetQuery, Piece, ReplicaConfig, Token,
};

/// Batches of this many records each, and the times of all records by offset.
struct Model {
    /// (base offset, records, bytes of the batch)
    batches: Vec<(u64, u64, u64)>,
    times: Vec<i64>,
}

/// A partition with batches of all sizes and codecs, small segments, no-ops between (restarts), and
/// times that go up and down.
fn filled(tail_cache_bytes: u64) -> (Node, Model) {
    let mut node = Node::new(ReplicaConfig {
        tail_cache_bytes,
        segment_bytes: 1500,
        ..config(1, &[1])
    });
    node.settle();
    let mut model = Model {
        batches: Vec::new(),
        times: Vec::new(),
    };
    let mut random = common::random(3);
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for token in 0..60 {
        let codec = codecs[usize::try_from(random.next_u64() % 5).unwrap()];
        let records = random.next_u64() % 7 + 1;
        let mut builder = BatchBuilder::new(codec);
        let base = model.times.len() as u64;
        for _ in 0..records {
            let time = i64::try_from(random.next_u64() % 5_000 + token * 10).unwrap();
            let value = vec![b'v'; usize::try_from(random.next_u64() % 60).unwrap()];
            builder
                .push(&NewRecord {
                    timestamp: time,
                    value: Some(&value),
                    ..NewRecord::default()
                })
                .unwrap();
            model.times.push(time);
        }
        let batch = checked(builder.build());
        model.batches.push((base, records, batch.size() as u64));
        node.replica.propose_batch(batch, Token(token)).unwrap();
        node.settle();
        if token % 13 == 12 {
            node.restart(false);
            node.settle();
        }
    }
    // One that is in the log and not committed: nobody may see it.
    node.propose(1_000, 3);
    let _job = node.replica.advance().unwrap();
    (node, model)
}

fn joined(node: &Node, query: FetchQuery) -> (Bytes, u64, bool) {
    let plan = node.replica.fetch(query).unwrap();
    let from_file = plan
        .pieces
        .iter()
        .any(|piece| matches!(piece, Piece::File(_)));
    let claimed = plan.bytes;
    let read = Bytes::from(plan.read().unwrap().concat());
    (read, claimed, from_file)
}

#[test]
fn any_offset_and_any_limit_from_memory_and_from_files() {
    let (memory, model) = filled(u64::MAX);
    let (files, _) = filled(0);
    let end = model.times.len() as u64;
    assert_eq!(memory.replica.high_watermark(), Offset(end));
    assert_eq!(memory.replica.end_offset(), Offset(end + 3));
    let mut random = common::random(9);
    let mut from = [0, 0];
    for _ in 0..600 {
        let offset = random.next_u64() % end;
        let max_bytes = random.next_u64() % 900;
        let at_least_one = random.next_u64().is_multiple_of(2);
        let query = FetchQuery {
            offset: Offset(offset),
            max_bytes,
            at_least_one,
            isolation: Isolation::default(),
        };
        // The model: whole batches from the holder on, as many as fit.
        let holder = model
            .batches
            .iter()
            .position(|&(base, records, _)| offset < base + records)
            .unwrap();
        let mut want = Vec::new();
        let mut bytes = 0;
        for (number, &(base, _, size)) in model.batches[holder..].iter().enumerate() {
            if bytes + size > max_bytes && !(number == 0 && at_least_one) {
                break;
            }
            bytes += size;
            want.push(base);
        }
        for (which, node) in [&memory, &files].into_iter().enumerate() {
            let (read, claimed, from_file) = joined(node, query);
            from[usize::from(from_file)] += 1;
            assert!(
                claimed >= read.len() as u64,
                "claimed {claimed} of {}",
                read.len()
            );
            let got: Vec<_> = batches(read.clone())
                .map(|batch| {
                    let batch = batch.unwrap();
                    batch.verify().unwrap();
                    u64::try_from(batch.header().base_offset).unwrap()
                })
                .collect();
            if from_file {
                // A file's own headers, and entries without records, count too: fewer may fit.
                let prefix = want.starts_with(&got) && got.is_empty() == want.is_empty();
                assert!(prefix, "{query:?}: {got:?}, {want:?}");
                let stored = read.len() as u64 + (got.len() as u64 + 3) * 56;
                let next = model
                    .batches
                    .get(holder + got.len())
                    .map_or(0, |&(_, _, size)| size);
                let full = got.len() == want.len() || stored + next > max_bytes;
                assert!(full, "{query:?}: too few, {got:?}");
            } else {
                assert_eq!(got, want, "{query:?} on {which}");
            }
        }
    }
    assert!(
        from[0] > 100 && from[1] > 600,
        "both ways were taken: {from:?}"
    );
}

#[test]
fn the_leader_epoch_is_in_every_batch() {
    let (node, _) = filled(0);
    let mut epochs = Vec::new();
    let query = FetchQuery {
        offset: Offset(0),
        max_bytes: u64::MAX,
        at_least_one: true,
        isolation: Isolation::ReadCommitted,
    };
    for batch in batches(joined(&node, query).0) {
        epochs.push(batch.unwrap().header().partition_leader_epoch);
    }
    assert_eq!(epochs.len(), 60);
    assert!(epochs.is_sorted());
    assert_eq!((epochs[0], *epochs.last().unwrap()), (1, 5));
}

#[test]
fn outside_is_an_error_and_the_unseen_end_is_empty() {
    let (node, model) = filled(u64::MAX);
    let end = model.times.len() as u64;
    for offset in end..=end + 3 {
        let plan = node.replica.fetch(node.query(offset, 1_000)).unwrap();
        assert!(plan.is_empty() && plan.aborted.is_empty());
        assert_eq!(
            (plan.high_watermark, plan.last_stable_offset),
            (Offset(end), Offset(end))
        );
    }
    let error = node
        .replica
        .fetch(node.query(end + 4, 1_000))
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, FetchError::OutOfRange { .. }) && !error.is_retriable());
}

#[test]
fn by_time_the_first_record_at_or_after_it() {
    for cache in [u64::MAX, 0] {
        let (node, model) = filled(cache);
        let limits = BatchLimits::default();
        let look = |query| {
            node.replica
                .offset_for(query)
                .unwrap()
                .resolve(&limits)
                .unwrap()
        };
        let max = *model.times.iter().max().unwrap();
        // The contract is by batch: the first batch whose running maximum reaches the time, and the
        // first record at or after it in there. That is the first record of all that reach it.
        for time in (0..max + 50).step_by(37) {
            let want = model.times.iter().position(|&at| at >= time);
            let got = look(OffsetQuery::AtOrAfter(time));
            assert_eq!(
                got.map(|found| found.offset.get()),
                want.map(|at| at as u64),
                "time {time}"
            );
            let Some(found) = got else { continue };
            assert_eq!(found.timestamp, Some(model.times[want.unwrap()]));
            assert!(found.timestamp.unwrap() >= time && found.epoch.get() >= 1);
        }
        let latest = look(OffsetQuery::MaxTimestamp).unwrap();
        let want = model.times.iter().position(|&at| at == max).unwrap();
        assert_eq!(
            (latest.offset.get(), latest.timestamp),
            (want as u64, Some(max))
        );
        let ends = [
            OffsetQuery::Earliest,
            OffsetQuery::Latest(Isolation::ReadCommitted),
        ]
        .map(look);
        assert_eq!(
            ends.map(|end| end.unwrap().offset.get()),
            [0, model.times.len() as u64]
        );
    }
}

#[test]
fn what_is_stored_is_what_came_but_for_offset_and_epoch() {
    let mut node = Node::new(config(1, &[1]));
    node.settle();
    let batch = common::batch("same", 5, 77);
    let body = batch.body().clone();
    node.replica.propose_batch(batch, Token(1)).unwrap();
    node.settle();
    let plan = node.replica.fetch(node.query(3, 1)).unwrap();
    let pieces = plan.read().unwrap();
    assert_eq!(
        pieces[1].as_ptr(),
        body.as_ptr(),
        "the body is the very buffer that came"
    );
    let header = BatchHeader::parse(&pieces[0]).unwrap();
    assert_eq!((header.base_offset, header.partition_leader_epoch), (0, 1));
}
