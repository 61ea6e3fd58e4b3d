//! CreateTopics: answered when the topics' partitions exist and have a leader.

use super::change_wait_of;
use super::wire::{change_code, create_code};
use crate::context::Context;
use crate::controller::{CreateError, NewTopic, Topic, TopicImage};
use crate::limits::{CHANGE_WAIT_MAX, TOPICS_PER_CHANGE_MAX};
use crate::topics::{Described, TopicDefaults};
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use std::sync::Arc;
use tokio::time::timeout;

pub(super) async fn handle(
    context: &Context,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let names: Vec<_> = request
        .topics
        .iter()
        .map(|topic| topic.name.clone())
        .collect();
    let topics = if names.len() > TOPICS_PER_CHANGE_MAX {
        let message = format!(
            "{} topics, at most {TOPICS_PER_CHANGE_MAX} at a time",
            names.len()
        );
        all_failed(names, ErrorCode::POLICY_VIOLATION, &message)
    } else {
        create(context, request, names).await
    };
    CreateTopicsResponse {
        topics,
        ..CreateTopicsResponse::default()
    }
}

async fn create(
    context: &Context,
    request: CreateTopicsRequest,
    names: Vec<String>,
) -> Vec<CreatableTopicResult> {
    let wait = change_wait_of(request.timeout_ms, CHANGE_WAIT_MAX);
    let wishes = request.topics.into_iter().map(wish).collect();
    match timeout(
        wait,
        context
            .controller
            .create_topics(wishes, request.validate_only),
    )
    .await
    {
        Ok(Ok(results)) => names
            .into_iter()
            .zip(results)
            .map(|(name, result)| answer(context, name, result))
            .collect(),
        Ok(Err(refusal)) => all_failed(names, change_code(&refusal), &refusal.to_string()),
        Err(_) => all_failed(
            names,
            ErrorCode::REQUEST_TIMED_OUT,
            "the topics are still being made",
        ),
    }
}

fn wish(topic: CreatableTopic) -> NewTopic {
    NewTopic {
        name: topic.name,
        partitions: (topic.num_partitions != -1).then_some(topic.num_partitions),
        replication_factor: (topic.replication_factor != -1).then_some(topic.replication_factor),
        assignments: topic
            .assignments
            .into_iter()
            .map(|a| (a.partition_index, a.broker_ids))
            .collect(),
        settings: topic
            .configs
            .into_iter()
            .map(|config| (config.name, config.value))
            .collect(),
        internal: false,
    }
}

fn answer(
    context: &Context,
    name: String,
    result: Result<Arc<TopicImage>, CreateError>,
) -> CreatableTopicResult {
    match result {
        Ok(image) => CreatableTopicResult {
            name,
            topic_id: image.topic.id,
            num_partitions: i32::try_from(image.topic.partitions.len()).expect("a limited number"),
            replication_factor: replication_factor(&image.topic),
            configs: Some(configs(context, &image)),
            ..CreatableTopicResult::default()
        },
        Err(error) => failed(name, create_code(&error), error.to_string()),
    }
}

fn replication_factor(topic: &Topic) -> i16 {
    let replicas = topic.partitions.first().map_or(1, |p| p.nodes.len());
    i16::try_from(replicas).expect("a limited number of nodes")
}

/// All settings of the topic, each with where it comes from.
fn configs(context: &Context, image: &TopicImage) -> Vec<CreatableTopicConfigs> {
    let defaults = TopicDefaults::of(&context.config);
    let described = image.settings.describe(&image.topic.settings, defaults);
    let config = |described: Described| CreatableTopicConfigs {
        name: described.name.to_owned(),
        value: Some(described.value),
        config_source: described.source as i8,
        ..CreatableTopicConfigs::default()
    };
    described.into_iter().map(config).collect()
}

fn all_failed(names: Vec<String>, code: ErrorCode, message: &str) -> Vec<CreatableTopicResult> {
    names
        .into_iter()
        .map(|name| failed(name, code, message.to_owned()))
        .collect()
}

fn failed(name: String, error_code: ErrorCode, message: String) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        error_code,
        error_message: Some(message),
        ..CreatableTopicResult::default()
    }
}
