//! Settings of topics and of the node are told and changed.

#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use common::*;
use laminarmq_broker::FlushMode;
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResult,
};
use laminarmq_kafka::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest, alter_configs,
    incremental_alter_configs,
};

const TOPIC: i8 = 2;
const NODE: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

/// Where values come from.
const OF_TOPIC: i8 = 1;
const OF_NODE: i8 = 4;
const DEFAULT: i8 = 5;

fn describe_request(resources: &[(i8, &str)]) -> DescribeConfigsRequest {
    let resource = |(resource_type, name): &(i8, &str)| DescribeConfigsResource {
        resource_type: *resource_type,
        resource_name: (*name).to_owned(),
        configuration_keys: None,
    };
    DescribeConfigsRequest {
        resources: resources.iter().map(resource).collect(),
        ..DescribeConfigsRequest::default()
    }
}

async fn describe(client: &mut Client, resource_type: i8, name: &str) -> DescribeConfigsResult {
    let request = describe_request(&[(resource_type, name)]);
    client.ask(4, &request).await.results.remove(0)
}

fn setting<'a>(result: &'a DescribeConfigsResult, name: &str) -> &'a DescribeConfigsResourceResult {
    let found = result.configs.iter().find(|config| config.name == name);
    found.unwrap_or_else(|| panic!("{name} is not told: {result:?}"))
}

fn value<'a>(result: &'a DescribeConfigsResult, name: &str) -> (&'a str, i8) {
    let found = setting(result, name);
    (found.value.as_deref().unwrap(), found.config_source)
}

/// Name of a setting, what is done with it, and a value.
type Edit<'a> = (&'a str, i8, Option<&'a str>);

