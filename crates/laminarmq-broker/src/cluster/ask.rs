//! Questions between nodes, and their bytes.
//!
//! ```text
//! Propose      the command                    answer  u8 outcome: 0 committed, then u64 index;
//!                                                     1 not the leader; 2 not confirmed; 3 refused
//! Leading      u32 count, count x { u64 group, u32 term }    answer  empty
//! InSync       u32 count, count x { u64 group, u32 term, u8 nodes, nodes x i32 node }    answer  empty
//! Directories  the name of the asker's directory             answer  see `bootstrap`
//! WhoLeads     u32 count, count x u64 group      answer  u32 count, count x { u64 group, u32 term, i32 node }
//! ```
//! All numbers are little-endian. A node that does not know a question answers with nothing, so a new question
//! may be asked of all.

use super::{Cluster, InSyncAt, NodeId};
use crate::limits::{ASK_WAIT_MAX, IN_SYNC_NEWS_LEN, NODES_MAX, PEER_CALL_BYTES_MAX};
use crate::peer::{CallError, RequestKind};
use crate::shard::Refusal;
use bytes::Bytes;
use laminarmq_replica::{GroupId, LogIndex, Term};
use std::sync::Arc;

/// What one node asks another, as the number on the wire: given once, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ask {
    /// Propose a command to the metadata group. Only its leader does.
    Propose = 1,
    /// Hear which groups the asking node leads.
    Leading = 2,
    /// Which directories do you know of?
    Directories = 3,
    /// Hear which nodes are in sync in groups that the asking node leads.
    InSync = 4,
    /// Who leads these groups, as your own replicas hear?
    WhoLeads = 5,
}

