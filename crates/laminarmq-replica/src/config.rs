//! Settings of a replica and their bounds.

use thiserror::Error;

use crate::{GroupId, LogIndex, Membership, MembershipError, ReplicaId};

/// Least bytes of a segment that a leader rolls.
pub const SEGMENT_BYTES_MIN: u64 = 1 << 10;
/// Most bytes of one entry: a batch, or a command.
pub const ENTRY_BYTES_CEILING: u32 = 256 << 20;
/// Most ticks of an election timeout.
pub const ELECTION_TICKS_MAX: u32 = 1 << 16;
/// Bytes of commands that one [`Effects`](crate::Effects) holds before it says there are more.
pub(crate) const COMMAND_BYTES_PER_ADVANCE: usize = 4 << 20;
/// Appends on the way to one peer, and not answered yet.
pub(crate) const INFLIGHT_APPENDS_MAX: usize = 256;

/// When written counts as saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flush {
    /// On the media: survives a power cut. The promise of acks=all.
    #[default]
    Sync,
    /// With the operating system: survives the process, not the machine. Votes are synced all
    /// the same.
    Os,
}

/// Settings of one replica.
#[derive(Clone, Debug)]
pub struct ReplicaConfig {
    /// The group.
    pub group: GroupId,
    /// Which of its replicas this is; not 0.
    pub replica: ReplicaId,
    /// The members to start with where no saved state says otherwise. Whoever joins a group that
    /// exists is not among them: it takes no part in elections until the log, or a snapshot, says
    /// that it is a member.
    pub members: Membership,
    /// The entry that made `members`: changes up to it are passed over. 0 for those who found the group.
    pub members_index: LogIndex,
    /// Whether this replica starts for the first time ever; whoever gave it its id knows. Without
    /// it a replica that finds nothing saved does not open, unless it is its group's only voter:
    /// its disk may have been emptied, and its word is forgotten. Default false.
    pub first_start: bool,
    /// Of those who found the group one may stand for election as soon as it is there: at each tick, while nobody was ever
    /// elected, for as many as its timeout has at least; the others may not be there yet. Default false.
    pub stands_first: bool,
    /// When an entry counts as saved here.
    pub flush: Flush,
    /// Whether the group has a state machine: then every committed command is handed out again
    /// after opening, from the start of the log.
    pub state_machine: bool,
    /// A leader rolls when the write segment has this many bytes. At least
    /// [`SEGMENT_BYTES_MIN`]; default 1 GiB.
    pub segment_bytes: u64,
    /// Most bytes of one batch or command; at most [`ENTRY_BYTES_CEILING`], default 1 MiB + 12
    /// like Kafka's `max.message.bytes`.
    pub entry_bytes_max: u32,
    /// Most bytes of entries that are proposed and not committed; more are refused as
    /// [`ProposeError::Full`](crate::ProposeError::Full). One entry is always let through.
    /// Default 32 MiB.
    pub uncommitted_bytes_max: u64,
    /// Most bytes of entries on the way to one peer and not answered yet; one is always let
    /// through. Default 16 MiB.
    pub inflight_bytes_max: u64,
    /// Bytes of entries on the way to a peer that catches up, about; at least one entry. More, up to
    /// `inflight_bytes_max`, where it would not get there otherwise. What it bounds is how much of old entries a
    /// disk syncs at once, so that what is new does not wait long for it. Default 256 KiB.
    pub catch_up_bytes: u64,
    /// Bytes of recent entries kept in memory for consumers and followers at the tail.
    /// Default 4 MiB.
    pub tail_cache_bytes: u64,
    /// Ticks without a word from the leader before a follower stands for election; the real
    /// number is drawn from here up to twice as many. Default 10.
    pub election_ticks: u32,
    /// Ticks between two heartbeats; below `election_ticks`. Default 2.
    pub heartbeat_ticks: u32,
    /// Ticks for which a group in which nothing happens goes without heartbeats, at least; 0: never, the
    /// default. Whoever sets it tells the replicas of nodes that say nothing, by
    /// [`Replica::wake`](crate::Replica::wake), and sets it alike on all of them.
    pub rest_ticks: u32,
    /// Entries may be gone that this replica acknowledged: writing counted as saving, and its machine crashed
    /// since; or the log was cut where it was whole before. Among other voters it holds back until it has them again;
    /// whoever opens it says this again until [`Effects::doubt_over`](crate::Effects::doubt_over) was seen, or
    /// for as long as it is found out anew.
    pub may_have_lost: bool,
}

