//! The state machine of the metadata group: which topics there are, and where clients reach the nodes.
//!
//! - It is a function of the applied commands alone: no clock, no random choice, no setting of one node.
//! - A group id and a producer id are given once and never again, also after what had them is gone.
//! - A topic's name is unique among the topics that are there; its id is unique for ever.

use super::command::{Command, CreateTopic};
use crate::cluster::{Incarnations, NodeId};
use crate::config::HostPort;
use laminarmq_kafka::Uuid;
use laminarmq_replica::{GroupId, Membership, ReplicaId};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Group of the metadata itself.
pub(crate) const METADATA_GROUP: GroupId = GroupId(0);

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) partitions: Vec<TopicPartition>,
    /// As whoever set them last gave them.
    pub(crate) settings: BTreeMap<String, String>,
}

/// One partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicPartition {
    pub(crate) group: GroupId,
    /// The nodes that hold it.
    pub(crate) nodes: Vec<u32>,
    /// The replicas that its group began with. Those that took their places since are not here.
    pub(crate) founders: Vec<ReplicaId>,
}

impl TopicPartition {
    /// Whether a replica of it is on this node.
    pub(crate) fn is_on(&self, node: NodeId) -> bool {
        self.nodes.contains(&node.get().unsigned_abs())
    }

    /// The members that its group began with.
    pub(crate) fn founding_members(&self) -> Membership {
        Membership::of_voters(self.founders.iter().copied())
    }
}

impl Topic {
    /// What a topic will look like once its command is applied, but for the group ids: none are given yet.
    pub(crate) fn planned(create: &CreateTopic) -> Self {
        let partition = |nodes: &Vec<u32>| TopicPartition {
            group: METADATA_GROUP,
            nodes: nodes.clone(),
            founders: Vec::new(),
        };
        Self {
            id: create.topic_id,
            name: create.name.clone(),
            partitions: create.replicas.iter().map(partition).collect(),
            settings: create.settings.clone(),
        }
    }
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Applied {
    TopicCreated(Arc<Topic>),
    /// The name was taken; nothing changed.
    TopicExists,
    TopicDeleted(Arc<Topic>),
    /// The topic as it is now.
    TopicAltered(Arc<Topic>),
    /// The topic as it is now.
    PartitionsAdded(Arc<Topic>),
    /// It has another number of partitions than the command goes by; nothing changed.
    OtherPartitions,
    /// There is no such topic; nothing changed.
    TopicUnknown,
    /// These producer ids belong to whoever asked.
    ProducerIds(Range<u64>),
    /// Clients reach this node there from now on.
    NodeRegistered(u32),
    /// This node has another directory.
    NodeReplaced(u32),
    /// This is not the node's next incarnation; nothing changed.
    OtherIncarnation,
}

/// What took the place of a directory that was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replacement {
    pub(crate) incarnation: u32,
    /// What the directory is called.
    pub(crate) directory: String,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct MetadataState {
    topics: BTreeMap<String, Arc<Topic>>,
    names: BTreeMap<Uuid, String>,
    /// Where clients reach the nodes of a cluster.
    nodes: BTreeMap<u32, HostPort>,
    /// The nodes that lost their directories, with what they have now.
    replaced: BTreeMap<u32, Replacement>,
    next_group: u64,
    next_producer_id: u64,
    partitions: usize,
    /// How many topics have each [flattened](flatten) name. Those that were made before names were kept
    /// apart may share one.
    flattened: BTreeMap<String, u32>,
}

impl MetadataState {
    pub(crate) fn new() -> Self {
        Self {
            topics: BTreeMap::new(),
            names: BTreeMap::new(),
            nodes: BTreeMap::new(),
            replaced: BTreeMap::new(),
            next_group: METADATA_GROUP.0 + 1,
            next_producer_id: 0,
            partitions: 0,
            flattened: BTreeMap::new(),
        }
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    pub(crate) fn nodes(&self) -> &BTreeMap<u32, HostPort> {
        &self.nodes
    }

    /// The nodes that lost their directories, with what they have now.
    pub(crate) fn replaced(&self) -> &BTreeMap<u32, Replacement> {
        &self.replaced
    }

    /// How many times each node lost its directory.
    pub(crate) fn incarnations(&self) -> Incarnations {
        let known = self.replaced.iter();
        known
            .filter_map(|(node, now)| Some((node_id(*node)?, now.incarnation)))
            .collect()
    }

    pub(crate) fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    pub(crate) fn topic_by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.topic(self.names.get(&id)?)
    }

