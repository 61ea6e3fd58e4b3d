//! Errors become error codes here, and only here: one match per operation. Whether a client may retry
//! follows from the code ([`ErrorCode::retriable`]).

use super::produce::ProduceError;
use crate::controller::{AlterError, CreateError, DeleteError, GrowError};
use crate::groups::GroupError;
use crate::shard::Refusal;
use crate::topics::SettingError;
use laminarmq_kafka::ErrorCode;

pub(super) fn refusal_code(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::NoPartition => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        // A client that hears this asks for the metadata again, and finds out by itself.
        Refusal::NotLeader | Refusal::Closing => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        Refusal::Unconfirmed => ErrorCode::REQUEST_TIMED_OUT,
        Refusal::TooFewInSync { .. } | Refusal::TooManyHeld => ErrorCode::NOT_ENOUGH_REPLICAS,
        Refusal::FellOutOfSync { .. } => ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        Refusal::FencedEpoch { .. } => ErrorCode::FENCED_LEADER_EPOCH,
        Refusal::UnknownEpoch { .. } => ErrorCode::UNKNOWN_LEADER_EPOCH,
        Refusal::OutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
        Refusal::NotAvailable => ErrorCode::OFFSET_NOT_AVAILABLE,
        Refusal::TooLarge { .. } => ErrorCode::MESSAGE_TOO_LARGE,
        Refusal::Unsuitable(_) => ErrorCode::INVALID_CONFIG,
        Refusal::SequenceGap { .. } => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        Refusal::OldProducerEpoch { .. } => ErrorCode::INVALID_PRODUCER_EPOCH,
        Refusal::Unreadable(_) | Refusal::Failed => ErrorCode::KAFKA_STORAGE_ERROR,
    }
}

pub(super) fn produce_code(error: &ProduceError) -> ErrorCode {
    match error {
        ProduceError::UnknownPartition => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ProduceError::Internal => ErrorCode::INVALID_TOPIC_EXCEPTION,
        ProduceError::RequiredAcks(_) => ErrorCode::INVALID_REQUIRED_ACKS,
        // Fatal to every client, and true: nobody may use transactions here.
        ProduceError::Transactional => ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        ProduceError::NoRecords => ErrorCode::INVALID_RECORD,
        ProduceError::Batch(error) => error.error_code(),
        ProduceError::TimedOut => ErrorCode::REQUEST_TIMED_OUT,
        ProduceError::Refused(Refusal::NoPartition) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        // The code of a fetch would mean nothing to a producer.
        ProduceError::Refused(Refusal::NotAvailable) => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ProduceError::Refused(refusal) => refusal_code(refusal),
    }
}

pub(super) fn create_code(error: &CreateError) -> ErrorCode {
    match error {
        CreateError::Name(_) | CreateError::Lookalike(_) => ErrorCode::INVALID_TOPIC_EXCEPTION,
        CreateError::Exists => ErrorCode::TOPIC_ALREADY_EXISTS,
        CreateError::Twice => ErrorCode::INVALID_REQUEST,
        CreateError::Partitions(_) => ErrorCode::INVALID_PARTITIONS,
        CreateError::TooManyPartitions { .. } | CreateError::TooLarge => {
            ErrorCode::POLICY_VIOLATION
        }
        CreateError::ReplicationFactor { .. } => ErrorCode::INVALID_REPLICATION_FACTOR,
        CreateError::Assignment(_) => ErrorCode::INVALID_REPLICA_ASSIGNMENT,
        CreateError::Setting(_) => ErrorCode::INVALID_CONFIG,
        CreateError::Open(_) => ErrorCode::KAFKA_STORAGE_ERROR,
        CreateError::Refused(refusal) => change_code(refusal),
    }
}

pub(super) fn delete_code(error: &DeleteError) -> ErrorCode {
    match error {
        DeleteError::Unknown => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        DeleteError::UnknownId => ErrorCode::UNKNOWN_TOPIC_ID,
        DeleteError::Internal => ErrorCode::INVALID_REQUEST,
        DeleteError::Refused(refusal) => change_code(refusal),
    }
}

pub(super) fn alter_code(error: &AlterError) -> ErrorCode {
    match error {
        AlterError::Unknown => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        AlterError::Setting(SettingError::Unknown(_) | SettingError::Invalid { .. }) => {
            ErrorCode::INVALID_CONFIG
        }
        AlterError::Internal | AlterError::Twice | AlterError::Setting(_) => {
            ErrorCode::INVALID_REQUEST
        }
        AlterError::Refused(refusal) => change_code(refusal),
    }
}

pub(super) fn grow_code(error: &GrowError) -> ErrorCode {
    match error {
        GrowError::Unknown => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        GrowError::Internal | GrowError::Twice => ErrorCode::INVALID_REQUEST,
        GrowError::NotMore { .. } | GrowError::TooMany(_) => ErrorCode::INVALID_PARTITIONS,
        GrowError::TooManyOnNode { .. } => ErrorCode::POLICY_VIOLATION,
        GrowError::Assignment(_) => ErrorCode::INVALID_REPLICA_ASSIGNMENT,
        GrowError::Open(_) => ErrorCode::KAFKA_STORAGE_ERROR,
        GrowError::Refused(refusal) => change_code(refusal),
    }
}

pub(super) fn group_code(error: &GroupError) -> ErrorCode {
    match error {
        GroupError::NotCoordinator => ErrorCode::NOT_COORDINATOR,
        GroupError::Loading => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        GroupError::GroupId => ErrorCode::INVALID_GROUP_ID,
        GroupError::UnknownMember => ErrorCode::UNKNOWN_MEMBER_ID,
        GroupError::FencedInstance => ErrorCode::FENCED_INSTANCE_ID,
        GroupError::IllegalGeneration => ErrorCode::ILLEGAL_GENERATION,
        GroupError::Rebalancing => ErrorCode::REBALANCE_IN_PROGRESS,
        GroupError::InconsistentProtocol => ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        GroupError::SessionTimeout => ErrorCode::INVALID_SESSION_TIMEOUT,
        GroupError::MemberIdRequired => ErrorCode::MEMBER_ID_REQUIRED,
        GroupError::Full => ErrorCode::GROUP_MAX_SIZE_REACHED,
        GroupError::NoRoomForOffsets => ErrorCode::INVALID_COMMIT_OFFSET_SIZE,
        // The leader gives up on this one, and shows it to its user.
        GroupError::AssignmentTooLarge => ErrorCode::UNKNOWN_SERVER_ERROR,
        GroupError::Invalid => ErrorCode::INVALID_REQUEST,
        GroupError::NotEmpty => ErrorCode::NON_EMPTY_GROUP,
        GroupError::NotFound => ErrorCode::GROUP_ID_NOT_FOUND,
        GroupError::Subscribed => ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
    }
}

/// Why the metadata group did not take a change.
pub(super) fn change_code(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::Failed => ErrorCode::KAFKA_STORAGE_ERROR,
        Refusal::Unconfirmed => ErrorCode::REQUEST_TIMED_OUT,
        Refusal::TooLarge { .. } => ErrorCode::POLICY_VIOLATION,
        _ => ErrorCode::NOT_CONTROLLER,
    }
}
