//! Random operations on a log against a plain vector. Failures shrink.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fmt::Debug;

use common::{Rec, append, as_rec, check, check_searches, contents, open, small};
use laminarmq::{
    CrashPoint, FileEnv, Log, LogEnv, LogOptions, MemEnv, ReadPlan, SyncTicket, poll_ready,
};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Append {
        lengths: Vec<usize>,
        term: u32,
        key_step: u64,
        timestamp: i64,
    },
    Truncate {
        permille: u64,
    },
    TruncatePrefix {
        permille: u64,
    },
    Reset {
        start: u64,
    },
    Roll,
    Sync,
    TakeTicket,
    RunTicket,
    TakePlan {
        permille: u64,
        max_bytes: u64,
    },
    RunPlan,
    Read {
        permille: u64,
        count: u64,
        max_bytes: u64,
    },
    Close,
    Kill,
    Crash {
        seed: u64,
    },
    FailCall {
        after: u64,
    },
    FailSync {
        after: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let lengths = prop::collection::vec(prop_oneof![4 => 0..40usize, 1 => 0..3000usize], 0..12);
    prop_oneof![
        8 => (lengths, 0..3u32, 0..3u64, 0..20i64).prop_map(|(lengths, term, key_step, timestamp)| {
            Op::Append { lengths, term, key_step, timestamp }
        }),
        3 => (0..=1000u64).prop_map(|permille| Op::Truncate { permille }),
        2 => (0..=1000u64).prop_map(|permille| Op::TruncatePrefix { permille }),
        1 => (1..60u64).prop_map(|start| Op::Reset { start }),
        2 => Just(Op::Roll),
        2 => Just(Op::Sync),
        2 => Just(Op::TakeTicket),
        2 => Just(Op::RunTicket),
        1 => (0..=1000u64, 0..5000u64).prop_map(|(permille, max_bytes)| Op::TakePlan { permille, max_bytes }),
        1 => Just(Op::RunPlan),
        2 => (0..=1000u64, 0..30u64, 0..5000u64)
            .prop_map(|(permille, count, max_bytes)| Op::Read { permille, count, max_bytes }),
        1 => Just(Op::Close),
        1 => Just(Op::Kill),
        2 => any::<u64>().prop_map(|seed| Op::Crash { seed }),
        1 => (0..6u64).prop_map(|after| Op::FailCall { after }),
        1 => (0..3u64).prop_map(|after| Op::FailSync { after }),
    ]
}

/// What the run needs of a storage beside the log itself.
trait Storage {
    type Env: LogEnv<File: Debug>;
    fn env(&self) -> Self::Env;
    fn memory(&self) -> Option<&MemEnv>;
}

impl Storage for MemEnv {
    type Env = MemEnv;
    fn env(&self) -> MemEnv {
        self.clone()
    }
    fn memory(&self) -> Option<&MemEnv> {
        Some(self)
    }
}

impl Storage for tempfile::TempDir {
    type Env = FileEnv;
    fn env(&self) -> FileEnv {
        FileEnv::new(self.path()).unwrap()
    }
    fn memory(&self) -> Option<&MemEnv> {
        None
    }
}

struct Run<'a, S: Storage> {
    storage: &'a S,
    options: LogOptions,
    log: Option<Log<S::Env>>,
    /// Index of the first record of `model`.
    start: u64,
    model: Vec<Rec>,
    /// Where the log started and what it held since it was last durable as a whole.
    versions: Vec<(u64, Vec<Rec>)>,
    /// So many records of `model` are durable.
    durable: usize,
    ticket: Option<SyncTicket<S::Env>>,
    plan: Option<(ReadPlan<S::Env>, Vec<Rec>)>,
    appended: u64,
    last_key: u64,
}

