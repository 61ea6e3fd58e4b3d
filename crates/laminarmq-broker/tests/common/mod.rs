//! A broker in this process, and a client that speaks through the codec. Every wait has a deadline.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "this is test code")]

pub(crate) mod exposition;
pub(crate) mod http;

use bytes::Bytes;
use laminarmq_broker::{Broker, BrokerConfig, FlushMode, HostPort, Running};
use laminarmq_kafka::batch::{BatchBuilder, BatchLimits, Compression, NewRecord, batches};
use laminarmq_kafka::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use laminarmq_kafka::messages::fetch::{FetchPartition, FetchTopic, PartitionData};
use laminarmq_kafka::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use laminarmq_kafka::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, TopicProduceData,
};
use laminarmq_kafka::messages::{
    CreateTopicsRequest, FetchRequest, ListOffsetsRequest, ProduceRequest,
};
use laminarmq_kafka::{ErrorCode, Request, decode_response, encode_request};
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Long enough for a machine that is busy with other things, and shorter than the longest fetch.
const DEADLINE: Duration = Duration::from_secs(50);

pub(crate) async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    timeout(DEADLINE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} took too long"))
}

pub(crate) fn config(dir: &Path) -> BrokerConfig {
    BrokerConfig {
        listen: HostPort {
            host: "127.0.0.1".to_owned(),
            port: 0,
        },
        http: None,
        data_dir: dir.to_owned(),
        shards: 2,
        ..BrokerConfig::default()
    }
}

pub(crate) async fn start(dir: &Path) -> Running {
    in_time("the start", Broker::start(config(dir)))
        .await
        .expect("the broker starts")
}

pub(crate) async fn stop(broker: Running) {
    in_time("the stop", broker.shutdown())
        .await
        .expect("everything is on disk");
}

/// A broker in a directory of its own, and a client.
pub(crate) struct Fixture {
    pub(crate) broker: Running,
    pub(crate) client: Client,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) async fn fixture() -> Fixture {
    fixture_with(|_| {}).await
}

pub(crate) async fn fixture_with(change: impl FnOnce(&mut BrokerConfig)) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.default_flush = FlushMode::Os;
    change(&mut config);
    let broker = in_time("the start", Broker::start(config))
        .await
        .expect("the broker starts");
    let client = Client::connect(broker.kafka_addr()).await;
    Fixture {
        broker,
        client,
        dir,
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    next_id: i32,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = in_time("connecting", TcpStream::connect(address))
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, next_id: 0 }
    }

    /// Sends a request and says under which number.
    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        self.next_id += 1;
        let pieces = encode_request(version, self.next_id, Some("test"), request).unwrap();
        self.write(&pieces.concat()).await;
        self.next_id
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        in_time("writing", self.stream.write_all(bytes))
            .await
            .unwrap();
    }

    /// The next answer, which must be the one to a request of this type.
    pub(crate) async fn receive<R: Request>(&mut self, version: i16) -> (i32, R::Response) {
        let frame = self
            .receive_frame()
            .await
            .expect("an answer, not the end of the connection");
        decode_response::<R>(frame, version).unwrap()
    }

    /// The next frame; `None` when the broker closed the connection.
    pub(crate) async fn receive_frame(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        if in_time("an answer", self.stream.read_exact(&mut length))
            .await
            .is_err()
        {
            return None;
        }
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        in_time("the rest of an answer", self.stream.read_exact(&mut frame))
            .await
            .unwrap();
        Some(frame.into())
    }

    pub(crate) async fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let id = self.send(version, request).await;
        let (answered, response) = self.receive::<R>(version).await;
        assert_eq!(answered, id);
        response
    }

    pub(crate) async fn create(&mut self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let response = self
            .ask(7, &create_request(topic, partitions, settings))
            .await;
        assert_eq!(
            response.topics[0].error_code,
            ErrorCode::NONE,
            "{response:?}"
        );
    }

    /// Produces one batch with acks=all.
    pub(crate) async fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        records: Bytes,
    ) -> PartitionProduceResponse {
        let request = produce_request(topic, &[(partition, records)], -1);
        let mut response = self.ask(9, &request).await;
        response.responses.remove(0).partition_responses.remove(0)
    }

    pub(crate) async fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> PartitionData {
        let mut response = self
            .ask(12, &fetch_request(topic, &[(partition, offset)]))
            .await;
        response.responses.remove(0).partitions.remove(0)
    }

    /// The offset that ListOffsets answers to a time (or a special number).
    pub(crate) async fn offset(
        &mut self,
        topic: &str,
        partition: i32,
        timestamp: i64,
    ) -> (ErrorCode, i64) {
        let mut response = self
            .ask(7, &offsets_request(topic, partition, timestamp))
            .await;
        let found = response.topics.remove(0).partitions.remove(0);
        (found.error_code, found.offset)
    }
}

pub(crate) fn create_request(
    topic: &str,
    partitions: i32,
    settings: &[(&str, &str)],
) -> CreateTopicsRequest {
    let setting = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    };
    CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: topic.to_owned(),
            num_partitions: partitions,
            replication_factor: -1,
            configs: settings.iter().map(setting).collect(),
            ..CreatableTopic::default()
        }],
        ..CreateTopicsRequest::default()
    }
}

pub(crate) fn produce_request(topic: &str, batches: &[(i32, Bytes)], acks: i16) -> ProduceRequest {
    let partition = |(index, records): &(i32, Bytes)| PartitionProduceData {
        index: *index,
        records: Some(records.clone()),
    };
    ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: batches.iter().map(partition).collect(),
        }],
        ..ProduceRequest::default()
    }
}

pub(crate) fn fetch_request(topic: &str, wanted: &[(i32, i64)]) -> FetchRequest {
    let partition = |(partition, offset): &(i32, i64)| FetchPartition {
        partition: *partition,
        fetch_offset: *offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic: topic.to_owned(),
            partitions: wanted.iter().map(partition).collect(),
        }],
        ..FetchRequest::default()
    }
}

pub(crate) fn offsets_request(
    topic: &str,
    partition_index: i32,
    timestamp: i64,
) -> ListOffsetsRequest {
    ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: topic.to_owned(),
            partitions: vec![ListOffsetsPartition {
                partition_index,
                timestamp,
                ..ListOffsetsPartition::default()
            }],
        }],
        ..ListOffsetsRequest::default()
    }
}

/// A batch of these values; the n-th record has the time `1000 + n`.
pub(crate) fn batch(values: &[&str]) -> Bytes {
    batch_at(1000, values)
}

pub(crate) fn batch_at(time: i64, values: &[&str]) -> Bytes {
    batch_of(Compression::None, time, values)
}

pub(crate) fn batch_of(codec: Compression, time: i64, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    for (timestamp, value) in (time..).zip(values) {
        let value = Some(value.as_bytes());
        builder
            .push(&NewRecord {
                timestamp,
                value,
                ..NewRecord::default()
            })
            .unwrap();
    }
    builder.build()
}

/// Offsets and values of all records in an answer.
pub(crate) fn records(data: &PartitionData) -> Vec<(i64, String)> {
    assert_eq!(data.error_code, ErrorCode::NONE, "{data:?}");
    let mut out = Vec::new();
    for batch in batches(data.records.clone().into_bytes()) {
        for record in batch.unwrap().records(&BatchLimits::default()).unwrap() {
            let record = record.unwrap();
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            out.push((record.offset, value));
        }
    }
    out
}

pub(crate) fn values(data: &PartitionData) -> Vec<String> {
    records(data).into_iter().map(|(_, value)| value).collect()
}
