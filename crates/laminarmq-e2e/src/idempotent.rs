//! An idempotent librdkafka producer that goes on while its broker dies and comes back.
//!
//! Records are numbered in each partition, see [`crate::load`]. What was delivered, and where, is kept; what
//! a broker holds afterwards is judged by whoever reads it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use crate::load;

/// How long a record may take to be delivered, dead brokers and all.
const DELIVERY_SECONDS: u64 = 180;
/// In place of the offset of a record whose own answer was lost, where the answer to a later one said that
/// both are written: what librdkafka calls an invalid offset.
pub const UNTOLD_OFFSET: i64 = -1001;
/// How many records of all partitions may wait for their delivery, unless the user says otherwise.
const QUEUED_MAX: i32 = 20_000;

/// Of each partition: the number of a record, and its offset or why it has none.
type Delivered = BTreeMap<i32, BTreeMap<u64, Result<i64, KafkaError>>>;

#[derive(Default)]
struct Shared(Mutex<Delivered>);

#[derive(Clone, Default)]
struct Context(Arc<Shared>);

impl Context {
    fn lock(&self) -> MutexGuard<'_, Delivered> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    // A broker that is gone is no news here, and librdkafka's own log would drown what is.
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Context {
    /// The record's number.
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<u64>) {
        let (partition, outcome) = match result {
            Ok(message) => (message.partition(), Ok(message.offset())),
            Err((error, message)) => (message.partition(), Err(error.clone())),
        };
        let before = self
            .lock()
            .entry(partition)
            .or_default()
            .insert(*number, outcome);
        assert!(
            before.is_none(),
            "record {number} of partition {partition} was delivered twice"
        );
    }
}

/// The producer, and how far it is.
pub struct IdempotentLoad {
    producer: ThreadedProducer<Context>,
    context: Context,
    topic: String,
    partitions: i32,
    /// The next record's number, in each partition.
    next: u64,
    queued_max: i32,
}

impl IdempotentLoad {
    /// A producer for the partitions `0..partitions` of a topic. Nothing is sent yet.
    ///
    /// # Panics
    /// When librdkafka does not take the settings.
    #[must_use]
    pub fn new(addr: SocketAddr, topic: &str, partitions: i32) -> Self {
        Self::with_bootstrap(&addr.to_string(), topic, partitions)
    }

    /// The same for brokers of which any may be asked first: `HOST:PORT,...`.
    ///
    /// # Panics
    /// When librdkafka does not take the settings.
    #[must_use]
    pub fn with_bootstrap(brokers: &str, topic: &str, partitions: i32) -> Self {
        Self::with_settings(brokers, topic, partitions, &[])
    }

    /// The same with more settings of librdkafka.
    ///
    /// # Panics
    /// When librdkafka does not take the settings.
    #[must_use]
    pub fn with_settings(
        brokers: &str,
        topic: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> Self {
        let context = Context::default();
        let mut config = ClientConfig::new();
        for (name, value) in settings {
            config.set(*name, *value);
        }
        let producer = config
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("linger.ms", "1")
            .set("batch.num.messages", "20")
            .set("retry.backoff.ms", "10")
            .set("reconnect.backoff.ms", "10")
            .set("reconnect.backoff.max.ms", "100")
            .set("message.timeout.ms", (DELIVERY_SECONDS * 1000).to_string())
            .create_with_context(context.clone())
            .expect("the settings are good");
        Self {
            producer,
            context,
            topic: topic.to_owned(),
            partitions,
            next: 0,
            queued_max: QUEUED_MAX,
        }
    }

    /// Lets so many records of all partitions wait for their delivery.
    #[must_use]
    pub fn queue_at_most(mut self, records: i32) -> Self {
        self.queued_max = records;
        self
    }

    /// Sends the next record of each partition; says whether librdkafka had room for it.
    ///
    /// # Panics
    /// When librdkafka refuses a record for good.
    pub fn send(&mut self) -> bool {
        // Room for one in each partition, or none is sent: so all of them have the same number.
        let queued = self.producer.in_flight_count();
        if queued > self.queued_max {
            self.producer.poll(Duration::from_millis(1));
            return false;
        }
        for partition in 0..self.partitions {
            let key = load::key(self.next);
            let value = load::value(partition, self.next);
            let record = BaseRecord::with_opaque_to(&self.topic, Box::new(self.next))
                .partition(partition)
                .key(&key[..])
                .payload(&value[..]);
            match self.producer.send(record) {
                Ok(()) => {}
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    panic!("the queue holds more than are in flight")
                }
                // What librdkafka notices by itself, such as a gap in the sequence, it calls fatal.
                Err((error, _)) => {
                    panic!(
                        "cannot send: {error}: {:?}",
                        self.producer.client().fatal_error()
                    )
                }
            }
        }
        self.next += 1;
        true
    }

    /// How many records were sent to each partition.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.next
    }

    /// How many records of all partitions have an outcome.
    #[must_use]
    pub fn delivered(&self) -> usize {
        self.context.lock().values().map(BTreeMap::len).sum()
    }

    /// Waits until each record has an outcome; returns the offsets, by number, of each partition. Some may be
    /// [`UNTOLD_OFFSET`].
    ///
    /// # Panics
    /// When one was not delivered.
    #[must_use]
    pub fn finish(self) -> BTreeMap<i32, BTreeMap<u64, i64>> {
        self.producer
            .flush(Duration::from_secs(DELIVERY_SECONDS))
            .expect("everything is delivered in time");
        let delivered = self.context.lock();
        let offsets = delivered.iter().map(|(&partition, outcomes)| {
            let offset = |(&number, outcome): (&u64, &Result<i64, KafkaError>)| match outcome {
                Ok(offset) => (number, *offset),
                Err(error) => panic!("record {number} of partition {partition}: {error}"),
            };
            (partition, outcomes.iter().map(offset).collect())
        });
        offsets.collect()
    }
}
