//! What every environment has to do. Each check gets an empty storage, and opens it again and again.
//!
//! ```
//! use laminarmq::{MemEnv, test_util::conformance};
//!
//! conformance::run(|| {
//!     let disk = MemEnv::new();
//!     move || disk.clone()
//! });
//! ```

use super::files::{
    a_start_file_is_replaced_as_a_whole, files_grow_read_and_shrink,
    segments_are_listed_and_removed,
};
use super::model::{append, as_rec, check, check_searches, open, rec, recs, small};
use super::{beside, pieces};
use crate::{
    Append, AppendError, Log, LogEnv, LogOptions, OpenError, ReadError, TruncateError, poll_ready,
};

/// Runs every check. `fresh` makes an empty storage, as a function that opens it: again at each call, the
/// environment from before being dropped then.
///
/// # Panics
///
/// Where the environment does not keep its contract; the name of the check goes to standard error.
pub fn run<E: LogEnv<File: Send> + Send, F: FnMut() -> E>(mut fresh: impl FnMut() -> F) {
    for (name, check) in checks::<E, F>() {
        let _named = Named(name);
        check(&mut fresh());
    }
}

/// One check, for a storage that the function opens.
pub type Check<F> = fn(&mut F);

/// All checks with their names, for those who run them one by one.
#[must_use]
pub fn checks<E: LogEnv<File: Send> + Send, F: FnMut() -> E>() -> Vec<(&'static str, Check<F>)> {
    vec![
        (
            "files_grow_read_and_shrink",
            files_grow_read_and_shrink::<E, F>,
        ),
        (
            "a_start_file_is_replaced_as_a_whole",
            a_start_file_is_replaced_as_a_whole::<E, F>,
        ),
        (
            "segments_are_listed_and_removed",
            segments_are_listed_and_removed::<E, F>,
        ),
        ("an_empty_log_opens_again", an_empty_log_opens_again::<E, F>),
        ("one_record_at_a_time", one_record_at_a_time::<E, F>),
        (
            "a_batch_over_several_segments",
            a_batch_over_several_segments::<E, F>,
        ),
        ("long_and_empty_values", long_and_empty_values::<E, F>),
        ("ranges_and_budgets", ranges_and_budgets::<E, F>),
        ("searches", searches::<E, F>),
        ("rolls", rolls::<E, F>),
        ("truncation", truncation::<E, F>),
        (
            "truncation_and_new_records_survive_reopening",
            truncation_and_new_records_survive_reopening::<E, F>,
        ),
        ("refusals_change_nothing", refusals_change_nothing::<E, F>),
        ("tickets", tickets::<E, F>),
        ("plans", plans::<E, F>),
        (
            "a_clean_close_needs_no_scan",
            a_clean_close_needs_no_scan::<E, F>,
        ),
        (
            "a_dropped_log_loses_nothing",
            a_dropped_log_loses_nothing::<E, F>,
        ),
        (
            "many_records_in_one_segment",
            many_records_in_one_segment::<E, F>,
        ),
        ("starts_and_resets", starts_and_resets::<E, F>),
        (
            "records_in_several_chunks",
            pieces::records_in_several_chunks::<E, F>,
        ),
        (
            "a_record_that_is_given_up_leaves_nothing",
            pieces::a_record_that_is_given_up_leaves_nothing::<E, F>,
        ),
        (
            "a_sealed_store_is_replaced",
            pieces::a_sealed_store_is_replaced::<E, F>,
        ),
        (
            "room_that_is_reserved_is_not_content",
            pieces::room_that_is_reserved_is_not_content::<E, F>,
        ),
        (
            "blocks_written_ahead_never_show",
            pieces::blocks_written_ahead_never_show::<E, F>,
        ),
        (
            "readers_see_what_the_log_holds",
            beside::readers_see_what_the_log_holds::<E, F>,
        ),
        (
            "readers_work_beside_the_writer",
            beside::readers_work_beside_the_writer::<E, F>,
        ),
        (
            "a_log_that_threads_share",
            beside::a_log_that_threads_share::<E, F>,
        ),
        (
            "every_index_cache_gives_the_same_answers",
            beside::every_index_cache_gives_the_same_answers::<E, F>,
        ),
        (
            "a_flush_policy_syncs_when_it_says",
            beside::a_flush_policy_syncs_when_it_says::<E, F>,
        ),
    ]
}

/// Says which check it was that panicked.
struct Named(&'static str);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the environment fails the check {}", self.0);
        }
    }
}

