//! Who belongs to a group, and our own encoding of it.
//!
//! Every list is sorted and without doubles; ids are never 0; at least one voter; a learner is
//! no voter; `outgoing` is empty outside a joint configuration, and `learners_next` is a part of
//! `outgoing`. [`Membership::check`] holds all of it, and nothing unchecked is decoded.
//!
//! ```text
//! membership  u8 version = 1, then 4 lists: voters, learners, outgoing, learners_next
//! change      u8 version = 1, u8 what (0 = enter, 1 = leave), then for enter: u16 count,
//!             count x { u8 step (1 voter, 2 learner, 3 remove), u64 id }
//! list        u16 count, count x u64
//! ```
//! All numbers are little-endian.

use thiserror::Error;

use crate::wire::{Cursor, Short};
use crate::{LogIndex, ReplicaId};

/// Most members a group may have, of all sorts together.
pub const MEMBERS_MAX: usize = 64;
const VERSION: u8 = 1;

/// The members of a group, as of one log index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Have a vote.
    pub voters: Vec<ReplicaId>,
    /// Receive the log without a vote.
    pub learners: Vec<ReplicaId>,
    /// The voters of the configuration being left. Not empty: the configuration is joint, and
    /// stays so until a [`MembershipChange::Leave`] commits.
    pub outgoing: Vec<ReplicaId>,
    /// Members of `outgoing` that become learners once it is left.
    pub learners_next: Vec<ReplicaId>,
}

/// Why bytes or lists are no membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MembershipError {
    /// The bytes end too early.
    #[error("ends too early")]
    Short,
    /// Bytes follow the end.
    #[error("{0} bytes after the end")]
    Trailing(usize),
    /// Another version wrote it.
    #[error("version {0}, this program knows {VERSION}")]
    Version(u8),
    /// A rule of the module documentation is broken.
    #[error("{0}")]
    Rule(&'static str),
}

impl From<Short> for MembershipError {
    fn from(Short: Short) -> Self {
        Self::Short
    }
}

impl Membership {
    /// These voters and nobody else.
    #[must_use]
    pub fn of_voters(voters: impl IntoIterator<Item = ReplicaId>) -> Self {
        let mut voters: Vec<_> = voters.into_iter().collect();
        voters.sort_unstable();
        voters.dedup();
        Self {
            voters,
            ..Self::default()
        }
    }

    /// Whether `id` takes part in any way.
    #[must_use]
    pub fn contains(&self, id: ReplicaId) -> bool {
        [
            &self.voters,
            &self.learners,
            &self.outgoing,
            &self.learners_next,
        ]
        .iter()
        .any(|list| list.contains(&id))
    }

    /// Whether `id` alone decides everything.
    #[must_use]
    pub fn is_sole_voter(&self, id: ReplicaId) -> bool {
        self.voters == [id] && (self.outgoing.is_empty() || self.outgoing == [id])
    }

    /// Whether a [`MembershipChange::Leave`] is due.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Holds the rules of the module documentation.
    pub fn check(&self) -> Result<(), MembershipError> {
        let lists = [
            &self.voters,
            &self.learners,
            &self.outgoing,
            &self.learners_next,
        ];
        if self.voters.is_empty() {
            return Err(MembershipError::Rule("no voter"));
        }
        if lists.iter().map(|list| list.len()).sum::<usize>() > MEMBERS_MAX {
            return Err(MembershipError::Rule("too many members"));
        }
        if lists.iter().any(|list| list.first() == Some(&ReplicaId(0))) {
            return Err(MembershipError::Rule("replica id 0"));
        }
        if lists.iter().any(|list| !list.is_sorted_by(|a, b| a < b)) {
            return Err(MembershipError::Rule("not sorted, or an id twice"));
        }
        if self
            .learners
            .iter()
            .any(|id| self.voters.contains(id) || self.outgoing.contains(id))
        {
            return Err(MembershipError::Rule("a voter that is a learner"));
        }
        if self
            .learners_next
            .iter()
            .any(|id| !self.outgoing.contains(id) || self.voters.contains(id))
        {
            return Err(MembershipError::Rule("a next learner that is not leaving"));
        }
        Ok(())
    }

