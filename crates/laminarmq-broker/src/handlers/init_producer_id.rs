//! InitProducerId: a number that no other producer has or had. The metadata group gives them out in
//! blocks; what is left of a block when the broker stops is never used.

use super::wire::change_code;
use crate::context::Context;
use crate::controller::ControllerHandle;
use crate::shard::Refusal;
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::{InitProducerIdRequest, InitProducerIdResponse};
use std::ops::Range;
use tokio::sync::Mutex;

/// The block in use.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds(Mutex<Range<u64>>);

impl ProducerIds {
    async fn next(&self, controller: &ControllerHandle) -> Result<i64, Refusal> {
        // Held while a block is fetched: who comes meanwhile gets a number of the same block.
        let mut block = self.0.lock().await;
        if block.is_empty() {
            *block = controller.producer_ids().await?;
        }
        let id = block.next().ok_or(Refusal::NotAvailable)?;
        Ok(i64::try_from(id).expect("the metadata group ends at the last i64"))
    }
}

pub(super) async fn handle(
    context: &Context,
    request: &InitProducerIdRequest,
) -> InitProducerIdResponse {
    if request.transactional_id.is_some() {
        // There are no transactions yet. Clients try again on most codes, some for ever; all of them give
        // up on this one and show it to their user.
        return failed(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    // A producer without transactions that shows its old id wants a new epoch of it; a new id serves it as
    // well, and needs no memory of old ones.
    match context.producer_ids.next(&context.controller).await {
        Ok(producer_id) => InitProducerIdResponse {
            producer_id,
            ..InitProducerIdResponse::default()
        },
        Err(refusal) => failed(match change_code(&refusal) {
            // To a producer this means: try again.
            ErrorCode::NOT_CONTROLLER => ErrorCode::COORDINATOR_NOT_AVAILABLE,
            code => code,
        }),
    }
}

fn failed(error_code: ErrorCode) -> InitProducerIdResponse {
    let producer_epoch = -1;
    InitProducerIdResponse {
        error_code,
        producer_epoch,
        ..InitProducerIdResponse::default()
    }
}
