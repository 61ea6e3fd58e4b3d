//! `laminarmq serve` as a process: ready, signals, refusals, what it leaves behind.

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use common::broker::{Broker, Running};
use common::{laminarmq, run};
use rustix::process::Signal;
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

#[test]
fn the_banner_says_where_and_how() {
    let dir = directory();
    let broker = Broker::start(dir.path());
    let data = dir.path().join("data");
    let (address, banner) = (&broker.address, &broker.banner);
    assert!(
        banner.contains(&format!("listening  {address}")),
        "{banner}"
    );
    assert!(banner.contains(data.to_str().expect("text")), "{banner}");
    for verb in ["produce", "consume"] {
        assert!(banner.contains(&format!(" {verb} greetings")), "{banner}");
    }
    assert!(banner.contains(&format!("-b {address}")), "{banner}");
    broker.stop();
}

#[test]
fn both_signals_end_it_well_and_everything_is_still_there() {
    let dir = directory();
    for (turn, signal) in [Signal::TERM, Signal::INT].into_iter().enumerate() {
        let broker = Broker::start(dir.path());
        assert_eq!(broker_records(&broker), turn);
        broker.produce(&["t"], b"record\n");
        broker.process.signal(signal);
        let (status, _, stderr) = broker.process.end();
        assert_eq!(status.code(), Some(0), "{stderr}");
        assert!(stderr.contains("goodbye"), "{stderr}");
    }
    assert_eq!(broker_records(&Broker::start(dir.path())), 2);
}

fn broker_records(broker: &Broker) -> usize {
    if broker.ok(&["topic", "list", "--json"]) == "[]\n" {
        return 0;
    }
    broker.all("t", r"%s\n").lines().count()
}

#[test]
fn a_killed_broker_keeps_what_it_acknowledged() {
    let dir = directory();
    let broker = Broker::start(dir.path());
    let input: String = (0..10_000).map(|n| format!("{n}\n")).collect();
    broker.produce(&["t"], input.as_bytes());
    broker.process.signal(Signal::KILL);
    let (status, ..) = broker.process.end();
    assert_eq!(status.code(), None);
    let broker = Broker::start(dir.path());
    assert!(broker.all("t", r"%s\n") == input);
}

#[test]
fn a_second_process_on_the_same_directory_is_refused() {
    let dir = directory();
    let broker = Broker::start(dir.path());
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"];
    let second = run(dir.path(), &arguments);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert_eq!(second.stdout, "");
    let pid = broker.process.pid().to_string();
    for says in ["in use by another process", &pid, "--data-dir"] {
        assert!(second.stderr.contains(says), "{}", second.stderr);
    }
    broker.stop();
}

#[test]
fn what_cannot_be_is_one_line_with_what_to_do() {
    let dir = directory();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("bound").to_string();
    fs::write(dir.path().join("file"), "").expect("written");
    for (listen, data_dir, says) in [
        (taken.as_str(), "data", "choose another port with --listen"),
        ("127.0.0.1:0", "file/data", "--data-dir"),
        ("127.0.0.1:0", "/proc/laminarmq", "--data-dir"),
        ("192.0.2.1:9092", "data", "--listen"),
        ("no.such.host.invalid:9092", "data", "--listen"),
    ] {
        // Held as long as the loop runs.
        let _port = TcpListener::bind(&taken);
        let arguments = ["serve", "--listen", listen, "--data-dir", data_dir];
        let refused = run(
            dir.path(),
            &[&arguments[..], &["--log-level", "error"]].concat(),
        );
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(says), "{refused:?}");
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
        assert_eq!(refused.stdout, "");
    }
}

