//! Changes to topics, and the cluster, from the command line against a real broker.

mod common;

use common::broker::Broker;
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

fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}

/// Value and source of a topic's setting.
fn setting(broker: &Broker, topic: &str, name: &str) -> (String, String) {
    let described = json(&broker.ok(&["topic", "describe", topic, "--json"]));
    let settings = described["settings"].as_array().expect("a list");
    let found = settings.iter().find(|setting| setting["name"] == name);
    let found = found.expect("the setting is there");
    let text = |key: &str| found[key].as_str().expect("text").to_owned();
    (text("value"), text("source"))
}

fn pair(value: &str, source: &str) -> (String, String) {
    (value.to_owned(), source.to_owned())
}

#[test]
fn settings_are_shown_changed_and_go_back() {
    let (_dir, broker) = broker();
    broker.ok(&["topic", "create", "t", "-c", "flush=os"]);
    let described = broker.ok(&["topic", "describe", "t"]);
    assert!(
        rows(&described).contains(&vec!["SETTING", "VALUE", "SOURCE"]),
        "{described}"
    );
    assert!(
        rows(&described).contains(&vec!["flush", "os", "topic"]),
        "{described}"
    );
    let before = setting(&broker, "t", "max.message.bytes");
    assert_eq!(before.1, "default");

    let dry = [
        "topic",
        "alter-config",
        "t",
        "-c",
        "max.message.bytes=2000000",
        "--dry-run",
    ];
    let would = broker.ok(&dry);
    assert!(would.starts_with("would alter topic `t`\n"), "{would}");
    assert_eq!(setting(&broker, "t", "max.message.bytes"), before);

    let altered = broker.ok(&[&dry[..5], &["--unset", "flush"]].concat());
    let want = [
        &["altered", "topic", "`t`"][..],
        &["SETTING", "OLD", "NEW", "SOURCE"],
        &["max.message.bytes", &before.0, "2000000", "topic"],
        &["flush", "os", "sync", "default"],
    ];
    assert_eq!(rows(&altered), want);
    assert_eq!(
        setting(&broker, "t", "max.message.bytes"),
        pair("2000000", "topic")
    );
    assert_eq!(setting(&broker, "t", "flush"), pair("sync", "default"));
    let back = [
        "topic",
        "alter-config",
        "t",
        "--unset",
        "max.message.bytes",
        "--json",
    ];
    let back = json(&broker.ok(&back));
    assert_eq!(back["settings"][0]["old"], "2000000");
    assert_eq!(back["settings"][0]["new"], before.0);

    let unknown = broker.fails(&["topic", "alter-config", "t", "-c", "colour=red"]);
    assert!(unknown.contains("colour"), "{unknown}");
    let bad = broker.fails(&["topic", "alter-config", "t", "-c", "flush=never"]);
    assert!(bad.contains("never"), "{bad}");
    let missing = broker.fails(&["topic", "alter-config", "nope", "-c", "flush=os"]);
    assert!(missing.contains("there is no topic `nope`"), "{missing}");
}

#[test]
fn partitions_are_added_and_never_taken_away() {
    let (_dir, broker) = broker();
    broker.ok(&["topic", "create", "t", "-p", "2"]);
    let command = ["topic", "add-partitions", "t"];
    let add = |arguments: &[&str]| broker.ok(&[&command[..], arguments].concat());
    assert_eq!(
        add(&["-p", "5", "--dry-run"]),
        "topic `t` would have 5 partitions (before: 2)\n"
    );
    assert_eq!(
        add(&["-p", "3"]),
        "topic `t` has 3 partitions (before: 2)\n"
    );
    let added = json(&add(&["-p", "4", "--json"]));
    assert_eq!(
        (added["old"].as_u64(), added["new"].as_u64()),
        (Some(3), Some(4))
    );
    broker.produce(&["t", "-p", "3"], b"new\n");
    assert_eq!(broker.all("t", r"%p %s\n"), "3 new\n");
    for total in ["4", "1"] {
        let refused = broker.fails(&[&command[..], &["-p", total]].concat());
        assert!(refused.contains("has 4 partitions already"), "{refused}");
    }
    let missing = broker.fails(&["topic", "add-partitions", "nope", "-p", "3"]);
    assert!(missing.contains("there is no topic `nope`"), "{missing}");
}

