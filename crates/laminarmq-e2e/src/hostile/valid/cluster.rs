//! Requests about the cluster and its topics: what is there, making and removing, settings.

use laminarmq_kafka::AnyRequest;
use laminarmq_kafka::messages::alter_configs::{AlterConfigsResource, AlterableConfig};
use laminarmq_kafka::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use laminarmq_kafka::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use laminarmq_kafka::messages::delete_topics::DeleteTopicState;
use laminarmq_kafka::messages::describe_configs::DescribeConfigsResource;
use laminarmq_kafka::messages::describe_log_dirs::DescribableLogDirTopic;
use laminarmq_kafka::messages::metadata::MetadataRequestTopic;
use laminarmq_kafka::messages::{
    AlterConfigsRequest, ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest, DescribeLogDirsRequest,
    IncrementalAlterConfigsRequest, MetadataRequest, incremental_alter_configs,
};

use super::ABSENT;

/// Kinds of resources that have settings.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

pub(super) fn api_versions(version: i16) -> Vec<AnyRequest> {
    let mut request = ApiVersionsRequest::default();
    if version >= 3 {
        request.client_software_name = "hostile".to_owned();
        request.client_software_version = "1.0".to_owned();
    }
    vec![request.into()]
}

pub(super) fn metadata(version: i16, topic: &str) -> Vec<AnyRequest> {
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

pub(super) fn create_topics() -> Vec<AnyRequest> {
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

pub(super) fn delete_topics(version: i16) -> Vec<AnyRequest> {
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

/// Nothing is made by these; their mutations may.
pub(super) fn create_partitions(topic: &str) -> Vec<AnyRequest> {
    let more = |name: &str, count, assignments| CreatePartitionsTopic {
        name: name.to_owned(),
        count,
        assignments,
    };
    let request = |topics| CreatePartitionsRequest {
        topics,
        timeout_ms: 1000,
        validate_only: true,
    };
    let assignment = CreatePartitionsAssignment {
        broker_ids: vec![1],
    };
    vec![
        request(vec![more(topic, 3, None), more(ABSENT, 3, None)]).into(),
        request(vec![more(topic, 3, Some(vec![assignment]))]).into(),
        request(vec![more(topic, 1, None), more("", -1, None)]).into(),
    ]
}

pub(super) fn describe_configs(version: i16, topic: &str) -> Vec<AnyRequest> {
    let resource = |resource_type, name: &str, keys: Option<&[&str]>| DescribeConfigsResource {
        resource_type,
        resource_name: name.to_owned(),
        configuration_keys: keys.map(|keys| keys.iter().map(|&key| key.to_owned()).collect()),
    };
    let request = DescribeConfigsRequest {
        resources: vec![
            resource(TOPIC, topic, None),
            resource(TOPIC, topic, Some(&["flush", "no.such.setting"])),
            resource(TOPIC, ABSENT, None),
            resource(BROKER, "1", None),
            resource(3, "x", Some(&[])),
        ],
        include_synonyms: true,
        include_documentation: version >= 3,
    };
    let plain = DescribeConfigsRequest {
        include_synonyms: false,
        include_documentation: false,
        ..request.clone()
    };
    vec![request.into(), plain.into()]
}

/// Nothing is changed by these; their mutations may.
pub(super) fn alter_configs(topic: &str) -> Vec<AnyRequest> {
    let resource = |resource_type, name: &str, configs: &[(&str, Option<&str>)]| {
        let config = |&(name, value): &(&str, Option<&str>)| AlterableConfig {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        };
        AlterConfigsResource {
            resource_type,
            resource_name: name.to_owned(),
            configs: configs.iter().map(config).collect(),
        }
    };
    let request = |resources| AlterConfigsRequest {
        resources,
        validate_only: true,
    };
    vec![
        request(vec![
            resource(
                TOPIC,
                topic,
                &[("flush", Some("os")), ("max.message.bytes", Some("65536"))],
            ),
            resource(TOPIC, ABSENT, &[("flush", None)]),
        ])
        .into(),
        request(vec![
            resource(
                TOPIC,
                topic,
                &[("no.such.setting", Some("x")), ("flush", Some("x"))],
            ),
            resource(BROKER, "1", &[("log.retention.ms", Some("1"))]),
            resource(9, "", &[]),
        ])
        .into(),
    ]
}

/// Nothing is changed by these; their mutations may.
pub(super) fn incremental_alter_configs(topic: &str) -> Vec<AnyRequest> {
    use incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
    let resource = |resource_type, name: &str, configs: &[(&str, i8, Option<&str>)]| {
        let config =
            |&(name, config_operation, value): &(&str, i8, Option<&str>)| AlterableConfig {
                name: name.to_owned(),
                config_operation,
                value: value.map(str::to_owned),
            };
        AlterConfigsResource {
            resource_type,
            resource_name: name.to_owned(),
            configs: configs.iter().map(config).collect(),
        }
    };
    let request = |resources| IncrementalAlterConfigsRequest {
        resources,
        validate_only: true,
    };
    vec![
        request(vec![
            resource(
                TOPIC,
                topic,
                &[("flush", 0, Some("os")), ("max.message.bytes", 1, None)],
            ),
            resource(TOPIC, ABSENT, &[("flush", 1, None)]),
        ])
        .into(),
        request(vec![
            resource(
                TOPIC,
                topic,
                &[
                    ("cleanup.policy", 2, Some("delete")),
                    ("flush", 9, Some("x")),
                ],
            ),
            resource(BROKER, "1", &[("log.retention.ms", 3, Some("1"))]),
            resource(9, "", &[]),
        ])
        .into(),
    ]
}

pub(super) fn describe_log_dirs(topic: &str) -> Vec<AnyRequest> {
    let of = |name: &str| DescribableLogDirTopic {
        topic: name.to_owned(),
        partitions: vec![0, 1, 7],
    };
    let request = |topics| DescribeLogDirsRequest { topics };
    vec![
        request(None).into(),
        request(Some(vec![of(topic), of(ABSENT)])).into(),
        request(Some(vec![])).into(),
    ]
}

pub(super) fn describe_cluster(version: i16) -> Vec<AnyRequest> {
    let request = |include_cluster_authorized_operations, endpoint_type| DescribeClusterRequest {
        include_cluster_authorized_operations,
        endpoint_type,
    };
    let mut requests = vec![request(false, 1), request(true, 1)];
    if version >= 1 {
        requests.push(request(true, 2));
    }
    requests.into_iter().map(Into::into).collect()
}