impl Ask {
    pub(super) fn from_number(number: u8) -> Option<Self> {
        let all = [
            Self::Propose,
            Self::Leading,
            Self::Directories,
            Self::InSync,
            Self::WhoLeads,
        ];
        all.into_iter().find(|ask| *ask as u8 == number)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node {node} did not answer: {error}")]
pub(crate) struct AskError {
    pub(crate) node: NodeId,
    pub(crate) error: CallError,
}

impl AskError {
    /// The other node certainly did not act on the question.
    pub(crate) fn had_no_effect(&self) -> bool {
        match self.error {
            CallError::UnknownNode
            | CallError::NotConnected
            | CallError::Busy
            | CallError::TooLarge => true,
            CallError::Lost | CallError::TimedOut => false,
        }
    }
}

impl Cluster {
    /// Asks a node, and waits for its answer, not for ever.
    pub(crate) async fn ask(
        &self,
        node: NodeId,
        ask: Ask,
        question: Bytes,
    ) -> Result<Bytes, AskError> {
        let kind = RequestKind(ask as u8);
        let answer = self.peers.call(node, kind, question, ASK_WAIT_MAX).await;
        answer.map_err(|error| AskError { node, error })
    }
}

const COMMITTED: u8 = 0;
const NOT_LEADER: u8 = 1;
const UNCONFIRMED: u8 = 2;
const REFUSED: u8 = 3;

/// What became of a command that another node was asked to propose.
pub(crate) type ProposeAnswer = Result<LogIndex, Refusal>;

/// The bytes of an answer.
pub(crate) fn proposal_answer(result: &ProposeAnswer) -> Bytes {
    match result {
        Ok(index) => {
            let mut bytes = vec![COMMITTED];
            bytes.extend_from_slice(&index.get().to_le_bytes());
            bytes.into()
        }
        Err(Refusal::NotLeader) => Bytes::from_static(&[NOT_LEADER]),
        Err(Refusal::Unconfirmed) => Bytes::from_static(&[UNCONFIRMED]),
        Err(_) => Bytes::from_static(&[REFUSED]),
    }
}

/// Reads an answer. `None`: those are not its bytes.
pub(crate) fn read_proposal_answer(bytes: &[u8]) -> Option<ProposeAnswer> {
    match bytes.split_first()? {
        (&COMMITTED, index) => {
            let index = u64::from_le_bytes(index.try_into().ok()?);
            Some(Ok(LogIndex(index)))
        }
        (&NOT_LEADER, []) => Some(Err(Refusal::NotLeader)),
        (&UNCONFIRMED, []) => Some(Err(Refusal::Unconfirmed)),
        (&REFUSED, []) => Some(Err(Refusal::NotAvailable)),
        _ => None,
    }
}

/// The bytes that say which groups a node leads.
pub(crate) fn leading(groups: &[(GroupId, Term)]) -> Bytes {
    let mut bytes = Vec::with_capacity(4 + groups.len() * LEADING_BYTES);
    let count = u32::try_from(groups.len()).expect("a limited number of partitions");
    bytes.extend_from_slice(&count.to_le_bytes());
    for (group, term) in groups {
        bytes.extend_from_slice(&group.0.to_le_bytes());
        bytes.extend_from_slice(&term.get().to_le_bytes());
    }
    bytes.into()
}

const LEADING_BYTES: usize = 12;

/// Reads them. `None`: those are not its bytes.
pub(crate) fn read_leading(bytes: &[u8]) -> Option<Vec<(GroupId, Term)>> {
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let (groups, tail) = rest.as_chunks::<LEADING_BYTES>();
    if !tail.is_empty() || u32::from_le_bytes(*count) as usize != groups.len() {
        return None;
    }
    let is_sound = |(_, term): &(GroupId, Term)| (Term(1)..=Term::MAX).contains(term);
    let read = |bytes: &[u8; LEADING_BYTES]| {
        let (group, term) = bytes.split_at(8);
        let group = u64::from_le_bytes(group.try_into().expect("8 of 12 bytes"));
        let term = u32::from_le_bytes(term.try_into().expect("4 of 12 bytes"));
        (GroupId(group), Term(term))
    };
    let read: Vec<_> = groups.iter().map(read).collect();
    read.iter().all(is_sound).then_some(read)
}

/// Which nodes are in sync in a group.
pub(super) type GroupInSync = (GroupId, InSyncAt);

/// The bytes that say which nodes are in sync; of at most [`IN_SYNC_NEWS_LEN`] groups.
pub(crate) fn in_sync(groups: &[GroupInSync]) -> Bytes {
    let mut bytes = Vec::new();
    let count = u32::try_from(groups.len()).expect("a limited number of partitions");
    bytes.extend_from_slice(&count.to_le_bytes());
    for (group, InSyncAt { term, nodes }) in groups {
        bytes.extend_from_slice(&group.0.to_le_bytes());
        bytes.extend_from_slice(&term.get().to_le_bytes());
        bytes.push(u8::try_from(nodes.len()).expect("a cluster has few nodes"));
        for node in nodes.iter() {
            bytes.extend_from_slice(&node.get().to_le_bytes());
        }
    }
    bytes.into()
}

const _: () = assert!(NODES_MAX <= u8::MAX as usize);
const _: () =
    assert!(4 + IN_SYNC_NEWS_LEN * (LEADING_BYTES + 1 + 4 * NODES_MAX) <= PEER_CALL_BYTES_MAX);

/// Reads them. `None`: those are not its bytes.
pub(crate) fn read_in_sync(bytes: &[u8]) -> Option<Vec<GroupInSync>> {
    let (count, mut rest) = bytes.split_first_chunk::<4>()?;
    let count = u32::from_le_bytes(*count) as usize;
    if count > IN_SYNC_NEWS_LEN {
        return None;
    }
    let mut groups = Vec::with_capacity(count);
    for _ in 0..count {
        let (group, tail) = rest.split_first_chunk::<8>()?;
        let (term, tail) = tail.split_first_chunk::<4>()?;
        let (nodes, tail) = tail.split_first()?;
        let (nodes, tail) = tail.split_at_checked(usize::from(*nodes) * 4)?;
        rest = tail;
        let term = Term(u32::from_le_bytes(*term));
        let (nodes, _) = nodes.as_chunks::<4>();
        let node = |bytes: &[u8; 4]| NodeId::new(i32::from_le_bytes(*bytes));
        let nodes = nodes.iter().map(node).collect::<Option<Arc<[_]>>>()?;
        if !(Term(1)..=Term::MAX).contains(&term) || nodes.len() > NODES_MAX {
            return None;
        }
        let group = GroupId(u64::from_le_bytes(*group));
        groups.push((group, InSyncAt { term, nodes }));
    }
    rest.is_empty().then_some(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_back_as_they_were_and_nothing_else_is_one() {
        for result in [
            Ok(LogIndex(77)),
            Err(Refusal::NotLeader),
            Err(Refusal::Unconfirmed),
            Err(Refusal::NotAvailable),
        ] {
            let bytes = proposal_answer(&result);
            assert_eq!(read_proposal_answer(&bytes), Some(result));
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(read_proposal_answer(&longer), None);
        }
        for wrong in [&[][..], &[9], &[0, 1, 2]] {
            assert_eq!(read_proposal_answer(wrong), None);
        }
    }

    #[test]
    fn what_a_node_leads_comes_back_as_it_was() {
        for groups in [
            vec![],
            vec![(GroupId(1), Term(2)), (GroupId(u64::MAX), Term(9))],
        ] {
            let bytes = leading(&groups);
            assert_eq!(read_leading(&bytes), Some(groups));
            for cut in 0..bytes.len() {
                assert_eq!(read_leading(&bytes[..cut]), None);
            }
        }
    }

    fn at(term: u32, nodes: &[i32]) -> InSyncAt {
        let node = |node: &i32| NodeId::new(*node).expect("positive");
        InSyncAt {
            term: Term(term),
            nodes: nodes.iter().map(node).collect(),
        }
    }

    #[test]
    fn who_is_in_sync_comes_back_as_it_was_and_nothing_else_is_read() {
        let most: Vec<i32> = (1..).take(NODES_MAX).collect();
        for groups in [
            vec![],
            vec![
                (GroupId(1), at(2, &[3, 1])),
                (GroupId(u64::MAX), at(Term::MAX.get(), &most)),
                (GroupId(7), at(1, &[])),
            ],
        ] {
            let bytes = in_sync(&groups);
            assert_eq!(read_in_sync(&bytes), Some(groups));
            for cut in 0..bytes.len() {
                assert_eq!(read_in_sync(&bytes[..cut]), None);
            }
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(read_in_sync(&longer), None);
        }
        let one = in_sync(&[(GroupId(1), at(2, &[3]))]);
        let mut no_node = one.to_vec();
        no_node[17] = 0;
        let mut no_term = one.to_vec();
        no_term[12] = 0;
        let more = most.iter().copied().chain([99]).collect::<Vec<_>>();
        let too_many = in_sync(&[(GroupId(1), at(2, &more))]);
        for wrong in [&no_node[..], &no_term, &too_many, &[255; 4], &[]] {
            assert_eq!(read_in_sync(wrong), None, "{wrong:?}");
        }
    }
}
