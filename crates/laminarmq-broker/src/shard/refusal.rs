//! Why a shard refuses what it is asked for.

use laminarmq_replica::{FetchError, Offset, ProposeError, TrimError};

/// Why a shard refused something. Where it refused an append with anything but [`Refusal::Unconfirmed`] and
/// [`Refusal::FellOutOfSync`], nothing of it is or will be in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The shard does not own such a partition, or not any more.
    #[error("there is no such partition here")]
    NoPartition,
    /// Another replica leads the partition.
    #[error("another replica leads the partition")]
    NotLeader,
    /// The leadership changed before the append was committed: it may or may not survive.
    #[error("the leadership changed before the append was confirmed")]
    Unconfirmed,
    /// Fewer replicas than the append asks for are in sync.
    #[error(
        "{in_sync} replicas are in sync, and the topic asks for {wanted} (min.insync.replicas)"
    )]
    TooFewInSync {
        /// Those that are, the leader included.
        in_sync: u32,
        /// Those that the append waits for.
        wanted: u32,
    },
    /// Too many appends wait for replicas that are in sync and do not save them.
    #[error("too many batches wait for replicas that are slow")]
    TooManyHeld,
    /// The append is in the log, and fewer replicas than it asks for are in sync by now: it may or may not
    /// survive.
    #[error(
        "the batch was written, and {in_sync} replicas are in sync, where the topic asks for {wanted} \
         (min.insync.replicas)"
    )]
    FellOutOfSync {
        /// Those that are, the leader included.
        in_sync: u32,
        /// Those that the append waits for.
        wanted: u32,
    },
    /// The reader's leader epoch is an earlier one.
    #[error("the leader epoch is {current}")]
    FencedEpoch {
        /// The epoch here.
        current: i32,
    },
    /// The reader's leader epoch is a later one.
    #[error("the leader epoch is still {current}")]
    UnknownEpoch {
        /// The epoch here.
        current: i32,
    },
    /// The offset is not in the log.
    #[error("the offset is outside of {start}..{end}")]
    OutOfRange {
        /// First that is there.
        start: Offset,
        /// One past the last.
        end: Offset,
    },
    /// A new leader does not know yet what is committed.
    #[error("what is committed is not known yet")]
    NotAvailable,
    /// Larger than the partition allows.
    #[error("{bytes} bytes are more than the {max} that the partition allows")]
    TooLarge {
        /// Bytes of the batch or command.
        bytes: u64,
        /// The limit.
        max: u32,
    },
    /// The settings are out of their bounds.
    #[error("{0}")]
    Unsuitable(String),
    /// The batch does not follow the last one of its idempotent producer.
    #[error("the producer's next sequence number is {expected}, the batch has {given}")]
    SequenceGap {
        /// What follows.
        expected: i32,
        /// What the batch has.
        given: i32,
    },
    /// A later epoch of the idempotent producer was seen.
    #[error("the producer's epoch is {current}, the batch has {given}")]
    OldProducerEpoch {
        /// The latest one.
        current: i16,
        /// What the batch has.
        given: i16,
    },
    /// The log cannot be read there.
    #[error("{0}")]
    Unreadable(String),
    /// The data directory failed; nothing is known to be on disk.
    #[error("the data directory failed")]
    Failed,
    /// The broker is stopping.
    #[error("the broker is stopping")]
    Closing,
}

impl From<ProposeError> for Refusal {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotLeader { .. } | ProposeError::HandingOver => Refusal::NotLeader,
            ProposeError::TooLarge { bytes, max } => Refusal::TooLarge { bytes, max },
            ProposeError::Full { .. } | ProposeError::MembershipBusy | ProposeError::Unsettled => {
                Refusal::NotAvailable
            }
            ProposeError::SequenceGap { expected, given } => {
                Refusal::SequenceGap { expected, given }
            }
            ProposeError::OldProducerEpoch { current, given } => {
                Refusal::OldProducerEpoch { current, given }
            }
            ProposeError::Membership(reason) => Refusal::Unreadable(reason),
            ProposeError::Ended => Refusal::Failed,
        }
    }
}

impl From<FetchError> for Refusal {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::OutOfRange { start, end, .. } => Refusal::OutOfRange { start, end },
            FetchError::NotAvailable => Refusal::NotAvailable,
            error @ (FetchError::Read(_) | FetchError::Batch { .. }) => {
                Refusal::Unreadable(error.to_string())
            }
        }
    }
}

impl From<TrimError> for Refusal {
    fn from(error: TrimError) -> Self {
        match error {
            TrimError::Propose(error) => error.into(),
            TrimError::OutOfRange { high_watermark, .. } => Refusal::OutOfRange {
                start: Offset(0),
                end: high_watermark,
            },
            TrimError::NotAvailable => Refusal::NotAvailable,
            error @ (TrimError::Uncommitted { .. } | TrimError::Read(_)) => {
                Refusal::Unreadable(error.to_string())
            }
        }
    }
}
