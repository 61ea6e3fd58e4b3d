//! The threads of a broker: shards, flusher, controller, coordinator of groups. Everything below the network.

use crate::broker::StartError;
use crate::cluster::{Cluster, NodeId};
use crate::config::{BrokerConfig, HostPort};
use crate::controller::{
    Controller, ControllerError, ControllerHandle, ControllerWiring, CreatePolicy, Image,
    LocalPartitions, Opener, Request,
};
use crate::data_dir::DataDir;
use crate::env::Env;
use crate::flusher::{FlushThreads, Flusher};
use crate::groups::{GroupService, GroupsHandle, GroupsWiring, ServiceRequest};
use crate::limits::{APPLIED_QUEUE_LEN, GROUP_EVENTS_LEN, MAILBOX_LEN, SHARDS_MAX};
use crate::metrics::Metrics;
use crate::routing::Router;
use crate::runtime::{Failure, ShardThread, ShardWiring};
use crate::shard::Input;
use crate::topics::TopicDefaults;
use laminarmq::OpenFiles;
use laminarmq_replica::{RaftStateFile, StateDir};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};

/// Hears how the controller's start went: the metadata, or why there is none.
pub(crate) type Started = oneshot::Receiver<Result<watch::Receiver<Arc<Image>>, ControllerError>>;

/// A node's place in its cluster.
pub(crate) struct Joined {
    pub(crate) cluster: Cluster,
    /// Where clients reach this node.
    pub(crate) clients: HostPort,
}

/// See the module's documentation. To be stopped, not dropped.
#[derive(Debug)]
pub(crate) struct Engine {
    router: Arc<Router>,
    controller: ControllerHandle,
    controller_thread: JoinHandle<()>,
    groups: GroupsHandle,
    groups_thread: JoinHandle<()>,
    shards: Vec<ShardThread>,
    flush: FlushThreads,
    flusher: Flusher,
    /// The files of sealed segments.
    sealed: OpenFiles,
    /// Keeps the directory locked until everything is stopped.
    _dir: Arc<DataDir>,
}

impl Engine {
    /// Starts all threads. The controller opens the metadata and the partitions; the receiver says when
    /// it is done.
    pub(crate) fn start(
        config: &BrokerConfig,
        env: &Env,
        dir: &Arc<DataDir>,
        failure: &Failure,
        metrics: &Arc<Metrics>,
        joined: Option<Joined>,
    ) -> Result<(Self, Started), StartError> {
        let journal = RaftStateFile::open(StateDir::new(dir.root()))?;
        let saved: Vec<_> = journal.groups().cloned().collect();
        let (mailboxes, receivers): (Vec<_>, Vec<_>) = (0..shard_count(config))
            .map(|_| mpsc::channel(MAILBOX_LEN))
            .unzip();
        let router = Arc::new(Router::new(mailboxes));
        let cluster = joined.as_ref().map(|joined| joined.cluster.clone());
        let flusher = Flusher::new(Arc::clone(metrics));
        let (applied_sender, applied) = mpsc::channel(APPLIED_QUEUE_LEN);
        let (events_sender, events) = mpsc::channel(GROUP_EVENTS_LEN);
        let (image_sender, image) = watch::channel(Arc::new(Image::default()));
        // A thread that cannot be started is an error of the process; what was started ends with it.
        let flush = flusher
            .start(config.flush_threads, journal, &router, failure)
            .map_err(StartError::Thread)?;
        let mut shards = Vec::with_capacity(receivers.len());
        for (number, mailbox) in receivers.into_iter().enumerate() {
            let wiring = ShardWiring {
                number,
                mailbox,
                router: Arc::clone(&router),
                flusher: flusher.clone(),
                applied: applied_sender.clone(),
                groups: events_sender.clone(),
                failure: failure.clone(),
                cluster: cluster.clone(),
            };
            shards.push(ShardThread::spawn(wiring).map_err(StartError::Thread)?);
        }
        // Before the controller: it takes what the partitions' logs hold while those are opened.
        let wiring = GroupsWiring {
            config: config.groups.clone(),
            env: env.clone(),
            router: Arc::clone(&router),
            image,
            events,
            failure: failure.clone(),
        };
        let (groups, requests) = GroupService::channel();
        let service = GroupService::new(wiring, requests).run();
        let groups_thread = spawn(
            "groups",
            service,
            failure,
            "the coordinator of groups panicked",
        )
        .map_err(StartError::Thread)?;
        let tail_cache_bytes = config.limits.tail_cache_bytes;
        let policy = policy(config, dir);
        let opener = Opener::new(
            Arc::clone(dir),
            env.clone(),
            policy.node,
            &policy.nodes,
            saved,
            tail_cache_bytes,
        );
        let sealed = opener.sealed_files();
        let wiring = ControllerWiring {
            local: LocalPartitions {
                opener,
                router: Arc::clone(&router),
                flusher: flusher.clone(),
                node: policy.node,
                leaders: cluster.map(|cluster| cluster.leaders),
            },
            policy,
            env: env.clone(),
            applied,
            image: image_sender,
            failure: failure.clone(),
            cluster: joined.map(|Joined { cluster, clients }| (cluster, clients)),
        };
        let (controller, requests) = Controller::channel();
        let (started_sender, started) = oneshot::channel();
        let run = run_controller(wiring, requests, started_sender);
        let controller_thread = spawn("controller", run, failure, "the controller panicked")
            .map_err(StartError::Thread)?;
        let _dir = Arc::clone(dir);
        Ok((
            Self {
                router,
                controller,
                controller_thread,
                groups,
                groups_thread,
                shards,
                flush,
                flusher,
                sealed,
                _dir,
            },
            started,
        ))
    }

