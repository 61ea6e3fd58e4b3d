//! AlterConfigs and IncrementalAlterConfigs: the first replaces all settings of a topic, the second changes
//! some. Both are answered when the settings are in force and on disk.
//!
//! The node's own settings are read when it starts, so they are refused here.

use super::{NODE, Refused, TOPIC};
use crate::context::Context;
use crate::controller::{AlterError, Alteration, SettingsChange};
use crate::handlers::wire::{alter_code, change_code};
use crate::limits::{CHANGE_WAIT_MAX, TOPICS_PER_CHANGE_MAX};
use crate::topics::{Edit, Operation};
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, alter_configs, incremental_alter_configs,
};
use std::collections::BTreeMap;
use tokio::time::timeout;

/// A topic or something else, and what shall become of its settings.
struct Wish {
    resource: (i8, String),
    change: Result<SettingsChange, Refused>,
}

pub(super) async fn replace(
    context: &Context,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let wish = |resource: alter_configs::AlterConfigsResource| {
        let pairs = resource.configs.into_iter();
        let pairs = pairs.map(|config| (config.name, config.value)).collect();
        Wish {
            resource: (resource.resource_type, resource.resource_name),
            change: Ok(SettingsChange::Replace(pairs)),
        }
    };
    let wishes = request.resources.into_iter().map(wish).collect();
    let answers = alter(context, wishes, request.validate_only).await;
    let response = |((resource_type, resource_name), refused): Answer| {
        let (error_code, error_message) = told(refused);
        alter_configs::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type,
            resource_name,
        }
    };
    AlterConfigsResponse {
        responses: answers.into_iter().map(response).collect(),
        ..AlterConfigsResponse::default()
    }
}

pub(super) async fn edit(
    context: &Context,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let wish = |resource: incremental_alter_configs::AlterConfigsResource| {
        let edits: Result<_, _> = resource.configs.into_iter().map(one_edit).collect();
        Wish {
            resource: (resource.resource_type, resource.resource_name),
            change: edits.map(SettingsChange::Edit),
        }
    };
    let wishes = request.resources.into_iter().map(wish).collect();
    let answers = alter(context, wishes, request.validate_only).await;
    let response = |((resource_type, resource_name), refused): Answer| {
        let (error_code, error_message) = told(refused);
        incremental_alter_configs::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type,
            resource_name,
        }
    };
    IncrementalAlterConfigsResponse {
        responses: answers.into_iter().map(response).collect(),
        ..IncrementalAlterConfigsResponse::default()
    }
}

fn one_edit(config: incremental_alter_configs::AlterableConfig) -> Result<Edit, Refused> {
    let operation = match config.config_operation {
        0 => Operation::Set,
        1 => Operation::Reset,
        2 => Operation::Append,
        3 => Operation::Subtract,
        other => {
            let why = format!("{}: there is no operation {other}", config.name);
            return Err((ErrorCode::INVALID_REQUEST, why));
        }
    };
    Ok(Edit {
        name: config.name,
        operation,
        value: config.value,
    })
}

/// A resource, and why it was not changed, if so.
type Answer = ((i8, String), Option<Refused>);

/// Makes the changes; one answer per wish, in their order.
async fn alter(context: &Context, wishes: Vec<Wish>, validate_only: bool) -> Vec<Answer> {
    let mut seen = BTreeMap::<(i8, String), usize>::new();
    for wish in &wishes {
        *seen.entry(wish.resource.clone()).or_default() += 1;
    }
    let many = wishes.len();
    let mut answers = Vec::with_capacity(many);
    let mut alterations = Vec::new();
    for Wish { resource, change } in wishes {
        let refused = check(&resource, many, seen[&resource]);
        let refused = match (refused, change) {
            (Err(refused), _) | (Ok(()), Err(refused)) => Some(refused),
            (Ok(()), Ok(change)) => {
                let topic = resource.1.clone();
                alterations.push(Alteration { topic, change });
                None
            }
        };
        answers.push((resource, refused));
    }
    let mut results = ask(context, alterations, validate_only).await.into_iter();
    for (_, refused) in &mut answers {
        if refused.is_none() {
            *refused = results.next().expect("one per alteration");
        }
    }
    answers
}

/// What can be said without looking at the topics.
fn check(resource: &(i8, String), many: usize, times: usize) -> Result<(), Refused> {
    let refused = |why: String| Err((ErrorCode::INVALID_REQUEST, why));
    if many > TOPICS_PER_CHANGE_MAX {
        let why = format!("{many} resources, at most {TOPICS_PER_CHANGE_MAX} at a time");
        return Err((ErrorCode::POLICY_VIOLATION, why));
    }
    if times > 1 {
        return refused("the resource is named twice in this request".to_owned());
    }
    match resource {
        (TOPIC, _) => Ok(()),
        (NODE, _) => refused(
            "a broker reads its settings when it starts: change them there and start it again"
                .to_owned(),
        ),
        (other, _) => refused(format!("resources of type {other} have no settings here")),
    }
}

async fn ask(
    context: &Context,
    alterations: Vec<Alteration>,
    validate_only: bool,
) -> Vec<Option<Refused>> {
    if alterations.is_empty() {
        return Vec::new();
    }
    let count = alterations.len();
    let altering = context.controller.alter_topics(alterations, validate_only);
    let refused = |error: AlterError| (alter_code(&error), error.to_string());
    match timeout(CHANGE_WAIT_MAX, altering).await {
        Ok(Ok(results)) => results.into_iter().map(|r| r.err().map(refused)).collect(),
        Ok(Err(refusal)) => vec![Some((change_code(&refusal), refusal.to_string())); count],
        Err(_) => {
            let why = "the settings are still being changed".to_owned();
            vec![Some((ErrorCode::REQUEST_TIMED_OUT, why)); count]
        }
    }
}

fn told(refused: Option<Refused>) -> (ErrorCode, Option<String>) {
    match refused {
        Some((code, why)) => (code, Some(why)),
        None => (ErrorCode::NONE, None),
    }
}
