use super::partitions::Partitions;
use super::*;
use crate::controller::{Image, Topic, TopicImage, TopicPartition};
use crate::routing::Router;
use crate::shard::Progress;
use crate::topics::{TopicDefaults, TopicSettings};
use laminarmq_kafka::{ApiKey, ErrorCode, Uuid};
use laminarmq_replica::{GroupId, Offset, ReplicaId, Term};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Topic `a` with two partitions, the second without a leader, and `b` with one. One shard.
fn image_and_router() -> (Image, Router) {
    let (mailbox, _) = mpsc::channel(4);
    let router = Router::new(vec![mailbox]);
    let mut image = Image::default();
    let mut group = 0;
    for (id, name, progress) in [
        (1, "a", vec![progress(3, 10, true), progress(0, 0, false)]),
        (2, "b", vec![progress(0, 7, true)]),
    ] {
        let partitions = progress
            .into_iter()
            .map(|progress| {
                group += 1;
                router.add(GroupId(group)).watch.update(progress);
                TopicPartition {
                    group: GroupId(group),
                    nodes: vec![1],
                    founders: vec![ReplicaId(1)],
                }
            })
            .collect();
        image.insert(Arc::new(TopicImage {
            topic: Arc::new(Topic {
                id: Uuid([id; 16]),
                name: name.to_owned(),
                partitions,
                settings: BTreeMap::new(),
            }),
            settings: TopicSettings::resolve(&BTreeMap::new(), TopicDefaults::default()).unwrap(),
        }));
    }
    let nodes = [1, 2].map(|id| (id, "127.0.0.1:9092".parse().unwrap()));
    image.set_nodes(nodes.into());
    (image, router)
}

fn progress(start: u64, end: u64, leads: bool) -> Progress {
    Progress {
        high_watermark: leads.then_some(Offset(end)),
        epoch: Term(1),
        leads,
        leader: None,
        in_sync: u32::from(leads),
        in_doubt: end == 7,
        start_offset: Offset(start),
        log_bytes: 100 + end,
    }
}

/// The samples of a page, without the lines about them.
fn samples(write: impl FnOnce(&mut Exposition)) -> Vec<String> {
    let mut page = Exposition::after(String::new());
    write(&mut page);
    let text = page.into_text();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.map(str::to_owned).collect()
}

#[test]
fn partitions_are_shown_as_far_as_they_are_known() {
    let (image, router) = image_and_router();
    let page = samples(|page| Partitions::look(&image, &router).write(1, page));
    let want = [
        "laminarmq_topics 2",
        "laminarmq_partitions 3",
        "laminarmq_partitions_in_doubt 1",
        r#"laminarmq_partition_log_bytes{topic="a",partition="0"} 110"#,
        r#"laminarmq_partition_log_bytes{topic="a",partition="1"} 100"#,
        r#"laminarmq_partition_log_bytes{topic="b",partition="0"} 107"#,
        "kafka_brokers 2",
        r#"kafka_topic_partitions{topic="a"} 2"#,
        r#"kafka_topic_partitions{topic="b"} 1"#,
        r#"kafka_topic_partition_current_offset{topic="a",partition="0"} 10"#,
        r#"kafka_topic_partition_current_offset{topic="b",partition="0"} 7"#,
        r#"kafka_topic_partition_oldest_offset{topic="a",partition="0"} 3"#,
        r#"kafka_topic_partition_oldest_offset{topic="b",partition="0"} 0"#,
        r#"kafka_topic_partition_leader{topic="a",partition="0"} 1"#,
        r#"kafka_topic_partition_leader{topic="b",partition="0"} 1"#,
        r#"kafka_topic_partition_replicas{topic="a",partition="0"} 1"#,
        r#"kafka_topic_partition_replicas{topic="a",partition="1"} 1"#,
        r#"kafka_topic_partition_replicas{topic="b",partition="0"} 1"#,
        r#"kafka_topic_partition_in_sync_replica{topic="a",partition="0"} 1"#,
        r#"kafka_topic_partition_in_sync_replica{topic="a",partition="1"} 0"#,
        r#"kafka_topic_partition_in_sync_replica{topic="b",partition="0"} 1"#,
        r#"kafka_topic_partition_leader_is_preferred{topic="a",partition="0"} 1"#,
        r#"kafka_topic_partition_leader_is_preferred{topic="a",partition="1"} 0"#,
        r#"kafka_topic_partition_leader_is_preferred{topic="b",partition="0"} 1"#,
        r#"kafka_topic_partition_under_replicated_partition{topic="a",partition="0"} 0"#,
        r#"kafka_topic_partition_under_replicated_partition{topic="a",partition="1"} 1"#,
        r#"kafka_topic_partition_under_replicated_partition{topic="b",partition="0"} 0"#,
        r#"laminarmq_partition_under_min_in_sync{topic="a",partition="0"} 0"#,
        r#"laminarmq_partition_under_min_in_sync{topic="a",partition="1"} 1"#,
        r#"laminarmq_partition_under_min_in_sync{topic="b",partition="0"} 0"#,
    ];
    assert_eq!(page, want);
}

