//! What a coordinator is asked, and what it answers.

use super::record::{CommittedOffset, OffsetKey};
use bytes::Bytes;

/// A request about one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Join(Join),
    Sync(Sync),
    Heartbeat {
        generation: i32,
        member: MemberRef,
    },
    Leave {
        members: Vec<MemberRef>,
    },
    Commit(Commit),
    /// `None`: all offsets.
    Fetch {
        keys: Option<Vec<OffsetKey>>,
    },
    Describe,
    Delete,
    /// Each topic with its name, by which members subscribe, and its partitions.
    DeleteOffsets {
        topics: Vec<(String, Vec<OffsetKey>)>,
    },
}

/// A member, as it names itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MemberRef {
    /// Empty when it has none yet.
    pub(crate) id: String,
    /// Its own name, when it has one.
    pub(crate) instance: Option<String>,
}

/// To take part in the next generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Join {
    pub(crate) member: MemberRef,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: i32,
    /// Negative: the session's timeout.
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) protocol_type: String,
    /// Name and metadata, the preferred one first.
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// A member without id is first told one, and joins with it.
    pub(crate) id_first: bool,
    /// The client knows what it means that a leader shall leave the assignment as it is.
    pub(crate) may_skip_assignment: bool,
}

/// To get the assignment; the leader brings all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sync {
    pub(crate) generation: i32,
    pub(crate) member: MemberRef,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignments: Vec<(String, Bytes)>,
}

/// Offsets to keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Negative from outside of the group.
    pub(crate) generation: i32,
    pub(crate) member: MemberRef,
    pub(crate) offsets: Vec<NewOffset>,
    /// How long the client wants them kept, in milliseconds.
    pub(crate) retention_ms: Option<i64>,
}

/// An offset to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewOffset {
    pub(crate) key: OffsetKey,
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Option<String>,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GroupError {
    /// The same may succeed in a moment.
    #[error("the group's partition has no coordinator here")]
    NotCoordinator,
    #[error("the group's partition is being read")]
    Loading,
    #[error("a group needs an id, of at most {max} bytes", max = crate::limits::GROUP_ID_BYTES_MAX)]
    GroupId,
    #[error("the group has no such member")]
    UnknownMember,
    #[error("another member has taken this one's place")]
    FencedInstance,
    #[error("this is not the group's generation")]
    IllegalGeneration,
    #[error("the group is being rebalanced")]
    Rebalancing,
    #[error("the protocols are not those of the group's other members")]
    InconsistentProtocol,
    #[error("a session timeout that is not allowed here")]
    SessionTimeout,
    #[error("join again, with the member id given")]
    MemberIdRequired,
    #[error("the group, or the node, has no room for more")]
    Full,
    #[error("the offsets take more room than there is")]
    NoRoomForOffsets,
    #[error("the assignments are too large to be kept")]
    AssignmentTooLarge,
    #[error("a name is too long, or there are too many of something")]
    Invalid,
    #[error("the group has members")]
    NotEmpty,
    #[error("there is no such group")]
    NotFound,
    #[error("members of the group are subscribed to the topic")]
    Subscribed,
}

/// The answer to a [`Request`], of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Join(Result<Joined, JoinRefused>),
    Sync(Result<Synced, GroupError>),
    Heartbeat(Result<(), GroupError>),
    /// One per member, in the order asked for.
    Leave(Result<Vec<Result<(), GroupError>>, GroupError>),
    Commit(Result<(), GroupError>),
    /// Those asked for in their order, or all that there are.
    Fetch(Result<Vec<(OffsetKey, Option<CommittedOffset>)>, GroupError>),
    Describe(Result<Description, GroupError>),
    Delete(Result<(), GroupError>),
    /// One per topic, in the order asked for.
    DeleteOffsets(Result<Vec<Result<(), GroupError>>, GroupError>),
}

/// A member of a generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    pub(crate) member_id: String,
    /// For the leader: all members, with their metadata for the protocol.
    pub(crate) members: Vec<(MemberRef, Bytes)>,
    /// The leader shall leave the assignment as it is.
    pub(crate) skip_assignment: bool,
}

/// Not a member of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinRefused {
    pub(crate) error: GroupError,
    /// The id that the member has, or with [`GroupError::MemberIdRequired`] the one that it gets.
    pub(crate) member_id: String,
}

/// What a member is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Synced {
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) assignment: Bytes,
}

/// A group, told to whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) state: GroupStateName,
    pub(crate) protocol_type: String,
    /// Empty unless stable.
    pub(crate) protocol: String,
    pub(crate) members: Vec<MemberDescription>,
}

/// A member of a [`Description`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberDescription {
    pub(crate) member: MemberRef,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    /// Empty unless the group is stable.
    pub(crate) metadata: Bytes,
    pub(crate) assignment: Bytes,
}

/// One of a list of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupSummary {
    pub(crate) group: String,
    pub(crate) state: GroupStateName,
    pub(crate) protocol_type: String,
}

/// A group with what it has read, for metrics and tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupOverview {
    pub(crate) group: String,
    pub(crate) description: Description,
    /// Committed offsets by topic id and partition. Topics may be gone by now.
    pub(crate) offsets: Vec<(OffsetKey, i64)>,
}

/// The states of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupStateName {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    /// There is no such group.
    Dead,
}

impl GroupStateName {
    /// As it stands in answers.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

impl Request {
    /// The answer that says only why nothing was done.
    pub(crate) fn refuse(&self, error: GroupError) -> Answer {
        match self {
            Request::Join(join) => Answer::Join(Err(JoinRefused {
                error,
                member_id: join.member.id.clone(),
            })),
            Request::Sync(_) => Answer::Sync(Err(error)),
            Request::Heartbeat { .. } => Answer::Heartbeat(Err(error)),
            Request::Leave { .. } => Answer::Leave(Err(error)),
            Request::Commit(_) => Answer::Commit(Err(error)),
            Request::Fetch { .. } => Answer::Fetch(Err(error)),
            Request::Describe => Answer::Describe(Err(error)),
            Request::Delete => Answer::Delete(Err(error)),
            Request::DeleteOffsets { .. } => Answer::DeleteOffsets(Err(error)),
        }
    }
}

impl Answer {
    /// The same answer, but for what it says: that nothing was done.
    pub(super) fn into_refusal(self, error: GroupError) -> Self {
        match self {
            Answer::Join(answer) => Answer::Join(Err(JoinRefused {
                error,
                member_id: match answer {
                    Ok(joined) => joined.member_id,
                    Err(refused) => refused.member_id,
                },
            })),
            Answer::Sync(_) => Answer::Sync(Err(error)),
            Answer::Heartbeat(_) => Answer::Heartbeat(Err(error)),
            Answer::Leave(_) => Answer::Leave(Err(error)),
            Answer::Commit(_) => Answer::Commit(Err(error)),
            Answer::Fetch(_) => Answer::Fetch(Err(error)),
            Answer::Describe(_) => Answer::Describe(Err(error)),
            Answer::Delete(_) => Answer::Delete(Err(error)),
            Answer::DeleteOffsets(_) => Answer::DeleteOffsets(Err(error)),
        }
    }
}
