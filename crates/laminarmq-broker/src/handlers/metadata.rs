//! Metadata: the node, its topics, and who leads their partitions. Missing topics are made when the client
//! asks for that and the configuration allows it.

use super::Peer;
use super::node::{
    Broker, CLUSTER_OPERATIONS, TOPIC_OPERATIONS, brokers_for_clients, controller, in_sync, leader,
    operations,
};
use super::wire::{change_code, create_code};
use crate::cluster::NodeId;
use crate::context::Context;
use crate::controller::{CreateError, NewTopic, TopicImage};
use crate::limits::TOPICS_PER_CHANGE_MAX;
use crate::topics::{check_name, is_internal};
use laminarmq_kafka::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use laminarmq_kafka::{ErrorCode, Uuid};
use std::collections::{BTreeMap, BTreeSet};

/// The first version in which the name of a topic may be null.
const NULL_NAME_FROM: i16 = 12;

pub(super) async fn handle(
    context: &Context,
    peer: &Peer,
    request: MetadataRequest,
    version: i16,
) -> MetadataResponse {
    let broker = |broker: Broker| MetadataResponseBroker {
        node_id: broker.id,
        host: broker.address.host,
        port: broker.address.port.into(),
        rack: None,
    };
    let mut topics = answer_topics(context, &request, version).await;
    for topic in &mut topics {
        let asked = request.include_topic_authorized_operations;
        topic.topic_authorized_operations = operations(asked, TOPIC_OPERATIONS);
    }
    MetadataResponse {
        brokers: brokers_for_clients(context, peer)
            .into_iter()
            .map(broker)
            .collect(),
        cluster_id: Some(context.cluster_id.clone()),
        controller_id: controller(context),
        topics,
        cluster_authorized_operations: operations(
            request.include_cluster_authorized_operations,
            CLUSTER_OPERATIONS,
        ),
        ..MetadataResponse::default()
    }
}

async fn answer_topics(
    context: &Context,
    request: &MetadataRequest,
    version: i16,
) -> Vec<MetadataResponseTopic> {
    let asked = match &request.topics {
        // In version 0 an empty list stands for all.
        Some(topics) if !(version == 0 && topics.is_empty()) => topics,
        _ => {
            return context
                .image()
                .topics()
                .map(|topic| describe(context, topic))
                .collect();
        }
    };
    let mut failed = BTreeMap::new();
    if request.allow_auto_topic_creation && context.config.auto_create_topics {
        failed = create_missing(context, asked).await;
    }
    let image = context.image();
    let answer = |topic: &MetadataRequestTopic| match &topic.name {
        Some(name) => match image.topic(name) {
            Some(topic) => describe(context, topic),
            None => {
                let code = failed
                    .get(name)
                    .copied()
                    .unwrap_or_else(|| missing_code(name));
                unknown(Some(name.clone()), Uuid::ZERO, code)
            }
        },
        None => match image.topic_by_id(topic.topic_id) {
            Some(topic) => describe(context, topic),
            None => {
                let name = (version < NULL_NAME_FROM).then(String::new);
                unknown(name, topic.topic_id, ErrorCode::UNKNOWN_TOPIC_ID)
            }
        },
    };
    asked.iter().map(answer).collect()
}

/// Makes the topics that are not there. Says of which names it failed, and why.
async fn create_missing(
    context: &Context,
    asked: &[MetadataRequestTopic],
) -> BTreeMap<String, ErrorCode> {
    let image = context.image();
    let missing: BTreeSet<&String> = asked
        .iter()
        .filter_map(|topic| topic.name.as_ref())
        .filter(|name| image.topic(name).is_none() && check_name(name).is_ok())
        .filter(|name| !is_internal(name))
        .collect();
    // More than one change may hold are left for the client's next request.
    let missing: Vec<String> = missing
        .into_iter()
        .take(TOPICS_PER_CHANGE_MAX)
        .cloned()
        .collect();
    if missing.is_empty() {
        return BTreeMap::new();
    }
    let wishes = missing.iter().map(|name| NewTopic {
        name: name.clone(),
        ..NewTopic::default()
    });
    let failed: Vec<Option<ErrorCode>> = match context
        .controller
        .create_topics(wishes.collect(), false)
        .await
    {
        // Another client may have been faster, which is as good.
        Ok(results) => results
            .into_iter()
            .map(|result| result.err().filter(|error| *error != CreateError::Exists))
            .map(|error| error.map(|error| create_code(&error)))
            .collect(),
        Err(refusal) => vec![Some(change_code(&refusal)); missing.len()],
    };
    missing
        .into_iter()
        .zip(failed)
        .filter_map(|(name, code)| Some((name, code?)))
        .collect()
}

/// What is wrong with a topic that is not there.
pub(super) fn missing_code(name: &str) -> ErrorCode {
    match check_name(name) {
        Ok(()) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        Err(_) => ErrorCode::INVALID_TOPIC_EXCEPTION,
    }
}

fn unknown(name: Option<String>, topic_id: Uuid, error_code: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code,
        name,
        topic_id,
        ..MetadataResponseTopic::default()
    }
}

fn describe(context: &Context, image: &TopicImage) -> MetadataResponseTopic {
    // As far as this node hears of the others.
    let cluster = context.cluster.as_ref();
    let silent = cluster.map(|cluster| cluster.clock.silent());
    let silent = silent.as_deref().unwrap_or_default();
    let partitions = (0i32..)
        .zip(&image.topic.partitions)
        .map(|(partition_index, partition)| {
            let nodes: Vec<i32> = partition
                .nodes
                .iter()
                .map(|node| node.cast_signed())
                .collect();
            match leader(context, partition.group) {
                Some((leader_id, term)) => MetadataResponsePartition {
                    partition_index,
                    leader_id,
                    leader_epoch: term.leader_epoch(),
                    isr_nodes: among(
                        &nodes,
                        &in_sync(context, partition.group, (leader_id, term)),
                    ),
                    offline_replicas: among(&nodes, silent),
                    replica_nodes: nodes,
                    ..MetadataResponsePartition::default()
                },
                None => MetadataResponsePartition {
                    error_code: ErrorCode::LEADER_NOT_AVAILABLE,
                    partition_index,
                    leader_id: -1,
                    replica_nodes: nodes.clone(),
                    offline_replicas: nodes,
                    ..MetadataResponsePartition::default()
                },
            }
        });
    MetadataResponseTopic {
        name: Some(image.topic.name.clone()),
        topic_id: image.topic.id,
        is_internal: is_internal(&image.topic.name),
        partitions: partitions.collect(),
        ..MetadataResponseTopic::default()
    }
}

/// Those of these replicas that are named. Other nodes do it, and may name any.
fn among(replicas: &[i32], named: &[NodeId]) -> Vec<i32> {
    let is_named = |node: &&i32| named.iter().any(|named| named.get() == **node);
    replicas.iter().filter(is_named).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_replicas_are_named_each_once_and_in_their_order() {
        let named = [9, 1, 3, 3].map(|number| NodeId::new(number).expect("positive"));
        assert_eq!(among(&[3, 2, 1], &named), [3, 1]);
        assert!(among(&[3, 2, 1], &[]).is_empty());
    }
}
