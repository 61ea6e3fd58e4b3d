//! The thread of one shard: takes inputs from its mailbox, steps the shard, carries its outputs out.
//!
//! It waits for its mailbox and, at most, for the controller and the coordinators of groups to take commands; the flusher's queue always
//! has room for the one job that each partition may have outside.

use super::{AppliedCommand, CommandReply, Failure, LogEvent, Real, ShardInput};
use crate::cluster::{Cluster, InSyncAt, Leading, NodeId};
use crate::controller::METADATA_GROUP;
use crate::flusher::{FlushJob, Flusher};
use crate::limits::SHARD_BATCH_LEN;
use crate::routing::Router;
use crate::shard::{Output, Shard};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// What a shard's thread works with.
pub(crate) struct ShardWiring {
    /// Place of the shard in the router's table.
    pub(crate) number: usize,
    pub(crate) mailbox: mpsc::Receiver<ShardInput>,
    pub(crate) router: Arc<Router>,
    pub(crate) flusher: Flusher,
    /// Commands of the metadata group.
    pub(crate) applied: mpsc::Sender<AppliedCommand>,
    /// Commands of partitions of groups.
    pub(crate) groups: mpsc::Sender<LogEvent>,
    pub(crate) failure: Failure,
    /// The other nodes, if there are any.
    pub(crate) cluster: Option<Cluster>,
}

/// A shard's thread, running.
#[derive(Debug)]
pub(crate) struct ShardThread(JoinHandle<()>);

impl ShardThread {
    pub(crate) fn spawn(wiring: ShardWiring) -> io::Result<Self> {
        let name = format!("shard-{}", wiring.number);
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || Runner::new(wiring).run())?;
        Ok(Self(thread))
    }

    /// Waits for the thread, which ends once its shard is closed.
    pub(crate) fn join(self) {
        // A panic was reported by the thread's guard.
        let _ = self.0.join();
    }
}

struct Runner {
    wiring: ShardWiring,
    shard: Shard<Real>,
    inputs: Vec<ShardInput>,
    outputs: Vec<Output<Real>>,
}

impl Runner {
    fn new(wiring: ShardWiring) -> Self {
        Self {
            wiring,
            shard: Shard::new(),
            inputs: Vec::with_capacity(SHARD_BATCH_LEN),
            outputs: Vec::new(),
        }
    }

    fn run(mut self) {
        let _guard = self.wiring.failure.clone().on_panic("a shard panicked");
        while !self.shard.is_closed() {
            let Some(first) = self.wiring.mailbox.blocking_recv() else {
                break;
            };
            self.inputs.push(first);
            while self.inputs.len() < SHARD_BATCH_LEN {
                let Ok(next) = self.wiring.mailbox.try_recv() else {
                    break;
                };
                self.inputs.push(next);
            }
            if self.wiring.failure.is_set() {
                self.shard.fail(&mut self.outputs);
            }
            self.shard.step(self.inputs.drain(..), &mut self.outputs);
            let mut outputs = std::mem::take(&mut self.outputs);
            for output in outputs.drain(..) {
                self.carry_out(output);
            }
            self.outputs = outputs;
        }
    }

    /// The coordinators end before the shards only when the broker stops. They take what comes from here
    /// before anything else, also while they wait for a place in this shard's mailbox.
    fn tell_groups(&self, event: LogEvent) {
        let _ = self.wiring.groups.blocking_send(event);
    }

    /// Whoever asked may be gone by now: then nobody hears the answer, and that is fine.
    fn carry_out(&mut self, output: Output<Real>) {
        match output {
            Output::Persist {
                group,
                job,
                entries,
            } => {
                let shard = self.wiring.number;
                self.wiring.flusher.submit(FlushJob {
                    group,
                    job,
                    entries,
                    shard,
                });
            }
            Output::Appended { reply, result } => drop(reply.send(result)),
            Output::Read { reply, results } => drop(reply.send(results)),
            Output::Lookup { reply, result } => drop(reply.send(result)),
            Output::Measured { reply, results } => drop(reply.send(results)),
            Output::Proposed { reply, result } => match reply {
                CommandReply::Once(reply) => drop(reply.send(result)),
                CommandReply::Groups { group, token } => self.tell_groups(LogEvent::Proposed {
                    group,
                    token,
                    result,
                }),
            },
            Output::Trimmed { reply, result } => drop(reply.send(result)),
            Output::Changed { reply, result } => drop(reply.send(result)),
            Output::Command {
                group,
                index,
                command,
            } if group == METADATA_GROUP => {
                // The controller ends before the shards only when the broker stops.
                let _ = self
                    .wiring
                    .applied
                    .blocking_send(AppliedCommand { index, command });
            }
            // No other groups have commands.
            Output::Command {
                group,
                index,
                command,
            } => self.tell_groups(LogEvent::Applied {
                group,
                index,
                command,
            }),
            // Its log is never cut, so nobody can be behind its start.
            Output::Reset { group } if group == METADATA_GROUP => {
                self.wiring
                    .failure
                    .set("the metadata of the cluster began anew");
            }
            Output::Reset { group } => self.tell_groups(LogEvent::Reset { group }),
            // The controller finds the leader by itself, and needs none.
            Output::Leading { group, .. } if group == METADATA_GROUP => {}
            Output::Leading { group, leads } => {
                self.tell_groups(LogEvent::Leading { group, leads });
            }
            Output::Progress { group, progress } => {
                if let Some(cluster) = &self.wiring.cluster {
                    let (term, node) = (progress.epoch, progress.leader.and_then(NodeId::of));
                    cluster.leaders.learn(group, Leading { term, node });
                }
                if let Some(route) = self.wiring.router.route(group) {
                    route.watch.update(progress);
                }
            }
            Output::InSync {
                group,
                term,
                replicas,
            } => {
                if let Some(cluster) = &self.wiring.cluster {
                    let nodes = replicas.into_iter().filter_map(NodeId::of).collect();
                    let leaders = &cluster.leaders;
                    leaders.learn_in_sync(group, InSyncAt { term, nodes }, cluster.me);
                }
            }
            Output::Send(envelope) => {
                // A node that is not linked loses it, which is allowed.
                if let (Some(cluster), Some(node)) = (&self.wiring.cluster, NodeId::of(envelope.to))
                {
                    cluster.peers.send(node, envelope);
                }
            }
            Output::Misbehaved { group, from, what } => {
                tracing::warn!(%group, replica = from.get(), what, "refused a message of another node");
            }
            Output::Ticked => {
                if let Some(cluster) = &self.wiring.cluster {
                    cluster.clock.took(self.wiring.number);
                }
            }
            Output::Final { state } => self.wiring.flusher.save_last(state),
            Output::Failed { reason } => self.wiring.failure.set(&reason),
        }
    }
}
