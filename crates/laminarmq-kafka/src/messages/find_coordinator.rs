//! FindCoordinator: the broker that keeps a group, or the transactions of a producer.

use crate::ErrorCode;
use crate::schema::schema;

/// A [`FindCoordinatorRequest::key_type`]: the keys are groups.
pub const KEY_TYPE_GROUP: i8 = 0;
/// A [`FindCoordinatorRequest::key_type`]: the keys are transactional ids.
pub const KEY_TYPE_TRANSACTION: i8 = 1;

schema! {
    /// Asks for coordinators.
    FindCoordinatorRequest {
        /// The group or transactional id.
        key: String, in 0..=3;
        /// What the keys are: one of the constants of this module.
        key_type: i8, in 1..;
        /// The groups or transactional ids.
        coordinator_keys: Vec<String>, in 4..;
    }

    /// The coordinators: before version 4 one, without its key.
    FindCoordinatorResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 1..;
        /// Why there is none, or none.
        error_code: ErrorCode, in 0..=3;
        /// The same in words.
        error_message: Option<String> = Some(String::new()), ignorable 1..=3, nullable 1..=3;
        /// The broker, or -1.
        node_id: i32, in 0..=3;
        /// Name or address to dial.
        host: String, in 0..=3;
        /// Port to dial, or -1.
        port: i32, in 0..=3;
        /// One for each key.
        coordinators: Vec<Coordinator>, in 4..;
    }

    /// The coordinator of one key.
    Coordinator {
        /// The key.
        key: String, in 4..;
        /// The broker, or -1.
        node_id: i32, in 4..;
        /// Name or address to dial.
        host: String, in 4..;
        /// Port to dial, or -1.
        port: i32, in 4..;
        /// Why there is none, or none.
        error_code: ErrorCode, in 4..;
        /// The same in words.
        error_message: Option<String> = Some(String::new()), ignorable 4.., nullable 4..;
    }
}
