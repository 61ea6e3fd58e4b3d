//! Partitions are added, leaders' epochs end somewhere, and the cluster and its directory are shown.

#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use common::*;
use laminarmq_broker::HostPort;
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use laminarmq_kafka::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use laminarmq_kafka::messages::delete_topics::DeletableTopicResult;
use laminarmq_kafka::messages::describe_log_dirs::DescribableLogDirTopic;
use laminarmq_kafka::messages::metadata::MetadataRequestTopic;
use laminarmq_kafka::messages::offset_for_leader_epoch::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use laminarmq_kafka::messages::{
    CreatePartitionsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    DescribeLogDirsRequest, MetadataRequest, OffsetForLeaderEpochRequest,
};

fn growth(topics: &[(&str, i32)]) -> CreatePartitionsRequest {
    let topic = |(name, count): &(&str, i32)| CreatePartitionsTopic {
        name: (*name).to_owned(),
        count: *count,
        assignments: None,
    };
    CreatePartitionsRequest {
        topics: topics.iter().map(topic).collect(),
        timeout_ms: 30_000,
        validate_only: false,
    }
}

async fn grow(client: &mut Client, request: &CreatePartitionsRequest) -> Vec<ErrorCode> {
    let response = client.ask(3, request).await;
    response
        .results
        .iter()
        .map(|result| result.error_code)
        .collect()
}