    /// Appends the encoding.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        for list in [
            &self.voters,
            &self.learners,
            &self.outgoing,
            &self.learners_next,
        ] {
            let count = u16::try_from(list.len()).expect("check() bounds members by MEMBERS_MAX");
            out.extend_from_slice(&count.to_le_bytes());
            for id in list {
                out.extend_from_slice(&id.get().to_le_bytes());
            }
        }
    }

    /// Reads one membership from the front of `cursor` and checks it.
    pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Result<Self, MembershipError> {
        version(cursor)?;
        let mut list = || -> Result<Vec<ReplicaId>, MembershipError> {
            let count = cursor.u16()?;
            if usize::from(count) > MEMBERS_MAX {
                return Err(MembershipError::Rule("too many members"));
            }
            (0..count).map(|_| Ok(ReplicaId(cursor.u64()?))).collect()
        };
        let membership = Self {
            voters: list()?,
            learners: list()?,
            outgoing: list()?,
            learners_next: list()?,
        };
        membership.check()?;
        Ok(membership)
    }
}

/// One step of a membership change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberStep {
    /// Becomes (or stays) a voter.
    Voter(ReplicaId),
    /// Becomes a learner.
    Learner(ReplicaId),
    /// Leaves the group.
    Remove(ReplicaId),
}

/// A change of the members, as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipChange {
    /// Enter a joint configuration in which both the old and the new voters must agree.
    Enter(Vec<MemberStep>),
    /// Leave the joint configuration. Proposed by whoever proposed the change, never by itself.
    Leave,
}

impl MembershipChange {
    /// The bytes of the log entry.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Self::Leave => out.push(1),
            Self::Enter(steps) => {
                out.push(0);
                let count =
                    u16::try_from(steps.len()).expect("check() bounds steps by MEMBERS_MAX");
                out.extend_from_slice(&count.to_le_bytes());
                for step in steps {
                    let (tag, id) = match step {
                        MemberStep::Voter(id) => (1, id),
                        MemberStep::Learner(id) => (2, id),
                        MemberStep::Remove(id) => (3, id),
                    };
                    out.push(tag);
                    out.extend_from_slice(&id.get().to_le_bytes());
                }
            }
        }
        out
    }

    /// Reads the bytes of a log entry, and checks them.
    pub fn decode(bytes: &[u8]) -> Result<Self, MembershipError> {
        let mut cursor = Cursor::new(bytes);
        version(&mut cursor)?;
        let change = match cursor.u8()? {
            1 => Self::Leave,
            0 => {
                let count = cursor.u16()?;
                if usize::from(count) > MEMBERS_MAX {
                    return Err(MembershipError::Rule("too many steps"));
                }
                let step = |cursor: &mut Cursor<'_>| {
                    let tag = cursor.u8()?;
                    let id = ReplicaId(cursor.u64()?);
                    match tag {
                        1 => Ok(MemberStep::Voter(id)),
                        2 => Ok(MemberStep::Learner(id)),
                        3 => Ok(MemberStep::Remove(id)),
                        _ => Err(MembershipError::Rule("unknown step")),
                    }
                };
                Self::Enter(
                    (0..count)
                        .map(|_| step(&mut cursor))
                        .collect::<Result<_, _>>()?,
                )
            }
            _ => return Err(MembershipError::Rule("unknown change")),
        };
        match cursor.remaining() {
            0 => change.check().map(|()| change),
            more => Err(MembershipError::Trailing(more)),
        }
    }

    /// Refuses an empty change, too many steps, and id 0.
    pub fn check(&self) -> Result<(), MembershipError> {
        let Self::Enter(steps) = self else {
            return Ok(());
        };
        if steps.is_empty() {
            return Err(MembershipError::Rule("a change without steps"));
        }
        if steps.len() > MEMBERS_MAX {
            return Err(MembershipError::Rule("too many steps"));
        }
        let zero = |step: &MemberStep| {
            let (MemberStep::Voter(id) | MemberStep::Learner(id) | MemberStep::Remove(id)) = step;
            id.get() == 0
        };
        if steps.iter().any(zero) {
            return Err(MembershipError::Rule("replica id 0"));
        }
        Ok(())
    }
}