impl<S: Storage> Run<'_, S> {
    fn log(&mut self) -> &mut Log<S::Env> {
        self.log.as_mut().unwrap()
    }

    fn settle_if_durable(&mut self) {
        let start = self.start;
        let durable = usize::try_from(self.log().durable_index() - start).unwrap();
        assert!(
            durable >= self.durable || durable == self.model.len(),
            "it only goes down with the end"
        );
        self.durable = durable;
        // A truncation above the durable index may be undone by a crash until the next sync.
        if durable == self.model.len() && self.log().sync_ticket().is_none() {
            self.versions = vec![(start, self.model.clone())];
        }
    }

    fn clear_faults(&self) {
        if let Some(disk) = self.storage.memory() {
            disk.fail_call(None);
            disk.fail_sync(None);
        }
    }

    /// Opens again after the process or the machine went down. `exact`: nothing may be missing.
    fn reopen(&mut self, exact: bool) {
        (self.log, self.ticket, self.plan) = (None, None, None);
        self.log = poll_ready(Log::open_with(self.storage.env(), self.options)).ok();
        if self.log.is_none() {
            // An injected fault hit the recovery; the next one has none.
            self.clear_faults();
            self.log = Some(open(self.storage.env(), self.options));
        }
        let (start, found) = (self.log().start_index(), contents(self.log()));
        if exact {
            assert_eq!((start, &found), (self.start, &self.model));
        }
        if start == self.start {
            assert!(found.len() >= self.durable);
            assert_eq!(found[..self.durable], self.model[..self.durable]);
        }
        assert!(
            self.versions
                .iter()
                .any(|(from, version)| *from == start && version.starts_with(&found)),
            "an invented record"
        );
        (self.start, self.model) = (start, found);
        self.settle_if_durable();
        assert_eq!(self.durable, self.model.len());
    }

    /// After an operation that failed: the log is as it was, or stopped and has to be opened again.
    fn failed(&mut self, attempt: Vec<Rec>) {
        self.failed_to(vec![(self.start, attempt)]);
    }

    fn failed_to(&mut self, attempts: Vec<(u64, Vec<Rec>)>) {
        assert!(
            self.storage.memory().is_some(),
            "real files do not fail here"
        );
        self.clear_faults();
        if self.log().poisoned().is_some() {
            self.versions.extend(attempts);
            self.reopen(false);
        }
    }

    fn index_at(&mut self, permille: u64) -> u64 {
        self.start + self.model.len() as u64 * permille / 1000
    }

    fn next_records(
        &mut self,
        lengths: &[usize],
        term: u32,
        key_step: u64,
        timestamp: i64,
    ) -> Vec<Rec> {
        // The keys of records that were truncated count as long as their segment is there.
        let mut key = self.last_key;
        let mut make = |length: &usize| {
            self.appended += 1;
            key += key_step;
            let kind = self.appended.to_le_bytes()[0] % 3;
            // Short values repeat, so that a stale record can look like a fresh one.
            let value = vec![term.to_le_bytes()[0]; *length];
            Rec {
                term,
                kind,
                flags: kind,
                key,
                timestamp,
                value,
            }
        };
        let records: Vec<Rec> = lengths.iter().map(&mut make).collect();
        self.last_key = key;
        records
    }

    fn truncate_prefix(&mut self, index: u64) {
        let bases: Vec<u64> = self.log().segments().map(|info| info.base_index).collect();
        // What each version of the log is once it starts at `from`.
        let cut = |versions: &[(u64, Vec<Rec>)], from: u64| -> Vec<(u64, Vec<Rec>)> {
            let cut = |(start, records): &(u64, Vec<Rec>)| {
                let gone = usize::try_from(from.checked_sub(*start)?).ok()?;
                Some((from, records.get(gone..)?.to_vec()))
            };
            versions.iter().filter_map(cut).collect()
        };
        match poll_ready(self.log().truncate_prefix(index)) {
            Ok(()) => {
                let gone = usize::try_from(index - self.start).unwrap();
                self.model.drain(..gone);
                self.durable = self.durable.saturating_sub(gone);
                self.start = index;
                self.versions = cut(&self.versions, index);
                self.settle_if_durable();
            }
            Err(_) => {
                let between = bases
                    .iter()
                    .filter(|base| **base > self.start && **base < index);
                let starts = between.chain([&index]);
                let attempts = starts
                    .flat_map(|start| cut(&self.versions, *start))
                    .collect();
                self.failed_to(attempts);
            }
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Append {
                ref lengths,
                term,
                key_step,
                timestamp,
            } => {
                let more = self.next_records(lengths, term, key_step, timestamp);
                let mut attempt = self.model.clone();
                attempt.extend(more.iter().cloned());
                match append(self.log(), &more) {
                    Ok(range) => {
                        assert_eq!(range.end - range.start, more.len() as u64);
                        self.model = attempt.clone();
                        self.versions.push((self.start, attempt));
                    }
                    Err(_) => self.failed(attempt),
                }
            }
            Op::TruncatePrefix { permille } => {
                let index = self.index_at(permille);
                self.truncate_prefix(index);
            }
            Op::Reset { start } => match poll_ready(self.log().reset(start)) {
                Ok(()) => {
                    (self.start, self.model, self.durable) = (start, Vec::new(), 0);
                    self.settle_if_durable();
                    assert_eq!(self.versions, [(start, Vec::new())]);
                }
                Err(_) => {
                    self.durable = 0; // nothing has to be left, even where the start is the same
                    self.failed_to(vec![(start, Vec::new())]);
                }
            },
            Op::Truncate { permille } => {
                let from = self.index_at(permille);
                let kept = usize::try_from(from - self.start).unwrap();
                let attempt = self.model[..kept].to_vec();
                self.durable = self.durable.min(kept);
                match poll_ready(self.log().truncate_suffix(from)) {
                    Ok(()) => {
                        self.model = attempt.clone();
                        self.versions.push((self.start, attempt));
                        self.settle_if_durable();
                    }
                    Err(_) => self.failed(attempt),
                }
            }
            Op::Roll => {
                if poll_ready(self.log().roll()).is_err() {
                    self.failed(self.model.clone());
                }
            }
            Op::Sync => match poll_ready(self.log().sync()) {
                Ok(()) => self.settle_if_durable(),
                Err(_) => self.failed(self.model.clone()),
            },
            Op::TakeTicket => self.ticket = self.log().sync_ticket(),
            Op::RunTicket => {
                let Some(ticket) = self.ticket.take() else {
                    return;
                };
                match self.log().complete(ticket.run()) {
                    Ok(durable) => {
                        assert_eq!(durable, self.log().durable_index());
                        self.settle_if_durable();
                    }
                    Err(_) => self.failed(self.model.clone()),
                }
            }
            Op::TakePlan {
                permille,
                max_bytes,
            } => {
                let start = self.index_at(permille);
                let plan = poll_ready(self.log().plan(start..u64::MAX, max_bytes)).unwrap();
                let from = usize::try_from(start - self.start).unwrap();
                let count = plan.range().count();
                self.plan = Some((plan, self.model[from..from + count].to_vec()));
            }
            Op::RunPlan => {
                let Some((plan, want)) = self.plan.take() else {
                    return;
                };
                if let Ok(records) = plan.read() {
                    assert_eq!(records.iter().map(as_rec).collect::<Vec<_>>(), want);
                }
            }
            Op::Read {
                permille,
                count,
                max_bytes,
            } => {
                let start = self.index_at(permille);
                let read =
                    poll_ready(self.log().read_range(start..start + count, max_bytes)).unwrap();
                let from = usize::try_from(start - self.start).unwrap();
                let got: Vec<_> = read.iter().map(as_rec).collect();
                assert_eq!(got, self.model[from..from + got.len()]);
                let stored: u64 = got
                    .iter()
                    .map(|record| record.value.len() as u64 + 56)
                    .sum();
                assert!(stored <= max_bytes || got.len() == 1);
                assert!(!got.is_empty() || count == 0 || from == self.model.len());
            }
            Op::Close => {
                let log = self.log.take().unwrap();
                self.clear_faults();
                poll_ready(log.close()).unwrap();
                self.reopen(true);
                assert!(self.log().recovery().is_clean());
            }
            Op::Kill => self.reopen(true),
            Op::Crash { seed } => {
                let Some(disk) = self.storage.memory() else {
                    return;
                };
                let mut state = seed;
                disk.crash_with(|_: CrashPoint| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(seed | 1);
                    // The low bits choose how much is kept: nothing, half, nearly all, everything.
                    (state >> 40) & 3 < seed & 3 || seed & 7 == 7
                });
                self.reopen(false);
            }
            Op::FailCall { after } => {
                if let Some(disk) = self.storage.memory() {
                    disk.fail_call(Some(after));
                }
            }
            Op::FailSync { after } => {
                if let Some(disk) = self.storage.memory() {
                    disk.fail_sync(Some(after));
                }
            }
        }
    }
}

