//! One case: a log on a storage, and what happens to it.

use laminarmq::test_util::faults::{Fault, FaultEnv, Faults};
use laminarmq::{CrashPoint, FileEnv, Log, LogEnv, LogOptions, MemEnv, OpenFiles, poll_ready};
use tempfile::TempDir;

use crate::act::{Act, Case, Keep, Kept, Settings};
use crate::common::ops::Driver;
use crate::common::{contents, small};

/// What a run needs of a storage beside the log itself.
pub(crate) trait Storage {
    type Env: LogEnv;
    fn env(&self, settings: &Settings) -> Self::Env;
    /// Cuts the power, where the storage can.
    fn crash(&self, keep: &Keep) -> bool;
}

impl Storage for MemEnv {
    type Env = MemEnv;

    fn env(&self, _: &Settings) -> MemEnv {
        self.clone()
    }

    fn crash(&self, keep: &Keep) -> bool {
        let mut state = keep.seed;
        self.crash_with(|point| {
            let kept = match point {
                CrashPoint::Name { .. } => keep.names,
                CrashPoint::Start => keep.start,
                CrashPoint::Length { .. } => keep.lengths,
                CrashPoint::Sector { .. } => keep.sectors,
            };
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(keep.seed | 1);
            match kept {
                Kept::Nothing => false,
                Kept::Half => (state >> 40) & 1 == 1,
                Kept::All => true,
            }
        });
        true
    }
}

impl Storage for TempDir {
    type Env = FileEnv;

    fn env(&self, settings: &Settings) -> FileEnv {
        let files = OpenFiles::at_most(settings.open_files);
        FileEnv::sharing(self.path(), &files).unwrap()
    }

    fn crash(&self, _: &Keep) -> bool {
        false
    }
}

fn options(settings: &Settings) -> LogOptions {
    LogOptions {
        auto_roll: settings.auto_roll,
        flush: settings.flush,
        index_cache: settings.index_cache,
        write_ahead: settings.write_ahead,
        ..small(settings.segment_bytes)
    }
}

/// What a log that is opened again may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// What it was.
    Exact,
    /// Also what a failed operation was on its way to.
    Stopped,
    /// What a power cut may leave.
    PowerCut,
}

pub(crate) struct Run<S: Storage> {
    storage: S,
    settings: Settings,
    faults: Faults,
    driver: Driver<FaultEnv<S::Env>>,
}

impl<S: Storage> Run<S> {
    pub(crate) fn start(storage: S, case: &Case) -> Self {
        let (settings, faults) = (case.settings, Faults::default());
        let env = FaultEnv::with(storage.env(&settings), &faults);
        let log = poll_ready(Log::open_with(env, options(&settings)));
        let driver = Driver::new(log.unwrap());
        Self {
            storage,
            settings,
            faults,
            driver,
        }
    }

    pub(crate) fn through(mut self, case: &Case) {
        for act in &case.acts {
            self.act(act);
            self.faults.pause();
            self.driver.check_bounds();
            self.faults.resume();
        }
        self.faults.disarm();
        self.driver.check_all();
    }

    fn open(&self) -> Option<Log<FaultEnv<S::Env>>> {
        let env = FaultEnv::with(self.storage.env(&self.settings), &self.faults);
        let failed = self.faults.counts().failed;
        match poll_ready(Log::open_with(env, options(&self.settings))) {
            Ok(log) => Some(log),
            Err(error) => {
                assert!(
                    self.faults.counts().failed > failed,
                    "it does not open: {error}"
                );
                None
            }
        }
    }

    fn reopen(&mut self, after: After) {
        drop(self.driver.take_log());
        // A fault may hit the recovery; the next one has none.
        let first = self.open();
        self.faults.disarm();
        let log = first.unwrap_or_else(|| self.open().expect("there is no fault any more"));
        let (start, found) = (log.start_index(), contents(&log));
        let expect = &self.driver.expect;
        match after {
            After::Exact => assert_eq!((start, &found), (expect.start, &expect.records)),
            After::Stopped => expect.check_killed(start, &found),
            After::PowerCut => expect.check(start, &found),
        }
        self.driver.reopened(log);
    }

    fn close(&mut self) {
        let failed = self.faults.counts().failed;
        let log = self.driver.take_log().unwrap();
        if let Err(error) = poll_ready(log.close()) {
            assert!(
                self.faults.counts().failed > failed,
                "it does not close: {error}"
            );
            self.reopen(After::Exact);
            return;
        }
        let undisturbed = self.faults.counts().failed == failed;
        self.faults.disarm();
        self.reopen(After::Exact);
        let recovery = *self.driver.log().recovery();
        assert!(!undisturbed || recovery.is_clean(), "{recovery:?}");
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Do(op) => {
                let failed = self.faults.counts().failed;
                if let Err(error) = self.driver.apply(op) {
                    assert!(self.faults.counts().failed > failed, "{op:?}: {error:?}");
                    self.faults.disarm();
                    if self.driver.log().poisoned().is_some() {
                        self.reopen(After::Stopped);
                    }
                }
            }
            Act::Close => self.close(),
            Act::Kill => self.reopen(After::Exact),
            Act::Resize(settings) => {
                self.settings = *settings;
                self.close();
            }
            Act::Crash(keep) => {
                if self.storage.crash(keep) {
                    self.reopen(After::PowerCut);
                }
            }
            Act::Fail { call, after, left } => self.faults.arm(Fault {
                left: *left,
                ..Fault::nth(*call, *after)
            }),
        }
    }
}
