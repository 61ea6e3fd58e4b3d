//! Where the times come from.

use std::time::Instant;

use clap::ValueEnum;
use rustix::time::{ClockId, clock_gettime};

use super::Failure;

/// What is counted as the time of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Clock {
    /// The time that passed.
    Wall,
    /// The time that a processor worked for the thread, in the kernel too: a second opinion where others use the
    /// machine. Runs that wait for the disk are timed by the wall clock all the same.
    Thread,
}

impl Clock {
    /// Runs `work` and says how many nanoseconds it took.
    ///
    /// # Errors
    /// Those of `work`.
    #[inline]
    pub fn nanoseconds(self, work: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
        match self {
            Self::Wall => passed(work),
            Self::Thread => {
                let start = worked();
                work()?;
                Ok(worked() - start)
            }
        }
    }
}

/// Runs `work` and says how many nanoseconds passed.
///
/// # Errors
/// Those of `work`.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the benchmarks take the time"
)]
#[inline]
pub fn passed(work: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64() * 1e9)
}

/// Nanoseconds that a processor has worked for this thread.
fn worked() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
