//! The part of the conformance suite about who works beside the log's owner, and about options.

use super::model::{Rec, append, as_rec, check, check_searches, open, recs, small};
use crate::{
    Append, CommitError, FlushPolicy, IndexCache, Log, LogEnv, LogOptions, LogReader, ReadError,
    SharedLog, poll_ready,
};

/// What a reader sees of a log, which has to be the model.
fn check_reader<E: LogEnv>(reader: &LogReader<E>, start: u64, model: &[Rec]) {
    let end = start + model.len() as u64;
    assert_eq!((reader.start_index(), reader.end_index()), (start, end));
    let all = reader.read_range(start..end, u64::MAX).unwrap();
    assert_eq!(all.iter().map(as_rec).collect::<Vec<_>>(), model);
    let mut stream = reader.stream(..).unwrap();
    for (index, want) in (start..).zip(model) {
        assert_eq!(as_rec(&reader.read(index).unwrap()), *want);
        let entry = reader.entry(index).unwrap();
        assert_eq!((entry.index, entry.key), (index, want.key));
        let record = stream.next().unwrap().unwrap();
        assert_eq!((record.index, record.value), (index, &want.value[..]));
    }
    assert!(stream.next().unwrap().is_none());
    let outside = reader.read(end);
    assert!(matches!(outside, Err(ReadError::OutOfBounds(_))));
}

pub(super) fn readers_see_what_the_log_holds<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let mut log = open(env(), small(700));
    let early = log.reader();
    let mut model = recs(0..30, 40);
    append(&mut log, &model).unwrap();
    check_reader(&early, 1, &model);
    let clone = early.clone();
    check_reader(&clone, 1, &model);
    assert_eq!(early.durable_index(), 1);
    poll_ready(log.sync()).unwrap();
    assert_eq!(early.durable_index(), 31);
    assert_eq!(
        early
            .last_with_key_at_most(105)
            .unwrap()
            .map(|entry| entry.index),
        poll_ready(log.last_with_key_at_most(105))
            .unwrap()
            .map(|entry| entry.index)
    );
    assert_eq!(
        early
            .first_at_or_after_time(1030)
            .unwrap()
            .map(|entry| entry.index),
        poll_ready(log.first_at_or_after_time(1030))
            .unwrap()
            .map(|entry| entry.index)
    );
    // Both ends are cut, also inside segments that are complete, and the log goes on.
    let mut stream = early.stream(5..).unwrap();
    assert_eq!(stream.next().unwrap().unwrap().index, 5);
    poll_ready(log.truncate_suffix(12)).unwrap();
    assert!(matches!(stream.next(), Err(ReadError::Truncated)));
    model.truncate(11);
    check_reader(&early, 1, &model);
    append(&mut log, &recs(50..70, 41)).unwrap();
    model.extend(recs(50..70, 41));
    check_reader(&early, 1, &model);
    poll_ready(log.truncate_prefix(9)).unwrap();
    model.drain(..8);
    check_reader(&early, 9, &model);
    check_reader(&clone, 9, &model);
    poll_ready(log.reset(3)).unwrap();
    check_reader(&early, 3, &[]);
    append(&mut log, &recs(0..5, 30)).unwrap();
    check_reader(&early, 3, &recs(0..5, 30));
    drop(log);
    let left = early.read_range(3..8, u64::MAX).unwrap();
    assert_eq!(left.len(), 5, "what is left can still be read");
}

pub(super) fn readers_work_beside_the_writer<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let model = recs(0..400, 30);
    let mut log = open(env(), small(2000));
    let readers: Vec<_> = (0..2).map(|_| log.reader()).collect();
    std::thread::scope(|threads| {
        for reader in readers {
            let model = &model;
            threads.spawn(move || {
                // It ends when it saw the last one.
                let mut seen = 1;
                while seen < 401 {
                    let end = reader.end_index();
                    assert!(end >= seen, "the end goes up only");
                    let read = reader.read_range(seen..end, 5000).unwrap();
                    for record in &read {
                        let at = usize::try_from(record.index - 1).unwrap();
                        assert_eq!(as_rec(record), model[at]);
                    }
                    seen += read.len() as u64;
                }
            });
        }
        for batch in model.chunks(7) {
            append(&mut log, batch).unwrap();
        }
    });
    check(&log, 1, &model);
}

