//! Changes of topics that are there: their settings, and more partitions. [`plan_alter`] and [`plan_grow`]
//! are pure: they look at the state and decide.

use super::change::{CreatePolicy, fewest};
use super::command::Command;
use super::state::{MetadataState, Topic};
use crate::limits::{COMMAND_BYTES_MAX, NODES_MAX, TOPIC_PARTITIONS_MAX};
use crate::shard::Refusal;
use crate::topics::{Edit, SettingError, TopicSettings, collect_pairs, edit_pairs, is_internal};
use std::sync::Arc;

/// A change of a topic's settings that somebody wants.
#[derive(Debug, Clone)]
pub(crate) struct Alteration {
    pub(crate) topic: String,
    pub(crate) change: SettingsChange,
}

/// What shall become of the settings.
#[derive(Debug, Clone)]
pub(crate) enum SettingsChange {
    /// These, and all others go back to their defaults.
    Replace(Vec<(String, Option<String>)>),
    /// These are changed, and all others stay.
    Edit(Vec<Edit>),
}

/// Why a topic's settings were not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AlterError {
    #[error("there is no such topic")]
    Unknown,
    #[error("the topic belongs to the broker")]
    Internal,
    #[error("the topic is named twice in this request")]
    Twice,
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Partitions that somebody wants.
#[derive(Debug, Clone)]
pub(crate) struct Growth {
    pub(crate) topic: String,
    /// How many the topic shall have, those that it has included.
    pub(crate) count: i32,
    /// Nodes of each new partition; `None` to let the broker choose.
    pub(crate) assignments: Option<Vec<Vec<i32>>>,
}

/// Why a topic got no more partitions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GrowError {
    #[error("there is no such topic")]
    Unknown,
    #[error("the topic belongs to the broker")]
    Internal,
    #[error("the topic is named twice in this request")]
    Twice,
    #[error("the topic has {present} partitions already, and {wanted} are not more")]
    NotMore { present: usize, wanted: i32 },
    #[error("{0} partitions, at most {TOPIC_PARTITIONS_MAX} are allowed")]
    TooMany(i32),
    #[error("the node would have {wanted} partitions, at most {max} are allowed")]
    TooManyOnNode { wanted: usize, max: usize },
    #[error("{0}")]
    Assignment(String),
    #[error("the new partitions could not be opened: {0}; ask again once that is mended")]
    Open(String),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A change that may be made: the command, and what will be in force.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AlterPlan {
    pub(super) command: Command,
    pub(super) settings: TopicSettings,
}

/// Checks a change of settings against the state.
pub(super) fn plan_alter(
    state: &MetadataState,
    policy: &CreatePolicy,
    wish: Alteration,
) -> Result<AlterPlan, AlterError> {
    let topic = state.topic(&wish.topic).ok_or(AlterError::Unknown)?;
    if is_internal(&topic.name) {
        return Err(AlterError::Internal);
    }
    let pairs = match wish.change {
        SettingsChange::Replace(pairs) => collect_pairs(pairs.into_iter())?,
        SettingsChange::Edit(edits) => edit_pairs(&topic.settings, edits)?,
    };
    let settings = TopicSettings::resolve(&pairs, policy.defaults)?;
    let replicas = topic.partitions.iter().map(|p| p.nodes.len()).min();
    TopicSettings::check_replicas(&pairs, &settings, replicas.unwrap_or(0))?;
    let command = Command::AlterTopic {
        topic_id: topic.id,
        settings: pairs,
    };
    Ok(AlterPlan { command, settings })
}

/// Partitions that may be added, or that were and could not be opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum GrowPlan {
    Add(Command),
    /// They are in the state, and closed.
    Open(Arc<Topic>),
}

/// Checks a wish for more partitions against the state, and says how many are added. `open` is how many
/// partitions of the topic are open, `reserved` counts the new ones of other topics of the same request.
pub(super) fn plan_grow(
    state: &MetadataState,
    policy: &CreatePolicy,
    wish: &Growth,
    open: usize,
    reserved: usize,
) -> Result<(GrowPlan, usize), GrowError> {
    let topic = state.topic(&wish.topic).ok_or(GrowError::Unknown)?;
    if is_internal(&topic.name) {
        return Err(GrowError::Internal);
    }
    let present = topic.partitions.len();
    let wanted = usize::try_from(wish.count).unwrap_or(0);
    let not_more = || GrowError::NotMore {
        present,
        wanted: wish.count,
    };
    if wanted == present && open < present {
        return Ok((GrowPlan::Open(Arc::clone(topic)), 0));
    }
    let added = wanted
        .checked_sub(present)
        .filter(|added| *added > 0)
        .ok_or_else(not_more)?;
    if wanted > TOPIC_PARTITIONS_MAX as usize {
        return Err(GrowError::TooMany(wish.count));
    }
    let on_node = state.partitions() + reserved + added;
    if on_node > policy.partitions_max {
        return Err(GrowError::TooManyOnNode {
            wanted: on_node,
            max: policy.partitions_max,
        });
    }
    let replicas = match &wish.assignments {
        Some(assignments) => check_assignments(policy, assignments, added)?,
        None => {
            let number = |count: usize| u32::try_from(count).expect("a limited number");
            let replication = topic.partitions.first().map_or(1, |p| p.nodes.len());
            policy.place(topic.id, number(present)..number(wanted), replication)
        }
    };
    let settings = TopicSettings::resolve(&topic.settings, policy.defaults);
    let enough = settings.and_then(|settings| {
        TopicSettings::check_replicas(&topic.settings, &settings, fewest(&replicas))
    });
    enough.map_err(|error| GrowError::Assignment(error.to_string()))?;
    let command = Command::AddPartitions {
        topic_id: topic.id,
        present: u32::try_from(present).expect("a limited number"),
        replicas,
    };
    Ok((GrowPlan::Add(command), added))
}

