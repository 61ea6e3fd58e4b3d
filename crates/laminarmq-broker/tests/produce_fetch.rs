//! Batches in and out: what each side is told, and when.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "this is test code"
)]

mod common;

use bytes::Bytes;
use common::*;
use laminarmq_broker::{Broker, Clock, Entropy, Env};
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::batch::{BatchHeader, Compression};
use laminarmq_kafka::messages::fetch::FetchPartition;
use laminarmq_kafka::messages::{
    ApiVersionsRequest, FetchRequest, MetadataRequest, ProduceRequest,
};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_in_comes_out_with_offsets() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    for (n, codec) in (0..).zip([
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ]) {
        let produced = client
            .produce("t", 0, batch_of(codec, 1000, &["a", "b"]))
            .await;
        assert_eq!(
            (produced.error_code, produced.base_offset),
            (ErrorCode::NONE, 2 * n)
        );
        assert_eq!(
            (produced.log_start_offset, produced.log_append_time_ms),
            (0, -1)
        );
    }
    let data = client.fetch("t", 0, 0).await;
    let want: Vec<_> = (0..)
        .zip(["a", "b"].repeat(5))
        .map(|(n, v)| (n, v.to_owned()))
        .collect();
    assert_eq!(records(&data), want);
    assert_eq!(
        (
            data.high_watermark,
            data.last_stable_offset,
            data.log_start_offset
        ),
        (10, 10, 0)
    );
    let header = BatchHeader::parse(&data.records.into_bytes()).unwrap();
    assert_eq!((header.base_offset, header.partition_leader_epoch), (0, 1));
    stop(fixture.broker).await;
}