pub(super) fn a_log_that_threads_share<E, F>(env: &mut F)
where
    E: LogEnv<File: Send> + Send,
    F: FnMut() -> E,
{
    let log = SharedLog::new(open(env(), small(900)));
    let reader = log.reader();
    std::thread::scope(|threads| {
        for thread in 0..3u64 {
            let log = &log;
            threads.spawn(move || {
                for number in 0..20 {
                    let value = [thread * 100 + number].map(u64::to_le_bytes);
                    let record = Append {
                        value: &[&value[0]],
                        ..Append::default()
                    };
                    let index = log.append(record).unwrap().wait().unwrap();
                    assert!(log.durable_index() > index);
                }
            });
        }
    });
    assert_eq!((log.durable_index(), reader.durable_index()), (61, 61));
    let read = reader.read_range(1..61, u64::MAX).unwrap();
    let mut values: Vec<u64> = read
        .iter()
        .map(|record| u64::from_le_bytes(record.value[..].try_into().unwrap()))
        .collect();
    for thread in 0..3 {
        let of_thread = values.iter().filter(|value| **value / 100 == thread);
        assert!(
            of_thread
                .copied()
                .eq((0..20).map(|number| thread * 100 + number))
        );
    }
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), 60);

    let commit = log.append_many(&[Append::default(); 3]).unwrap();
    assert_eq!((commit.first(), log.durable_index()), (61, 61));
    log.with(|log| poll_ready(log.truncate_suffix(62)).unwrap());
    let truncated = CommitError::Truncated { index: 61, end: 62 };
    assert_eq!(commit.wait(), Err(truncated));
    log.sync().unwrap();
    assert_eq!(log.durable_index(), 62);
    log.close().unwrap();
    let log = open(env(), small(900));
    assert!(log.recovery().is_clean());
    assert_eq!(log.end_index(), 62);
}

pub(super) fn every_index_cache_gives_the_same_answers<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let model = recs(0..300, 10);
    for index_cache in [
        IndexCache::Recent,
        IndexCache::Segments(0),
        IndexCache::Segments(1),
        IndexCache::Segments(3),
        IndexCache::All,
    ] {
        let options = LogOptions {
            index_cache,
            ..small(3000)
        };
        let mut log = open(env(), options);
        poll_ready(log.truncate_suffix(1)).unwrap();
        append(&mut log, &model[..200]).unwrap();
        check(&log, 1, &model[..200]);
        poll_ready(log.close()).unwrap();
        let mut log = open(env(), options);
        assert!(log.recovery().is_clean());
        check_searches(&log, 1, &model[..200]);
        poll_ready(log.truncate_suffix(150)).unwrap();
        append(&mut log, &model[149..]).unwrap();
        for _ in 0..2 {
            check(&log, 1, &model);
            check_searches(&log, 1, &model);
        }
        drop(log);
        check(&open(env(), options), 1, &model);
    }
}

pub(super) fn a_flush_policy_syncs_when_it_says<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let every = |records, bytes| FlushPolicy::Every {
        records,
        bytes,
        ms: None,
    };
    // After each of ten appends of one record with 44 bytes, 100 with its header: the durable index.
    let wants: [(FlushPolicy, [u64; 10]); 4] = [
        (FlushPolicy::OnRequest, [0; 10]),
        (every(Some(1), None), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (every(Some(4), None), [0, 0, 0, 4, 4, 4, 4, 8, 8, 8]),
        (every(Some(9), Some(250)), [0, 0, 3, 3, 3, 6, 6, 6, 9, 9]),
    ];
    for (flush, want) in wants {
        let options = LogOptions {
            flush,
            ..small(1 << 20)
        };
        let mut log: Log<E> = open(env(), options);
        poll_ready(log.reset(1)).unwrap();
        let durable: Vec<u64> = (0..10)
            .map(|_| {
                let value = [7; 44];
                let record = Append {
                    value: &[&value],
                    ..Append::default()
                };
                poll_ready(log.append(record)).unwrap();
                log.durable_index() - 1
            })
            .collect();
        assert_eq!(durable, want, "{flush:?}");
    }
}
