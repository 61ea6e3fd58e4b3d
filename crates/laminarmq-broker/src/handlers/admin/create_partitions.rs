//! CreatePartitions: answered when the new partitions exist and have a leader.

use super::Refused;
use crate::context::Context;
use crate::controller::{GrowError, Growth};
use crate::handlers::change_wait_of;
use crate::handlers::wire::{change_code, grow_code};
use crate::limits::{CHANGE_WAIT_MAX, TOPICS_PER_CHANGE_MAX};
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use laminarmq_kafka::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use std::time::Duration;
use tokio::time::timeout;

pub(super) async fn handle(
    context: &Context,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let wait = change_wait_of(request.timeout_ms, CHANGE_WAIT_MAX);
    let many = request.topics.len();
    let names: Vec<_> = request.topics.iter().map(|t| t.name.clone()).collect();
    let refused = if many > TOPICS_PER_CHANGE_MAX {
        let why = format!("{many} topics, at most {TOPICS_PER_CHANGE_MAX} at a time");
        vec![Some((ErrorCode::POLICY_VIOLATION, why)); many]
    } else {
        let growths = request.topics.into_iter().map(growth).collect();
        ask(context, growths, request.validate_only, wait).await
    };
    let result = |(name, refused): (String, Option<Refused>)| {
        let (error_code, error_message) = match refused {
            Some((code, why)) => (code, Some(why)),
            None => (ErrorCode::NONE, None),
        };
        CreatePartitionsTopicResult {
            name,
            error_code,
            error_message,
        }
    };
    CreatePartitionsResponse {
        results: names.into_iter().zip(refused).map(result).collect(),
        ..CreatePartitionsResponse::default()
    }
}

fn growth(topic: CreatePartitionsTopic) -> Growth {
    let nodes = |assignments: Vec<CreatePartitionsAssignment>| {
        let nodes = assignments.into_iter();
        nodes.map(|assignment| assignment.broker_ids).collect()
    };
    Growth {
        topic: topic.name,
        count: topic.count,
        assignments: topic.assignments.map(nodes),
    }
}

async fn ask(
    context: &Context,
    growths: Vec<Growth>,
    validate_only: bool,
    wait: Duration,
) -> Vec<Option<Refused>> {
    let count = growths.len();
    let growing = context.controller.add_partitions(growths, validate_only);
    let refused = |error: GrowError| (grow_code(&error), error.to_string());
    match timeout(wait, growing).await {
        Ok(Ok(results)) => results.into_iter().map(|r| r.err().map(refused)).collect(),
        Ok(Err(refusal)) => vec![Some((change_code(&refusal), refusal.to_string())); count],
        Err(_) => {
            let why = "the partitions are still being made".to_owned();
            vec![Some((ErrorCode::REQUEST_TIMED_OUT, why)); count]
        }
    }
}
