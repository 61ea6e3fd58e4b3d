//! `laminarmq log` on real files, whole ones and damaged ones.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::run;
use laminarmq::{Append, Log, LogOptions, poll_ready};

const RECORDS: u64 = 40;

/// A closed log of a few segments in `folder/log`.
fn make(folder: &Path) {
    let options = LogOptions {
        segment_bytes: 1000,
        ..LogOptions::default()
    };
    let mut log = Log::open_dir(folder.join("log"), options).expect("a new log opens");
    for number in 0..RECORDS {
        let value = format!("value {number}");
        let record = Append {
            term: 3,
            kind: 1,
            key: number,
            timestamp: 1000,
            value: &[value.as_bytes()],
            ..Append::default()
        };
        assert_eq!(
            poll_ready(log.append(record)).expect("the record is appended"),
            number
        );
    }
    poll_ready(log.close()).expect("the log closes");
}

/// The store with the lowest base index.
fn first_store(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder.join("log")).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let stores = paths.filter(|path| path.extension().is_some_and(|end| end == "log"));
    stores.min().expect("a log has a store")
}

/// Every file of the log, to see that looking changes nothing.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder.join("log")).expect("the folder is there");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.clone(), fs::read(path).expect("a file")))
        .collect();
    files.sort();
    files
}

#[test]
fn a_whole_log_is_inspected_verified_and_dumped() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    let before = content(folder.path());

    let said = run(folder.path(), &["log", "inspect", "log", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let found: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(found["start_index"], 0);
    assert_eq!(found["end_index"], RECORDS);
    let segments = found["segments"].as_array().unwrap();
    assert!(segments.len() > 2, "{found}");
    assert!(segments.iter().all(|segment| segment["state"] == "sealed"));

    let said = run(folder.path(), &["log", "inspect", "log"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stdout.contains("40 records"), "{said:?}");

    let said = run(folder.path(), &["log", "verify", "log"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.stdout.contains("40 records, index 0 to 40"),
        "{said:?}"
    );

    let arguments = ["log", "dump", "log", "--from", "38", "--json"];
    let said = run(folder.path(), &arguments);
    let records: Vec<serde_json::Value> = said
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 2, "{said:?}");
    assert_eq!(records[1]["index"], 39);
    assert_eq!(records[1]["term"], 3);
    assert_eq!(records[1]["value"], "dmFsdWUgMzk=");

    let said = run(folder.path(), &["log", "dump", "log", "-n", "3"]);
    assert_eq!(said.stdout.lines().count(), 3, "{said:?}");
    assert_eq!(content(folder.path()), before);
}

#[test]
fn the_first_damage_is_named_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    let store = first_store(folder.path());
    let mut bytes = fs::read(&store).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&store, bytes).unwrap();
    let before = content(folder.path());

    let said = run(folder.path(), &["log", "verify", "log"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.stderr
            .contains("damaged: segment 00000000000000000000, record ")
    );
    assert!(said.stderr.contains("restore this partition from a copy"));

    let said = run(folder.path(), &["log", "dump", "log"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stdout.lines().count() < 40, "{said:?}");
    assert!(said.stderr.contains("laminarmq log verify"), "{said:?}");
    assert_eq!(content(folder.path()), before);
}

#[test]
fn a_folder_without_a_log_says_where_to_look() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("data/topics")).unwrap();
    let said = run(folder.path(), &["log", "verify", "data"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.stderr
            .contains("name a partition's folder in data/topics")
    );
    let said = run(folder.path(), &["log", "inspect", "nowhere"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("nowhere"), "{said:?}");
}
