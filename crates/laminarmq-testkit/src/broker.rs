//! A real `laminarmq serve` process.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::binary::forget_settings;
use crate::{Deadline, binary, run};

/// What `serve` prints on its standard output once clients can connect; the address follows.
const READY_MARK: &str = "ready kafka=";
/// How long a broker may take to become ready. Far more than it needs: a loaded machine is no failure.
const READY_SECONDS: u64 = 60;
/// How long a broker may take to end after a signal.
const EXIT_SECONDS: u64 = 60;
/// How many lines of a broker's output a failing test shows.
const LINES_SHOWN: usize = 60;

/// How a broker is to be started.
#[derive(Debug, Clone)]
pub struct BrokerBuilder {
    program: PathBuf,
    data_dir: PathBuf,
    listen: SocketAddr,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    wrapper: Vec<String>,
}

impl BrokerBuilder {
    /// A broker with its data in `data_dir`, on a free port of the loopback interface.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self::with_program(binary(), data_dir)
    }

    /// The same with another program in place of the `laminarmq` binary.
    fn with_program(program: &Path, data_dir: &Path) -> Self {
        Self {
            program: program.to_owned(),
            // It does not run where we do.
            data_dir: std::path::absolute(data_dir).expect("a path that is not empty"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            arguments: Vec::new(),
            variables: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// Listens on this address instead.
    #[must_use]
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.listen = addr;
        self
    }

    /// Adds arguments after those of `serve`.
    #[must_use]
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the broker through another program, which must replace itself by the broker (as
    /// `strace -D` does), so that signals reach the broker.
    #[must_use]
    pub fn wrapper(mut self, command: &[&str]) -> Self {
        self.wrapper = command.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// The command line, with nothing started.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut words: Vec<_> = self.wrapper.iter().map(Into::into).collect();
        words.push(self.program.as_os_str().to_owned());
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .arg("serve")
            .args(["--listen", &self.listen.to_string()]);
        command
            .arg("--data-dir")
            .arg(&self.data_dir)
            .args(&self.arguments);
        forget_settings(&mut command);
        // A settings file that lies where the test runs must not reach it either.
        if let Some(parent) = self.data_dir.parent().filter(|parent| parent.is_dir()) {
            command.current_dir(parent);
        }
        // Tests run side by side, and one port cannot be everybody's; whoever wants HTTP asks for a free one.
        command.env("LAMINARMQ_HTTP", "off");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the broker and waits until it is ready.
    ///
    /// # Panics
    /// When it ends first, or is not ready in time; the message has its output.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> BrokerProcess {
        match self.try_start() {
            Ok(broker) => broker,
            Err(why) => panic!("{why}"),
        }
    }

    /// The same for a broker that may have a reason not to start.
    ///
    /// # Errors
    /// Why it did not become ready, with its output.
    pub fn try_start(self) -> Result<BrokerProcess, String> {
        let (child, output) = spawn(self.command());
        let mut broker = BrokerProcess {
            builder: self,
            child: Some(child),
            output,
        };
        // From here on the handle owns the child: it is killed when it does not become ready.
        broker.builder.listen = broker.wait_until_ready()?;
        Ok(broker)
    }
}

fn spawn(mut command: Command) -> (Child, Output) {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let output = Output::default();
    output.collect(child.stdout.take().expect("the standard output is piped"));
    output.collect(child.stderr.take().expect("the standard error is piped"));
    (child, output)
}

/// A running broker; killed when dropped.
#[derive(Debug)]
pub struct BrokerProcess {
    builder: BrokerBuilder,
    /// `None` once the process has ended and was waited for.
    child: Option<Child>,
    output: Output,
}

impl BrokerProcess {
    /// Starts a broker with its data in `data_dir`, and nothing else set.
    ///
    /// # Panics
    /// As [`BrokerBuilder::start`].
    #[must_use]
    #[track_caller]
    pub fn start(data_dir: &Path) -> Self {
        BrokerBuilder::new(data_dir).start()
    }

    /// Where its Kafka listener is.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.builder.listen
    }

    /// Where its data is.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.builder.data_dir
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the broker runs").id()
    }

    /// Everything it printed since it was last started, both streams in the order of arrival.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// Whether it has not ended yet.
    ///
    /// # Panics
    /// When the system cannot tell.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        match &mut self.child {
            Some(child) => child
                .try_wait()
                .expect("a child can be waited for")
                .is_none(),
            None => false,
        }
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Panics
    /// When it has ended before.
    #[track_caller]
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("the broker runs");
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            panic!(
                "the broker ended by itself, {status}:\n{}",
                self.output.tail()
            );
        }
        child.kill().expect("a child can be killed");
        child.wait().expect("a killed child ends");
    }

    /// Asks it to end, with SIGTERM.
    ///
    /// # Panics
    /// When it has ended before.
    #[track_caller]
    pub fn sigterm(&self) {
        self.signal("TERM");
    }

    /// Tells it to stand still, with SIGSTOP; [`Self::kill9`] ends it also then.
    ///
    /// # Panics
    /// When it has ended before.
    #[track_caller]
    pub fn sigstop(&self) {
        self.signal("STOP");
    }

    /// Lets it go on after [`Self::sigstop`].
    ///
    /// # Panics
    /// When it has ended before.
    #[track_caller]
    pub fn sigcont(&self) {
        self.signal("CONT");
    }

    #[track_caller]
    fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        // The shell's own `kill`, since a small system need not have the program.
        let mut kill = Command::new("sh");
        let _ = run(
            kill.args(["-c", "kill -\"$1\" \"$2\"", "sh", name, &pid]),
            Deadline::seconds(10),
        )
        .success();
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it is still running at the deadline.
    #[track_caller]
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the broker runs");
        let ended = Deadline::seconds(EXIT_SECONDS).wait_for("the broker ends", || {
            child.try_wait().expect("a child can be waited for")
        });
        ended.unwrap_or_else(|timed_out| {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
            panic!("{timed_out}; its output:\n{}", self.output.tail())
        })
    }

    /// Starts it again: same directory, same port, same arguments. It must have ended.
    ///
    /// # Panics
    /// When it still runs; else as [`BrokerBuilder::start`].
    #[track_caller]
    pub fn restart(&mut self) {
        if let Err(why) = self.try_restart() {
            panic!("{why}");
        }
    }

    /// The same for a broker that may have a reason not to start. Nothing of it runs then.
    ///
    /// # Errors
    /// Why it did not become ready, with its output.
    ///
    /// # Panics
    /// When it still runs.
    #[track_caller]
    pub fn try_restart(&mut self) -> Result<(), String> {
        assert!(self.child.is_none(), "end the broker before you restart it");
        let (child, output) = spawn(self.builder.command());
        self.child = Some(child);
        self.output = output;
        let ready = self.wait_until_ready().map(drop);
        if ready.is_err()
            && let Some(mut child) = self.child.take()
        {
            // It may have ended by itself.
            drop(child.kill());
            child.wait().expect("a killed child ends");
        }
        ready
    }

    /// How many bytes of it are in memory now.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        resident_bytes(&status).unwrap_or_else(|| panic!("no resident size in {path}:\n{status}"))
    }

    fn wait_until_ready(&mut self) -> Result<SocketAddr, String> {
        let child = self.child.as_mut().expect("the broker was just started");
        let output = &self.output;
        let ready =
            Deadline::seconds(READY_SECONDS).wait_for("the broker says it is ready", || {
                let ended = child.try_wait().expect("a child can be waited for");
                match (output.ready_addr(), ended) {
                    (Some(addr), _) => Some(Ok(addr)),
                    (None, Some(status)) => Some(Err(status)),
                    (None, None) => None,
                }
            });
        match ready {
            Ok(Ok(addr)) => Ok(addr),
            Ok(Err(status)) => {
                // What it said last may still be on its way.
                output.wait_for_end();
                Err(format!(
                    "the broker ended early, {status}:\n{}",
                    output.tail()
                ))
            }
            Err(timed_out) => Err(format!("{timed_out}; its output:\n{}", output.tail())),
        }
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; either way nothing of it may outlive the test.
            drop(child.kill());
            drop(child.wait());
        }
        if std::thread::panicking() {
            eprintln!("--- the broker's last lines\n{}---", self.output.tail());
        }
    }
}

