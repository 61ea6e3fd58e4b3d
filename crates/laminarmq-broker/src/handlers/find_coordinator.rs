//! FindCoordinator: who keeps a group. The first question makes the topic that groups are kept in.
//!
//! There are no transactions yet, and this says so.

use super::Peer;
use super::node::{Broker, brokers, leader};
use crate::context::Context;
use crate::controller::{CreateError, NewTopic};
use crate::groups::{GROUPS_PARTITIONS, GROUPS_TOPIC, partition_of};
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
    let is_there = match request.key_type {
        KEY_TYPE_GROUP => make_topic(context).await,
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
    let brokers = brokers(context, peer);
    let find = |key: &str| {
        is_there.clone()?;
        coordinator(context, &brokers, key)
    };
    if version < MANY_KEYS_FROM {
        return of_one(find(&request.key));
    }
    let keys = request.coordinator_keys.into_iter();
    let coordinators = keys.map(|key| with_key(find(&key), key));
    FindCoordinatorResponse {
        coordinators: coordinators.collect(),
        ..FindCoordinatorResponse::default()
    }
}

/// The node that leads the partition which keeps the group.
fn coordinator(context: &Context, brokers: &[Broker], group: &str) -> Result<Broker, Refused> {
    let unknown = || {
        (
            ErrorCode::COORDINATOR_NOT_AVAILABLE,
            "nobody is known to lead the partition of this group, try again".to_owned(),
        )
    };
    let image = context.image();
    let topic = image.topic(GROUPS_TOPIC).ok_or_else(unknown)?;
    let partitions = &topic.topic.partitions;
    let partition = &partitions[partition_of(group, partitions.len())];
    let (leader, _) = leader(context, partition.group).ok_or_else(unknown)?;
    let found = brokers.iter().find(|broker| broker.id == leader);
    found.cloned().ok_or_else(unknown)
}

/// The answer of the versions that ask for one group.
fn of_one(found: Result<Broker, Refused>) -> FindCoordinatorResponse {
    let found = with_key(found, String::new());
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..FindCoordinatorResponse::default()
    }
}

fn with_key(found: Result<Broker, Refused>, key: String) -> Coordinator {
    match found {
        Ok(Broker { id, address }) => Coordinator {
            key,
            node_id: id,
            host: address.host,
            port: address.port.into(),
            error_message: None,
            ..Coordinator::default()
        },
        Err((error_code, why)) => Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code,
            error_message: Some(why),
            ..Coordinator::default()
        },
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
    use crate::config::HostPort;

    #[test]
    fn both_forms_say_the_same() {
        let here = Broker {
            id: 1,
            address: HostPort {
                host: "h".to_owned(),
                port: 9092,
            },
        };
        let code = ErrorCode::COORDINATOR_NOT_AVAILABLE;
        let refused = Err((code, "why".to_owned()));
        for (found, node, error) in [(Ok(here), 1, ErrorCode::NONE), (refused, -1, code)] {
            let response = of_one(found.clone());
            assert_eq!((response.node_id, response.error_code), (node, error));
            assert!(response.coordinators.is_empty());
            let one = with_key(found, "a".to_owned());
            assert_eq!(
                (one.key.as_str(), one.node_id, one.error_code),
                ("a", node, error)
            );
            assert_eq!((one.host, one.port), (response.host, response.port));
        }
    }
}
