//! The `laminarmq` binary: the broker and its command line.
//!
//! The command line turns what was typed into settings and calls the crates below; what is here has
//! no rule of the queue in it. Three promises hold for every verb: the exit code is 0 (done), 1
//! (failed) or 2 (called wrongly); an error says on stderr what to do next; a reader that closes the
//! pipe early ends the program quietly with 0.

mod bench;
mod cli;
mod client;
mod clock;
mod config;
mod failure;
mod output;
mod serve;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(std::env::args_os())
}
