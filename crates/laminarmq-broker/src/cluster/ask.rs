//! Questions between nodes: their bytes.
//!
//! ```text
//! Propose      the command                    answer  u8 outcome: 0 committed, then u64 index;
//!                                                     1 not the leader; 2 not confirmed; 3 refused
//! Leading      u32 count, count x { u64 group, u32 term }    answer  empty
//! ```
//! All numbers are little-endian.

use crate::shard::Refusal;
use bytes::Bytes;
use laminarmq_replica::{GroupId, LogIndex, Term};

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
    let read = |bytes: &[u8; LEADING_BYTES]| {
        let (group, term) = bytes.split_at(8);
        let group = u64::from_le_bytes(group.try_into().expect("8 of 12 bytes"));
        let term = u32::from_le_bytes(term.try_into().expect("4 of 12 bytes"));
        (GroupId(group), Term(term))
    };
    Some(groups.iter().map(read).collect())
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
