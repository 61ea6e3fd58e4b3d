//! Ctrl-C in a command: the first ends it in good order, the second at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::failure::{EXIT_FAILED, Failure};

/// Waits for Ctrl-C.
#[derive(Debug)]
pub(super) struct Interrupt {
    seen: watch::Receiver<bool>,
}

impl Interrupt {
    /// From here on Ctrl-C no longer ends the program by itself.
    pub(super) fn listen() -> Result<Self, Failure> {
        let mut signals = signal(SignalKind::interrupt()).map_err(|error: io::Error| {
            Failure::failed(format_args!("cannot listen for Ctrl-C: {error}"))
        })?;
        let (tell, seen) = watch::channel(false);
        tokio::spawn(async move {
            signals.recv().await;
            tell.send_replace(true);
            signals.recv().await;
            std::process::exit(i32::from(EXIT_FAILED));
        });
        Ok(Self { seen })
    }

    /// Returns at the first Ctrl-C, and at once after it. May be called again and given up.
    pub(super) async fn wait(&mut self) {
        let seen = self.seen.wait_for(|seen| *seen).await;
        seen.expect("the task that tells ends with the program");
    }
}
