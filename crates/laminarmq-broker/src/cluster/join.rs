//! A node takes its place among the others.

use super::bootstrap::{self, BootstrapError, Directories};
use super::inbox::PeerInbox;
use super::{Clock, Cluster, Leaders, Member, clock, news};
use crate::config::{ClusterConfig, HostPort};
use crate::data_dir::{DataDir, cluster_id_of};
use crate::env::Env;
use crate::peer::{PeerConfig, PeerLimits, Peers};
use crate::routing::Router;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The highest feature level that this program knows.
const FEATURE_LEVEL: u16 = 1;

/// The links of a node, and what keeps them going.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) cluster: Cluster,
    router: Arc<OnceLock<Arc<Router>>>,
}

/// The name of a cluster that was not given one. It follows from the nodes, so that all choose the same.
pub(crate) fn cluster_id(config: &ClusterConfig) -> String {
    let given = config.cluster_id.clone();
    given.unwrap_or_else(|| {
        let mut members: Vec<&Member> = config.members.iter().collect();
        members.sort_by_key(|member| member.node);
        let text: Vec<_> = members
            .iter()
            .map(|member| format!("{}@{}", member.node, member.peer))
            .collect();
        cluster_id_of(fnv1a(text.join(",").as_bytes()).to_be_bytes())
    })
}

/// FNV-1a of 128 bits: it tells clusters apart, and keeps nobody out.
fn fnv1a(bytes: &[u8]) -> u128 {
    const OFFSET_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let step = |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul(PRIME);
    bytes.iter().fold(OFFSET_BASIS, step)
}

/// Opens the links, and waits for the others where this node is new.
pub(crate) async fn join(
    config: &ClusterConfig,
    listener: TcpListener,
    env: &Env,
    dir: &mut DataDir,
) -> Result<Membership, BootstrapError> {
    let leaders = Arc::new(Leaders::new());
    let directories = Arc::new(Directories::new(dir));
    let clock = Arc::new(Clock::new(config.node, &config.members));
    let router = Arc::new(OnceLock::new());
    let inbox = PeerInbox {
        me: config.node,
        leaders: Arc::clone(&leaders),
        directories: Arc::clone(&directories),
        clock: Arc::clone(&clock),
        router: Arc::clone(&router),
    };
    let nodes: BTreeMap<_, HostPort> = config
        .members
        .iter()
        .map(|member| (member.node, member.peer.clone()))
        .collect();
    let peer_config = PeerConfig {
        node: config.node,
        cluster_id: dir.meta().cluster_id.clone(),
        feature_level: FEATURE_LEVEL,
        listen: listener,
        nodes,
        limits: PeerLimits::default(),
    };
    let peers = Peers::start(peer_config, env.clone(), Arc::new(inbox));
    let cluster = Cluster {
        me: config.node,
        members: config.members.clone().into(),
        peers,
        leaders,
        directories,
        clock,
    };
    let met = bootstrap::meet(&cluster, dir).await;
    if let Err(error) = met {
        cluster.peers.stop().await;
        return Err(error);
    }
    Ok(Membership { cluster, router })
}

impl Membership {
    /// The shards are there: messages reach them, and their clock runs, until `stopping`.
    pub(crate) fn begin(&self, router: &Arc<Router>, stopping: &watch::Receiver<bool>) {
        let first = self.router.set(Arc::clone(router));
        assert!(first.is_ok(), "a node begins once");
        tokio::spawn(clock::run(
            Arc::clone(&self.cluster.clock),
            self.cluster.peers.clone(),
            Arc::clone(router),
            stopping.clone(),
        ));
        tokio::spawn(news::run(
            self.cluster.clone(),
            Arc::clone(router),
            stopping.clone(),
        ));
    }

    /// Ends the links.
    pub(crate) async fn stop(self) {
        self.cluster.peers.stop().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::NodeId;

    #[test]
    fn all_nodes_choose_the_same_name_and_other_nodes_another() {
        let config = |node, text: &[&str]| ClusterConfig {
            node: NodeId::new(node).expect("positive"),
            members: (1..)
                .zip(text)
                .map(|(number, peer)| Member {
                    node: NodeId::new(number).expect("positive"),
                    peer: peer.parse().expect("an address"),
                })
                .collect(),
            listen: None,
            default_replication: 1,
            cluster_id: None,
        };
        let first = config(1, &["a:1", "b:1"]);
        let mut second = config(2, &["a:1", "b:1"]);
        second.members.reverse();
        assert_eq!(cluster_id(&first), cluster_id(&second));
        assert_ne!(cluster_id(&first), cluster_id(&config(1, &["a:1", "b:2"])));
        assert_eq!(cluster_id(&first).len(), 22);
        // Published: FNV-1a of "a".
        assert_eq!(fnv1a(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }
}
