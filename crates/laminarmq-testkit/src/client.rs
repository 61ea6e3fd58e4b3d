//! A plain Kafka client over the codec: one connection, no retries, nothing hidden.
//!
//! Versions are fixed, one for each call, so that a test does the same thing each time. Everything that
//! a real client would handle by itself (another leader, a lost connection) is the caller's to see.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use laminarmq_kafka::batch::{BatchHeader, BatchLimits, Record, batches, records, verify};
use laminarmq_kafka::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreatableTopicResult,
};
use laminarmq_kafka::messages::delete_topics::DeleteTopicState;
use laminarmq_kafka::messages::fetch::{FetchPartition, FetchTopic, PartitionData};
use laminarmq_kafka::messages::list_offsets::{
    LATEST_TIMESTAMP, ListOffsetsPartition, ListOffsetsTopic,
};
use laminarmq_kafka::messages::metadata::{MetadataRequestTopic, MetadataResponsePartition};
use laminarmq_kafka::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, TopicProduceData,
};
use laminarmq_kafka::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, FetchRequest, ListOffsetsRequest, MetadataRequest,
    MetadataResponse, ProduceRequest,
};
use laminarmq_kafka::{ErrorCode, Request, decode_response, encode_request};

use crate::{Deadline, Wire, eventually};

/// How long one answer may take.
const ANSWER_SECONDS: u64 = 60;
/// How long a new topic's partitions may take to have a leader.
const LEADER_SECONDS: u64 = 30;
/// Bytes asked for by one fetch.
const FETCH_BYTES: i32 = 16 << 20;
/// What a batch may hold when a test reads it.
const LIMITS: BatchLimits = BatchLimits {
    batch_bytes_max: 256 << 20,
    decompressed_bytes_max: 256 << 20,
};

pub(crate) const CREATE_TOPICS_VERSION: i16 = 5;
pub(crate) const DELETE_TOPICS_VERSION: i16 = 6;
pub(crate) const LIST_OFFSETS_VERSION: i16 = 7;
const METADATA_VERSION: i16 = 12;
pub(crate) const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 12;

/// One connection to one broker.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    correlation: i32,
}

/// A stored batch: its head, and its records by any codec.
#[derive(Debug)]
pub struct StoredBatch {
    /// The head as it is stored.
    pub header: BatchHeader,
    /// The records.
    pub records: Vec<Record>,
}

impl Client {
    /// Connects.
    pub fn connect(addr: SocketAddr) -> io::Result<Self> {
        let wire = Wire::connect(addr, Duration::from_secs(ANSWER_SECONDS))?;
        Ok(Self {
            wire,
            correlation: 0,
        })
    }