/// The lines that a process printed so far.
#[derive(Debug, Clone, Default)]
struct Output {
    lines: Arc<Mutex<Vec<String>>>,
}

impl Output {
    /// Collects lines in a thread of its own until the stream ends.
    fn collect(&self, stream: impl Read + Send + 'static) {
        let lines = Arc::clone(&self.lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { return };
                let line = String::from_utf8_lossy(&line).into_owned();
                lines
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
            }
        });
    }

    /// Waits until both streams have ended, for a process that has.
    fn wait_for_end(&self) {
        // Each collector has a handle on the lines until its stream ends. A child of the process may keep
        // the stream open: then what there is must do.
        let ended = || (Arc::strong_count(&self.lines) == 1).then_some(());
        drop(Deadline::seconds(5).wait_for("the output ends", ended));
    }

    fn with_lines<T>(&self, look: impl FnOnce(&[String]) -> T) -> T {
        look(&self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn text(&self) -> String {
        self.with_lines(|lines| lines.join("\n"))
    }

    /// The last lines, each ended.
    fn tail(&self) -> String {
        self.with_lines(|lines| {
            let shown = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
            shown.iter().fold(String::new(), |mut text, line| {
                writeln!(text, "{line}").expect("a string takes everything");
                text
            })
        })
    }

    fn ready_addr(&self) -> Option<SocketAddr> {
        self.with_lines(|lines| lines.iter().find_map(|line| ready_addr(line)))
    }
}

/// The address in a line that says the broker is ready.
fn ready_addr(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(READY_MARK)?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// The resident size in the text of `/proc/PID/status`.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TestDir, eventually};

    /// Starts a shell script in place of the broker.
    #[track_caller]
    fn start_script(dir: &TestDir, script: &str) -> BrokerProcess {
        let program = dir.join("fake");
        std::fs::write(&program, script).expect("written");
        BrokerBuilder::with_program(&program, &dir.join("data"))
            .wrapper(&["sh"])
            .start()
    }

    /// What the panic of `work` said.
    fn panic_text(work: impl FnOnce()) -> String {
        let payload =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).expect_err("a panic");
        *payload.downcast::<String>().expect("a formatted message")
    }

    #[test]
    fn a_broker_is_started_told_to_end_and_started_again_on_its_port() {
        let dir = TestDir::new("broker");
        let script = "trap 'exit 7' TERM; echo \"ready kafka=127.0.0.1:4567 args=$*\"; while :; do sleep 0.01; done";
        let mut broker = start_script(&dir, script);
        assert_eq!(broker.addr(), SocketAddr::from(([127, 0, 0, 1], 4567)));
        assert!(
            broker
                .output()
                .contains("args=serve --listen 127.0.0.1:0 --data-dir"),
            "{}",
            broker.output()
        );
        assert!(broker.resident_bytes() > 0);
        assert!(broker.is_running());
        broker.sigterm();
        assert_eq!(broker.wait_for_exit().code(), Some(7));
        broker.restart();
        assert!(
            broker
                .output()
                .contains("args=serve --listen 127.0.0.1:4567 "),
            "{}",
            broker.output()
        );
        broker.kill9();
        assert!(!broker.is_running());
    }

    #[test]
    fn a_dropped_broker_is_killed() {
        let dir = TestDir::new("broker");
        let broker = start_script(
            &dir,
            "echo ready kafka=127.0.0.1:4567; while :; do sleep 0.01; done",
        );
        let proc_dir = format!("/proc/{}", broker.pid());
        assert!(Path::new(&proc_dir).exists());
        drop(broker);
        eventually("it is gone", Deadline::seconds(10), || {
            (!Path::new(&proc_dir).exists()).then_some(())
        });
    }

    #[test]
    fn a_broker_that_ends_before_it_is_ready_fails_the_test() {
        let dir = TestDir::new("broker");
        let text = panic_text(|| drop(start_script(&dir, "echo the port is in use >&2; exit 2")));
        assert!(text.contains("ended early, exit status: 2"), "{text}");
    }

    #[test]
    fn a_broker_that_does_not_start_again_can_be_started_once_it_may() {
        let dir = TestDir::new("broker");
        let script = "[ ! -e full ] || { echo no room >&2; exit 1; }; echo ready kafka=127.0.0.1:4567; while :; do sleep 0.01; done";
        let mut broker = start_script(&dir, script);
        broker.kill9();
        std::fs::write(dir.join("full"), "").expect("written");
        let why = broker.try_restart().expect_err("a reason");
        assert!(
            why.contains("exit status: 1") && why.contains("no room"),
            "{why}"
        );
        assert!(!broker.is_running());
        std::fs::remove_file(dir.join("full")).expect("removed");
        broker.restart();
        assert!(broker.is_running());
    }

    #[test]
    fn a_broker_that_crashed_cannot_be_killed_as_if_it_had_lived() {
        let dir = TestDir::new("broker");
        // Not before it was seen to be ready.
        let script =
            "trap 'exit 3' TERM; echo ready kafka=127.0.0.1:4567; while :; do sleep 0.01; done";
        let mut broker = start_script(&dir, script);
        broker.sigterm();
        eventually("it ends", Deadline::seconds(10), || {
            (!broker.is_running()).then_some(())
        });
        let text = panic_text(|| broker.kill9());
        assert!(text.contains("ended by itself, exit status: 3"), "{text}");
    }

    #[test]
    fn the_address_is_read_from_the_ready_line_only() {
        let addr = SocketAddr::from(([127, 0, 0, 1], 4567));
        assert_eq!(ready_addr("ready kafka=127.0.0.1:4567"), Some(addr));
        assert_eq!(
            ready_addr("laminarmq: ready kafka=127.0.0.1:4567 data=/x"),
            Some(addr)
        );
        assert_eq!(ready_addr("listening on 127.0.0.1:4567"), None);
        assert_eq!(ready_addr("ready kafka="), None);
    }

    #[test]
    fn the_resident_size_is_read_in_bytes() {
        assert_eq!(
            resident_bytes("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t    12 kB\n"),
            Some(12 * 1024)
        );
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }
}
