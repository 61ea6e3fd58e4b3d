//! What the machine itself can do, to stand beside what the broker does.
//!
//! The limit programs are plain on purpose: blocking calls, no preallocation, no reordering, nothing
//! that a broker could not do as well. They receive (or serve) the same bytes from the same generator,
//! so that a ratio between the two says what the broker adds.

pub mod fan;
pub mod fresh;
pub mod generator;
pub mod log;
pub mod machine;
pub mod program;
pub mod report;
pub mod sink;
pub mod source;

use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{io, thread};

/// How many connections a limit program serves at once.
pub const CONNECTIONS_MAX: usize = 64;

/// Accepts connections for ever and serves each on a thread of its own.
///
/// # Errors
/// When the listener fails; a failed connection is only printed.
pub fn serve(
    listener: &TcpListener,
    work: impl Fn(usize, TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> io::Result<()> {
    let work = Arc::new(work);
    let active = Arc::new(AtomicUsize::new(0));
    for (number, stream) in listener.incoming().enumerate() {
        let stream = stream?;
        if active.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
            eprintln!("refused a connection: {CONNECTIONS_MAX} are being served");
            continue;
        }
        active.fetch_add(1, Ordering::Relaxed);
        let (work, active) = (Arc::clone(&work), Arc::clone(&active));
        thread::spawn(move || {
            if let Err(error) = work(number, stream) {
                eprintln!("connection {number}: {error}");
            }
            active.fetch_sub(1, Ordering::Relaxed);
        });
    }
    Ok(())
}

/// The exit code for the outcome of a program; prints what went wrong.
pub fn exit(program: &str, outcome: Result<(), impl std::fmt::Display>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::FAILURE
        }
    }
}
