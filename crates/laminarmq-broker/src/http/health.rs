//! What `/livez` and `/readyz` answer.

use crate::runtime::Failure;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Where a broker is in its life. It never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Locks and checks the data directory.
    Opening,
    /// Replays the metadata and recovers the partitions.
    Recovering,
    Serving,
    /// Answers what was read, syncs and closes.
    Stopping,
}

impl Phase {
    const ALL: [Self; 4] = [
        Self::Opening,
        Self::Recovering,
        Self::Serving,
        Self::Stopping,
    ];
}

/// Why the broker is not what it was asked to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotReady {
    Phase(Phase),
    Failed(String),
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Phase(Phase::Opening) => "starting: opening the data directory",
            Self::Phase(Phase::Recovering) => "starting: recovering the partitions",
            Self::Phase(Phase::Serving) => "serving",
            Self::Phase(Phase::Stopping) => "stopping",
            Self::Failed(reason) => return write!(f, "failed: {reason}"),
        })
    }
}

/// Told by the broker, asked by whoever wants to know; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    /// A [`Phase`].
    phase: Arc<AtomicU8>,
    failure: Failure,
}

impl Health {
    pub(crate) fn new(failure: Failure) -> Self {
        Self {
            phase: Arc::new(AtomicU8::new(Phase::Opening as u8)),
            failure,
        }
    }

    /// Goes on to a phase; from a later one it does not go back.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Acquire))]
    }

    /// Whether the process works.
    pub(super) fn live(&self) -> Result<(), NotReady> {
        match self.failure.get() {
            None => Ok(()),
            Some(failure) => Err(NotReady::Failed(failure.reason)),
        }
    }

    /// Whether clients are served.
    pub(super) fn ready(&self) -> Result<(), NotReady> {
        self.live()?;
        match self.phase() {
            Phase::Serving => Ok(()),
            phase => Err(NotReady::Phase(phase)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_ready_only_while_it_serves_and_has_not_failed() {
        let failure = Failure::new();
        let health = Health::new(failure.clone());
        let why = |health: &Health| health.ready().map_err(|why| why.to_string());
        assert_eq!(
            why(&health),
            Err(String::from("starting: opening the data directory"))
        );
        health.enter(Phase::Recovering);
        assert_eq!(
            why(&health),
            Err(String::from("starting: recovering the partitions"))
        );
        health.enter(Phase::Serving);
        assert_eq!(why(&health), Ok(()));
        let stopping = health.clone();
        stopping.enter(Phase::Stopping);
        stopping.enter(Phase::Serving);
        assert_eq!(why(&health), Err(String::from("stopping")));
        assert_eq!(health.live(), Ok(()));
        failure.set("the disk is gone");
        let failed = Err(NotReady::Failed(String::from("the disk is gone")));
        assert_eq!((health.live(), health.ready()), (failed.clone(), failed));
    }
}
