//! Creating topics, adding partitions to them, deleting them.

use std::time::Duration;

use laminarmq_kafka::messages::create_partitions::CreatePartitionsTopic;
use laminarmq_kafka::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use laminarmq_kafka::messages::delete_topics::DeleteTopicState;
use laminarmq_kafka::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
};
use laminarmq_kafka::{ErrorCode, Uuid};

use super::{Client, ClientError};

/// A topic to create.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    /// `None`: the broker's default.
    pub(crate) partitions: Option<i32>,
    /// `None`: the broker's default.
    pub(crate) replicas: Option<i16>,
    pub(crate) configs: Vec<(String, String)>,
}

/// What became of a topic that was created.
#[derive(Debug, Clone)]
pub(crate) struct Created {
    pub(crate) id: Uuid,
    /// `None`: an old broker, which does not tell.
    pub(crate) partitions: Option<i32>,
    /// `None`: an old broker, which does not tell.
    pub(crate) replicas: Option<i16>,
}

impl Client {
    /// Creates a topic, or with `dry_run` only checks whether that would work.
    pub(crate) async fn create_topic(
        &self,
        topic: &NewTopic,
        dry_run: bool,
    ) -> Result<Created, ClientError> {
        let configs = topic
            .configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig {
                name: name.clone(),
                value: Some(value.clone()),
            });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic.name.clone(),
                num_partitions: topic.partitions.unwrap_or(-1),
                replication_factor: topic.replicas.unwrap_or(-1),
                configs: configs.collect(),
                ..CreatableTopic::default()
            }],
            timeout_ms: millis(self.options().request_timeout),
            validate_only: dry_run,
        };
        let what = || format!("cannot create topic `{}`", topic.name);
        let response = self.ask(&request).await?;
        let result = response.topics.into_iter().find(|t| t.name == topic.name);
        let result = result.ok_or_else(|| no_answer(what()))?;
        if !result.error_code.is_none() {
            return Err(ClientError::refused(
                what(),
                result.error_code,
                result.error_message,
            ));
        }
        Ok(Created {
            id: result.topic_id,
            partitions: Some(result.num_partitions).filter(|count| *count >= 0),
            replicas: Some(result.replication_factor).filter(|count| *count >= 0),
        })
    }

    /// Makes `total` of a topic's partitions, or with `dry_run` only checks whether that would work.
    pub(crate) async fn add_partitions(
        &self,
        name: &str,
        total: i32,
        dry_run: bool,
    ) -> Result<(), ClientError> {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: name.to_owned(),
                count: total,
                assignments: None,
            }],
            timeout_ms: millis(self.options().request_timeout),
            validate_only: dry_run,
        };
        let what = || format!("cannot add partitions to topic `{name}`");
        let response = self.ask(&request).await?;
        let result = response.results.into_iter().next();
        let result = result.ok_or_else(|| no_answer(what()))?;
        self.forget(name);
        match result.error_code {
            ErrorCode::NONE => Ok(()),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => Err(ClientError::NoSuchTopic(name.to_owned())),
            code => Err(ClientError::refused(what(), code, result.error_message)),
        }
    }

    /// Deletes a topic with everything in it.
    pub(crate) async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        let request = DeleteTopicsRequest {
            // One of the two goes on the wire, by version.
            topics: vec![DeleteTopicState {
                name: Some(name.to_owned()),
                topic_id: Uuid::ZERO,
            }],
            topic_names: vec![name.to_owned()],
            timeout_ms: millis(self.options().request_timeout),
        };
        let what = || format!("cannot delete topic `{name}`");
        let connection = self.any().await?;
        let by_name = connection
            .versions()
            .pick::<DeleteTopicsRequest>(connection.broker())?
            < 6;
        let request = DeleteTopicsRequest {
            topics: if by_name { Vec::new() } else { request.topics },
            ..request
        };
        let response = self.ask(&request).await?;
        let result = response.responses.into_iter().next();
        let result = result.ok_or_else(|| no_answer(what()))?;
        self.forget(name);
        match result.error_code {
            ErrorCode::NONE => Ok(()),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => Err(ClientError::NoSuchTopic(name.to_owned())),
            code => Err(ClientError::refused(what(), code, result.error_message)),
        }
    }
}

fn no_answer(what: String) -> ClientError {
    let message = String::from("the broker's answer does not name it");
    ClientError::refused(what, ErrorCode::UNKNOWN_SERVER_ERROR, Some(message))
}

pub(super) fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
