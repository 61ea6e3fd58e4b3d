//! A plain model of records, and checks of a log against it.
#![allow(dead_code, reason = "each test file uses a part of this")]
#![allow(clippy::unwrap_used, reason = "only tests use this")]

use laminarmq::{
    Append, CrashPoint, Log, LogOptions, MemEnv, OpenError, Part, ReadError, SegmentEnv, poll_ready,
};

/// A record as the model keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rec {
    pub(crate) term: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) key: u64,
    pub(crate) timestamp: i64,
    pub(crate) value: Vec<u8>,
}

/// The `number`-th record of a workload: distinct, of changing length.
pub(crate) fn rec(number: u64, length: usize) -> Rec {
    let byte = |at: usize| {
        number
            .wrapping_mul(31)
            .wrapping_add(at as u64)
            .to_le_bytes()[0]
    };
    Rec {
        term: 1 + u32::try_from(number / 10).unwrap(),
        kind: number.to_le_bytes()[0] % 3,
        flags: number.to_le_bytes()[0],
        key: number * 10,
        timestamp: 1000 + i64::try_from(number).unwrap() * 7 % 50,
        value: (0..length).map(byte).collect(),
    }
}

pub(crate) fn recs(range: std::ops::Range<u64>, length: usize) -> Vec<Rec> {
    range
        .map(|number| rec(number, length + usize::try_from(number).unwrap() % 7))
        .collect()
}

/// Calls `with` with the records as the log wants them, each value in two pieces.
pub(crate) fn as_appends<T>(records: &[Rec], with: impl FnOnce(&[Append<'_>]) -> T) -> T {
    let pieces: Vec<[&[u8]; 2]> = records
        .iter()
        .map(|record| {
            let (left, right) = record.value.split_at(record.value.len() / 3);
            [left, right]
        })
        .collect();
    let appends: Vec<Append<'_>> = records
        .iter()
        .zip(&pieces)
        .map(|(record, pieces)| Append {
            term: record.term,
            kind: record.kind,
            flags: record.flags,
            key: record.key,
            timestamp: record.timestamp,
            value: pieces,
        })
        .collect();
    with(&appends)
}

pub(crate) fn append<E: SegmentEnv>(
    log: &mut Log<E>,
    records: &[Rec],
) -> Result<std::ops::Range<u64>, laminarmq::AppendError> {
    as_appends(records, |appends| poll_ready(log.append_many(appends)))
}

pub(crate) fn open<E: SegmentEnv>(env: E, options: LogOptions) -> Log<E> {
    poll_ready(Log::open_with(env, options)).unwrap()
}

pub(crate) fn as_rec(record: &laminarmq::Record) -> Rec {
    Rec {
        term: record.term,
        kind: record.kind,
        flags: record.flags,
        key: record.key,
        timestamp: record.timestamp,
        value: record.value.to_vec(),
    }
}

/// Everything that can be asked of a log, compared with the model. `start` is the model's first index.
pub(crate) fn check<E: SegmentEnv>(log: &Log<E>, start: u64, model: &[Rec]) {
    let end = start + model.len() as u64;
    assert_eq!((log.start_index(), log.end_index()), (start, end));
    assert!(log.durable_index() >= start && log.durable_index() <= end);
    let infos: Vec<_> = log.segments().collect();
    assert!(infos[0].base_index <= start);
    assert_eq!(infos[infos.len() - 1].end_index, end);
    assert!(
        infos
            .windows(2)
            .all(|pair| pair[0].end_index == pair[1].base_index)
    );
    assert!(
        infos
            .iter()
            .rev()
            .skip(1)
            .all(|info| !info.is_write && info.end_index > info.base_index)
    );

    let all = poll_ready(log.read_range(start..end, u64::MAX)).unwrap();
    assert_eq!(all.iter().map(as_rec).collect::<Vec<_>>(), model);
    assert!(
        all.iter()
            .zip(start..)
            .all(|(record, index)| record.index == index)
    );

    for (index, want) in (start..).zip(model) {
        let info = poll_ready(log.entry(index)).unwrap();
        assert_eq!((info.index, info.length), (index, want.value.len() as u64));
        assert_eq!(
            (info.term, info.kind, info.flags, info.key),
            (want.term, want.kind, want.flags, want.key)
        );
        assert_eq!(info.checksum, u64::from(crc32c::crc32c(&want.value)));
        let segment = infos.iter().find(|info| info.end_index > index).unwrap();
        let from = usize::try_from(segment.base_index.saturating_sub(start)).unwrap();
        let to = usize::try_from(index - start).unwrap();
        let max = model[from..=to].iter().map(|record| record.timestamp).max();
        // Records below the start count in it, and the model does not know them.
        assert!(Some(info.max_timestamp) >= max);
        assert!(segment.base_index < start || Some(info.max_timestamp) == max);
    }
    for outside in [start.wrapping_sub(1), end, end + 1] {
        assert!(matches!(
            poll_ready(log.read(outside)),
            Err(ReadError::OutOfBounds(_))
        ));
        assert!(matches!(
            poll_ready(log.entry(outside)),
            Err(ReadError::OutOfBounds(_))
        ));
    }
}

/// The searches, compared with a look at every record of the model.
pub(crate) fn check_searches<E: SegmentEnv>(log: &Log<E>, start: u64, model: &[Rec]) {
    let highest = model.iter().map(|record| record.key).max().unwrap_or(0);
    for key in (0..=highest + 1).step_by(1 + usize::try_from(highest).unwrap() / 200) {
        let want = model
            .iter()
            .rposition(|record| record.key <= key)
            .map(|at| start + at as u64);
        let got = poll_ready(log.last_with_key_at_most(key)).unwrap();
        assert_eq!(got.map(|entry| entry.index), want, "key {key}");
        let matches = |record: &Rec| record.kind == 1 && record.key <= key;
        let want = model.iter().rposition(matches).map(|at| start + at as u64);
        let got = poll_ready(log.last_of_kind_with_key_at_most(1, key)).unwrap();
        assert_eq!(got.map(|entry| entry.index), want, "key {key} of kind 1");
    }
    let times: Vec<i64> = model.iter().map(|record| record.timestamp).collect();
    for time in times
        .iter()
        .flat_map(|time| [time - 1, *time, time + 1])
        .chain([i64::MIN, i64::MAX])
    {
        // The first record at or after a time is the first at which any running maximum reaches it.
        let want = times
            .iter()
            .position(|other| *other >= time)
            .map(|at| start + at as u64);
        let got = poll_ready(log.first_at_or_after_time(time)).unwrap();
        assert_eq!(got.map(|entry| entry.index), want, "time {time}");
    }
}

/// Small segments, so that a short workload has several.
pub(crate) fn small(segment_bytes: u64) -> LogOptions {
    LogOptions {
        initial_index: 1,
        segment_bytes,
        ..LogOptions::default()
    }
}

/// What a log holds, as the model would say it.
pub(crate) fn contents<E: SegmentEnv>(log: &Log<E>) -> Vec<Rec> {
    let records = poll_ready(log.read_range(log.start_index()..log.end_index(), u64::MAX)).unwrap();
    records.iter().map(as_rec).collect()
}

/// Length of a store's file header.
pub(crate) const FILE_HEADER: usize = 64;

pub(crate) fn try_open(disk: &MemEnv, options: LogOptions) -> Result<Log<MemEnv>, OpenError> {
    poll_ready(Log::open_with(disk.clone(), options))
}

/// A log on a disk that was closed in order, or killed after the last append.
pub(crate) fn stored(model: &[Rec], options: LogOptions, close: bool) -> MemEnv {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), options);
    append(&mut log, model).unwrap();
    if close {
        poll_ready(log.close()).unwrap();
    }
    disk
}

