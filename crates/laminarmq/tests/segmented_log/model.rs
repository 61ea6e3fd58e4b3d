//! Random operations through the generic face against a plain vector, on a disk that fails and loses its power.
//!
//! `LAMINARMQ_MODEL_CASES=N` sets the number of cases, for long runs.

use std::time::Duration;

use futures_lite::future::block_on;
use futures_lite::stream::{self, StreamExt};
use laminarmq::common::serde_compat::bincode::BinCode;
use laminarmq::storage::commit_log::CommitLog;
use laminarmq::storage::commit_log::segmented_log::{
    Config, LogError, MetaWithIdx, Record, SegmentedLog, segment,
};
use laminarmq::storage::{
    AsyncConsume, AsyncIndexedExclusiveRead, AsyncIndexedRead, AsyncTruncate,
};
use laminarmq::test_util::env_storage::{EnvProvider, EnvStorage};
use laminarmq::test_util::faults::{Call, Fault, FaultEnv, Faults, Left};
use laminarmq::{CrashPoint, MemEnv};
use proptest::prelude::*;

use crate::common::Rec;
use crate::common::expect::Expect;
use crate::kinds::{Crc, Lru};
use crate::replay;

type Storage = EnvStorage<FaultEnv<MemEnv>>;
type Disk = SegmentedLog<Storage, u32, Crc, u64, u64, BinCode, EnvProvider<FaultEnv<MemEnv>>, Lru>;
type Error = LogError<Storage, BinCode, Lru>;

#[derive(Debug, Clone)]
enum Act {
    Append(usize),
    /// Pieces of a stream, and whether it fails at its end.
    Stream(Vec<usize>, bool),
    Flush,
    Rotate,
    Truncate(u64),
    Expire,
    Look(u64),
    Close,
    Kill,
    Crash(u64),
    Fail(Call, u64, Left),
}

fn act() -> impl Strategy<Value = Act> {
    let call = prop_oneof![3 => Just(Call::Change), 1 => Just(Call::Read), 2 => Just(Call::Sync)];
    let left = prop_oneof![Just(Left::Nothing), Just(Left::Half), Just(Left::All)];
    let piece = prop_oneof![200 => 0..200usize, 1 => 200_000..600_000usize];
    prop_oneof![
        10 => (0..300usize).prop_map(Act::Append),
        6 => (prop::collection::vec(piece, 0..4), prop::bool::weighted(0.2))
            .prop_map(|(pieces, fails)| Act::Stream(pieces, fails)),
        2 => Just(Act::Flush),
        1 => Just(Act::Rotate),
        3 => (0..1000u64).prop_map(Act::Truncate),
        1 => Just(Act::Expire),
        4 => (0..1000u64).prop_map(Act::Look),
        1 => Just(Act::Close),
        1 => Just(Act::Kill),
        2 => any::<u64>().prop_map(Act::Crash),
        2 => (call, 0..8u64, left).prop_map(|(call, after, left)| Act::Fail(call, after, left)),
    ]
}

#[derive(Debug, Clone)]
struct Case {
    max_store_size: u64,
    cached: Option<usize>,
    /// Whether room is made ahead of every append.
    wants_room: bool,
    acts: Vec<Act>,
}

fn case() -> impl Strategy<Value = Case> {
    let acts = prop::collection::vec(act(), 1..40);
    let cached = prop_oneof![Just(None), (0..3usize).prop_map(Some)];
    let cases = (100..2000u64, cached, prop::bool::weighted(0.3), acts);
    cases.prop_map(|(max_store_size, cached, wants_room, acts)| Case {
        max_store_size,
        cached,
        wants_room,
        acts,
    })
}

struct Run {
    disk: MemEnv,
    faults: Faults,
    config: Config<u64, u64>,
    log: Option<Disk>,
    expect: Expect,
    made: u32,
}