fn run<S: Storage>(storage: &S, segment_bytes: u64, ops: &[Op]) {
    let options = small(segment_bytes);
    let log = Some(open(storage.env(), options));
    let mut run = Run {
        storage,
        options,
        log,
        start: 1,
        model: Vec::new(),
        versions: vec![(1, Vec::new())],
        durable: 0,
        ticket: None,
        plan: None,
        appended: 0,
        last_key: 0,
    };
    for op in ops {
        run.apply(op);
        let end = run.start + run.model.len() as u64;
        assert_eq!(
            (run.log().start_index(), run.log().end_index()),
            (run.start, end)
        );
    }
    run.clear_faults();
    let model = run.model.clone();
    let start = run.start;
    check(run.log(), start, &model);
    check_searches(run.log(), start, &model);
}

/// How many cases to run: `LAMINARMQ_MODEL_CASES` for a long run.
fn cases(default: u32) -> u32 {
    let given = std::env::var("LAMINARMQ_MODEL_CASES").ok();
    given.map_or(default, |given| {
        given.parse().expect("LAMINARMQ_MODEL_CASES is a number")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(1500)) })]

    #[test]
    fn in_memory_with_crashes_and_faults(
        segment_bytes in prop_oneof![Just(128u64), 300..3000u64],
        ops in prop::collection::vec(op(), 1..40),
    ) {
        run(&MemEnv::new(), segment_bytes, &ops);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(60)) })]

    #[test]
    fn on_files(
        segment_bytes in prop_oneof![Just(128u64), 300..3000u64],
        ops in prop::collection::vec(op(), 1..40),
    ) {
        run(&tempfile::tempdir().unwrap(), segment_bytes, &ops);
    }
}
