//! The same records through librdkafka, out and in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use laminarmq_testkit::Deadline;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{
    BorrowedMessage, DeliveryResult, Header, Headers, Message, OwnedHeaders, Timestamp,
};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

/// For all records of a test, out or in.
const PASS: Duration = Duration::from_secs(120);

/// A header's name and value, which may be null.
pub type HeaderPair = (String, Option<Vec<u8>>);

/// A record, as sent and as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rec {
    /// The key; `None` is null.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is null.
    pub value: Option<Vec<u8>>,
    /// The headers, in order.
    pub headers: Vec<HeaderPair>,
    /// Milliseconds since the epoch, as chosen by the sender.
    pub timestamp: i64,
}

/// The records of each partition, in order.
pub type Partitions = BTreeMap<i32, Vec<Rec>>;

/// What became of the records sent: for each partition the outcomes, by the records' place in it. Not in
/// the order of the calls: librdkafka's thread and the one that flushes both make them.
type Deliveries = BTreeMap<i32, BTreeMap<usize, Result<i64, KafkaError>>>;

#[derive(Default)]
struct Delivered(Mutex<Deliveries>);

/// Collects the deliveries.
#[derive(Clone, Default)]
struct Context(Arc<Delivered>);

impl ClientContext for Context {}

impl ProducerContext for Context {
    /// The record's place within its partition.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let (partition, outcome) = match result {
            Ok(message) => (message.partition(), Ok(message.offset())),
            Err((error, message)) => (message.partition(), Err(error.clone())),
        };
        let mut deliveries = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = deliveries
            .entry(partition)
            .or_default()
            .insert(index, outcome);
        assert!(
            before.is_none(),
            "record {index} of partition {partition} was delivered twice"
        );
    }
}

/// Sends the records of each partition in order, partitions interleaved, with these settings; returns
/// once all are delivered.
///
/// # Panics
/// When one is not delivered, or (unless `acks` is 0, which tells no offsets) at another offset than the
/// next one of its partition, counted from 0.
pub fn produce(addr: SocketAddr, topic: &str, settings: &[(&str, &str)], partitions: &Partitions) {
    let tells_offsets = !settings.contains(&("acks", "0"));
    for (partition, offsets) in deliver(addr, topic, settings, partitions) {
        for (expected, offset) in (0..).zip(offsets) {
            assert!(
                !tells_offsets || offset == expected,
                "partition {partition}: {offset}, not {expected}"
            );
        }
    }
}

/// The same for partitions that have records already.
///
/// # Panics
/// When one is not delivered.
pub fn produce_more(
    addr: SocketAddr,
    topic: &str,
    settings: &[(&str, &str)],
    partitions: &Partitions,
) {
    deliver(addr, topic, settings, partitions);
}

/// Sends the records and waits for them; returns their offsets, in the order of each partition.
fn deliver(
    addr: SocketAddr,
    topic: &str,
    settings: &[(&str, &str)],
    partitions: &Partitions,
) -> BTreeMap<i32, Vec<i64>> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", addr.to_string())
        .set("message.max.bytes", "2000000");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    let context = Context::default();
    let producer: ThreadedProducer<Context> = config
        .create_with_context(context.clone())
        .expect("the settings are good");
    let longest = partitions.values().map(Vec::len).max().unwrap_or(0);
    for index in 0..longest {
        for (&partition, records) in partitions {
            if let Some(record) = records.get(index) {
                send(&producer, topic, partition, index, record);
            }
        }
    }
    producer.flush(PASS).expect("everything is sent in time");

    let deliveries = context.0.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut offsets = BTreeMap::new();
    for (&partition, records) in partitions {
        let delivered = deliveries.get(&partition).into_iter().flatten();
        let delivered: Vec<i64> = delivered
            .map(|(_, delivery)| *delivery.as_ref().expect("the record is delivered"))
            .collect();
        assert_eq!(
            delivered.len(),
            records.len(),
            "deliveries of partition {partition}"
        );
        offsets.insert(partition, delivered);
    }
    offsets
}

fn send(
    producer: &ThreadedProducer<Context>,
    topic: &str,
    partition: i32,
    index: usize,
    record: &Rec,
) {
    let mut message = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, index)
        .partition(partition)
        .timestamp(record.timestamp);
    message.key = record.key.as_deref();
    message.payload = record.value.as_deref();
    if !record.headers.is_empty() {
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        let add = |headers: OwnedHeaders, (key, value): &HeaderPair| {
            headers.insert(Header {
                key,
                value: value.as_deref(),
            })
        };
        message.headers = Some(record.headers.iter().fold(headers, add));
    }
    let deadline = Deadline::after(PASS);
    loop {
        match producer.send(message) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                assert!(!deadline.is_past(), "librdkafka's queue stays full");
                message = returned;
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => panic!("cannot send: {error}"),
        }
    }
}

/// Reads the partitions `0..partitions` from their start to their end.
///
/// # Panics
/// When reading fails or takes too long, an offset is not the next one of its partition, or a record has
/// not the sender's timestamp.
#[must_use]
pub fn consume(addr: SocketAddr, topic: &str, partitions: i32) -> Partitions {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", addr.to_string())
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("auto.offset.reset", "error");
    let consumer: BaseConsumer = config.create().expect("the settings are good");
    let mut assignment = TopicPartitionList::new();
    for partition in 0..partitions {
        assignment
            .add_partition_offset(topic, partition, Offset::Offset(0))
            .expect("a new partition of the list");
    }
    consumer.assign(&assignment).expect("assigned");

    let mut read = Partitions::new();
    let mut ended = 0;
    let deadline = Deadline::after(PASS);
    while ended < partitions {
        assert!(
            !deadline.is_past(),
            "read {:?} so far",
            read.values().map(Vec::len).collect::<Vec<_>>()
        );
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => panic!("cannot read: {error}"),
            Some(Ok(message)) => {
                let records = read.entry(message.partition()).or_default();
                let expected = i64::try_from(records.len()).expect("a count");
                assert_eq!(
                    message.offset(),
                    expected,
                    "partition {}",
                    message.partition()
                );
                records.push(record(&message));
            }
        }
    }
    read
}

fn record(message: &BorrowedMessage<'_>) -> Rec {
    let Timestamp::CreateTime(timestamp) = message.timestamp() else {
        panic!("not the sender's timestamp: {:?}", message.timestamp());
    };
    let pair =
        |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
    Rec {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: message
            .headers()
            .map_or_else(Vec::new, |headers| headers.iter().map(pair).collect()),
        timestamp,
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    /// librdkafka's own mock broker, so that a difference is this driver's.
    #[test]
    fn what_is_sent_is_read() {
        let cluster = MockCluster::new(1).expect("a mock broker");
        cluster.create_topic("topic", 2, 1).expect("a topic");
        let addr = cluster.bootstrap_servers().parse().expect("one address");
        let record = |key: Option<&[u8]>, value: Option<&[u8]>, headers| Rec {
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers,
            timestamp: 1_700_000_000_000,
        };
        let headers = vec![("h".to_owned(), None), ("h".to_owned(), Some(Vec::new()))];
        let sent = Partitions::from([
            (
                0,
                vec![
                    record(None, Some(b""), headers),
                    record(Some(b""), None, vec![]),
                ],
            ),
            (1, vec![record(Some(b"key"), Some(b"value"), vec![])]),
        ]);
        produce(addr, "topic", &[("acks", "all")], &sent);
        assert_eq!(consume(addr, "topic", 2), sent);
    }
}
