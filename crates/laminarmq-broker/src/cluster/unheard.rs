//! Finds out who leads what this node has a replica of and hears of from nobody: where the link to a leader is lost, a node
//! between the two still hears of it. Without that this node's clients could ask it again and again, and never anybody else.
//!
//! Nobody is asked while all nodes are heard of.

use super::ask::Ask;
use super::{Cluster, Leaders, Leading, NodeId};
use crate::limits::{NEWS_RETRY_WAIT, PEER_CALL_BYTES_MAX, UNHEARD_LEN};
use crate::routing::Router;
use bytes::Bytes;
use laminarmq_replica::{GroupId, Term};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::timeout;

/// Of a group in an answer.
const LED_BYTES: usize = 16;
const _: () = assert!(4 + UNHEARD_LEN * LED_BYTES <= PEER_CALL_BYTES_MAX);

/// Runs until the broker stops.
pub(super) async fn run(cluster: &Cluster, router: &Router, mut stopping: watch::Receiver<bool>) {
    while timeout(NEWS_RETRY_WAIT, stopping.wait_for(|stop| *stop))
        .await
        .is_err()
    {
        let silent = cluster.clock.silent();
        if silent.is_empty() {
            continue;
        }
        let unheard = unheard(router);
        if unheard.is_empty() {
            continue;
        }
        for node in cluster.others().filter(|node| !silent.contains(node)) {
            // Who does not answer is asked again with the next round.
            if let Ok(answer) = cluster.ask(node, Ask::WhoLeads, question(&unheard)).await {
                learn(&cluster.leaders, &unheard, &answer);
            }
        }
    }
}

/// Groups with a replica here that neither leads nor knows who does.
fn unheard(router: &Router) -> BTreeSet<GroupId> {
    let progress = router.progress().into_iter();
    progress
        .filter(|(_, it)| !it.leads && it.leader.is_none())
        .map(|(group, _)| group)
        .take(UNHEARD_LEN)
        .collect()
}

fn learn(leaders: &Leaders, asked: &BTreeSet<GroupId>, answer: &[u8]) {
    for (group, leading) in read_answer(answer).unwrap_or_default() {
        if asked.contains(&group) {
            leaders.learn(group, leading);
        }
    }
}

/// What this node's replicas hear of those groups; nothing to what is no question.
pub(super) fn answer(me: NodeId, router: Option<&Arc<Router>>, question: &[u8]) -> Bytes {
    let (Some(router), Some(groups)) = (router, read_question(question)) else {
        return Bytes::new();
    };
    let heard = groups.into_iter().filter_map(|group| {
        let progress = router.route(group)?.watch.progress();
        let node = if progress.leads {
            Some(me)
        } else {
            progress.leader.and_then(NodeId::of)
        };
        Some((group, progress.epoch, node?))
    });
    write_answer(&heard.collect::<Vec<_>>())
}

fn question(groups: &BTreeSet<GroupId>) -> Bytes {
    let mut bytes = count_of(groups.len());
    for group in groups {
        bytes.extend_from_slice(&group.0.to_le_bytes());
    }
    bytes.into()
}

fn read_question(bytes: &[u8]) -> Option<Vec<GroupId>> {
    let groups = items::<8>(bytes)?.iter();
    Some(groups.map(|it| GroupId(u64::from_le_bytes(*it))).collect())
}

fn write_answer(heard: &[(GroupId, Term, NodeId)]) -> Bytes {
    let mut bytes = count_of(heard.len());
    for (group, term, node) in heard {
        bytes.extend_from_slice(&group.0.to_le_bytes());
        bytes.extend_from_slice(&term.get().to_le_bytes());
        bytes.extend_from_slice(&node.get().to_le_bytes());
    }
    bytes.into()
}

/// `None`: those are not its bytes.
fn read_answer(bytes: &[u8]) -> Option<Vec<(GroupId, Leading)>> {
    let read = |bytes: &[u8; LED_BYTES]| {
        let (group, rest) = bytes.split_first_chunk::<8>()?;
        let (term, node) = rest.split_first_chunk::<4>()?;
        let term = Term(u32::from_le_bytes(*term));
        let node = NodeId::new(i32::from_le_bytes(*node.first_chunk()?))?;
        let node = Some(node);
        let is_sound = (Term(1)..=Term::MAX).contains(&term);
        is_sound.then_some((GroupId(u64::from_le_bytes(*group)), Leading { term, node }))
    };
    items::<LED_BYTES>(bytes)?.iter().map(read).collect()
}

fn count_of(count: usize) -> Vec<u8> {
    let count = u32::try_from(count).expect("a bounded number of groups");
    count.to_le_bytes().to_vec()
}

/// A count and as many items, at most [`UNHEARD_LEN`].
fn items<const LENGTH: usize>(bytes: &[u8]) -> Option<&[[u8; LENGTH]]> {
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let (items, tail) = rest.as_chunks::<LENGTH>();
    let is_whole = tail.is_empty() && u32::from_le_bytes(*count) as usize == items.len();
    (is_whole && items.len() <= UNHEARD_LEN).then_some(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: i32) -> NodeId {
        NodeId::new(number).expect("positive")
    }

    #[test]
    fn questions_and_answers_come_back_as_they_were_and_nothing_else_is_read() {
        for groups in [
            BTreeSet::new(),
            BTreeSet::from([GroupId(1), GroupId(u64::MAX)]),
        ] {
            let bytes = question(&groups);
            assert_eq!(read_question(&bytes), Some(groups.into_iter().collect()));
            assert_eq!(read_question(&[&bytes[..], &[0]].concat()), None);
        }
        let heard = [
            (GroupId(7), Term(2), node(3)),
            (GroupId(8), Term::MAX, node(1)),
        ];
        let bytes = write_answer(&heard);
        let want = heard.map(|(group, term, node)| {
            let node = Some(node);
            (group, Leading { term, node })
        });
        assert_eq!(read_answer(&bytes), Some(want.to_vec()));
        for cut in 0..bytes.len() {
            assert_eq!(read_answer(&bytes[..cut]), None);
        }
        let [mut no_term, mut no_node] = [bytes.to_vec(), bytes.to_vec()];
        no_term[12..16].fill(0);
        no_node[16..20].fill(0);
        let most = vec![(GroupId(1), Term(1), node(1)); UNHEARD_LEN + 1];
        for wrong in [&no_term[..], &no_node, &write_answer(&most)] {
            assert_eq!(read_answer(wrong), None);
        }
        assert!(answer(node(1), None, &question(&BTreeSet::new())).is_empty());
    }

    #[test]
    fn only_what_was_asked_for_is_learnt() {
        let leaders = Leaders::new();
        let bytes = write_answer(&[
            (GroupId(7), Term(2), node(3)),
            (GroupId(8), Term(2), node(3)),
        ]);
        learn(&leaders, &BTreeSet::from([GroupId(7)]), &bytes);
        learn(&leaders, &BTreeSet::from([GroupId(8)]), b"nonsense");
        let known = [7, 8].map(|group| leaders.node(GroupId(group)));
        assert_eq!(known, [Some(node(3)), None]);
    }
}
