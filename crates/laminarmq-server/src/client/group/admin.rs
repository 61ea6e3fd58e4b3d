//! Looking at groups, and deleting them.

use std::fmt::{self, Display};

use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::describe_groups::{
    DescribedGroup as ToldGroup, DescribedGroupMember as ToldMember,
};
use laminarmq_kafka::messages::list_groups::ListedGroup as ToldListed;
use laminarmq_kafka::messages::{DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest};

use super::coordinator::Coordinator;
use super::protocol::{TopicPartitions, decode_assignment};
use crate::client::retry::Attempts;
use crate::client::{Client, ClientError, Node};

/// The protocol type of groups of consumers.
pub(super) const CONSUMER: &str = "consumer";

/// What a group is doing, as its coordinator says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GroupState {
    /// Offsets and no members.
    Empty,
    /// Members join.
    PreparingRebalance,
    /// Members wait for their assignment.
    CompletingRebalance,
    /// Members read.
    Stable,
    /// Not there (any more).
    Dead,
    /// A word that we do not know; empty from an old broker, which does not tell.
    Other(String),
}

impl GroupState {
    fn of(word: &str) -> Self {
        match word {
            "Empty" => Self::Empty,
            "PreparingRebalance" => Self::PreparingRebalance,
            "CompletingRebalance" => Self::CompletingRebalance,
            "Stable" => Self::Stable,
            "Dead" => Self::Dead,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// The coordinator's own word; `-` where it gave none.
impl Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
            Self::Other(word) if word.is_empty() => "-",
            Self::Other(word) => word,
        })
    }
}

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedGroup {
    pub(crate) name: String,
    pub(crate) state: GroupState,
    /// What it is for: "consumer" for consumers, empty for offsets alone.
    pub(crate) protocol_type: String,
    /// The node that coordinates it.
    pub(crate) coordinator: i32,
}

/// A group and its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DescribedGroup {
    pub(crate) name: String,
    pub(crate) state: GroupState,
    pub(crate) protocol_type: String,
    /// How it shares out partitions, while it has members.
    pub(crate) assignor: Option<String>,
    pub(crate) members: Vec<DescribedMember>,
}

/// A member of a [`DescribedGroup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DescribedMember {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client: String,
    pub(crate) host: String,
    /// What it reads; nothing where the group is not one of consumers.
    pub(crate) assignment: TopicPartitions,
}

impl Client {
    /// The groups of all nodes, by name.
    pub(crate) async fn groups(&self) -> Result<Vec<ListedGroup>, ClientError> {
        let mut groups = Vec::new();
        for node in self.cluster().await?.nodes {
            let mut attempts = Attempts::within(self.options().delivery_timeout);
            let told = loop {
                match self.groups_of(&node).await {
                    Ok(told) => break told,
                    Err(error) => attempts.after(error).await?,
                }
            };
            groups.extend(told.into_iter().map(|told| ListedGroup {
                name: told.group_id,
                state: GroupState::of(&told.group_state),
                protocol_type: told.protocol_type,
                coordinator: node.id,
            }));
        }
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(groups)
    }

    /// The groups that a node coordinates.
    async fn groups_of(&self, node: &Node) -> Result<Vec<ToldListed>, ClientError> {
        let connection = self.to(&node.address).await?;
        let response = connection.call(&ListGroupsRequest::default()).await?;
        if response.error_code.is_none() {
            return Ok(response.groups);
        }
        let what = format!("node {} does not list its groups", node.id);
        Err(ClientError::refused(what, response.error_code, None))
    }
}

impl Coordinator {
    /// The group with its members.
    pub(crate) async fn describe(&self) -> Result<DescribedGroup, ClientError> {
        let request = |_| DescribeGroupsRequest {
            groups: vec![self.group().to_owned()],
            ..DescribeGroupsRequest::default()
        };
        self.ask(request, |response| {
            let group = response.groups.into_iter().next();
            let group = group.ok_or_else(|| self.refused(ErrorCode::UNKNOWN_SERVER_ERROR))?;
            match (group.error_code, GroupState::of(&group.group_state)) {
                (ErrorCode::GROUP_ID_NOT_FOUND, _) | (ErrorCode::NONE, GroupState::Dead) => {
                    Err(ClientError::NoSuchGroup(self.group().to_owned()))
                }
                (ErrorCode::NONE, state) => Ok(described(group, state)),
                (code, _) => Err(self.refused(code)),
            }
        })
        .await
    }

    fn refused(&self, code: ErrorCode) -> ClientError {
        let what = format!("cannot describe group `{}`", self.group());
        ClientError::refused(what, code, None)
    }

    /// Deletes the group with its offsets; refused while it has members.
    pub(crate) async fn delete(&self) -> Result<(), ClientError> {
        let request = |_| DeleteGroupsRequest {
            groups_names: vec![self.group().to_owned()],
        };
        self.ask(request, |response| {
            let result = response.results.into_iter().next();
            let code = result.map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |r| r.error_code);
            let group = self.group().to_owned();
            match code {
                ErrorCode::NONE => Ok(()),
                ErrorCode::GROUP_ID_NOT_FOUND => Err(ClientError::NoSuchGroup(group)),
                ErrorCode::NON_EMPTY_GROUP => Err(ClientError::GroupInUse(group)),
                code => {
                    let what = format!("cannot delete group `{group}`");
                    Err(ClientError::refused(what, code, None))
                }
            }
        })
        .await
    }
}

fn described(group: ToldGroup, state: GroupState) -> DescribedGroup {
    let consumers = group.protocol_type == CONSUMER;
    let mut members: Vec<_> = group
        .members
        .into_iter()
        .map(|member| described_member(member, consumers))
        .collect();
    members.sort_by(|a, b| a.id.cmp(&b.id));
    DescribedGroup {
        name: group.group_id,
        state,
        protocol_type: group.protocol_type,
        assignor: Some(group.protocol_data).filter(|name| !name.is_empty()),
        members,
    }
}

fn described_member(member: ToldMember, consumers: bool) -> DescribedMember {
    let assignment = if consumers {
        decode_assignment(&member.member_assignment).unwrap_or_else(|error| {
            let id = &member.member_id;
            tracing::warn!("the assignment of member {id} cannot be read: {error}");
            TopicPartitions::new()
        })
    } else {
        TopicPartitions::new()
    };
    DescribedMember {
        id: member.member_id,
        instance: member.group_instance_id,
        client: member.client_id,
        host: member.client_host.trim_start_matches('/').to_owned(),
        assignment,
    }
}
