//! Changes that somebody asks for, and the checks before they become commands.
//!
//! [`plan_create`] and [`plan_delete`] are pure: they look at the state and decide.

use super::command::{Command, CreateTopic};
use super::state::{MetadataState, Topic};
use crate::cluster::{NodeId, place};
use crate::limits::{COMMAND_BYTES_MAX, TOPIC_PARTITIONS_MAX};
use crate::shard::Refusal;
use crate::topics::{
    NameError, SettingError, TopicDefaults, TopicSettings, check_name, collect_pairs, is_internal,
};
use laminarmq_kafka::Uuid;
use std::ops::Range;
use std::sync::Arc;

/// A topic that somebody wants.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    /// `None`: the broker's default.
    pub(crate) partitions: Option<i32>,
    /// `None`: the broker's default.
    pub(crate) replication_factor: Option<i16>,
    /// Nodes of each partition; empty to let the broker choose.
    pub(crate) assignments: Vec<(i32, Vec<i32>)>,
    pub(crate) settings: Vec<(String, Option<String>)>,
    /// It is the broker that wants it: for its own use, whatever clients have.
    pub(crate) internal: bool,
}

/// A topic by name, or by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TopicRef {
    Name(String),
    Id(Uuid),
}

/// Why a topic was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CreateError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("the topic exists already")]
    Exists,
    #[error(
        "the name differs from that of {0:?} in dots and underscores only, which many tools mix up"
    )]
    Lookalike(String),
    #[error("the topic is named twice in this request")]
    Twice,
    #[error("{0} partitions, 1 to {TOPIC_PARTITIONS_MAX} are allowed")]
    Partitions(i64),
    #[error("the node would have {wanted} partitions, at most {max} are allowed")]
    TooManyPartitions { wanted: usize, max: usize },
    #[error("a replication factor of {wanted}, but there {}", are(*nodes))]
    ReplicationFactor { wanted: i16, nodes: usize },
    #[error("{0}")]
    Assignment(String),
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("the topic's description is too large")]
    TooLarge,
    #[error("its partitions could not be opened: {0}")]
    Open(String),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Why a topic was not removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DeleteError {
    #[error("there is no such topic")]
    Unknown,
    #[error("there is no topic with this id")]
    UnknownId,
    #[error("the topic belongs to the broker")]
    Internal,
    #[error(transparent)]
    Refused(#[from] Refusal),
}

fn are(count: usize) -> String {
    match count {
        1 => "is one node".to_owned(),
        count => format!("are {count} nodes"),
    }
}

/// What a node's configuration says about new topics.
#[derive(Debug, Clone)]
pub(crate) struct CreatePolicy {
    /// This node.
    pub(crate) node: NodeId,
    /// All nodes, this one included.
    pub(crate) nodes: Vec<NodeId>,
    /// Replicas of each partition; at least one, and not more than there are nodes.
    pub(crate) default_replication: usize,
    pub(crate) default_partitions: u32,
    pub(crate) defaults: TopicDefaults,
    /// Of all topics together.
    pub(crate) partitions_max: usize,
}

/// A topic that may be made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CreatePlan {
    pub(crate) command: CreateTopic,
    pub(crate) settings: TopicSettings,
}

/// Checks a wish against the state. `reserved` counts the partitions of other topics of the same request.
pub(crate) fn plan_create(
    state: &MetadataState,
    policy: &CreatePolicy,
    wish: NewTopic,
    reserved: usize,
    topic_id: Uuid,
) -> Result<CreatePlan, CreateError> {
    check_name(&wish.name)?;
    if is_internal(&wish.name) && !wish.internal {
        return Err(NameError::Reserved.into());
    }
    if state.topic(&wish.name).is_some() {
        return Err(CreateError::Exists);
    }
    let lookalike = state.lookalike(&wish.name);
    if let Some(other) = lookalike.filter(|_| !wish.internal) {
        return Err(CreateError::Lookalike(other.name.clone()));
    }
    let replicas = choose_replicas(policy, &wish, topic_id)?;
    let wanted = state.partitions() + reserved + replicas.len();
    if wanted > policy.partitions_max && !wish.internal {
        return Err(CreateError::TooManyPartitions {
            wanted,
            max: policy.partitions_max,
        });
    }
    let pairs = collect_pairs(wish.settings.into_iter())?;
    let settings = TopicSettings::resolve(&pairs, policy.defaults)?;
    TopicSettings::check_replicas(&pairs, &settings, fewest(&replicas))?;
    let command = CreateTopic {
        topic_id,
        name: wish.name,
        replicas,
        settings: pairs,
    };
    if Command::CreateTopic(command.clone()).encode().len() > COMMAND_BYTES_MAX {
        return Err(CreateError::TooLarge);
    }
    Ok(CreatePlan { command, settings })
}

