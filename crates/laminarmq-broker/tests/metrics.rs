//! `/metrics`: a page that others can read, numbers that are true, names that are documented.

#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use common::exposition::Page;
use common::http::{ask, get};
use common::*;
use laminarmq_broker::{FlushMode, HostPort};
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use laminarmq_kafka::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use laminarmq_kafka::messages::{
    DeleteRecordsRequest, FindCoordinatorRequest, OffsetCommitRequest, ProduceRequest,
};
use std::collections::BTreeSet;
use std::net::SocketAddr;

async fn with_http() -> (Fixture, SocketAddr) {
    let fixture = fixture_with(|config| {
        config.default_flush = FlushMode::Sync;
        config.http = Some(HostPort {
            host: "127.0.0.1".to_owned(),
            port: 0,
        });
    })
    .await;
    let http = fixture.broker.http_addr().expect("it is on");
    (fixture, http)
}

async fn scrape(http: SocketAddr) -> Page {
    let answer = get(http, "/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let length = answer.header("content-length").expect("a length");
    assert_eq!(length, answer.body.len().to_string());
    Page::parse(&answer.body)
}

/// A request is counted as answered just after its answer left: waits until this page says so.
async fn scrape_until(http: SocketAddr, what: &str, good: impl Fn(&Page) -> bool) -> Page {
    in_time(what, async {
        loop {
            let page = scrape(http).await;
            if good(&page) {
                return page;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_load_is_counted_as_it_was() {
    let (mut fixture, http) = with_http().await;
    let client = &mut fixture.client;
    client.create("t", 2, &[]).await;
    client.create("other", 1, &[]).await;
    let mut bytes = 0;
    for values in [&["a"][..], &["b", "c"], &["d", "e", "f"]] {
        let records = batch(values);
        bytes += records.len();
        client.produce("t", 1, records).await;
    }
    let refused = client.produce("missing", 0, batch(&["x"])).await;
    assert_eq!(refused.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let fetched = client.fetch("t", 1, 1).await;
    let fetched_bytes = fetched.records.into_bytes().len();
    let beyond = client.fetch("t", 1, 7).await;
    assert_eq!(beyond.error_code, ErrorCode::OFFSET_OUT_OF_RANGE);

    let fetch = [("api", "Fetch")];
    let answered = "laminarmq_request_duration_seconds_count";
    let done = |page: &Page| page.value(answered, &fetch) == 2.0;
    let page = scrape_until(http, "the last answer", done).await;
    let count = |name: &str, labels: &[(&str, &str)]| page.value(name, labels);
    assert_eq!(count("laminarmq_produced_records_total", &[]), 6.0);
    assert_eq!(count("laminarmq_produced_batches_total", &[]), 3.0);
    assert_eq!(count("laminarmq_produced_bytes_total", &[]), bytes as f64);
    // From the batch that holds offset 1.
    assert_eq!(count("laminarmq_fetched_records_total", &[]), 5.0);
    assert_eq!(count("laminarmq_fetched_batches_total", &[]), 2.0);
    assert_eq!(
        count("laminarmq_fetched_bytes_total", &[]),
        fetched_bytes as f64
    );
    for (api, requests) in [("Produce", 4.0), ("Fetch", 2.0), ("CreateTopics", 2.0)] {
        let api = [("api", api)];
        assert_eq!(count("laminarmq_requests_total", &api), requests);
        assert_eq!(count(answered, &api), requests);
    }
    for (api, error) in [
        ("Produce", "UNKNOWN_TOPIC_OR_PARTITION"),
        ("Fetch", "OFFSET_OUT_OF_RANGE"),
    ] {
        let labels = [("api", api), ("error", error)];
        assert_eq!(count("laminarmq_request_errors_total", &labels), 1.0);
    }
    let none = [("api", "Produce"), ("error", "NONE")];
    assert_eq!(page.find("laminarmq_request_errors_total", &none), None);

    assert_eq!(count("laminarmq_ready", &[]), 1.0);
    assert_eq!(count("laminarmq_topics", &[]), 2.0);
    assert_eq!(count("laminarmq_partitions", &[]), 3.0);
    assert_eq!(count("laminarmq_connections_open", &[]), 1.0);
    assert_eq!(count("laminarmq_connections_accepted_total", &[]), 1.0);
    assert_eq!(count("laminarmq_request_bytes_in_flight", &[]), 0.0);
    assert_eq!(count("laminarmq_fetch_bytes_in_flight", &[]), 0.0);
    // Three partitions, and that of the metadata.
    let owned = |shard: &str| count("laminarmq_shard_partitions", &[("shard", shard)]);
    assert_eq!(owned("0") + owned("1"), 4.0);

    for (partition, end) in [("0", 0.0), ("1", 6.0)] {
        let labels = [("topic", "t"), ("partition", partition)];
        let of = |name: &str| count(&format!("kafka_topic_partition_{name}"), &labels);
        assert_eq!(of("current_offset"), end);
        assert_eq!(of("oldest_offset"), 0.0);
        assert_eq!(of("leader"), f64::from(fixture.broker.node_id()));
        assert_eq!(of("replicas"), 1.0);
        assert_eq!(of("in_sync_replica"), 1.0);
        assert_eq!(of("leader_is_preferred"), 1.0);
        assert_eq!(of("under_replicated_partition"), 0.0);
    }
    assert_eq!(count("kafka_topic_partitions", &[("topic", "t")]), 2.0);
    assert_eq!(count("kafka_brokers", &[]), 1.0);
    stop(fixture.broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn syncs_are_counted_with_what_they_covered() {
    let (mut fixture, http) = with_http().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    let before = scrape(http).await;
    for _ in 0..5 {
        let request = produce_request("t", &[(0, batch(&["x"]))], -1);
        client.ask::<ProduceRequest>(9, &request).await;
    }
    let after = scrape(http).await;
    let grown = |name: &str| after.value(name, &[]) - before.value(name, &[]);
    // One at a time: nothing gathers. An answer leaves only after the sync of its batch.
    assert_eq!(grown("laminarmq_flush_duration_seconds_count"), 5.0);
    assert_eq!(grown("laminarmq_flush_entries_count"), 5.0);
    assert_eq!(grown("laminarmq_flush_entries_sum"), 5.0);
    assert!(grown("laminarmq_flush_duration_seconds_sum") > 0.0);
    assert!(grown("laminarmq_flush_jobs_total") >= 5.0);
    stop(fixture.broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_as_long_as_its_files() {
    let (mut fixture, http) = with_http().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[("segment.bytes", "2048")]).await;
    let folder = fixture.dir.path().join("topics/t-0");
    let labels = [("topic", "t"), ("partition", "0")];
    let told = |page: &Page| page.value("laminarmq_partition_log_bytes", &labels);
    for _ in 0..30 {
        client.produce("t", 0, batch(&[&"x".repeat(300)])).await;
    }
    let page = scrape(http).await;
    let (mut bytes, mut segments) = (0, 0);
    stop(fixture.broker).await;
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.path().extension().is_some_and(|e| e == "log") {
            segments += 1;
            bytes += entry.metadata().unwrap().len();
        }
    }
    assert!(segments > 3, "{segments}");
    assert_eq!(told(&page), bytes as f64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trim_moves_the_oldest_offset_and_frees_bytes() {
    let (mut fixture, http) = with_http().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[("segment.bytes", "2048")]).await;
    for _ in 0..30 {
        client.produce("t", 0, batch(&[&"x".repeat(300)])).await;
    }
    let before = scrape(http).await;
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: "t".to_owned(),
            partitions: vec![DeleteRecordsPartition {
                partition_index: 0,
                offset: 25,
            }],
        }],
        timeout_ms: 30_000,
    };
    let answer = client.ask(2, &request).await;
    assert_eq!(answer.topics[0].partitions[0].low_watermark, 25);
    let labels = [("topic", "t"), ("partition", "0")];
    let bytes = |page: &Page| page.value("laminarmq_partition_log_bytes", &labels);
    // The segments go a little after the answer.
    let freed = |page: &Page| bytes(page) < bytes(&before) / 2.0;
    let page = scrape_until(http, "the bytes to be freed", freed).await;
    let offset = |name: &str| page.value(&format!("kafka_topic_partition_{name}_offset"), &labels);
    assert_eq!((offset("oldest"), offset("current")), (25.0, 30.0));
    stop(fixture.broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_show_how_far_they_are_behind() {
    let (mut fixture, http) = with_http().await;
    assert_eq!(scrape(http).await.value("laminarmq_groups", &[]), 0.0);
    let client = &mut fixture.client;
    client.create("t", 2, &[]).await;
    client.produce("t", 1, batch(&["a", "b", "c"])).await;
    let find = FindCoordinatorRequest {
        coordinator_keys: vec!["g".to_owned()],
        ..FindCoordinatorRequest::default()
    };
    // The topic of the groups is made when somebody asks for a group.
    in_time("the coordinator", async {
        while client.ask(4, &find).await.coordinators[0].error_code != ErrorCode::NONE {}
    })
    .await;
    let commit = OffsetCommitRequest {
        group_id: "g".to_owned(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: 1,
                committed_offset: 1,
                committed_leader_epoch: -1,
                committed_metadata: None,
            }],
        }],
        ..OffsetCommitRequest::default()
    };
    let committed = client.ask(8, &commit).await;
    let code = committed.topics[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::NONE);
    let page = scrape(http).await;
    let group = ("consumergroup", "g");
    let value = |name: &str, labels: &[(&str, &str)]| {
        page.value(&format!("kafka_consumergroup_{name}"), labels)
    };
    assert_eq!(page.value("laminarmq_groups", &[]), 1.0);
    assert_eq!(value("members", &[group]), 0.0);
    let topic = ("topic", "t");
    for (partition, offset, lag) in [("0", -1.0, -1.0), ("1", 1.0, 2.0)] {
        let labels = [group, topic, ("partition", partition)];
        assert_eq!(value("current_offset", &labels), offset);
        assert_eq!(value("lag", &labels), lag);
    }
    assert_eq!(value("current_offset_sum", &[group, topic]), 1.0);
    assert_eq!(value("lag_sum", &[group, topic]), 2.0);
    stop(fixture.broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_connections_are_counted_by_their_reason() {
    let (fixture, http) = with_http().await;
    drop(Client::connect(fixture.broker.kafka_addr()).await);
    let mut wrong = Client::connect(fixture.broker.kafka_addr()).await;
    wrong.write(&[0xff; 16]).await;
    assert_eq!(wrong.receive_frame().await, None);
    let open = "laminarmq_connections_open";
    let page = scrape_until(http, "the ends", |page| page.value(open, &[]) == 1.0).await;
    for reason in ["done", "bad_frame"] {
        let labels = [("reason", reason)];
        assert_eq!(
            page.value("laminarmq_connections_closed_total", &labels),
            1.0
        );
    }
    assert_eq!(page.value("laminarmq_connections_accepted_total", &[]), 3.0);
    stop(fixture.broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scrapes_side_by_side_are_all_answered() {
    let (mut fixture, http) = with_http().await;
    fixture.client.create("t", 200, &[]).await;
    let scrapes: Vec<_> = (0..20).map(|_| tokio::spawn(scrape(http))).collect();
    for scrape in scrapes {
        let page = scrape.await.unwrap();
        assert_eq!(page.value("laminarmq_partitions", &[]), 200.0);
    }
    let head = ask(http, "HEAD", "/metrics").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    stop(fixture.broker).await;
}

/// Name and type of each row of the tables in `docs/metrics.md` that are about metrics and not about paths.
fn documented() -> BTreeSet<(String, String)> {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let rows = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter(|row| !row.starts_with('/'));
    rows.map(|row| {
        let (name, rest) = row.split_once('`').unwrap();
        let name = name.split('{').next().unwrap();
        let kind = rest.split('|').nth(1).unwrap();
        (name.to_owned(), kind.trim().to_owned())
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_is_documented_and_every_documented_name_is_there() {
    let (mut fixture, http) = with_http().await;
    // Families with a series per error or reason appear with the first one.
    fixture.client.produce("missing", 0, batch(&["x"])).await;
    drop(Client::connect(fixture.broker.kafka_addr()).await);
    let closed = "laminarmq_connections_closed_total";
    let page = scrape_until(http, "an end", |page| page.families.contains_key(closed)).await;
    let told: BTreeSet<_> = page.families.into_iter().collect();
    let documented = documented();
    let missing: Vec<_> = told.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&told).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "not in docs/metrics.md: {missing:?}; only there: {gone:?}"
    );
    stop(fixture.broker).await;
}