#[test]
fn a_newer_format_is_refused_with_both_versions() {
    let dir = directory();
    Broker::start(dir.path()).stop();
    let path = dir.path().join("data/meta.json");
    let meta = fs::read_to_string(&path).expect("there");
    let mut meta: serde_json::Value = serde_json::from_str(&meta).expect("JSON");
    let known = meta["version"].as_u64().expect("a number");
    meta["version"] = (known + 41).into();
    fs::write(&path, meta.to_string()).expect("written");
    let refused = run(
        dir.path(),
        &["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"],
    );
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for says in [
        format!("version {}", known + 41),
        format!("knows version {known}"),
    ] {
        assert!(refused.stderr.contains(&says), "{}", refused.stderr);
    }
}

#[test]
fn an_open_address_is_warned_about_and_loopback_is_not() {
    let dir = directory();
    let broker = Broker::start_with(laminarmq(dir.path()).arg("serve"), "0.0.0.0:0");
    assert!(broker.banner.contains("-b 127.0.0.1:"), "{}", broker.banner);
    broker.process.signal(Signal::TERM);
    let (_, _, stderr) = broker.process.end();
    assert!(stderr.contains("WITHOUT AUTHENTICATION"), "{stderr}");

    let broker = Broker::start(dir.path());
    broker.process.signal(Signal::TERM);
    let (_, _, stderr) = broker.process.end();
    assert!(!stderr.contains("AUTHENTICATION"), "{stderr}");
}

#[test]
fn the_soft_limit_of_open_files_is_raised() {
    let dir = directory();
    let mut command = Command::new("sh");
    let script = "ulimit -Sn 128; exec \"$0\" serve \"$@\"";
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_laminarmq")])
        .current_dir(dir.path());
    let broker = Broker::start_with(&mut command, "127.0.0.1:0");
    let limits = Path::new("/proc").join(broker.process.pid().to_string());
    let limits = fs::read_to_string(limits.join("limits")).expect("a Linux");
    let row = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers: Vec<&str> = row
        .expect("a row")
        .split_whitespace()
        .skip(3)
        .take(2)
        .collect();
    assert_eq!(numbers[0], numbers[1], "soft and hard");
    assert_ne!(numbers[0], "128");
    broker.stop();
}

#[test]
fn json_is_for_programs() {
    let dir = directory();
    let mut command = laminarmq(dir.path());
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"]);
    let mut broker = Running::start(command.args(["--log-format", "json"]));
    let ready: serde_json::Value =
        serde_json::from_str(&broker.line().expect("a line")).expect("JSON");
    let address = ready["ready"]["kafka"]
        .as_str()
        .expect("an address")
        .to_owned();
    let list = run(dir.path(), &["topic", "list", "--json", "-b", &address]);
    assert_eq!(list.code, Some(0), "{list:?}");
    broker.signal(Signal::TERM);
    let (status, rest, stderr) = broker.end();
    assert_eq!((status.code(), rest.as_str()), (Some(0), ""));
    for line in stderr.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        for key in ["timestamp", "level", "message", "target"] {
            assert!(line[key].is_string(), "{line}");
        }
    }
}

/// Asks for a page once; status and body.
fn page(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("the port is open");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head[9..12].to_owned(), body.to_owned())
}

#[test]
fn the_http_port_is_in_the_banner_and_answers() {
    let dir = directory();
    let mut command = laminarmq(dir.path());
    command.args(["serve", "--http", "127.0.0.1:0"]);
    let broker = Broker::start_with(&mut command, "127.0.0.1:0");
    let line = broker
        .banner
        .lines()
        .find_map(|l| l.split_once(" http://")?.1.split_once('/'));
    let (address, _) = line.expect(&broker.banner);
    assert_eq!(page(address, "/readyz"), ("200".into(), "ready\n".into()));
    broker.produce(&["t"], b"one\ntwo\n");
    let (status, metrics) = page(address, "/metrics");
    assert_eq!(status, "200");
    let version = concat!("version=\"", env!("CARGO_PKG_VERSION"), "\",commit=\"");
    for has in [
        "laminarmq_produced_records_total 2\n",
        "kafka_topic_partition_current_offset{topic=\"t\",partition=\"0\"} 2\n",
        "process_resident_memory_bytes ",
        version,
    ] {
        assert!(metrics.contains(has), "{has} is not in\n{metrics}");
    }
    let says = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.expect(name).trim().parse::<f64>().expect("a number")
    };
    assert!(says("process_open_fds") > 3.0 && says("process_open_fds") <= says("process_max_fds"));
    // The system counts in hundredths of a second: a quick machine is here before the first.
    assert!((0.0..60.0).contains(&says("process_cpu_seconds_total")));
    // A start a while before that of the broker is a clock that went wrong.
    let started = says("laminarmq_start_time_seconds") - says("process_start_time_seconds");
    assert!(started.abs() < 60.0, "{started}");
    broker.stop();
}

