//! The settings of topics: where each value comes from, and changes to them.

use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult,
};
use laminarmq_kafka::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use laminarmq_kafka::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};

use super::{Client, ClientError};

/// A topic, in the protocol's numbers of resources.
const TOPIC: i8 = 2;
const SET: i8 = 0;
const DELETE: i8 = 1;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettingSource {
    /// Set for the topic itself.
    Topic,
    /// Set for one broker or all of them.
    Broker,
    Default,
    /// The broker does not tell, or says something new.
    Unknown,
}

impl SettingSource {
    fn of(number: i8) -> Self {
        match number {
            1 => Self::Topic,
            2..=4 => Self::Broker,
            5 => Self::Default,
            _ => Self::Unknown,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Broker => "broker",
            Self::Default => "default",
            Self::Unknown => "-",
        }
    }
}

/// A setting as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: String,
    /// `None`: none, or a secret.
    pub(crate) value: Option<String>,
    pub(crate) source: SettingSource,
    pub(crate) read_only: bool,
    pub(crate) secret: bool,
}

/// A change of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SettingChange {
    Set {
        name: String,
        value: String,
    },
    /// Back to what is in force without it.
    Unset {
        name: String,
    },
}

impl SettingChange {
    pub(crate) fn name(&self) -> &str {
        let (Self::Set { name, .. } | Self::Unset { name }) = self;
        name
    }
}

impl Client {
    /// The settings of a topic, by name. `None`: the broker is too old to tell.
    pub(crate) async fn topic_settings(
        &self,
        topic: &str,
    ) -> Result<Option<Vec<Setting>>, ClientError> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: TOPIC,
                resource_name: topic.to_owned(),
                configuration_keys: None,
            }],
            ..DescribeConfigsRequest::default()
        };
        let response = match self.ask(&request).await {
            Err(ClientError::Unsupported { .. }) => return Ok(None),
            answer => answer?,
        };
        let what = || format!("cannot read the settings of topic `{topic}`");
        let result = response.results.into_iter().next();
        let result = result
            .ok_or_else(|| ClientError::refused(what(), ErrorCode::UNKNOWN_SERVER_ERROR, None))?;
        done(what, topic, result.error_code, result.error_message)?;
        let mut settings: Vec<_> = result.configs.into_iter().map(setting).collect();
        settings.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(settings))
    }

    /// Changes settings of a topic, all or none; the others stay. With `dry_run` only checks.
    pub(crate) async fn alter_topic(
        &self,
        topic: &str,
        changes: &[SettingChange],
        dry_run: bool,
    ) -> Result<(), ClientError> {
        let changes = changes.iter().map(|change| match change {
            SettingChange::Set { name, value } => AlterableConfig {
                name: name.clone(),
                config_operation: SET,
                value: Some(value.clone()),
            },
            SettingChange::Unset { name } => AlterableConfig {
                name: name.clone(),
                config_operation: DELETE,
                value: None,
            },
        });
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: TOPIC,
                resource_name: topic.to_owned(),
                configs: changes.collect(),
            }],
            validate_only: dry_run,
        };
        let response = self.ask(&request).await?;
        let what = || format!("cannot alter topic `{topic}`");
        let result = response.responses.into_iter().next();
        let result = result
            .ok_or_else(|| ClientError::refused(what(), ErrorCode::UNKNOWN_SERVER_ERROR, None))?;
        done(what, topic, result.error_code, result.error_message)
    }
}

fn done(
    what: impl FnOnce() -> String,
    topic: &str,
    code: ErrorCode,
    message: Option<String>,
) -> Result<(), ClientError> {
    match code {
        ErrorCode::NONE => Ok(()),
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => Err(ClientError::NoSuchTopic(topic.to_owned())),
        code => Err(ClientError::refused(what(), code, message)),
    }
}

fn setting(told: DescribeConfigsResourceResult) -> Setting {
    Setting {
        name: told.name,
        value: told.value,
        source: SettingSource::of(told.config_source),
        read_only: told.read_only,
        secret: told.is_sensitive,
    }
}
