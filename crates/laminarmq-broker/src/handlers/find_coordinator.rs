//! FindCoordinator: there are neither groups nor transactions yet, and this says so. It is served because
//! clients conclude from its being listed what else a broker can do: librdkafka does not compress with
//! lz4 without it.

use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::find_coordinator::{Coordinator, KEY_TYPE_TRANSACTION};
use laminarmq_kafka::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

/// First version that asks for several keys at once.
const MANY_KEYS_FROM: i16 = 4;

pub(super) fn answer(request: FindCoordinatorRequest, version: i16) -> FindCoordinatorResponse {
    let (error_code, what) = if request.key_type == KEY_TYPE_TRANSACTION {
        // All clients give up on this one and show it to their user.
        (
            ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            "this broker has no transactions yet",
        )
    } else {
        // Consumers that assign their partitions themselves ask too when they have a group id, and must
        // not fail for it: to them this means that commits have to wait.
        (
            ErrorCode::COORDINATOR_NOT_AVAILABLE,
            "this broker has no consumer groups yet: assign partitions instead",
        )
    };
    let nobody = -1;
    if version < MANY_KEYS_FROM {
        return FindCoordinatorResponse {
            error_code,
            error_message: Some(what.to_owned()),
            node_id: nobody,
            port: nobody,
            ..FindCoordinatorResponse::default()
        };
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| Coordinator {
        key,
        node_id: nobody,
        port: nobody,
        error_code,
        error_message: Some(what.to_owned()),
        ..Coordinator::default()
    });
    FindCoordinatorResponse {
        coordinators: coordinators.collect(),
        ..FindCoordinatorResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use laminarmq_kafka::messages::find_coordinator::KEY_TYPE_GROUP;

    #[test]
    fn every_key_gets_its_error_in_the_form_of_the_version() {
        for (key_type, want) in [
            (KEY_TYPE_GROUP, ErrorCode::COORDINATOR_NOT_AVAILABLE),
            (
                KEY_TYPE_TRANSACTION,
                ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            ),
        ] {
            let one = FindCoordinatorRequest {
                key: "a".to_owned(),
                key_type,
                ..FindCoordinatorRequest::default()
            };
            let response = answer(one, 3);
            assert_eq!(response.error_code, want);
            assert!(response.coordinators.is_empty());
            let many = FindCoordinatorRequest {
                key_type,
                coordinator_keys: vec!["a".to_owned(), "b".to_owned()],
                ..FindCoordinatorRequest::default()
            };
            let response = answer(many, 4);
            assert_eq!(response.error_code, ErrorCode::NONE);
            let found = response.coordinators.iter();
            let found: Vec<_> = found
                .map(|c| (c.key.as_str(), c.node_id, c.error_code))
                .collect();
            assert_eq!(found, [("a", -1, want), ("b", -1, want)]);
        }
    }
}
