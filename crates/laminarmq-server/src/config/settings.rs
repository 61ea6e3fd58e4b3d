//! The table of settings, and what they become.
//!
//! Defaults stand where the setting takes effect (the broker's own configuration); the table only reads
//! them from there.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use laminarmq_broker::{BrokerConfig, BuildInfo, FlushMode, HostPort, Member, limits};
use serde_json::{Value, json};

use super::cluster::{self, ClusterSettings};
use super::log_filter::LogFilter;
use super::{address, quantity};

/// What `serve` runs with, once every layer had its say.
#[derive(Debug, Clone)]
pub(crate) struct ServeSettings {
    pub(crate) broker: BrokerConfig,
    pub(crate) log_filter: LogFilter,
    pub(crate) log_format: LogFormat,
    /// Becomes `broker.cluster` once all of it is known.
    pub(crate) cluster: ClusterSettings,
}

impl Default for ServeSettings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            broker: BrokerConfig {
                shards: cores.min(limits::SHARDS_MAX),
                build: BuildInfo {
                    version: String::from(env!("CARGO_PKG_VERSION")),
                    commit: String::from(env!("LAMINARMQ_BUILD_COMMIT")),
                },
                ..BrokerConfig::default()
            },
            log_filter: LogFilter::default(),
            log_format: LogFormat::Text,
            cluster: ClusterSettings::default(),
        }
    }
}

/// The shape of the log lines on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// One setting: its name is the flag (`--name`), the environment variable (`LAMINARMQ_NAME`) and the
/// key in the file.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    /// The value as text, in a form that [`Setting::store`] reads back; `None` where there is none.
    get: fn(&ServeSettings) -> Option<String>,
}

/// The type of a setting, its bounds, and where the value goes.
#[derive(Debug)]
pub(crate) enum Kind {
    Address(fn(&mut ServeSettings, HostPort)),
    /// An address, or `off`.
    AddressOrOff(fn(&mut ServeSettings, Option<HostPort>)),
    Path(fn(&mut ServeSettings, PathBuf)),
    Switch(fn(&mut ServeSettings, bool)),
    Count {
        min: u32,
        max: u32,
        set: fn(&mut ServeSettings, u32),
    },
    Bytes {
        min: u64,
        max: u64,
        set: fn(&mut ServeSettings, u64),
    },
    Period(fn(&mut ServeSettings, Duration)),
    Filter(fn(&mut ServeSettings, LogFilter)),
    /// The nodes of a cluster.
    Nodes(fn(&mut ServeSettings, Vec<Member>)),
    /// The name of a cluster.
    ClusterId(fn(&mut ServeSettings, String)),
    /// A period that may be none.
    Delay(fn(&mut ServeSettings, Duration)),
    Choice {
        names: &'static [&'static str],
        /// The names as `--help` shows them.
        shown: &'static str,
        set: fn(&mut ServeSettings, usize),
    },
}

/// What switches an address off.
const OFF: &str = "off";