fn an_empty_log_opens_again<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    for round in 0..3 {
        let log = open(env(), small(1000));
        check(&log, 1, &[]);
        assert_eq!(log.durable_index(), 1);
        assert_eq!(log.recovery().bytes_cut, 0);
        assert_eq!(poll_ready(log.read_range(1..9, 100)).unwrap(), []);
        assert_eq!(
            poll_ready(log.last_with_key_at_most(u64::MAX)).unwrap(),
            None
        );
        assert_eq!(
            poll_ready(log.first_at_or_after_time(i64::MIN)).unwrap(),
            None
        );
        if round == 1 {
            poll_ready(log.close()).unwrap();
        }
    }
    let too_high = LogOptions {
        initial_index: 2,
        ..LogOptions::default()
    };
    let refused = poll_ready(Log::open_with(env(), too_high));
    assert!(matches!(
        refused,
        Err(OpenError::BelowInitialIndex {
            base: 1,
            initial: 2
        })
    ));
}

fn one_record_at_a_time<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let model = recs(0..40, 30);
    let mut log = open(env(), small(600));
    for (record, index) in model.iter().zip(1..) {
        let pieces: Vec<&[u8]> = record.value.chunks(7).collect();
        let got = poll_ready(log.append(Append {
            term: record.term,
            kind: record.kind,
            flags: record.flags,
            key: record.key,
            timestamp: record.timestamp,
            value: &pieces,
        }));
        assert_eq!(got.unwrap(), index);
        assert_eq!(as_rec(&poll_ready(log.read(index)).unwrap()), *record);
    }
    assert!(log.segments().len() > 4);
    check(&log, 1, &model);
}

fn a_batch_over_several_segments<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let model = recs(0..60, 40);
    let mut log = open(env(), small(500));
    assert_eq!(append(&mut log, &[]).unwrap(), 1..1);
    assert_eq!(append(&mut log, &model[..50]).unwrap(), 1..51);
    assert_eq!(append(&mut log, &model[50..]).unwrap(), 51..61);
    check(&log, 1, &model);
    // A segment takes records as long as it has not reached its size.
    for info in log.segments().filter(|info| !info.is_write) {
        let last = poll_ready(log.entry(info.end_index - 1)).unwrap();
        assert!(last.position < 500 && info.store_bytes >= 500);
    }
    drop(log);
    check(&open(env(), small(500)), 1, &model);
}

fn long_and_empty_values<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let lengths = [0, 1, 2047, 2048, 2049, 0, 5000, 300_000, 3_000_000, 0];
    let model: Vec<_> = (0..)
        .zip(lengths)
        .map(|(number, length)| rec(number, length))
        .collect();
    let mut log = open(env(), small(1 << 30));
    append(&mut log, &model).unwrap();
    check(&log, 1, &model);
    drop(log);
    let log = open(env(), small(1 << 30));
    assert!(!log.recovery().is_clean());
    check(&log, 1, &model);
}

fn ranges_and_budgets<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let model = recs(0..50, 100);
    let mut log = open(env(), small(1500));
    append(&mut log, &model).unwrap();
    for start in 1..=51 {
        for end in [start, start + 1, start + 5, 51, 99] {
            for budget in [0, 1, 156, 157, 400, 1500, 4000, u64::MAX] {
                let got = poll_ready(log.read_range(start..end, budget)).unwrap();
                let from = usize::try_from(start - 1).unwrap();
                let to = usize::try_from(end.min(51) - 1).unwrap().max(from);
                let mut left = budget;
                let mut want: Vec<_> = Vec::new();
                for record in &model[from..to] {
                    let stored = record.value.len() as u64 + 56;
                    if stored > left && !want.is_empty() {
                        break;
                    }
                    left = left.saturating_sub(stored);
                    want.push(record.clone());
                }
                let got: Vec<_> = got.iter().map(as_rec).collect();
                assert_eq!(got, want, "{start}..{end} within {budget}");
            }
        }
    }
    for outside in [0, 52] {
        let read = poll_ready(log.read_range(outside..60, 10));
        assert!(matches!(read, Err(ReadError::OutOfBounds(_))));
    }
}

fn searches<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let mut model = recs(0..300, 3);
    // Several records with one key, as entries that hold nothing of their own have.
    for at in (2..300).step_by(3) {
        model[at].key = model[at - 1].key;
    }
    for segment_bytes in [1 << 20, 9000] {
        let mut log = open(env(), small(segment_bytes));
        poll_ready(log.truncate_suffix(1)).unwrap();
        append(&mut log, &model).unwrap();
        check_searches(&log, 1, &model);
        poll_ready(log.roll()).unwrap();
        check_searches(&log, 1, &model);
    }
}

