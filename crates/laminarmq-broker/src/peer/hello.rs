//! The first frame each way: who is there, and whether the two may talk.
//!
//! ```text
//! hello    8 bytes "LMQ-PEER", u16 lowest and u16 highest version, u16 feature level,
//!          i32 node, i32 the node that is believed to be at the other end, u8 lane (0 live, 1 bulk),
//!          u16 length and the cluster id
//! refusal  u8 reason, u16 length and a text
//! ```
//!
//! Bytes behind these fields belong to later versions and are passed over. The link speaks the highest version
//! that both know.

use super::{Lane, NodeId};
use bytes::{Buf, Bytes};
use laminarmq_replica::codec::PieceWriter;
use std::fmt;

const MAGIC: &[u8; 8] = b"LMQ-PEER";

/// The versions that this program speaks.
pub(super) const VERSIONS: (u16, u16) = (1, 1);

/// Longest cluster id, and longest text of a refusal.
const TEXT_BYTES_MAX: usize = 512;

/// Who this node is.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) node: NodeId,
    pub(super) cluster_id: String,
    pub(super) feature_level: u16,
}

/// What one end says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) versions: (u16, u16),
    pub(super) feature_level: u16,
    pub(super) node: NodeId,
    pub(super) to: NodeId,
    pub(super) lane: Lane,
    pub(super) cluster_id: String,
}

impl Hello {
    pub(super) fn new(identity: &Identity, to: NodeId, lane: Lane) -> Self {
        Self {
            versions: VERSIONS,
            feature_level: identity.feature_level,
            node: identity.node,
            to,
            lane,
            cluster_id: identity.cluster_id.clone(),
        }
    }

    pub(super) fn encode(&self, out: &mut PieceWriter) {
        out.copy(MAGIC);
        out.u16(self.versions.0);
        out.u16(self.versions.1);
        out.u16(self.feature_level);
        out.u32(self.node.get().cast_unsigned());
        out.u32(self.to.get().cast_unsigned());
        out.u8(match self.lane {
            Lane::Live => 0,
            Lane::Bulk => 1,
        });
        encode_text(&self.cluster_id, out);
    }

    /// Reads what stands in every version at the same place.
    pub(super) fn decode(mut body: Bytes) -> Option<Self> {
        if body.get(..MAGIC.len())? != MAGIC {
            return None;
        }
        body.advance(MAGIC.len());
        let mut u16 = || body.try_get_u16_le().ok();
        let versions = (u16()?, u16()?);
        let feature_level = u16()?;
        let mut node = || NodeId::new(body.try_get_i32_le().ok()?);
        let (node, to) = (node()?, node()?);
        let lane = match body.try_get_u8().ok()? {
            0 => Lane::Live,
            1 => Lane::Bulk,
            _ => return None,
        };
        Some(Self {
            versions,
            feature_level,
            node,
            to,
            lane,
            cluster_id: decode_text(&mut body)?,
        })
    }

    /// Whether these two may talk, as `us` sees it; in which version.
    pub(super) fn check(&self, us: &Identity) -> Result<u16, Refusal> {
        let refuse = |reason, text| Err(Refusal { reason, text });
        if self.cluster_id != us.cluster_id {
            return refuse(
                Reason::Cluster,
                format!(
                    "node {} belongs to cluster {}, node {} to cluster {}: correct the address, or give the \
                     node a data directory of this cluster",
                    us.node, us.cluster_id, self.node, self.cluster_id
                ),
            );
        }
        if self.to != us.node {
            return refuse(
                Reason::Node,
                format!(
                    "this is node {}, not node {}: correct the node's address",
                    us.node, self.to
                ),
            );
        }
        if self.node == us.node {
            return refuse(
                Reason::SameNode,
                format!(
                    "both are node {}: two nodes must not have copies of one data directory",
                    us.node
                ),
            );
        }
        let (lowest, highest) = (
            self.versions.0.max(VERSIONS.0),
            self.versions.1.min(VERSIONS.1),
        );
        if lowest > highest {
            return refuse(
                Reason::Version,
                format!(
                    "node {} speaks versions {} to {}, node {} versions {} to {}: upgrade the older one",
                    us.node, VERSIONS.0, VERSIONS.1, self.node, self.versions.0, self.versions.1
                ),
            );
        }
        Ok(highest)
    }
}

/// Why a link is not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reason {
    /// What came is no hello.
    NoHello = 1,
    /// No version that both speak.
    Version = 2,
    /// Another cluster.
    Cluster = 3,
    /// Another node than the other end believes.
    Node = 4,
    /// Both have the same id.
    SameNode = 5,
    /// Too many links.
    Busy = 6,
}

/// A reason, and what to do in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(super) reason: Reason,
    pub(super) text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Refusal {
    pub(super) fn no_hello() -> Self {
        Self {
            reason: Reason::NoHello,
            text: "this port is for nodes of the cluster; clients have another one".to_owned(),
        }
    }

    pub(super) fn wrong_node(text: String) -> Self {
        Self {
            reason: Reason::Node,
            text,
        }
    }

    pub(super) fn busy() -> Self {
        Self {
            reason: Reason::Busy,
            text: "too many nodes have links to this one".to_owned(),
        }
    }

    pub(super) fn encode(&self, out: &mut PieceWriter) {
        out.u8(self.reason as u8);
        encode_text(&self.text, out);
    }

    pub(super) fn decode(mut body: Bytes) -> Option<Self> {
        let reason = match body.try_get_u8().ok()? {
            2 => Reason::Version,
            3 => Reason::Cluster,
            4 => Reason::Node,
            5 => Reason::SameNode,
            6 => Reason::Busy,
            // A later version may have more of them.
            _ => Reason::NoHello,
        };
        let text = decode_text(&mut body)?;
        Some(Self { reason, text })
    }
}

fn encode_text(text: &str, out: &mut PieceWriter) {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out.u16(u16::try_from(end).expect("TEXT_BYTES_MAX fits"));
    out.copy(&text.as_bytes()[..end]);
}

/// A text that is fit for a line of a log.
fn decode_text(body: &mut Bytes) -> Option<String> {
    let length = usize::from(body.try_get_u16_le().ok()?);
    if length > TEXT_BYTES_MAX || length > body.len() {
        return None;
    }
    let text = std::str::from_utf8(&body[..length]).ok()?.to_owned();
    body.advance(length);
    (!text.chars().any(char::is_control)).then_some(text)
}

const _: () = assert!(2 * TEXT_BYTES_MAX <= crate::limits::PEER_HELLO_BYTES_MAX as usize);
