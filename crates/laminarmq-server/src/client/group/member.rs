//! A member of a group of consumers, by the classic protocol: the members agree on who reads what, the
//! coordinator only counts them.
//!
//! ```text
//! join:  JoinGroup (no id) -> MEMBER_ID_REQUIRED and an id -> JoinGroup (id) -> generation, leader
//!        the leader: subscriptions of all members -> assignments
//!        SyncGroup (with the assignments, from the leader) -> our partitions
//! then:  Heartbeat until the coordinator says that the generation is over -> join
//! ```
//!
//! The id is kept from the moment it is known, whatever becomes of a join, so that leaving leaves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::join_group::JoinGroupRequestProtocol;
use laminarmq_kafka::messages::leave_group::MemberIdentity;
use laminarmq_kafka::messages::sync_group::SyncGroupRequestAssignment;
use laminarmq_kafka::messages::{
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};

use super::admin::CONSUMER;
use super::assignor::Assignor;
use super::coordinator::Coordinator;
use super::heartbeat::{Heart, Heartbeats};
use super::offsets::{Committer, TopicOffsets};
use super::protocol::{
    TopicPartitions, decode_assignment, decode_subscription, encode_assignment, encode_subscription,
};
use crate::client::retry::Attempts;
use crate::client::{Client, ClientError, ClientOptions, Missing};

/// After how much silence the coordinator takes us for dead.
const SESSION_TIMEOUT: Duration = Duration::from_secs(15);
/// Several fit into a session, so that one that is lost costs nothing.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);
/// How long others wait for us to join again: we write out what we have read before we do.
const REBALANCE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long joining may fail.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);
/// How long we wait for the coordinator to hear that we leave, which it would find out by itself.
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a commit may fail: it stands between a reader and its end.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);

/// One round of a group: fixed members, fixed shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) number: i32,
    /// From the leader: how many partitions each topic had when they were shared out.
    pub(super) counts: BTreeMap<String, i32>,
}

/// A member that reads one topic.
#[derive(Debug)]
pub(crate) struct Member {
    client: Client,
    coordinator: Arc<Coordinator>,
    /// For what the coordinator answers once the others have come.
    waiting: Coordinator,
    topic: String,
    /// Empty: none yet.
    id: String,
    /// `None`: not joined.
    generation: Option<Generation>,
}

impl Member {
    /// Asks nobody yet.
    pub(crate) fn new(client: &Client, group: &str, topic: &str) -> Self {
        let within = |request_timeout| ClientOptions {
            request_timeout,
            delivery_timeout: COMMIT_PATIENCE,
            ..client.options().clone()
        };
        let slack = client.options().request_timeout;
        Self {
            client: client.clone(),
            coordinator: Arc::new(Coordinator::new(client, group, within(COMMIT_PATIENCE))),
            waiting: Coordinator::new(client, group, within(REBALANCE_TIMEOUT + slack)),
            topic: topic.to_owned(),
            id: String::new(),
            generation: None,
        }
    }

