//! Carrying out changes of topics that are there.
//!
//! - Changed settings are in force everywhere when they are shown, and shown before they are answered.
//! - New partitions are shown once all of a topic's are open and have a leader. Where that fails, those of
//!   this node are closed again; they stay in the state, and whoever asks again for as many has them opened.

use super::alter::{AlterError, Alteration, GrowError, GrowPlan, Growth, plan_alter, plan_grow};
use super::command::Command;
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
        self.carry_out().await;
        let mut outcome = |_| match outcomes.next().expect("one per command")? {
            Applied::TopicAltered(_) => Ok(()),
            _ => Err(AlterError::Unknown),
        };
        plans
            .into_iter()
            .map(|plan| plan.and_then(&mut outcome))
            .collect()
    }

    /// A topic with as many partitions as are shown of it: the others are not open.
    pub(super) fn shown(&self, topic: &Arc<Topic>) -> Arc<Topic> {
        let open = self.open_partitions(&topic.name);
        if open == topic.partitions.len() {
            return Arc::clone(topic);
        }
        let mut shown = Topic::clone(topic);
        shown.partitions.truncate(open);
        Arc::new(shown)
    }

    pub(super) fn open_partitions(&self, topic: &str) -> usize {
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
        let mut failed = self.carry_out().await;
        let mut grown = Vec::with_capacity(plans.len());
        for plan in plans {
            grown.push(match plan {
                Err(error) => Err(error),
                Ok(GrowPlan::Open(topic)) => {
                    self.open_more(vec![Arc::clone(&topic)], &mut failed).await;
                    Ok(topic)
                }
                Ok(GrowPlan::Add(_)) => match outcomes.next().expect("one per command") {
                    Ok(Applied::PartitionsAdded(topic)) => Ok(topic),
                    Ok(_) => Err(GrowError::Unknown),
                    Err(refusal) => Err(refusal.into()),
                },
            });
        }
        let partitions = grown.iter().flatten().flat_map(|topic| &topic.partitions);
        self.wiring
            .local
            .wait_for_leaders(partitions.map(|p| p.group))
            .await;
        let result = |topic: Arc<Topic>| match failed.get(&topic.id) {
            None => Ok(()),
            Some(reason) => Err(GrowError::Open(reason.clone())),
        };
        grown
            .into_iter()
            .map(|grown| grown.and_then(result))
            .collect()
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
}

/// How often each name is there.
fn count<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for name in names {
        *seen.entry(name.to_owned()).or_default() += 1;
    }
    seen
}
