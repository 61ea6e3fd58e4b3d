//! Valid requests, several of each API and version, with every field used in some of them.

use bytes::Bytes;
use laminarmq_kafka::batch::{BatchBuilder, Compression, NewRecord, ProducerStamp};
use laminarmq_kafka::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use laminarmq_kafka::messages::delete_topics::DeleteTopicState;
use laminarmq_kafka::messages::fetch::{FetchPartition, FetchTopic, ForgottenTopic};
use laminarmq_kafka::messages::find_coordinator::{KEY_TYPE_GROUP, KEY_TYPE_TRANSACTION};
use laminarmq_kafka::messages::list_offsets::{
    EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, ListOffsetsPartition, ListOffsetsTopic, MAX_TIMESTAMP,
};
use laminarmq_kafka::messages::metadata::MetadataRequestTopic;
use laminarmq_kafka::messages::produce::{PartitionProduceData, TopicProduceData};
use laminarmq_kafka::messages::{
    ApiVersionsRequest, CreateTopicsRequest, DeleteTopicsRequest, FetchRequest,
    FindCoordinatorRequest, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest,
    ProduceRequest,
};
use laminarmq_kafka::{AnyRequest, ApiKey, RequestHeader, Writer};

use super::valid_groups;

/// The client id in every request.
const CLIENT_ID: &str = "hostile";

/// A topic that is never there.
pub(super) const ABSENT: &str = "absent";

/// Frames (length included) of valid requests of this API and version. `topic` is there, with partitions
/// 0 and 1, and partition 0 has records from offset 0 on. Nothing in them creates or deletes a topic.
///
/// # Panics
/// For an API that this list does not have: a new API needs its valid requests here.
#[must_use]
pub fn valid_requests(api: ApiKey, version: i16, topic: &str) -> Vec<Bytes> {
    let requests: Vec<AnyRequest> = match api {
        ApiKey::Produce => produce(version, topic),
        ApiKey::Fetch => fetch(version, topic),
        ApiKey::ListOffsets => list_offsets(version, topic),
        ApiKey::Metadata => metadata(version, topic),
        ApiKey::ApiVersions => api_versions(version),
        ApiKey::CreateTopics => create_topics(),
        ApiKey::DeleteTopics => delete_topics(version),
        ApiKey::InitProducerId => init_producer_id(version),
        ApiKey::FindCoordinator => find_coordinator(version),
        other => valid_groups::valid_requests(other, version, topic)
            .unwrap_or_else(|| panic!("no valid requests are written down for {}", other.name())),
    };
    requests
        .iter()
        .map(|request| frame(api, version, request))
        .collect()
}

fn frame(api: ApiKey, version: i16, request: &AnyRequest) -> Bytes {
    let header = RequestHeader {
        api_key: api,
        api_version: version,
        correlation_id: 0,
        client_id: Some(CLIENT_ID.to_owned()),
    };
    let mut writer = Writer::frame();
    header.encode(&mut writer).expect("a short client id");
    request
        .encode(&mut writer, version)
        .unwrap_or_else(|error| panic!("{} {version}: {error}", api.name()));
    writer
        .finish_frame()
        .expect("a short frame")
        .concat()
        .into()
}

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

fn produce(version: i16, topic: &str) -> Vec<AnyRequest> {
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

fn fetch(version: i16, topic: &str) -> Vec<AnyRequest> {
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

fn list_offsets(version: i16, topic: &str) -> Vec<AnyRequest> {
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

fn metadata(version: i16, topic: &str) -> Vec<AnyRequest> {
    let asked = |name: &str| MetadataRequestTopic {
        name: Some(name.to_owned()),
        ..MetadataRequestTopic::default()
    };
    // Before version 4 a request cannot say that it creates nothing; the topic asked for is there.
    let request = |topics| MetadataRequest {
        topics,
        allow_auto_topic_creation: version < 4,
        ..MetadataRequest::default()
    };
    let mut requests = vec![request(Some(vec![asked(topic)])), request(Some(vec![]))];
    if version >= 1 {
        requests.push(request(None));
    }
    if version >= 4 {
        requests.push(request(Some(vec![asked(topic), asked(ABSENT), asked("")])));
    }
    if version >= 8 {
        let all = request(None);
        requests.push(MetadataRequest {
            include_topic_authorized_operations: true,
            ..all
        });
    }
    requests.into_iter().map(Into::into).collect()
}

fn api_versions(version: i16) -> Vec<AnyRequest> {
    let mut request = ApiVersionsRequest::default();
    if version >= 3 {
        request.client_software_name = "hostile".to_owned();
        request.client_software_version = "1.0".to_owned();
    }
    vec![request.into()]
}

fn create_topics() -> Vec<AnyRequest> {
    let config = |name: &str, value: &str| CreatableTopicConfig {
        name: name.to_owned(),
        value: Some(value.to_owned()),
    };
    let topic = |name: &str, configs| CreatableTopic {
        name: name.to_owned(),
        num_partitions: 2,
        replication_factor: 1,
        configs,
        ..CreatableTopic::default()
    };
    // Nothing is created by these; their mutations may.
    let request = |topics| CreateTopicsRequest {
        topics,
        timeout_ms: 1000,
        validate_only: true,
    };
    vec![
        request(vec![topic("made", vec![])]).into(),
        request(vec![topic(
            "made",
            vec![config("flush", "os"), config("segment.bytes", "65536")],
        )])
        .into(),
        request(vec![
            topic("made", vec![config("no.such.setting", "x")]),
            topic("", vec![]),
        ])
        .into(),
        request(vec![]).into(),
    ]
}

fn delete_topics(version: i16) -> Vec<AnyRequest> {
    let names = [ABSENT.to_owned(), String::new()];
    let request = if version >= 6 {
        let state = |name: &String| DeleteTopicState {
            name: Some(name.clone()),
            ..DeleteTopicState::default()
        };
        DeleteTopicsRequest {
            topics: names.iter().map(state).collect(),
            timeout_ms: 1000,
            ..DeleteTopicsRequest::default()
        }
    } else {
        DeleteTopicsRequest {
            topic_names: names.to_vec(),
            timeout_ms: 1000,
            ..DeleteTopicsRequest::default()
        }
    };
    vec![request.into()]
}

fn init_producer_id(version: i16) -> Vec<AnyRequest> {
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

fn find_coordinator(version: i16) -> Vec<AnyRequest> {
    let request = |key: &str, key_type| {
        if version >= 4 {
            let coordinator_keys = vec![key.to_owned(), String::new()];
            FindCoordinatorRequest {
                key_type,
                coordinator_keys,
                ..FindCoordinatorRequest::default()
            }
        } else {
            FindCoordinatorRequest {
                key: key.to_owned(),
                key_type,
                ..FindCoordinatorRequest::default()
            }
        }
    };
    let mut requests = vec![request("group", KEY_TYPE_GROUP)];
    if version >= 1 {
        requests.push(request("transaction", KEY_TYPE_TRANSACTION));
    }
    requests.into_iter().map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use laminarmq_kafka::{AnyRequest, Reader, served};

    use super::*;

    #[test]
    fn every_api_and_version_has_valid_requests_that_decode() {
        for range in served() {
            for version in range.min_served..=range.max {
                let frames = valid_requests(range.api, version, "topic");
                assert!(!frames.is_empty());
                for frame in frames {
                    let mut reader = Reader::new(frame.slice(4..));
                    let header = RequestHeader::decode(&mut reader).expect("a header");
                    assert_eq!((header.api_key, header.api_version), (range.api, version));
                    AnyRequest::decode(&header, &mut reader).expect("a body");
                }
            }
        }
    }
}
