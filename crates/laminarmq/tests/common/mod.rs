//! What tests of several files share.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test file uses a part of this"
)]
#![allow(clippy::unwrap_used, reason = "only tests use this")]

pub(crate) mod expect;
pub(crate) mod ops;

use std::path::{Path, PathBuf};

use laminarmq::{
    CrashPoint, FlushPolicy, IndexCache, Log, LogOptions, MemEnv, OpenError, Part, SegmentEnv,
    poll_ready,
};

pub(crate) use laminarmq::test_util::model::{
    Rec, append, as_appends, as_rec, check, check_searches, contents, open, rec, recs, small,
};

/// [`LogOptions::default`], which is not `const`.
pub(crate) const DEFAULT_OPTIONS: LogOptions = LogOptions {
    initial_index: 0,
    segment_bytes: 1 << 30,
    auto_roll: true,
    record_bytes_max: 64 << 20,
    flush: FlushPolicy::OnRequest,
    index_cache: IndexCache::Recent,
    write_ahead: true,
};

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

/// A directory for tens of thousands of logs. Where there is a file system in memory, it is that one: a sync
/// that waits for a disk finds nothing more here, as no power is cut.
pub(crate) fn fast_dir() -> PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() {
        shared.to_path_buf()
    } else {
        std::env::temp_dir()
    }
}
