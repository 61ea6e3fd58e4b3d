use laminarmq_kafka::batch::{Compression, NewRecord};
use laminarmq_kafka::{ApiKey, ErrorCode};

use super::super::fake_broker::{FakeBroker, Fault};
use super::super::{Acks, ClientOptions, Missing, Producer, ProducerOptions};
use super::*;
use crate::clock;

const TOPIC: &str = "t";
/// Records of each partition; small batches, so that many fetches are needed.
const RECORDS: usize = 100;

/// A broker with three partitions of values `partition/offset`.
async fn filled() -> (FakeBroker, Client) {
    let broker = FakeBroker::start(&[(TOPIC, 3)]).await;
    let client = Client::connect(&[broker.address()], ClientOptions::default()).await;
    let client = client.expect("connects");
    let topic = client
        .topic(TOPIC, Missing::Refuse)
        .await
        .expect("is there");
    let options = ProducerOptions {
        acks: Acks::All,
        codec: Compression::None,
        linger: std::time::Duration::ZERO,
        batch_bytes: 200,
    };
    let mut producer = Producer::open(&client, &topic, options)
        .await
        .expect("opens");
    for offset in 0..RECORDS {
        for partition in 0..3 {
            let value = format!("{partition}/{offset}");
            let record = NewRecord {
                value: Some(value.as_bytes()),
                ..NewRecord::default()
            };
            let pushed = producer.push(&record, Some(partition), clock::now()).await;
            pushed.expect("taken");
        }
    }
    producer.finish().await.expect("written");
    (broker, client)
}

fn whole(partition: i32) -> Assignment {
    Assignment {
        partition,
        from: 0,
        to: Some(100),
    }
}

/// Reads to the end; values by partition.
async fn read(
    client: &Client,
    assignments: &[Assignment],
) -> Result<[Vec<String>; 3], ClientError> {
    let mut consumer = Consumer::open(client, TOPIC, assignments);
    let mut values = [const { Vec::new() }; 3];
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        let at = usize::try_from(delivery.partition).expect("a partition");
        for record in delivery.records() {
            let value = record?.value.expect("a value");
            values[at].push(String::from_utf8(value.to_vec()).expect("text"));
        }
    }
    Ok(values)
}

fn expected(partition: usize, range: std::ops::Range<usize>) -> Vec<String> {
    range
        .map(|offset| format!("{partition}/{offset}"))
        .collect()
}

#[tokio::test]
async fn every_record_once_and_in_order() {
    let (_broker, client) = filled().await;
    let values = read(&client, &[whole(0), whole(1), whole(2)])
        .await
        .expect("read");
    for (partition, values) in values.iter().enumerate() {
        assert_eq!(*values, expected(partition, 0..RECORDS));
    }
}

#[tokio::test]
async fn ranges_may_begin_and_end_within_a_batch() {
    let (_broker, client) = filled().await;
    let range = |partition, from, to| Assignment {
        partition,
        from,
        to: Some(to),
    };
    let wanted = [range(0, 7, 23), range(1, 99, 100), range(2, 50, 50)];
    let values = read(&client, &wanted).await.expect("read");
    assert_eq!(values[0], expected(0, 7..23));
    assert_eq!(values[1], expected(1, 99..100));
    assert_eq!(values[2], expected(2, 0..0));
}

#[tokio::test]
async fn nothing_to_read_asks_for_nothing() {
    let (broker, client) = filled().await;
    let none = Assignment {
        partition: 0,
        from: 5,
        to: Some(5),
    };
    assert_eq!(
        read(&client, &[none]).await.expect("read")[0],
        expected(0, 0..0)
    );
    assert_eq!(broker.count(ApiKey::Fetch), 0);
}

#[tokio::test]
async fn refusals_and_lost_connections_lose_and_double_nothing() {
    let (broker, client) = filled().await;
    for fault in [
        Fault::Refuse(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        Fault::DropAnswer,
        Fault::Refuse(ErrorCode::OFFSET_NOT_AVAILABLE),
    ] {
        broker.fault(ApiKey::Fetch, fault);
    }
    let values = read(&client, &[whole(0), whole(2)]).await.expect("read");
    assert_eq!(values[0], expected(0, 0..RECORDS));
    assert_eq!(values[2], expected(2, 0..RECORDS));
}

#[tokio::test]
async fn a_refusal_for_good_is_told() {
    let (broker, client) = filled().await;
    broker.fault(ApiKey::Fetch, Fault::Refuse(ErrorCode::OFFSET_OUT_OF_RANGE));
    let error = read(&client, &[whole(0)]).await.expect_err("refused");
    let want = ErrorCode::OFFSET_OUT_OF_RANGE;
    assert!(
        matches!(error, ClientError::Refused { code, .. } if code == want),
        "{error:?}"
    );
}

#[tokio::test]
async fn bounds_are_asked_again_while_that_may_help() {
    let (broker, client) = filled().await;
    broker.fault(
        ApiKey::ListOffsets,
        Fault::Refuse(ErrorCode::OFFSET_NOT_AVAILABLE),
    );
    let bounds = client.bounds(TOPIC, &[0, 2]).await.expect("told");
    assert_eq!(
        bounds.into_iter().collect::<Vec<_>>(),
        [(0, (0, 100)), (2, (0, 100))]
    );
}

#[tokio::test]
async fn records_are_read_on_from_a_leader_that_moved() {
    let (broker, client) = filled().await;
    let mut consumer = Consumer::open(&client, TOPIC, &[whole(1)]);
    let mut values = Vec::new();
    while let Some(delivery) = consumer.next().await {
        for record in delivery.expect("read").records() {
            let value = record.expect("whole").value.expect("a value");
            values.push(String::from_utf8(value.to_vec()).expect("text"));
        }
        broker.move_leader();
    }
    assert_eq!(values, expected(1, 0..RECORDS));
}

#[tokio::test]
async fn what_was_read_before_does_not_come_again() {
    let (broker, client) = filled().await;
    let mut consumer = Consumer::open(&client, TOPIC, &[whole(0)]);
    let mut count = 0;
    while let Some(delivery) = consumer.next().await {
        count += delivery.expect("read").records().count();
        broker.fault(ApiKey::Fetch, Fault::Stale);
    }
    assert_eq!(count, RECORDS);
}
