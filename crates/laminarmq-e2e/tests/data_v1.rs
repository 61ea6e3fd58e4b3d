//! A data directory of format version 1 that a broker wrote once: `tests/fixtures/data-v1/broker*` of the
//! workspace. It is frozen; every later broker opens it and serves what is in it. A change that makes this test
//! fail breaks the directories that people have: change the code, never the files.
//!
//! What is in it, twice: after an orderly stop (`broker`), and after SIGKILL (`broker-killed`).
//!
//! - `orders`, 3 partitions, segments of 4 KiB: records 0.. of `load::value`, uncompressed
//! - `codecs`, 1 partition, `flush=os`: one batch per codec of Kafka, 10 records each
//! - a topic `gone` that was created and deleted

use std::fs;
use std::path::Path;

use laminarmq_e2e::load;
use laminarmq_kafka::batch::{BatchBuilder, Compression, NewRecord, Record};
use laminarmq_testkit::{BrokerProcess, Client, TestDir, workspace_root};

const ORDERS: &str = "orders";
const CODECS: &str = "codecs";
/// Records of each partition of `orders`.
const ORDERS_RECORDS: [usize; 3] = [150, 171, 171];
const CODECS_RECORDS: usize = 50;
const COMPRESSIONS: u16 = 5;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("the fixture is there") {
        let entry = entry.expect("readable");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("known").is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("copied");
        }
    }
}

/// The numbers of all records of a partition, whose content is checked.
fn numbers(client: &mut Client, topic: &str, partition: i32) -> Vec<u64> {
    let batches = client.read_from(topic, partition, 0);
    let records = batches.into_iter().flat_map(|batch| batch.records);
    let number = |record: Record| {
        let number = record.key.as_deref().and_then(load::number);
        let number = number.expect("each record has its number as key");
        let value = record.value.expect("each record has a value");
        assert!(
            value == load::value(partition, number),
            "{topic}-{partition} {number}"
        );
        number
    };
    records.map(number).collect()
}

fn everything_is_there(client: &mut Client, more: usize) {
    for (partition, count) in (0..).zip(ORDERS_RECORDS) {
        let numbers = numbers(client, ORDERS, partition);
        let want: Vec<u64> = (0..(count + more) as u64).collect();
        assert_eq!(numbers, want, "{ORDERS}-{partition}");
    }
    let batches = client.read_from(CODECS, 0, 0);
    let codecs: Vec<u16> = batches
        .iter()
        .map(|batch| batch.header.attributes.0 & 7)
        .collect();
    assert_eq!(codecs, (0..COMPRESSIONS).collect::<Vec<_>>());
    let want: Vec<u64> = (0..CODECS_RECORDS as u64).collect();
    assert_eq!(numbers(client, CODECS, 0), want);
}

fn opens_and_goes_on(fixture: &str) {
    let dir = TestDir::new(fixture);
    let data = dir.join("data");
    let frozen = workspace_root()
        .join("tests/fixtures/data-v1")
        .join(fixture);
    copy(&frozen, &data);
    let mut broker = BrokerProcess::start(&data);
    let mut client = Client::connect(broker.addr()).expect("connected");
    let gone = client.describe("gone").expect("answered");
    assert!(gone.topics.iter().all(|topic| topic.partitions.is_empty()));
    everything_is_there(&mut client, 0);
    for (partition, count) in (0..).zip(ORDERS_RECORDS) {
        // One record that carries on the numbers.
        let first = count as u64;
        let mut batch = BatchBuilder::new(Compression::None);
        let (key, value) = (load::key(first), load::value(partition, first));
        let record = NewRecord {
            key: Some(&key),
            value: Some(&value),
            ..Default::default()
        };
        batch.push(&record).expect("it fits");
        let offset = client.produce(ORDERS, partition, batch.build());
        assert_eq!(offset, i64::try_from(count).expect("small"));
    }
    broker.kill9();
    broker.restart();
    let mut client = Client::connect(broker.addr()).expect("connected");
    everything_is_there(&mut client, 1);
}

#[test]
fn a_directory_that_was_closed() {
    opens_and_goes_on("broker");
}

#[test]
fn a_directory_of_a_broker_that_was_killed() {
    opens_and_goes_on("broker-killed");
}