/// Replicas of the partition that has the fewest; of these there is at least one.
pub(super) fn fewest(partitions: &[Vec<u32>]) -> usize {
    let replicas = partitions.iter().map(Vec::len);
    replicas.min().expect("at least one partition")
}

/// For each partition the nodes that shall hold it.
fn choose_replicas(
    policy: &CreatePolicy,
    wish: &NewTopic,
    topic: Uuid,
) -> Result<Vec<Vec<u32>>, CreateError> {
    let in_range = |count: i64| match u32::try_from(count) {
        Ok(count @ 1..=TOPIC_PARTITIONS_MAX) => Ok(count),
        _ => Err(CreateError::Partitions(count)),
    };
    if wish.assignments.is_empty() {
        let replication = match wish.replication_factor {
            None => policy.default_replication,
            Some(wanted) => usize::try_from(wanted)
                .ok()
                .filter(|wanted| (1..=policy.nodes.len()).contains(wanted))
                .ok_or(CreateError::ReplicationFactor {
                    wanted,
                    nodes: policy.nodes.len(),
                })?,
        };
        let partitions = wish
            .partitions
            .map_or(policy.default_partitions.into(), i64::from);
        return Ok(policy.place(topic, 0..in_range(partitions)?, replication));
    }
    if wish.partitions.is_some() || wish.replication_factor.is_some() {
        let reason = "either counts or assignments are given, not both";
        return Err(CreateError::Assignment(reason.to_owned()));
    }
    let count = in_range(i64::try_from(wish.assignments.len()).unwrap_or(i64::MAX))?;
    let mut replicas = vec![Vec::new(); count as usize];
    for (partition, nodes) in &wish.assignments {
        match usize::try_from(*partition)
            .ok()
            .and_then(|n| replicas.get_mut(n))
        {
            Some(given) if given.is_empty() => {
                *given = policy.check_nodes(nodes).map_err(CreateError::Assignment)?;
            }
            _ => {
                let reason = "partitions are numbered from 0, each once";
                return Err(CreateError::Assignment(reason.to_owned()));
            }
        }
    }
    if replicas
        .iter()
        .any(|nodes| nodes.len() != replicas[0].len())
    {
        let reason = "all partitions of a topic have as many replicas";
        return Err(CreateError::Assignment(reason.to_owned()));
    }
    Ok(replicas)
}

impl CreatePolicy {
    /// For each of these partitions of a topic the nodes that shall hold it.
    pub(super) fn place(
        &self,
        topic: Uuid,
        partitions: Range<u32>,
        replication: usize,
    ) -> Vec<Vec<u32>> {
        let number = |node: NodeId| node.get().unsigned_abs();
        let nodes = |partition| place(topic, partition, &self.nodes, replication);
        partitions
            .map(|partition| nodes(partition).into_iter().map(number).collect())
            .collect()
    }

    /// The nodes that somebody chose for a partition, if that is possible; else why not.
    pub(super) fn check_nodes(&self, chosen: &[i32]) -> Result<Vec<u32>, String> {
        let is_node = |id: &i32| self.nodes.iter().any(|node| node.get() == *id);
        if let Some(unknown) = chosen.iter().find(|id| !is_node(id)) {
            let there: Vec<_> = self.nodes.iter().map(NodeId::to_string).collect();
            let there = there.join(", ");
            return Err(match self.nodes.len() {
                1 => format!("node {unknown}, and the only node is {there}"),
                _ => format!("node {unknown}, and the nodes are {there}"),
            });
        }
        if chosen.is_empty() {
            return Err("a partition has at least one replica".to_owned());
        }
        let twice = |(n, id): (usize, &i32)| chosen[..n].contains(id);
        if chosen.iter().enumerate().any(twice) {
            return Err("a node holds one replica of a partition, not two".to_owned());
        }
        Ok(chosen.iter().map(|id| id.unsigned_abs()).collect())
    }
}

