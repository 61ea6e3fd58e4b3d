//! What an entry of the log is, as stored in its index entry.

/// The kind of a log entry. The numbers are part of the disk format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// One Kafka record batch. The only kind that takes offsets.
    Data = 1,
    /// The entry a leader starts its term with. No bytes.
    Noop = 2,
    /// A change of the group's members ([`crate::MembershipChange`]).
    Membership = 3,
    /// Moves the group's start offset.
    Trim = 4,
    /// An input of the group's state machine, opaque here.
    Command = 5,
    /// What is known of the idempotent producers whose batches stand before it.
    Producers = 6,
}

impl EntryKind {
    /// The kind with this number, if there is one.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Data),
            2 => Some(Self::Noop),
            3 => Some(Self::Membership),
            4 => Some(Self::Trim),
            5 => Some(Self::Command),
            6 => Some(Self::Producers),
            _ => None,
        }
    }

    /// The number on disk and between peers.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }
}

/// Entry flag: every replica rolls to a new write segment before it appends this entry.
pub const FLAG_ROLL: u8 = 1;
/// Entry flag: a batch of an idempotent producer. A restart looks into these and no others.
pub const FLAG_PRODUCER: u8 = 2;
/// All flags that have a meaning. Others are refused from peers.
pub const FLAGS_KNOWN: u8 = FLAG_ROLL | FLAG_PRODUCER;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_nothing_else_is_a_kind() {
        for number in 0..=u8::MAX {
            match EntryKind::from_u8(number) {
                Some(kind) => assert_eq!(kind.as_u8(), number),
                None => assert!(!(1..=6).contains(&number)),
            }
        }
    }
}