pub(crate) fn bases(disk: &MemEnv) -> Vec<u64> {
    poll_ready(SegmentEnv::list(&mut disk.clone())).unwrap()
}

pub(crate) fn changed(
    disk: &MemEnv,
    base: u64,
    part: Part,
    change: impl FnOnce(&mut Vec<u8>),
) -> MemEnv {
    let copy = disk.copy();
    let mut bytes = copy.file(base, part).unwrap();
    change(&mut bytes);
    copy.set_file(base, part, Some(bytes));
    copy
}

/// Store positions at which one record ends and the next may begin.
pub(crate) fn borders(model: &[Rec]) -> Vec<usize> {
    let mut at = FILE_HEADER;
    let ends = model.iter().map(|record| {
        at += 56 + record.value.len();
        at
    });
    std::iter::once(FILE_HEADER).chain(ends).collect()
}

/// The log takes records and keeps them over one more opening.
pub(crate) fn goes_on(disk: &MemEnv, options: LogOptions, mut model: Vec<Rec>) {
    let mut log = open(disk.clone(), options);
    let more = recs(900..903, 20);
    append(&mut log, &more).unwrap();
    model.extend(more);
    check(&log, 1, &model);
    drop(log);
    let log = open(disk.clone(), options);
    assert_eq!(log.recovery().bytes_cut, 0);
    check(&log, 1, &model);
}

/// Keeps unsynced things by chance.
pub(crate) fn by_chance(mut state: u64) -> impl FnMut(CrashPoint) -> bool {
    move |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) & 1 == 1
    }
}

/// All that a power cut may leave: nothing, everything, and some mixtures of unsynced things.
pub(crate) fn every_crash_of(
    disk: &MemEnv,
    seed: u64,
    context: &str,
    after: impl Fn(&MemEnv, &str),
) {
    let all = |kept| disk.crashed_copy(move |_| kept);
    after(&all(false), &format!("{context}, all lost"));
    after(&all(true), &format!("{context}, all kept"));
    for mix in 0..6 {
        let left = disk.crashed_copy(by_chance(seed * 31 + mix));
        after(&left, &format!("{context}, mixture {mix}"));
    }
}
