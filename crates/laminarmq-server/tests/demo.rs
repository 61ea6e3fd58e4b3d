//! `laminarmq cluster demo` as a newcomer runs it: three nodes, one of which is lost.

mod common;

use std::net::TcpListener;
use std::time::Duration;

use common::broker::Running;
use common::{Said, laminarmq, run};
use rustix::process::{Pid, Signal, kill_process};

/// What the demo adds to its first port, at most.
const PORTS: u16 = 23;

/// A first port behind which all others are free, or were a moment ago.
fn free_block() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let start = 20_000 + u16::try_from(std::process::id() % 10_000).expect("small");
    (start..60_000)
        .step_by(PORTS.into())
        .find(|first| (*first..first + PORTS).all(is_free))
        .expect("free ports")
}

#[test]
fn the_demo_loses_a_node_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let port = free_block();
    let brokers = format!(
        "127.0.0.1:{port},127.0.0.1:{},127.0.0.1:{}",
        port + 1,
        port + 2
    );
    let mut command = laminarmq(dir.path());
    command.args([
        "cluster",
        "demo",
        "--port",
        &port.to_string(),
        "--data-dir",
        "nodes",
    ]);
    let mut demo = Running::start(&mut command);
    let mut said = Vec::new();
    loop {
        match demo.line() {
            Some(line) if line == "ready" => break,
            Some(line) => said.push(line),
            None => panic!("the demo ended early: {:?}", demo.end()),
        }
    }
    let text = said.join("\n");
    assert!(
        text.contains(&format!("export LAMINARMQ_BROKERS={brokers}")),
        "{text}"
    );
    let first = said.iter().find(|line| line.trim().starts_with("1 "));
    let pid = first.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    let pid = Pid::from_raw(pid.expect("a table with pids")).expect("not 0");

    let ok = |arguments: &[&str]| -> Said {
        let said = run(dir.path(), &[arguments, &["-b", &brokers]].concat());
        assert_eq!(said.code, Some(0), "{arguments:?}: {said:?}");
        said
    };
    ok(&["topic", "create", "greetings", "-p", "3", "-r", "3"]);
    std::fs::write(dir.path().join("lines"), "one\ntwo\n").expect("written");
    ok(&["produce", "greetings", "lines"]);
    // Each node hears from the others which replicas are in sync, within seconds.
    let health = || run(dir.path(), &["cluster", "health", "-b", &brokers]);
    let mut tries = 0..200;
    while !health().stdout.starts_with("healthy: 3 nodes") {
        assert!(tries.next().is_some(), "{:?}", health());
        std::thread::park_timeout(Duration::from_millis(100));
    }

    kill_process(pid, Signal::KILL).expect("the node runs");
    ok(&["produce", "greetings", "lines"]);
    let all = ok(&["consume", "greetings", "-o", "start", "-n", "4"]);
    let mut lines: Vec<_> = all.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["one", "one", "two", "two"]);
    let health = run(dir.path(), &["cluster", "health", "-b", &brokers]);
    assert_eq!(health.code, Some(1));
    assert!(health.stdout.contains("node 1 is down"), "{health:?}");

    demo.signal(Signal::TERM);
    let (status, _, stderr) = demo.end();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("node 1 ended"), "{stderr}");
}
