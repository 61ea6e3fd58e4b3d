//! Where the broker gets the time and randomness: from outside, so that a test or the simulator can give
//! its own. Nothing else in this crate asks the machine for either.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The clocks of the machine.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01 UTC.
    fn now_ms(&self) -> i64;

    /// Time since a moment that stays the same, to measure how long something took: never goes back. A
    /// clock that has nothing better takes its wall clock.
    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.now_ms()).unwrap_or(0))
    }

    /// Names the last start of the machine: another name means that what was not synced before may be gone. `None`
    /// where the system does not tell.
    fn boot_id(&self) -> Option<String> {
        None
    }
}

/// Where random numbers come from.
pub trait Entropy: Send + Sync + 'static {
    /// 64 random bits.
    fn next_u64(&self) -> u64;
}

/// Time and randomness, as one bundle that is cheap to clone.
#[derive(Clone)]
pub struct Env {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").finish_non_exhaustive()
    }
}

impl Env {
    /// An environment of the given parts.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy }
    }

    /// The machine's own clock and random numbers.
    pub fn system() -> Self {
        Self::new(Arc::new(SystemClock::new()), Arc::new(SystemEntropy))
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Time since a moment that stays the same; never goes back.
    pub fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Names the last start of the machine, if the system does; see [`Clock::boot_id`].
    pub fn boot_id(&self) -> Option<String> {
        self.clock.boot_id()
    }

    /// 64 random bits.
    pub fn next_u64(&self) -> u64 {
        self.entropy.next_u64()
    }

    /// Sixteen random bytes.
    pub fn next_bytes16(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next_u64().to_le_bytes());
        bytes[8..].copy_from_slice(&self.next_u64().to_le_bytes());
        bytes
    }
}

/// A duration as it stands in log lines.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

struct SystemClock {
    start: Instant,
}

impl SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the outermost clock; everything else asks Env"
    )]
    fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn boot_id(&self) -> Option<String> {
        // Linux has it; random(4).
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the outermost clock; everything else asks Env"
    )]
    fn now_ms(&self) -> i64 {
        // A clock before 1970 is a broken clock, not a reason to stop: records get the time 0.
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn next_u64(&self) -> u64 {
        getrandom::u64().expect("the operating system gives random numbers")
    }
}
