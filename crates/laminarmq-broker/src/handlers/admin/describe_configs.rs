//! DescribeConfigs: settings of topics and of the node, each with where its value comes from.

use super::{NODE, Refused, TOPIC, node_settings};
use crate::context::Context;
use crate::controller::Image;
use crate::handlers::metadata::missing_code;
use crate::limits::SETTINGS_RESOURCES_MAX;
use crate::topics::{Described, TopicDefaults};
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResult,
    DescribeConfigsSynonym,
};
use laminarmq_kafka::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

/// What the answer shall hold beside the values.
#[derive(Clone, Copy)]
struct Wanted {
    synonyms: bool,
    documentation: bool,
}

pub(super) fn handle(
    context: &Context,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let image = context.image();
    let too_many = request.resources.len() > SETTINGS_RESOURCES_MAX;
    let wanted = Wanted {
        synonyms: request.include_synonyms,
        documentation: request.include_documentation,
    };
    let result = |resource: DescribeConfigsResource| {
        let found = if too_many {
            let why = format!("settings of at most {SETTINGS_RESOURCES_MAX} are told at a time");
            Err((ErrorCode::POLICY_VIOLATION, why))
        } else {
            find(context, &image, &resource, wanted)
        };
        let (error_code, error_message, configs) = match found {
            Ok(configs) => (ErrorCode::NONE, None, configs),
            Err((code, why)) => (code, Some(why), Vec::new()),
        };
        DescribeConfigsResult {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            configs,
        }
    };
    DescribeConfigsResponse {
        results: request.resources.into_iter().map(result).collect(),
        ..DescribeConfigsResponse::default()
    }
}

fn find(
    context: &Context,
    image: &Image,
    resource: &DescribeConfigsResource,
    wanted: Wanted,
) -> Result<Vec<DescribeConfigsResourceResult>, Refused> {
    let name = &resource.resource_name;
    let (described, read_only) = match resource.resource_type {
        TOPIC => {
            let unknown = || (missing_code(name), "there is no such topic".to_owned());
            let topic = image.topic(name).ok_or_else(unknown)?;
            let defaults = TopicDefaults::of(&context.config);
            let described = topic.settings.describe(&topic.topic.settings, defaults);
            (described, false)
        }
        // What is set for all nodes while they run: nothing.
        NODE if name.is_empty() => (Vec::new(), true),
        NODE if *name == context.node_id.to_string() => (node_settings::describe(context), true),
        NODE => {
            let node = context.node_id;
            let why = format!("this is node {node}, which knows nothing about node {name:?}");
            return Err((ErrorCode::INVALID_REQUEST, why));
        }
        other => {
            let why = format!("resources of type {other} have no settings here");
            return Err((ErrorCode::INVALID_REQUEST, why));
        }
    };
    let keys = resource.configuration_keys.as_deref().unwrap_or_default();
    let is_wanted = |name: &str| keys.is_empty() || keys.iter().any(|key| key == name);
    let described = described.into_iter().filter(|d| is_wanted(d.name));
    Ok(described.map(|d| told(d, read_only, wanted)).collect())
}

fn told(described: Described, read_only: bool, wanted: Wanted) -> DescribeConfigsResourceResult {
    let synonyms = described.synonyms.into_iter().filter(|_| wanted.synonyms);
    let synonyms = synonyms.map(|synonym| DescribeConfigsSynonym {
        name: synonym.name.to_owned(),
        value: Some(synonym.value),
        source: synonym.source as i8,
    });
    DescribeConfigsResourceResult {
        name: described.name.to_owned(),
        value: Some(described.value),
        read_only,
        config_source: described.source as i8,
        is_sensitive: false,
        synonyms: synonyms.collect(),
        config_type: described.value_type as i8,
        documentation: wanted
            .documentation
            .then(|| described.documentation.to_owned()),
    }
}
