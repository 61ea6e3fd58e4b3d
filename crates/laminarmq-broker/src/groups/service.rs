//! The coordinators at work, on a thread of their own.
//!
//! - Committed commands and the results of proposals come from the shards through one queue, in the order
//!   of the log. They are taken first, also while a shard's mailbox has no room: so no shard ever waits for
//!   this thread while this thread waits for it.
//! - Requests are taken only while there is room for what they propose.
//! - A coordinator serves while this node leads its partition, and once that is in the [`Image`].

use super::{
    Answer, Coordinator, GROUPS_TOPIC, GroupError, GroupOverview, GroupSummary, Now, Output,
    ProposalToken, Request, partition_of,
};
use crate::config::GroupConfig;
use crate::controller::Image;
use crate::env::Env;
use crate::limits::{GROUP_OUTBOX_LEN, GROUP_REQUESTS_LEN, SHARD_BATCH_LEN};
use crate::routing::Router;
use crate::runtime::{CommandReply, Failure, LogEvent, ShardInput};
use crate::shard::Input;
use laminarmq_replica::{GroupId, TrimTo};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// What the service is asked.
#[derive(Debug)]
pub(crate) enum ServiceRequest {
    Group {
        group: String,
        request: Request,
        reply: oneshot::Sender<Answer>,
    },
    List {
        reply: oneshot::Sender<Result<Vec<GroupSummary>, GroupError>>,
    },
    Overview {
        reply: oneshot::Sender<Result<Vec<GroupOverview>, GroupError>>,
    },
    /// End.
    Stop,
}

/// Asks the service; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct GroupsHandle(pub(crate) mpsc::Sender<ServiceRequest>);

impl GroupsHandle {
    /// Asks about one group. The answer is the one of the request's kind.
    pub(crate) async fn ask(&self, group: String, request: Request) -> Answer {
        let gone = request.refuse(GroupError::NotCoordinator);
        let (reply, answer) = oneshot::channel();
        let request = ServiceRequest::Group {
            group,
            request,
            reply,
        };
        match self.0.send(request).await {
            Ok(()) => answer.await.unwrap_or(gone),
            Err(_) => gone,
        }
    }

    /// All groups of this node.
    pub(crate) async fn list(&self) -> Result<Vec<GroupSummary>, GroupError> {
        self.ask_all(|reply| ServiceRequest::List { reply }).await
    }

    /// All groups of this node, with their members and how far they have read.
    pub(crate) async fn overview(&self) -> Result<Vec<GroupOverview>, GroupError> {
        self.ask_all(|reply| ServiceRequest::Overview { reply })
            .await
    }

    async fn ask_all<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, GroupError>>) -> ServiceRequest,
    ) -> Result<T, GroupError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send(request(reply)).await;
        sent.map_err(|_| GroupError::NotCoordinator)?;
        answer.await.unwrap_or(Err(GroupError::NotCoordinator))
    }
}

/// What the service works with.
pub(crate) struct GroupsWiring {
    pub(crate) config: GroupConfig,
    pub(crate) env: Env,
    pub(crate) router: Arc<Router>,
    pub(crate) image: watch::Receiver<Arc<Image>>,
    pub(crate) events: mpsc::Receiver<LogEvent>,
    pub(crate) failure: Failure,
}

type Reply = oneshot::Sender<Answer>;

/// See the module's documentation.
pub(crate) struct GroupService {
    wiring: GroupsWiring,
    requests: mpsc::Receiver<ServiceRequest>,
    coordinators: BTreeMap<GroupId, Coordinator<Reply>>,
    /// The partitions of groups, in their order; none before there are any.
    partitions: Vec<GroupId>,
    /// On its way to the shards, oldest first.
    outbox: VecDeque<(GroupId, ShardInput)>,
    outputs: Vec<Output<Reply>>,
    started: Instant,
}

impl GroupService {
    /// A handle, and the queue behind it for [`GroupService::new`].
    pub(crate) fn channel() -> (GroupsHandle, mpsc::Receiver<ServiceRequest>) {
        let (sender, receiver) = mpsc::channel(GROUP_REQUESTS_LEN);
        (GroupsHandle(sender), receiver)
    }

