//! `laminarmq cluster demo`: three nodes on this machine, each a process of its own.
//!
//! Nothing of it is special: the nodes are started with the command lines that are shown, and a data
//! directory of the demo is one like any other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::failure::Failure;
use crate::output::table::{Align, Table};
use crate::output::{self, Out};

pub(super) const EXAMPLES: &str = "\
Examples:
  laminarmq cluster demo
  laminarmq cluster demo --data-dir /tmp/demo --port 29092

Ctrl-C stops all nodes; the next start with the same directory goes on where they were.";

const NODES: u16 = 3;
/// The HTTP ports follow the Kafka ports, and those between nodes follow them.
const HTTP_FROM: u16 = 10;
const PEERS_FROM: u16 = 20;
/// The highest first port that leaves room for all.
const PORT_MAX: u16 = u16::MAX - PEERS_FROM - NODES;
/// How long the nodes may take to find each other.
const START_WAIT: Duration = Duration::from_secs(60);
/// How long they may take to end.
const STOP_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Directory of the nodes' data and logs; made if missing
    #[arg(long, value_name = "DIR", default_value = "laminarmq-demo")]
    data_dir: PathBuf,
    /// First of the ports, all on 127.0.0.1: clients from here on, HTTP 10 above, nodes 20 above
    #[arg(long, value_name = "PORT", default_value_t = 19092,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(PORT_MAX)))]
    port: u16,
}

/// One node: its process, and what it says.
struct Node {
    id: u16,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl DemoArgs {
    fn kafka(&self, id: u16) -> String {
        format!("127.0.0.1:{}", self.port + id - 1)
    }

    fn http(&self, id: u16) -> String {
        format!("127.0.0.1:{}", self.port + HTTP_FROM + id - 1)
    }

    fn all(&self, address: impl Fn(u16) -> String) -> String {
        let all: Vec<_> = (1..=NODES).map(address).collect();
        all.join(",")
    }

    fn cluster(&self) -> String {
        self.all(|id| format!("{id}@127.0.0.1:{}", self.port + PEERS_FROM + id - 1))
    }

    /// The words behind the program's name that start a node.
    fn words(&self, id: u16) -> Vec<String> {
        let dir = self.data_dir.join(format!("node-{id}"));
        let mut words = vec!["serve".to_owned()];
        for (flag, value) in [
            ("--node-id", id.to_string()),
            ("--cluster", self.cluster()),
            ("--listen", self.kafka(id)),
            ("--http", self.http(id)),
            ("--data-dir", dir.display().to_string()),
        ] {
            words.extend([flag.to_owned(), value]);
        }
        words
    }
}

pub(super) async fn run(args: &DemoArgs) -> Result<(), Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed(format_args!("where is this program? {error}")))?;
    let cannot_listen = |error| Failure::failed(format_args!("cannot listen for signals: {error}"));
    // Before the first node starts: who stops the demo stops all of it.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot_listen)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot_listen)?;
    let mut nodes = Vec::new();
    for id in 1..=NODES {
        nodes.push(Node::start(&program, args, id)?);
    }
    let ended = tokio::select! {
        ended = watch(args, &mut nodes) => ended,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    stop(&mut nodes).await;
    ended
}

/// Waits until all serve, says so, and goes on until no node is left.
async fn watch(args: &DemoArgs, nodes: &mut [Node]) -> Result<(), Failure> {
    output::note("starting three nodes, which have to find each other");
    for node in nodes.iter_mut() {
        let ready = timeout(START_WAIT, node.ready()).await;
        ready.unwrap_or_else(|_| Err(node.failed("is not ready in a minute")))?;
    }
    introduce(args, nodes)?;
    let [first, second, third] = nodes else {
        unreachable!("the demo has three nodes")
    };
    let mut left = NODES;
    let mut running = [true; NODES as usize];
    while left > 0 {
        let (id, status) = tokio::select! {
            status = first.child.wait(), if running[0] => (1, status),
            status = second.child.wait(), if running[1] => (2, status),
            status = third.child.wait(), if running[2] => (3, status),
        };
        running[usize::from(id) - 1] = false;
        left -= 1;
        tell_end(args, id, status.ok(), left);
    }
    Err(Failure::failed("no node is running any more"))
}