impl Run {
    fn new(case: &Case) -> Self {
        let config = Config {
            segment_config: segment::Config {
                max_store_size: case.max_store_size,
                max_store_overflow: 1 << 20,
                max_index_size: 2000,
            },
            num_index_cached_read_segments: case.cached,
            initial_index: 5,
        };
        let mut run = Self {
            disk: MemEnv::new(),
            faults: Faults::default(),
            config,
            log: None,
            expect: Expect::new(5, Vec::new()),
            made: 0,
        };
        run.faults.want_room(case.wants_room);
        run.log = Some(run.open().unwrap());
        run
    }

    fn open(&self) -> Result<Disk, Error> {
        let env = FaultEnv::with(self.disk.clone(), &self.faults);
        block_on(Disk::new(self.config, EnvProvider(env)))
    }

    fn log(&mut self) -> &mut Disk {
        self.log.as_mut().unwrap()
    }

    fn failed(&self) -> u64 {
        self.faults.counts().failed
    }

    /// The next record, whose metadata is its number.
    fn next(&mut self, length: usize) -> Rec {
        self.made += 1;
        let value = vec![self.made.to_le_bytes()[0]; length];
        Rec {
            key: self.made.into(),
            value,
            ..Rec::default()
        }
    }

    fn contents(log: &Disk) -> (u64, Vec<Rec>) {
        let records = log.try_stream(..).map(|record| {
            let Record { metadata, value } = record.unwrap();
            Rec {
                key: metadata.metadata.into(),
                value: value.to_vec(),
                ..Rec::default()
            }
        });
        (log.lowest_index(), block_on(records.collect()))
    }

    fn check(&self) {
        let log = self.log.as_ref().unwrap();
        let (start, found) = Self::contents(log);
        assert_eq!((start, &found), (self.expect.start, &self.expect.records));
        assert_eq!(log.highest_index(), self.expect.end());
        for (index, want) in (start..).zip(&found) {
            let record = block_on(log.read(&index)).unwrap();
            assert_eq!(record.metadata.index, Some(index));
            assert_eq!(u64::from(record.metadata.metadata), want.key);
            assert_eq!(&*record.value, want.value);
        }
        let all_held = |held: &Vec<_>, records: u64| held.len() as u64 == records;
        for segment in log.segments() {
            let held = segment.cached_index_records();
            assert!(held.is_none_or(|held| all_held(held, segment.len())));
        }
    }

    /// Opens what is there, which has to be what it was, or what a failed operation was on its way to, or what a power
    /// cut may leave.
    fn reopen(&mut self, power_cut: bool) {
        self.log = None;
        let failed = self.failed();
        let log = self.open().or_else(|error| {
            assert!(self.failed() > failed, "it does not open: {error}");
            self.faults.disarm();
            self.open()
        });
        self.faults.disarm();
        let log = log.unwrap_or_else(|error| panic!("it does not open: {error}"));
        let (start, found) = Self::contents(&log);
        if power_cut {
            self.expect.check(start, &found);
        } else {
            self.expect.check_killed(start, &found);
        }
        self.expect = Expect::new(start, found);
        self.log = Some(log);
    }

    /// An operation failed, which has to have a reason. The log is as it was, or stopped on its way.
    fn failing(&mut self, failed: u64, error: &Error, versions: Vec<(u64, Vec<Rec>)>) {
        assert!(self.failed() > failed, "without a reason: {error}");
        self.faults.disarm();
        self.expect.may_be(versions);
        self.reopen(false);
    }

    fn append(&mut self, record: Rec, appended: Result<u64, Error>, failed: u64) {
        match appended {
            Ok(index) => {
                assert_eq!(index, self.expect.end());
                self.expect.becomes(self.expect.with(&[record]));
            }
            Err(error) => {
                let more = self.expect.with(&[record]);
                self.failing(failed, &error, vec![more]);
            }
        }
    }

