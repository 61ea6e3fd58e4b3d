//! Topics are made, shown and removed; producer ids are given out.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "this is test code"
)]

mod common;

use common::*;
use laminarmq_broker::HostPort;
use laminarmq_kafka::messages::create_topics::CreatableTopic;
use laminarmq_kafka::messages::delete_topics::DeleteTopicState;
use laminarmq_kafka::messages::metadata::MetadataRequestTopic;
use laminarmq_kafka::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, InitProducerIdRequest, MetadataRequest,
    MetadataResponse,
};
use laminarmq_kafka::{ErrorCode, Uuid};
use std::collections::BTreeSet;

fn by_names(names: &[&str], create: bool) -> MetadataRequest {
    let topic = |name: &&str| MetadataRequestTopic {
        name: Some((*name).to_owned()),
        ..MetadataRequestTopic::default()
    };
    MetadataRequest {
        topics: Some(names.iter().map(topic).collect()),
        allow_auto_topic_creation: create,
        ..MetadataRequest::default()
    }
}

fn all_topics() -> MetadataRequest {
    MetadataRequest {
        topics: None,
        ..MetadataRequest::default()
    }
}

fn summary(response: &MetadataResponse) -> Vec<(&str, ErrorCode, usize)> {
    response
        .topics
        .iter()
        .map(|t| {
            (
                t.name.as_deref().unwrap_or("?"),
                t.error_code,
                t.partitions.len(),
            )
        })
        .collect()
}

