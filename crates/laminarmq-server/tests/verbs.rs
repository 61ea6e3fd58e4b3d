//! The verbs of the command line against a real broker.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
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

#[test]
fn lines_go_in_and_come_out() {
    let (_dir, broker) = broker();
    let said = broker.produce(&["greetings"], b"hello\n\nw\xc3\xb6rld");
    assert_eq!(
        said,
        "wrote 3 records to `greetings`: partition 0 offsets 0 to 2\n"
    );
    assert_eq!(broker.all("greetings", r"%s\n"), "hello\n\nw\u{f6}rld\n");
    let said = broker.produce(&["greetings", "--json"], b"again\n");
    let said = json(&said);
    assert_eq!(said["records"], 1);
    assert_eq!(said["partitions"][0]["first_offset"], 3);
    assert_eq!(broker.produce(&["greetings", "-q"], b"quiet\n"), "");
    broker.stop();
}

#[test]
fn topics_are_created_listed_described_and_deleted() {
    let (_dir, broker) = broker();
    assert_eq!(
        broker.ok(&[
            "topic", "create", "orders", "-p", "3", "-r", "1", "-c", "flush=os"
        ]),
        "created topic `orders` with 3 partitions, 1 replica each\n"
    );
    let twice = broker.fails(&["topic", "create", "orders"]);
    assert!(twice.contains("TOPIC_ALREADY_EXISTS"), "{twice}");
    broker.ok(&["topic", "create", "orders", "--if-not-exists"]);
    broker.ok(&["topic", "create", "dry", "--dry-run"]);
    let unknown = broker.fails(&["topic", "create", "other", "-c", "colour=red"]);
    assert!(unknown.contains("colour"), "{unknown}");

    let list = broker.ok(&["topic", "list"]);
    let rows: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let want = [["TOPIC", "PARTITIONS", "REPLICAS"], ["orders", "3", "1"]];
    assert_eq!(rows, want);

    broker.produce(&["orders", "-p", "1"], b"a\nb\n");
    let described = json(&broker.ok(&["topic", "describe", "orders", "--json"]));
    let partitions = described["partitions"].as_array().expect("a list");
    let ends: Vec<_> = partitions
        .iter()
        .map(|p| p["end_offset"].as_i64())
        .collect();
    assert_eq!(ends, [Some(0), Some(2), Some(0)]);
    let described = broker.ok(&["topic", "describe", "orders"]);
    assert!(described.contains("PARTITION  LEADER"), "{described}");

    assert_eq!(
        broker.ok(&["topic", "delete", "orders"]),
        "deleted topic `orders`\n"
    );
    let gone = broker.fails(&["topic", "describe", "orders"]);
    assert!(
        gone.starts_with("error: there is no topic `orders`"),
        "{gone}"
    );
    broker.fails(&["topic", "delete", "orders"]);
    assert_eq!(
        json(&broker.ok(&["topic", "list", "--json"])),
        Value::Array(Vec::new())
    );
}

#[test]
fn offsets_choose_where_to_read() {
    let (_dir, broker) = broker();
    let input: String = (0..20).map(|n| format!("{n}\n")).collect();
    broker.produce(&["t"], input.as_bytes());
    let read = |arguments: &[&str]| {
        let stdout = broker.ok(&[&["consume", "t"], arguments].concat());
        let lines: Vec<u32> = stdout
            .lines()
            .map(|n| n.parse().expect("a number"))
            .collect();
        lines
    };
    let range = |range: std::ops::Range<u32>| range.collect::<Vec<_>>();
    assert_eq!(read(&["-o", "start", "-e"]), range(0..20));
    assert_eq!(read(&["-o", "start", "-n", "5"]), range(0..5));
    assert_eq!(read(&["-o", "7", "-e"]), range(7..20));
    assert_eq!(read(&["-o", "+18", "-e"]), range(18..20));
    assert_eq!(read(&["-o", "-3", "-e"]), range(17..20));
    assert_eq!(read(&["-o", "-3", "-n", "2"]), range(17..19));
    assert_eq!(read(&["-o", "3:6"]), range(3..6));
    assert_eq!(read(&["-o", "-2:end"]), range(18..20));
    assert_eq!(read(&["-o", "end", "-e"]), range(0..0));
    assert_eq!(read(&["-n", "0"]), range(0..0));
    assert_eq!(read(&["-o", "@1970-01-01", "-e"]), range(0..20));
    assert_eq!(read(&["-o", "@-1h:end"]), range(0..20));
    assert_eq!(read(&["-o", "@9999-12-31T23:59:59Z", "-e"]), range(0..0));

    let beyond = common::said(&mut broker.command(&["consume", "t", "-o", "99", "-e"]));
    assert_eq!((beyond.code, beyond.stdout.as_str()), (Some(0), ""));
    assert!(
        beyond.stderr.contains("has offsets 0 to 19, not 99"),
        "{}",
        beyond.stderr
    );
}