/// Every setting of `serve`, in the order in which `config show` and `--help` print them.
pub(crate) static SETTINGS: &[Setting] = &[
    Setting {
        name: "listen",
        help: "Address and port for Kafka clients; port 0 picks a free one",
        kind: Kind::Address(|s, address| s.broker.listen = address),
        get: |s| Some(s.broker.listen.to_string()),
    },
    Setting {
        name: "advertise",
        help: "Address that clients are told to connect to; unset: the one they dialled",
        kind: Kind::Address(|s, address| s.broker.advertise = Some(address)),
        get: |s| s.broker.advertise.as_ref().map(HostPort::to_string),
    },
    Setting {
        name: "http",
        help: "Address and port for metrics and health over HTTP, or `off`",
        kind: Kind::AddressOrOff(|s, address| s.broker.http = address),
        get: |s| {
            let address = s.broker.http.as_ref();
            Some(address.map_or_else(|| String::from(OFF), HostPort::to_string))
        },
    },
    Setting {
        name: "data-dir",
        help: "Directory of all data; made if missing, used by one process at a time",
        kind: Kind::Path(|s, path| s.broker.data_dir = path),
        get: |s| Some(s.broker.data_dir.display().to_string()),
    },
    Setting {
        name: "cluster",
        help: "All nodes of the cluster, this one included, each with its id and where the others reach it; \
               alike on all nodes; unset: this node is alone",
        kind: Kind::Nodes(|s, nodes| s.cluster.nodes = Some(nodes)),
        get: |s| s.cluster.nodes.as_deref().map(cluster::write_nodes),
    },
    Setting {
        name: "node-id",
        help: "Which node of the cluster this is",
        kind: Kind::Count {
            min: 1,
            max: i32::MAX.unsigned_abs(),
            set: |s, id| s.cluster.node = Some(id),
        },
        get: |s| s.cluster.node.map(|id| id.to_string()),
    },
    Setting {
        name: "cluster-listen",
        help: "Address and port for the other nodes; unset: this node's in `cluster`",
        kind: Kind::Address(|s, address| s.cluster.listen = Some(address)),
        get: |s| s.cluster.listen.as_ref().map(HostPort::to_string),
    },
    Setting {
        name: "cluster-id",
        help: "Name of the cluster, alike on all nodes; unset: one that follows from `cluster`",
        kind: Kind::ClusterId(|s, id| s.cluster.id = Some(id)),
        get: |s| s.cluster.id.clone(),
    },
    Setting {
        name: "default-replication",
        help: "Replicas of a topic whose creator does not say; unset: three, or as many as there are nodes",
        kind: Kind::Count {
            min: 1,
            max: small(limits::NODES_MAX),
            set: |s, count| s.cluster.replication = Some(count),
        },
        get: |s| s.cluster.replication.map(|count| count.to_string()),
    },
    Setting {
        name: "auto-create-topics",
        help: "Create a missing topic when a client that writes asks for it",
        kind: Kind::Switch(|s, on| s.broker.auto_create_topics = on),
        get: |s| Some(s.broker.auto_create_topics.to_string()),
    },
    Setting {
        name: "default-partitions",
        help: "Partitions of a topic whose creator does not say",
        kind: Kind::Count {
            min: 1,
            max: limits::TOPIC_PARTITIONS_MAX,
            set: |s, count| s.broker.default_partitions = count,
        },
        get: |s| Some(s.broker.default_partitions.to_string()),
    },
    Setting {
        name: "default-flush",
        help: "When a write counts as done, for topics that do not say: `sync` when it is on the \
               disk, `os` in the page cache (a power cut loses it)",
        kind: Kind::Choice {
            names: &["sync", "os"],
            shown: "sync|os",
            set: |s, at| s.broker.default_flush = [FlushMode::Sync, FlushMode::Os][at],
        },
        get: |s| Some(s.broker.default_flush.to_string()),
    },
    Setting {
        name: "default-min-insync-replicas",
        help: "Replicas that must have a write with acks=all, for topics that do not say; a majority always must",
        kind: Kind::Count {
            min: 1,
            max: small(limits::NODES_MAX),
            set: |s, count| s.broker.default_min_insync_replicas = count,
        },
        get: |s| Some(s.broker.default_min_insync_replicas.to_string()),
    },
    Setting {
        name: "shards",
        help: "Threads that own partitions; unset: one per core",
        kind: Kind::Count {
            min: 1,
            max: small(limits::SHARDS_MAX),
            set: |s, count| s.broker.shards = wide(count),
        },
        get: |s| Some(s.broker.shards.to_string()),
    },
    Setting {
        name: "flush-threads",
        help: "Threads that sync files to the disk side by side",
        kind: Kind::Count {
            min: 1,
            max: small(limits::FLUSH_THREADS_MAX),
            set: |s, count| s.broker.flush_threads = wide(count),
        },
        get: |s| Some(s.broker.flush_threads.to_string()),
    },
    Setting {
        name: "group-initial-rebalance-delay",
        help: "How long the first member of an empty consumer group waits for others; 0 for not at all",
        kind: Kind::Delay(|s, delay| s.broker.groups.initial_rebalance_delay = delay),
        get: |s| {
            let delay = s.broker.groups.initial_rebalance_delay;
            Some(quantity::exact_duration(delay))
        },
    },
    Setting {
        name: "group-min-session-timeout",
        help: "The shortest session timeout that a member of a consumer group may ask for",
        kind: Kind::Period(|s, period| s.broker.groups.session_timeout_min = period),
        get: |s| {
            Some(quantity::exact_duration(
                s.broker.groups.session_timeout_min,
            ))
        },
    },
    Setting {
        name: "group-max-session-timeout",
        help: "The longest session timeout that a member of a consumer group may ask for",
        kind: Kind::Period(|s, period| s.broker.groups.session_timeout_max = period),
        get: |s| {
            Some(quantity::exact_duration(
                s.broker.groups.session_timeout_max,
            ))
        },
    },
    Setting {
        name: "offsets-retention",
        help: "How long the offsets of a consumer group are kept when it has no members",
        kind: Kind::Period(|s, period| s.broker.groups.offsets_retention = period),
        get: |s| Some(quantity::exact_duration(s.broker.groups.offsets_retention)),
    },
    Setting {
        name: "max-connections",
        help: "Client connections served at the same time; further ones wait",
        kind: Kind::Count {
            min: 1,
            max: 1 << 20,
            set: |s, count| s.broker.limits.connections = wide(count),
        },
        get: |s| Some(s.broker.limits.connections.to_string()),
    },
    Setting {
        name: "idle-timeout",
        help: "A connection that is silent for this long is closed",
        kind: Kind::Period(|s, period| s.broker.limits.idle = period),
        get: |s| Some(quantity::exact_duration(s.broker.limits.idle)),
    },
    Setting {
        name: "tail-cache",
        help: "Memory for recent batches, which readers at the end get without a read",
        kind: Kind::Bytes {
            min: 0,
            max: 1 << 40,
            set: |s, bytes| s.broker.limits.tail_cache_bytes = bytes,
        },
        get: |s| Some(quantity::exact_bytes(s.broker.limits.tail_cache_bytes)),
    },
    Setting {
        name: "log-level",
        help: "The least important log lines to write: error, warn, info, debug, trace or off; also by \
               part, as in `info,laminarmq_broker=debug`",
        kind: Kind::Filter(|s, filter| s.log_filter = filter),
        get: |s| Some(s.log_filter.text().to_owned()),
    },
    Setting {
        name: "log-format",
        help: "Shape of the log lines on stderr and of the ready line on stdout",
        kind: Kind::Choice {
            names: &["text", "json"],
            shown: "text|json",
            set: |s, at| s.log_format = [LogFormat::Text, LogFormat::Json][at],
        },
        get: |s| {
            Some(String::from(match s.log_format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            }))
        },
    },
];

