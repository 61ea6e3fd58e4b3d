//! Starting, stopping, starting again.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "this is test code"
)]

mod common;

use common::*;
use laminarmq_broker::{Broker, DataDirError, FlushMode, StartError};
use laminarmq_kafka::messages::{
    ApiVersionsRequest, FetchRequest, MetadataRequest, ProduceRequest,
};
use laminarmq_kafka::{ErrorCode, decode_response, encode_request};
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn topics_and_records_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut ids = Vec::new();
    for round in 0..3i64 {
        let broker = start(dir.path()).await;
        let mut client = Client::connect(broker.kafka_addr()).await;
        if round == 0 {
            client
                .create("t", 3, &[("max.message.bytes", "1000")])
                .await;
            client.create("os", 1, &[("flush", "os")]).await;
        }
        let metadata = client
            .ask(
                12,
                &MetadataRequest {
                    topics: None,
                    ..Default::default()
                },
            )
            .await;
        ids.push((metadata.cluster_id, metadata.topics[1].topic_id));
        let epoch = metadata.topics[1].partitions[0].leader_epoch;
        assert_eq!(
            i64::from(epoch),
            round + 1,
            "each start is a new leadership"
        );
        for (topic, partition) in [("t", 0), ("t", 2), ("os", 0)] {
            let before = values(&client.fetch(topic, partition, 0).await);
            let want: Vec<_> = (0..round)
                .map(|n| format!("{topic}-{partition}-{n}"))
                .collect();
            assert_eq!(before, want);
            let value = format!("{topic}-{partition}-{round}");
            let produced = client.produce(topic, partition, batch(&[&value])).await;
            assert_eq!(
                (produced.error_code, produced.base_offset),
                (ErrorCode::NONE, round)
            );
        }
        let refused = client.produce("t", 1, batch(&[&"x".repeat(2000)])).await;
        assert_eq!(
            refused.error_code,
            ErrorCode::MESSAGE_TOO_LARGE,
            "settings are kept"
        );
        assert!(records(&client.fetch("t", 1, 0).await).is_empty());
        if round == 1 {
            // Not stopped in order: what was acknowledged is there all the same.
            drop(broker);
            wait_until_free(dir.path()).await;
        } else {
            stop(broker).await;
        }
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

/// Dropping a broker stops it in the background.
async fn wait_until_free(dir: &std::path::Path) {
    in_time("letting the directory go", async {
        loop {
            let file = fs::File::open(dir.join("LOCK")).unwrap();
            if file.try_lock().is_ok() {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_is_refused_with_who_uses_it() {
    let fixture = fixture().await;
    let error = Broker::start(config(fixture.dir.path())).await.unwrap_err();
    let StartError::DataDir(DataDirError::InUse { path, pid }) = &error else {
        panic!("{error}")
    };
    assert_eq!(
        (path.as_path(), *pid),
        (fixture.dir.path(), Some(std::process::id()))
    );
    // And once it is free it is taken.
    stop(fixture.broker).await;
    stop(start(fixture.dir.path()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_told_and_leaves_the_directory_alone() {
    let fixture = fixture().await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir.path().join("data"));
    config.listen.port = fixture.broker.kafka_addr().port();
    let error = Broker::start(config).await.unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
    assert!(!dir.path().join("data").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_out_of_range_are_refused_before_anything_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir.path().join("data"));
    config.flush_threads = 0;
    let error = Broker::start(config).await.unwrap_err();
    assert!(matches!(error, StartError::Config(_)), "{error}");
    assert!(!dir.path().join("data").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_answers_what_was_read_before() {
    let mut fixture = fixture_with(|config| config.default_flush = FlushMode::Sync).await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    let mut waiting = Client::connect(fixture.broker.kafka_addr()).await;
    let mut fetch = fetch_request("t", &[(0, 100)]);
    fetch.topics[0].partitions[0].fetch_offset = 0;
    fetch.max_wait_ms = i32::MAX;
    fetch.min_bytes = i32::MAX;
    waiting.send(12, &fetch).await;
    for _ in 0..30 {
        client
            .send(9, &produce_request("t", &[(0, batch(&["x"]))], -1))
            .await;
    }
    // The first answer proves that the broker is at it.
    client.receive::<ProduceRequest>(9).await;
    let stopping = tokio::spawn(stop(fixture.broker));
    let mut answered = 1;
    while let Some(frame) = client.receive_frame().await {
        let (_, response) = decode_response::<ProduceRequest>(frame, 9).unwrap();
        assert_eq!(
            response.responses[0].partition_responses[0].error_code,
            ErrorCode::NONE
        );
        answered += 1;
    }
    // The fetch does not wait for ever, nor does it lose what was there.
    let (_, response) = waiting.receive::<FetchRequest>(12).await;
    let seen = values(&response.responses[0].partitions[0]).len();
    assert_eq!(waiting.receive_frame().await, None);
    stopping.await.unwrap();
    let broker = start(fixture.dir.path()).await;
    let mut client = Client::connect(broker.kafka_addr()).await;
    let stored = values(&client.fetch("t", 0, 0).await).len();
    assert!(
        stored >= answered && stored >= seen,
        "{stored} {answered} {seen}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_wait_of_a_client_that_sent_more_than_is_read() {
    // The stop may come before the broker has read anything; then there is nothing to see.
    for _ in 0..20 {
        let mut fixture = fixture_with(|config| config.limits.requests_in_flight = 1).await;
        let client = &mut fixture.client;
        client.create("t", 1, &[]).await;
        let mut fetch = fetch_request("t", &[(0, 0)]);
        fetch.max_wait_ms = i32::MAX;
        let first = encode_request(3, 1, None, &ApiVersionsRequest::default())
            .unwrap()
            .concat();
        let fetch = encode_request(12, 2, None, &fetch).unwrap().concat();
        client.write(&[first, fetch.repeat(5)].concat()).await;
        client.receive::<ApiVersionsRequest>(3).await;
        stop(fixture.broker).await;
        if let Some(frame) = client.receive_frame().await {
            let (id, response) = decode_response::<FetchRequest>(frame, 12).unwrap();
            assert_eq!(id, 2);
            assert!(records(&response.responses[0].partitions[0]).is_empty());
            return;
        }
    }
    panic!("no fetch was ever answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_nobody_knows_is_set_aside_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    let mut client = Client::connect(broker.kafka_addr()).await;
    client.create("t", 1, &[]).await;
    client.produce("t", 0, batch(&["kept"])).await;
    stop(broker).await;
    let topics = dir.path().join("topics");
    fs::rename(topics.join("t-0"), topics.join("other-0")).unwrap();
    let broker = start(dir.path()).await;
    let mut client = Client::connect(broker.kafka_addr()).await;
    assert!(records(&client.fetch("t", 0, 0).await).is_empty());
    assert!(topics.join("1.0.stray/00000000000000000001.log").is_file());
    stop(broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_partitions_open_again() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    let mut client = Client::connect(broker.kafka_addr()).await;
    client.create("t", 100, &[]).await;
    for partition in 0..100 {
        client
            .produce("t", partition, batch(&[&partition.to_string()]))
            .await;
    }
    stop(broker).await;
    let broker = start(dir.path()).await;
    let mut client = Client::connect(broker.kafka_addr()).await;
    for partition in 0..100 {
        assert_eq!(
            values(&client.fetch("t", partition, 0).await),
            [partition.to_string()]
        );
    }
    stop(broker).await;
}
