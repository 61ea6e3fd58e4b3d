//! Carrying out changes of topics that are there.
//!
//! - Changed settings are in force everywhere when they are shown, and shown before they are answered.
//! - New partitions are shown once all of a topic's are open and have a leader. Where that fails, those of
//!   this node are closed again; they stay in the state, and whoever asks again for as many has them opened.

use super::alter::{AlterError, Alteration, GrowError, GrowPlan, Growth, plan_alter, plan_grow};
use super::command::Command;
use super::image::TopicImage;
use super::local::ToOpen;
use super::service::Controller;
use super::state::{Applied, Topic};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Controller {
    pub(super) async fn alter(
        &mut self,
        wishes: Vec<Alteration>,
        validate_only: bool,
    ) -> Vec<Result<(), AlterError>> {
        let seen = count(wishes.iter().map(|wish| wish.topic.as_str()));
        let plan = |wish: Alteration| {
            if seen[&wish.topic] > 1 {
                return Err(AlterError::Twice);
            }
            plan_alter(&self.state, &self.wiring.policy, wish)
        };
        let plans: Vec<_> = wishes.into_iter().map(plan).collect();
        if validate_only {
            return plans.into_iter().map(|plan| plan.map(|_| ())).collect();
        }
        let commands = plans.iter().flatten().map(|plan| plan.command.clone());
        let mut outcomes = self.propose(commands.collect()).await.into_iter();
        let mut results = Vec::with_capacity(plans.len());
        let mut altered = Vec::new();
        for plan in plans {
            results.push(match plan {
                Err(error) => Err(error),
                Ok(plan) => match outcomes.next().expect("one per command") {
                    Ok(Applied::TopicAltered(topic)) => {
                        altered.push(Arc::new(TopicImage {
                            topic: self.shown(&topic),
                            settings: plan.settings,
                        }));
                        Ok(())
                    }
                    Ok(_) => Err(AlterError::Unknown),
                    Err(refusal) => Err(refusal.into()),
                },
            });
        }
        if let Err(refusal) = self.wiring.local.tune(&altered).await {
            // The broker has failed or is stopping; the settings are in force after its next start.
            for result in results.iter_mut().filter(|result| result.is_ok()) {
                *result = Err(refusal.clone().into());
            }
            return results;
        }
        for image in &altered {
            tracing::info!(
                topic = image.topic.name,
                "the settings of a topic were changed"
            );
        }
        self.show(altered);
        results
    }

    /// A topic with as many partitions as are shown of it: the others are not open.
    fn shown(&self, topic: &Arc<Topic>) -> Arc<Topic> {
        let open = self.open_partitions(&topic.name);
        if open == topic.partitions.len() {
            return Arc::clone(topic);
        }
        let mut shown = Topic::clone(topic);
        shown.partitions.truncate(open);
        Arc::new(shown)
    }

    fn open_partitions(&self, topic: &str) -> usize {
        let image = self.wiring.image.borrow();
        image
            .topic(topic)
            .map_or(0, |image| image.topic.partitions.len())
    }

    pub(super) async fn grow(
        &mut self,
        wishes: Vec<Growth>,
        validate_only: bool,
    ) -> Vec<Result<(), GrowError>> {
        let plans = self.plan_growths(&wishes);
        if validate_only {
            return plans.into_iter().map(|plan| plan.map(|_| ())).collect();
        }
        let commands = plans.iter().flatten().filter_map(|plan| match plan {
            GrowPlan::Add(command) => Some(command.clone()),
            GrowPlan::Open(_) => None,
        });
        let commands: Vec<Command> = commands.collect();
        let mut outcomes = self.propose(commands).await.into_iter();
        let mut grown = |plan| match plan {
            GrowPlan::Open(topic) => Ok(topic),
            GrowPlan::Add(_) => match outcomes.next().expect("one per command")? {
                Applied::PartitionsAdded(topic) => Ok(topic),
                _ => Err(GrowError::Unknown),
            },
        };
        let grown: Vec<_> = plans
            .into_iter()
            .map(|plan| plan.and_then(&mut grown))
            .collect();
        self.open_grown(grown).await
    }

    fn plan_growths(&self, wishes: &[Growth]) -> Vec<Result<GrowPlan, GrowError>> {
        let seen = count(wishes.iter().map(|wish| wish.topic.as_str()));
        let mut reserved = 0;
        let plan = |wish: &Growth| {
            if seen[&wish.topic] > 1 {
                return Err(GrowError::Twice);
            }
            let open = self.open_partitions(&wish.topic);
            let policy = &self.wiring.policy;
            let (plan, added) = plan_grow(&self.state, policy, wish, open, reserved)?;
            reserved += added;
            Ok(plan)
        };
        wishes.iter().map(plan).collect()
    }

    /// Opens what topics have more of than is shown, and shows it.
    async fn open_grown(
        &mut self,
        grown: Vec<Result<Arc<Topic>, GrowError>>,
    ) -> Vec<Result<(), GrowError>> {
        let to_open = |topic: &Arc<Topic>| {
            let image = self.wiring.image.borrow();
            let shown = image
                .topic(&topic.name)
                .expect("topics are shown before they grow");
            ToOpen {
                from: u32::try_from(shown.topic.partitions.len()).expect("a limited number"),
                image: Arc::new(TopicImage {
                    topic: Arc::clone(topic),
                    settings: shown.settings.clone(),
                }),
            }
        };
        let to_open: Vec<_> = grown.iter().flatten().map(to_open).collect();
        let mut opened = self
            .wiring
            .local
            .open(&to_open)
            .await
            .into_iter()
            .zip(to_open);
        let mut results = Vec::with_capacity(grown.len());
        for topic in grown {
            results.push(match topic {
                Err(error) => Err(error),
                Ok(topic) => match opened.next().expect("one per topic") {
                    (Ok(()), opened) => {
                        let partitions = opened.image.topic.partitions.len();
                        tracing::info!(
                            topic = topic.name,
                            partitions,
                            "a topic got more partitions"
                        );
                        self.show(vec![opened.image]);
                        Ok(())
                    }
                    (Err(error), opened) => {
                        tracing::error!(topic = topic.name, %error, "cannot open new partitions");
                        self.wiring.local.take_back(&opened).await;
                        Err(GrowError::Open(error.to_string()))
                    }
                },
            });
        }
        results
    }
}

/// How often each name is there.
fn count<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for name in names {
        *seen.entry(name.to_owned()).or_default() += 1;
    }
    seen
}
