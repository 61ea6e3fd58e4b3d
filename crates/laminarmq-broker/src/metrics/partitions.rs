//! Topics and partitions: under the names that kafka_exporter made common, and what only we can tell.

use super::exposition::{Exposition, Kind, Labels};
use crate::controller::{Image, METADATA_GROUP, TopicImage};
use crate::routing::Router;
use crate::shard::Progress;
use laminarmq_replica::GroupId;
use std::collections::HashMap;
use std::sync::Arc;

/// All partitions of this node, looked at once, so that what one page says fits together.
pub(super) struct Partitions {
    topics: Vec<(Labels, Arc<TopicImage>)>,
    rows: Vec<Row>,
    /// Of the metadata group.
    metadata: Progress,
    /// Of the cluster; one that is alone is a cluster of one.
    brokers: usize,
    /// First row of each topic, by its name.
    first: HashMap<String, usize>,
}

struct Row {
    labels: Labels,
    /// One of the replicas is on this node.
    is_here: bool,
    progress: Progress,
    /// Where its replicas are; the first is the preferred leader.
    replicas: usize,
    /// How many must be in sync for acks=all.
    min_in_sync: u32,
    preferred: Option<u32>,
}

fn progress(router: &Router, group: GroupId) -> Option<Progress> {
    Some(router.route(group)?.watch.progress())
}

impl Partitions {
    pub(super) fn look(image: &Image, router: &Router) -> Self {
        let mut all = Self {
            topics: Vec::new(),
            rows: Vec::new(),
            metadata: progress(router, METADATA_GROUP).unwrap_or_default(),
            brokers: image.nodes().len().max(1),
            first: HashMap::new(),
        };
        for topic in image.topics() {
            let name = topic.topic.name.as_str();
            all.first.insert(name.to_owned(), all.rows.len());
            for (number, partition) in topic.topic.partitions.iter().enumerate() {
                // A partition that is just being taken away has no route; it keeps its place.
                let progress = progress(router, partition.group);
                let number = number.to_string();
                all.rows.push(Row {
                    labels: Labels::of(&[("topic", name), ("partition", &number)]),
                    is_here: progress.is_some(),
                    progress: progress.unwrap_or_default(),
                    replicas: partition.nodes.len(),
                    min_in_sync: topic.settings.min_in_sync(partition.nodes.len()),
                    preferred: partition.nodes.first().copied(),
                });
            }
            let labels = Labels::of(&[("topic", name)]);
            all.topics.push((labels, Arc::clone(topic)));
        }
        all
    }

    /// One past the last offset that consumers may see. Known while this node leads the partition.
    pub(super) fn high_watermark(&self, topic: &str, partition: u32) -> Option<u64> {
        let count = self.partition_count(topic)?;
        if partition >= count {
            return None;
        }
        let row = &self.rows[self.first[topic] + partition as usize];
        row.led()?.high_watermark.map(|offset| offset.0)
    }

    /// How many partitions the topic has; `None` if it is not there.
    pub(super) fn partition_count(&self, topic: &str) -> Option<u32> {
        let first = *self.first.get(topic)?;
        // Rows follow the order of the topics, so the topic of this row is found by halving.
        let at = self
            .topics
            .binary_search_by(|(_, image)| image.topic.name.as_str().cmp(topic))
            .ok()?;
        let count = self.topics[at].1.topic.partitions.len();
        debug_assert!(first + count <= self.rows.len(), "a topic's rows are there");
        u32::try_from(count).ok()
    }

    pub(super) fn write(&self, node: i32, out: &mut Exposition) {
        let none = Labels::NONE;
        out.family("laminarmq_topics", Kind::Gauge, "Topics that can be used.")
            .sample(&none, self.topics.len());
        out.family(
            "laminarmq_partitions",
            Kind::Gauge,
            "Partitions of these topics.",
        )
        .sample(&none, self.rows.len());
        let in_doubt = self.rows.iter().filter(|row| row.progress.in_doubt);
        out.family(
            "laminarmq_partitions_in_doubt",
            Kind::Gauge,
            "Partitions of which this node may lack what it acknowledged: it gives no vote there until it has that again.",
        )
        .sample(&none, in_doubt.count());
        if self.metadata.leads {
            out.family(
                "laminarmq_metadata_replicas_in_sync",
                Kind::Gauge,
                "Replicas of the cluster's metadata that follow its leader, which is this node, and itself.",
            )
            .sample(&none, self.metadata.in_sync);
        }
        self.each(
            out,
            "laminarmq_partition_log_bytes",
            "Bytes of the partition's log on this node, all segments together.",
            |row| Some(row.progress.log_bytes),
        );
        out.family("kafka_brokers", Kind::Gauge, "Brokers of the cluster.")
            .sample(&none, self.brokers);
        let mut family = out.family(
            "kafka_topic_partitions",
            Kind::Gauge,
            "Partitions of the topic.",
        );
        for (labels, image) in &self.topics {
            family.sample(labels, image.topic.partitions.len());
        }
        self.offsets(out);
        self.replication(node, out);
    }

    fn offsets(&self, out: &mut Exposition) {
        self.each(
            out,
            "kafka_topic_partition_current_offset",
            "One past the last offset that consumers may see (the high watermark).",
            |row| Some(row.led()?.high_watermark?.0),
        );
        self.each(
            out,
            "kafka_topic_partition_oldest_offset",
            "The first offset that can be read.",
            |row| Some(row.led()?.start_offset.0),
        );
    }

    fn replication(&self, node: i32, out: &mut Exposition) {
        self.each(
            out,
            "kafka_topic_partition_leader",
            "Node id of the partition's leader.",
            |row| row.led().map(|_| node),
        );
        self.each(
            out,
            "kafka_topic_partition_replicas",
            "Replicas that the partition should have.",
            |row| Some(row.replicas),
        );
        self.each(
            out,
            "kafka_topic_partition_in_sync_replica",
            "Voters that follow the leader, and the leader itself; told by the leader.",
            Row::in_sync,
        );
        self.each(
            out,
            "kafka_topic_partition_leader_is_preferred",
            "1 if the leader is the first of the partition's replicas.",
            |row| {
                let leads = row.led().is_some();
                Some(u8::from(
                    leads && row.preferred == Some(node.cast_unsigned()),
                ))
            },
        );
        self.each(
            out,
            "kafka_topic_partition_under_replicated_partition",
            "1 if fewer replicas are in sync than there should be.",
            |row| Some(u8::from(row.in_sync()? < row.replicas)),
        );
        self.each(
            out,
            "laminarmq_partition_under_min_in_sync",
            "1 if fewer replicas are in sync than min.insync.replicas says: acks=all is refused.",
            |row| Some(u8::from(row.in_sync()? < row.min_in_sync as usize)),
        );
    }

    fn each<V: std::fmt::Display>(
        &self,
        out: &mut Exposition,
        name: &'static str,
        help: &str,
        value: impl Fn(&Row) -> Option<V>,
    ) {
        let mut family = out.family(name, Kind::Gauge, help);
        for row in &self.rows {
            if let Some(value) = value(row) {
                family.sample(&row.labels, value);
            }
        }
    }
}

impl Row {
    /// What is known while this node leads the partition.
    fn led(&self) -> Option<&Progress> {
        self.progress.leads.then_some(&self.progress)
    }

    /// The leader knows; where those that are here know of none, none are.
    fn in_sync(&self) -> Option<usize> {
        let Progress { leads, leader, .. } = self.progress;
        let counts = leads || self.is_here && leader.is_none();
        counts.then_some(self.progress.in_sync as usize)
    }
}
