//! Requests about records: writing and reading them, and finding and cutting offsets.

use bytes::Bytes;
use laminarmq_kafka::AnyRequest;
use laminarmq_kafka::batch::{BatchBuilder, Compression, NewRecord, ProducerStamp};
use laminarmq_kafka::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use laminarmq_kafka::messages::fetch::{FetchPartition, FetchTopic, ForgottenTopic};
use laminarmq_kafka::messages::list_offsets::{
    EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, ListOffsetsPartition, ListOffsetsTopic, MAX_TIMESTAMP,
};
use laminarmq_kafka::messages::offset_for_leader_epoch::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use laminarmq_kafka::messages::produce::{PartitionProduceData, TopicProduceData};
use laminarmq_kafka::messages::{
    DeleteRecordsRequest, FetchRequest, InitProducerIdRequest, ListOffsetsRequest,
    OffsetForLeaderEpochRequest, ProduceRequest,
};

use super::ABSENT;

fn batch(codec: Compression, stamp: Option<ProducerStamp>) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    builder.set_producer(stamp);
    for (value, headers) in [
        (&b"a value that repeats repeats repeats"[..], &[][..]),
        (b"", &[("h", Some(&b"v"[..]))]),
    ] {
        let record = NewRecord {
            timestamp: 1_700_000_000_000,
            key: Some(b"key"),
            value: Some(value),
            headers,
        };
        builder.push(&record).expect("a small record");
    }
    builder.build()
}

pub(super) fn produce(version: i16, topic: &str) -> Vec<AnyRequest> {
    let request = |acks, topics: &[&str], records: &[Option<Bytes>]| {
        let partition_data: Vec<_> = (0..)
            .zip(records)
            .map(|(index, records)| PartitionProduceData {
                index,
                records: records.clone(),
            })
            .collect();
        let data = |name: &&str| TopicProduceData {
            name: (*name).to_owned(),
            partition_data: partition_data.clone(),
        };
        AnyRequest::from(ProduceRequest {
            acks,
            timeout_ms: 1000,
            topic_data: topics.iter().map(data).collect(),
            ..ProduceRequest::default()
        })
    };
    // zstd came with version 7.
    let codecs = Compression::ALL
        .into_iter()
        .filter(|&codec| codec != Compression::Zstd || version >= 7);
    let mut requests: Vec<_> = codecs
        .map(|codec| request(-1, &[topic], &[Some(batch(codec, None))]))
        .collect();
    let plain = || Some(batch(Compression::None, None));
    let stamp = ProducerStamp {
        id: 4711,
        epoch: 0,
        base_sequence: 0,
    };
    requests.push(request(1, &[topic], &[plain(), plain()]));
    requests.push(request(-1, &[topic, ABSENT], &[plain()]));
    requests.push(request(
        -1,
        &[topic],
        &[Some(batch(Compression::None, Some(stamp)))],
    ));
    requests.push(request(-1, &[topic], &[None]));
    requests
}

pub(super) fn fetch(version: i16, topic: &str) -> Vec<AnyRequest> {
    let request = |topics: &[&str], offset| {
        let partition = |partition| FetchPartition {
            partition,
            fetch_offset: offset,
            partition_max_bytes: 4096,
            log_start_offset: -1,
            ..FetchPartition::default()
        };
        let topics = topics.iter().map(|&topic| FetchTopic {
            topic: topic.to_owned(),
            partitions: vec![partition(0), partition(1)],
        });
        FetchRequest {
            max_wait_ms: 1,
            min_bytes: 1,
            max_bytes: 16 << 10,
            topics: topics.collect(),
            ..FetchRequest::default()
        }
    };
    let mut requests = vec![
        request(&[topic], 0),
        request(&[topic, ABSENT], 1),
        request(&[topic], i64::MAX),
        FetchRequest {
            isolation_level: 1,
            ..request(&[topic], 0)
        },
    ];
    if version >= 7 {
        let forgotten = ForgottenTopic {
            topic: topic.to_owned(),
            partitions: vec![0, 1],
        };
        requests.push(FetchRequest {
            forgotten_topics_data: vec![forgotten],
            ..request(&[topic], 0)
        });
    }
    if version >= 11 {
        requests.push(FetchRequest {
            rack_id: "rack".to_owned(),
            ..request(&[topic], 0)
        });
    }
    requests.into_iter().map(Into::into).collect()
}

pub(super) fn list_offsets(version: i16, topic: &str) -> Vec<AnyRequest> {
    let partition = |timestamp| ListOffsetsPartition {
        timestamp,
        ..ListOffsetsPartition::default()
    };
    let times = [
        EARLIEST_TIMESTAMP,
        LATEST_TIMESTAMP,
        MAX_TIMESTAMP,
        0,
        i64::MAX,
    ];
    let topics = [topic, ABSENT].map(|name| ListOffsetsTopic {
        name: name.to_owned(),
        partitions: times.iter().map(|&time| partition(time)).collect(),
    });
    let request = |isolation_level| ListOffsetsRequest {
        replica_id: -1,
        isolation_level,
        topics: topics.to_vec(),
    };
    let mut requests = vec![request(0)];
    if version >= 2 {
        requests.push(request(1));
    }
    requests.into_iter().map(Into::into).collect()
}

pub(super) fn init_producer_id(version: i16) -> Vec<AnyRequest> {
    let plain = InitProducerIdRequest {
        transaction_timeout_ms: 1000,
        ..InitProducerIdRequest::default()
    };
    let transactional = InitProducerIdRequest {
        transactional_id: Some("transaction".to_owned()),
        ..plain
    };
    let mut requests = vec![plain.clone(), transactional];
    if version >= 3 {
        requests.push(InitProducerIdRequest {
            producer_id: 4711,
            producer_epoch: 0,
            ..plain
        });
    }
    requests.into_iter().map(Into::into).collect()
}

pub(super) fn offset_for_leader_epoch(version: i16, topic: &str) -> Vec<AnyRequest> {
    let partition = |partition, current_leader_epoch, leader_epoch| OffsetForLeaderPartition {
        partition,
        current_leader_epoch,
        leader_epoch,
    };
    let topics = [topic, ABSENT].map(|name| OffsetForLeaderTopic {
        topic: name.to_owned(),
        partitions: vec![
            partition(0, -1, 0),
            partition(1, 0, 1),
            partition(7, i32::MAX, -1),
        ],
    });
    let request = OffsetForLeaderEpochRequest {
        topics: topics.to_vec(),
        ..OffsetForLeaderEpochRequest::default()
    };
    let mut requests = vec![request.clone()];
    if version >= 3 {
        requests.push(OffsetForLeaderEpochRequest {
            replica_id: -1,
            ..request
        });
    }
    requests.into_iter().map(Into::into).collect()
}

/// Nothing is cut by these; their mutations may.
pub(super) fn delete_records(topic: &str) -> Vec<AnyRequest> {
    let request = |name: &str, offset| DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: name.to_owned(),
            partitions: vec![
                DeleteRecordsPartition {
                    partition_index: 1,
                    offset,
                },
                DeleteRecordsPartition {
                    partition_index: 7,
                    offset: -1,
                },
            ],
        }],
        timeout_ms: 1000,
    };
    vec![
        request(topic, 0).into(),
        request(topic, i64::MAX).into(),
        request(ABSENT, -1).into(),
    ]
}
