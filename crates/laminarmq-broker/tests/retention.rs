//! Old records go, young ones stay, and closed segments are given back.

#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use common::*;
use laminarmq_broker::{Broker, Clock, Entropy, Env, FlushMode};
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use laminarmq_kafka::messages::{DescribeLogDirsRequest, IncrementalAlterConfigsRequest};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A clock that the test turns.
#[derive(Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Counter(AtomicU64);

impl Entropy for Counter {
    fn next_u64(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// A broker that looks at what it keeps all the time, by this clock.
async fn looking(now_ms: i64) -> (Fixture, Arc<Hand>) {
    let clock = Arc::new(Hand::default());
    clock.0.store(now_ms, Ordering::Relaxed);
    let env = Env::new(
        Arc::clone(&clock) as _,
        Arc::new(Counter(AtomicU64::new(1))),
    );
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.default_flush = FlushMode::Os;
    config.retention_check = Duration::from_millis(2);
    let broker = Broker::start_with(config, env);
    let broker = in_time("the start", broker).await.unwrap();
    let client = Client::connect(broker.kafka_addr()).await;
    let fixture = Fixture {
        broker,
        client,
        dir,
    };
    (fixture, clock)
}

/// Asks until the answer is this one.
async fn until<T: PartialEq + std::fmt::Debug>(want: T, mut ask: impl AsyncFnMut() -> T) {
    let asking = async {
        while ask().await != want {
            tokio::task::yield_now().await;
        }
    };
    in_time(&format!("{want:?}"), asking).await;
}

async fn set(client: &mut Client, topic: &str, name: &str, value: &str) {
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: 2,
            resource_name: topic.to_owned(),
            configs: vec![AlterableConfig {
                name: name.to_owned(),
                config_operation: 0,
                value: Some(value.to_owned()),
            }],
        }],
        validate_only: false,
    };
    let response = client.ask(1, &request).await;
    assert_eq!(response.responses[0].error_code, ErrorCode::NONE);
}

async fn start_of(client: &mut Client, partition: i32) -> i64 {
    client.offset("t", partition, -2).await.1
}

/// One record per segment, with these times.
async fn fill(client: &mut Client, partition: i32, times: &[i64]) {
    for time in times {
        let value = "x".repeat(1200);
        let produced = client
            .produce("t", partition, batch_at(*time, &[&value]))
            .await;
        assert_eq!(produced.error_code, ErrorCode::NONE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_go_when_they_are_too_old_for_their_topic() {
    let (mut fixture, clock) = looking(10_000).await;
    let client = &mut fixture.client;
    client.create("t", 2, &[("segment.bytes", "1024")]).await;
    fill(client, 0, &[1000, 2000, 3000, 4000]).await;
    fill(client, 1, &[1000, 9000]).await;
    // Nobody said that anything may go: more than one look passes.
    set(client, "t", "retention.ms", "1000000").await;
    assert_eq!(start_of(client, 0).await, 0);
    set(client, "t", "retention.ms", "7500").await;
    until(2, async || start_of(client, 0).await).await;
    until(1, async || start_of(client, 1).await).await;
    assert_eq!(records(&client.fetch("t", 1, 1).await).len(), 1);
    // The write segment goes last, with what nobody adds to.
    clock.0.store(16_400, Ordering::Relaxed);
    until(4, async || start_of(client, 0).await).await;
    assert_eq!(client.offset("t", 0, -1).await.1, 4);
    assert_eq!(start_of(client, 1).await, 1, "it is 7400 ms old");
    let produced = client.produce("t", 0, batch_at(16_000, &["next"])).await;
    assert_eq!((produced.base_offset, produced.log_start_offset), (4, 4));
    let gone = client.fetch("t", 0, 3).await;
    assert_eq!(gone.error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
    // What is gone does not come back, also where it may stay now.
    set(client, "t", "retention.ms", "-1").await;
    stop(fixture.broker).await;
    let broker = start(fixture.dir.path()).await;
    let client = &mut Client::connect(broker.kafka_addr()).await;
    assert_eq!(start_of(client, 0).await, 4);
    assert_eq!(
        records(&client.fetch("t", 0, 4).await),
        [(4, "next".to_owned())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_go_when_those_behind_them_are_enough() {
    let (mut fixture, _) = looking(0).await;
    let client = &mut fixture.client;
    let settings = [("segment.bytes", "1024"), ("retention.bytes", "4000")];
    client.create("t", 1, &settings).await;
    fill(client, 0, &[0; 10]).await;
    // Three segments of about 1300 bytes are less than 4000 bytes, four are more. Trims are entries too: those
    // of a look in between may make it one segment less.
    until(true, async || (6..=7).contains(&start_of(client, 0).await)).await;
    fill(client, 0, &[0; 2]).await;
    until(true, async || (8..=9).contains(&start_of(client, 0).await)).await;
    let folder = fixture.dir.path().join("topics/t-0");
    until(true, async || {
        let names = std::fs::read_dir(&folder).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let files = names.filter(|name| name.ends_with(".log")).count();
        (3..=4).contains(&files)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_segment_is_closed_by_the_next_record() {
    // The files are made by the machine's own clock, so all are old to this one.
    let (mut fixture, _) = looking(i64::MAX / 2).await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    let folder = fixture.dir.path().join("topics/t-0");
    let segments = || {
        let names = std::fs::read_dir(&folder).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".log")).count()
    };
    until(true, async || {
        client.produce("t", 0, batch(&["a"])).await;
        segments() >= 3
    })
    .await;
    set(client, "t", "segment.ms", &i64::MAX.to_string()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_without_records_is_given_back() {
    let (mut fixture, _) = looking(10_000).await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    let large = "x".repeat(900_000);
    for _ in 0..2 {
        client.produce("t", 0, batch_at(1000, &[&large])).await;
    }
    let request = DescribeLogDirsRequest { topics: None };
    let size = async |client: &mut Client| {
        let response = client.ask(4, &request).await;
        response.results[0].topics[0].partitions[0].partition_size
    };
    assert!(size(client).await > 1_800_000);
    set(client, "t", "retention.ms", "5000").await;
    until(true, async || size(client).await < 10_000).await;
    assert_eq!(start_of(client, 0).await, 2);
    client.produce("t", 0, batch_at(9000, &["next"])).await;
    assert_eq!(values(&client.fetch("t", 0, 2).await), ["next"]);
}