/// A limit of the broker as the type of a count.
const fn small(limit: usize) -> u32 {
    assert!(limit <= u32::MAX as usize);
    #[expect(clippy::cast_possible_truncation, reason = "asserted above")]
    let limit = limit as u32;
    limit
}

fn wide(count: u32) -> usize {
    usize::try_from(count).expect("this program needs 32 bits of address space at least")
}

impl Setting {
    /// `LAMINARMQ_DATA_DIR` for `data-dir`.
    pub(crate) fn environment(&self) -> String {
        let mut name = String::from("LAMINARMQ_");
        for c in self.name.chars() {
            name.push(if c == '-' {
                '_'
            } else {
                c.to_ascii_uppercase()
            });
        }
        name
    }

    /// Checks `text` and hands its value to `settings`.
    ///
    /// # Errors
    ///
    /// A sentence about what is wrong with the text, which leaves the settings as they were.
    pub(crate) fn store(&self, settings: &mut ServeSettings, text: &str) -> Result<(), String> {
        match self.kind {
            Kind::Address(set) => set(settings, address::parse(text)?),
            Kind::AddressOrOff(set) if text == OFF => set(settings, None),
            Kind::AddressOrOff(set) => {
                let parsed = address::parse(text);
                set(
                    settings,
                    Some(parsed.map_err(|why| format!("{why}, or `{OFF}`"))?),
                );
            }
            Kind::Path(_) if text.is_empty() => return Err(String::from("the path is empty")),
            Kind::Path(set) => set(settings, PathBuf::from(text)),
            Kind::Switch(set) => {
                let on = switch(text);
                let on = on.ok_or_else(|| format!("`{text}` is neither `true` nor `false`"))?;
                set(settings, on);
            }
            Kind::Count { min, max, set } => {
                let number = text.parse().ok().filter(|n| (min..=max).contains(n));
                let number = number
                    .ok_or_else(|| format!("`{text}` is not a number from {min} to {max}"))?;
                set(settings, number);
            }
            Kind::Bytes { min, max, set } => {
                let bytes = quantity::parse_bytes(text)?;
                if !(min..=max).contains(&bytes) {
                    let (min, max) = (quantity::exact_bytes(min), quantity::exact_bytes(max));
                    return Err(format!("`{text}` is not between {min} and {max}"));
                }
                set(settings, bytes);
            }
            Kind::Period(set) => match quantity::parse_duration(text)? {
                Duration::ZERO => return Err(String::from("no time at all is too short")),
                period => set(settings, period),
            },
            Kind::Filter(set) => set(settings, LogFilter::parse(text)?),
            Kind::Nodes(set) => set(settings, cluster::parse_nodes(text)?),
            Kind::ClusterId(set) => set(settings, cluster::parse_id(text)?),
            Kind::Delay(set) => set(settings, quantity::parse_duration(text)?),
            Kind::Choice { names, set, .. } => {
                let at = names.iter().position(|name| *name == text);
                let at = at.ok_or_else(|| format!("`{text}` is none of {}", quoted_list(names)))?;
                set(settings, at);
            }
        }
        Ok(())
    }

