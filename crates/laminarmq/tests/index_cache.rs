//! Which index entries stay in memory: told by the lookups that read no file.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{open, recs, small, stored};
use laminarmq::test_util::faults::{Call, FaultEnv};
use laminarmq::{IndexCache, Log, LogOptions, MemEnv, poll_ready};

struct Looked {
    log: Log<FaultEnv<MemEnv>>,
    bases: Vec<u64>,
}

impl Looked {
    /// A log that was closed and opened again, so that no entry is in memory.
    fn new(index_cache: IndexCache) -> Self {
        let options = LogOptions {
            index_cache,
            ..small(700)
        };
        let disk = stored(&recs(0..38, 40), options, true);
        let log = open(FaultEnv::new(disk), options);
        let bases: Vec<_> = log.segments().map(|info| info.base_index).collect();
        assert!(bases.len() > 4);
        Self { log, bases }
    }

    /// Whether a lookup in that segment reads a file.
    fn reads(&self, number: usize) -> bool {
        let count = || self.log.env().faults().counts().of(Call::Read);
        let before = count();
        poll_ready(self.log.entry(self.bases[number])).unwrap();
        count() > before
    }

    fn write_segment(&self) -> usize {
        self.bases.len() - 1
    }
}

#[test]
fn the_segments_that_were_used_last_stay() {
    let log = Looked::new(IndexCache::Segments(2));
    for number in [log.write_segment(), 0, 1] {
        assert!(log.reads(number), "segment {number} for the first time");
        assert!(!log.reads(number), "segment {number} once more");
    }
    assert!(!log.reads(0));
    assert!(log.reads(2), "1 goes");
    assert!(!log.reads(0) && !log.reads(2));
    assert!(log.reads(1), "0 goes");
    assert!(!log.reads(2) && !log.reads(1));
    assert!(log.reads(0));
    assert!(!log.reads(log.write_segment()), "that one stays anyway");
}

#[test]
fn without_sealed_segments_only_the_write_segment_stays() {
    let log = Looked::new(IndexCache::Segments(0));
    assert!(log.reads(log.write_segment()));
    for number in 0..log.write_segment() {
        assert!(log.reads(number) && log.reads(number));
    }
    assert!(!log.reads(log.write_segment()));
}

#[test]
fn all_that_was_looked_into_stays() {
    let log = Looked::new(IndexCache::All);
    for number in 0..log.bases.len() {
        assert!(log.reads(number));
    }
    for number in 0..log.bases.len() {
        assert!(!log.reads(number));
    }
}

/// A search of a file looks at an entry, halves what is left, and reads the last few at once.
#[test]
fn searches_of_an_index_file_find_the_place_with_few_reads() {
    for count in [1, 63, 64, 65, 66, 129, 1000, 3000] {
        let options = small(1 << 20);
        let disk = stored(&recs(0..count, 1), options, true);
        let log = open(FaultEnv::new(disk), options);
        let reads = || log.env().faults().counts().of(Call::Read);
        for number in (0..count).step_by(7).chain([count - 1]) {
            for (key, want) in [
                (number * 10, Some(1 + number)),
                (number * 10 + 9, Some(1 + number)),
                ((number * 10).saturating_sub(1), number.max(1).into()),
            ] {
                let before = reads();
                let found = poll_ready(log.last_with_key_at_most(key)).unwrap();
                assert_eq!(found.map(|it| it.index), want, "key {key} of {count}");
                let most = 3 + u64::from((count / 64).checked_ilog2().map_or(0, |it| it + 1));
                assert!(reads() - before <= most, "key {key} of {count}");
            }
        }
    }
}
