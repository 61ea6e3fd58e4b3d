//! `meta.json`: which cluster and node the directory belongs to, and the version of its format.

use super::error::DataDirError;
use super::files;
use crate::cluster::NodeId;
use crate::env::Env;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

pub(super) const FILE: &str = "meta.json";

/// Version of the data directory's format, for good. Version 0 was never settled and is not read.
pub(super) const VERSION: u32 = 1;

/// Whose directory it is to be.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) node: NodeId,
    /// The name of the cluster of several nodes; `None`: the node is alone, under a random name.
    pub(crate) cluster_id: Option<String>,
}

impl Owner {
    /// A node that is alone, and was never told another id.
    pub(crate) fn alone() -> Self {
        Self {
            node: NodeId::ALONE,
            cluster_id: None,
        }
    }
}

/// What `meta.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    version: u32,
    /// Random name of the cluster, 22 characters.
    pub(crate) cluster_id: String,
    /// This node in it.
    pub(crate) node_id: i32,
    /// Random name of this directory; of nodes of a cluster only. Who comes with an empty directory comes
    /// with another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) directory_id: Option<String>,
    /// The directories of the other nodes, by node. Empty until all were heard of once; before that this
    /// node has taken part in nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) directories: BTreeMap<i32, String>,
    /// How many directories this node had, and lost, before this one; every replica here is of that
    /// incarnation.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) incarnation: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Read before anything else of the file is believed.
#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

impl Meta {
    pub(super) fn new(env: &Env, owner: &Owner) -> Self {
        let random = || cluster_id(env.next_bytes16());
        Self {
            version: VERSION,
            cluster_id: owner.cluster_id.clone().unwrap_or_else(random),
            node_id: owner.node.get(),
            directory_id: owner.cluster_id.is_some().then(random),
            directories: BTreeMap::new(),
            incarnation: 0,
        }
    }

    /// The same, if the directory is this owner's.
    pub(super) fn of(self, root: &Path, owner: &Owner) -> Result<Self, DataDirError> {
        let path = || root.to_owned();
        match (&self.directory_id, &owner.cluster_id) {
            (None, Some(_)) => return Err(DataDirError::Alone { path: path() }),
            (Some(_), None) => {
                return Err(DataDirError::OfCluster {
                    path: path(),
                    node: self.node_id,
                });
            }
            _ => {}
        }
        let other_cluster = |id: &String| *id != self.cluster_id;
        if let Some(wanted) = owner.cluster_id.clone().filter(other_cluster) {
            return Err(DataDirError::OtherCluster {
                path: path(),
                found: self.cluster_id,
                wanted,
            });
        }
        if self.node_id != owner.node.get() {
            return Err(DataDirError::OtherNode {
                path: path(),
                found: self.node_id,
                wanted: owner.node.get(),
            });
        }
        Ok(self)
    }

    pub(super) fn read(root: &Path) -> Result<Option<Self>, DataDirError> {
        let path = root.join(FILE);
        let Some(content) = files::read_whole(&path)? else {
            return Ok(None);
        };
        let damaged = |error: serde_json::Error| DataDirError::Damaged {
            path: path.clone(),
            reason: error.to_string(),
        };
        let VersionOnly { version } = serde_json::from_slice(&content).map_err(damaged)?;
        if version != VERSION {
            return Err(DataDirError::OtherFormat {
                path,
                found: version,
                known: VERSION,
            });
        }
        serde_json::from_slice(&content).map(Some).map_err(damaged)
    }

    pub(super) fn write(&self, root: &Path) -> Result<(), DataDirError> {
        let mut text = serde_json::to_string_pretty(self).expect("plain fields always serialise");
        text.push('\n');
        files::write_whole(root, FILE, text.as_bytes())
    }
}

/// The 22 characters of URL-safe base64 that stand for 16 bytes, the usual form of a cluster id.
pub(crate) fn cluster_id(bytes: [u8; 16]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut rest = u128::from_be_bytes(bytes);
    // 22 digits hold 132 bits: the last one carries two bits, and four that are zero.
    let mut digits = [0; 22];
    digits[21] = DIGITS[((rest & 0b11) << 4) as usize];
    rest >>= 2;
    for digit in digits[..21].iter_mut().rev() {
        *digit = DIGITS[(rest & 0x3f) as usize];
        rest >>= 6;
    }
    digits.map(char::from).iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_ids_are_base64_without_padding() {
        assert_eq!(cluster_id([0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(cluster_id([0xff; 16]), "_____________________w");
        assert_eq!(cluster_id(*b"laminarmq broker"), "bGFtaW5hcm1xIGJyb2tlcg");
    }
}