/// Number and leader of each partition.
async fn partitions(client: &mut Client, topic: &str) -> Vec<(i32, i32)> {
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(topic.to_owned()),
            ..MetadataRequestTopic::default()
        }]),
        ..MetadataRequest::default()
    };
    let response = client.ask(12, &request).await;
    let partitions = response.topics[0].partitions.iter();
    partitions
        .map(|p| (p.partition_index, p.leader_id))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn added_partitions_can_be_used_at_once_and_stay() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[("max.message.bytes", "300")]).await;
    client.create("u", 2, &[]).await;
    client.produce("t", 0, batch(&["before"])).await;
    let mut check = growth(&[("t", 4)]);
    check.validate_only = true;
    assert_eq!(grow(client, &check).await, [ErrorCode::NONE]);
    assert_eq!(partitions(client, "t").await, [(0, 1)]);
    let both = growth(&[("t", 4), ("u", 3)]);
    assert_eq!(grow(client, &both).await, [ErrorCode::NONE; 2]);
    assert_eq!(
        partitions(client, "t").await,
        [(0, 1), (1, 1), (2, 1), (3, 1)]
    );
    for partition in 1..4 {
        let value = format!("in {partition}");
        let produced = client.produce("t", partition, batch(&[&value])).await;
        assert_eq!(
            (produced.error_code, produced.base_offset),
            (ErrorCode::NONE, 0)
        );
        // They have the topic's settings.
        let large = client
            .produce("t", partition, batch(&[&"x".repeat(400)]))
            .await;
        assert_eq!(large.error_code, ErrorCode::MESSAGE_TOO_LARGE);
    }
    stop(fixture.broker).await;
    fixture.broker = start(fixture.dir.path()).await;
    let client = &mut Client::connect(fixture.broker.kafka_addr()).await;
    assert_eq!(partitions(client, "t").await.len(), 4);
    assert_eq!(partitions(client, "u").await.len(), 3);
    assert_eq!(values(&client.fetch("t", 0, 0).await), ["before"]);
    assert_eq!(values(&client.fetch("t", 3, 0).await), ["in 3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_added_by_the_rules() {
    let mut fixture = fixture_with(|config| config.limits.partitions = 10).await;
    let client = &mut fixture.client;
    for topic in ["t", "u"] {
        client.create(topic, 3, &[]).await;
    }
    let invalid = ErrorCode::INVALID_PARTITIONS;
    for count in [3, 2, 0, -1, 5000] {
        assert_eq!(
            grow(client, &growth(&[("t", count)])).await,
            [invalid],
            "{count}"
        );
    }
    let request = growth(&[("none", 4), ("u", 4), ("u", 5), ("t", 7), ("t/", 9)]);
    let twice = ErrorCode::INVALID_REQUEST;
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let want = [unknown, twice, twice, ErrorCode::NONE, unknown];
    assert_eq!(grow(client, &request).await, want);
    // That makes ten partitions, which is all that the node takes.
    let response = client.ask(3, &growth(&[("u", 4)])).await;
    assert_eq!(response.results[0].error_code, ErrorCode::POLICY_VIOLATION);
    let why = response.results[0].error_message.as_deref().unwrap();
    assert!(why.contains("11"), "{why}");
    assert_eq!(partitions(client, "u").await.len(), 3);
    let deleted = delete(client, "t").await;
    assert_eq!(deleted.error_code, ErrorCode::NONE);
    for (assignments, want) in [
        (vec![vec![1]], ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (
            vec![vec![1], vec![2]],
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
        ),
        (
            vec![vec![1], vec![1, 1]],
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
        ),
        (vec![vec![1], vec![1]], ErrorCode::NONE),
    ] {
        let mut request = growth(&[("u", 5)]);
        let assigned = assignments.into_iter();
        let assigned = assigned.map(|broker_ids| CreatePartitionsAssignment { broker_ids });
        request.topics[0].assignments = Some(assigned.collect());
        assert_eq!(grow(client, &request).await, [want]);
    }
    assert_eq!(partitions(client, "u").await.len(), 5);
}

async fn delete(client: &mut Client, topic: &str) -> DeletableTopicResult {
    let request = DeleteTopicsRequest {
        topic_names: vec![topic.to_owned()],
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    client.ask(5, &request).await.responses.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_cannot_be_opened_are_not_shown_and_can_be_asked_for_again() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    let topics = fixture.dir.path().join("topics");
    std::fs::write(topics.join("t-2"), "in the way").unwrap();
    let storage = ErrorCode::KAFKA_STORAGE_ERROR;
    assert_eq!(grow(client, &growth(&[("t", 3)])).await, [storage]);
    assert_eq!(partitions(client, "t").await, [(0, 1)]);
    assert_eq!(grow(client, &growth(&[("t", 3)])).await, [storage]);
    std::fs::remove_file(topics.join("t-2")).unwrap();
    // More than what failed brings that along.
    assert_eq!(grow(client, &growth(&[("t", 3)])).await, [ErrorCode::NONE]);
    assert_eq!(grow(client, &growth(&[("t", 4)])).await, [ErrorCode::NONE]);
    for partition in 0..4 {
        let produced = client.produce("t", partition, batch(&["a"])).await;
        assert_eq!(produced.error_code, ErrorCode::NONE);
    }
    stop(fixture.broker).await;
    fixture.broker = start(fixture.dir.path()).await;
    let client = &mut Client::connect(fixture.broker.kafka_addr()).await;
    for partition in 0..4 {
        assert_eq!(values(&client.fetch("t", partition, 0).await), ["a"]);
    }
}

/// Lets partitions of a topic begin at these offsets, and says what is answered to each.
async fn cut(client: &mut Client, topic: &str, at: &[(i32, i64)]) -> Vec<(ErrorCode, i64)> {
    let partition = |(partition_index, offset): &(i32, i64)| DeleteRecordsPartition {
        partition_index: *partition_index,
        offset: *offset,
    };
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: topic.to_owned(),
            partitions: at.iter().map(partition).collect(),
        }],
        timeout_ms: 30_000,
    };
    let response = client.ask(2, &request).await;
    let answers = response.topics[0].partitions.iter().zip(at);
    let answers = answers.map(|(answer, (partition, _))| {
        assert_eq!(answer.partition_index, *partition);
        (answer.error_code, answer.low_watermark)
    });
    answers.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_records_are_gone_and_stay_gone() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 2, &[("segment.bytes", "1024")]).await;
    for n in 0..20 {
        let values = [format!("{n} a"), format!("{n} b {}", "x".repeat(200))];
        for partition in 0..2 {
            client
                .produce("t", partition, batch(&[&values[0], &values[1]]))
                .await;
        }
    }
    let none = ErrorCode::NONE;
    assert_eq!(
        cut(client, "t", &[(0, 31), (1, -1)]).await,
        [(none, 31), (none, 40)]
    );
    let out_of_range = (ErrorCode::OFFSET_OUT_OF_RANGE, -1);
    let unknown = (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1);
    let answers = cut(client, "t", &[(0, 41), (0, -2), (2, 0), (-1, 0), (0, 5)]).await;
    let want = [out_of_range, out_of_range, unknown, unknown, (none, 31)];
    assert_eq!(answers, want, "a start never moves back");
    assert_eq!(cut(client, "none", &[(0, -1)]).await, [unknown]);
    let internal = (ErrorCode::INVALID_TOPIC_EXCEPTION, -1);
    assert_eq!(
        cut(client, "__consumer_offsets", &[(0, -1)]).await,
        [internal]
    );
    for round in 0..2 {
        let client = &mut Client::connect(fixture.broker.kafka_addr()).await;
        assert_eq!(client.offset("t", 0, -2).await, (none, 31), "{round}");
        assert_eq!(client.offset("t", 1, -2).await, (none, 40), "{round}");
        assert_eq!(client.offset("t", 1, -1).await, (none, 40), "{round}");
        let gone = client.fetch("t", 0, 30).await;
        assert_eq!(gone.error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
        // The batch of the first record is whole: clients leave out what comes before.
        let found = records(&client.fetch("t", 0, 31).await);
        assert_eq!(found.iter().map(|(offset, _)| *offset).next(), Some(30));
        assert!(found[1].1.starts_with("15 b"), "{found:?}");
        if round == 0 {
            stop(fixture.broker).await;
            fixture.broker = start(fixture.dir.path()).await;
        }
    }
    let client = &mut Client::connect(fixture.broker.kafka_addr()).await;
    let produced = client.produce("t", 1, batch(&["next"])).await;
    assert_eq!((produced.base_offset, produced.log_start_offset), (40, 40));
    assert_eq!(
        records(&client.fetch("t", 1, 40).await),
        [(40, "next".to_owned())]
    );
    // What was before the start takes no room for long.
    let folder = fixture.dir.path().join("topics/t-0");
    let first = || {
        let names = std::fs::read_dir(&folder).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".log")).min().unwrap()
    };
    assert!(first().as_str() > "00000000000000000005.log", "{}", first());
}