#[test]
fn keys_headers_null_and_empty_survive() {
    let (_dir, broker) = broker();
    broker.produce(&["t", "-k", "key", "-H", "a:1", "-H", "b:"], b"value\n");
    broker.produce(&["t", "-K", "="], b"k=v\n=v\nno delimiter\nk=\n");
    broker.produce(&["t", "-K", "=", "-Z"], b"k=\n=\n");
    assert_eq!(
        broker.all("t", r"%k(%K) %s(%S) %h\n"),
        "key(3) value(5) a=1,b=\n\
         k(1) v(1) \n\
         (0) v(1) \n\
         (-1) no delimiter(12) \n\
         k(1) (0) \n\
         k(1) (-1) \n\
         (-1) (-1) \n"
    );
    let record = broker.ok(&["consume", "t", "-o", "0:1", "--json"]);
    let record = json(&record);
    assert_eq!(record["key"], "key");
    assert_eq!(record["headers"][0]["key"], "a");
    assert_eq!(record["headers"][0]["value"], "1");
    let tombstone = json(&broker.ok(&["consume", "t", "-o", "-1", "-e", "--json"]));
    assert!(tombstone["value"].is_null() && tombstone["key"].is_null());
}

#[test]
fn every_codec_and_every_ack_delivers() {
    let (_dir, broker) = broker();
    let line = "the same words over and over, ".repeat(20);
    let input = format!("{line}\n").repeat(500);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        for acks in ["0", "1", "all"] {
            let topic = format!("{codec}-{acks}");
            let said = broker.produce(&[&topic, "-z", codec, "--acks", acks], input.as_bytes());
            assert!(said.contains("500 records"), "{said}");
            // Without a quorum's ack a record may be readable a little later, so this waits for all.
            let read = broker.ok(&["consume", &topic, "-o", "start", "-n", "500"]);
            assert!(read == input, "{topic}");
        }
    }
}

#[test]
fn a_file_spreads_over_partitions_and_each_keeps_its_order() {
    let (dir, broker) = broker();
    broker.ok(&["topic", "create", "t", "-p", "3"]);
    let path = dir.path().join("input.txt");
    // Several batches per partition; the line tells its number.
    let input: String = (0..60_000)
        .map(|n| format!("{n:06} {}\n", "x".repeat(n % 200)))
        .collect();
    fs::write(&path, &input).expect("written");
    let path = path.to_str().expect("text");
    let said = broker.ok(&["produce", "t", path, "--batch-bytes", "64KiB"]);
    assert_eq!(said, "wrote 60 000 records to `t` in 3 partitions\n");

    let read = broker.all("t", r"%p %s\n");
    let mut by_partition: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in read.lines() {
        let (partition, line) = line.split_once(' ').expect("a partition and a line");
        by_partition.entry(partition).or_default().push(line);
    }
    assert_eq!(by_partition.len(), 3);
    assert!(by_partition.values().all(|lines| lines.is_sorted()));
    let mut lines: Vec<&str> = by_partition.into_values().flatten().collect();
    lines.sort_unstable();
    assert!(lines == input.lines().collect::<Vec<_>>());
}

#[test]
fn a_reader_follows_until_ctrl_c() {
    let (_dir, broker) = broker();
    broker.produce(&["t"], b"before\n");
    let mut reader = Running::start(&mut broker.command(&["consume", "t", "-o", "start"]));
    assert_eq!(reader.line().as_deref(), Some("before"));
    for line in ["one", "two"] {
        broker.produce(&["t"], line.as_bytes());
        assert_eq!(reader.line().as_deref(), Some(line));
    }
    reader.signal(Signal::INT);
    let (status, rest, stderr) = reader.end();
    assert_eq!(
        (status.code(), rest.as_str(), stderr.as_str()),
        (Some(0), "", "")
    );
    let mut reader = Running::start(&mut broker.command(&["consume", "t", "-o", "start"]));
    assert_eq!(reader.line().as_deref(), Some("before"));
    reader.signal(Signal::TERM);
    assert_eq!(reader.end().0.code(), Some(0));
}