    /// A topic whose name differs from this one in nothing but dots and underscores.
    pub(crate) fn lookalike(&self, name: &str) -> Option<&Arc<Topic>> {
        let flat = flatten(name);
        self.flattened.get(&flat)?;
        self.topics().find(|topic| flatten(&topic.name) == flat)
    }

    /// Partitions of all topics.
    pub(crate) fn partitions(&self) -> usize {
        self.partitions
    }

    pub(crate) fn apply(&mut self, command: Command) -> Applied {
        match command {
            Command::CreateTopic(create) => self.create_topic(create),
            Command::DeleteTopic { topic_id } => self.delete_topic(topic_id),
            Command::AllocateProducerIds { node: _, count } => {
                let first = self.next_producer_id;
                // 2^63 ids, the last that fit the wire, are not used up in this machine's life.
                self.next_producer_id = first.saturating_add(count).min(i64::MAX.unsigned_abs());
                Applied::ProducerIds(first..self.next_producer_id)
            }
            Command::AlterTopic { topic_id, settings } => self.alter_topic(topic_id, settings),
            Command::RegisterNode { node, host, port } => {
                self.nodes.insert(node, HostPort { host, port });
                Applied::NodeRegistered(node)
            }
            Command::ReplaceNode {
                node,
                incarnation,
                directory,
            } => self.replace_node(node, incarnation, directory),
            Command::AddPartitions {
                topic_id,
                present,
                replicas,
            } => self.add_partitions(topic_id, present, replicas),
        }
    }

    fn create_topic(&mut self, create: CreateTopic) -> Applied {
        let CreateTopic {
            topic_id,
            name,
            replicas,
            settings,
        } = create;
        if self.topics.contains_key(&name) || self.names.contains_key(&topic_id) {
            return Applied::TopicExists;
        }
        let partitions = self.new_partitions(replicas);
        let topic = Arc::new(Topic {
            id: topic_id,
            name: name.clone(),
            partitions,
            settings,
        });
        *self.flattened.entry(flatten(&name)).or_default() += 1;
        self.names.insert(topic_id, name.clone());
        self.topics.insert(name, Arc::clone(&topic));
        Applied::TopicCreated(topic)
    }

    fn replace_node(&mut self, node: u32, incarnation: u32, directory: String) -> Applied {
        let present = self.replaced.get(&node).map_or(0, |now| now.incarnation);
        if present.checked_add(1) != Some(incarnation) {
            return Applied::OtherIncarnation;
        }
        let now = Replacement {
            incarnation,
            directory,
        };
        self.replaced.insert(node, now);
        Applied::NodeReplaced(node)
    }

    /// Gives partitions on these nodes the next group ids.
    fn new_partitions(&mut self, replicas: Vec<Vec<u32>>) -> Vec<TopicPartition> {
        let groups = self.next_group..;
        let incarnations = self.incarnations();
        let replica = |node: &u32| Some(incarnations.replica_of(node_id(*node)?));
        let partitions: Vec<_> = groups
            .zip(replicas)
            .map(|(group, nodes)| TopicPartition {
                group: GroupId(group),
                founders: nodes.iter().filter_map(replica).collect(),
                nodes,
            })
            .collect();
        self.next_group += partitions.len() as u64;
        self.partitions += partitions.len();
        partitions
    }

    fn topic_mut(&mut self, id: Uuid) -> Option<&mut Arc<Topic>> {
        self.topics.get_mut(self.names.get(&id)?)
    }

    fn alter_topic(&mut self, id: Uuid, settings: BTreeMap<String, String>) -> Applied {
        let Some(topic) = self.topic_mut(id) else {
            return Applied::TopicUnknown;
        };
        Arc::make_mut(topic).settings = settings;
        Applied::TopicAltered(Arc::clone(topic))
    }

    fn add_partitions(&mut self, id: Uuid, present: u32, replicas: Vec<Vec<u32>>) -> Applied {
        let Some(topic) = self.topic_by_id(id) else {
            return Applied::TopicUnknown;
        };
        if topic.partitions.len() != present as usize {
            return Applied::OtherPartitions;
        }
        let added = self.new_partitions(replicas);
        let topic = self.topic_mut(id).expect("it was there above");
        Arc::make_mut(topic).partitions.extend(added);
        Applied::PartitionsAdded(Arc::clone(topic))
    }