fn rolls<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let options = LogOptions {
        auto_roll: false,
        ..small(200)
    };
    let model = recs(0..30, 50);
    let mut log = open(env(), options);
    poll_ready(log.roll()).unwrap();
    assert_eq!(
        log.segments().len(),
        1,
        "an empty segment is not followed by another"
    );
    append(&mut log, &model[..20]).unwrap();
    assert_eq!(log.segments().len(), 1, "it does not roll by itself");
    poll_ready(log.roll()).unwrap();
    poll_ready(log.roll()).unwrap();
    append(&mut log, &model[20..]).unwrap();
    let bounds: Vec<_> = log
        .segments()
        .map(|info| (info.base_index, info.end_index))
        .collect();
    assert_eq!(bounds, [(1, 21), (21, 31)]);
    check(&log, 1, &model);
    let bytes = log.write_segment_bytes();
    drop(log);
    let log = open(env(), options);
    assert_eq!(log.write_segment_bytes(), bytes);
    check(&log, 1, &model);
}

fn truncation<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let model = recs(0..40, 60);
    let fresh = recs(100..110, 20);
    for from in 1..=41 {
        for sync in [false, true] {
            let mut log = open(env(), small(700));
            poll_ready(log.truncate_suffix(1)).unwrap();
            append(&mut log, &model).unwrap();
            if sync {
                poll_ready(log.sync()).unwrap();
            }
            poll_ready(log.truncate_suffix(from)).unwrap();
            let kept = usize::try_from(from - 1).unwrap();
            check(&log, 1, &model[..kept]);
            let mut want = model[..kept].to_vec();
            append(&mut log, &fresh).unwrap();
            want.extend_from_slice(&fresh);
            check(&log, 1, &want);
        }
    }
    let mut log = open(env(), small(700));
    for outside in [0, log.end_index() + 1] {
        let refused = poll_ready(log.truncate_suffix(outside));
        assert!(matches!(refused, Err(TruncateError::OutOfBounds(_))));
    }
}

fn truncation_and_new_records_survive_reopening<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let model = recs(0..40, 60);
    for (round, from) in (0..).zip([40, 33, 21, 20, 9, 2, 1]) {
        let mut log = open(env(), small(700));
        poll_ready(log.truncate_suffix(1)).unwrap();
        append(&mut log, &model).unwrap();
        poll_ready(log.close()).unwrap();
        let mut log = open(env(), small(700));
        assert!(log.recovery().is_clean());
        check(&log, 1, &model);
        poll_ready(log.truncate_suffix(from)).unwrap();
        let mut want = model[..usize::try_from(from - 1).unwrap()].to_vec();
        let fresh = recs(200 + round..203 + round, 10);
        append(&mut log, &fresh).unwrap();
        want.extend(fresh);
        drop(log);
        let log = open(env(), small(700));
        assert_eq!(log.recovery().bytes_cut, 0);
        check(&log, 1, &want);
    }
}

fn refusals_change_nothing<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let options = LogOptions {
        record_bytes_max: 50,
        ..small(400)
    };
    let mut log = open(env(), options);
    let model = recs(10..15, 30);
    append(&mut log, &model).unwrap();
    let mut batch = recs(20..24, 30);
    batch[2].value = vec![0; 51];
    let refused = append(&mut log, &batch);
    assert!(matches!(
        refused,
        Err(AppendError::TooLarge { bytes: 51, max: 50 })
    ));
    let mut batch = recs(20..24, 30);
    batch[3].key = batch[2].key - 1;
    let refused = append(&mut log, &batch);
    assert!(matches!(
        refused,
        Err(AppendError::KeyWentBack {
            last: 220,
            given: 219
        })
    ));
    let refused = append(&mut log, &recs(0..1, 1));
    assert!(matches!(
        refused,
        Err(AppendError::KeyWentBack {
            last: 140,
            given: 0
        })
    ));
    check(&log, 1, &model);
    drop(log);
    let log = open(env(), options);
    assert_eq!(log.recovery().bytes_cut, 0);
    check(&log, 1, &model);
}

fn tickets<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let mut log = open(env(), small(400));
    assert!(log.sync_ticket().is_none(), "a new log is durable");
    append(&mut log, &recs(0..10, 50)).unwrap();
    assert_eq!(log.durable_index(), 1);
    let early = log.sync_ticket().unwrap();
    assert_eq!(early.up_to(), 11);
    append(&mut log, &recs(10..20, 50)).unwrap();
    let late = log.sync_ticket().unwrap();
    let (early, late) = (early.run(), late.run());
    assert!(early.is_ok() && late.up_to() == 21);
    assert_eq!(log.complete(late).unwrap(), 21);
    assert_eq!(
        log.complete(early).unwrap(),
        21,
        "an older ticket takes nothing back"
    );
    assert!(log.sync_ticket().is_none());

    append(&mut log, &recs(20..30, 50)).unwrap();
    let stale = log.sync_ticket().unwrap().run();
    poll_ready(log.truncate_suffix(25)).unwrap();
    append(&mut log, &recs(30..40, 50)).unwrap();
    assert_eq!(
        log.complete(stale).unwrap(),
        21,
        "it says nothing about what replaced the bytes"
    );
    let ticket = log.sync_ticket().unwrap();
    drop(ticket);
    let ticket = log.sync_ticket().unwrap();
    assert_eq!(log.complete(ticket.run()).unwrap(), 35);
    poll_ready(log.truncate_suffix(30)).unwrap();
    assert_eq!(log.durable_index(), 30);
    append(&mut log, &recs(40..41, 1)).unwrap();
    poll_ready(log.sync()).unwrap();
    assert_eq!(log.durable_index(), 31);
}

