use bytes::Bytes;
use laminarmq_kafka::ApiKey;
use laminarmq_kafka::batch::{BatchHeader, BatchLimits, records};

use super::super::fake_broker::{FakeBroker, Fault};
use super::super::{ClientOptions, Missing};
use super::*;
use crate::clock;

const TOPIC: &str = "t";

fn options() -> ProducerOptions {
    ProducerOptions {
        acks: Acks::All,
        codec: Compression::None,
        linger: Duration::from_millis(5),
        batch_bytes: 400,
    }
}

async fn producer(broker: &FakeBroker, options: ProducerOptions) -> Producer {
    let client = Client::connect(&[broker.address()], ClientOptions::default()).await;
    let client = client.expect("connects");
    let topic = client
        .topic(TOPIC, Missing::Refuse)
        .await
        .expect("is there");
    Producer::open(&client, &topic, options)
        .await
        .expect("opens")
}

async fn push(producer: &mut Producer, key: Option<&str>, value: &str) {
    let record = NewRecord {
        key: key.map(str::as_bytes),
        value: Some(value.as_bytes()),
        ..NewRecord::default()
    };
    let pushed = producer.push(&record, None, clock::now()).await;
    pushed.expect("taken");
}

fn values(batches: &[Bytes]) -> Vec<Vec<String>> {
    let limits = BatchLimits::default();
    let values = batches.iter().map(|batch| {
        let records = records(batch, &limits).expect("whole");
        let values = records.map(|record| {
            let value = record.expect("whole").value.expect("a value");
            String::from_utf8(value.to_vec()).expect("text")
        });
        values.collect()
    });
    values.collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("value {number:04}")).collect()
}

#[tokio::test]
async fn batches_fill_up_to_their_size_and_keep_the_order() {
    let broker = FakeBroker::start(&[(TOPIC, 1)]).await;
    let mut producer = producer(&broker, options()).await;
    for value in numbers(0..100) {
        push(&mut producer, None, &value).await;
    }
    let summary = producer.finish().await.expect("written");
    assert_eq!(
        summary.partitions,
        [Written {
            partition: 0,
            records: 100,
            offsets: Some((0, 99)),
        }]
    );
    let batches = broker.batches(TOPIC, 0);
    assert_eq!(values(&batches).concat(), numbers(0..100));
    // (400 - 61) / 17 bytes per record
    assert!(batches.iter().all(|batch| batch.len() <= 400));
    assert_eq!(batches.len(), 100usize.div_ceil(19));
    let heads = batches
        .iter()
        .map(|batch| BatchHeader::parse(batch).expect("whole"));
    let sequences: Vec<_> = heads
        .map(|head| (head.producer_id, head.base_sequence))
        .collect();
    let want: Vec<_> = (0..6).map(|at| (7, at * 19)).collect();
    assert_eq!(sequences, want);
}

#[tokio::test]
async fn a_record_larger_than_a_batch_travels_alone() {
    let broker = FakeBroker::start(&[(TOPIC, 1)]).await;
    let mut producer = producer(&broker, options()).await;
    let large = "x".repeat(1000);
    for value in ["a", &large, "b"] {
        push(&mut producer, None, value).await;
    }
    producer.finish().await.expect("written");
    let stored = values(&broker.batches(TOPIC, 0));
    assert_eq!(
        stored,
        [
            vec![String::from("a")],
            vec![large],
            vec![String::from("b")]
        ]
    );
}

#[tokio::test]
async fn a_batch_leaves_once_its_first_record_has_waited() {
    let broker = FakeBroker::start(&[(TOPIC, 1)]).await;
    let mut producer = producer(&broker, options()).await;
    assert_eq!(producer.due(), None);
    let start = clock::now();
    for (value, after) in [("a", 0), ("b", 3)] {
        let record = NewRecord {
            value: Some(value.as_bytes()),
            ..NewRecord::default()
        };
        let now = start + Duration::from_millis(after);
        producer.push(&record, None, now).await.expect("taken");
    }
    let due = start + Duration::from_millis(5);
    assert_eq!(producer.due(), Some(due));
    producer
        .send_due(due - Duration::from_nanos(1))
        .await
        .expect("nothing to do");
    assert_eq!(producer.due(), Some(due));
    producer.send_due(due).await.expect("sent");
    assert_eq!(producer.due(), None);
    assert_eq!(producer.finish().await.expect("written").records(), 2);
    assert_eq!(broker.batches(TOPIC, 0).len(), 1);
}