#[test]
fn ctrl_c_still_sends_what_was_typed() {
    let (_dir, broker) = broker();
    let mut command = broker.command(&["produce", "t", "--linger", "1h"]);
    let mut writer = Running::start(command.stdin(Stdio::piped()));
    writer.write("a\nb\n");
    // It catches the signal before it reads, so once both lines are out of the pipe it is ready.
    writer.wait_until_read();
    writer.signal(Signal::INT);
    let (status, said, stderr) = writer.end();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
    let stored = broker.all("t", r"%s\n");
    let count = stored.lines().count();
    assert!("a\nb\n".starts_with(&stored));
    assert!(said.contains(&format!("wrote {count} record")), "{said}");
}

#[test]
fn a_closed_pipe_ends_a_reader_quietly() {
    let (_dir, broker) = broker();
    broker.produce(&["t"], &b"line\n".repeat(100_000));
    for flags in [&["-e"][..], &[]] {
        let arguments = [&["consume", "t", "-o", "start"], flags].concat();
        let mut command = broker.command(&arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("ends");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn a_closed_pipe_ends_a_reader_that_waits() {
    let (_dir, broker) = broker();
    broker.produce(&["t"], b"line\n");
    let mut command = broker.command(&["consume", "t", "-o", "start"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let mut stdout = child.stdout.take().expect("piped");
    let mut line = [0; 5];
    stdout.read_exact(&mut line).expect("a line");
    // Nothing more comes, so only the pipe itself can tell.
    drop(stdout);
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn what_is_not_there_is_told() {
    let (_dir, broker) = broker();
    let missing = broker.fails(&["consume", "nope"]);
    assert!(missing.contains("there is no topic `nope`"), "{missing}");
    broker.ok(&["topic", "create", "t", "-p", "2"]);
    let missing = broker.fails(&["consume", "t", "-p", "5"]);
    assert!(
        missing.contains("no partition 5 (it has partitions 0 to 1)"),
        "{missing}"
    );
    let bad = broker.fails(&["topic", "create", "no spaces"]);
    assert!(bad.contains("INVALID_TOPIC_EXCEPTION"), "{bad}");
}

#[test]
fn a_benchmark_reads_back_what_it_wrote() {
    let (_dir, broker) = broker();
    let small = [
        "--records",
        "2500",
        "--batch-size",
        "100",
        "--record-size",
        "100",
        "--json",
    ];
    for flags in [
        &[][..],
        &[
            "--flush",
            "os",
            "--producers",
            "2",
            "--partitions",
            "3",
            "--consumers",
            "2",
        ],
        &["--acks", "0"],
        &["--rate", "100000"],
        &["--mode", "both", "--partitions", "2"],
    ] {
        let report = json(&broker.ok(&[&["bench"], &small[..], flags].concat()));
        assert_eq!(report["produced"]["records"], 2500, "{flags:?}");
        assert_eq!(report["read_back"]["ok"], true, "{flags:?}: {report}");
        assert_eq!(report["read_back"]["found"], 2500, "{flags:?}");
        assert_eq!(report["read_back"]["foreign"], 0, "{flags:?}");
        if flags.contains(&"both") {
            assert_eq!(report["consumed"]["records"], 2500);
            assert!(report["consumed"]["end_to_end_latency_us"]["p50"].is_u64());
        }
    }
    let report = json(&broker.ok(&[&["bench", "--mode", "consume"], &small[..]].concat()));
    assert_eq!(report["consumed"]["records"], 2500);
    assert_eq!(report["read_back"]["found"], 2500);
    // Topics of their own are gone, one with a name stays.
    assert_eq!(
        json(&broker.ok(&["topic", "list", "--json"])),
        Value::Array(Vec::new())
    );
    broker.ok(&[&["bench", "--topic", "mine"], &small[..]].concat());
    let text = broker.ok(&[
        "bench",
        "--topic",
        "mine",
        "--records",
        "500",
        "--batch-size",
        "500",
    ]);
    assert!(
        text.contains("read back  500 of 500 records, each once"),
        "{text}"
    );
    assert_eq!(broker.all("mine", r"%o\n").lines().count(), 3000);
}
