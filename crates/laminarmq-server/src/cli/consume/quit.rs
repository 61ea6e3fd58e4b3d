//! What ends a reader from outside: Ctrl-C, SIGTERM, and a reader of its output that has had enough.

use crate::cli::interrupt::Interrupt;
use crate::failure::Failure;
use crate::output::closed_pipe::ClosedPipe;

#[derive(Debug)]
pub(super) struct Quit {
    interrupt: Interrupt,
    pipe: ClosedPipe,
}

impl Quit {
    /// From here on signals no longer end the program by themselves.
    pub(super) fn listen() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: Interrupt::listen()?,
            pipe: ClosedPipe::watch(),
        })
    }

    /// Returns after a signal. May be called again and given up.
    pub(super) async fn signal(&mut self) {
        self.interrupt.wait().await;
    }

    /// `Ok` after a signal, [`Failure::ClosedPipe`] when nobody reads any more. May be called again and
    /// given up.
    pub(super) async fn wait(&mut self) -> Result<(), Failure> {
        tokio::select! {
            () = self.interrupt.wait() => Ok(()),
            () = self.pipe.wait() => Err(Failure::ClosedPipe),
        }
    }
}
