//! InitProducerId: a number for an idempotent producer.

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// Asks for a producer id, or for a new epoch of one.
    InitProducerIdRequest {
        /// The producer's transactions, or null when it is only idempotent.
        transactional_id: Option<String>, in 0.., nullable 0..;
        /// After how much silence its transaction is aborted, in milliseconds.
        transaction_timeout_ms: i32, in 0..;
        /// The id that it has, or -1.
        producer_id: i64 = -1, in 3..;
        /// Its epoch, or -1.
        producer_epoch: i16 = -1, in 3..;
    }

    /// The producer id.
    InitProducerIdResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 0..;
        /// Why there is none, or none.
        error_code: ErrorCode, in 0..;
        /// The id, or -1.
        producer_id: i64 = -1, in 0..;
        /// Its epoch.
        producer_epoch: i16, in 0..;
    }
}
