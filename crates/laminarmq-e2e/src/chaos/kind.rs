//! What can happen in a round.

use std::fmt;

/// What can happen in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// SIGKILL to the leader of the first partition.
    LeaderKilled,
    /// SIGKILL to any node.
    Killed,
    /// SIGSTOP, and SIGCONT a while later.
    Frozen,
    /// SIGTERM.
    Stopped,
    /// SIGKILL to two: no majority is left.
    TwoKilled,
    /// What one node sends to one other is lost; the answers with it, as far as they need a connection.
    OneWay,
    /// Two nodes do not reach each other; both reach the third.
    TwoApart,
    /// One node is cut off from both others; the client reaches it.
    Isolated,
    /// One node is cut off from both others, and from the client.
    Unreachable,
    /// No node reaches another one; the client reaches all.
    AllApart,
    /// The disk of one node has no byte left until it has ended.
    DiskFull,
    /// The same, with room again before it may have noticed.
    DiskFullForAMoment,
    /// The disks of two nodes are full: no majority is left.
    TwoDisksFull,
}

impl Kind {
    /// Those that need nothing but the processes.
    pub const OF_PROCESSES: &[Self] = &[
        Self::LeaderKilled,
        Self::Killed,
        Self::Frozen,
        Self::Stopped,
        Self::TwoKilled,
    ];

    /// All of them.
    pub const ALL: &[Self] = &[
        Self::LeaderKilled,
        Self::Killed,
        Self::Frozen,
        Self::Stopped,
        Self::TwoKilled,
        Self::OneWay,
        Self::TwoApart,
        Self::Isolated,
        Self::Unreachable,
        Self::AllApart,
        Self::DiskFull,
        Self::DiskFullForAMoment,
        Self::TwoDisksFull,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeaderKilled => "leader killed",
            Self::Killed => "killed",
            Self::Frozen => "frozen",
            Self::Stopped => "stopped",
            Self::TwoKilled => "two killed",
            Self::OneWay => "one way lost",
            Self::TwoApart => "two apart",
            Self::Isolated => "isolated",
            Self::Unreachable => "unreachable",
            Self::AllApart => "all apart",
            Self::DiskFull => "disk full",
            Self::DiskFullForAMoment => "disk full for a moment",
            Self::TwoDisksFull => "two disks full",
        })
    }
}
