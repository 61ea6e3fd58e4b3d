//! What a group must remember beside its log, and the file that keeps it.

mod file;
mod frame;
mod fs;

pub use file::{RaftStateFile, StateError, StateRecovery, StateWriteError};
pub use fs::{StateDir, StateFs};

use thiserror::Error;

use crate::membership::{MembershipAt, MembershipError};
use crate::wire::{Cursor, Short};
use crate::{GroupId, LogIndex, Membership, Offset, ReplicaId, Term};

/// Where a group's log begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogStart {
    /// The first entry that is kept. 1 for a log that was never trimmed.
    pub index: LogIndex,
    /// The term of the entry before it; 0 before index 1.
    pub prev_term: Term,
    /// The offset that the first kept data entry has.
    pub offset: Offset,
}

impl Default for LogStart {
    fn default() -> Self {
        Self {
            index: LogIndex(1),
            prev_term: Term(0),
            offset: Offset(0),
        }
    }
}

/// Everything a group must remember beside its log.
///
/// Saved when the term, the vote, the members or the start change, and together with a roll.
/// `commit` rides along: it is a lower bound and never a reason to save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// The group.
    pub group: GroupId,
    /// Which of its replicas this is. State of another replica is refused.
    pub replica: ReplicaId,
    /// The last term seen.
    pub term: Term,
    /// Who got this replica's vote in `term`.
    pub vote: Option<ReplicaId>,
    /// Entries up to here, inclusive, were committed.
    pub commit: LogIndex,
    /// The members, applied up to `commit` at least.
    pub membership: MembershipAt,
    /// Where the log begins.
    pub start: LogStart,
    /// The log may lack entries that the replica acknowledged, and did not have them again when this was saved.
    pub in_doubt: bool,
}

/// Why bytes are no group state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum StateDecodeError {
    #[error("ends too early")]
    Short,
    #[error("term {0} is past the last one")]
    Term(u32),
    #[error("replica id 0")]
    Replica,
    #[error("the log starts at index 0")]
    Start,
    #[error("membership: {0}")]
    Membership(#[from] MembershipError),
}

impl From<Short> for StateDecodeError {
    fn from(Short: Short) -> Self {
        Self::Short
    }
}

impl GroupState {
    /// A replica that has seen nothing yet.
    #[must_use]
    pub fn first(group: GroupId, replica: ReplicaId, members: Membership) -> Self {
        Self {
            group,
            replica,
            term: Term(0),
            vote: None,
            commit: LogIndex(0),
            membership: MembershipAt {
                index: LogIndex(0),
                members,
            },
            start: LogStart::default(),
            in_doubt: false,
        }
    }

    /// Appends the encoding, all but the doubt: the kind of the change says that; see `docs/formats/raft-state.md`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.group.get().to_le_bytes());
        out.extend_from_slice(&self.replica.get().to_le_bytes());
        out.extend_from_slice(&self.vote.map_or(0, ReplicaId::get).to_le_bytes());
        out.extend_from_slice(&self.commit.get().to_le_bytes());
        out.extend_from_slice(&self.start.index.get().to_le_bytes());
        out.extend_from_slice(&self.start.offset.get().to_le_bytes());
        out.extend_from_slice(&self.membership.index.get().to_le_bytes());
        out.extend_from_slice(&self.term.get().to_le_bytes());
        out.extend_from_slice(&self.start.prev_term.get().to_le_bytes());
        self.membership.members.encode(out);
    }

    /// Reads one state from the front of `cursor` and checks it; `in_doubt` is what the kind of the change says.
    pub(crate) fn decode(
        cursor: &mut Cursor<'_>,
        in_doubt: bool,
    ) -> Result<Self, StateDecodeError> {
        let group = GroupId(cursor.u64()?);
        let replica = ReplicaId(cursor.u64()?);
        let vote = Some(ReplicaId(cursor.u64()?)).filter(|id| id.get() != 0);
        let commit = LogIndex(cursor.u64()?);
        let start_index = LogIndex(cursor.u64()?);
        let offset = Offset(cursor.u64()?);
        let membership_index = LogIndex(cursor.u64()?);
        let term = term(cursor.u32()?)?;
        let prev_term = self::term(cursor.u32()?)?;
        if replica.get() == 0 {
            return Err(StateDecodeError::Replica);
        }
        if start_index.get() == 0 {
            return Err(StateDecodeError::Start);
        }
        let members = Membership::decode(cursor)?;
        Ok(Self {
            group,
            replica,
            term,
            vote,
            commit,
            membership: MembershipAt {
                index: membership_index,
                members,
            },
            start: LogStart {
                index: start_index,
                prev_term,
                offset,
            },
            in_doubt,
        })
    }
}

fn term(number: u32) -> Result<Term, StateDecodeError> {
    if number > Term::MAX.get() {
        return Err(StateDecodeError::Term(number));
    }
    Ok(Term(number))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample(group: u64, term: u32) -> GroupState {
        GroupState {
            term: Term(term),
            vote: Some(ReplicaId(2)),
            commit: LogIndex(40),
            membership: MembershipAt {
                index: LogIndex(7),
                members: Membership::of_voters([1, 2, 3].map(ReplicaId)),
            },
            start: LogStart {
                index: LogIndex(30),
                prev_term: Term(2),
                offset: Offset(900),
            },
            ..GroupState::first(GroupId(group), ReplicaId(1), Membership::default())
        }
    }

    #[test]
    fn round_trip_and_every_prefix_is_short() {
        let mut bytes = Vec::new();
        sample(5, 3).encode(&mut bytes);
        assert_eq!(
            GroupState::decode(&mut Cursor::new(&bytes), false),
            Ok(sample(5, 3))
        );
        for end in 0..bytes.len() {
            let got = GroupState::decode(&mut Cursor::new(&bytes[..end]), false);
            assert!(
                matches!(
                    got,
                    Err(StateDecodeError::Short
                        | StateDecodeError::Membership(MembershipError::Short))
                ),
                "{end} bytes: {got:?}"
            );
        }
    }

    #[test]
    fn impossible_numbers_are_refused() {
        let decode = |state: &GroupState| {
            let mut bytes = Vec::new();
            state.encode(&mut bytes);
            GroupState::decode(&mut Cursor::new(&bytes), false)
        };
        let past = sample(5, Term::MAX.get() + 1);
        assert_eq!(
            decode(&past),
            Err(StateDecodeError::Term(Term::MAX.get() + 1))
        );
        let nobody = GroupState {
            replica: ReplicaId(0),
            ..sample(5, 1)
        };
        assert_eq!(decode(&nobody), Err(StateDecodeError::Replica));
        let mut nowhere = sample(5, 1);
        nowhere.start.index = LogIndex(0);
        assert_eq!(decode(&nowhere), Err(StateDecodeError::Start));
    }
}