fn tell_end(args: &DemoArgs, id: u16, status: Option<ExitStatus>, left: u16) {
    let how = status.map_or_else(String::new, |status| format!(" ({status})"));
    let rest = match left {
        2 => "the other two go on, and nothing that was acknowledged is lost",
        1 => "one is no quorum: it serves nothing until another is back",
        _ => "that was the last",
    };
    output::note(format_args!("\nnode {id} ended{how}: {rest}"));
    if left > 0 {
        output::note(format_args!("again:  {}", command_line(&args.words(id))));
    }
}

/// What is there, and what to type next.
fn introduce(args: &DemoArgs, nodes: &[Node]) -> Result<(), Failure> {
    let mut table = Table::new(&[
        ("NODE", Align::Right),
        ("PID", Align::Right),
        ("CLIENTS", Align::Left),
        ("HTTP", Align::Left),
        ("LOG", Align::Left),
    ]);
    for node in nodes {
        table.row([
            node.id.to_string(),
            node.child
                .id()
                .map_or_else(String::new, |id| id.to_string()),
            args.kafka(node.id),
            format!("http://{}/", args.http(node.id)),
            node.log.display().to_string(),
        ]);
    }
    let brokers = args.all(|id| args.kafka(id));
    let victim = nodes.first().and_then(|node| node.child.id()).unwrap_or(0);
    let say = |words: &str| command_line(&[words.to_owned()]);
    let mut out = Out::stdout();
    out.table(&table)?;
    out.line("")?;
    out.line(format_args!(
        "each record is acknowledged when two of the three have it on disk\n"
    ))?;
    for (what, command) in [
        ("variable", format!("export LAMINARMQ_BROKERS={brokers}")),
        ("make", say("topic create greetings -p 3 -r 3")),
        (
            "write",
            format!("echo hello | {}", say("produce greetings")),
        ),
        ("read", say("consume greetings -o start")),
        ("look", say("topic describe greetings")),
        ("lose one", format!("kill -9 {victim}")),
        ("health", say("cluster health")),
        ("stop all", "Ctrl-C".to_owned()),
    ] {
        out.line(format_args!("  {what:<9} {command}"))?;
    }
    out.line("\nready")?;
    out.flush()
}

/// How this program is called with these words, so that the line can be pasted.
fn command_line(words: &[String]) -> String {
    let called = std::env::args().next().filter(|name| name.contains('/'));
    let program = called.unwrap_or_else(|| String::from("laminarmq"));
    format!("{program} {}", words.join(" "))
}

impl Node {
    fn start(program: &Path, args: &DemoArgs, id: u16) -> Result<Self, Failure> {
        let log = args.data_dir.join(format!("node-{id}.log"));
        let cannot = |what: &str, error| {
            let path = args.data_dir.display();
            Failure::failed(format_args!("cannot {what} in {path}: {error}"))
                .hint("choose another directory with --data-dir")
        };
        fs::create_dir_all(&args.data_dir).map_err(|error| cannot("make the directory", error))?;
        let file = File::options().create(true).append(true).open(&log);
        let file = file.map_err(|error| cannot("write a log", error))?;
        let child = Command::new(program)
            .args(args.words(id))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            // Ctrl-C is for the demo, which stops the nodes in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut child =
            child.map_err(|error| Failure::failed(format_args!("cannot start a node: {error}")))?;
        let stdout = child.stdout.take().expect("it was asked for");
        Ok(Self {
            id,
            child,
            lines: BufReader::new(stdout).lines(),
            log,
        })
    }

    /// Waits until the node says that it serves.
    async fn ready(&mut self) -> Result<(), Failure> {
        while let Ok(Some(line)) = self.lines.next_line().await {
            if line.starts_with("ready ") {
                return Ok(());
            }
        }
        Err(self.failed("did not start"))
    }

    fn failed(&self, what: &str) -> Failure {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let said = log.lines().rev().find(|line| line.contains("error"));
        let said = said.map_or_else(String::new, |line| format!(": {}", line.trim()));
        Failure::failed(format_args!("node {} {what}{said}", self.id))
            .hint(format_args!("its log is {}", self.log.display()))
    }
}

/// Asks all nodes to end, together: each needs another to finish what is under way.
async fn stop(nodes: &mut [Node]) {
    for node in nodes.iter() {
        let pid = node
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
    for node in nodes {
        if timeout(STOP_WAIT, node.child.wait()).await.is_err() {
            let seconds = STOP_WAIT.as_secs();
            output::warn(format_args!(
                "node {} did not end in {seconds} s: killed",
                node.id
            ));
            let _ = node.child.kill().await;
        }
    }
}
