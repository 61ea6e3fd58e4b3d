//! Consumer groups from the command line against a real broker.

mod common;

use std::process::Stdio;

use common::broker::{Broker, Running};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

fn broker() -> (TempDir, Broker) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let broker = Broker::start(dir.path());
    (dir, broker)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Writes `count` records to each of a topic's partitions, valued `partition/number`.
fn fill(broker: &Broker, topic: &str, partitions: u32, count: u32) {
    for partition in 0..partitions {
        let input: String = (0..count).map(|n| format!("{partition}/{n}\n")).collect();
        let partition = partition.to_string();
        broker.produce(&[topic, "-p", &partition], input.as_bytes());
    }
}

/// `topic/partition: committed lag` of each partition that a group has read.
fn offsets(broker: &Broker, group: &str) -> Vec<String> {
    let described = json(&broker.ok(&["group", "describe", group, "--json"]));
    let partitions = described["partitions"].as_array().expect("a list");
    let line = |row: &Value| {
        format!(
            "{}/{}: {} {}",
            row["topic"].as_str().expect("a name"),
            row["partition"],
            row["committed_offset"],
            row["lag"]
        )
    };
    partitions.iter().map(line).collect()
}

/// Runs `consume -g` to the end that is there. Its lines, sorted.
fn read_all(broker: &Broker, arguments: &[&str]) -> Vec<String> {
    let stdout = broker.ok(&[&["consume"], arguments, &["-e"]].concat());
    let mut lines: Vec<String> = stdout.lines().map(String::from).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_group_goes_on_where_it_stopped() {
    let (_dir, broker) = broker();
    broker.ok(&["topic", "create", "t", "-p", "2"]);
    fill(&broker, "t", 2, 3);
    let first = read_all(&broker, &["t", "-g", "g", "-o", "start"]);
    assert_eq!(first, ["0/0", "0/1", "0/2", "1/0", "1/1", "1/2"]);
    assert_eq!(read_all(&broker, &["t", "-g", "g", "-o", "start"]), [""; 0]);
    broker.produce(&["t", "-p", "1"], b"1/3\n");
    assert_eq!(offsets(&broker, "g"), ["t/0: 3 0", "t/1: 3 1"]);
    assert_eq!(read_all(&broker, &["t", "-g", "g", "-o", "start"]), ["1/3"]);
    // Another group knows nothing of that, and begins at the end unless told otherwise.
    assert_eq!(read_all(&broker, &["t", "-g", "other"]), [""; 0]);
    assert_eq!(offsets(&broker, "other"), ["t/0: 3 0", "t/1: 4 0"]);
}

#[test]
fn a_count_commits_exactly_what_was_printed() {
    let (_dir, broker) = broker();
    fill_one(&broker, 100);
    let read = |count: &str| broker.ok(&["consume", "t", "-g", "g", "-o", "start", "-n", count]);
    assert_eq!(read("3"), "0/0\n0/1\n0/2\n");
    assert_eq!(offsets(&broker, "g"), ["t/0: 3 97"]);
    let record = json(&broker.ok(&["consume", "t", "-g", "g", "-n", "1", "--json"]));
    assert_eq!(
        (record["offset"].as_i64(), record["value"].as_str()),
        (Some(3), Some("0/3"))
    );
    let read = broker.ok(&["consume", "t", "-g", "g", "-n", "2", "-f", r"%t/%p/%o %s\n"]);
    assert_eq!(read, "t/0/4 0/4\nt/0/5 0/5\n");
    assert_eq!(offsets(&broker, "g"), ["t/0: 6 94"]);
}

fn fill_one(broker: &Broker, count: u32) {
    broker.ok(&["topic", "create", "t"]);
    fill(broker, "t", 1, count);
}

#[test]
fn signals_leave_the_group_with_everything_committed() {
    let (_dir, broker) = broker();
    fill_one(&broker, 2);
    for (round, signal) in [Signal::INT, Signal::TERM].into_iter().enumerate() {
        let mut reader =
            Running::start(&mut broker.command(&["consume", "t", "-g", "g", "-o", "start"]));
        let last = 2 * round + 1;
        for n in [last - 1, last] {
            assert_eq!(reader.line(), Some(format!("0/{n}")));
        }
        reader.signal(signal);
        let (status, rest, stderr) = reader.end();
        assert_eq!(
            (status.code(), rest.as_str(), stderr.as_str()),
            (Some(0), "", "")
        );
        assert_eq!(offsets(&broker, "g"), [format!("t/0: {} 0", last + 1)]);
        let described = json(&broker.ok(&["group", "describe", "g", "--json"]));
        assert_eq!(described["state"], "Empty");
        let next = format!("0/{}\n0/{}\n", last + 1, last + 2);
        broker.produce(&["t"], next.as_bytes());
    }
}

#[test]
fn a_closed_pipe_leaves_the_group() {
    let (_dir, broker) = broker();
    fill_one(&broker, 1);
    let mut command = broker.command(&["consume", "t", "-g", "g", "-o", "start"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let mut stdout = child.stdout.take().expect("piped");
    let mut line = [0; 4];
    std::io::Read::read_exact(&mut stdout, &mut line).expect("a line");
    // Nothing more comes, so only the pipe itself can tell.
    drop(stdout);
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    assert_eq!(offsets(&broker, "g"), ["t/0: 1 0"]);
    let described = json(&broker.ok(&["group", "describe", "g", "--json"]));
    assert_eq!(described["state"], "Empty");
}

/// The write that a signal meets is more than a pipe holds: once somebody reads it, it has come through.
#[test]
fn what_a_signal_meets_half_written_is_committed_when_it_came_through() {
    let (_dir, broker) = broker();
    broker.ok(&["topic", "create", "t"]);
    let line = "x".repeat(300_000);
    broker.produce(&["t"], format!("{line}\n").as_bytes());
    let mut command = broker.command(&["consume", "t", "-g", "g", "-o", "start"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let mut stdout = child.stdout.take().expect("piped");
    // With its first byte the write is under way, and cannot end by itself.
    std::io::Read::read_exact(&mut stdout, &mut [0; 1]).expect("a byte");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM)
        .expect("it runs");
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut stdout, &mut rest).expect("the rest");
    let output = child.wait_with_output().expect("ends");
    assert_eq!(
        (output.status.code(), &output.stderr[..]),
        (Some(0), &b""[..])
    );
    assert_eq!(rest.len(), line.len());
    assert_eq!(offsets(&broker, "g"), ["t/0: 1 0"]);
}

/// Reads a line from each of two readers that share two partitions, in whatever order they come.
fn lines_of_both(broker: &Broker, readers: [&mut Running; 2], marks: [&str; 2]) {
    for (partition, mark) in ["0", "1"].into_iter().zip(marks) {
        broker.produce(&["t", "-p", partition], format!("{mark}\n").as_bytes());
    }
    let mut lines = readers.map(|reader| reader.line().expect("a line"));
    lines.sort_unstable();
    assert_eq!(lines, marks);
}

/// Waits until a group has as many members with partitions.
#[track_caller]
fn wait_for_readers(broker: &Broker, count: usize) {
    for _ in 0..600 {
        // It is there once its first member has joined.
        let groups = json(&broker.ok(&["group", "list", "--json"]));
        if groups.as_array().expect("a list").is_empty() {
            std::thread::park_timeout(std::time::Duration::from_millis(100));
            continue;
        }
        let described = json(&broker.ok(&["group", "describe", "g", "--json"]));
        let members = described["members"].as_array().expect("a list");
        let reads = |member: &&Value| !member["partitions"].as_object().expect("a map").is_empty();
        if described["state"] == "Stable" && members.iter().filter(reads).count() == count {
            return;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    panic!("the group does not come to {count} readers");
}

#[test]
fn two_readers_share_the_partitions_and_one_takes_over() {
    let (_dir, broker) = broker();
    broker.ok(&["topic", "create", "t", "-p", "2"]);
    let command = || broker.command(&["consume", "t", "-g", "g", "-o", "start"]);
    let mut one = Running::start(&mut command());
    wait_for_readers(&broker, 1);
    let mut two = Running::start(&mut command());
    wait_for_readers(&broker, 2);
    lines_of_both(&broker, [&mut one, &mut two], ["a", "b"]);

    two.signal(Signal::INT);
    let (status, rest, stderr) = two.end();
    assert_eq!(
        (status.code(), rest.as_str(), stderr.as_str()),
        (Some(0), "", "")
    );
    wait_for_readers(&broker, 1);
    for (partition, mark) in [("0", "c"), ("1", "d")] {
        broker.produce(&["t", "-p", partition], format!("{mark}\n").as_bytes());
        assert_eq!(one.line().as_deref(), Some(mark));
    }
    one.signal(Signal::TERM);
    let (status, rest, stderr) = one.end();
    assert_eq!(
        (status.code(), rest.as_str(), stderr.as_str()),
        (Some(0), "", "")
    );
    assert_eq!(offsets(&broker, "g"), ["t/0: 2 0", "t/1: 2 0"]);
}

#[test]
fn a_member_of_another_client_shares_too() {
    if std::process::Command::new("kcat")
        .arg("-V")
        .output()
        .is_err()
    {
        assert!(std::env::var_os("CI").is_none(), "kcat is not installed");
        eprintln!("skipped: kcat is not installed");
        return;
    }
    let (_dir, broker) = broker();
    broker.ok(&["topic", "create", "t", "-p", "2"]);
    let mut ours = Running::start(&mut broker.command(&["consume", "t", "-g", "g", "-o", "start"]));
    wait_for_readers(&broker, 1);
    let mut kcat = std::process::Command::new("kcat");
    kcat.args(["-b", &broker.address, "-u", "-q", "-G", "g", "t"]);
    kcat.stdin(Stdio::null());
    let mut theirs = Running::start(&mut kcat);
    wait_for_readers(&broker, 2);
    lines_of_both(&broker, [&mut ours, &mut theirs], ["a", "b"]);
    // Then they lead, and we follow.
    ours.signal(Signal::INT);
    assert_eq!(ours.end().0.code(), Some(0));
    wait_for_readers(&broker, 1);
    let mut ours = Running::start(&mut broker.command(&["consume", "t", "-g", "g", "-o", "start"]));
    wait_for_readers(&broker, 2);
    lines_of_both(&broker, [&mut ours, &mut theirs], ["c", "d"]);
}

#[test]
fn groups_are_listed_described_moved_and_deleted() {
    let (_dir, broker) = broker();
    broker.ok(&["topic", "create", "t", "-p", "2"]);
    fill(&broker, "t", 2, 10);
    read_all(&broker, &["t", "-g", "g", "-o", "start"]);
    let listed = broker.ok(&["group", "list"]);
    let rows: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["GROUP", "STATE", "TYPE", "COORDINATOR"]);
    assert_eq!(rows[1][..2], ["g", "Empty"]);
    assert_eq!(rows.len(), 2);
    assert_eq!(
        json(&broker.ok(&["group", "list", "--state", "stable", "--json"])),
        json("[]")
    );
    assert_eq!(
        json(&broker.ok(&["group", "list", "--json"]))[0]["group"],
        "g"
    );

    let dry = broker.ok(&["group", "seek", "g", "--to", "start", "--dry-run"]);
    assert!(dry.starts_with("would move group `g`\n"), "{dry}");
    assert_eq!(offsets(&broker, "g"), ["t/0: 10 0", "t/1: 10 0"]);
    let moved = broker.ok(&[
        "group",
        "seek",
        "g",
        "--to",
        "start",
        "--topic",
        "t",
        "--partition",
        "1",
    ]);
    let row: Vec<&str> = moved
        .lines()
        .last()
        .expect("a row")
        .split_whitespace()
        .collect();
    assert_eq!(row, ["t", "1", "10", "0"]);
    assert_eq!(offsets(&broker, "g"), ["t/0: 10 0", "t/1: 0 10"]);
    for (to, committed) in [
        ("-4", 6),
        ("+3", 3),
        ("7", 7),
        ("@1970-01-01", 0),
        ("@-0s", 10),
        ("end", 10),
    ] {
        broker.ok(&["group", "seek", "g", "--to", to]);
        let lag = 10 - committed;
        let want = [0, 1].map(|partition| format!("t/{partition}: {committed} {lag}"));
        assert_eq!(offsets(&broker, "g"), want, "{to}");
    }
    let nowhere = broker.fails(&["group", "seek", "fresh", "--to", "start"]);
    assert!(nowhere.contains("--topic"), "{nowhere}");
    broker.ok(&["group", "seek", "fresh", "--to", "5", "--topic", "t"]);
    assert_eq!(read_all(&broker, &["t", "-g", "fresh"]).len(), 10);

    let forgotten = broker.ok(&["group", "delete", "fresh", "--topic", "t"]);
    assert!(forgotten.contains("2 partitions"), "{forgotten}");
    broker.ok(&["group", "delete", "g"]);
    let gone = broker.fails(&["group", "describe", "g"]);
    assert!(gone.starts_with("error: there is no group `g`"), "{gone}");
    let gone = broker.fails(&["group", "delete", "g"]);
    assert!(gone.contains("`laminarmq group list`"), "{gone}");
}

#[test]
fn a_group_with_members_is_left_alone() {
    let (_dir, broker) = broker();
    fill_one(&broker, 5);
    let mut reader =
        Running::start(&mut broker.command(&["consume", "t", "-g", "g", "-o", "start"]));
    for n in 0..5 {
        assert_eq!(reader.line(), Some(format!("0/{n}")));
    }
    wait_for_readers(&broker, 1);
    for arguments in [
        &["group", "seek", "g", "--to", "start"][..],
        &["group", "seek", "g", "--to", "start", "--topic", "t"],
        &["group", "delete", "g"],
    ] {
        let refused = broker.fails(arguments);
        assert!(refused.contains("group `g` has members"), "{refused}");
    }
    let described = broker.ok(&["group", "describe", "g"]);
    for part in [
        "state        Stable",
        "assignor     range",
        "members      1",
        "TOPIC",
        "MEMBER",
    ] {
        assert!(described.contains(part), "{described}");
    }
    reader.signal(Signal::INT);
    assert_eq!(reader.end().0.code(), Some(0));
}

#[test]
fn a_topic_that_is_missing_makes_no_group() {
    let (_dir, broker) = broker();
    let missing = broker.fails(&["consume", "nope", "-g", "g"]);
    assert!(missing.contains("there is no topic `nope`"), "{missing}");
    assert_eq!(json(&broker.ok(&["group", "list", "--json"])), json("[]"));
}
