//! FindCoordinator: who keeps a group. The first question makes the topic that groups are kept in.
//!
//! There are no transactions yet, and this says so.

use super::Peer;
use super::node::advertised;
use crate::context::Context;
use crate::controller::{CreateError, NewTopic};
use crate::groups::{GROUPS_PARTITIONS, GROUPS_TOPIC};
use crate::limits::GROUP_SEGMENT_BYTES;
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::find_coordinator::{
    Coordinator, KEY_TYPE_GROUP, KEY_TYPE_TRANSACTION,
};
use laminarmq_kafka::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

/// First version that asks for several keys at once.
const MANY_KEYS_FROM: i16 = 4;

/// Why there is no coordinator: the code, and the same in words.
type Refused = (ErrorCode, String);

pub(super) async fn handle(
    context: &Context,
    peer: &Peer,
    request: FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    let found = match request.key_type {
        KEY_TYPE_GROUP => make_topic(context).await.map(|()| {
            let address = advertised(context, peer);
            Coordinator {
                node_id: context.node_id,
                host: address.host,
                port: address.port.into(),
                error_message: None,
                ..Coordinator::default()
            }
        }),
        KEY_TYPE_TRANSACTION => Err((
            // All clients give up on this one and show it to their user.
            ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            "this broker has no transactions yet".to_owned(),
        )),
        other => Err((
            ErrorCode::INVALID_REQUEST,
            format!("there are no coordinators of kind {other}"),
        )),
    };
    answer(&found, request.coordinator_keys, version)
}

fn answer(
    found: &Result<Coordinator, Refused>,
    keys: Vec<String>,
    version: i16,
) -> FindCoordinatorResponse {
    let found = match found {
        Ok(found) => found.clone(),
        Err((error_code, why)) => Coordinator {
            node_id: -1,
            port: -1,
            error_code: *error_code,
            error_message: Some(why.clone()),
            ..Coordinator::default()
        },
    };
    if version < MANY_KEYS_FROM {
        return FindCoordinatorResponse {
            error_code: found.error_code,
            error_message: found.error_message,
            node_id: found.node_id,
            host: found.host,
            port: found.port,
            ..FindCoordinatorResponse::default()
        };
    }
    let coordinators = keys.into_iter().map(|key| Coordinator {
        key,
        ..found.clone()
    });
    FindCoordinatorResponse {
        coordinators: coordinators.collect(),
        ..FindCoordinatorResponse::default()
    }
}

/// Makes the topic of groups, unless it is there. What it holds is never lost to a power cut and never
/// deleted by age or size, whatever the node's defaults are: its coordinator keeps it short.
async fn make_topic(context: &Context) -> Result<(), Refused> {
    if context.image().topic(GROUPS_TOPIC).is_some() {
        return Ok(());
    }
    let settings = [
        ("flush", "sync".to_owned()),
        ("segment.bytes", GROUP_SEGMENT_BYTES.to_string()),
        ("retention.ms", "-1".to_owned()),
        ("retention.bytes", "-1".to_owned()),
    ];
    let wish = NewTopic {
        name: GROUPS_TOPIC.to_owned(),
        partitions: Some(GROUPS_PARTITIONS.cast_signed()),
        settings: settings
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Some(value)))
            .collect(),
        internal: true,
        ..NewTopic::default()
    };
    let made = context.controller.create_topics(vec![wish], false).await;
    let why = match made.map(|mut results| results.remove(0)) {
        // Somebody may have asked at the same time.
        Ok(Ok(_) | Err(CreateError::Exists)) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(refusal) => refusal.to_string(),
    };
    tracing::error!(why, "the topic of consumer groups cannot be made");
    Err((ErrorCode::COORDINATOR_NOT_AVAILABLE, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_gets_its_answer_in_the_form_of_the_version() {
        let here = Coordinator {
            node_id: 1,
            host: "h".to_owned(),
            port: 9092,
            error_message: None,
            ..Coordinator::default()
        };
        let code = ErrorCode::COORDINATOR_NOT_AVAILABLE;
        let refused = Err((code, "why".to_owned()));
        for (found, node, error) in [(Ok(here), 1, ErrorCode::NONE), (refused, -1, code)] {
            let response = answer(&found, vec![], 3);
            assert_eq!((response.node_id, response.error_code), (node, error));
            assert!(response.coordinators.is_empty());
            let response = answer(&found, vec!["a".to_owned(), "b".to_owned()], 4);
            assert_eq!(response.error_code, ErrorCode::NONE);
            let found = response.coordinators.iter();
            let found: Vec<_> = found
                .map(|c| (c.key.as_str(), c.node_id, c.error_code))
                .collect();
            assert_eq!(found, [("a", node, error), ("b", node, error)]);
        }
    }
}
