//! Starts a broker and stops it.
//!
//! ```text
//! start:  addresses taken -> HTTP port up -> directory locked -> (links to other nodes) -> shards and flusher ->
//!         metadata replayed, partitions opened -> listening, ready
//! stop:   not ready -> no new connections and requests -> those that were read are answered -> groups ->
//!         controller -> shards close their logs -> flusher -> links -> directory unlocked -> HTTP port closed
//! ```

use crate::cluster::{self, BootstrapError, Membership, cluster_id};
use crate::config::{BrokerConfig, ConfigError, HostPort};
use crate::context::Context;
use crate::controller::ControllerError;
use crate::data_dir::{DataDir, DataDirError, Owner};
use crate::engine::{Engine, Joined, Started};
use crate::env::{Env, millis};
use crate::handlers::ProducerIds;
use crate::http::{Health, HttpServer, Phase, Site};
use crate::limits::DRAIN_WAIT_MAX;
use crate::metrics::{Metrics, Serving};
use crate::net::{Listener, bind};
use crate::retention;
use crate::runtime::Failure;
use laminarmq_replica::StateError;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// Starts brokers.
#[derive(Debug)]
pub struct Broker;

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The raft-state file in it cannot be used.
    #[error("the data directory cannot be used: {0}")]
    RaftState(#[from] StateError),
    /// The metadata or a partition cannot be opened.
    #[error(transparent)]
    Controller(#[from] ControllerError),
    /// The listen address cannot be taken.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address, as it was given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The address of the HTTP port cannot be taken.
    #[error("cannot listen on {address} for HTTP: {source}")]
    Http {
        /// The address, as it was given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The address for other nodes cannot be taken.
    #[error("cannot listen on {address} for other nodes: {source}")]
    Peers {
        /// The address, as it was given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The node cannot take its place in the cluster.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The data directory failed while the broker started.
    #[error(transparent)]
    Failed(#[from] BrokerFailure),
}

/// A running broker lost its data directory (a sync failed) or a part of it stopped. Nothing is
/// acknowledged any more; the process must end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the broker failed: {reason}")]
pub struct BrokerFailure {
    /// What happened, for people.
    pub reason: String,
}

/// A broker that serves. Dropping it without [`Running::shutdown`] stops it soon after, without waiting
/// for requests that are under way; what was acknowledged stays.
#[derive(Debug)]
pub struct Running {
    kafka_addr: SocketAddr,
    health: Health,
    http: Option<HttpServer>,
    dir: Arc<DataDir>,
    failure: Failure,
    stop: watch::Sender<bool>,
    listener: JoinHandle<()>,
    /// Taken by whoever stops it.
    engine: Option<Engine>,
    membership: Option<Membership>,
}

impl Broker {
    /// Opens the data directory, recovers every partition and serves. Must be called on a tokio runtime
    /// with its I/O and time drivers on.
    pub async fn start(config: BrokerConfig) -> Result<Running, StartError> {
        Self::start_with(config, Env::system()).await
    }

    /// Like [`Broker::start`], with the given time and randomness.
    pub async fn start_with(config: BrokerConfig, env: Env) -> Result<Running, StartError> {
        config.validate()?;
        let began = env.monotonic();
        tracing::info!(
            version = config.build.version,
            commit = config.build.commit,
            data_dir = %config.data_dir.display(),
            "the broker starts"
        );
        let address = config.listen.to_string();
        let cannot_listen = |source| StartError::Listen {
            address: address.clone(),
            source,
        };
        // Taken at once, so that a taken port is found before a long recovery; nobody can connect yet.
        let socket = bind(&address).await.map_err(cannot_listen)?;
        let failure = Failure::new();
        let health = Health::new(failure.clone());
        let metrics = Arc::new(Metrics::new(&env, config.build.clone()));
        let site = Arc::new(Site::new(health.clone(), Arc::clone(&metrics)));
        // Up before the recovery, to say that it is under way. Whatever ends the start closes it.
        let http = start_http(&config, &site).await?;
        let parts = Parts {
            config: config.clone(),
            env: env.clone(),
            health: health.clone(),
            failure: failure.clone(),
            metrics: Arc::clone(&metrics),
        };
        let (stop, stopping) = watch::channel(false);
        let bound = socket.local_addr().map_err(cannot_listen)?;
        let (dir, membership) = join(&parts).await?;
        let cluster = membership.as_ref().map(|m| m.cluster.clone());
        let joined = cluster.clone().map(|cluster| Joined {
            cluster,
            clients: told_to_clients(&config, bound),
        });
        let opening = open(parts, Arc::clone(&dir), joined).await;
        let (engine, started) = match opening {
            Ok(opened) => opened,
            Err(error) => {
                leave(membership).await;
                return Err(error);
            }
        };
        if let Some(membership) = &membership {
            membership.begin(&engine.router(), &stopping);
        }
        let image = match started.await {
            Ok(Ok(image)) => image,
            Ok(Err(error)) => {
                let _ = engine.stop().await;
                leave(membership).await;
                // What came first is the reason.
                return Err(failure.get().map_or(error.into(), StartError::from));
            }
            Err(_) => {
                let _ = engine.stop().await;
                leave(membership).await;
                let reason = || BrokerFailure {
                    reason: "the controller stopped".to_owned(),
                };
                return Err(failure.get().unwrap_or_else(reason).into());
            }
        };
        let listening = socket
            .listen(LISTEN_BACKLOG)
            .and_then(|socket| Ok((socket.local_addr()?, socket)));
        let (kafka_addr, socket) = match listening {
            Ok(listening) => listening,
            Err(error) => {
                let _ = engine.stop().await;
                leave(membership).await;
                return Err(cannot_listen(error));
            }
        };
        if dir.boot().crashed() {
            tokio::spawn(settle(Arc::clone(&dir), failure.clone(), stopping.clone()));
        }
        let context = Context {
            frame_bytes: Arc::new(Semaphore::new(config.limits.bytes_in_flight as usize)),
            fetch_bytes: Arc::new(Semaphore::new(config.limits.fetch_bytes_in_flight as usize)),
            config,
            env,
            cluster_id: dir.meta().cluster_id.clone(),
            node_id: dir.meta().node_id,
            image,
            router: engine.router(),
            controller: engine.controller(),
            groups: engine.groups(),
            producer_ids: ProducerIds::default(),
            cluster,
            stopping,
            failure: failure.clone(),
            metrics,
        };
        let context = Arc::new(context);
        site.serve(Serving {
            context: Arc::clone(&context),
            flusher: engine.flusher(),
            sealed: engine.sealed_files(),
        });
        let (image, took) = (context.image(), context.env.monotonic() - began);
        tokio::spawn(retention::run(Arc::clone(&context)));
        let listener = tokio::spawn(Listener::new(socket, context).run(DRAIN_WAIT_MAX));
        health.enter(Phase::Serving);
        tracing::info!(
            address = %kafka_addr,
            http = http.as_ref().map(|http| http.address().to_string()),
            cluster_id = dir.meta().cluster_id,
            topics = image.topics().count(),
            partitions = image.topics().map(|t| t.topic.partitions.len()).sum::<usize>(),
            took_ms = millis(took),
            "the broker serves"
        );
        Ok(Running {
            kafka_addr,
            health,
            http,
            dir,
            failure,
            stop,
            listener,
            engine: Some(engine),
            membership,
        })
    }
}

/// Opens the directory and, where there are other nodes, the links to them.
async fn join(parts: &Parts) -> Result<(Arc<DataDir>, Option<Membership>), StartError> {
    let (config, env) = (parts.config.clone(), parts.env.clone());
    let owner = match &config.cluster {
        None => Owner::alone(),
        Some(cluster) => Owner {
            node: cluster.node,
            cluster_id: Some(cluster_id(cluster)),
        },
    };
    let opening = blocking({
        let (config, env) = (config.clone(), env.clone());
        move || DataDir::open(&config.data_dir, &env, &owner).map_err(StartError::from)
    });
    let Some(cluster) = &config.cluster else {
        return Ok((Arc::new(opening.await?), None));
    };
    let own = cluster.own_address().expect("the settings were checked");
    let address = cluster.listen.as_ref().unwrap_or(own).to_string();
    let bound = bind(&address).await;
    let listener = bound.and_then(|socket| socket.listen(LISTEN_BACKLOG));
    let listener = listener.map_err(|source| StartError::Peers { address, source })?;
    let mut dir = opening.await?;
    let membership = cluster::join(cluster, listener, &env, &mut dir).await?;
    Ok((Arc::new(dir), Some(membership)))
}

/// After a crash of the machine: puts on record when everything that it may have taken is there again.
async fn settle(dir: Arc<DataDir>, failure: Failure, mut stopping: watch::Receiver<bool>) {
    let settled = tokio::select! {
        settled = dir.boot().settle() => settled,
        _ = stopping.wait_for(|stop| *stop) => return,
    };
    if let Err(error) = settled {
        failure.set(&error.to_string());
    }
}

/// Where clients reach a node of a cluster; the others tell them, so it is no matter how they came.
fn told_to_clients(config: &BrokerConfig, bound: SocketAddr) -> HostPort {
    let own = || HostPort {
        host: config.listen.host.clone(),
        port: bound.port(),
    };
    config.advertise.clone().unwrap_or_else(own)
}

async fn leave(membership: Option<Membership>) {
    if let Some(membership) = membership {
        membership.stop().await;
    }
}

/// What the threads of a broker are made with.
struct Parts {
    config: BrokerConfig,
    env: Env,
    health: Health,
    failure: Failure,
    metrics: Arc<Metrics>,
}

/// Starts the threads.
async fn open(
    parts: Parts,
    dir: Arc<DataDir>,
    joined: Option<Joined>,
) -> Result<(Engine, Started), StartError> {
    blocking(move || {
        let Parts {
            config,
            env,
            health,
            failure,
            metrics,
        } = parts;
        health.enter(Phase::Recovering);
        Engine::start(&config, &env, &dir, &failure, &metrics, joined)
    })
    .await
}

/// Work that waits for the disk, where that keeps no task from running.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            let reason = match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => "the runtime ended".to_owned(),
            };
            Err(BrokerFailure { reason }.into())
        })
}

