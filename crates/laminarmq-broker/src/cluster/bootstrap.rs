//! The first start of a cluster, and how it is told from the start of a node that lost its directory.
//!
//! - A node with a new directory takes part in nothing before it has heard of all other nodes, and has put
//!   the names of their directories on record.
//! - So whoever takes part knows every directory of the cluster; and a node that comes back with another
//!   one than the others know has lost what it acknowledged, votes included. It must not take part again
//!   as the one that it was.

use super::{Ask, Cluster, NodeId};
use crate::data_dir::{DataDir, DataDirError};
use crate::limits::{BOOTSTRAP_RETRY_WAIT, BOOTSTRAP_TELL_EVERY};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use tokio::time::{MissedTickBehavior, interval};

/// Most bytes of a directory's name.
const NAME_BYTES_MAX: usize = 64;

/// The answerer knows no directory of the asker.
const NONE_KNOWN: u8 = 0;
/// It knows the one that the asker has.
const SAME: u8 = 1;
/// It knows another one.
const OTHER: u8 = 2;

/// Why a node cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// Its directory is not the one that the others know.
    #[error(
        "node {by} knows this node with another data directory than {}: what that one held was promised to \
         the cluster, and an empty directory cannot stand for it; start the node with the directory that it \
         had", path.display()
    )]
    Emptied {
        /// Who knows.
        by: NodeId,
        /// The directory.
        path: PathBuf,
    },
    /// The record could not be written.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
}

/// What this node knows of directories.
#[derive(Debug)]
pub(super) struct Directories {
    /// The name of its own.
    own: String,
    /// Those of the others, once they are on record.
    known: RwLock<BTreeMap<i32, String>>,
}

impl Directories {
    pub(super) fn new(dir: &DataDir) -> Self {
        let meta = dir.meta();
        Self {
            own: meta.directory_id.clone().unwrap_or_default(),
            known: RwLock::new(meta.directories.clone()),
        }
    }

    #[cfg(test)]
    pub(super) fn of(own: &str, known: BTreeMap<i32, String>) -> Self {
        Self {
            own: own.to_owned(),
            known: RwLock::new(known),
        }
    }

    /// The answer to a node that says what its directory is called: `u8` what is known of it here, and the
    /// name of this node's.
    pub(super) fn answer(&self, from: NodeId, name: &[u8]) -> Bytes {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let verdict = match known.get(&from.get()) {
            None => NONE_KNOWN,
            Some(known) if known.as_bytes() == name => SAME,
            Some(_) => OTHER,
        };
        let mut answer = vec![verdict];
        answer.extend_from_slice(self.own.as_bytes());
        answer.into()
    }
}

/// What another node said.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// It has this directory, and nothing against ours.
    Directory(String),
    /// It knows another directory of ours.
    Other,
}

/// Reads an answer. `None`: those are not its bytes.
fn read_answer(bytes: &[u8]) -> Option<Heard> {
    let (verdict, name) = bytes.split_first()?;
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return None;
    }
    let name = String::from_utf8(name.to_vec()).ok()?;
    match *verdict {
        NONE_KNOWN | SAME => Some(Heard::Directory(name)),
        OTHER => Some(Heard::Other),
        _ => None,
    }
}

/// Asks all others about this node's directory, until each has answered, and puts theirs on record. Does
/// nothing where that was done before.
pub(super) async fn meet(
    cluster: &Cluster,
    dir: &mut DataDir,
    directories: &Directories,
) -> Result<(), BootstrapError> {
    if !dir.meta().directories.is_empty() {
        return Ok(());
    }
    let mut heard = BTreeMap::new();
    let mut rounds = 0;
    let mut pace = interval(BOOTSTRAP_RETRY_WAIT);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let missing: Vec<_> = cluster
            .others()
            .filter(|node| !heard.contains_key(&node.get()))
            .collect();
        if missing.is_empty() {
            break;
        }
        if rounds % BOOTSTRAP_TELL_EVERY == BOOTSTRAP_TELL_EVERY / 4 {
            let nodes: Vec<_> = missing.iter().map(NodeId::to_string).collect();
            let nodes = nodes.join(", ");
            tracing::info!(
                nodes,
                "a new node of a cluster waits until it has heard of all others once"
            );
        }
        rounds += 1;
        for node in missing {
            let name = Bytes::copy_from_slice(directories.own.as_bytes());
            let Ok(answer) = cluster.ask(node, Ask::Directories, name).await else {
                continue;
            };
            match read_answer(&answer) {
                Some(Heard::Directory(name)) => {
                    heard.insert(node.get(), name);
                }
                Some(Heard::Other) => {
                    let path = dir.root().to_owned();
                    return Err(BootstrapError::Emptied { by: node, path });
                }
                None => tracing::warn!(%node, "an answer that cannot be read"),
            }
        }
    }
    dir.record_directories(heard.clone())?;
    *directories
        .known
        .write()
        .unwrap_or_else(PoisonError::into_inner) = heard;
    tracing::info!("all nodes of the cluster were heard of");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_with_another_directory_is_told() {
        let node = |number| NodeId::new(number).expect("positive");
        let directories = Directories::of("mine", BTreeMap::from([(2, "theirs".to_owned())]));
        let ask = |number, name: &[u8]| read_answer(&directories.answer(node(number), name));
        let fine = || Some(Heard::Directory("mine".to_owned()));
        assert_eq!(ask(2, b"theirs"), fine());
        assert_eq!(ask(2, b"another"), Some(Heard::Other));
        assert_eq!(ask(3, b"whatever"), fine(), "nothing is known of node 3");
        for wrong in [&b""[..], b"\0", b"\x07name", b"\0\xff"] {
            assert_eq!(read_answer(wrong), None);
        }
    }
}
