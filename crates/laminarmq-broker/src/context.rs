//! What every connection and every handler works with.

use crate::cluster::Cluster;
use crate::config::BrokerConfig;
use crate::controller::{ControllerHandle, Image};
use crate::env::Env;
use crate::groups::GroupsHandle;
use crate::handlers::ProducerIds;
use crate::metrics::Metrics;
use crate::routing::Router;
use crate::runtime::Failure;
use crate::shard::Refusal;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: BrokerConfig,
    pub(crate) env: Env,
    pub(crate) cluster_id: String,
    pub(crate) node_id: i32,
    /// The latest metadata.
    pub(crate) image: watch::Receiver<Arc<Image>>,
    pub(crate) router: Arc<Router>,
    pub(crate) controller: ControllerHandle,
    pub(crate) groups: GroupsHandle,
    pub(crate) producer_ids: ProducerIds,
    /// The other nodes, if there are any.
    pub(crate) cluster: Option<Cluster>,
    /// What is left of `limits.bytes_in_flight`.
    pub(crate) frame_bytes: Arc<Semaphore>,
    /// What is left of `limits.fetch_bytes_in_flight`.
    pub(crate) fetch_bytes: Arc<Semaphore>,
    /// Becomes true once the broker stops.
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) failure: Failure,
    pub(crate) metrics: Arc<Metrics>,
}

impl Context {
    /// Why a partition that the metadata has is not open here.
    pub(crate) fn elsewhere(&self) -> Refusal {
        match self.cluster {
            Some(_) => Refusal::NotLeader,
            // It is just being deleted.
            None => Refusal::NoPartition,
        }
    }

    /// The latest metadata.
    pub(crate) fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.borrow())
    }
}
