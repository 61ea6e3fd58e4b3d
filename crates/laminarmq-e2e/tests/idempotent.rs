//! Idempotent producers: a batch that is sent again is stored once, whatever happened in between.

use std::net::SocketAddr;

use bytes::Bytes;
use laminarmq_e2e::idempotent::IdempotentLoad;
use laminarmq_e2e::{is_long, load, seed};
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::batch::{BatchBuilder, Compression, NewRecord, ProducerStamp};
use laminarmq_kafka::messages::InitProducerIdRequest;
use laminarmq_kafka::messages::produce::PartitionProduceResponse;
use laminarmq_testkit::{BrokerProcess, Client, Deadline, TestDir, eventually};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TOPIC: &str = "once";
const INIT_PRODUCER_ID_VERSION: i16 = 4;

fn connect(addr: SocketAddr) -> Client {
    Client::connect(addr).expect("the broker takes connections")
}

fn producer_id(addr: SocketAddr) -> i64 {
    let request = InitProducerIdRequest {
        transaction_timeout_ms: 60_000,
        ..Default::default()
    };
    let answer = connect(addr)
        .call(INIT_PRODUCER_ID_VERSION, &request)
        .expect("InitProducerId is answered");
    assert_eq!(answer.error_code, ErrorCode::NONE);
    answer.producer_id
}

fn batch(id: i64, epoch: i16, base_sequence: i32, records: i32) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::Lz4);
    builder.set_producer(Some(ProducerStamp {
        id,
        epoch,
        base_sequence,
    }));
    for number in base_sequence..base_sequence + records {
        let value = number.to_string();
        let record = NewRecord {
            timestamp: 1,
            value: Some(value.as_bytes()),
            ..NewRecord::default()
        };
        builder.push(&record).expect("a few small records");
    }
    builder.build()
}

/// Sends these bytes on a connection of their own.
fn send(addr: SocketAddr, batch: &Bytes) -> PartitionProduceResponse {
    let mut client = connect(addr);
    client
        .send_batch(TOPIC, 0, -1, batch.clone())
        .expect("the batch is sent");
    let answer = client.receive_ack().expect("Produce is answered");
    answer.expect("the broker stays").1
}

#[track_caller]
fn taken_at(addr: SocketAddr, batch: &Bytes, offset: i64) {
    let answer = send(addr, batch);
    let told = (answer.error_code, answer.base_offset);
    assert_eq!(
        told,
        (ErrorCode::NONE, offset),
        "{:?}",
        answer.error_message
    );
}

#[track_caller]
fn refused(addr: SocketAddr, batch: &Bytes, code: ErrorCode) {
    let answer = send(addr, batch);
    assert_eq!(answer.error_code, code, "{:?}", answer.error_message);
    assert_eq!(answer.base_offset, -1);
    assert!(answer.error_message.is_some(), "it says why");
}

#[test]
fn the_same_bytes_are_answered_the_same_over_connections_and_restarts() {
    let dir = TestDir::new("idempotent");
    let mut broker = BrokerProcess::start(&dir.join("data"));
    let addr = broker.addr();
    connect(addr).create_topic(TOPIC, 1, &[]);
    let id = producer_id(addr);
    let batches = [
        batch(id, 0, 0, 10),
        batch(id, 0, 10, 5),
        batch(id, 0, 15, 1),
    ];
    let offsets = [0, 10, 15];
    let check = |addr| {
        for (batch, offset) in batches.iter().zip(offsets) {
            taken_at(addr, batch, offset);
        }
        let end = connect(addr).end_offset(TOPIC, 0).expect("an end offset");
        assert_eq!(end, 16, "nothing is stored twice");
        refused(
            addr,
            &batch(id, 0, 17, 1),
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        );
        refused(
            addr,
            &batch(id, 0, 9, 2),
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        );
    };
    check(addr);
    check(addr);
    broker.kill9();
    broker.restart();
    check(addr);
    broker.sigterm();
    assert!(broker.wait_for_exit().success());
    broker.restart();
    check(addr);

    // Another producer has its own numbers, and a new epoch starts at 0 and fences the old one.
    let other = producer_id(addr);
    assert_ne!(other, id);
    taken_at(addr, &batch(other, 0, 0, 2), 16);
    refused(
        addr,
        &batch(id, 1, 16, 1),
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
    );
    taken_at(addr, &batch(id, 1, 0, 1), 18);
    refused(addr, &batches[2], ErrorCode::INVALID_PRODUCER_EPOCH);
    broker.kill9();
    broker.restart();
    refused(
        addr,
        &batch(id, 0, 16, 1),
        ErrorCode::INVALID_PRODUCER_EPOCH,
    );
    taken_at(addr, &batch(id, 1, 0, 1), 18);
    taken_at(addr, &batch(id, 1, 1, 1), 19);
}

const PARTITIONS: i32 = 3;
const KILLS: usize = 20;
const KILLS_LONG: usize = 200;
/// The kill comes after this many deliveries of the round at the latest.
const DELIVERIES_MAX: usize = 3000;

#[test]
fn kills_under_load_lose_nothing_and_double_nothing() {
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let dir = TestDir::new("idempotent-kills");
    let mut broker = BrokerProcess::start(&dir.join("data"));
    let addr = broker.addr();
    // Small segments, so that kills meet rolls.
    connect(addr).create_topic(TOPIC, PARTITIONS, &[("segment.bytes", "65536")]);

    let mut load = IdempotentLoad::new(addr, TOPIC, PARTITIONS);
    let kills = if is_long() { KILLS_LONG } else { KILLS };
    for _ in 0..kills {
        let goal = load.delivered() + rng.random_range(1..=DELIVERIES_MAX);
        eventually("deliveries", Deadline::seconds(60), || {
            for _ in 0..20 {
                load.send();
            }
            (load.delivered() >= goal).then_some(())
        });
        broker.kill9();
        broker.restart();
    }
    let sent = load.sent();
    let delivered = load.finish();
    for partition in 0..PARTITIONS {
        let offsets = &delivered[&partition];
        assert_eq!(offsets.len() as u64, sent, "partition {partition}");
        let stored = connect(addr).read_from(TOPIC, partition, 0);
        let mut number = 0;
        for record in stored.into_iter().flat_map(|batch| batch.records) {
            let key = record.key.expect("a key");
            let found = load::number(&key);
            assert_eq!(
                found,
                Some(number),
                "partition {partition}, offset {}: lost, doubled or out of order",
                record.offset
            );
            assert_eq!(
                record.value.as_deref(),
                Some(&load::value(partition, number)[..])
            );
            assert_eq!(
                offsets[&number], record.offset,
                "where the acknowledgement said"
            );
            number += 1;
        }
        assert_eq!(number, sent, "partition {partition} holds each record once");
    }
    println!(
        "{kills} kills: {sent} records in each of {PARTITIONS} partitions, each once, in order"
    );
}
