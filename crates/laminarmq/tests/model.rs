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
    model: Vec<Rec>,
    /// What the log held since it was last durable as a whole.
    versions: Vec<Vec<Rec>>,
    durable: usize,
    ticket: Option<SyncTicket<S::Env>>,
    plan: Option<(ReadPlan<S::Env>, Vec<Rec>)>,
    appended: u64,
}

impl<S: Storage> Run<'_, S> {
    fn log(&mut self) -> &mut Log<S::Env> {
        self.log.as_mut().unwrap()
    }

    fn settle_if_durable(&mut self) {
        let durable = usize::try_from(self.log().durable_index() - 1).unwrap();
        assert!(
            durable >= self.durable || durable == self.model.len(),
            "it only goes down with the end"
        );
        self.durable = durable;
        // A truncation above the durable index may be undone by a crash until the next sync.
        if durable == self.model.len() && self.log().sync_ticket().is_none() {
            self.versions = vec![self.model.clone()];
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
        let found = contents(self.log());
        if exact {
            assert_eq!(found, self.model);
        }
        assert!(found.len() >= self.durable);
        assert_eq!(
            found[..self.durable],
            self.model[..self.durable.min(self.model.len())]
        );
        assert!(
            self.versions
                .iter()
                .any(|version| version.starts_with(&found)),
            "an invented record"
        );
        self.model = found;
        self.settle_if_durable();
        assert_eq!(self.durable, self.model.len());
    }

    /// After an operation that failed: the log is as it was, or stopped and has to be opened again.
    fn failed(&mut self, attempt: Vec<Rec>) {
        assert!(
            self.storage.memory().is_some(),
            "real files do not fail here"
        );
        self.clear_faults();
        if self.log().poisoned().is_some() {
            self.versions.push(attempt);
            self.reopen(false);
        }
    }

    fn index_at(&mut self, permille: u64) -> u64 {
        1 + self.model.len() as u64 * permille / 1000
    }

    fn next_records(
        &mut self,
        lengths: &[usize],
        term: u32,
        key_step: u64,
        timestamp: i64,
    ) -> Vec<Rec> {
        let mut key = self.model.last().map_or(0, |record| record.key);
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
        lengths.iter().map(&mut make).collect()
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
                        self.versions.push(attempt);
                    }
                    Err(_) => self.failed(attempt),
                }
            }
            Op::Truncate { permille } => {
                let from = self.index_at(permille);
                let kept = usize::try_from(from - 1).unwrap();
                let attempt = self.model[..kept].to_vec();
                self.durable = self.durable.min(kept);
                match poll_ready(self.log().truncate_suffix(from)) {
                    Ok(()) => {
                        self.model = attempt.clone();
                        self.versions.push(attempt);
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
                let from = usize::try_from(start - 1).unwrap();
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
                let from = usize::try_from(start - 1).unwrap();
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
        model: Vec::new(),
        versions: vec![Vec::new()],
        durable: 0,
        ticket: None,
        plan: None,
        appended: 0,
    };
    for op in ops {
        run.apply(op);
        assert_eq!(run.log().end_index(), 1 + run.model.len() as u64);
    }
    run.clear_faults();
    let model = run.model.clone();
    check(run.log(), 1, &model);
    check_searches(run.log(), 1, &model);
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