async fn start_http(
    config: &BrokerConfig,
    site: &Arc<Site>,
) -> Result<Option<HttpServer>, StartError> {
    let Some(address) = &config.http else {
        return Ok(None);
    };
    let address = address.to_string();
    match HttpServer::start(&address, Arc::clone(site)).await {
        Ok(server) => Ok(Some(server)),
        Err(source) => Err(StartError::Http { address, source }),
    }
}

/// Connections that the system keeps for us until they are accepted.
const LISTEN_BACKLOG: u32 = 1024;

impl Running {
    /// The address that Kafka clients connect to.
    #[must_use]
    pub fn kafka_addr(&self) -> SocketAddr {
        self.kafka_addr
    }

    /// The address of the HTTP port, if there is one.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(HttpServer::address)
    }

    /// Random name of the cluster, 22 characters.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.dir.meta().cluster_id
    }

    /// Id of this node in the cluster.
    #[must_use]
    pub fn node_id(&self) -> i32 {
        self.dir.meta().node_id
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.dir.root()
    }

    /// Ends when the broker cannot go on. It acknowledges nothing from then on.
    pub async fn failed(&self) -> BrokerFailure {
        self.failure.wait().await
    }

    /// Stops accepting, answers what was read, syncs everything and lets the data directory go. An error
    /// says that something could not be put on disk, now or earlier.
    pub async fn shutdown(mut self) -> Result<(), BrokerFailure> {
        tracing::info!("the broker stops");
        self.health.enter(Phase::Stopping);
        let _ = self.stop.send(true);
        // A panic of the listener was reported where it happened; the data is closed all the same.
        let _ = (&mut self.listener).await;
        let engine = self.engine.take().expect("only the end takes it");
        engine.stop().await;
        leave(self.membership.take()).await;
        if let Some(http) = self.http.take() {
            http.close().await;
        }
        if let Some(failure) = self.failure.get() {
            return Err(failure);
        }
        let dir = Arc::clone(&self.dir);
        let closed = blocking(move || dir.boot().close().map_err(StartError::from)).await;
        closed.map_err(|error| BrokerFailure {
            reason: error.to_string(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            let _ = self.stop.send(true);
            self.listener.abort();
            engine.stop_in_background();
        }
    }
}