#[test]
fn a_taken_http_port_is_one_line_with_what_to_do() {
    let dir = directory();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"];
    let more = ["--http", &address, "--log-level", "off"];
    let refused = run(dir.path(), &[&arguments[..], &more].concat());
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for says in [
        &*format!("cannot listen on {address} for HTTP"),
        "--http 127.0.0.1:PORT",
        "--http off",
    ] {
        assert!(refused.stderr.contains(says), "{refused:?}");
    }
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    assert!(!dir.path().join("data").exists());
}

/// What a broker that was started with this, and stopped, wrote to stderr.
fn log_of(arguments: &[&str]) -> String {
    let dir = directory();
    let mut command = laminarmq(dir.path());
    let broker = Broker::start_with(command.arg("serve").args(arguments), "127.0.0.1:0");
    broker.ok(&["topic", "create", "t", "-p", "2"]);
    broker.produce(&["t"], b"x\n");
    broker.ok(&["topic", "delete", "t"]);
    broker.process.signal(Signal::TERM);
    let (_, _, stderr) = broker.process.end();
    stderr
}

#[test]
fn the_log_of_a_life_is_a_few_lines_and_none_per_request() {
    let log = log_of(&[]);
    for says in [
        "the broker starts version=",
        "made a new data directory",
        "the broker serves address=",
        "a topic was created topic=\"t\" partitions=2",
        "a topic was deleted topic=\"t\" partitions=2",
        "the broker stops",
        "goodbye",
    ] {
        assert_eq!(log.matches(says).count(), 1, "{says}: {log}");
    }
    assert!(log.lines().count() < 15, "{log}");
    assert!(!log.contains('\x1b'), "colours are for terminals: {log}");
    assert_eq!(log_of(&["--log-level", "off"]), "");
    let filter = ["--log-level", "off,laminarmq_broker::controller=info"];
    let log = log_of(&filter);
    assert_eq!(log.lines().count(), 2, "{log}");
}

#[test]
fn a_refusal_in_json_is_json() {
    let dir = directory();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let arguments = ["serve", "--listen", &address, "--log-format", "json"];
    let refused = run(dir.path(), &arguments);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let lines: Vec<serde_json::Value> = refused
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let last = lines.last().expect("a line");
    assert_eq!(last["level"], "ERROR");
    let text = |key: &str| last[key].as_str().expect("text").to_owned();
    assert!(text("message").contains("another program has this port"));
    assert!(text("hint").contains("--listen"));
}

#[test]
fn settings_reach_the_broker() {
    let dir = directory();
    fs::write(
        dir.path().join("laminarmq.toml"),
        "default-partitions = 4\n",
    )
    .expect("written");
    let mut command = laminarmq(dir.path());
    command
        .env("LAMINARMQ_AUTO_CREATE_TOPICS", "false")
        .arg("serve");
    let broker = Broker::start_with(&mut command, "127.0.0.1:0");
    let refused = broker.fails(&["produce", "missing"]);
    assert!(refused.contains("there is no topic `missing`"), "{refused}");
    let created = broker.ok(&["topic", "create", "t"]);
    assert!(created.contains("4 partitions"), "{created}");
    broker.stop();
}
