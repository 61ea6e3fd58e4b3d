//! Topics that are made and deleted, as somebody asks for it.

use super::carrying::Failed;
use super::change::{CreateError, DeleteError, NewTopic, TopicRef, plan_create, plan_delete};
use super::command::Command;
use super::image::TopicImage;
use super::service::Controller;
use super::state::{Applied, Topic, flatten};
use crate::shard::Refusal;
use laminarmq_kafka::Uuid;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a wish became: the command to propose, and what the topic will look like but for its group ids.
type Plan = Result<(Command, Arc<TopicImage>), CreateError>;

impl Controller {
    pub(super) async fn create(
        &mut self,
        wishes: Vec<NewTopic>,
        validate_only: bool,
    ) -> Vec<Result<Arc<TopicImage>, CreateError>> {
        let plans = self.plan_creates(wishes);
        if validate_only {
            return plans
                .into_iter()
                .map(|plan| plan.map(|(_, image)| image))
                .collect();
        }
        let commands = plans
            .iter()
            .flatten()
            .map(|(command, _)| command.clone())
            .collect();
        let mut outcomes = self.propose(commands).await.into_iter();
        let mut next = || outcomes.next().expect("one per command");
        let mut made = |(_, planned): (Command, Arc<TopicImage>)| match next()? {
            Applied::TopicCreated(topic) => Ok(Arc::new(TopicImage {
                topic,
                settings: planned.settings.clone(),
            })),
            _ => Err(CreateError::Exists),
        };
        let mut results: Vec<_> = plans
            .into_iter()
            .map(|plan| plan.and_then(&mut made))
            .collect();
        let failed = self.carry_out().await;
        self.take_back(&mut results, failed).await;
        let made = results
            .iter()
            .flatten()
            .flat_map(|image| &image.topic.partitions);
        self.wiring
            .local
            .wait_for_leaders(made.map(|p| p.group))
            .await;
        results
    }

    fn plan_creates(&self, wishes: Vec<NewTopic>) -> Vec<Plan> {
        let mut seen = BTreeMap::<String, usize>::new();
        for wish in &wishes {
            *seen.entry(wish.name.clone()).or_default() += 1;
        }
        let mut reserved = 0;
        let mut lookalikes = BTreeMap::<String, String>::new();
        let mut plan = |wish: NewTopic| {
            if seen[&wish.name] > 1 {
                return Err(CreateError::Twice);
            }
            let before = lookalikes.entry(flatten(&wish.name));
            let before = before.or_insert_with(|| wish.name.clone());
            if *before != wish.name {
                return Err(CreateError::Lookalike(before.clone()));
            }
            let id = self.fresh_topic_id();
            let plan = plan_create(&self.state, &self.wiring.policy, wish, reserved, id)?;
            reserved += plan.command.replicas.len();
            let topic = Arc::new(Topic::planned(&plan.command));
            let image = TopicImage {
                topic,
                settings: plan.settings,
            };
            Ok((Command::CreateTopic(plan.command), Arc::new(image)))
        };
        wishes.into_iter().map(&mut plan).collect()
    }

    /// A random UUID (version 4).
    fn fresh_topic_id(&self) -> Uuid {
        let mut bytes = self.wiring.env.next_bytes16();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uuid(bytes)
    }

    /// Takes back what could not be opened here.
    async fn take_back(
        &mut self,
        results: &mut [Result<Arc<TopicImage>, CreateError>],
        mut failed: Failed,
    ) {
        let ours = |image: &Arc<TopicImage>| failed.contains_key(&image.topic.id);
        let ids: Vec<_> = results
            .iter()
            .flatten()
            .filter(|image| ours(image))
            .collect();
        let ids: Vec<_> = ids.into_iter().map(|image| image.topic.id).collect();
        if ids.is_empty() {
            return;
        }
        // Where even this is refused the broker has failed, or is stopping.
        let _ = self.delete_by_id(ids).await;
        for result in results {
            let reason = result
                .as_ref()
                .ok()
                .and_then(|image| failed.remove(&image.topic.id));
            if let Some(reason) = reason {
                *result = Err(CreateError::Open(reason));
            }
        }
    }

    pub(super) async fn delete(
        &mut self,
        topics: Vec<TopicRef>,
    ) -> Vec<Result<Arc<Topic>, DeleteError>> {
        let plan = |topic: &TopicRef| plan_delete(&self.state, topic).map(|topic| topic.id);
        let plans: Vec<_> = topics.iter().map(plan).collect();
        let mut outcomes = self
            .delete_by_id(plans.iter().flatten().copied().collect())
            .await
            .into_iter();
        let mut next = |_id| match outcomes.next().expect("one per command")? {
            Applied::TopicDeleted(topic) => Ok(topic),
            // It was named twice in this request.
            _ => Err(DeleteError::Unknown),
        };
        plans
            .into_iter()
            .map(|plan| plan.and_then(&mut next))
            .collect()
    }

    /// Deletes topics, hides them, and takes down what was theirs.
    async fn delete_by_id(&mut self, ids: Vec<Uuid>) -> Vec<Result<Applied, Refusal>> {
        let command = |topic_id| Command::DeleteTopic { topic_id };
        let outcomes = self.propose(ids.into_iter().map(command).collect()).await;
        self.carry_out().await;
        outcomes
    }
}
