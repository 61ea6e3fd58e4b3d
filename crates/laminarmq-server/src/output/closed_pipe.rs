//! Notices that nobody reads our output any more, without writing to it: whoever waits for records would
//! else wait for the next one before it ends.

use std::io;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::watch;

/// The reader's end of the pipe that standard output is, if it is one.
#[derive(Debug)]
pub(crate) struct ClosedPipe {
    seen: watch::Receiver<bool>,
}

impl ClosedPipe {
    /// Begins to watch standard output.
    pub(crate) fn watch() -> Self {
        let (tell, seen) = watch::channel(false);
        let watching = thread::Builder::new().name(String::from("stdout-watch"));
        // It waits for ever where nobody closes anything, and ends with the program. Without it the next
        // write tells the same.
        let _ = watching.spawn(move || {
            if wait_for_close() {
                tell.send_replace(true);
            }
        });
        Self { seen }
    }

    /// Returns once the reader has closed the pipe. May be called again and given up.
    pub(crate) async fn wait(&mut self) {
        if self.seen.wait_for(|seen| *seen).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Blocks until the other end of standard output is closed; false where that cannot be known.
fn wait_for_close() -> bool {
    let stdout = io::stdout();
    loop {
        // Errors and hang-ups are told without being asked for.
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut watched, None) {
            Ok(_) => {
                return watched[0]
                    .revents()
                    .intersects(PollFlags::ERR | PollFlags::HUP);
            }
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