/// The settings that may change while a replica is open; see [`ReplicaConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// When an entry counts as saved here.
    pub flush: Flush,
    /// A leader rolls when the write segment has this many bytes.
    pub segment_bytes: u64,
    /// Most bytes of one batch or command.
    pub entry_bytes_max: u32,
}

/// A setting outside its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Ids start at 1.
    #[error("replica id 0")]
    Replica,
    /// The members contradict each other.
    #[error("members: {0}")]
    Members(#[from] MembershipError),
    /// A number is out of its bounds.
    #[error("{name} is {given}, must be from {min} to {max}")]
    Bounds {
        /// The setting.
        name: &'static str,
        /// As given.
        given: u64,
        /// The least accepted.
        min: u64,
        /// The most accepted.
        max: u64,
    },
}

impl ReplicaConfig {
    /// The defaults, for this replica of this group.
    #[must_use]
    pub fn new(group: GroupId, replica: ReplicaId, members: Membership) -> Self {
        Self {
            group,
            replica,
            members,
            members_index: LogIndex(0),
            first_start: false,
            stands_first: false,
            flush: Flush::Sync,
            state_machine: false,
            segment_bytes: 1 << 30,
            entry_bytes_max: (1 << 20) + 12,
            uncommitted_bytes_max: 32 << 20,
            inflight_bytes_max: 16 << 20,
            catch_up_bytes: 256 << 10,
            tail_cache_bytes: 4 << 20,
            election_ticks: 10,
            heartbeat_ticks: 2,
            rest_ticks: 0,
            may_have_lost: false,
        }
    }

    /// Takes these settings over.
    pub fn tune(&mut self, tuning: Tuning) {
        let Tuning {
            flush,
            segment_bytes,
            entry_bytes_max,
        } = tuning;
        self.flush = flush;
        self.segment_bytes = segment_bytes;
        self.entry_bytes_max = entry_bytes_max;
    }

    /// Checks every setting; the first bad one is the error.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.replica.get() == 0 {
            return Err(ConfigError::Replica);
        }
        self.members.check()?;
        let bounds = |name, given, min, max| {
            if (min..=max).contains(&given) {
                Ok(())
            } else {
                Err(ConfigError::Bounds {
                    name,
                    given,
                    min,
                    max,
                })
            }
        };
        let ceiling = u64::from(ENTRY_BYTES_CEILING);
        bounds(
            "segment_bytes",
            self.segment_bytes,
            SEGMENT_BYTES_MIN,
            u64::MAX,
        )?;
        bounds("entry_bytes_max", self.entry_bytes_max.into(), 1, ceiling)?;
        bounds(
            "election_ticks",
            self.election_ticks.into(),
            2,
            ELECTION_TICKS_MAX.into(),
        )?;
        let below = u64::from(self.election_ticks) - 1;
        bounds("heartbeat_ticks", self.heartbeat_ticks.into(), 1, below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> ReplicaConfig {
        ReplicaConfig::new(
            GroupId(1),
            ReplicaId(1),
            Membership::of_voters([ReplicaId(1)]),
        )
    }

    #[test]
    fn defaults_are_valid_and_each_bound_is_held() {
        assert_eq!(good().validate(), Ok(()));
        type Break = fn(&mut ReplicaConfig);
        let cases: [(&str, Break); 6] = [
            ("replica id 0", |c| c.replica = ReplicaId(0)),
            ("members: no voter", |c| c.members = Membership::default()),
            ("segment_bytes is 5, must", |c| c.segment_bytes = 5),
            ("entry_bytes_max is 0, must", |c| c.entry_bytes_max = 0),
            ("election_ticks is 1, must", |c| c.election_ticks = 1),
            ("heartbeat_ticks is 10, must", |c| c.heartbeat_ticks = 10),
        ];
        for (words, break_it) in cases {
            let mut config = good();
            break_it(&mut config);
            let error = config.validate().expect_err(words).to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
