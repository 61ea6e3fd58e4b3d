//! SIGTERM and Ctrl-C.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that ask the broker to end. While this lives they do nothing else.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next one's name.
    pub(super) async fn next(&mut self) -> &'static str {
        let (name, stream) = tokio::select! {
            got = self.terminate.recv() => ("SIGTERM", got),
            got = self.interrupt.recv() => ("Ctrl-C", got),
        };
        stream.expect("a signal's stream has no end");
        name
    }
}
