//! Running a command to its end, with a deadline.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use crate::Deadline;

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// Everything it wrote to its standard error, with invalid UTF-8 replaced.
    pub stderr: String,
}

impl Finished {
    /// The standard output as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("the command printed UTF-8")
    }

    /// The same, after checking that the command succeeded.
    ///
    /// # Panics
    /// When it did not; the message has its standard error.
    #[must_use]
    #[track_caller]
    pub fn success(self) -> Self {
        assert!(self.status.success(), "{}: {}", self.status, self.stderr);
        self
    }
}

/// Runs a command that reads nothing.
///
/// # Panics
/// When it cannot be started, or is not done at the deadline (it is killed then).
#[track_caller]
pub fn run(command: &mut Command, deadline: Deadline) -> Finished {
    run_with_input(command, Vec::new(), deadline)
}

/// Runs a command with `input` on its standard input.
///
/// # Panics
/// As [`run`].
#[track_caller]
pub fn run_with_input(command: &mut Command, input: Vec<u8>, deadline: Deadline) -> Finished {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {shown}: {error}"));

    let mut stdin = child.stdin.take().expect("the standard input is piped");
    // The command may end without reading everything; how it ended is what counts then.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let stdout = collect(child.stdout.take().expect("the standard output is piped"));
    let stderr = collect(child.stderr.take().expect("the standard error is piped"));

    let status = wait_or_kill(&mut child, &shown, deadline);
    feeder.join().expect("the feeder does not panic");
    let stdout = stdout.join().expect("the collector does not panic");
    let stderr = stderr.join().expect("the collector does not panic");
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    match status {
        Some(status) => Finished {
            status,
            stdout,
            stderr,
        },
        None => panic!("not done at the deadline: {shown}\n{stderr}"),
    }
}

/// The exit status, or `None` when the deadline passed and the child was killed.
fn wait_or_kill(child: &mut Child, shown: &str, deadline: Deadline) -> Option<ExitStatus> {
    let ended = deadline.wait_for(shown, || {
        child.try_wait().expect("a child can be waited for")
    });
    if ended.is_err() {
        child.kill().expect("a child can be killed");
        child.wait().expect("a killed child ends");
    }
    ended.ok()
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is still worth showing.
        drop(from.read_to_end(&mut bytes));
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_reaches_the_command_and_its_output_comes_back() {
        let input = vec![b'x'; 1 << 20];
        let done = run_with_input(
            &mut Command::new("cat"),
            input.clone(),
            Deadline::seconds(30),
        )
        .success();
        assert_eq!(done.stdout, input);
    }

    #[test]
    #[should_panic(expected = "not done at the deadline")]
    fn a_command_that_does_not_end_is_killed_at_the_deadline() {
        let mut endless = Command::new("tail");
        run(
            endless.args(["-f", "/dev/null"]),
            Deadline::after(std::time::Duration::from_millis(20)),
        );
    }

    #[test]
    #[should_panic(expected = "exit status: 3")]
    fn a_failed_command_is_no_success() {
        let done = run(
            Command::new("sh").args(["-c", "exit 3"]),
            Deadline::seconds(30),
        );
        let _ = done.success();
    }
}