    /// The value in `settings` as text; `None` where the setting has none.
    pub(crate) fn text(&self, settings: &ServeSettings) -> Option<String> {
        (self.get)(settings)
    }

    /// The word that stands for the value in `--help`.
    pub(crate) fn value_name(&self) -> &'static str {
        match self.kind {
            Kind::Address(_) => "HOST:PORT",
            Kind::AddressOrOff(_) => "HOST:PORT|off",
            Kind::Path(_) => "DIR",
            Kind::Switch(_) => "true|false",
            Kind::Count { .. } => "N",
            Kind::Bytes { .. } => "SIZE",
            Kind::Period(_) | Kind::Delay(_) => "TIME",
            Kind::Filter(_) => "FILTER",
            Kind::Nodes(_) => "ID@HOST:PORT,...",
            Kind::ClusterId(_) => "NAME",
            Kind::Choice { shown, .. } => shown,
        }
    }

    /// The value in `settings` with its type, for JSON: sizes in bytes, periods in milliseconds.
    pub(crate) fn json(&self, settings: &ServeSettings) -> Value {
        let Some(text) = self.text(settings) else {
            return Value::Null;
        };
        match self.kind {
            Kind::Switch(_) => json!(switch(&text)),
            Kind::Count { .. } => json!(text.parse::<u64>().ok()),
            Kind::Bytes { .. } => json!(quantity::parse_bytes(&text).ok()),
            Kind::Period(_) | Kind::Delay(_) => {
                let millis = quantity::parse_duration(&text).map(|period| period.as_millis());
                json!(millis.ok().and_then(|millis| u64::try_from(millis).ok()))
            }
            Kind::Address(_)
            | Kind::AddressOrOff(_)
            | Kind::Path(_)
            | Kind::Filter(_)
            | Kind::Nodes(_)
            | Kind::ClusterId(_)
            | Kind::Choice { .. } => {
                json!(text)
            }
        }
    }
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// `a`, `b` or `c`, each in back quotes.
fn quoted_list(names: &[&str]) -> String {
    let mut text = String::new();
    for (at, name) in names.iter().enumerate() {
        let joint = match at {
            0 => "",
            _ if at + 1 == names.len() => " or ",
            _ => ", ",
        };
        let _ = write!(text, "{joint}`{name}`");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(settings: &mut ServeSettings, name: &str, text: &str) -> Result<(), String> {
        let setting = SETTINGS.iter().find(|setting| setting.name == name);
        setting.expect("a known name").store(settings, text)
    }

    #[test]
    fn every_default_is_shown_in_a_form_that_reads_back() {
        for setting in SETTINGS {
            let Some(text) = setting.text(&ServeSettings::default()) else {
                continue;
            };
            let mut settings = ServeSettings::default();
            assert_eq!(setting.store(&mut settings, &text), Ok(()), "{text}");
            assert_eq!(setting.text(&settings), Some(text));
        }
    }

    #[test]
    fn every_setting_reaches_a_field_of_its_own() {
        let before = ServeSettings::default();
        for setting in SETTINGS {
            let text = match setting.kind {
                Kind::Address(_) | Kind::AddressOrOff(_) => String::from("[::1]:7"),
                Kind::Path(_) => String::from("/elsewhere"),
                Kind::Switch(_) => String::from("false"),
                Kind::Count { max, .. } => (max - 1).to_string(),
                Kind::Bytes { .. } => String::from("3MiB"),
                Kind::Period(_) | Kind::Delay(_) => String::from("7s"),
                Kind::Filter(_) => String::from("warn,laminarmq=debug"),
                Kind::Nodes(_) => String::from("1@a:1,2@[::1]:2"),
                Kind::ClusterId(_) => String::from("a-name_1"),
                Kind::Choice { names, .. } => names[1].to_owned(),
            };
            let mut after = ServeSettings::default();
            assert_eq!(setting.store(&mut after, &text), Ok(()), "{}", setting.name);
            assert_eq!(setting.text(&after), Some(text), "{}", setting.name);
            for other in SETTINGS.iter().filter(|other| other.name != setting.name) {
                assert_eq!(other.text(&before), other.text(&after), "{}", other.name);
            }
        }
    }

    #[test]
    fn the_bounds_are_those_of_the_broker() {
        for setting in SETTINGS {
            let Kind::Count { min, max, .. } = setting.kind else {
                continue;
            };
            for text in [min, max].map(|bound| bound.to_string()) {
                let mut settings = ServeSettings::default();
                assert_eq!(setting.store(&mut settings, &text), Ok(()));
                assert_eq!(settings.broker.validate(), Ok(()), "{}", setting.name);
            }
        }
    }

    #[test]
    fn names_are_unique_and_become_variables() {
        let mut names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SETTINGS.len());
        let data_dir = SETTINGS.iter().find(|setting| setting.name == "data-dir");
        let variable = data_dir.map(Setting::environment);
        assert_eq!(variable.as_deref(), Some("LAMINARMQ_DATA_DIR"));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let mut settings = ServeSettings::default();
        for (name, text, says) in [
            ("shards", "0", "`0` is not a number from 1 to 256"),
            ("log-format", "xml", "`xml` is none of `text` or `json`"),
            ("tail-cache", "2TiB", "`2TiB` is not between 0 and 1TiB"),
            ("idle-timeout", "0s", "no time at all is too short"),
            ("offsets-retention", "0s", "no time at all is too short"),
            ("data-dir", "", "the path is empty"),
            (
                "http",
                "8080",
                "the port is missing (want HOST:PORT), or `off`",
            ),
            (
                "auto-create-topics",
                "maybe",
                "`maybe` is neither `true` nor `false`",
            ),
        ] {
            let error = store(&mut settings, name, text).expect_err(name);
            assert_eq!(error, says);
        }
        let none = store(&mut settings, "group-initial-rebalance-delay", "0s");
        assert_eq!(none, Ok(()));
    }
}