/// Error, epoch and end that are answered to this epoch, by somebody who believes in the `current` one.
async fn end_of(client: &mut Client, epoch: i32, current: i32) -> (ErrorCode, i32, i64) {
    let request = OffsetForLeaderEpochRequest {
        replica_id: -1,
        topics: vec![OffsetForLeaderTopic {
            topic: "t".to_owned(),
            partitions: vec![
                OffsetForLeaderPartition {
                    partition: 0,
                    current_leader_epoch: current,
                    leader_epoch: epoch,
                },
                OffsetForLeaderPartition {
                    partition: 9,
                    current_leader_epoch: -1,
                    leader_epoch: epoch,
                },
            ],
        }],
    };
    let response = client.ask(4, &request).await;
    let [found, unknown] = &response.topics[0].partitions[..] else {
        panic!("{response:?}");
    };
    let code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!((unknown.partition, unknown.error_code), (9, code));
    assert_eq!((unknown.leader_epoch, unknown.end_offset), (-1, -1));
    assert_eq!(found.partition, 0);
    (found.error_code, found.leader_epoch, found.end_offset)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_ends_where_the_next_one_begins() {
    let mut fixture = fixture().await;
    fixture.client.create("t", 1, &[]).await;
    // Each start of the broker is an epoch.
    for values in [&["a", "b"][..], &[], &["c"]] {
        let client = &mut Client::connect(fixture.broker.kafka_addr()).await;
        if !values.is_empty() {
            let produced = client.produce("t", 0, batch(values)).await;
            assert_eq!(produced.error_code, ErrorCode::NONE);
        }
        stop(fixture.broker).await;
        fixture.broker = start(fixture.dir.path()).await;
    }
    let client = &mut Client::connect(fixture.broker.kafka_addr()).await;
    client.produce("t", 0, batch(&["d", "e"])).await;
    let none = ErrorCode::NONE;
    for (epoch, want) in [
        (0, (none, 0, 0)),
        (1, (none, 1, 2)),
        (2, (none, 2, 2)),
        (3, (none, 3, 3)),
        (4, (none, 4, 5)),
        (5, (none, -1, -1)),
        (i32::MAX, (none, -1, -1)),
        (-1, (none, -1, -1)),
    ] {
        assert_eq!(end_of(client, epoch, -1).await, want, "{epoch}");
        assert_eq!(end_of(client, epoch, 4).await, want, "{epoch}");
    }
    assert_eq!(
        end_of(client, 1, 3).await,
        (ErrorCode::FENCED_LEADER_EPOCH, -1, -1)
    );
    assert_eq!(
        end_of(client, 1, 5).await,
        (ErrorCode::UNKNOWN_LEADER_EPOCH, -1, -1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_is_shown_with_the_sizes_in_it() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("a", 2, &[]).await;
    client.create("b", 1, &[]).await;
    let empty = log_dirs(client, None).await;
    client.produce("a", 1, batch(&[&"x".repeat(5000)])).await;
    let all = log_dirs(client, None).await;
    let names: Vec<_> = all
        .iter()
        .map(|(name, number, _)| (name.as_str(), *number))
        .collect();
    assert_eq!(names, [("a", 0), ("a", 1), ("b", 0)]);
    assert_eq!(all[0], empty[0]);
    let file = fixture
        .dir
        .path()
        .join("topics/a-1/00000000000000000001.log");
    let growth = all[1].2 - empty[1].2;
    assert!((5000..6000).contains(&growth), "{growth}");
    assert!(all[1].2 <= i64::try_from(file.metadata().unwrap().len()).unwrap());
    let wanted = |topic: &str, partitions: &[i32]| DescribableLogDirTopic {
        topic: topic.to_owned(),
        partitions: partitions.to_vec(),
    };
    let some = vec![
        wanted("a", &[1, 1, 7, -1]),
        wanted("none", &[0]),
        wanted("a", &[1]),
    ];
    assert_eq!(log_dirs(client, Some(some)).await, all[1..2]);
    assert_eq!(log_dirs(client, Some(Vec::new())).await, []);
    let request = DescribeLogDirsRequest { topics: None };
    let response = client.ask(4, &request).await;
    let [dir] = &response.results[..] else {
        panic!("{response:?}");
    };
    assert_eq!(dir.log_dir, fixture.dir.path().display().to_string());
    assert!(
        0 < dir.usable_bytes && dir.usable_bytes <= dir.total_bytes,
        "{dir:?}"
    );
}

/// Topic, partition and size of what is in the one directory.
async fn log_dirs(
    client: &mut Client,
    topics: Option<Vec<DescribableLogDirTopic>>,
) -> Vec<(String, i32, i64)> {
    let mut response = client.ask(1, &DescribeLogDirsRequest { topics }).await;
    assert_eq!(response.results.len(), 1);
    let dir = response.results.remove(0);
    assert_eq!(dir.error_code, ErrorCode::NONE);
    let mut found = Vec::new();
    for topic in dir.topics {
        for partition in topic.partitions {
            assert_eq!((partition.offset_lag, partition.is_future_key), (0, false));
            let size = partition.partition_size;
            found.push((topic.name.clone(), partition.partition_index, size));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_is_described_as_metadata_does() {
    let advertise = HostPort {
        host: "queue.example".to_owned(),
        port: 1234,
    };
    let mut fixture = fixture_with(|config| config.advertise = Some(advertise)).await;
    let mut request = DescribeClusterRequest::default();
    let response = fixture.client.ask(0, &request).await;
    assert_eq!(response.error_code, ErrorCode::NONE);
    assert_eq!(response.cluster_id, fixture.broker.cluster_id());
    assert_eq!((response.controller_id, response.brokers.len()), (1, 1));
    let broker = &response.brokers[0];
    assert_eq!(
        (broker.broker_id, broker.host.as_str(), broker.port),
        (1, "queue.example", 1234)
    );
    assert_eq!(response.cluster_authorized_operations, i32::MIN);
    request.include_cluster_authorized_operations = true;
    let response = fixture.client.ask(1, &request).await;
    let metadata = MetadataRequest {
        include_cluster_authorized_operations: true,
        ..MetadataRequest::default()
    };
    let metadata = fixture.client.ask(8, &metadata).await;
    assert_eq!(
        response.cluster_authorized_operations,
        metadata.cluster_authorized_operations
    );
    for (endpoint_type, want) in [
        (2, ErrorCode::MISMATCHED_ENDPOINT_TYPE),
        (3, ErrorCode::UNSUPPORTED_ENDPOINT_TYPE),
    ] {
        request.endpoint_type = endpoint_type;
        let response = fixture.client.ask(1, &request).await;
        assert_eq!((response.error_code, response.brokers.len()), (want, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_tools_mix_up_are_kept_apart() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("a.b", 1, &[]).await;
    let mut request = create_request("a_b", 1, &[]);
    request.topics.extend(create_request("c.d", 1, &[]).topics);
    request.topics.extend(create_request("c_d", 1, &[]).topics);
    let response = client.ask(7, &request).await;
    let codes: Vec<_> = response
        .topics
        .iter()
        .map(|topic| topic.error_code)
        .collect();
    let invalid = ErrorCode::INVALID_TOPIC_EXCEPTION;
    assert_eq!(codes, [invalid, ErrorCode::NONE, invalid]);
    let why = response.topics[0].error_message.as_deref().unwrap();
    assert!(why.contains("a.b"), "{why}");
    assert_eq!(delete(client, "a.b").await.error_code, ErrorCode::NONE);
    client.create("a_b", 1, &[]).await;
}
