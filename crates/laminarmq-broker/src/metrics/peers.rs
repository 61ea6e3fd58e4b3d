//! Links to the other nodes of a cluster. A node that is alone has none, and no samples here.

use super::exposition::{Exposition, Kind, Labels};
use crate::cluster::NodeId;
use crate::peer::PeerCounts;

/// A family: its name, what it is, and where its number stands.
type Family = (&'static str, &'static str, fn(&PeerCounts) -> u64);

const FAMILIES: [Family; 9] = [
    (
        "laminarmq_peer_links_opened_total",
        "Links to the node that came into being; more than two say that one broke.",
        |counts| counts.links_opened,
    ),
    (
        "laminarmq_peer_dials_failed_total",
        "Attempts to reach the node that failed.",
        |counts| counts.dials_failed,
    ),
    (
        "laminarmq_peer_sent_bytes_total",
        "Bytes sent to the node.",
        |counts| counts.bytes_sent,
    ),
    (
        "laminarmq_peer_sent_frames_total",
        "Frames sent to the node; each gathers what there was to say.",
        |counts| counts.frames_sent,
    ),
    (
        "laminarmq_peer_sent_messages_total",
        "Messages of replicas sent to the node.",
        |counts| counts.messages_sent,
    ),
    (
        "laminarmq_peer_dropped_messages_total",
        "Messages of replicas that found no link or no room; they are sent again.",
        |counts| counts.messages_dropped,
    ),
    (
        "laminarmq_peer_received_bytes_total",
        "Bytes received from the node.",
        |counts| counts.bytes_received,
    ),
    (
        "laminarmq_peer_received_messages_total",
        "Messages of replicas received from the node.",
        |counts| counts.messages_received,
    ),
    (
        "laminarmq_peer_refused_messages_total",
        "Messages of replicas from the node that found no room here; they are sent again.",
        |counts| counts.messages_refused,
    ),
];

pub(super) fn write(counts: &[(NodeId, PeerCounts)], out: &mut Exposition) {
    let labels = |node: &NodeId| Labels::of(&[("node", &node.to_string())]);
    let nodes: Vec<_> = counts.iter().map(|(node, c)| (labels(node), c)).collect();
    for (name, help, value) in FAMILIES {
        let mut family = out.family(name, Kind::Counter, help);
        for (labels, counts) in &nodes {
            family.sample(labels, value(counts));
        }
    }
}
