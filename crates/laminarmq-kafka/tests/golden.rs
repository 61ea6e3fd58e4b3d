//! Requests that real clients sent: each is read whole, says what the client was asked to say, and is written
//! again byte for byte. Where they come from stands in `golden/README.md`.

use std::collections::BTreeSet;

use bytes::Bytes;
use laminarmq_kafka::batch::{BatchLimits, records, validate};
use laminarmq_kafka::{AnyRequest, ApiKey, Reader, RequestHeader, Writer};

/// Each client, its frames, and how many kinds those are.
const CLIENTS: [(&str, &str, usize); 3] = [
    ("kafka-python", include_str!("golden/kafka-python.txt"), 22),
    ("kafkajs", include_str!("golden/kafkajs.txt"), 22),
    ("librdkafka", include_str!("golden/librdkafka.txt"), 23),
];

/// What the clients were asked to work with.
const TOPIC: &str = "golden";
const GROUP: &str = "golden-group";

/// APIs that none of the clients uses, or none by a request that a script can ask for.
const NOT_SENT: [ApiKey; 4] = [
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeLogDirs,
    ApiKey::OffsetDelete,
    ApiKey::DescribeCluster,
];

struct Golden {
    context: String,
    api: String,
    version: i16,
    frame: Bytes,
}

fn golden() -> Vec<Golden> {
    let mut all = Vec::new();
    for (client, text, count) in CLIENTS {
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines.len(), count, "{client}");
        for line in lines {
            let [api, version, hex] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{client}: {line}");
            };
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
            all.push(Golden {
                context: format!("{client}, {api} {version}"),
                api: api.to_owned(),
                version: version.parse().expect("a number"),
                frame: (0..hex.len()).step_by(2).map(byte).collect(),
            });
        }
    }
    all
}

fn read(golden: &Golden) -> (RequestHeader, AnyRequest) {
    let context = &golden.context;
    let mut r = Reader::new(golden.frame.clone());
    let header = RequestHeader::decode(&mut r).expect(context);
    let request = AnyRequest::decode(&header, &mut r).expect(context);
    assert_eq!(r.remaining(), 0, "{context}");
    (header, request)
}

#[test]
fn frames_are_read_and_written_again_byte_for_byte() {
    for golden in golden() {
        let context = &golden.context;
        let (header, request) = read(&golden);
        assert_eq!(header.api_key.name(), golden.api, "{context}");
        assert_eq!(header.api_version, golden.version, "{context}");
        assert_eq!(header.client_id.as_deref(), Some(TOPIC), "{context}");
        let mut w = Writer::new();
        header.encode(&mut w).expect(context);
        request.encode(&mut w, golden.version).expect(context);
        assert_eq!(w.finish().concat(), golden.frame, "{context}");
    }
}

#[test]
fn every_api_was_sent_by_somebody() {
    let sent: BTreeSet<_> = golden().iter().map(|one| read(one).0.api_key).collect();
    for &key in ApiKey::ALL {
        if laminarmq_kafka::api::codec_versions(key).is_some() {
            assert_eq!(sent.contains(&key), !NOT_SENT.contains(&key), "{key}");
        }
    }
}

#[test]
fn the_requests_say_what_the_clients_were_asked_to_say() {
    for golden in golden() {
        let context = golden.context.as_str();
        match read(&golden).1 {
            AnyRequest::Produce(request) => {
                assert_eq!(request.acks, -1, "{context}");
                let [topic] = &request.topic_data[..] else {
                    panic!("{context}: {request:?}");
                };
                assert_eq!(topic.name, TOPIC, "{context}");
                let batch = topic.partition_data[0].records.clone().expect(context);
                records_of(&batch, context);
            }
            other => said(&other, context),
        }
    }
}

