//! What is told about this node and about what clients may do.

use super::Peer;
use crate::config::HostPort;
use crate::context::Context;

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

/// Where this client reaches the node.
pub(super) fn advertised(context: &Context, peer: &Peer) -> HostPort {
    let dialled = || HostPort {
        host: peer.dialled.ip().to_string(),
        port: peer.dialled.port(),
    };
    context.config.advertise.clone().unwrap_or_else(dialled)
}
