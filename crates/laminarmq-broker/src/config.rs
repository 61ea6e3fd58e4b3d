//! What a broker is told when it starts. Settings are data: nothing in here opens or reads anything.

use crate::cluster::{Member, NodeId};
use crate::limits::{self, Limits};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// When an acknowledged batch is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum FlushMode {
    /// Before it is acknowledged to a producer that asked for `acks=all`.
    #[default]
    Sync,
    /// When the operating system writes it; a power cut may take what was acknowledged.
    Os,
}

impl FlushMode {
    /// The value as a topic's setting `flush` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            FlushMode::Sync => "sync",
            FlushMode::Os => "os",
        }
    }
}

impl FromStr for FlushMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sync" => Ok(FlushMode::Sync),
            "os" => Ok(FlushMode::Os),
            other => Err(format!("flush is \"sync\" or \"os\", not {other:?}")),
        }
    }
}

impl fmt::Display for FlushMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A host name or address and a port, written `host:port` (`[::1]:9092` for IPv6).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not HOST:PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or_else(wrong)?,
            None if host.contains(':') => return Err(wrong()),
            None => host,
        };
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How consumer groups are set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// How long the first member of an empty group waits for others; each that comes starts the wait anew,
    /// within the group's rebalance timeout. Zero: not at all. Default
    /// [`limits::GROUP_INITIAL_DELAY_DEFAULT`], at most [`limits::GROUP_INITIAL_DELAY_MAX`].
    pub initial_rebalance_delay: Duration,
    /// Shortest session timeout that a member may ask for. Default
    /// [`limits::GROUP_SESSION_MIN_DEFAULT`], at least a millisecond.
    pub session_timeout_min: Duration,
    /// Longest session timeout that a member may ask for. Default
    /// [`limits::GROUP_SESSION_MAX_DEFAULT`], at most [`limits::GROUP_SESSION_CEILING`].
    pub session_timeout_max: Duration,
    /// How long committed offsets are kept of a group that has no members. Default
    /// [`limits::OFFSETS_RETENTION_DEFAULT`], at most [`limits::OFFSETS_RETENTION_MAX`].
    pub offsets_retention: Duration,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            initial_rebalance_delay: limits::GROUP_INITIAL_DELAY_DEFAULT,
            session_timeout_min: limits::GROUP_SESSION_MIN_DEFAULT,
            session_timeout_max: limits::GROUP_SESSION_MAX_DEFAULT,
            offsets_retention: limits::OFFSETS_RETENTION_DEFAULT,
        }
    }
}

/// What was built, for whoever asks the running program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildInfo {
    /// The version.
    pub version: String,
    /// The commit, or "unknown".
    pub commit: String,
}

impl Default for BuildInfo {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: "unknown".to_owned(),
        }
    }
}

/// What a node of a cluster is told about itself and the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// This node.
    pub node: NodeId,
    /// All nodes, this one included; alike on all. At least two and at most [`limits::NODES_MAX`].
    pub members: Vec<Member>,
    /// Where this node listens for the others. `None`: at its own address in `members`.
    pub listen: Option<HostPort>,
    /// Replicas of a topic whose creator did not say. At most as many as there are nodes.
    pub default_replication: u16,
    /// The name of the cluster. `None`: one that follows from `members`, so that all nodes have the same.
    pub cluster_id: Option<String>,
}

impl ClusterConfig {
    /// Where the other nodes reach this one.
    #[must_use]
    pub fn own_address(&self) -> Option<&HostPort> {
        let own = self.members.iter().find(|member| member.node == self.node);
        own.map(|member| &member.peer)
    }

    /// Contradictions, for people.
    fn check(&self) -> Result<(), String> {
        let nodes = self.members.len();
        if !(2..=limits::NODES_MAX).contains(&nodes) {
            let max = limits::NODES_MAX;
            return Err(format!(
                "a cluster has 2 to {max} nodes, and {nodes} are named"
            ));
        }
        for (n, member) in self.members.iter().enumerate() {
            let before = &self.members[..n];
            if before.iter().any(|other| other.node == member.node) {
                return Err(format!("node {} is named twice", member.node));
            }
            if before.iter().any(|other| other.peer == member.peer) {
                return Err(format!("two nodes have the address {}", member.peer));
            }
        }
        if self.own_address().is_none() {
            return Err(format!(
                "this is node {}, which is not among the nodes",
                self.node
            ));
        }
        if !(1..=nodes).contains(&self.default_replication.into()) {
            let wanted = self.default_replication;
            return Err(format!("{wanted} replicas by default, on {nodes} nodes"));
        }
        Ok(())
    }
}