/// Finds the topic that is to be removed.
pub(crate) fn plan_delete<'a>(
    state: &'a MetadataState,
    topic: &TopicRef,
) -> Result<&'a Arc<Topic>, DeleteError> {
    let topic = match topic {
        TopicRef::Name(name) => state.topic(name).ok_or(DeleteError::Unknown)?,
        TopicRef::Id(id) => state.topic_by_id(*id).ok_or(DeleteError::UnknownId)?,
    };
    if is_internal(&topic.name) {
        return Err(DeleteError::Internal);
    }
    Ok(topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> CreatePolicy {
        let node = NodeId::new(1).unwrap();
        CreatePolicy {
            node,
            nodes: vec![node],
            default_replication: 1,
            default_partitions: 3,
            defaults: TopicDefaults::default(),
            partitions_max: 10,
        }
    }

    fn named(name: &str) -> NewTopic {
        NewTopic {
            name: name.to_owned(),
            ..NewTopic::default()
        }
    }

    fn plan(wish: NewTopic) -> Result<usize, CreateError> {
        let mut state = MetadataState::new();
        let old = plan_create(&state, &policy(), named("old"), 0, Uuid([1; 16])).unwrap();
        state.apply(Command::CreateTopic(old.command));
        let plan = plan_create(&state, &policy(), wish, 0, Uuid([2; 16]))?;
        assert!(plan.command.replicas.iter().all(|nodes| *nodes == [1]));
        Ok(plan.command.replicas.len())
    }

    #[test]
    fn counts_default_to_the_policy() {
        assert_eq!(plan(named("t")), Ok(3));
        let wish = NewTopic {
            partitions: Some(5),
            replication_factor: Some(1),
            ..named("t")
        };
        assert_eq!(plan(wish), Ok(5));
    }

    #[test]
    fn wrong_wishes_are_refused_with_the_reason() {
        assert_eq!(plan(named("old")), Err(CreateError::Exists));
        assert!(matches!(plan(named("a/b")), Err(CreateError::Name(_))));
        for count in [0, -1, -7, 4097] {
            let wish = NewTopic {
                partitions: Some(count),
                ..named("t")
            };
            assert_eq!(plan(wish), Err(CreateError::Partitions(count.into())));
        }
        let wish = NewTopic {
            replication_factor: Some(3),
            ..named("t")
        };
        let (wanted, nodes) = (3, 1);
        assert_eq!(
            plan(wish),
            Err(CreateError::ReplicationFactor { wanted, nodes })
        );
        let wish = NewTopic {
            partitions: Some(8),
            ..named("t")
        };
        assert_eq!(
            plan(wish),
            Err(CreateError::TooManyPartitions {
                wanted: 11,
                max: 10
            })
        );
        for (name, value) in [("preallocate", "true"), ("min.insync.replicas", "2")] {
            let settings = vec![(name.to_owned(), Some(value.to_owned()))];
            assert!(matches!(
                plan(NewTopic {
                    settings,
                    ..named("t")
                }),
                Err(CreateError::Setting(SettingError::Invalid { .. }))
            ));
        }
    }

    #[test]
    fn assignments_must_be_the_only_possible_ones() {
        let with = |assignments: &[(i32, &[i32])]| NewTopic {
            assignments: assignments
                .iter()
                .map(|(p, nodes)| (*p, nodes.to_vec()))
                .collect(),
            ..named("t")
        };
        assert_eq!(plan(with(&[(1, &[1]), (0, &[1])])), Ok(2));
        for wrong in [
            with(&[(0, &[1]), (0, &[1])]),
            with(&[(1, &[1])]),
            with(&[(0, &[2])]),
        ] {
            assert!(matches!(plan(wrong), Err(CreateError::Assignment(_))));
        }
        let both = NewTopic {
            partitions: Some(1),
            ..with(&[(0, &[1])])
        };
        assert!(matches!(plan(both), Err(CreateError::Assignment(_))));
    }
}
