//! Ctrl-C (or SIGTERM) in a command: the first ends it in good order, the second at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::failure::{EXIT_FAILED, Failure};

/// Waits for Ctrl-C or SIGTERM.
#[derive(Debug)]
pub(super) struct Interrupt {
    seen: watch::Receiver<bool>,
}

impl Interrupt {
    /// From here on neither ends the program by itself.
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind, name| {
            signal(kind).map_err(|error: io::Error| {
                Failure::failed(format_args!("cannot listen for {name}: {error}"))
            })
        };
        let mut interrupts = listen(SignalKind::interrupt(), "Ctrl-C")?;
        let mut terminations = listen(SignalKind::terminate(), "SIGTERM")?;
        let (tell, seen) = watch::channel(false);
        tokio::spawn(async move {
            either(&mut interrupts, &mut terminations).await;
            tell.send_replace(true);
            either(&mut interrupts, &mut terminations).await;
            std::process::exit(i32::from(EXIT_FAILED));
        });
        Ok(Self { seen })
    }

    /// Returns at the first signal, and at once after it. May be called again and given up.
    pub(super) async fn wait(&mut self) {
        let seen = self.seen.wait_for(|seen| *seen).await;
        seen.expect("the task that tells ends with the program");
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
