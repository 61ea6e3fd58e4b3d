//! A member's heartbeats, from when it got its partitions until it has to join again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::HeartbeatRequest;
use tokio::task::JoinHandle;

use super::coordinator::Coordinator;
use super::member::Generation;
use crate::client::{Client, ClientError, Missing};
use crate::clock;

/// Beats between two looks of a leader at how many partitions there are.
const BEATS_PER_LOOK: u32 = 10;

/// Heartbeats under way. Dropping them ends them.
#[derive(Debug)]
pub(crate) struct Heartbeats {
    task: JoinHandle<Result<(), ClientError>>,
}

/// What a heart beats for.
#[derive(Debug)]
pub(super) struct Heart {
    pub(super) client: Client,
    pub(super) coordinator: Arc<Coordinator>,
    pub(super) member: String,
    pub(super) generation: Generation,
    pub(super) interval: Duration,
    /// After how long without an answer the coordinator has given the member up.
    pub(super) session_timeout: Duration,
}

impl Heartbeats {
    pub(super) fn start(heart: Heart) -> Self {
        Self {
            task: tokio::spawn(heart.beat()),
        }
    }

    /// Waits until the generation has ended: `Ok` when the member shall join again. May be given up and
    /// called again, but not after it has returned.
    pub(crate) async fn ended(&mut self) -> Result<(), ClientError> {
        let ended = (&mut self.task).await;
        ended.expect("heartbeats neither panic nor are they aborted before they are dropped")
    }
}

impl Drop for Heartbeats {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Heart {
    async fn beat(self) -> Result<(), ClientError> {
        let mut heard = clock::now();
        let mut beats = 0_u32;
        let mut pause = self.interval;
        loop {
            clock::pause(pause).await;
            let asked = clock::now();
            match self.ask().await {
                Ok(()) => {
                    heard = asked;
                    pause = self.interval;
                }
                Err(error) => match error.code() {
                    Some(
                        ErrorCode::REBALANCE_IN_PROGRESS
                        | ErrorCode::ILLEGAL_GENERATION
                        | ErrorCode::UNKNOWN_MEMBER_ID,
                    ) => return Ok(()),
                    _ if !error.retriable() => return Err(error),
                    _ if clock::now() > heard + self.session_timeout => return Ok(()),
                    _ => {
                        self.coordinator.forget().await;
                        pause = self.interval / 4;
                    }
                },
            }
            beats = beats.wrapping_add(1);
            if beats.is_multiple_of(BEATS_PER_LOOK) && self.partitions_changed().await {
                return Ok(());
            }
        }
    }

    async fn ask(&self) -> Result<(), ClientError> {
        let request = |_| HeartbeatRequest {
            group_id: self.coordinator.group().to_owned(),
            generation_id: self.generation.number,
            member_id: self.member.clone(),
            group_instance_id: None,
        };
        let code = self.coordinator.call(request).await?.error_code;
        if code.is_none() {
            return Ok(());
        }
        let group = self.coordinator.group();
        let what = format!("cannot stay in group `{group}`");
        Err(ClientError::refused(what, code, None))
    }

    /// Whether a topic has more or fewer partitions than when the leader (nobody else looks) shared them
    /// out.
    async fn partitions_changed(&self) -> bool {
        let counts: &BTreeMap<String, i32> = &self.generation.counts;
        for (topic, count) in counts {
            // Trouble is for the heartbeats to find.
            if let Ok(told) = self.client.topic(topic, Missing::Refuse).await
                && i32::try_from(told.partitions.len()) != Ok(*count)
            {
                return true;
            }
        }
        false
    }
}
