//! One history in which everything happens that a log can do, with a fault at a time.

use std::fmt;

use laminarmq::test_util::faults::{Counts, FaultEnv, Faults};
use laminarmq::{Log, LogOptions, OpenError, poll_ready};

use crate::common::expect::Expect;
use crate::common::ops::{Driver, End, Op};
use crate::common::{contents, small};
use crate::ground::Ground;
use crate::judge::Lost;

pub(crate) fn options() -> LogOptions {
    small(900)
}

#[derive(Debug, Clone)]
enum Step {
    Do(Op),
    Close,
    Kill,
}

fn append(lengths: &[usize], term: u32) -> Step {
    Step::Do(Op::Append {
        lengths: lengths.to_vec(),
        term,
        key_step: u64::from(term % 3),
        timestamp: i64::from(term),
    })
}

/// One record of several chunks where the pieces are long.
fn write(pieces: &[usize], end: End) -> Step {
    let pieces = pieces.to_vec();
    Step::Do(Op::Write { pieces, end })
}

fn truncate(permille: u64) -> Step {
    Step::Do(Op::Truncate { permille })
}

fn truncate_prefix(permille: u64) -> Step {
    Step::Do(Op::TruncatePrefix { permille })
}

/// Appends, syncs, and cuts of both kinds above and below what is durable, within and across segments.
fn script() -> Vec<Step> {
    let (sync, roll) = (Step::Do(Op::Sync), Step::Do(Op::Roll));
    let (take, run) = (Step::Do(Op::TakeTicket), Step::Do(Op::RunTicket));
    let retain = Step::Do(Op::Retain {
        now_ms: 0,
        max_age_ms: None,
        max_bytes: Some(1500),
    });
    vec![
        append(&[150, 0, 150], 1),
        sync.clone(),
        append(&[200; 5], 2),
        truncate(800),
        append(&[0, 1, 300], 3),
        take.clone(),
        append(&[150, 20], 4),
        run.clone(),
        roll.clone(),
        append(&[150; 6], 5),
        truncate(400),
        append(&[100; 7], 6),
        sync.clone(),
        truncate_prefix(300),
        append(&[300; 4], 7),
        truncate(900),
        Step::Close,
        append(&[2500, 10, 10], 8),
        roll.clone(),
        roll.clone(),
        append(&[10; 3], 9),
        write(&[300, 0, 5], End::Finished),
        take,
        run,
        append(&[150; 8], 10),
        Step::Kill,
        append(&[40; 3], 11),
        retain,
        append(&[150; 3], 12),
        truncate_prefix(950),
        append(&[150; 4], 13),
        Step::Do(Op::Read {
            permille: 0,
            count: 9,
            max_bytes: 900,
        }),
        sync.clone(),
        truncate(0),
        append(&[30; 5], 14),
        Step::Do(Op::Reset { start: 50 }),
        append(&[150; 9], 15),
        sync.clone(),
        append(&[150; 2], 16),
        // From here on there are long records, which the next reset takes away.
        write(&[100, 300_000], End::Dropped),
        append(&[20], 17),
        write(&[300_000], End::Aborted),
        write(&[262_144, 10], End::Finished),
        sync.clone(),
        write(&[280_000], End::Dropped),
        Step::Kill,
        truncate(900),
        append(&[20], 18),
        sync,
        Step::Do(Op::Reset { start: 7 }),
        append(&[150; 3], 19),
        roll,
        append(&[60; 2], 20),
    ]
}

/// Where in the script.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// Behind a step that succeeded.
    Behind(usize),
    /// In a step, right after the fault.
    Fault(usize),
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind(step) => write!(f, "behind step {step}"),
            Self::Fault(step) => write!(f, "in step {step}"),
        }
    }
}

struct Run<'a, G: Ground, A: FnMut(Moment, &Expect)> {
    ground: &'a G,
    faults: &'a Faults,
    driver: Driver<FaultEnv<G::Env>>,
    at: A,
}

