//! librdkafka writes and reads: every codec, every kind of acknowledgement, and what records may hold.

use laminarmq_e2e::librdkafka::{Partitions, Rec, consume, produce};
use laminarmq_kafka::batch::{BatchHeader, Compression};
use laminarmq_testkit::{BrokerProcess, Client, Deadline, TestDir, eventually};

const TOPIC: &str = "roundtrip";
const PARTITIONS: i32 = 3;
const RECORDS: usize = 2000;
/// An hour before the records of other tests: not the broker's clock.
const TIME: i64 = 1_700_000_000_000;

/// A broker with an empty topic.
fn start(name: &str) -> (TestDir, BrokerProcess, Client) {
    let dir = TestDir::new(name);
    let broker = BrokerProcess::start(&dir.join("data"));
    let mut client = Client::connect(broker.addr()).expect("connected");
    client.create_topic(TOPIC, PARTITIONS, &[]);
    (dir, broker, client)
}

/// Records that every codec can shorten, with keys and headers, and times that rise unevenly.
fn records() -> Partitions {
    let record = |partition: i32, index: usize| Rec {
        key: Some(format!("key {partition} {index}").into_bytes()),
        value: Some(
            format!("{partition} {index} ")
                .repeat(40 + index % 40)
                .into_bytes(),
        ),
        headers: vec![
            (
                "partition".to_owned(),
                Some(partition.to_string().into_bytes()),
            ),
            ("same name".to_owned(), Some(b"one".to_vec())),
            ("same name".to_owned(), Some(Vec::new())),
            ("null".to_owned(), None),
        ],
        timestamp: TIME + i64::try_from(index * 7 % 1000).expect("small"),
    };
    (0..PARTITIONS)
        .map(|partition| {
            (
                partition,
                (0..RECORDS).map(|index| record(partition, index)).collect(),
            )
        })
        .collect()
}

/// Compares partition by partition, and names the first difference.
#[track_caller]
fn assert_same(sent: &Partitions, read: &Partitions) {
    assert_eq!(
        read.keys().collect::<Vec<_>>(),
        sent.keys().collect::<Vec<_>>(),
        "partitions"
    );
    for (partition, sent) in sent {
        let read = &read[partition];
        for (index, (sent, read)) in sent.iter().zip(read).enumerate() {
            assert_eq!(read, sent, "partition {partition}, record {index}");
        }
        assert_eq!(read.len(), sent.len(), "records of partition {partition}");
    }
}

/// The heads of all batches as they are stored.
fn stored(client: &mut Client) -> Vec<BatchHeader> {
    (0..PARTITIONS)
        .flat_map(|partition| client.read_from(TOPIC, partition, 0))
        .map(|batch| batch.header)
        .collect()
}

fn roundtrip_with(codec: Compression) {
    let name = codec.name();
    let (_dir, broker, mut client) = start(name);
    let sent = records();
    // Values repeat themselves, so that even a batch of one record gets shorter: librdkafka sends a batch
    // that does not as it is.
    let settings = [
        ("compression.type", name),
        ("linger.ms", "50"),
        ("acks", "all"),
    ];
    produce(broker.addr(), TOPIC, &settings, &sent);
    assert_same(&sent, &consume(broker.addr(), TOPIC, PARTITIONS));

    let heads = stored(&mut client);
    let count: i32 = heads.iter().map(|head| head.record_count).sum();
    println!(
        "{name}: {count} records in {} batches, stored as {name}",
        heads.len()
    );
    for head in heads {
        assert_eq!(
            head.attributes.codec().expect("a known codec"),
            codec,
            "{head:?}"
        );
    }
}

#[test]
fn without_compression() {
    roundtrip_with(Compression::None);
}

#[test]
fn gzip() {
    roundtrip_with(Compression::Gzip);
}

#[test]
fn snappy() {
    roundtrip_with(Compression::Snappy);
}

#[test]
fn lz4() {
    roundtrip_with(Compression::Lz4);
}

#[test]
fn zstd() {
    roundtrip_with(Compression::Zstd);
}

#[test]
fn acks_1() {
    roundtrip_with_acks("1");
}

#[test]
fn acks_0() {
    roundtrip_with_acks("0");
}

/// For acknowledgements that say nothing of when the records can be read.
fn roundtrip_with_acks(acks: &str) {
    let (_dir, broker, mut client) = start(&format!("acks-{acks}"));
    let sent = records();
    produce(broker.addr(), TOPIC, &[("acks", acks)], &sent);
    let end = i64::try_from(RECORDS).expect("small");
    for partition in 0..PARTITIONS {
        eventually("the records can be read", Deadline::seconds(60), || {
            let fetched = client
                .fetch(TOPIC, partition, 0)
                .expect("Fetch is answered");
            (fetched.high_watermark >= end).then_some(())
        });
    }
    assert_same(&sent, &consume(broker.addr(), TOPIC, PARTITIONS));
}

#[test]
fn idempotent() {
    let (_dir, broker, mut client) = start("idempotent");
    let sent = records();
    produce(
        broker.addr(),
        TOPIC,
        &[("enable.idempotence", "true"), ("linger.ms", "5")],
        &sent,
    );
    assert_same(&sent, &consume(broker.addr(), TOPIC, PARTITIONS));
    for partition in 0..PARTITIONS {
        let mut sequence = 0;
        for head in client
            .read_from(TOPIC, partition, 0)
            .iter()
            .map(|batch| batch.header)
        {
            assert!(
                head.producer_id >= 0 && head.producer_epoch >= 0,
                "{head:?}"
            );
            assert_eq!(head.base_sequence, sequence, "partition {partition}");
            sequence += head.record_count;
        }
    }
}

#[test]
fn null_and_empty_are_told_apart() {
    let (_dir, broker, _client) = start("null");
    let choices = [None, Some(Vec::new()), Some(b"some".to_vec())];
    let mut records = Vec::new();
    for key in &choices {
        for value in &choices {
            for headers in [
                vec![],
                vec![("h".to_owned(), None), ("h".to_owned(), Some(Vec::new()))],
            ] {
                records.push(Rec {
                    key: key.clone(),
                    value: value.clone(),
                    headers,
                    timestamp: TIME,
                });
            }
        }
    }
    let sent = Partitions::from([(0, records)]);
    produce(broker.addr(), TOPIC, &[("acks", "all")], &sent);
    assert_same(&sent, &consume(broker.addr(), TOPIC, PARTITIONS));
}

#[test]
fn values_of_1_mb() {
    let (_dir, broker, _client) = start("large");
    let value = |seed: u8| {
        let mut state = u32::from(seed) + 1;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        std::iter::repeat_with(next)
            .take(1_000_000)
            .collect::<Vec<u8>>()
    };
    let record = |seed| Rec {
        key: None,
        value: Some(value(seed)),
        headers: vec![],
        timestamp: TIME,
    };
    let sent: Partitions = (0..PARTITIONS)
        .zip([0, 10, 20])
        .map(|(p, seed)| (p, (seed..seed + 7).map(record).collect()))
        .collect();
    produce(broker.addr(), TOPIC, &[("acks", "all")], &sent);
    assert_same(&sent, &consume(broker.addr(), TOPIC, PARTITIONS));
}
