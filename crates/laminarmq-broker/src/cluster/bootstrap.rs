//! The first start of a cluster, and how it is told from the start of a node that lost its directory.
//!
//! - A node with a new directory takes part in nothing before it has heard of all other nodes, and has put
//!   the names of their directories on record.
//! - So whoever takes part knows every directory of the cluster; and a node that comes back with another
//!   one than the others know has lost what it acknowledged, votes included. It must not take part again
//!   as the one that it was.
//! - Such a node has the cluster put its new directory on record, under the next incarnation, and comes back
//!   as that: with other replicas, which have no vote before they have what the others have.

use super::ask::read_proposal_answer;
use super::{Ask, Cluster, NodeId};
use crate::controller::{Replacement, replace_node};
use crate::data_dir::{DataDir, DataDirError};
use crate::limits::{BOOTSTRAP_LOOKS, BOOTSTRAP_RETRY_WAIT, BOOTSTRAP_TELL_EVERY};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Most bytes of a directory's name.
const NAME_BYTES_MAX: usize = 64;

/// The answerer knows no directory of the asker.
const NONE_KNOWN: u8 = 0;
/// It knows the one that the asker has.
const SAME: u8 = 1;
/// It knows another one.
const OTHER: u8 = 2;

/// What a node is told that comes with a directory of before.
pub(crate) const REPLACED: &str = "this node came back to its cluster with another data directory, and this one, \
    which it had before, counts for nothing any more: start the node with the other one, or with an empty one";

/// Why a node cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The cluster has a later directory of the node on record.
    #[error("{REPLACED}")]
    Replaced,
    /// The record could not be written.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
}

/// What this node knows of directories.
#[derive(Debug)]
pub(crate) struct Directories {
    /// The name of its own.
    own: String,
    /// Those of the others, once they are on record.
    known: RwLock<BTreeMap<i32, String>>,
    /// Those that took the place of lost ones, as far as the metadata is known here.
    replaced: RwLock<BTreeMap<u32, Replacement>>,
}

impl Directories {
    pub(super) fn new(dir: &DataDir) -> Self {
        let meta = dir.meta();
        Self {
            own: meta.directory_id.clone().unwrap_or_default(),
            known: RwLock::new(meta.directories.clone()),
            replaced: RwLock::default(),
        }
    }

    fn set_known(&self, known: BTreeMap<i32, String>) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    #[cfg(test)]
    pub(super) fn of(own: &str, known: BTreeMap<i32, String>) -> Self {
        Self {
            own: own.to_owned(),
            known: RwLock::new(known),
            replaced: RwLock::default(),
        }
    }

    /// Takes over what the metadata group has on record.
    pub(crate) fn set_replaced(&self, replaced: BTreeMap<u32, Replacement>) {
        *self
            .replaced
            .write()
            .unwrap_or_else(PoisonError::into_inner) = replaced;
    }

    /// The answer to a node that says what its directory is called: `u8` what is known of it here, `u32` the
    /// incarnation of the node that is known here, and the name of this node's directory.
    pub(super) fn answer(&self, from: NodeId, name: &[u8]) -> Bytes {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let replaced = self.replaced.read().unwrap_or_else(PoisonError::into_inner);
        let now = replaced.get(&from.get().unsigned_abs());
        let present = now.map(|now| &now.directory);
        let verdict = match present.or_else(|| known.get(&from.get())) {
            None => NONE_KNOWN,
            Some(known) if known.as_bytes() == name => SAME,
            Some(_) => OTHER,
        };
        let incarnation = now.map_or(0, |now| now.incarnation);
        let mut answer = vec![verdict];
        answer.extend_from_slice(&incarnation.to_le_bytes());
        answer.extend_from_slice(self.own.as_bytes());
        answer.into()
    }
}

/// What another node said.
#[derive(Debug, PartialEq, Eq)]
struct Heard {
    /// Its directory.
    name: String,
    /// It knows another directory of the asker.
    knows_other: bool,
    /// The asker's incarnation, as far as it knows.
    incarnation: u32,
}

/// Reads an answer. `None`: those are not its bytes.
fn read_answer(bytes: &[u8]) -> Option<Heard> {
    let (verdict, rest) = bytes.split_first()?;
    let (incarnation, name) = rest.split_first_chunk::<4>()?;
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return None;
    }
    Some(Heard {
        name: String::from_utf8(name.to_vec()).ok()?,
        knows_other: match *verdict {
            NONE_KNOWN | SAME => false,
            OTHER => true,
            _ => return None,
        },
        incarnation: u32::from_le_bytes(*incarnation),
    })
}

/// Asks another node what it knows of this one's directory.
async fn hear(cluster: &Cluster, node: NodeId) -> Option<Heard> {
    let name = Bytes::copy_from_slice(cluster.directories.own.as_bytes());
    let answer = cluster.ask(node, Ask::Directories, name).await.ok()?;
    let heard = read_answer(&answer);
    if heard.is_none() {
        tracing::warn!(%node, "an answer that cannot be read");
    }
    heard
}

/// Whether the cluster knows a later directory of this node than the one of `incarnation`, which it has. `None`:
/// nobody answers.
pub(crate) async fn was_replaced(cluster: &Cluster, incarnation: u32) -> Option<bool> {
    let mut answer = None;
    for node in cluster.others() {
        let heard = hear(cluster, node).await;
        let Some(heard) = heard else { continue };
        if heard.knows_other && heard.incarnation > incarnation {
            return Some(true);
        }
        answer = Some(false);
    }
    answer
}