fn check_assignments(
    policy: &CreatePolicy,
    assignments: &[Vec<i32>],
    added: usize,
) -> Result<Vec<Vec<u32>>, GrowError> {
    if assignments.len() != added {
        let given = assignments.len();
        let reason = format!("nodes of {given} partitions are given, and {added} are added");
        return Err(GrowError::Assignment(reason));
    }
    let check = |nodes: &Vec<i32>| policy.check_nodes(nodes).map_err(GrowError::Assignment);
    assignments.iter().map(check).collect()
}

// Each added partition takes four bytes of its command, and four for each of its replicas.
const _: () =
    assert!(TOPIC_PARTITIONS_MAX as usize * 4 * (1 + NODES_MAX) + 64 <= COMMAND_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::super::change::{DeleteError, NewTopic, TopicRef, plan_create, plan_delete};
    use super::*;
    use crate::cluster::NodeId;
    use crate::topics::{Operation, TopicDefaults};
    use laminarmq_kafka::Uuid;
    use std::collections::BTreeMap;

    fn policy() -> CreatePolicy {
        let node = NodeId::new(1).unwrap();
        CreatePolicy {
            node,
            nodes: vec![node],
            default_replication: 1,
            default_partitions: 3,
            defaults: TopicDefaults::default(),
            partitions_max: 13,
        }
    }

    fn state() -> MetadataState {
        let mut state = MetadataState::new();
        for (id, name) in [(1, "t"), (2, "__consumer_offsets")] {
            let wish = NewTopic {
                name: name.to_owned(),
                settings: vec![("flush".to_owned(), Some("os".to_owned()))],
                internal: is_internal(name),
                ..NewTopic::default()
            };
            let plan = plan_create(&state, &policy(), wish, 0, Uuid([id; 16])).unwrap();
            state.apply(Command::CreateTopic(plan.command));
        }
        state
    }

    #[test]
    fn what_belongs_to_the_broker_stays_as_it_is() {
        let topic = || "__consumer_offsets".to_owned();
        let change = SettingsChange::Replace(Vec::new());
        assert_eq!(alter(&topic(), change), Err(AlterError::Internal));
        let wish = Growth {
            topic: topic(),
            count: 9,
            assignments: None,
        };
        assert_eq!(
            plan_grow(&state(), &policy(), &wish, 3, 0),
            Err(GrowError::Internal)
        );
        for topic in [TopicRef::Name(topic()), TopicRef::Id(Uuid([2; 16]))] {
            let refused = plan_delete(&state(), &topic).map(|_| ());
            assert_eq!(refused, Err(DeleteError::Internal));
        }
    }

    fn alter(topic: &str, change: SettingsChange) -> Result<Vec<(String, String)>, AlterError> {
        let topic = topic.to_owned();
        let plan = plan_alter(&state(), &policy(), Alteration { topic, change })?;
        let Command::AlterTopic { topic_id, settings } = plan.command else {
            panic!("{plan:?}");
        };
        assert_eq!(topic_id, Uuid([1; 16]));
        let resolved = TopicSettings::resolve(&settings, policy().defaults);
        assert_eq!(resolved, Ok(plan.settings));
        Ok(settings.into_iter().collect())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_replacement_forgets_what_it_does_not_name_and_an_edit_does_not() {
        let bytes = pair("segment.bytes", "5000");
        let replace = SettingsChange::Replace(vec![(bytes.0.clone(), Some(bytes.1.clone()))]);
        assert_eq!(alter("t", replace), Ok(vec![bytes.clone()]));
        let edit = SettingsChange::Edit(vec![Edit {
            name: bytes.0.clone(),
            operation: Operation::Set,
            value: Some(bytes.1.clone()),
        }]);
        assert_eq!(alter("t", edit), Ok(vec![pair("flush", "os"), bytes]));
    }

    #[test]
    fn wrong_changes_are_refused() {
        let none = || SettingsChange::Replace(Vec::new());
        assert_eq!(alter("u", none()), Err(AlterError::Unknown));
        let wrong = |name: &str, value: &str| {
            SettingsChange::Replace(vec![(name.to_owned(), Some(value.to_owned()))])
        };
        for (name, value) in [("cleanup.policy", "compact"), ("min.insync.replicas", "2")] {
            assert!(matches!(
                alter("t", wrong(name, value)),
                Err(AlterError::Setting(SettingError::Invalid { .. }))
            ));
        }
        assert_eq!(
            alter("t", wrong("flash", "os")),
            Err(AlterError::Setting(SettingError::Unknown(
                "flash".to_owned()
            )))
        );
    }

    fn grow(
        count: i32,
        assignments: Option<Vec<Vec<i32>>>,
        open: usize,
        reserved: usize,
    ) -> Result<(GrowPlan, usize), GrowError> {
        let wish = Growth {
            topic: "t".to_owned(),
            count,
            assignments,
        };
        plan_grow(&state(), &policy(), &wish, open, reserved)
    }

    fn add(count: usize) -> Result<(GrowPlan, usize), GrowError> {
        let command = Command::AddPartitions {
            topic_id: Uuid([1; 16]),
            present: 3,
            replicas: vec![vec![1]; count],
        };
        Ok((GrowPlan::Add(command), count))
    }

    #[test]
    fn counts_only_rise() {
        assert_eq!(grow(5, None, 3, 0), add(2));
        for wanted in [3, 2, 0, -1] {
            let present = 3;
            assert_eq!(
                grow(wanted, None, 3, 0),
                Err(GrowError::NotMore { present, wanted })
            );
        }
        assert_eq!(grow(4097, None, 3, 0), Err(GrowError::TooMany(4097)));
        assert_eq!(grow(10, None, 3, 0), add(7));
        let full = GrowError::TooManyOnNode {
            wanted: 14,
            max: 13,
        };
        assert_eq!(grow(11, None, 3, 0), Err(full.clone()));
        assert_eq!(grow(10, None, 3, 1), Err(full));
        let wish = Growth {
            topic: "u".to_owned(),
            count: 5,
            assignments: None,
        };
        let unknown = plan_grow(&state(), &policy(), &wish, 0, 0);
        assert_eq!(unknown, Err(GrowError::Unknown));
    }

    #[test]
    fn partitions_that_could_not_be_opened_are_opened_when_asked_for_again() {
        let topic = Arc::clone(state().topic("t").unwrap());
        assert_eq!(grow(3, None, 2, 0), Ok((GrowPlan::Open(topic), 0)));
        assert!(matches!(
            grow(2, None, 2, 0),
            Err(GrowError::NotMore { .. })
        ));
    }

    #[test]
    fn assignments_must_be_the_only_possible_ones() {
        assert_eq!(grow(5, Some(vec![vec![1]; 2]), 3, 0), add(2));
        for wrong in [
            vec![vec![1]],
            vec![vec![1]; 3],
            vec![vec![1], vec![2]],
            vec![],
        ] {
            let refused = grow(5, Some(wrong.clone()), 3, 0);
            assert!(
                matches!(refused, Err(GrowError::Assignment(_))),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn added_partitions_have_as_many_replicas_as_the_topic_asks_for() {
        let mut policy = policy();
        policy.nodes = [1, 2].map(|node| NodeId::new(node).unwrap()).to_vec();
        let mut state = MetadataState::new();
        let wish = NewTopic {
            name: "t".to_owned(),
            replication_factor: Some(2),
            settings: vec![("min.insync.replicas".to_owned(), Some("2".to_owned()))],
            ..NewTopic::default()
        };
        let plan = plan_create(&state, &policy, wish, 0, Uuid([1; 16])).unwrap();
        state.apply(Command::CreateTopic(plan.command));
        let grow = |nodes: &[i32]| {
            let wish = Growth {
                topic: "t".to_owned(),
                count: 4,
                assignments: Some(vec![nodes.to_vec()]),
            };
            plan_grow(&state, &policy, &wish, 3, 0).map(|(_, added)| added)
        };
        assert_eq!(grow(&[2, 1]), Ok(1));
        assert!(matches!(grow(&[2]), Err(GrowError::Assignment(_))));
    }

    #[test]
    fn the_largest_addition_fits_into_a_command() {
        let command = Command::AddPartitions {
            topic_id: Uuid([1; 16]),
            present: 0,
            replicas: vec![vec![1]; TOPIC_PARTITIONS_MAX as usize],
        };
        assert!(command.encode().len() <= COMMAND_BYTES_MAX);
        let settings = BTreeMap::new();
        let topic_id = Uuid([1; 16]);
        let empty = Command::AlterTopic { topic_id, settings };
        assert!(empty.encode().len() <= COMMAND_BYTES_MAX);
    }
}