fn version(cursor: &mut Cursor<'_>) -> Result<(), MembershipError> {
    match cursor.u8()? {
        VERSION => Ok(()),
        other => Err(MembershipError::Version(other)),
    }
}

/// A membership together with the entry that made it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembershipAt {
    /// The entry; 0 for the first membership, which no entry made.
    pub index: LogIndex,
    /// The members from there on.
    pub members: Membership,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(list: &[u64]) -> Vec<ReplicaId> {
        list.iter().copied().map(ReplicaId).collect()
    }

    fn joint() -> Membership {
        Membership {
            voters: ids(&[1, 2, 5]),
            learners: ids(&[9]),
            outgoing: ids(&[1, 3]),
            learners_next: ids(&[3]),
        }
    }

    #[test]
    fn round_trip_and_every_prefix_is_short() {
        let mut bytes = Vec::new();
        joint().encode(&mut bytes);
        assert_eq!(Membership::decode(&mut Cursor::new(&bytes)), Ok(joint()));
        for end in 0..bytes.len() {
            let got = Membership::decode(&mut Cursor::new(&bytes[..end]));
            assert_eq!(got, Err(MembershipError::Short), "{end} bytes");
        }
    }

    #[test]
    fn each_rule_is_held() {
        let crowd: Vec<_> = (100..200).map(ReplicaId).collect();
        let broken = |rule, break_it: &dyn Fn(&mut Membership)| {
            let mut membership = joint();
            assert_eq!(membership.check(), Ok(()));
            break_it(&mut membership);
            assert_eq!(membership.check(), Err(MembershipError::Rule(rule)));
        };
        broken("no voter", &|m| m.voters.clear());
        broken("replica id 0", &|m| m.learners = ids(&[0]));
        broken("not sorted, or an id twice", &|m| m.voters = ids(&[2, 2]));
        broken("not sorted, or an id twice", &|m| m.voters = ids(&[5, 2]));
        broken("a voter that is a learner", &|m| m.learners = ids(&[1]));
        broken("a next learner that is not leaving", &|m| {
            m.learners_next = ids(&[7]);
        });
        broken("too many members", &|m| m.learners.clone_from(&crowd));
    }

    #[test]
    fn changes_round_trip() {
        let steps = vec![
            MemberStep::Voter(ReplicaId(4)),
            MemberStep::Learner(ReplicaId(u64::MAX)),
            MemberStep::Remove(ReplicaId(1)),
        ];
        for change in [MembershipChange::Leave, MembershipChange::Enter(steps)] {
            let mut bytes = change.encode();
            assert_eq!(MembershipChange::decode(&bytes), Ok(change));
            bytes.push(0);
            assert_eq!(
                MembershipChange::decode(&bytes),
                Err(MembershipError::Trailing(1))
            );
        }
    }

    #[test]
    fn an_empty_change_would_mean_leave_to_the_crate_and_is_refused() {
        let empty = MembershipChange::Enter(Vec::new());
        assert_eq!(
            empty.check(),
            Err(MembershipError::Rule("a change without steps"))
        );
        assert!(MembershipChange::decode(&empty.encode()).is_err());
    }

    #[test]
    fn sole_voter() {
        let one = Membership::of_voters(ids(&[3, 3]));
        assert!(one.is_sole_voter(ReplicaId(3)));
        assert!(!one.is_sole_voter(ReplicaId(1)));
        assert!(!joint().is_sole_voter(ReplicaId(1)));
    }
}