    fn act(&mut self, act: &Act) {
        let failed = self.failed();
        let end = self.expect.end();
        let metadata = |record: &Rec| MetaWithIdx {
            metadata: u32::try_from(record.key).unwrap(),
            index: record.key.is_multiple_of(2).then_some(end),
        };
        match act {
            Act::Append(length) => {
                let record = self.next(*length);
                let value = &record.value[..];
                let to_append = Record {
                    metadata: metadata(&record),
                    value,
                };
                let appended = block_on(self.log().append_record_with_contiguous_bytes(&to_append));
                self.append(record, appended, failed);
            }
            Act::Stream(pieces, fails) => {
                let record = self.next(pieces.iter().sum());
                let mut left = &record.value[..];
                let mut items: Vec<Result<&[u8], ()>> = Vec::new();
                for length in pieces {
                    let (piece, rest) = left.split_at(*length);
                    (left, _) = (rest, items.push(Ok(piece)));
                }
                if *fails {
                    items.push(Err(()));
                }
                let to_append = Record {
                    metadata: metadata(&record),
                    value: stream::iter(items),
                };
                let appended = block_on(self.log().append(to_append));
                let threshold = 1 << 20;
                let too_long = record.value.len() > threshold;
                if (*fails || too_long) && self.failed() == failed {
                    assert!(
                        appended.is_err() || too_long,
                        "a broken stream was appended"
                    );
                    if appended.is_err() {
                        return;
                    }
                }
                self.append(record, appended, failed);
            }
            Act::Flush | Act::Rotate => {
                let done = match act {
                    Act::Flush => block_on(self.log().flush()),
                    _ => block_on(self.log().rotate_new_write_segment()),
                };
                match done {
                    Ok(()) => self.expect.is_durable(end, true),
                    Err(error) => self.failing(failed, &error, Vec::new()),
                }
            }
            Act::Truncate(permille) => {
                let records = self.expect.records.len() as u64;
                let from = self.expect.start + records * permille / 1000;
                let cut = self.expect.without_end(from);
                match block_on(self.log().truncate(&from)) {
                    Ok(()) => self.expect.becomes(cut),
                    Err(_) if records == 0 && self.failed() == failed => {}
                    Err(error) => self.failing(failed, &error, vec![cut]),
                }
            }
            Act::Expire => {
                let mut bases: Vec<u64> =
                    self.log().segments().map(|it| it.lowest_index()).collect();
                bases.push(end);
                let versions = bases
                    .iter()
                    .flat_map(|base| self.expect.versions_from(*base));
                let versions: Vec<_> = versions.collect();
                match block_on(self.log().remove_expired(Duration::ZERO)) {
                    Ok(removed) => {
                        assert_eq!(removed, end - self.expect.start);
                        self.expect.starts_at(end);
                        self.expect.is_durable(end, true);
                    }
                    Err(error) => self.failing(failed, &error, versions),
                }
            }
            Act::Look(permille) => {
                let records = self.expect.records.len() as u64;
                if records == 0 {
                    return;
                }
                let index = self.expect.start + records * permille / 1000;
                match block_on(self.log().exclusive_read(&index)) {
                    Ok(record) => assert_eq!(*record.value, self.expect.from(index)[0].value),
                    Err(error) => assert!(self.failed() > failed, "{error}"),
                }
            }
            Act::Close => {
                let log = self.log.take().unwrap();
                match block_on(log.close()) {
                    Ok(()) => self.expect.is_durable(end, true),
                    Err(error) => assert!(self.failed() > failed, "{error}"),
                }
                self.reopen(false);
            }
            Act::Kill => self.reopen(false),
            Act::Crash(seed) => {
                let mut state = *seed;
                self.log = None;
                self.disk.crash_with(|point: CrashPoint| {
                    let odd = u64::from(matches!(point, CrashPoint::Sector { .. }));
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(odd | 1);
                    (state >> 40) & 1 == 1
                });
                self.reopen(true);
            }
            Act::Fail(call, after, left) => self.faults.arm(Fault {
                left: *left,
                ..Fault::nth(*call, *after)
            }),
        }
    }

    fn through(mut self, case: &Case) {
        for act in &case.acts {
            self.act(act);
            self.faults.pause();
            self.check();
            self.faults.resume();
        }
    }
}

#[test]
fn against_a_vector() {
    let name = "against_a_vector";
    replay::cases("segmented_log", name, 4000, &case(), |case| {
        Run::new(case).through(case);
    });
}