#[tokio::test]
async fn keys_stay_together_and_the_rest_goes_around() {
    let broker = FakeBroker::start(&[(TOPIC, 3)]).await;
    let mut producer = producer(&broker, options()).await;
    for _ in 0..10 {
        push(&mut producer, Some("abc"), "keyed").await;
    }
    for value in numbers(0..100) {
        push(&mut producer, None, &value).await;
    }
    let summary = producer.finish().await.expect("written");
    assert_eq!(summary.records(), 110);
    // murmur2("abc") = 479470107, a multiple of 3.
    let of_key = |partition| {
        let stored = values(&broker.batches(TOPIC, partition)).concat();
        stored.iter().filter(|value| *value == "keyed").count()
    };
    assert_eq!([of_key(0), of_key(1), of_key(2)], [10, 0, 0]);
    assert!((0..3).all(|partition| broker.batches(TOPIC, partition).len() >= 2));
}

#[tokio::test]
async fn a_refusal_that_may_pass_is_tried_again_in_order() {
    let broker = FakeBroker::start(&[(TOPIC, 1)]).await;
    let mut producer = producer(&broker, options()).await;
    for code in [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::REQUEST_TIMED_OUT,
    ] {
        broker.fault(ApiKey::Produce, Fault::Refuse(code));
    }
    for value in numbers(0..100) {
        push(&mut producer, None, &value).await;
    }
    producer.finish().await.expect("written");
    assert_eq!(values(&broker.batches(TOPIC, 0)).concat(), numbers(0..100));
    assert_eq!(broker.count(ApiKey::Produce), 100usize.div_ceil(19) + 2);
}

#[tokio::test]
async fn a_lost_answer_doubles_nothing() {
    let broker = FakeBroker::start(&[(TOPIC, 1)]).await;
    let mut producer = producer(&broker, options()).await;
    broker.fault(ApiKey::Produce, Fault::DropAnswer);
    for value in numbers(0..50) {
        push(&mut producer, None, &value).await;
    }
    let summary = producer.finish().await.expect("written");
    assert_eq!(summary.partitions[0].offsets, Some((0, 49)));
    assert_eq!(values(&broker.batches(TOPIC, 0)).concat(), numbers(0..50));
}

#[tokio::test]
async fn a_refusal_for_good_ends_the_producer_with_its_reason() {
    let broker = FakeBroker::start(&[(TOPIC, 1)]).await;
    let mut producer = producer(&broker, options()).await;
    broker.fault(ApiKey::Produce, Fault::Refuse(ErrorCode::MESSAGE_TOO_LARGE));
    push(&mut producer, None, "a").await;
    let error = producer.finish().await.expect_err("refused");
    let want = ErrorCode::MESSAGE_TOO_LARGE;
    assert!(
        matches!(error, ClientError::Refused { code, .. } if code == want),
        "{error:?}"
    );
    assert_eq!(broker.count(ApiKey::Produce), 1);
}

#[tokio::test]
async fn without_acks_the_end_still_waits_for_the_broker() {
    let broker = FakeBroker::start(&[(TOPIC, 1)]).await;
    let acks = Acks::None;
    let mut producer = producer(&broker, ProducerOptions { acks, ..options() }).await;
    for value in numbers(0..100) {
        push(&mut producer, None, &value).await;
    }
    let summary = producer.finish().await.expect("sent");
    assert_eq!(summary.partitions[0].offsets, None);
    assert_eq!(values(&broker.batches(TOPIC, 0)).concat(), numbers(0..100));
}

#[tokio::test]
async fn a_partition_that_is_not_there_is_refused() {
    let broker = FakeBroker::start(&[(TOPIC, 2)]).await;
    let mut producer = producer(&broker, options()).await;
    let pushed = producer
        .push(&NewRecord::default(), Some(2), clock::now())
        .await;
    let error = pushed.expect_err("partitions are 0 and 1");
    assert_eq!(
        error.to_string(),
        "topic `t` has no partition 2 (it has partitions 0 to 1)"
    );
}

#[tokio::test]
async fn a_batch_that_was_there_already_is_written() {
    let broker = FakeBroker::start(&[(TOPIC, 1)]).await;
    let mut producer = producer(&broker, options()).await;
    let known = Fault::Refuse(ErrorCode::DUPLICATE_SEQUENCE_NUMBER);
    broker.fault(ApiKey::Produce, known);
    push(&mut producer, None, "a").await;
    let summary = producer.finish().await.expect("written");
    assert_eq!(
        (summary.records(), summary.partitions[0].offsets),
        (1, None)
    );
}

#[tokio::test]
async fn records_follow_a_leader_that_moves() {
    let broker = FakeBroker::start(&[(TOPIC, 2)]).await;
    let mut producer = producer(&broker, options()).await;
    for value in numbers(0..50) {
        push(&mut producer, Some("abc"), &value).await;
    }
    broker.move_leader();
    for value in numbers(50..100) {
        push(&mut producer, Some("abc"), &value).await;
    }
    assert_eq!(producer.finish().await.expect("written").records(), 100);
    let stored = [0, 1].map(|partition| values(&broker.batches(TOPIC, partition)).concat());
    assert_eq!(stored.concat(), numbers(0..100));
}