#[test]
fn the_oldest_records_are_trimmed() {
    let (_dir, broker) = broker();
    broker.ok(&["topic", "create", "t", "-p", "2"]);
    let lines: String = (0..10).map(|n| format!("{n}\n")).collect();
    for partition in ["0", "1"] {
        broker.produce(&["t", "-p", partition], lines.as_bytes());
    }
    let starts = || {
        let described = json(&broker.ok(&["topic", "describe", "t", "--json"]));
        [0, 1].map(|partition| described["partitions"][partition]["start_offset"].clone())
    };
    let trim =
        |arguments: &[&str]| broker.ok(&[&["topic", "trim", "t", "--to"], arguments].concat());
    let would = trim(&["4", "--dry-run"]);
    assert!(
        would.starts_with("would delete 8 records of topic `t`\n"),
        "{would}"
    );
    assert_eq!(starts(), [0, 0]);
    let trimmed = trim(&["4", "--partition", "1"]);
    let want = [
        &["deleted", "4", "records", "of", "topic", "`t`"][..],
        &["PARTITION", "OLD-START", "NEW-START", "END", "DELETED"],
        &["1", "0", "4", "10", "4"],
    ];
    assert_eq!(rows(&trimmed), want);
    assert_eq!(starts(), [0, 4]);
    assert_eq!(
        broker.ok(&["consume", "t", "-p", "1", "-o", "start", "-n", "1"]),
        "4\n"
    );
    // What starts later already stays as it is.
    let trimmed = json(&trim(&["+2", "--json"]));
    assert_eq!(trimmed["partitions"][0]["new_start_offset"], 2);
    assert_eq!(starts(), [2, 6]);
    trim(&["3"]);
    assert_eq!(starts(), [3, 6]);
    trim(&["-1"]);
    assert_eq!(starts(), [9, 9]);
    trim(&["@1970-01-01"]);
    assert_eq!(starts(), [9, 9]);
    let beyond = broker.fails(&["topic", "trim", "t", "--to", "11"]);
    assert!(
        beyond.contains("has offsets 9 to 9, nothing near 11"),
        "{beyond}"
    );
    assert_eq!(starts(), [9, 9]);
    trim(&["end"]);
    assert_eq!(starts(), [10, 10]);
    broker.produce(&["t", "-p", "0"], b"after\n");
    assert_eq!(broker.all("t", r"%o %s\n"), "10 after\n");
}

#[test]
fn the_cluster_is_shown_and_well() {
    let (_dir, broker) = broker();
    broker.ok(&["topic", "create", "t", "-p", "3"]);
    let info = json(&broker.ok(&["cluster", "info", "--json"]));
    let node = &info["nodes"][0];
    assert_eq!(info["controller"], node["node"]);
    assert_eq!(
        (info["topics"].as_u64(), info["partitions"].as_u64()),
        (Some(1), Some(3))
    );
    assert_eq!(
        (node["leads"].as_u64(), node["replicas"].as_u64()),
        (Some(3), Some(3))
    );
    let address = format!("{}:{}", node["host"].as_str().expect("text"), node["port"]);
    assert_eq!(address, broker.address);
    let text = broker.ok(&["cluster", "info"]);
    assert!(
        text.contains(info["cluster"].as_str().expect("an id")),
        "{text}"
    );
    assert!(text.contains(&broker.address), "{text}");
    let health = broker.ok(&["cluster", "health"]);
    assert!(
        health.starts_with("healthy: 1 node answering, 3 partitions"),
        "{health}"
    );
    assert_eq!(
        json(&broker.ok(&["cluster", "health", "--json"]))["healthy"],
        true
    );
}
