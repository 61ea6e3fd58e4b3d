//! Consumer groups, under the names that kafka_exporter made common.
//!
//! The coordinator gives a picture of each group ([`GroupSnapshot`]); what is behind it is not known here.

use super::exposition::{Exposition, Kind, Labels};
use super::partitions::Partitions;
use std::collections::BTreeMap;

/// One group at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct GroupSnapshot {
    pub(crate) name: String,
    pub(crate) members: usize,
    /// Offsets that the group committed, by topic and partition.
    pub(crate) committed: BTreeMap<String, BTreeMap<u32, u64>>,
}

/// What one group has of one topic.
struct Consumed {
    labels: Labels,
    /// Labels, committed offset and lag of each partition of the topic.
    rows: Vec<(Labels, Option<u64>, Option<u64>)>,
}

pub(super) fn write(groups: &[GroupSnapshot], partitions: &Partitions, out: &mut Exposition) {
    out.family(
        "laminarmq_groups",
        Kind::Gauge,
        "Consumer groups that this node coordinates.",
    )
    .sample(&Labels::NONE, groups.len());
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