    pub(crate) fn new(wiring: GroupsWiring, requests: mpsc::Receiver<ServiceRequest>) -> Self {
        Self {
            wiring,
            requests,
            coordinators: BTreeMap::new(),
            partitions: Vec::new(),
            outbox: VecDeque::new(),
            outputs: Vec::new(),
            started: Instant::now(),
        }
    }

    /// Serves until it is told to stop.
    pub(crate) async fn run(mut self) {
        let router = Arc::clone(&self.wiring.router);
        loop {
            if self.wiring.failure.is_set() {
                // Also where a log could not be read: what is known of its groups is not all.
                break;
            }
            let deadline = self.next_deadline();
            if deadline <= Instant::now() {
                // Requests that never end must not keep members from falling silent.
                self.tick();
            }
            let has_room = self.outbox.len() < GROUP_OUTBOX_LEN
                && !self.coordinators.values().any(Coordinator::is_busy);
            let target = self.outbox.front().map(|(group, _)| *group);
            let shard = target
                .and_then(|group| router.route(group))
                .map(|route| route.shard);
            if target.is_some() && shard.is_none() {
                self.return_first();
                continue;
            }
            tokio::select! {
                biased;
                event = self.wiring.events.recv() => match event {
                    Some(event) => self.take_events(event),
                    // The shards are gone.
                    None => break,
                },
                permit = router.reserve(shard.unwrap_or_default()), if shard.is_some() => match permit {
                    Ok(permit) => {
                        let (_, input) = self.outbox.pop_front().expect("it has a target");
                        permit.send(input);
                    }
                    Err(_) => self.return_first(),
                },
                changed = self.wiring.image.changed() => match changed {
                    Ok(()) => self.look_at_image(),
                    // The controller is gone: the broker stops.
                    Err(_) => break,
                },
                request = self.requests.recv(), if has_room => match request {
                    Some(ServiceRequest::Stop) | None => break,
                    Some(request) => self.take_request(request),
                },
                () = sleep_until(deadline) => self.tick(),
            }
        }
        for group in self.coordinators.keys().copied().collect::<Vec<_>>() {
            self.coordinate(group, |coordinator, _, out| coordinator.close(out));
        }
    }

    fn now(&self) -> Now {
        Now {
            mono: self.started.elapsed(),
            wall_ms: self.wiring.env.now_ms(),
        }
    }

    fn next_deadline(&self) -> Instant {
        let deadlines = self
            .coordinators
            .values()
            .filter_map(Coordinator::next_deadline);
        // Without any, some time that is not worth naming: it is looked again.
        self.started + deadlines.min().unwrap_or(self.started.elapsed() + IDLE)
    }

    fn take_events(&mut self, first: LogEvent) {
        self.take_event(first);
        for _ in 1..SHARD_BATCH_LEN {
            let Ok(event) = self.wiring.events.try_recv() else {
                break;
            };
            self.take_event(event);
        }
    }

    fn take_event(&mut self, event: LogEvent) {
        match event {
            LogEvent::Applied {
                group,
                index,
                command,
            } => {
                let coordinator = self.coordinator(group);
                if let Err(reason) = coordinator.apply(index, &command) {
                    let reason = format!("the groups of partition group {group}: {reason}");
                    self.wiring.failure.set(&reason);
                }
            }
            LogEvent::Reset { group } => {
                self.coordinate(group, |coordinator, _, out| coordinator.begin_anew(out));
            }
            LogEvent::Leading { group, leads } => {
                self.coordinate(group, |coordinator, now, out| {
                    if leads {
                        coordinator.lead(now, out);
                    } else {
                        coordinator.resign(out);
                    }
                });
            }
            LogEvent::Proposed {
                group,
                token,
                result,
            } => {
                if let Err(refusal) = &result {
                    tracing::warn!(%group, %refusal, "a change of groups was not committed");
                }
                let committed = result.is_ok();
                self.coordinate(group, |coordinator, now, out| {
                    coordinator.proposed(token, committed, now, out);
                });
            }
        }
    }

    fn coordinator(&mut self, group: GroupId) -> &mut Coordinator<Reply> {
        let GroupsWiring { config, env, .. } = &self.wiring;
        self.coordinators.entry(group).or_insert_with(|| {
            let env = env.clone();
            Coordinator::new(config.clone(), Box::new(move || env.next_bytes16()))
        })
    }