    /// This end of the connection.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.wire.local_addr()
    }

    /// The correlation id of the next request.
    #[must_use]
    pub fn next_correlation(&self) -> i32 {
        self.correlation
    }

    /// A second handle on the same connection, so that one thread sends while another receives.
    pub fn split(&self) -> io::Result<Self> {
        Ok(Self {
            wire: self.wire.split()?,
            correlation: self.correlation,
        })
    }

    /// Sends a request and returns its correlation id.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> io::Result<i32> {
        let correlation = self.correlation;
        self.correlation = correlation.wrapping_add(1);
        let pieces =
            encode_request(version, correlation, Some("testkit"), request).map_err(invalid)?;
        self.wire.send_raw(&pieces.concat())?;
        Ok(correlation)
    }

    /// Receives the answer to a request of this type and version; `None` when the broker closed.
    pub fn receive<R: Request>(&mut self, version: i16) -> io::Result<Option<(i32, R::Response)>> {
        let Some(frame) = self.wire.receive_frame()? else {
            return Ok(None);
        };
        decode_response::<R>(frame, version)
            .map(Some)
            .map_err(invalid)
    }

    /// Sends a request and receives its answer.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> io::Result<R::Response> {
        let sent = self.send(version, request)?;
        let Some((correlation, response)) = self.receive::<R>(version)? else {
            return Err(ErrorKind::UnexpectedEof.into());
        };
        if correlation == sent {
            Ok(response)
        } else {
            Err(invalid(format!(
                "sent request {sent}, got the answer to {correlation}"
            )))
        }
    }

    /// Asks about one topic, which is not created by asking.
    pub fn describe(&mut self, topic: &str) -> io::Result<MetadataResponse> {
        let asked = MetadataRequestTopic {
            name: Some(topic.to_owned()),
            ..Default::default()
        };
        let request = MetadataRequest {
            topics: Some(vec![asked]),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        self.call(METADATA_VERSION, &request)
    }

    /// Asks for a topic; a topic that cannot be made is no error.
    pub fn try_create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> io::Result<ErrorCode> {
        let result = self.ask_for_topic(name, partitions, configs)?;
        Ok(result.error_code)
    }

    fn ask_for_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> io::Result<CreatableTopicResult> {
        let config = |&(name, value): &(&str, &str)| CreatableTopicConfig {
            name: name.to_owned(),
            value: Some(value.to_owned()),
        };
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: partitions,
            replication_factor: -1,
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            ..Default::default()
        };
        let response = self.call(CREATE_TOPICS_VERSION, &request)?;
        let result = response.topics.into_iter().next();
        result.ok_or_else(|| invalid("no result"))
    }

    /// Creates a topic and waits until each of its partitions has a leader.
    ///
    /// # Panics
    /// When the topic cannot be created, or gets no leaders in time.
    #[track_caller]
    pub fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let created = self
            .ask_for_topic(name, partitions, configs)
            .expect("CreateTopics is answered");
        assert_eq!(
            created.error_code,
            ErrorCode::NONE,
            "{name}: {:?}",
            created.error_message
        );

        eventually(
            "every partition has a leader",
            Deadline::seconds(LEADER_SECONDS),
            || {
                let led = self.is_led(name, partitions).expect("Metadata is answered");
                led.then_some(())
            },
        );
    }

    /// Whether each of the topic's partitions has a leader.
    pub fn is_led(&mut self, topic: &str, partitions: i32) -> io::Result<bool> {
        let expected = usize::try_from(partitions).expect("a count of partitions");
        let described = self.describe(topic)?;
        let topic = described
            .topics
            .iter()
            .find(|topic| topic.error_code == ErrorCode::NONE);
        let led = topic.map_or(0, |topic| {
            topic
                .partitions
                .iter()
                .filter(|partition| is_led(partition))
                .count()
        });
        Ok(led == expected)
    }

    /// Deletes a topic; a topic that is not there is no error.
    pub fn delete_topic(&mut self, name: &str) -> io::Result<ErrorCode> {
        let topic = DeleteTopicState {
            name: Some(name.to_owned()),
            ..Default::default()
        };
        let request = DeleteTopicsRequest {
            topics: vec![topic],
            timeout_ms: 30_000,
            ..Default::default()
        };
        let response = self.call(DELETE_TOPICS_VERSION, &request)?;
        let result = response
            .responses
            .first()
            .ok_or_else(|| invalid("no result"))?;
        Ok(result.error_code)
    }

    /// The offset up to which a partition can be read.
    pub fn end_offset(&mut self, topic: &str, partition: i32) -> io::Result<i64> {
        let asked = ListOffsetsPartition {
            partition_index: partition,
            timestamp: LATEST_TIMESTAMP,
            ..Default::default()
        };
        let request = ListOffsetsRequest {
            topics: vec![ListOffsetsTopic {
                name: topic.to_owned(),
                partitions: vec![asked],
            }],
            ..Default::default()
        };
        let response = self.call(LIST_OFFSETS_VERSION, &request)?;
        let topic = response.topics.into_iter().next();
        let partition = topic.and_then(|topic| topic.partitions.into_iter().next());
        let partition = partition.ok_or_else(|| invalid("no result"))?;
        match partition.error_code {
            ErrorCode::NONE => Ok(partition.offset),
            error => Err(invalid(format!("ListOffsets: {error}"))),
        }
    }

    /// Asks about all topics.
    pub fn describe_all(&mut self) -> io::Result<MetadataResponse> {
        let request = MetadataRequest {
            topics: None,
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        self.call(METADATA_VERSION, &request)
    }

    /// Sends one batch without waiting for the answer; returns the correlation id.
    pub fn send_batch(
        &mut self,
        topic: &str,
        partition: i32,
        acks: i16,
        batch: Bytes,
    ) -> io::Result<i32> {
        self.send(
            PRODUCE_VERSION,
            &produce_request(topic, partition, acks, batch),
        )
    }

    /// Receives the answer to a [`Self::send_batch`]; `None` when the broker closed.
    pub fn receive_ack(&mut self) -> io::Result<Option<(i32, PartitionProduceResponse)>> {
        let Some((correlation, response)) = self.receive::<ProduceRequest>(PRODUCE_VERSION)? else {
            return Ok(None);
        };
        let topic = response.responses.into_iter().next();
        let partition = topic.and_then(|topic| topic.partition_responses.into_iter().next());
        partition
            .map(|partition| Some((correlation, partition)))
            .ok_or_else(|| invalid("no result"))
    }

    /// Sends one batch with acks=all; returns the offset of its first record.
    ///
    /// # Panics
    /// When it is not acknowledged.
    #[track_caller]
    pub fn produce(&mut self, topic: &str, partition: i32, batch: Bytes) -> i64 {
        let sent = self
            .send_batch(topic, partition, -1, batch)
            .expect("the batch is sent");
        let (correlation, ack) = self
            .receive_ack()
            .expect("Produce is answered")
            .expect("the broker stays");
        assert_eq!(correlation, sent);
        assert_eq!(
            ack.error_code,
            ErrorCode::NONE,
            "{topic}/{partition}: {:?}",
            ack.error_message
        );
        ack.base_offset
    }

    /// Fetches from an offset on, without waiting for data.
    pub fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> io::Result<PartitionData> {
        let asked = FetchPartition {
            partition,
            fetch_offset: offset,
            partition_max_bytes: FETCH_BYTES,
            ..Default::default()
        };
        let topic = FetchTopic {
            topic: topic.to_owned(),
            partitions: vec![asked],
        };
        let request = FetchRequest {
            max_bytes: FETCH_BYTES,
            topics: vec![topic],
            ..Default::default()
        };
        let response = self.call(FETCH_VERSION, &request)?;
        let topic = response.responses.into_iter().next();
        let partition = topic.and_then(|topic| topic.partitions.into_iter().next());
        partition.ok_or_else(|| {
            invalid(format!(
                "no partition in the answer: {}",
                response.error_code
            ))
        })
    }

    /// Reads everything from `offset` up to the high watermark. Each batch is checked: its CRC, its records,
    /// and that it begins where the one before it ended.
    ///
    /// # Panics
    /// When the partition cannot be read, or a batch is damaged or out of place.
    #[must_use]
    #[track_caller]
    pub fn read_from(&mut self, topic: &str, partition: i32, offset: i64) -> Vec<StoredBatch> {
        let mut stored = Vec::new();
        let mut next = offset;
        loop {
            let fetched = self
                .fetch(topic, partition, next)
                .expect("Fetch is answered");
            assert_eq!(
                fetched.error_code,
                ErrorCode::NONE,
                "{topic}/{partition} from {next}"
            );
            let before = next;
            for batch in batches(fetched.records.into_bytes()) {
                let batch = batch.expect("a batch");
                let header = verify(batch.bytes()).expect("the CRC holds");
                let records = records(batch.bytes(), &LIMITS).expect("records can be read");
                let records: Vec<_> = records
                    .map(|record| record.expect("a whole record"))
                    .collect();
                assert!(
                    header.base_offset == next || (stored.is_empty() && header.base_offset < next),
                    "{topic}/{partition}: a batch at {} where {next} was expected",
                    header.base_offset,
                );
                next = header.next_offset();
                stored.push(StoredBatch { header, records });
            }
            if next >= fetched.high_watermark {
                return stored;
            }
            assert!(
                next > before,
                "{topic}/{partition}: nothing at {next}, below the high watermark"
            );
        }
    }
}

fn is_led(partition: &MetadataResponsePartition) -> bool {
    partition.error_code == ErrorCode::NONE && partition.leader_id >= 0
}

fn produce_request(topic: &str, partition: i32, acks: i16, batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData {
        index: partition,
        records: Some(batch),
    };
    ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![data],
        }],
        ..Default::default()
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
