//! Consumer groups, under the names that kafka_exporter made common.
//!
//! The coordinators give a picture of each group; here it is a [`GroupSnapshot`], with topics by name.

use super::exposition::{Exposition, Kind, Labels};
use super::partitions::Partitions;
use crate::controller::Image;
use crate::groups::GroupOverview;
use std::collections::BTreeMap;

/// One group at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct GroupSnapshot {
    pub(crate) name: String,
    pub(crate) members: usize,
    /// Offsets that the group committed, by topic and partition.
    pub(crate) committed: BTreeMap<String, BTreeMap<u32, u64>>,
}

impl GroupSnapshot {
    /// Offsets of topics that are gone are left out.
    pub(super) fn of(overview: GroupOverview, image: &Image) -> Self {
        let mut committed = BTreeMap::<String, BTreeMap<u32, u64>>::new();
        for (key, offset) in overview.offsets {
            let topic = image.topic_by_id(key.topic);
            let (Some(topic), Ok(partition), Ok(offset)) =
                (topic, u32::try_from(key.partition), u64::try_from(offset))
            else {
                continue;
            };
            let name = topic.topic.name.clone();
            committed.entry(name).or_default().insert(partition, offset);
        }
        Self {
            name: overview.group,
            members: overview.description.members.len(),
            committed,
        }
    }
}

/// What one group has of one topic.
struct Consumed {
    labels: Labels,
    /// Labels, committed offset and lag of each partition of the topic.
    rows: Vec<(Labels, Option<u64>, Option<u64>)>,
}

/// `None`: the groups are not known at the moment, which is not the same as that there are none.
pub(super) fn write(
    groups: Option<&[GroupSnapshot]>,
    partitions: &Partitions,
    out: &mut Exposition,
) {
    let mut count = out.family(
        "laminarmq_groups",
        Kind::Gauge,
        "Consumer groups that this node coordinates.",
    );
    if let Some(groups) = groups {
        count.sample(&Labels::NONE, groups.len());
    }
    let groups = groups.unwrap_or_default();
    let mut members = out.family(
        "kafka_consumergroup_members",
        Kind::Gauge,
        "Members of the group.",
    );
    for group in groups {
        let labels = Labels::of(&[("consumergroup", &group.name)]);
        members.sample(&labels, group.members);
    }
    let consumed: Vec<Consumed> = groups
        .iter()
        .flat_map(|group| consumed(group, partitions))
        .collect();
    // A partition without a commit, of a topic that has some, shows -1: nobody reads it, or nobody yet.
    let or_minus_one = |value: &Option<u64>| value.map_or(-1, i128::from);
    let mut family = out.family(
        "kafka_consumergroup_current_offset",
        Kind::Gauge,
        "Offset that the group committed; -1 where it committed none.",
    );
    for (labels, committed, _) in consumed.iter().flat_map(|topic| &topic.rows) {
        family.sample(labels, or_minus_one(committed));
    }
    let mut family = out.family(
        "kafka_consumergroup_lag",
        Kind::Gauge,
        "Records between the committed offset and the high watermark; -1 where none is committed.",
    );
    for (labels, _, lag) in consumed.iter().flat_map(|topic| &topic.rows) {
        family.sample(labels, or_minus_one(lag));
    }
    let mut family = out.family(
        "kafka_consumergroup_current_offset_sum",
        Kind::Gauge,
        "Sum of the group's committed offsets in the topic.",
    );
    for topic in &consumed {
        let sum: u64 = topic.rows.iter().filter_map(|row| row.1).sum();
        family.sample(&topic.labels, sum);
    }
    let mut family = out.family(
        "kafka_consumergroup_lag_sum",
        Kind::Gauge,
        "Sum of the group's lag in the topic.",
    );
    for topic in &consumed {
        let sum: u64 = topic.rows.iter().filter_map(|row| row.2).sum();
        family.sample(&topic.labels, sum);
    }
}

/// The topics of which the group committed something and that are still there.
fn consumed(group: &GroupSnapshot, partitions: &Partitions) -> Vec<Consumed> {
    let topic = |(topic, committed): (&String, &BTreeMap<u32, u64>)| {
        let count = partitions.partition_count(topic)?;
        let name = ("consumergroup", group.name.as_str());
        let row = |partition: u32| {
            let offset = committed.get(&partition).copied();
            let end = partitions.high_watermark(topic, partition);
            // A group may stand ahead of the log where the log lost its end; that is no lag.
            let lag = offset.zip(end).map(|(at, end)| end.saturating_sub(at));
            let number = partition.to_string();
            let labels = Labels::of(&[name, ("topic", topic), ("partition", &number)]);
            (labels, offset, lag)
        };
        Some(Consumed {
            labels: Labels::of(&[name, ("topic", topic)]),
            rows: (0..count).map(row).collect(),
        })
    };
    group.committed.iter().filter_map(topic).collect()
}
