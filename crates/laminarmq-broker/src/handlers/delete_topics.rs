//! DeleteTopics: answered when nobody can use the topics any more and their files are gone.

use super::change_wait_of;
use super::wire::{change_code, delete_code};
use crate::context::Context;
use crate::controller::{DeleteError, Topic, TopicRef};
use crate::limits::{CHANGE_WAIT_MAX, TOPICS_PER_CHANGE_MAX};
use laminarmq_kafka::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};
use laminarmq_kafka::{ErrorCode, Uuid};
use std::sync::Arc;
use tokio::time::timeout;

/// The first version in which topics are named by id, and a name may be null.
const IDS_FROM: i16 = 6;

pub(super) async fn handle(
    context: &Context,
    request: DeleteTopicsRequest,
    version: i16,
) -> DeleteTopicsResponse {
    let wait = change_wait_of(request.timeout_ms, CHANGE_WAIT_MAX);
    let topics = wanted(request, version);
    let responses = if topics.len() > TOPICS_PER_CHANGE_MAX {
        let message = format!(
            "{} topics, at most {TOPICS_PER_CHANGE_MAX} at a time",
            topics.len()
        );
        all_failed(topics, ErrorCode::POLICY_VIOLATION, &message)
    } else {
        match timeout(wait, context.controller.delete_topics(topics.clone())).await {
            Ok(Ok(results)) => topics
                .into_iter()
                .zip(results)
                .map(|(t, r)| answer(t, r))
                .collect(),
            Ok(Err(refusal)) => all_failed(topics, change_code(&refusal), &refusal.to_string()),
            Err(_) => all_failed(
                topics,
                ErrorCode::REQUEST_TIMED_OUT,
                "the topics are still being removed",
            ),
        }
    };
    DeleteTopicsResponse {
        responses,
        ..DeleteTopicsResponse::default()
    }
}

fn wanted(request: DeleteTopicsRequest, version: i16) -> Vec<TopicRef> {
    if version < IDS_FROM {
        return request
            .topic_names
            .into_iter()
            .map(TopicRef::Name)
            .collect();
    }
    let topics = request.topics.into_iter();
    topics
        .map(|topic| {
            topic
                .name
                .map_or(TopicRef::Id(topic.topic_id), TopicRef::Name)
        })
        .collect()
}

fn answer(topic: TopicRef, result: Result<Arc<Topic>, DeleteError>) -> DeletableTopicResult {
    match result {
        Ok(deleted) => DeletableTopicResult {
            name: Some(deleted.name.clone()),
            topic_id: deleted.id,
            ..DeletableTopicResult::default()
        },
        Err(error) => failed(topic, delete_code(&error), error.to_string()),
    }
}

fn all_failed(topics: Vec<TopicRef>, code: ErrorCode, message: &str) -> Vec<DeletableTopicResult> {
    topics
        .into_iter()
        .map(|topic| failed(topic, code, message.to_owned()))
        .collect()
}

fn failed(topic: TopicRef, error_code: ErrorCode, message: String) -> DeletableTopicResult {
    let (name, topic_id) = match topic {
        TopicRef::Name(name) => (Some(name), Uuid::ZERO),
        TopicRef::Id(id) => (None, id),
    };
    DeletableTopicResult {
        name,
        topic_id,
        error_code,
        error_message: Some(message),
    }
}
