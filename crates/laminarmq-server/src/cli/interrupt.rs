//! Ctrl-C in a command: the first ends it in good order, the second at once.

use tokio::sync::watch;

use crate::failure::EXIT_FAILED;

/// Waits for Ctrl-C.
#[derive(Debug)]
pub(super) struct Interrupt {
    seen: watch::Receiver<bool>,
}

impl Interrupt {
    /// From here on Ctrl-C no longer ends the program by itself.
    pub(super) fn listen() -> Self {
        let (tell, seen) = watch::channel(false);
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_err() {
                // No signals to be had: then the program ends the way the system sees fit.
                return std::future::pending().await;
            }
            tell.send_replace(true);
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(i32::from(EXIT_FAILED));
            }
        });
        Self { seen }
    }

    /// Returns at the first Ctrl-C, and at once after it. May be called again and given up.
    pub(super) async fn wait(&mut self) {
        if self.seen.wait_for(|seen| *seen).await.is_err() {
            // The task is gone, so nobody will ever tell.
            std::future::pending::<()>().await;
        }
    }
}