#[test]
fn groups_are_shown_with_their_lag() {
    let (image, router) = image_and_router();
    let partitions = Partitions::look(&image, &router);
    let committed = |offsets: &[(&str, u32, u64)]| {
        let mut by_topic = BTreeMap::<String, BTreeMap<u32, u64>>::new();
        for (topic, partition, offset) in offsets {
            let topic = by_topic.entry((*topic).to_owned()).or_default();
            topic.insert(*partition, *offset);
        }
        by_topic
    };
    let groups = [
        GroupSnapshot {
            name: "g".to_owned(),
            members: 2,
            // Ahead of the end of b, and of a topic that is gone.
            committed: committed(&[("a", 0, 4), ("b", 0, 9), ("gone", 0, 5)]),
        },
        GroupSnapshot {
            name: "idle".to_owned(),
            ..GroupSnapshot::default()
        },
    ];
    let page = samples(|page| groups::write(Some(&groups), &partitions, page));
    let want = [
        "laminarmq_groups 2",
        r#"kafka_consumergroup_members{consumergroup="g"} 2"#,
        r#"kafka_consumergroup_members{consumergroup="idle"} 0"#,
        r#"kafka_consumergroup_current_offset{consumergroup="g",topic="a",partition="0"} 4"#,
        r#"kafka_consumergroup_current_offset{consumergroup="g",topic="a",partition="1"} -1"#,
        r#"kafka_consumergroup_current_offset{consumergroup="g",topic="b",partition="0"} 9"#,
        r#"kafka_consumergroup_lag{consumergroup="g",topic="a",partition="0"} 6"#,
        r#"kafka_consumergroup_lag{consumergroup="g",topic="a",partition="1"} -1"#,
        r#"kafka_consumergroup_lag{consumergroup="g",topic="b",partition="0"} 0"#,
        r#"kafka_consumergroup_current_offset_sum{consumergroup="g",topic="a"} 4"#,
        r#"kafka_consumergroup_current_offset_sum{consumergroup="g",topic="b"} 9"#,
        r#"kafka_consumergroup_lag_sum{consumergroup="g",topic="a"} 6"#,
        r#"kafka_consumergroup_lag_sum{consumergroup="g",topic="b"} 0"#,
    ];
    assert_eq!(page, want);
}

#[test]
fn groups_that_are_not_known_are_not_none() {
    let (image, router) = image_and_router();
    let partitions = Partitions::look(&image, &router);
    assert!(samples(|page| groups::write(None, &partitions, page)).is_empty());
    let none = samples(|page| groups::write(Some(&[]), &partitions, page));
    assert_eq!(none, ["laminarmq_groups 0"]);
}

#[test]
fn requests_are_counted_by_api_and_errors_by_code() {
    let metrics = Metrics::new(&Env::system(), BuildInfo::default());
    metrics.requests.received(ApiKey::Produce);
    metrics.requests.received(ApiKey::Produce);
    metrics
        .requests
        .answered(ApiKey::Produce, Duration::from_millis(3));
    // Known, and not served: not a series of its own.
    metrics.requests.received(ApiKey::Vote);
    metrics.requests.code(ApiKey::Fetch, ErrorCode::NONE);
    metrics
        .requests
        .code(ApiKey::Fetch, ErrorCode::OFFSET_OUT_OF_RANGE);
    metrics.requests.code(ApiKey::Fetch, ErrorCode(12_345));
    let page = metrics.render(true, None, None);
    for line in [
        r#"laminarmq_requests_total{api="Produce"} 2"#,
        r#"laminarmq_requests_total{api="Fetch"} 0"#,
        r#"laminarmq_request_duration_seconds_bucket{api="Produce",le="0.0025"} 0"#,
        r#"laminarmq_request_duration_seconds_bucket{api="Produce",le="0.005"} 1"#,
        r#"laminarmq_request_duration_seconds_count{api="Produce"} 1"#,
        r#"laminarmq_request_duration_seconds_sum{api="Produce"} 0.003"#,
        r#"laminarmq_request_errors_total{api="Fetch",error="OFFSET_OUT_OF_RANGE"} 1"#,
        r#"laminarmq_request_errors_total{api="Fetch",error="OTHER"} 1"#,
        "laminarmq_ready 1",
    ] {
        assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
    }
    assert!(!page.contains("Vote"), "{page}");
    assert!(!page.contains(r#"error="NONE""#), "{page}");
}

#[test]
fn an_open_connection_is_counted_for_as_long_as_it_lives() {
    let metrics = Metrics::new(&Env::system(), BuildInfo::default());
    let one = metrics.connections.opened();
    let two = metrics.connections.opened();
    drop(one);
    metrics.connections.closed("idle");
    let page = metrics.render(false, None, None);
    for line in [
        "laminarmq_connections_open 1",
        "laminarmq_connections_accepted_total 2",
        r#"laminarmq_connections_closed_total{reason="idle"} 1"#,
        "laminarmq_ready 0",
    ] {
        assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
    }
    drop(two);
}

#[test]
fn the_start_time_keeps_its_milliseconds() {
    assert_eq!(seconds(1_700_000_000_007), "1700000000.007");
    assert_eq!(seconds(0), "0.000");
}
