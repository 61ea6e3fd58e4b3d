//! The switch that a broken data directory turns. It is turned once and never back.

use crate::broker::BrokerFailure;
use std::sync::Arc;
use tokio::sync::watch;

#[derive(Debug, Clone)]
pub(crate) struct Failure(Arc<watch::Sender<Option<BrokerFailure>>>);

impl Failure {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// Turns the switch; only the first reason is kept.
    pub(crate) fn set(&self, reason: &str) {
        let first = self.0.send_if_modified(|failure| {
            let first = failure.is_none();
            if first {
                *failure = Some(BrokerFailure {
                    reason: reason.to_owned(),
                });
            }
            first
        });
        if first {
            tracing::error!(reason, "the broker stops: nothing is acknowledged any more");
        }
    }

    /// Turns the switch when the thread that holds the guard unwinds: what is gone acknowledges nothing.
    pub(crate) fn on_panic(self, reason: &'static str) -> PanicGuard {
        PanicGuard {
            failure: self,
            reason,
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub(crate) fn get(&self) -> Option<BrokerFailure> {
        self.0.borrow().clone()
    }

    /// Ends once the switch is turned.
    pub(crate) async fn wait(&self) -> BrokerFailure {
        let mut receiver = self.0.subscribe();
        let failure = receiver
            .wait_for(Option::is_some)
            .await
            .expect("self holds the sender");
        failure.clone().expect("waited for it")
    }
}

/// See [`Failure::on_panic`].
#[derive(Debug)]
pub(crate) struct PanicGuard {
    failure: Failure,
    reason: &'static str,
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.failure.set(self.reason);
        }
    }
}