fn delete(names: &[&str]) -> DeleteTopicsRequest {
    DeleteTopicsRequest {
        topic_names: names.iter().map(|name| (*name).to_owned()).collect(),
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_shows_the_node_and_its_topics() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    let response = client.ask(12, &all_topics()).await;
    let port = i32::from(fixture.broker.kafka_addr().port());
    let broker = &response.brokers[0];
    assert_eq!(
        (broker.node_id, broker.host.as_str(), broker.port),
        (1, "127.0.0.1", port)
    );
    assert_eq!(
        response.cluster_id.as_deref(),
        Some(fixture.broker.cluster_id())
    );
    assert_eq!((response.controller_id, response.topics.len()), (1, 0));
    client.create("a", 2, &[]).await;
    client.create("b", 1, &[]).await;
    let response = client.ask(12, &all_topics()).await;
    assert_eq!(
        summary(&response),
        [("a", ErrorCode::NONE, 2), ("b", ErrorCode::NONE, 1)]
    );
    let partition = &response.topics[0].partitions[1];
    assert_eq!(
        (
            partition.partition_index,
            partition.leader_id,
            partition.leader_epoch
        ),
        (1, 1, 1)
    );
    assert_eq!(
        (&partition.replica_nodes[..], &partition.isr_nodes[..]),
        (&[1][..], &[1][..])
    );
    // Version 0 says "all" with an empty list, later ones say "none" with it.
    let none = MetadataRequest::default();
    assert_eq!(client.ask(0, &none).await.topics.len(), 2);
    assert_eq!(client.ask(1, &none).await.topics.len(), 0);
    // By id.
    let by_id = |topic_id| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            topic_id,
            name: None,
        }]),
        ..MetadataRequest::default()
    };
    let known = client.ask(12, &by_id(response.topics[1].topic_id)).await;
    assert_eq!(summary(&known), [("b", ErrorCode::NONE, 1)]);
    let unknown = client.ask(12, &by_id(Uuid([9; 16]))).await;
    assert_eq!(summary(&unknown), [("?", ErrorCode::UNKNOWN_TOPIC_ID, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_advertised_address_is_told_to_clients() {
    let advertise = HostPort {
        host: "queue.example".to_owned(),
        port: 1234,
    };
    let mut fixture = fixture_with(|config| config.advertise = Some(advertise)).await;
    let response = fixture.client.ask(12, &all_topics()).await;
    assert_eq!(
        (response.brokers[0].host.as_str(), response.brokers[0].port),
        ("queue.example", 1234)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_topics_are_made_when_asked_for() {
    let mut fixture = fixture_with(|config| config.default_partitions = 3).await;
    let client = &mut fixture.client;
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(
        summary(&client.ask(12, &by_names(&["t"], false)).await),
        [("t", unknown, 0)]
    );
    let response = client
        .ask(12, &by_names(&["t", "not/allowed", "t"], true))
        .await;
    let want = [
        ("t", ErrorCode::NONE, 3),
        ("not/allowed", ErrorCode::INVALID_TOPIC_EXCEPTION, 0),
        ("t", ErrorCode::NONE, 3),
    ];
    assert_eq!(summary(&response), want);
    assert_eq!(
        client
            .produce("t", 2, batch(&["usable at once"]))
            .await
            .error_code,
        ErrorCode::NONE
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_topics_are_not_made_when_the_configuration_forbids_it() {
    let mut fixture = fixture_with(|config| config.auto_create_topics = false).await;
    let response = fixture.client.ask(12, &by_names(&["t"], true)).await;
    assert_eq!(
        summary(&response),
        [("t", ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, 0)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_that_make_the_same_topic_all_get_it() {
    let fixture = fixture().await;
    let address = fixture.broker.kafka_addr();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                client.ask(12, &by_names(&["t"], true)).await
            })
        })
        .collect();
    let mut ids = BTreeSet::new();
    for client in clients {
        let response = client.await.unwrap();
        assert_eq!(summary(&response), [("t", ErrorCode::NONE, 1)]);
        ids.insert(response.topics[0].topic_id);
    }
    assert_eq!(ids.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_made_is_refused_with_the_reason() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("old", 1, &[]).await;
    let topic = |name: &str, partitions, replication_factor| CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor,
        ..CreatableTopic::default()
    };
    let mut wrong_setting = create_request("s", 1, &[("cleanup.policy", "compact")])
        .topics
        .remove(0);
    wrong_setting.replication_factor = 1;
    let request = CreateTopicsRequest {
        topics: vec![
            topic("old", 1, 1),
            topic("a b", 1, 1),
            topic("zero", 0, 1),
            topic("far", 1, 3),
            wrong_setting,
            topic("twice", 1, 1),
            topic("twice", 1, 1),
            topic("fine", -1, -1),
        ],
        ..CreateTopicsRequest::default()
    };
    let response = client.ask(7, &request).await;
    let codes: Vec<_> = response
        .topics
        .iter()
        .map(|topic| topic.error_code)
        .collect();
    let want = [
        ErrorCode::TOPIC_ALREADY_EXISTS,
        ErrorCode::INVALID_TOPIC_EXCEPTION,
        ErrorCode::INVALID_PARTITIONS,
        ErrorCode::INVALID_REPLICATION_FACTOR,
        ErrorCode::INVALID_CONFIG,
        ErrorCode::INVALID_REQUEST,
        ErrorCode::INVALID_REQUEST,
        ErrorCode::NONE,
    ];
    assert_eq!(codes, want);
    let message = response.topics[4]
        .error_message
        .as_deref()
        .unwrap_or_default();
    assert!(
        message.contains("cleanup.policy") && message.contains("not there yet"),
        "{message}"
    );
    let response = client.ask(12, &all_topics()).await;
    assert_eq!(
        summary(&response),
        [("fine", ErrorCode::NONE, 1), ("old", ErrorCode::NONE, 1)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_tells_what_it_made_and_a_check_makes_nothing() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    let mut request = create_request("t", 2, &[("max.message.bytes", "2000")]);
    request.validate_only = true;
    let response = client.ask(7, &request).await;
    assert_eq!(response.topics[0].error_code, ErrorCode::NONE);
    assert!(client.ask(12, &all_topics()).await.topics.is_empty());
    request.validate_only = false;
    // The oldest version has room for less.
    assert_eq!(
        client.ask(2, &request).await.topics[0].error_code,
        ErrorCode::NONE
    );
    request.topics[0].name = "u".to_owned();
    let response = client.ask(7, &request).await;
    let made = &response.topics[0];
    assert_eq!((made.num_partitions, made.replication_factor), (2, 1));
    assert!(!made.topic_id.is_zero());
    let configs = made.configs.as_ref().unwrap();
    let config = |name: &str| {
        let config = configs.iter().find(|config| config.name == name).unwrap();
        (config.value.as_deref().unwrap(), config.config_source)
    };
    assert_eq!(config("max.message.bytes"), ("2000", 1));
    assert_eq!(config("cleanup.policy"), ("delete", 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_topic_is_gone_with_its_files_and_its_name_is_free() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 2, &[]).await;
    client.produce("t", 0, batch(&["old"])).await;
    let folder = fixture.dir.path().join("topics/t-0");
    assert!(folder.is_dir());
    let response = client.ask(5, &delete(&["t", "unknown", "t"])).await;
    let codes: Vec<_> = response
        .responses
        .iter()
        .map(|topic| topic.error_code)
        .collect();
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(codes, [ErrorCode::NONE, unknown, unknown]);
    assert!(!folder.exists());
    let refused = client.produce("t", 0, batch(&["late"])).await;
    assert_eq!(refused.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    client.create("t", 1, &[]).await;
    assert!(records(&client.fetch("t", 0, 0).await).is_empty());
    // By id.
    let id = client.ask(12, &all_topics()).await.topics[0].topic_id;
    let by_id = |topic_id| DeleteTopicsRequest {
        topics: vec![DeleteTopicState {
            name: None,
            topic_id,
        }],
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    let response = client.ask(6, &by_id(Uuid([1; 16]))).await;
    assert_eq!(
        response.responses[0].error_code,
        ErrorCode::UNKNOWN_TOPIC_ID
    );
    let response = client.ask(6, &by_id(id)).await;
    assert_eq!(response.responses[0].name.as_deref(), Some("t"));
    assert!(client.ask(12, &all_topics()).await.topics.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_whose_partitions_cannot_be_opened_is_taken_back() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    let topics = fixture.dir.path().join("topics");
    std::fs::write(topics.join("t-1"), "in the way").unwrap();
    let response = client.ask(7, &create_request("t", 3, &[])).await;
    assert_eq!(
        response.topics[0].error_code,
        ErrorCode::KAFKA_STORAGE_ERROR
    );
    assert!(client.ask(12, &all_topics()).await.topics.is_empty());
    assert!(!topics.join("t-0").exists() && !topics.join("t-2").exists());
    std::fs::remove_file(topics.join("t-1")).unwrap();
    client.create("t", 3, &[]).await;
    assert_eq!(
        client.produce("t", 1, batch(&["a"])).await.error_code,
        ErrorCode::NONE
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_deleted_while_it_is_written_to() {
    let mut fixture = fixture_with(|config| config.default_flush = Default::default()).await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    let mut producer = Client::connect(fixture.broker.kafka_addr()).await;
    for _ in 0..50 {
        producer
            .send(9, &produce_request("t", &[(0, batch(&["x"]))], -1))
            .await;
    }
    client.ask(5, &delete(&["t"])).await;
    client.create("t", 1, &[]).await;
    let allowed = [
        ErrorCode::NONE,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        // It was written, and then its topic was taken away.
        ErrorCode::REQUEST_TIMED_OUT,
    ];
    for _ in 0..50 {
        let (_, response) = producer
            .receive::<laminarmq_kafka::messages::ProduceRequest>(9)
            .await;
        let code = response.responses[0].partition_responses[0].error_code;
        assert!(allowed.contains(&code), "{code:?}");
    }
    stop(fixture.broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn producer_ids_are_given_once() {
    let mut fixture = fixture().await;
    let mut seen = BTreeSet::new();
    for round in 0..2 {
        let mut client = Client::connect(fixture.broker.kafka_addr()).await;
        for _ in 0..1500 {
            let response = client.ask(4, &InitProducerIdRequest::default()).await;
            assert_eq!(
                (response.error_code, response.producer_epoch),
                (ErrorCode::NONE, 0)
            );
            assert!(
                seen.insert(response.producer_id),
                "{} came twice",
                response.producer_id
            );
        }
        if round == 0 {
            // A block is used up before the next one is taken.
            assert!(seen.iter().copied().eq(0..1500));
            stop(fixture.broker).await;
            fixture.broker = start(fixture.dir.path()).await;
        }
    }
    let mut client = Client::connect(fixture.broker.kafka_addr()).await;
    let transactional = InitProducerIdRequest {
        transactional_id: Some("x".to_owned()),
        ..InitProducerIdRequest::default()
    };
    let refused = client.ask(4, &transactional).await;
    assert_eq!(refused.producer_id, -1);
    assert_eq!(
        refused.error_code,
        ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    );
    assert!(!refused.error_code.retriable());
}
