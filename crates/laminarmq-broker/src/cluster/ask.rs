//! Questions between nodes, and their bytes.
//!
//! ```text
//! Propose      the command                    answer  u8 outcome: 0 committed, then u64 index;
//!                                                     1 not the leader; 2 not confirmed; 3 refused
//! Leading      u32 count, count x { u64 group, u32 term }    answer  empty
//! Directories  the name of the asker's directory             answer  see `bootstrap`
//! ```
//! All numbers are little-endian.

use super::{Cluster, NodeId};
use crate::limits::ASK_WAIT_MAX;
use crate::peer::{CallError, RequestKind};
use crate::shard::Refusal;
use bytes::Bytes;
use laminarmq_replica::{GroupId, LogIndex, Term};

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
}

impl Ask {
    pub(super) fn from_number(number: u8) -> Option<Self> {
        let all = [Self::Propose, Self::Leading, Self::Directories];
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
}
