//! What the rest of the broker sees of the metadata: a picture that is replaced as a whole and never
//! changed, so whoever looks at it needs no lock and sees one state.
//!
//! A topic is in the picture only while those of its partitions that are on this node are open here.

use super::state::{Topic, TopicPartition};
use crate::config::HostPort;
use crate::topics::TopicSettings;
use laminarmq_kafka::Uuid;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One state of the metadata.
#[derive(Debug, Default, Clone)]
pub(crate) struct Image {
    topics: BTreeMap<String, Arc<TopicImage>>,
    names: BTreeMap<Uuid, String>,
    nodes: BTreeMap<u32, HostPort>,
}

/// One topic, with its settings in force.
#[derive(Debug)]
pub(crate) struct TopicImage {
    pub(crate) topic: Arc<Topic>,
    pub(crate) settings: TopicSettings,
}

impl Image {
    pub(crate) fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topics.values()
    }

    pub(crate) fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(name)
    }

    pub(crate) fn topic_by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.topic(self.names.get(&id)?)
    }

    /// A partition of a topic by its number, as it comes from the wire.
    pub(crate) fn partition(&self, topic: &str, number: i32) -> Option<&TopicPartition> {
        let number = usize::try_from(number).ok()?;
        self.topic(topic)?.topic.partitions.get(number)
    }

    /// The topic of this name, else the one with this id: some clients know topics by their ids only, and
    /// write them down where a version has nothing but names.
    pub(crate) fn topic_by_name_or_id(&self, text: &str) -> Option<&Arc<TopicImage>> {
        self.topic(text)
            .or_else(|| self.topic_by_id(text.parse().ok()?))
    }

    /// Where clients reach the nodes of a cluster, by their ids. Empty on a node that is alone.
    pub(crate) fn nodes(&self) -> &BTreeMap<u32, HostPort> {
        &self.nodes
    }

    /// The picture with these nodes.
    pub(crate) fn set_nodes(&mut self, nodes: BTreeMap<u32, HostPort>) {
        self.nodes = nodes;
    }

    /// The picture with these topics as well.
    pub(crate) fn insert(&mut self, image: Arc<TopicImage>) {
        self.names.insert(image.topic.id, image.topic.name.clone());
        self.topics.insert(image.topic.name.clone(), image);
    }

    /// The picture without the topic of this id.
    pub(crate) fn remove(&mut self, id: Uuid) {
        if let Some(name) = self.names.remove(&id) {
            self.topics.remove(&name);
        }
    }
}