    /// Lets one coordinator work, and carries out what comes of it.
    fn coordinate(
        &mut self,
        group: GroupId,
        work: impl FnOnce(&mut Coordinator<Reply>, Now, &mut Vec<Output<Reply>>),
    ) {
        let now = self.now();
        let mut outputs = std::mem::take(&mut self.outputs);
        work(self.coordinator(group), now, &mut outputs);
        for output in outputs.drain(..) {
            match output {
                // Whoever asked may be gone by now.
                Output::Reply { reply, answer } => drop(reply.send(answer)),
                Output::Propose { token, command } => {
                    let reply = CommandReply::Groups { group, token };
                    let input = Input::Command {
                        group,
                        command,
                        reply,
                    };
                    self.outbox.push_back((group, input));
                }
                Output::Trim { first_kept } => {
                    // Nobody waits for it. One that is refused is made up for by the next.
                    let (reply, _) = oneshot::channel();
                    let to = TrimTo::Index(first_kept);
                    self.outbox
                        .push_back((group, Input::Trim { group, to, reply }));
                }
            }
        }
        self.outputs = outputs;
    }

    /// There is no shard any more that could take what is first in the outbox.
    fn return_first(&mut self) {
        let Some((group, input)) = self.outbox.pop_front() else {
            return;
        };
        if let Input::Command {
            reply: CommandReply::Groups { token, .. },
            ..
        } = input
        {
            self.not_proposed(group, token);
        }
    }

    fn not_proposed(&mut self, group: GroupId, token: ProposalToken) {
        self.coordinate(group, |coordinator, now, out| {
            coordinator.proposed(token, false, now, out);
        });
    }

    fn look_at_image(&mut self) {
        let image = Arc::clone(&self.wiring.image.borrow_and_update());
        if self.partitions.is_empty()
            && let Some(topic) = image.topic(GROUPS_TOPIC)
        {
            // That this node leads them was sent before the topic was shown, if nobody else can.
            while let Ok(event) = self.wiring.events.try_recv() {
                self.take_event(event);
            }
            let partitions = topic.topic.partitions.iter();
            self.partitions = partitions.map(|partition| partition.group).collect();
            tracing::info!(
                partitions = self.partitions.len(),
                "consumer groups are served"
            );
        }
        for group in self.partitions.clone() {
            self.coordinate(group, |coordinator, _, out| {
                coordinator.retain_topics(|id| image.topic_by_id(id).is_some(), out);
            });
        }
    }

    fn take_request(&mut self, request: ServiceRequest) {
        // Whoever asks has seen the latest image.
        if self.wiring.image.has_changed().unwrap_or(false) {
            self.look_at_image();
        }
        match request {
            ServiceRequest::Group {
                group,
                request,
                reply,
            } => {
                if self.partitions.is_empty() {
                    let _ = reply.send(request.refuse(GroupError::NotCoordinator));
                    return;
                }
                let partition = self.partitions[partition_of(&group, self.partitions.len())];
                self.coordinate(partition, |coordinator, now, out| {
                    coordinator.handle(&group, request, reply, now, out);
                });
            }
            ServiceRequest::List { reply } => {
                let _ = reply.send(self.of_all(Coordinator::list));
            }
            ServiceRequest::Overview { reply } => {
                let _ = reply.send(self.of_all(Coordinator::overview));
            }
            ServiceRequest::Stop => unreachable!("the loop ends with it"),
        }
    }

    fn of_all<T>(
        &self,
        list: impl Fn(&Coordinator<Reply>) -> Option<Vec<T>>,
    ) -> Result<Vec<T>, GroupError> {
        let mut all = Vec::new();
        for coordinator in self.coordinators.values() {
            all.extend(list(coordinator).ok_or(GroupError::Loading)?);
        }
        Ok(all)
    }

    fn tick(&mut self) {
        for group in self.partitions.clone() {
            self.coordinate(group, |coordinator, now, out| coordinator.tick(now, out));
        }
    }
}

/// How long the service sleeps when it waits for nothing in particular.
const IDLE: Duration = Duration::from_secs(60);
