//! What committed commands cause on this node: partitions are opened and closed, topics shown and hidden.
//!
//! - It follows the order of the log. A topic is shown once its partitions here are open.
//! - What fails here fails for this node alone: it is put on record, and said to whoever asked for the
//!   change on this node.

use super::image::TopicImage;
use super::local::ToOpen;
use super::service::{Controller, ControllerError};
use super::state::{Applied, Topic};
use laminarmq_kafka::Uuid;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Topics whose partitions could not be opened, and why.
pub(super) type Failed = BTreeMap<Uuid, String>;

impl Controller {
    /// Carries out what was applied since the last time.
    pub(super) async fn carry_out(&mut self) -> Failed {
        let mut failed = Failed::new();
        let mut undone = std::mem::take(&mut self.undone).into_iter().peekable();
        while let Some(first) = undone.next() {
            // Those of one kind that follow each other are done together: that spares waiting and syncs.
            let like_it =
                |next: &Applied| std::mem::discriminant(next) == std::mem::discriminant(&first);
            let mut run = vec![first.clone()];
            while let Some(next) = undone.next_if(like_it) {
                run.push(next);
            }
            let topics: Vec<_> = run.into_iter().filter_map(topic).collect();
            match first {
                Applied::TopicCreated(_) => self.bring_up(topics, &mut failed).await,
                Applied::TopicDeleted(_) => self.hide_and_take_down(topics).await,
                Applied::TopicAltered(_) => self.put_in_force(topics).await,
                Applied::PartitionsAdded(_) => self.open_more(topics, &mut failed).await,
                Applied::NodeRegistered(_) => {
                    let nodes = self.state.nodes().clone();
                    let image = &self.wiring.image;
                    image.send_modify(|image| Arc::make_mut(image).set_nodes(nodes));
                }
                Applied::NodeReplaced(_) => self.replace_lost().await,
                Applied::OtherIncarnation
                | Applied::TopicExists
                | Applied::TopicUnknown
                | Applied::OtherPartitions
                | Applied::ProducerIds(_) => {}
            }
        }
        failed
    }

    /// Nodes lost their directories: what was there is replaced, by whoever leads.
    pub(super) async fn replace_lost(&self) {
        let Some((cluster, _)) = &self.wiring.cluster else {
            return;
        };
        let incarnations = self.state.incarnations();
        if incarnations.of(cluster.me) > self.wiring.local.opener.dir().meta().incarnation {
            self.wiring
                .failure
                .set(&ControllerError::Replaced.to_string());
            return;
        }
        cluster
            .directories
            .set_replaced(self.state.replaced().clone());
        if !incarnations.is_empty() {
            self.wiring.local.replace(incarnations).await;
        }
    }

    /// A topic's settings were checked before they were committed. Where this program does not know them,
    /// a newer one wrote them, and nothing may be passed over.
    fn resolved(&self, topics: &[Arc<Topic>]) -> Vec<Arc<TopicImage>> {
        let resolved = topics.iter().map(|topic| self.resolve(topic));
        match resolved.collect::<Result<Vec<_>, _>>() {
            Ok(images) => images,
            Err(error) => {
                self.wiring.failure.set(&error.to_string());
                Vec::new()
            }
        }
    }

    async fn bring_up(&mut self, topics: Vec<Arc<Topic>>, failed: &mut Failed) {
        let images = self.resolved(&topics);
        let to_open: Vec<_> = images.iter().map(ToOpen::all).collect();
        let opened = self.wiring.local.open(&to_open).await;
        let mut shown = Vec::with_capacity(images.len());
        for (image, result) in images.into_iter().zip(opened) {
            let topic = &image.topic;
            match result {
                Ok(()) => {
                    let partitions = topic.partitions.len();
                    tracing::info!(topic = topic.name, partitions, "a topic was created");
                    shown.push(image);
                }
                Err(error) => {
                    tracing::error!(topic = topic.name, %error, "cannot open a new topic");
                    failed.insert(topic.id, error.to_string());
                }
            }
        }
        self.show(shown);
    }

    async fn hide_and_take_down(&mut self, topics: Vec<Arc<Topic>>) {
        self.wiring.image.send_modify(|image| {
            let image = Arc::make_mut(image);
            topics.iter().for_each(|topic| image.remove(topic.id));
        });
        self.wiring.local.take_down(&topics).await;
        for topic in &topics {
            let partitions = topic.partitions.len();
            tracing::info!(topic = topic.name, partitions, "a topic was deleted");
        }
    }

    async fn put_in_force(&mut self, topics: Vec<Arc<Topic>>) {
        // What could not be opened is not shown either, and has its settings when it is.
        let open = topics
            .iter()
            .filter(|topic| self.open_partitions(&topic.name) > 0);
        let shown: Vec<_> = open.map(|topic| self.shown(topic)).collect();
        let images = self.resolved(&shown);
        if let Err(refusal) = self.wiring.local.tune(&images).await {
            // The broker has failed or is stopping; the settings are in force after its next start.
            tracing::warn!(%refusal, "changed settings are not in force");
            return;
        }
        for image in &images {
            let topic = image.topic.name.as_str();
            tracing::info!(topic, "the settings of a topic were changed");
        }
        self.show(images);
    }

    /// Opens what topics have more of than is shown, and shows it.
    pub(super) async fn open_more(&mut self, topics: Vec<Arc<Topic>>, failed: &mut Failed) {
        let to_open: Vec<_> = self
            .resolved(&topics)
            .into_iter()
            .map(|image| ToOpen {
                from: u32::try_from(self.open_partitions(&image.topic.name))
                    .expect("a limited number"),
                image,
            })
            .collect();
        let opened = self.wiring.local.open(&to_open).await;
        for (result, opened) in opened.into_iter().zip(to_open) {
            let topic = &opened.image.topic;
            match result {
                Ok(()) => {
                    let partitions = topic.partitions.len();
                    tracing::info!(
                        topic = topic.name,
                        partitions,
                        "a topic got more partitions"
                    );
                    self.show(vec![opened.image]);
                }
                Err(error) => {
                    tracing::error!(topic = topic.name, %error, "cannot open new partitions");
                    failed.insert(topic.id, error.to_string());
                    self.wiring.local.take_back(&opened).await;
                }
            }
        }
    }
}

fn topic(applied: Applied) -> Option<Arc<Topic>> {
    match applied {
        Applied::TopicCreated(topic)
        | Applied::TopicDeleted(topic)
        | Applied::TopicAltered(topic)
        | Applied::PartitionsAdded(topic) => Some(topic),
        _ => None,
    }
}