/// Goes through the script on an empty ground, on which a fault may be armed. `at` is called behind each step
/// and after the fault, with what the log may be then; where the log stopped, it is opened again.
/// Returns how many calls the script made.
pub(crate) fn run<G: Ground>(
    ground: &G,
    faults: &Faults,
    at: impl FnMut(Moment, &Expect),
) -> Counts {
    let driver = Driver::absent(Expect::new(1, Vec::new()));
    let mut run = Run {
        ground,
        faults,
        driver,
        at,
    };
    run.reopen(0, true);
    for (number, step) in script().iter().enumerate() {
        run.step(number, step);
        faults.pause();
        run.driver.check_bounds();
        faults.resume();
        (run.at)(Moment::Behind(number), &run.driver.expect);
    }
    let counts = faults.counts();
    faults.disarm();
    ground.calm();
    run.driver.check_all();
    run.step(usize::MAX, &Step::Close);
    run.driver.check_all();
    counts
}

impl<G: Ground, A: FnMut(Moment, &Expect)> Run<'_, G, A> {
    fn open(&self) -> Result<Log<FaultEnv<G::Env>>, OpenError> {
        let before = self.ground.picture();
        let env = FaultEnv::with(self.ground.env(), self.faults);
        let log = poll_ready(Log::open_with(env, options()))?;
        let lost = Lost::between(&before, &self.ground.picture());
        assert_eq!(Lost::said(&log), lost, "what the stores lost");
        Ok(log)
    }

    fn has_failed(&mut self, number: usize, failed_before: u64, error: &dyn std::error::Error) {
        let failed = self.faults.counts().failed;
        self.faults.disarm();
        let by_ground = self.ground.calm();
        assert!(
            failed > failed_before || by_ground,
            "step {number}: {error}"
        );
        (self.at)(Moment::Fault(number), &self.driver.expect);
    }

    /// Opens again, nothing being lost. `exact`: the log had not stopped.
    fn reopen(&mut self, number: usize, exact: bool) {
        drop(self.driver.take_log());
        let failed = self.faults.counts().failed;
        let log = self.open().unwrap_or_else(|error| {
            assert!(matches!(error, OpenError::Io { .. }), "{error}");
            self.has_failed(number, failed, &error);
            self.open().unwrap()
        });
        self.faults.pause();
        let (start, found) = (log.start_index(), contents(&log));
        let expect = &self.driver.expect;
        if exact {
            assert_eq!((start, &found), (expect.start, &expect.records));
        }
        expect.check_killed(start, &found);
        self.driver.reopened(log);
        self.faults.resume();
    }

    fn step(&mut self, number: usize, step: &Step) {
        let failed = self.faults.counts().failed;
        match step {
            Step::Do(op) => {
                let Err(error) = self.driver.apply(op) else {
                    return;
                };
                self.has_failed(number, failed, &error);
                if self.driver.log().poisoned().is_some() {
                    self.check_stopped();
                    self.reopen(number, false);
                } else {
                    self.driver.check_all();
                    self.driver.apply(op).unwrap();
                }
            }
            Step::Close => {
                let log = self.driver.take_log().unwrap();
                if let Err(error) = poll_ready(log.close()) {
                    self.has_failed(number, failed, &error);
                }
                self.reopen(number, true);
            }
            Step::Kill => self.reopen(number, true),
        }
    }

    /// A log that stopped refuses everything that would change it, and still reads.
    fn check_stopped(&mut self) {
        let log = self.driver.log();
        let calls = self.faults.counts();
        poll_ready(log.append(laminarmq::Append::default())).unwrap_err();
        poll_ready(log.sync()).unwrap_err();
        poll_ready(log.roll()).unwrap_err();
        poll_ready(log.truncate_suffix(log.start_index())).unwrap_err();
        poll_ready(log.truncate_prefix(log.end_index())).unwrap_err();
        poll_ready(log.reset(1)).unwrap_err();
        assert!(log.sync_ticket().is_none());
        assert_eq!(self.faults.counts(), calls, "and touches nothing");
    }
}