/// All settings of one broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerConfig {
    /// Where Kafka clients connect. Port 0 takes a free one; see [`crate::Running::kafka_addr`].
    pub listen: HostPort,
    /// What clients are told to connect to. `None`: the address that each of them dialled.
    pub advertise: Option<HostPort>,
    /// Where metrics and health are told over HTTP; `None`: nowhere. Port 0 takes a free one; see
    /// [`crate::Running::http_addr`].
    pub http: Option<HostPort>,
    /// The data directory; made when it is not there.
    pub data_dir: PathBuf,
    /// A client that asks for a topic which is not there gets it made.
    pub auto_create_topics: bool,
    /// Partitions of a topic whose creator did not say. 1 to [`limits::TOPIC_PARTITIONS_MAX`].
    pub default_partitions: u32,
    /// `flush` of a topic whose creator did not say.
    pub default_flush: FlushMode,
    /// `min.insync.replicas` of a topic whose creator did not say; of one that has fewer replicas, all of them.
    /// 1 to [`limits::NODES_MAX`].
    pub default_min_insync_replicas: u32,
    /// Shard threads; 0 means one per core. At most [`limits::SHARDS_MAX`].
    pub shards: usize,
    /// Flush threads, 1 to [`limits::FLUSH_THREADS_MAX`].
    pub flush_threads: usize,
    /// Consumer groups.
    pub groups: GroupConfig,
    /// The other nodes; `None` for a node that is alone.
    pub cluster: Option<ClusterConfig>,
    /// How often partitions look for records that are too old or too many. 1 ms to a day.
    pub retention_check: Duration,
    /// Bounds.
    pub limits: Limits,
    /// What the metrics say about the program.
    pub build: BuildInfo,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            listen: HostPort {
                host: "127.0.0.1".to_owned(),
                port: 9092,
            },
            advertise: None,
            http: Some(HostPort {
                host: "127.0.0.1".to_owned(),
                port: 8080,
            }),
            data_dir: PathBuf::from("./laminarmq-data"),
            auto_create_topics: true,
            default_partitions: 1,
            default_flush: FlushMode::Sync,
            default_min_insync_replicas: 1,
            shards: 0,
            flush_threads: limits::FLUSH_THREADS_DEFAULT,
            groups: GroupConfig::default(),
            cluster: None,
            retention_check: limits::RETENTION_CHECK_DEFAULT,
            limits: Limits::default(),
            build: BuildInfo::default(),
        }
    }
}

/// A setting that is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A setting is outside of its range.
    #[error("{setting} is {value}, but must be between {min} and {max}")]
    Range {
        /// Name of the setting.
        setting: &'static str,
        /// What it was set to.
        value: u64,
        /// Smallest value allowed.
        min: u64,
        /// Largest value allowed.
        max: u64,
    },
    /// What is said of the nodes does not fit together.
    #[error("the cluster: {0}")]
    Cluster(String),
}

impl BrokerConfig {
    /// Checks every range; the one place that does.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = |setting, value: u64, min: u64, max: u64| {
            if (min..=max).contains(&value) {
                Ok(())
            } else {
                Err(ConfigError::Range {
                    setting,
                    value,
                    min,
                    max,
                })
            }
        };
        if let Some(cluster) = &self.cluster {
            cluster.check().map_err(ConfigError::Cluster)?;
            let is_any = |host: &str| matches!(host, "0.0.0.0" | "::");
            if self.advertise.is_none() && is_any(&self.listen.host) {
                let reason = "clients must be told by all nodes where this one is: set advertise";
                return Err(ConfigError::Cluster(reason.to_owned()));
            }
        }
        let l = &self.limits;
        check(
            "default_partitions",
            self.default_partitions.into(),
            1,
            limits::TOPIC_PARTITIONS_MAX.into(),
        )?;
        check(
            "default_min_insync_replicas",
            self.default_min_insync_replicas.into(),
            1,
            limits::NODES_MAX as u64,
        )?;
        check("shards", self.shards as u64, 0, limits::SHARDS_MAX as u64)?;
        check(
            "flush_threads",
            self.flush_threads as u64,
            1,
            limits::FLUSH_THREADS_MAX as u64,
        )?;
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let g = &self.groups;
        check(
            "groups.initial_rebalance_delay, in milliseconds,",
            millis(g.initial_rebalance_delay),
            0,
            millis(limits::GROUP_INITIAL_DELAY_MAX),
        )?;
        check(
            "groups.session_timeout_min, in milliseconds,",
            millis(g.session_timeout_min),
            1,
            millis(g.session_timeout_max),
        )?;
        check(
            "groups.session_timeout_max, in milliseconds,",
            millis(g.session_timeout_max),
            1,
            millis(limits::GROUP_SESSION_CEILING),
        )?;
        check(
            "groups.offsets_retention, in milliseconds,",
            millis(g.offsets_retention),
            1,
            millis(limits::OFFSETS_RETENTION_MAX),
        )?;
        check(
            "retention_check, in milliseconds,",
            millis(self.retention_check),
            1,
            24 * 3600 * 1000,
        )?;
        check("limits.connections", l.connections as u64, 1, 1 << 20)?;
        check(
            "limits.requests_in_flight",
            l.requests_in_flight as u64,
            1,
            1 << 16,
        )?;
        check(
            "limits.frame_bytes",
            l.frame_bytes.into(),
            1 << 10,
            limits::FRAME_BYTES_MAX.into(),
        )?;
        check(
            "limits.bytes_in_flight",
            l.bytes_in_flight.into(),
            l.frame_bytes.into(),
            1 << 31,
        )?;
        check(
            "limits.fetch_bytes_in_flight",
            l.fetch_bytes_in_flight.into(),
            limits::BATCH_BYTES_MAX.into(),
            1 << 31,
        )?;
        check(
            "limits.partitions",
            l.partitions as u64,
            1,
            limits::PARTITIONS_MAX as u64,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_read_and_written() {
        for text in [
            "localhost:9092",
            "10.0.0.1:1",
            "[::1]:9092",
            "a.example:65535",
        ] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        for text in [
            "",
            ":9092",
            "localhost",
            "localhost:",
            "localhost:70000",
            "::1:9092",
            "[::1:9092",
        ] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }

    #[test]
    fn defaults_are_in_range_and_wrong_values_are_named() {
        let mut config = BrokerConfig::default();
        assert_eq!(config.validate(), Ok(()));
        config.default_partitions = 0;
        let error = config.validate().unwrap_err();
        assert_eq!(
            error.to_string(),
            "default_partitions is 0, but must be between 1 and 4096"
        );
        let mut config = BrokerConfig::default();
        config.groups.session_timeout_min = config.groups.session_timeout_max * 2;
        let error = config.validate().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("groups.session_timeout_min, in milliseconds, is 3600000")
        );
    }
}
