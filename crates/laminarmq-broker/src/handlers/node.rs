//! What is told about the nodes and about what clients may do.

use super::Peer;
use crate::cluster::{Cluster, Leading, NodeId};
use crate::config::HostPort;
use crate::context::Context;
use crate::controller::METADATA_GROUP;
use laminarmq_replica::{GroupId, Term};
use std::sync::Arc;

/// Everything that may be done with a topic, as bits of the operations' numbers: read, write, create,
/// delete, alter, describe, describe and alter configs. Nobody is refused anything yet.
pub(super) const TOPIC_OPERATIONS: i32 = bits(&[3, 4, 5, 6, 7, 8, 10, 11]);
/// The same of the cluster: create, alter, describe, cluster action, describe and alter configs,
/// idempotent write.
pub(super) const CLUSTER_OPERATIONS: i32 = bits(&[5, 7, 8, 9, 10, 11, 12]);

const fn bits(numbers: &[u32]) -> i32 {
    let (mut i, mut all) = (0, 0);
    while i < numbers.len() {
        all |= 1 << numbers[i];
        i += 1;
    }
    all
}

/// The same of a group: read, delete, describe.
pub(super) const GROUP_OPERATIONS: i32 = bits(&[3, 6, 8]);

/// The operations where somebody asked for them.
pub(super) fn operations(asked: bool, all: i32) -> i32 {
    if asked { all } else { i32::MIN }
}

/// A node as clients reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broker {
    pub(super) id: i32,
    pub(super) address: HostPort,
}

/// All nodes that said where they are, this one among them.
pub(super) fn brokers(context: &Context, peer: &Peer) -> Vec<Broker> {
    let image = context.image();
    let others = image.nodes().iter().map(|(node, address)| Broker {
        id: node.cast_signed(),
        address: address.clone(),
    });
    let mut brokers: Vec<_> = others.collect();
    if brokers.iter().all(|broker| broker.id != context.node_id) {
        brokers.push(Broker {
            id: context.node_id,
            address: advertised(context, peer),
        });
    }
    brokers
}

/// Those that clients are to turn to. A node that is cut off from the others leads nothing, and knows nothing of who does:
/// clients that asked it would only go on asking it.
pub(super) fn brokers_for_clients(context: &Context, peer: &Peer) -> Vec<Broker> {
    let mut brokers = brokers(context, peer);
    let cluster = context.cluster.as_ref();
    if brokers.len() > 1 && cluster.is_some_and(Cluster::is_cut_off) {
        brokers.retain(|broker| broker.id != context.node_id);
    }
    brokers
}

/// The node that leads a group and its term, if both are known here. This one is it only if it leads now: who led before, and
/// has not heard of anybody else, knows of nobody.
pub(super) fn leader(context: &Context, group: GroupId) -> Option<(i32, Term)> {
    if let Some(cluster) = &context.cluster {
        let leading = cluster.leaders.of(group)?;
        let node = leading.node?.get();
        if node != context.node_id {
            return Some((node, leading.term));
        }
    }
    let progress = context.router.route(group)?.watch.progress();
    progress.leads.then_some((context.node_id, progress.epoch))
}

/// Which of a group's nodes are in sync, where `leader` leads it. It is, and the others are as far as it told.
pub(super) fn in_sync(context: &Context, group: GroupId, leader: (i32, Term)) -> Arc<[NodeId]> {
    let leader = Leading {
        term: leader.1,
        node: NodeId::new(leader.0),
    };
    let cluster = context.cluster.as_ref();
    let told = cluster.and_then(|cluster| cluster.leaders.in_sync(group, leader));
    told.unwrap_or_else(|| leader.node.into_iter().collect())
}

/// The node that decides about metadata. Any takes requests about it, so where none is known this one
/// is as good.
pub(super) fn controller(context: &Context) -> i32 {
    let cluster = context.cluster.as_ref();
    let leader = cluster.and_then(|cluster| cluster.leaders.node(METADATA_GROUP));
    leader.map_or(context.node_id, NodeId::get)
}

/// Where this client reaches this node.
pub(super) fn advertised(context: &Context, peer: &Peer) -> HostPort {
    let dialled = || HostPort {
        host: peer.dialled.ip().to_string(),
        port: peer.dialled.port(),
    };
    context.config.advertise.clone().unwrap_or_else(dialled)
}