/// Asks all others about this node's directory, until each has answered, and puts theirs on record. Does
/// nothing where that was done before.
pub(super) async fn meet(cluster: &Cluster, dir: &mut DataDir) -> Result<(), BootstrapError> {
    if !dir.meta().directories.is_empty() {
        return look_for_successor(cluster, dir.meta().incarnation).await;
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
        if is_time_to_tell(rounds) {
            let nodes: Vec<_> = missing.iter().map(NodeId::to_string).collect();
            let nodes = nodes.join(", ");
            tracing::info!(
                nodes,
                "a new node of a cluster waits until it has heard of all others once"
            );
        }
        rounds += 1;
        for node in missing {
            let Some(answer) = hear(cluster, node).await else {
                continue;
            };
            let comes_back = answer.knows_other || answer.incarnation > 0;
            heard.insert(node.get(), answer.name);
            if comes_back {
                tracing::warn!(
                    by = %node,
                    path = %dir.root().display(),
                    "the cluster knows this node with another data directory, which is lost then: the node comes \
                     back with this one, and gets everything that other nodes hold from them"
                );
                return come_back(cluster, dir, heard, pace).await;
            }
        }
    }
    dir.record_directories(heard.clone())?;
    cluster.directories.set_known(heard);
    tracing::info!("all nodes of the cluster were heard of");
    Ok(())
}

/// Whether this directory was replaced, if anybody says so soon. Else it is found out later, since nobody answers
/// what replicas that were replaced say.
async fn look_for_successor(cluster: &Cluster, incarnation: u32) -> Result<(), BootstrapError> {
    let mut pace = interval(BOOTSTRAP_RETRY_WAIT);
    for _ in 0..BOOTSTRAP_LOOKS {
        pace.tick().await;
        match was_replaced(cluster, incarnation).await {
            Some(true) => return Err(BootstrapError::Replaced),
            Some(false) => break,
            None => {}
        }
    }
    Ok(())
}

fn is_time_to_tell(rounds: u32) -> bool {
    rounds % BOOTSTRAP_TELL_EVERY == BOOTSTRAP_TELL_EVERY / 4
}

/// Has the cluster put this node's directory on record, and takes its incarnation over.
async fn come_back(
    cluster: &Cluster,
    dir: &mut DataDir,
    mut heard: BTreeMap<i32, String>,
    mut pace: Interval,
) -> Result<(), BootstrapError> {
    let mut rounds = 0;
    // The record that was made last, whether it is this node's or came too late.
    let mut made = None;
    loop {
        let mut known = 0u32;
        for node in cluster.others() {
            let Some(answer) = hear(cluster, node).await else {
                continue;
            };
            heard.insert(node.get(), answer.name);
            if !answer.knows_other && answer.incarnation > 0 {
                let incarnation = answer.incarnation;
                dir.record_incarnation(incarnation, heard.clone())?;
                cluster.directories.set_known(heard);
                tracing::info!(incarnation, "the cluster has this data directory on record");
                return Ok(());
            }
            known = known.max(answer.incarnation);
        }
        if is_time_to_tell(rounds) {
            tracing::info!("waiting for a quorum of the metadata group, to come back");
        }
        rounds += 1;
        // Whoever leads takes it. That it is committed is heard in the next round.
        let next = known.saturating_add(1);
        let command = replace_node(cluster.me, next, &cluster.directories.own);
        // Not again while those that were asked have not heard of it: each would stay in the log.
        for node in cluster.others().filter(|_| made != Some(next)) {
            let answer = cluster.ask(node, Ask::Propose, command.clone()).await;
            if answer.is_ok_and(|bytes| matches!(read_proposal_answer(&bytes), Some(Ok(_)))) {
                made = Some(next);
                break;
            }
        }
        pace.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_with_another_directory_is_told() {
        let node = |number| NodeId::new(number).expect("positive");
        let directories = Directories::of("mine", BTreeMap::from([(2, "theirs".to_owned())]));
        let heard = |knows_other, incarnation| {
            Some(Heard {
                name: "mine".to_owned(),
                knows_other,
                incarnation,
            })
        };
        let ask = |number, name: &[u8]| read_answer(&directories.answer(node(number), name));
        assert_eq!(ask(2, b"theirs"), heard(false, 0));
        assert_eq!(ask(2, b"another"), heard(true, 0));
        assert_eq!(
            ask(3, b"whatever"),
            heard(false, 0),
            "nothing is known of it"
        );

        let now = Replacement {
            incarnation: 4,
            directory: "another".to_owned(),
        };
        directories.set_replaced(BTreeMap::from([(2, now)]));
        assert_eq!(ask(2, b"another"), heard(false, 4));
        assert_eq!(
            ask(2, b"theirs"),
            heard(true, 4),
            "what it had is no more its own"
        );
        for wrong in [
            &b""[..],
            b"\0",
            b"\0\0\0\0\0",
            b"\x07\0\0\0\0name",
            b"\0\0\0\0\0\xff",
        ] {
            assert_eq!(read_answer(wrong), None);
        }
    }
}