fn plans<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let model = recs(0..40, 60);
    let mut log = open(env(), small(700));
    append(&mut log, &model).unwrap();
    let plan = poll_ready(log.plan(5..31, u64::MAX)).unwrap();
    assert_eq!(plan.range(), 5..31);
    let direct = poll_ready(log.read_range(5..31, u64::MAX)).unwrap();
    append(&mut log, &recs(40..80, 60)).unwrap();
    assert_eq!(plan.read().unwrap(), direct);

    let before = poll_ready(log.plan(70..81, u64::MAX)).unwrap();
    poll_ready(log.truncate_suffix(75)).unwrap();
    append(&mut log, &recs(90..99, 61)).unwrap();
    assert!(matches!(before.read(), Err(ReadError::Truncated)));

    let plan = poll_ready(log.plan(1..84, 1000)).unwrap();
    assert!(plan.byte_len() <= 1000);
    let want = poll_ready(log.read_range(1..84, 1000)).unwrap();
    drop(log);
    assert_eq!(plan.read().unwrap(), want, "a plan outlives its log");
}

fn a_clean_close_needs_no_scan<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let mut model = Vec::new();
    for round in 0..5 {
        let mut log = open(env(), small(700));
        assert!(
            log.recovery().is_clean(),
            "round {round}: {:?}",
            log.recovery()
        );
        assert_eq!(log.recovery().bytes_scanned, 0);
        check(&log, 1, &model);
        if round != 3 {
            let more = recs(round * 20..round * 20 + 13, 60);
            append(&mut log, &more).unwrap();
            model.extend(more);
        }
        poll_ready(log.close()).unwrap();
    }
    let mut log = open(env(), small(700));
    append(&mut log, &recs(500..501, 9)).unwrap();
    drop(log);
    let log = open(env(), small(700));
    assert!(!log.recovery().is_clean());
    let last = log.segments().last().unwrap();
    assert_eq!(
        log.recovery().bytes_scanned,
        last.store_bytes,
        "only the last segment"
    );
}

fn a_dropped_log_loses_nothing<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let mut model = Vec::new();
    for round in 0..6 {
        let mut log = open(env(), small(900));
        assert_eq!(log.recovery().bytes_cut, 0);
        check(&log, 1, &model);
        assert_eq!(
            log.durable_index(),
            log.end_index(),
            "opening makes durable what it found"
        );
        let more = recs(round * 20..round * 20 + 11, 60);
        append(&mut log, &more).unwrap();
        model.extend(more);
        if round % 2 == 0 {
            poll_ready(log.sync()).unwrap();
        }
    }
}

fn many_records_in_one_segment<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    // More than a block of index entries, several times.
    let model = recs(0..5000, 2);
    let mut log = open(env(), small(1 << 20));
    for batch in model.chunks(700) {
        append(&mut log, batch).unwrap();
    }
    check(&log, 1, &model);
    poll_ready(log.truncate_suffix(4001)).unwrap();
    append(&mut log, &model[4000..]).unwrap();
    poll_ready(log.roll()).unwrap();
    check(&log, 1, &model);
    poll_ready(log.close()).unwrap();
    let log = open(env(), small(1 << 20));
    assert!(log.recovery().is_clean());
    check(&log, 1, &model);
}

fn starts_and_resets<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let mut log = open(env(), small(900));
    let mut model = recs(0..30, 150);
    append(&mut log, &model).unwrap();
    let mut start = 1;
    for index in [1, 2, 9, 9, 20, 31] {
        poll_ready(log.truncate_prefix(index)).unwrap();
        model.drain(..usize::try_from(index - start).unwrap());
        start = index;
        check(&log, start, &model);
        check_searches(&log, start, &model);
        drop(log);
        log = open(env(), small(900));
        check(&log, start, &model);
    }
    assert!(matches!(
        poll_ready(log.truncate_prefix(32)),
        Err(TruncateError::OutOfBounds(_))
    ));
    for index in [31, 5, 400] {
        append(&mut log, &recs(60..66, 150)).unwrap();
        poll_ready(log.reset(index)).unwrap();
        check(&log, index, &[]);
        append(&mut log, &recs(40..48, 150)).unwrap();
        drop(log);
        log = open(env(), small(900));
        check(&log, index, &recs(40..48, 150));
        check_searches(&log, index, &recs(40..48, 150));
    }
}