    pub(crate) fn router(&self) -> Arc<Router> {
        Arc::clone(&self.router)
    }

    pub(crate) fn controller(&self) -> ControllerHandle {
        self.controller.clone()
    }

    pub(crate) fn groups(&self) -> GroupsHandle {
        self.groups.clone()
    }

    pub(crate) fn flusher(&self) -> Flusher {
        self.flusher.clone()
    }

    pub(crate) fn sealed_files(&self) -> OpenFiles {
        self.sealed.clone()
    }

    /// Finishes what the controller does, closes all logs, and ends all threads.
    pub(crate) async fn stop(self) {
        // Joining threads blocks, so it is done where blocking is allowed.
        let _ = tokio::task::spawn_blocking(|| self.stop_now()).await;
    }

    /// Like [`Engine::stop`], without waiting for it.
    pub(crate) fn stop_in_background(self) {
        // Without a thread for it the process is about to end anyway.
        let _ = std::thread::Builder::new()
            .name("stop".to_owned())
            .spawn(|| self.stop_now());
    }

    fn stop_now(self) {
        // An error means in each case that what shall be stopped has stopped already.
        let _ = self.groups.0.blocking_send(ServiceRequest::Stop);
        let _ = self.groups_thread.join();
        let _ = self.controller.0.blocking_send(Request::Stop);
        let _ = self.controller_thread.join();
        let mut closing = Vec::with_capacity(self.shards.len());
        for shard in 0..self.shards.len() {
            let (reply, closed) = oneshot::channel();
            let _ = self.router.send_blocking(shard, Input::Close { reply });
            closing.push(closed);
        }
        for closed in closing {
            // A failure was put on record by the shard itself.
            let _ = closed.blocking_recv();
        }
        for shard in self.shards {
            shard.join();
        }
        self.flush.finish();
    }
}

/// A thread that waits for one piece of work. Its timers are its own: the process's runtime may end while the
/// work is still on its way out, as it does when the broker fails.
fn spawn(
    name: &str,
    work: impl Future<Output = ()> + Send + 'static,
    failure: &Failure,
    if_it_panics: &'static str,
) -> io::Result<JoinHandle<()>> {
    let guard = failure.clone().on_panic(if_it_panics);
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(move || {
        let _guard = guard;
        runtime.block_on(work);
    })
}

async fn run_controller(
    wiring: ControllerWiring,
    requests: mpsc::Receiver<Request>,
    started: oneshot::Sender<Result<watch::Receiver<Arc<Image>>, ControllerError>>,
) {
    match Controller::open(wiring).await {
        Ok(controller) => {
            if started.send(Ok(controller.image())).is_ok() {
                controller.run(requests).await;
            }
        }
        // Nobody hears it only where the start itself was given up.
        Err(error) => drop(started.send(Err(error))),
    }
}

fn shard_count(config: &BrokerConfig) -> usize {
    match config.shards {
        0 => std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(SHARDS_MAX),
        count => count,
    }
}

fn policy(config: &BrokerConfig, dir: &DataDir) -> CreatePolicy {
    let node = NodeId::new(dir.meta().node_id).expect("the directory is this node's");
    let cluster = config.cluster.as_ref();
    CreatePolicy {
        node,
        nodes: cluster.map_or(vec![node], |cluster| {
            cluster.members.iter().map(|member| member.node).collect()
        }),
        default_replication: cluster.map_or(1, |cluster| cluster.default_replication.into()),
        default_partitions: config.default_partitions,
        defaults: TopicDefaults::of(config),
        partitions_max: config.limits.partitions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::time::Duration;
    use tokio::time::timeout;

    #[test]
    fn work_has_its_timers_when_the_runtime_that_it_was_started_on_is_gone() {
        let failure = Failure::new();
        let (gone, is_gone) = oneshot::channel();
        let work = async move {
            let () = is_gone.await.unwrap();
            let _ = timeout(Duration::from_millis(1), pending::<()>()).await;
        };
        let runtime = runtime::Runtime::new().unwrap();
        let thread = runtime.block_on(async { spawn("work", work, &failure, "it panicked") });
        runtime.shutdown_background();
        gone.send(()).unwrap();
        thread.unwrap().join().unwrap();
        assert!(!failure.is_set());
    }
}