    /// Joins the group, or joins it again; the partitions to read. May be given up.
    pub(crate) async fn join(&mut self) -> Result<Vec<i32>, ClientError> {
        self.generation = None;
        let mut attempts = Attempts::within(JOIN_PATIENCE);
        loop {
            let error = match self.join_group().await {
                Ok(joined) => {
                    // Whoever answers is alive; members that come and go are no failure.
                    attempts = Attempts::within(JOIN_PATIENCE);
                    match self.sync_group(joined).await {
                        Ok(partitions) => return Ok(partitions),
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            match error.code() {
                Some(ErrorCode::UNKNOWN_MEMBER_ID) => self.id.clear(),
                Some(
                    ErrorCode::ILLEGAL_GENERATION
                    | ErrorCode::REBALANCE_IN_PROGRESS
                    | ErrorCode::MEMBER_ID_REQUIRED,
                ) => {}
                _ if error.retriable() => self.waiting.forget().await,
                _ => return Err(error),
            }
            attempts.again(error).await?;
        }
    }

    async fn join_group(&mut self) -> Result<JoinGroupResponse, ClientError> {
        let subscription = encode_subscription(&[&self.topic]);
        loop {
            let request = |_| JoinGroupRequest {
                group_id: self.waiting.group().to_owned(),
                session_timeout_ms: millis(SESSION_TIMEOUT),
                rebalance_timeout_ms: millis(REBALANCE_TIMEOUT),
                member_id: self.id.clone(),
                group_instance_id: None,
                protocol_type: String::from(CONSUMER),
                protocols: protocols(&subscription),
                reason: None,
            };
            let response = self.waiting.call(request).await?;
            let asked_without_id = self.id.is_empty();
            match response.error_code {
                ErrorCode::NONE => {
                    self.id.clone_from(&response.member_id);
                    return Ok(response);
                }
                ErrorCode::MEMBER_ID_REQUIRED
                    if asked_without_id && !response.member_id.is_empty() =>
                {
                    self.id = response.member_id;
                }
                code => {
                    let what = format!("cannot join group `{}`", self.waiting.group());
                    return Err(ClientError::refused(what, code, None));
                }
            }
        }
    }

    async fn sync_group(&mut self, joined: JoinGroupResponse) -> Result<Vec<i32>, ClientError> {
        let leads = joined.leader == self.id;
        let (assignments, counts) = if leads && !joined.skip_assignment {
            self.share_out(&joined).await?
        } else {
            (Vec::new(), BTreeMap::new())
        };
        let request = |_| SyncGroupRequest {
            group_id: self.waiting.group().to_owned(),
            generation_id: joined.generation_id,
            member_id: self.id.clone(),
            group_instance_id: None,
            protocol_type: Some(String::from(CONSUMER)),
            protocol_name: joined.protocol_name.clone(),
            assignments: assignments.clone(),
        };
        let response = self.waiting.call(request).await?;
        let what = || format!("cannot take part in group `{}`", self.waiting.group());
        if !response.error_code.is_none() {
            return Err(ClientError::refused(what(), response.error_code, None));
        }
        let assignment = decode_assignment(&response.assignment).map_err(|error| {
            let message = format!("the assignment from its leader cannot be read: {error}");
            ClientError::refused(
                what(),
                ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
                Some(message),
            )
        })?;
        self.generation = Some(Generation {
            number: joined.generation_id,
            counts,
        });
        let mut partitions = assignment.get(&self.topic).cloned().unwrap_or_default();
        partitions.sort_unstable();
        partitions.dedup();
        Ok(partitions)
    }

    /// What the leader does: everybody's share, and the numbers of partitions that it follows from.
    async fn share_out(
        &self,
        joined: &JoinGroupResponse,
    ) -> Result<(Vec<SyncGroupRequestAssignment>, BTreeMap<String, i32>), ClientError> {
        let name = joined.protocol_name.as_deref().unwrap_or_default();
        let assignor = Assignor::named(name).ok_or_else(|| {
            let what = format!("cannot lead group `{}`", self.waiting.group());
            let message = format!("it shares out partitions by `{name}`, which was not offered");
            ClientError::refused(what, ErrorCode::INCONSISTENT_GROUP_PROTOCOL, Some(message))
        })?;
        let wants = joined.members.iter().map(|member| {
            let topics = decode_subscription(&member.metadata).unwrap_or_else(|error| {
                let id = &member.member_id;
                tracing::warn!("member {id} gets nothing, its subscription is damaged: {error}");
                Vec::new()
            });
            (member.member_id.clone(), topics)
        });
        let wants: BTreeMap<String, Vec<String>> = wants.collect();
        let counts = self.count_partitions(&wants).await?;
        let shares = assignor.assign(&wants, &counts);
        let assignments = shares
            .into_iter()
            .map(|(member_id, share)| SyncGroupRequestAssignment {
                member_id,
                assignment: encode_assignment(&share),
            });
        Ok((assignments.collect(), counts))
    }

    /// How many partitions the wanted topics have; one that is not there has none.
    async fn count_partitions(
        &self,
        wants: &BTreeMap<String, Vec<String>>,
    ) -> Result<BTreeMap<String, i32>, ClientError> {
        let mut counts = BTreeMap::new();
        for topic in wants.values().flatten() {
            if counts.contains_key(topic) {
                continue;
            }
            let count = match self.client.topic(topic, Missing::Refuse).await {
                Ok(told) => i32::try_from(told.partitions.len())
                    .expect("partitions are numbered in 32 bits"),
                Err(ClientError::NoSuchTopic(_)) => 0,
                Err(error) => return Err(error),
            };
            counts.insert(topic.clone(), count);
        }
        Ok(counts)
    }

    /// Starts the heartbeats of the generation that was joined.
    ///
    /// # Panics
    ///
    /// When none was.
    pub(crate) fn heartbeats(&self) -> Heartbeats {
        let generation = self.generation.as_ref();
        Heartbeats::start(Heart {
            client: self.client.clone(),
            coordinator: Arc::clone(&self.coordinator),
            member: self.id.clone(),
            generation: generation.expect("the caller has joined").clone(),
            interval: HEARTBEAT_INTERVAL,
            session_timeout: SESSION_TIMEOUT,
        })
    }

    /// What the group has committed of these partitions; one without an offset is not in the answer.
    pub(crate) async fn committed(
        &self,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, i64>, ClientError> {
        let of = TopicPartitions::from([(self.topic.clone(), partitions.to_vec())]);
        let mut committed = self.coordinator.committed(Some(&of)).await?;
        Ok(committed.remove(&self.topic).unwrap_or_default())
    }

    /// Commits the next offsets to read, in the generation that was joined last.
    pub(crate) async fn commit(&self, offsets: &BTreeMap<i32, i64>) -> Result<(), ClientError> {
        let generation = self.generation.as_ref();
        let by = Committer::Member {
            id: self.id.clone(),
            generation: generation.map_or(-1, |generation| generation.number),
        };
        let offsets = TopicOffsets::from([(self.topic.clone(), offsets.clone())]);
        self.coordinator.commit(&by, &offsets).await
    }

    /// Leaves the group, so that others get its partitions at once.
    pub(crate) async fn leave(self) {
        if self.id.is_empty() {
            return;
        }
        let request = |version| {
            let (member_id, members) = if version >= 3 {
                let identity = MemberIdentity {
                    member_id: self.id.clone(),
                    ..MemberIdentity::default()
                };
                (String::new(), vec![identity])
            } else {
                (self.id.clone(), Vec::new())
            };
            LeaveGroupRequest {
                group_id: self.coordinator.group().to_owned(),
                member_id,
                members,
            }
        };
        let left = tokio::time::timeout(LEAVE_PATIENCE, self.coordinator.call(request)).await;
        if !matches!(left, Ok(Ok(_))) {
            tracing::warn!(
                "the group does not know yet that this member left; its partitions are free in {} s",
                SESSION_TIMEOUT.as_secs()
            );
        }
    }
}

fn protocols(subscription: &Bytes) -> Vec<JoinGroupRequestProtocol> {
    let protocols = Assignor::ALL.map(|assignor| JoinGroupRequestProtocol {
        name: String::from(assignor.name()),
        metadata: subscription.clone(),
    });
    protocols.to_vec()
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).expect("the timeouts above are short")
}