/// The batch as a broker takes it: from an idempotent producer, with key, header and time.
fn records_of(batch: &Bytes, context: &str) {
    let limits = BatchLimits::default();
    let checked = validate(batch.clone(), &limits).expect(context);
    assert!(checked.header().producer_id >= 0, "{context}");
    let first = usize::try_from(checked.header().base_sequence).expect(context);
    for (number, record) in (first..).zip(records(batch, &limits).expect(context)) {
        let record = record.expect(context);
        let text = |bytes: Option<Bytes>| String::from_utf8(bytes.expect(context).to_vec());
        assert_eq!(text(record.key), Ok(format!("key-{number}")), "{context}");
        assert_eq!(text(record.value), Ok(format!("value-{number}")));
        assert_eq!(record.headers[0].key, "h", "{context}");
        assert_eq!(record.headers[0].value.as_deref(), Some(&b"x"[..]));
        let time = 1_700_000_000_000 + i64::try_from(number).expect("few");
        assert_eq!(record.timestamp, time, "{context}");
    }
}

fn said(request: &AnyRequest, context: &str) {
    use AnyRequest as Any;
    let text = format!("{request:?}");
    let group_of = match request {
        Any::JoinGroup(join) => {
            assert_eq!(join.session_timeout_ms, 6000, "{context}");
            assert_eq!(join.protocol_type, "consumer", "{context}");
            assert!(!join.protocols.is_empty(), "{context}");
            Some(&join.group_id)
        }
        Any::SyncGroup(sync) => {
            assert!(!sync.assignments.is_empty(), "{context}: the leader's");
            Some(&sync.group_id)
        }
        Any::Heartbeat(beat) => {
            assert!(!beat.member_id.is_empty(), "{context}");
            Some(&beat.group_id)
        }
        Any::LeaveGroup(leave) => Some(&leave.group_id),
        Any::OffsetCommit(commit) => {
            let partition = &commit.topics[0].partitions[0];
            assert_eq!(commit.topics[0].name, TOPIC, "{context}");
            assert_eq!(partition.partition_index, 0, "{context}");
            assert!((1..=3).contains(&partition.committed_offset), "{context}");
            Some(&commit.group_id)
        }
        Any::OffsetFetch(fetch) => match &fetch.groups[..] {
            [] => Some(&fetch.group_id),
            [group, ..] => Some(&group.group_id),
        },
        Any::DescribeGroups(describe) => Some(&describe.groups[0]),
        Any::DeleteGroups(delete) => Some(&delete.groups_names[0]),
        Any::FindCoordinator(find) => {
            assert_eq!(find.key_type, 0, "{context}");
            Some(&find.key)
        }
        Any::CreateTopics(create) => {
            let [topic] = &create.topics[..] else {
                panic!("{context}: {create:?}");
            };
            assert_eq!((topic.num_partitions, topic.replication_factor), (1, 1));
            assert_eq!(topic.configs[0].name, "max.message.bytes", "{context}");
            assert_eq!(topic.configs[0].value.as_deref(), Some("1048588"));
            None
        }
        Any::DeleteRecords(delete) => {
            assert_eq!(delete.topics[0].partitions[0].offset, 1, "{context}");
            None
        }
        Any::CreatePartitions(create) => {
            assert_eq!(create.topics[0].count, 2, "{context}");
            None
        }
        Any::AlterConfigs(alter) => {
            let config = &alter.resources[0].configs[0];
            assert_eq!(config.name, "max.message.bytes", "{context}");
            assert_eq!(config.value.as_deref(), Some("2097152"), "{context}");
            None
        }
        Any::IncrementalAlterConfigs(alter) => {
            let config = &alter.resources[0].configs[0];
            assert_eq!(config.name, "max.message.bytes", "{context}");
            assert_eq!(
                (config.config_operation, config.value.as_deref()),
                (0, Some("2097152"))
            );
            None
        }
        Any::InitProducerId(init) => {
            assert_eq!(init.transactional_id, None, "{context}");
            return;
        }
        Any::ApiVersions(_) | Any::ListGroups(_) => return,
        Any::Fetch(_)
        | Any::ListOffsets(_)
        | Any::Metadata(_)
        | Any::DeleteTopics(_)
        | Any::DescribeConfigs(_) => None,
        other => panic!("{context}: nobody says what is in {other:?}"),
    };
    match group_of {
        Some(group) => assert_eq!(group, GROUP, "{context}"),
        None => assert!(text.contains(&format!("\"{TOPIC}\"")), "{context}: {text}"),
    }
}
