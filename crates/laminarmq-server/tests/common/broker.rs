//! A real `laminarmq serve`, killed when dropped.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal, kill_process};

use super::{Said, laminarmq, said};

/// Far more than anything here takes: a loaded machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process whose output is collected line by line.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    stderr: Option<thread::JoinHandle<String>>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (send, lines) = sync_channel(1 << 20);
        thread::spawn(move || {
            for line in stdout.lines() {
                if send.send(line.expect("text")).is_err() {
                    return;
                }
            }
        });
        let mut stderr = child.stderr.take().expect("piped");
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("text");
            text
        });
        Self {
            child,
            lines,
            stderr: Some(stderr),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of stdout; `None` at its end.
    #[track_caller]
    pub(crate) fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line within {PATIENCE:?}"),
        }
    }

    /// Writes to its standard input, which was made a pipe.
    pub(crate) fn write(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("piped");
        stdin.write_all(text.as_bytes()).expect("it reads");
    }

    /// Waits until it has read all of that.
    #[track_caller]
    pub(crate) fn wait_until_read(&self) {
        let stdin = self.child.stdin.as_ref().expect("piped");
        let step = Duration::from_millis(1);
        for _ in 0..PATIENCE.as_millis() {
            if ioctl_fionread(stdin).expect("a pipe") == 0 {
                return;
            }
            thread::park_timeout(step);
        }
        panic!("not read within {PATIENCE:?}");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        let pid = Pid::from_raw(pid).expect("not 0");
        kill_process(pid, signal).expect("it runs");
    }

    /// Waits for its end; the exit status, the rest of stdout, and stderr.
    pub(crate) fn end(mut self) -> (ExitStatus, String, String) {
        let mut rest = String::new();
        while let Some(line) = self.line() {
            rest.push_str(&line);
            rest.push('\n');
        }
        let status = self.child.wait().expect("a child can be waited for");
        let stderr = self.stderr.take().expect("taken once");
        (status, rest, stderr.join().expect("no panic"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A broker on a free port.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) process: Running,
    pub(crate) address: String,
    /// What it printed before it was ready.
    pub(crate) banner: String,
}

impl Broker {
    /// Starts one with its data in `directory/data`.
    #[track_caller]
    pub(crate) fn start(directory: &Path) -> Self {
        Self::start_with(laminarmq(directory).arg("serve"), "127.0.0.1:0")
    }

    /// Finishes a command that ends in `serve`, and waits until the broker is ready.
    #[track_caller]
    pub(crate) fn start_with(command: &mut Command, listen: &str) -> Self {
        command.args(["--listen", listen, "--data-dir", "data"]);
        let mut process = Running::start(command);
        let mut banner = String::new();
        loop {
            let Some(line) = process.line() else {
                let (status, _, stderr) = process.end();
                panic!("the broker ended with {status} before it was ready:\n{banner}{stderr}");
            };
            if let Some(address) = line.strip_prefix("ready kafka=") {
                return Self {
                    process,
                    address: address.to_owned(),
                    banner,
                };
            }
            banner.push_str(&line);
            banner.push('\n');
        }
    }

    /// Ends it with SIGTERM, which must work.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.process.signal(Signal::TERM);
        let (status, _, stderr) = self.process.end();
        assert_eq!(status.code(), Some(0), "{stderr}");
    }

    /// A command for this broker.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = laminarmq(Path::new("/"));
        command
            .args(arguments)
            .env("LAMINARMQ_BROKERS", &self.address);
        command
    }

    /// Runs a command to its end; it must succeed, without a word on stderr. Its stdout.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let Said {
            code,
            stdout,
            stderr,
        } = said(&mut self.command(arguments));
        assert_eq!(
            (code, stderr.as_str()),
            (Some(0), ""),
            "{arguments:?}: {stdout}"
        );
        stdout
    }

    /// Runs a command to its end; it must fail with 1. Its stderr.
    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let failed = said(&mut self.command(arguments));
        assert_eq!(failed.code, Some(1), "{arguments:?}: {failed:?}");
        failed.stderr
    }

    /// Runs `produce` with this input. Its stdout.
    #[track_caller]
    pub(crate) fn produce(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut command = self.command(&[&["produce"], arguments].concat());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("piped");
        let input = input.to_vec();
        let feeding = thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().expect("it ends");
        feeding
            .join()
            .expect("no panic")
            .expect("it reads to the end");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.as_ref()), (Some(0), ""));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Everything in a topic, in this format.
    #[track_caller]
    pub(crate) fn all(&self, topic: &str, format: &str) -> String {
        self.ok(&["consume", topic, "-o", "start", "-e", "-f", format])
    }
}