/// Changes settings of topics one by one.
fn edits(topics: &[(&str, &[Edit<'_>])]) -> IncrementalAlterConfigsRequest {
    use incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
    let config = |(name, config_operation, value): &Edit<'_>| AlterableConfig {
        name: (*name).to_owned(),
        config_operation: *config_operation,
        value: value.map(str::to_owned),
    };
    let resource = |(name, configs): &(&str, &[Edit<'_>])| AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: (*name).to_owned(),
        configs: configs.iter().map(config).collect(),
    };
    IncrementalAlterConfigsRequest {
        resources: topics.iter().map(resource).collect(),
        validate_only: false,
    }
}

async fn edit(client: &mut Client, topic: &str, configs: &[Edit<'_>]) -> ErrorCode {
    let response = client.ask(1, &edits(&[(topic, configs)])).await;
    response.responses[0].error_code
}

/// Replaces all settings of a topic.
fn replacement(topic: &str, configs: &[(&str, Option<&str>)]) -> AlterConfigsRequest {
    use alter_configs::{AlterConfigsResource, AlterableConfig};
    let config = |(name, value): &(&str, Option<&str>)| AlterableConfig {
        name: (*name).to_owned(),
        value: value.map(str::to_owned),
    };
    AlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: TOPIC,
            resource_name: topic.to_owned(),
            configs: configs.iter().map(config).collect(),
        }],
        validate_only: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_tells_its_settings_and_where_they_come_from() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[("segment.bytes", "5000")]).await;
    let mut request = describe_request(&[(TOPIC, "t")]);
    request.include_synonyms = true;
    request.include_documentation = true;
    let result = client.ask(4, &request).await.results.remove(0);
    assert_eq!(result.error_code, ErrorCode::NONE);
    assert_eq!(value(&result, "segment.bytes"), ("5000", OF_TOPIC));
    assert_eq!(value(&result, "retention.ms"), ("-1", DEFAULT));
    assert_eq!(value(&result, "flush"), ("os", OF_NODE));
    let found = setting(&result, "segment.bytes");
    let synonyms: Vec<_> = found
        .synonyms
        .iter()
        .map(|s| (s.name.as_str(), s.value.as_deref().unwrap(), s.source))
        .collect();
    assert_eq!(
        synonyms,
        [
            ("segment.bytes", "5000", OF_TOPIC),
            ("log.segment.bytes", "1073741824", DEFAULT)
        ]
    );
    assert!(!found.read_only && !found.is_sensitive);
    assert!(found.documentation.as_deref().unwrap().contains("segment"));
    let types = ["preallocate", "compression.type", "max.message.bytes"];
    let types = types.map(|name| setting(&result, name).config_type);
    assert_eq!(types, [1, 2, 3]);
    let types = [
        "retention.ms",
        "min.cleanable.dirty.ratio",
        "cleanup.policy",
    ];
    let types = types.map(|name| setting(&result, name).config_type);
    assert_eq!(types, [5, 6, 7]);
    // Only what is asked for, in every version.
    request.include_synonyms = false;
    request.include_documentation = false;
    request.resources[0].configuration_keys =
        Some(vec!["retention.ms".to_owned(), "no.such".to_owned()]);
    for version in 1..=4 {
        if version < 3 {
            request.include_documentation = false;
        }
        let result = client.ask(version, &request).await.results.remove(0);
        assert_eq!(result.configs.len(), 1, "{version}");
        assert!(result.configs[0].synonyms.is_empty());
        assert_eq!(value(&result, "retention.ms"), ("-1", DEFAULT));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_tells_what_tools_look_for() {
    let mut fixture = fixture_with(|config| {
        config.default_partitions = 7;
        config.auto_create_topics = false;
        config.default_flush = FlushMode::Os;
    })
    .await;
    let client = &mut fixture.client;
    let result = describe(client, NODE, "1").await;
    assert_eq!(result.error_code, ErrorCode::NONE);
    assert_eq!(value(&result, "num.partitions"), ("7", OF_NODE));
    assert_eq!(
        value(&result, "auto.create.topics.enable"),
        ("false", OF_NODE)
    );
    assert_eq!(value(&result, "flush"), ("os", OF_NODE));
    assert_eq!(value(&result, "message.max.bytes"), ("1048588", DEFAULT));
    assert_eq!(value(&result, "default.replication.factor"), ("1", DEFAULT));
    assert_eq!(value(&result, "log.retention.ms"), ("-1", DEFAULT));
    assert_eq!(value(&result, "broker.id"), ("1", OF_NODE));
    let (version, _) = value(&result, "inter.broker.protocol.version");
    assert!(version.starts_with("3."), "{version}");
    assert!(result.configs.iter().all(|config| config.read_only));
    assert!(result.configs.is_sorted_by(|a, b| a.name < b.name));
    // The defaults of all nodes: nothing is set for them.
    let all = describe(client, NODE, "").await;
    assert_eq!((all.error_code, all.configs.len()), (ErrorCode::NONE, 0));
    for (resource_type, name, want) in [
        (NODE, "2", ErrorCode::INVALID_REQUEST),
        (NODE, "one", ErrorCode::INVALID_REQUEST),
        (8, "1", ErrorCode::INVALID_REQUEST),
        (TOPIC, "t", ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        (TOPIC, "a/b", ErrorCode::INVALID_TOPIC_EXCEPTION),
    ] {
        let result = describe(client, resource_type, name).await;
        assert_eq!(
            (result.error_code, result.configs.len()),
            (want, 0),
            "{name}"
        );
        assert!(result.error_message.is_some());
        assert_eq!(
            (result.resource_type, result.resource_name.as_str()),
            (resource_type, name)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_settings_are_in_force_at_once_and_after_a_restart() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 2, &[("max.message.bytes", "200")]).await;
    let large = "x".repeat(1000);
    let refused = client.produce("t", 1, batch(&[&large])).await;
    assert_eq!(refused.error_code, ErrorCode::MESSAGE_TOO_LARGE);
    let raise = [
        ("max.message.bytes", SET, Some("5000000")),
        ("message.timestamp.type", SET, Some("LogAppendTime")),
        ("segment.bytes", SET, Some("2048")),
        ("flush", SET, Some("sync")),
    ];
    assert_eq!(edit(client, "t", &raise).await, ErrorCode::NONE);
    for n in 0..8 {
        let produced = client.produce("t", 1, batch(&[&large])).await;
        assert_eq!(
            (produced.error_code, produced.base_offset),
            (ErrorCode::NONE, n)
        );
        assert!(
            produced.log_append_time_ms > 1_600_000_000_000,
            "{produced:?}"
        );
    }
    let huge = "y".repeat(3_000_000);
    let produced = client.produce("t", 1, batch(&[&huge])).await;
    assert_eq!(
        produced.error_code,
        ErrorCode::NONE,
        "larger than any default"
    );
    let segments = |partition: &str| {
        let folder = fixture.dir.path().join("topics").join(partition);
        let names = std::fs::read_dir(folder).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".log")).count()
    };
    assert!(segments("t-1") >= 4, "{}", segments("t-1"));
    let lower = [
        ("max.message.bytes", SET, Some("300")),
        ("message.timestamp.type", DELETE, None),
    ];
    assert_eq!(edit(client, "t", &lower).await, ErrorCode::NONE);
    let refused = client.produce("t", 1, batch(&[&large])).await;
    assert_eq!(refused.error_code, ErrorCode::MESSAGE_TOO_LARGE);
    stop(fixture.broker).await;

    fixture.broker = start(fixture.dir.path()).await;
    let mut client = Client::connect(fixture.broker.kafka_addr()).await;
    let result = describe(&mut client, TOPIC, "t").await;
    assert_eq!(value(&result, "max.message.bytes"), ("300", OF_TOPIC));
    assert_eq!(value(&result, "segment.bytes"), ("2048", OF_TOPIC));
    assert_eq!(value(&result, "flush"), ("sync", OF_TOPIC));
    assert_eq!(
        value(&result, "message.timestamp.type"),
        ("CreateTime", DEFAULT)
    );
    // What was let in under other settings is still to be read.
    let found = records(&client.fetch("t", 1, 8).await);
    assert!(found == [(8, huge)], "{} records", found.len());
    assert_eq!(values(&client.fetch("t", 1, 0).await).len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_takes_back_what_it_does_not_name() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client
        .create("t", 1, &[("segment.bytes", "5000"), ("flush", "sync")])
        .await;
    let request = replacement(
        "t",
        &[
            ("flush", Some(" os ")),
            ("compression.type", Some("producer")),
        ],
    );
    let mut check = request.clone();
    check.validate_only = true;
    let response = client.ask(0, &check).await;
    assert_eq!(response.responses[0].error_code, ErrorCode::NONE);
    let result = describe(client, TOPIC, "t").await;
    assert_eq!(
        value(&result, "segment.bytes"),
        ("5000", OF_TOPIC),
        "it was a check"
    );
    let response = client.ask(2, &request).await;
    let answer = &response.responses[0];
    assert_eq!(
        (
            answer.error_code,
            answer.resource_type,
            answer.resource_name.as_str()
        ),
        (ErrorCode::NONE, TOPIC, "t")
    );
    let result = describe(client, TOPIC, "t").await;
    assert_eq!(value(&result, "segment.bytes"), ("1073741824", DEFAULT));
    assert_eq!(value(&result, "flush"), ("os", OF_TOPIC));
    assert_eq!(value(&result, "compression.type"), ("producer", OF_TOPIC));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_changed_is_refused_by_name_and_changes_nothing() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    for topic in ["t", "u"] {
        client.create(topic, 1, &[]).await;
    }
    let request = edits(&[
        ("none", &[("flush", SET, Some("os"))]),
        (
            "t",
            &[("flush", SET, Some("sync")), ("no.such", SET, Some("1"))],
        ),
        ("u", &[("flush", SET, Some("sync"))]),
    ]);
    let response = client.ask(1, &request).await;
    let codes: Vec<_> = response.responses.iter().map(|r| r.error_code).collect();
    assert_eq!(
        codes,
        [
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode::INVALID_CONFIG,
            ErrorCode::NONE
        ]
    );
    let why = response.responses[1].error_message.as_deref().unwrap();
    assert!(why.contains("no.such"), "{why}");
    assert_eq!(
        value(&describe(client, TOPIC, "t").await, "flush"),
        ("os", OF_NODE)
    );
    assert_eq!(
        value(&describe(client, TOPIC, "u").await, "flush"),
        ("sync", OF_TOPIC)
    );

    let invalid = ErrorCode::INVALID_REQUEST;
    for (configs, want) in [
        (
            &[("cleanup.policy", SET, Some("compact"))][..],
            ErrorCode::INVALID_CONFIG,
        ),
        (
            &[("cleanup.policy", APPEND, Some("compact"))],
            ErrorCode::INVALID_CONFIG,
        ),
        (
            &[("cleanup.policy", APPEND, Some("delete"))],
            ErrorCode::NONE,
        ),
        (&[("flush", APPEND, Some("os"))], invalid),
        (&[("flush", SET, None)], invalid),
        (&[("flush", 9, Some("os"))], invalid),
        (
            &[("flush", SET, Some("os")), ("flush", DELETE, None)],
            invalid,
        ),
    ] {
        assert_eq!(edit(client, "t", configs).await, want, "{configs:?}");
    }
    let response = client.ask(0, &replacement("t", &[("flush", None)])).await;
    assert_eq!(response.responses[0].error_code, invalid);

    // The same topic twice, and what is no topic.
    let twice = edits(&[("u", &[("flush", DELETE, None)]), ("u", &[])]);
    let response = client.ask(0, &twice).await;
    let codes: Vec<_> = response.responses.iter().map(|r| r.error_code).collect();
    assert_eq!(codes, [invalid, invalid]);
    for resource_type in [NODE, 8, 0] {
        let mut request = edits(&[("1", &[("num.partitions", SET, Some("3"))])]);
        request.resources[0].resource_type = resource_type;
        let response = client.ask(1, &request).await;
        assert_eq!(response.responses[0].error_code, invalid, "{resource_type}");
        assert!(response.responses[0].error_message.is_some());
    }
    assert_eq!(
        value(&describe(client, TOPIC, "u").await, "flush"),
        ("sync", OF_TOPIC)
    );
}