    fn delete_topic(&mut self, id: Uuid) -> Applied {
        let Some(name) = self.names.remove(&id) else {
            return Applied::TopicUnknown;
        };
        let topic = self
            .topics
            .remove(&name)
            .expect("each id has its name's topic");
        self.partitions -= topic.partitions.len();
        let flat = flatten(&name);
        let like_it = self
            .flattened
            .get_mut(&flat)
            .expect("counted when it was made");
        *like_it -= 1;
        if *like_it == 0 {
            self.flattened.remove(&flat);
        }
        Applied::TopicDeleted(topic)
    }
}

/// A node by its number in a command.
fn node_id(number: u32) -> Option<NodeId> {
    NodeId::new(i32::try_from(number).ok()?)
}

/// What is left of a name where dots and underscores are the same, as they are in the names of many tools'
/// metrics.
pub(super) fn flatten(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(id: u8, name: &str, partitions: usize) -> Command {
        Command::CreateTopic(CreateTopic {
            topic_id: Uuid([id; 16]),
            name: name.to_owned(),
            replicas: vec![vec![1]; partitions],
            settings: BTreeMap::new(),
        })
    }

    fn groups(applied: &Applied) -> Vec<u64> {
        match applied {
            Applied::TopicCreated(topic) => topic.partitions.iter().map(|p| p.group.0).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn group_ids_are_never_given_twice() {
        let mut state = MetadataState::new();
        assert_eq!(groups(&state.apply(create(1, "a", 2))), [1, 2]);
        assert_eq!(groups(&state.apply(create(2, "b", 1))), [3]);
        let deleted = state.apply(Command::DeleteTopic {
            topic_id: Uuid([2; 16]),
        });
        assert!(matches!(deleted, Applied::TopicDeleted(topic) if topic.name == "b"));
        assert_eq!(groups(&state.apply(create(3, "b", 1))), [4]);
        assert_eq!(state.partitions(), 3);
    }

    #[test]
    fn a_taken_name_or_id_changes_nothing() {
        let mut state = MetadataState::new();
        state.apply(create(1, "a", 1));
        assert_eq!(state.apply(create(2, "a", 5)), Applied::TopicExists);
        assert_eq!(state.apply(create(1, "b", 5)), Applied::TopicExists);
        assert_eq!(groups(&state.apply(create(3, "b", 1))), [2]);
        assert_eq!(
            state.topics().map(|t| t.name.as_str()).collect::<Vec<_>>(),
            ["a", "b"]
        );
    }

    #[test]
    fn settings_are_replaced_as_a_whole() {
        let mut state = MetadataState::new();
        state.apply(create(1, "a", 1));
        let before = Arc::clone(state.topic("a").unwrap());
        let settings = BTreeMap::from([("flush".to_owned(), "os".to_owned())]);
        let alter = |id, settings: &BTreeMap<_, _>| Command::AlterTopic {
            topic_id: Uuid([id; 16]),
            settings: settings.clone(),
        };
        match state.apply(alter(1, &settings)) {
            Applied::TopicAltered(topic) => assert_eq!(topic.settings, settings),
            other => panic!("{other:?}"),
        }
        assert_eq!(state.topic("a").unwrap().settings, settings);
        assert!(
            before.settings.is_empty(),
            "what others hold stays as it is"
        );
        state.apply(alter(1, &BTreeMap::new()));
        assert!(state.topic("a").unwrap().settings.is_empty());
        assert_eq!(state.apply(alter(2, &settings)), Applied::TopicUnknown);
    }

    #[test]
    fn added_partitions_get_new_groups_and_a_repeated_command_adds_none() {
        let mut state = MetadataState::new();
        state.apply(create(1, "a", 2));
        state.apply(create(2, "b", 1));
        let add = |id, present| Command::AddPartitions {
            topic_id: Uuid([id; 16]),
            present,
            replicas: vec![vec![1], vec![7]],
        };
        let added = state.apply(add(1, 2));
        let Applied::PartitionsAdded(topic) = &added else {
            panic!("{added:?}");
        };
        let all: Vec<_> = topic.partitions.iter().map(|p| p.group.0).collect();
        assert_eq!(all, [1, 2, 4, 5]);
        assert_eq!(topic.partitions[3].nodes, [7]);
        assert_eq!(state.partitions(), 5);
        assert_eq!(state.apply(add(1, 2)), Applied::OtherPartitions);
        assert_eq!(state.apply(add(9, 2)), Applied::TopicUnknown);
        assert_eq!(state.partitions(), 5);
        assert_eq!(groups(&state.apply(create(3, "c", 1))), [6]);
        state.apply(Command::DeleteTopic {
            topic_id: Uuid([1; 16]),
        });
        assert_eq!(state.partitions(), 2);
    }

    #[test]
    fn names_that_differ_in_dots_and_underscores_are_found() {
        let mut state = MetadataState::new();
        state.apply(create(1, "a.b_c", 1));
        // A log may hold what is refused by now.
        state.apply(create(2, "a_b.c", 1));
        let found = |state: &MetadataState, name: &str| {
            let topic = state.lookalike(name);
            topic.map(|topic| topic.name.clone())
        };
        assert_eq!(found(&state, "a.b.c").as_deref(), Some("a.b_c"));
        assert_eq!(found(&state, "a-b.c"), None);
        for (id, left) in [(1, Some("a_b.c")), (2, None)] {
            state.apply(Command::DeleteTopic {
                topic_id: Uuid([id; 16]),
            });
            assert_eq!(found(&state, "a.b.c").as_deref(), left);
        }
    }

    #[test]
    fn a_node_is_replaced_once_per_directory_and_new_groups_begin_with_its_replicas() {
        let mut state = MetadataState::new();
        state.apply(create(1, "a", 1));
        let replace = |incarnation, directory: &str| Command::ReplaceNode {
            node: 1,
            incarnation,
            directory: directory.to_owned(),
        };
        for wrong in [0, 2, u32::MAX] {
            let applied = state.apply(replace(wrong, "x"));
            assert_eq!(applied, Applied::OtherIncarnation, "{wrong}");
        }
        assert_eq!(state.apply(replace(1, "b")), Applied::NodeReplaced(1));
        assert_eq!(state.apply(replace(1, "c")), Applied::OtherIncarnation);
        assert_eq!(state.replaced()[&1].directory, "b");
        assert_eq!(state.apply(replace(2, "c")), Applied::NodeReplaced(1));
        state.apply(create(2, "b", 1));
        let founders = |name| state.topic(name).unwrap().partitions[0].founders.clone();
        assert_eq!(founders("a"), [ReplicaId(1)]);
        assert_eq!(founders("b"), [ReplicaId(2 << 32 | 1)]);
        // A number that no node has.
        let nobody = Command::ReplaceNode {
            node: u32::MAX,
            incarnation: 1,
            directory: String::new(),
        };
        state.apply(nobody);
        let node = NodeId::ALONE;
        assert_eq!(state.incarnations(), [(node, 2)].into_iter().collect());
    }

    #[test]
    fn a_topic_is_deleted_by_id_once() {
        let mut state = MetadataState::new();
        state.apply(create(1, "a", 1));
        let id = Uuid([1; 16]);
        assert_eq!(state.topic_by_id(id).map(|t| t.name.as_str()), Some("a"));
        assert!(matches!(
            state.apply(Command::DeleteTopic { topic_id: id }),
            Applied::TopicDeleted(_)
        ));
        assert_eq!(
            state.apply(Command::DeleteTopic { topic_id: id }),
            Applied::TopicUnknown
        );
        assert!(state.topic_by_id(id).is_none() && state.topic("a").is_none());
        assert_eq!(state.partitions(), 0);
    }

    #[test]
    fn producer_ids_follow_each_other_and_end_at_the_last() {
        let mut state = MetadataState::new();
        let mut take = |count| state.apply(Command::AllocateProducerIds { node: 1, count });
        assert_eq!(take(1000), Applied::ProducerIds(0..1000));
        assert_eq!(take(10), Applied::ProducerIds(1000..1010));
        let last = i64::MAX.unsigned_abs();
        assert_eq!(take(u64::MAX), Applied::ProducerIds(1010..last));
        assert_eq!(take(5), Applied::ProducerIds(last..last));
    }
}