/// A client that knows ids writes them where this version has names.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_read_by_its_id_in_place_of_its_name() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    client.produce("t", 0, batch(&["a"])).await;
    let all = MetadataRequest {
        topics: None,
        ..MetadataRequest::default()
    };
    let described = client.ask(12, &all).await;
    let id = described.topics[0].topic_id.to_string();
    let response = client.ask(12, &fetch_request(&id, &[(0, 0)])).await;
    assert_eq!(response.responses[0].topic, id);
    let fetched = &response.responses[0].partitions[0];
    assert_eq!(values(fetched), ["a"]);
    // A topic with such a name comes first.
    client.create(&id, 1, &[]).await;
    client.produce(&id, 0, batch(&["b"])).await;
    assert_eq!(values(&client.fetch(&id, 0, 0).await), ["b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_inside_a_batch_brings_the_whole_batch() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    client.produce("t", 0, batch(&["a", "b", "c"])).await;
    client.produce("t", 0, batch(&["d", "e"])).await;
    assert_eq!(
        values(&client.fetch("t", 0, 1).await),
        ["a", "b", "c", "d", "e"]
    );
    assert_eq!(values(&client.fetch("t", 0, 4).await), ["d", "e"]);
    assert!(records(&client.fetch("t", 0, 5).await).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_first_batch_may_be_larger_than_the_limits() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 3, &[]).await;
    let large = "x".repeat(10_000);
    for partition in [1, 2] {
        client.produce("t", partition, batch(&[&large])).await;
        client.produce("t", partition, batch(&[&large])).await;
    }
    let mut request = fetch_request("t", &[(0, 0), (1, 0), (2, 0)]);
    request.max_bytes = 100;
    let response = client.ask(12, &request).await;
    let lengths = |response: &laminarmq_kafka::messages::FetchResponse| {
        let partitions = &response.responses[0].partitions;
        partitions
            .iter()
            .map(|data| values(data).len())
            .collect::<Vec<_>>()
    };
    // The first partition that has something gives one batch, the next one nothing.
    assert_eq!(lengths(&response), [0, 1, 0]);
    request.max_bytes = 25_000;
    for partition in &mut request.topics[0].partitions {
        partition.partition_max_bytes = 1;
    }
    assert_eq!(lengths(&client.ask(12, &request).await), [0, 1, 1]);
    request.max_bytes = i32::MAX;
    for partition in &mut request.topics[0].partitions {
        partition.partition_max_bytes = 15_000;
    }
    assert_eq!(lengths(&client.ask(12, &request).await), [0, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_waits_until_there_are_enough_bytes() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 2, &[]).await;
    let mut consumer = Client::connect(fixture.broker.kafka_addr()).await;
    let size = batch(&["value"]).len();
    let mut request = fetch_request("t", &[(0, 0), (1, 0)]);
    request.max_wait_ms = 60_000;
    request.min_bytes = i32::try_from(2 * size).unwrap();
    consumer.send(12, &request).await;
    client.produce("t", 1, batch(&["value"])).await;
    // Half of what it waits for: the fetch goes on waiting, so this produce is seen by it too.
    client.produce("t", 0, batch(&["other"])).await;
    let (_, response) = consumer.receive::<FetchRequest>(12).await;
    let partitions = &response.responses[0].partitions;
    assert_eq!(values(&partitions[0]), ["other"]);
    assert_eq!(values(&partitions[1]), ["value"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_found_too_little_ends_after_its_time() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    client.produce("t", 0, batch(&["a"])).await;
    let mut request = fetch_request("t", &[(0, 0)]);
    request.max_wait_ms = 20;
    request.min_bytes = 1 << 20;
    let response = client.ask(12, &request).await;
    assert_eq!(values(&response.responses[0].partitions[0]), ["a"]);
}

/// The Java client ends its fetching with such a one, and waits for the answer when it is closed.
#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_of_nothing_waits_for_nothing() {
    let mut fixture = fixture().await;
    let mut request = fetch_request("t", &[]);
    request.topics.clear();
    request.max_wait_ms = i32::MAX;
    request.min_bytes = 1;
    let response = fixture.client.ask(12, &request).await;
    assert_eq!(
        (response.error_code, response.responses.len()),
        (ErrorCode::NONE, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_ends_when_another_request_waits_behind_it() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    let mut request = fetch_request("t", &[(0, 0)]);
    request.max_wait_ms = i32::MAX;
    request.min_bytes = 1;
    client.send(12, &request).await;
    client.send(12, &request).await;
    client.send(2, &ApiVersionsRequest::default()).await;
    // What is behind the first one is a fetch, which ends nothing.
    let mut producer = Client::connect(fixture.broker.kafka_addr()).await;
    producer.produce("t", 0, batch(&["value"])).await;
    for _ in 0..2 {
        let (_, response) = client.receive::<FetchRequest>(12).await;
        assert_eq!(values(&response.responses[0].partitions[0]), ["value"]);
    }
    let _ = client.receive::<ApiVersionsRequest>(2).await;
    let mut request = fetch_request("t", &[(0, 1)]);
    request.max_wait_ms = i32::MAX;
    request.min_bytes = 1;
    client.send(12, &request).await;
    client.send(2, &ApiVersionsRequest::default()).await;
    let (_, response) = client.receive::<FetchRequest>(12).await;
    assert!(values(&response.responses[0].partitions[0]).is_empty());
    let _ = client.receive::<ApiVersionsRequest>(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_topic_wakes_who_waits_for_it() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    let mut consumer = Client::connect(fixture.broker.kafka_addr()).await;
    let mut request = fetch_request("t", &[(0, 0)]);
    request.max_wait_ms = 60_000;
    consumer.send(12, &request).await;
    let delete = laminarmq_kafka::messages::DeleteTopicsRequest {
        topic_names: vec!["t".to_owned()],
        timeout_ms: 30_000,
        ..Default::default()
    };
    let response = client.ask(5, &delete).await;
    assert_eq!(response.responses[0].error_code, ErrorCode::NONE);
    let (_, response) = consumer.receive::<FetchRequest>(12).await;
    let code = response.responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_says_what_is_wrong_with_it() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    client.produce("t", 0, batch(&["a"])).await;
    let code = |data: laminarmq_kafka::messages::fetch::PartitionData| data.error_code;
    assert_eq!(
        code(client.fetch("t", 0, 2).await),
        ErrorCode::OFFSET_OUT_OF_RANGE
    );
    assert_eq!(
        code(client.fetch("t", 0, -1).await),
        ErrorCode::OFFSET_OUT_OF_RANGE
    );
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    for (topic, partition) in [("t", 1), ("t", -1), ("u", 0)] {
        assert_eq!(code(client.fetch(topic, partition, 0).await), unknown);
    }
    // An error is not waited with.
    let mut patient = fetch_request("u", &[(0, 0)]);
    patient.max_wait_ms = i32::MAX;
    let response = client.ask(12, &patient).await;
    assert_eq!(response.responses[0].partitions[0].error_code, unknown);
    let with = |change: fn(&mut FetchPartition)| {
        let mut request = fetch_request("t", &[(0, 0)]);
        change(&mut request.topics[0].partitions[0]);
        request
    };
    let fenced = client.ask(12, &with(|p| p.current_leader_epoch = 0)).await;
    let later = client.ask(12, &with(|p| p.current_leader_epoch = 2)).await;
    let right = client.ask(12, &with(|p| p.current_leader_epoch = 1)).await;
    let code =
        |r: &laminarmq_kafka::messages::FetchResponse| r.responses[0].partitions[0].error_code;
    assert_eq!(code(&fenced), ErrorCode::FENCED_LEADER_EPOCH);
    assert_eq!(code(&later), ErrorCode::UNKNOWN_LEADER_EPOCH);
    assert_eq!(code(&right), ErrorCode::NONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_fetch_sessions() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    client.produce("t", 0, batch(&["a"])).await;
    let mut request = fetch_request("t", &[(0, 0)]);
    request.session_epoch = 0;
    let response = client.ask(12, &request).await;
    assert_eq!(
        (response.session_id, response.error_code),
        (0, ErrorCode::NONE)
    );
    assert_eq!(values(&response.responses[0].partitions[0]), ["a"]);
    request.session_id = 77;
    request.session_epoch = 3;
    let response = client.ask(12, &request).await;
    assert_eq!(response.error_code, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    assert!(response.responses.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_partition_of_a_produce_has_its_own_result() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 2, &[("max.message.bytes", "500")]).await;
    let mut damaged = batch(&["a"]).to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let two = [batch(&["a"]), batch(&["b"])].concat();
    let inputs = [
        (0, batch(&["fine"])),
        (1, Bytes::from(damaged)),
        (2, batch(&["a"])),
        (-1, batch(&["a"])),
        (1, Bytes::from(two)),
        (1, batch(&[&"x".repeat(1000)])),
        (1, Bytes::new()),
        (1, batch(&["fine, too"])),
    ];
    let response = client.ask(9, &produce_request("t", &inputs, -1)).await;
    let results: Vec<_> = response.responses[0]
        .partition_responses
        .iter()
        .map(|result| (result.index, result.error_code, result.base_offset))
        .collect();
    let want = [
        (0, ErrorCode::NONE, 0),
        (1, ErrorCode::CORRUPT_MESSAGE, -1),
        (2, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1),
        (-1, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1),
        (1, ErrorCode::INVALID_RECORD, -1),
        (1, ErrorCode::MESSAGE_TOO_LARGE, -1),
        (1, ErrorCode::INVALID_RECORD, -1),
        (1, ErrorCode::NONE, 0),
    ];
    assert_eq!(results, want);
    let response = client
        .ask(9, &produce_request("nowhere", &[(0, batch(&["a"]))], 1))
        .await;
    let result = &response.responses[0].partition_responses[0];
    assert_eq!(result.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert!(result.error_message.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_may_take_larger_batches_than_others() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client
        .create("large", 1, &[("max.message.bytes", "3000000")])
        .await;
    client.create("usual", 1, &[]).await;
    let value = "x".repeat(2_000_000);
    let refused = client.produce("usual", 0, batch(&[&value])).await;
    assert_eq!(refused.error_code, ErrorCode::MESSAGE_TOO_LARGE);
    let taken = client.produce("large", 0, batch(&[&value])).await;
    assert_eq!(taken.error_code, ErrorCode::NONE);
    assert_eq!(values(&client.fetch("large", 0, 0).await), [value]);
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_are_all_one_or_none() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    for (acks, code) in [
        (1, ErrorCode::NONE),
        (-1, ErrorCode::NONE),
        (2, ErrorCode::INVALID_REQUIRED_ACKS),
        (-2, ErrorCode::INVALID_REQUIRED_ACKS),
    ] {
        let response = client
            .ask(9, &produce_request("t", &[(0, batch(&["a"]))], acks))
            .await;
        assert_eq!(
            response.responses[0].partition_responses[0].error_code, code,
            "{acks}"
        );
    }
    // Without acks there is no answer; the next answer belongs to the next request.
    client
        .send(9, &produce_request("t", &[(0, batch(&["b"]))], 0))
        .await;
    assert_eq!(client.offset("t", 0, -1).await, (ErrorCode::NONE, 3));
    // Its errors close the connection: that is all that such a client can notice.
    client
        .send(9, &produce_request("nowhere", &[(0, batch(&["b"]))], 0))
        .await;
    assert_eq!(client.receive_frame().await, None);
    let mut client = Client::connect(fixture.broker.kafka_addr()).await;
    let transactional = ProduceRequest {
        transactional_id: Some("x".to_owned()),
        ..produce_request("t", &[(0, batch(&["a"]))], -1)
    };
    let response = client.ask(9, &transactional).await;
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(code, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_want_to_wait_hears_of_its_success() {
    let mut fixture = fixture_with(|config| config.default_flush = Default::default()).await;
    let client = &mut fixture.client;
    let mut create = create_request("t", 1, &[]);
    create.timeout_ms = 0;
    assert_eq!(
        client.ask(7, &create).await.topics[0].error_code,
        ErrorCode::NONE
    );
    for acks in [1, -1] {
        let mut request = produce_request("t", &[(0, batch(&["a"]))], acks);
        request.timeout_ms = 0;
        let response = client.ask(9, &request).await;
        assert_eq!(
            response.responses[0].partition_responses[0].error_code,
            ErrorCode::NONE
        );
    }
}

struct Fixed;

impl Clock for Fixed {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000
    }
}

impl Entropy for Fixed {
    fn next_u64(&self) -> u64 {
        3
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_append_time_is_the_brokers_clock() {
    let dir = tempfile::tempdir().unwrap();
    let env = Env::new(Arc::new(Fixed), Arc::new(Fixed));
    let broker = Broker::start_with(config(dir.path()), env).await.unwrap();
    let mut client = Client::connect(broker.kafka_addr()).await;
    client
        .create("t", 1, &[("message.timestamp.type", "LogAppendTime")])
        .await;
    let produced = client.produce("t", 0, batch(&["a"])).await;
    assert_eq!(produced.log_append_time_ms, 1_700_000_000_000);
    let data = client.fetch("t", 0, 0).await;
    assert_eq!(values(&data), ["a"]);
    let header = BatchHeader::parse(&data.records.into_bytes()).unwrap();
    assert!(header.attributes.is_log_append_time());
    assert_eq!(header.max_timestamp, 1_700_000_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_found_by_time_and_at_the_ends() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    let found = |offset| (ErrorCode::NONE, offset);
    assert_eq!(client.offset("t", 0, -1).await, found(0));
    assert_eq!(client.offset("t", 0, 0).await, found(-1));
    assert_eq!(client.offset("t", 0, -3).await, found(-1));
    client
        .produce("t", 0, batch_at(1000, &["a", "b", "c"]))
        .await;
    client
        .produce("t", 0, batch_of(Compression::Zstd, 2000, &["d", "e"]))
        .await;
    client.produce("t", 0, batch_at(1500, &["f"])).await;
    assert_eq!(client.offset("t", 0, -2).await, found(0));
    assert_eq!(client.offset("t", 0, -1).await, found(6));
    assert_eq!(client.offset("t", 0, -3).await, found(4));
    // Never a record that is older than the time asked for, though it is in the same batch.
    for (time, offset) in [
        (0, 0),
        (1000, 0),
        (1001, 1),
        (1002, 2),
        (1003, 3),
        (2001, 4),
        (2002, -1),
    ] {
        assert_eq!(client.offset("t", 0, time).await, found(offset), "{time}");
    }
    assert_eq!(
        client.offset("t", 0, -7).await.0,
        ErrorCode::UNSUPPORTED_VERSION
    );
    assert_eq!(
        client.offset("t", 9, -1).await.0,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    );
    let old = client.ask(1, &offsets_request("t", 0, 1001)).await;
    let old = &old.topics[0].partitions[0];
    assert_eq!((old.offset, old.timestamp), (1, 1001));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_batches_are_read_from_files() {
    let mut fixture = fixture_with(|config| {
        config.limits.tail_cache_bytes = 0;
    })
    .await;
    let client = &mut fixture.client;
    client.create("t", 1, &[("segment.bytes", "1024")]).await;
    let text: Vec<String> = (0..40)
        .map(|n| format!("{n}-{}", "x".repeat(300)))
        .collect();
    for value in &text {
        client.produce("t", 0, batch(&[value])).await;
    }
    let mut got = Vec::new();
    while got.len() < text.len() {
        let data = client.fetch("t", 0, got.len() as i64).await;
        let some = values(&data);
        assert!(!some.is_empty());
        got.extend(some);
    }
    assert_eq!(got, text);
}
