//! The table of topic settings: the only place that knows their names. Names, types and defaults are those
//! of other brokers, so that what people's tools send and show fits.
//!
//! Some have one value only: what other values ask for is not there, and saying yes to them would be a lie.

use super::{TimestampType, TopicSettings};
use crate::limits;

/// One setting of a topic.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    /// What brokers call their default of it.
    pub(crate) node_name: &'static str,
    pub(crate) value_type: ValueType,
    pub(crate) documentation: &'static str,
    pub(super) rule: Rule,
}

/// Type of a value, by its number in DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueType {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// Which values are accepted, and what they do.
#[derive(Debug)]
pub(super) enum Rule {
    /// The value is a field of [`TopicSettings`].
    Field {
        get: fn(&TopicSettings) -> String,
        /// An error says what the value must be.
        set: fn(&mut TopicSettings, &str) -> Result<(), String>,
    },
    /// There is one value.
    Only {
        value: &'static str,
        why: &'static str,
    },
}

/// Looks a setting up.
pub(crate) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The largest number of milliseconds, or of anything else, that stands for "no limit" in many settings.
const NO_LIMIT: &str = "9223372036854775807";
const NO_COMPACTION: &str = "compaction is not there yet";

/// The one setting whose range depends on the topic; see [`TopicSettings::check_replicas`].
pub(super) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// Ascending by name.
pub(crate) static SETTINGS: &[Setting] = &[
    Setting {
        name: "cleanup.policy",
        node_name: "log.cleanup.policy",
        value_type: ValueType::List,
        documentation: "What happens to old records: \"delete\" removes them by age and size.",
        rule: Rule::Only {
            value: "delete",
            why: NO_COMPACTION,
        },
    },
    Setting {
        name: "compression.type",
        node_name: "compression.type",
        value_type: ValueType::String,
        documentation: "How batches are compressed on disk: \"producer\" keeps them as they came.",
        rule: Rule::Only {
            value: "producer",
            why: "batches are stored as they come",
        },
    },
    Setting {
        name: "delete.retention.ms",
        node_name: "log.cleaner.delete.retention.ms",
        value_type: ValueType::Long,
        documentation: "How long compaction keeps records without a value, in milliseconds.",
        rule: Rule::Only {
            value: "86400000",
            why: NO_COMPACTION,
        },
    },
    Setting {
        name: "flush",
        node_name: "flush",
        value_type: ValueType::String,
        documentation: "When a batch counts as saved: \"sync\" once it is on the disk, \"os\" once the \
                        operating system has it; then a power cut may take what was acknowledged.",
        rule: Rule::Field {
            get: |s| s.flush.to_string(),
            set: |s, value| {
                s.flush = value.parse().map_err(|_| "\"sync\" or \"os\"".to_owned())?;
                Ok(())
            },
        },
    },
    Setting {
        name: "flush.messages",
        node_name: "log.flush.interval.messages",
        value_type: ValueType::Long,
        documentation: "After how many records the log is flushed; see \"flush\", which says when instead.",
        rule: Rule::Only {
            value: NO_LIMIT,
            why: "\"flush\" says when records are saved",
        },
    },
    Setting {
        name: "flush.ms",
        node_name: "log.flush.interval.ms",
        value_type: ValueType::Long,
        documentation: "After how many milliseconds the log is flushed; see \"flush\", which says when instead.",
        rule: Rule::Only {
            value: NO_LIMIT,
            why: "\"flush\" says when records are saved",
        },
    },
    Setting {
        name: "max.compaction.lag.ms",
        node_name: "log.cleaner.max.compaction.lag.ms",
        value_type: ValueType::Long,
        documentation: "After how many milliseconds a record is compacted at the latest.",
        rule: Rule::Only {
            value: NO_LIMIT,
            why: NO_COMPACTION,
        },
    },
    Setting {
        name: "max.message.bytes",
        node_name: "message.max.bytes",
        value_type: ValueType::Int,
        documentation: "Largest batch that is accepted, as it is sent: compressed, its head included.",
        rule: Rule::Field {
            get: |s| s.max_message_bytes.to_string(),
            set: |s, value| {
                let min = limits::BATCH_OVERHEAD_BYTES.into();
                let bytes = number(value, min, limits::BATCH_BYTES_MAX.into())?;
                s.max_message_bytes = u32::try_from(bytes).expect("the range is one of u32");
                Ok(())
            },
        },
    },
    Setting {
        name: "message.timestamp.after.max.ms",
        node_name: "log.message.timestamp.after.max.ms",
        value_type: ValueType::Long,
        documentation: "How far a record's time may be after the broker's, in milliseconds.",
        rule: Rule::Only {
            value: NO_LIMIT,
            why: "times of producers are taken as they are",
        },
    },
    Setting {
        name: "message.timestamp.before.max.ms",
        node_name: "log.message.timestamp.before.max.ms",
        value_type: ValueType::Long,
        documentation: "How far a record's time may be before the broker's, in milliseconds.",
        rule: Rule::Only {
            value: NO_LIMIT,
            why: "times of producers are taken as they are",
        },
    },
    Setting {
        name: "message.timestamp.difference.max.ms",
        node_name: "log.message.timestamp.difference.max.ms",
        value_type: ValueType::Long,
        documentation: "How far a record's time and the broker's may be apart, in milliseconds.",
        rule: Rule::Only {
            value: NO_LIMIT,
            why: "times of producers are taken as they are",
        },
    },
    Setting {
        name: "message.timestamp.type",
        node_name: "log.message.timestamp.type",
        value_type: ValueType::String,
        documentation: "Who sets the time of a record: \"CreateTime\" the producer, \"LogAppendTime\" the \
                        broker.",
        rule: Rule::Field {
            get: |s| match s.timestamp_type {
                TimestampType::Create => "CreateTime".to_owned(),
                TimestampType::LogAppend => "LogAppendTime".to_owned(),
            },
            set: |s, value| {
                s.timestamp_type = match value {
                    "CreateTime" => TimestampType::Create,
                    "LogAppendTime" => TimestampType::LogAppend,
                    _ => return Err("\"CreateTime\" or \"LogAppendTime\"".to_owned()),
                };
                Ok(())
            },
        },
    },
    Setting {
        name: "min.cleanable.dirty.ratio",
        node_name: "log.cleaner.min.cleanable.ratio",
        value_type: ValueType::Double,
        documentation: "How much of a log is new to compaction before it starts.",
        rule: Rule::Only {
            value: "0.5",
            why: NO_COMPACTION,
        },
    },
    Setting {
        name: "min.compaction.lag.ms",
        node_name: "log.cleaner.min.compaction.lag.ms",
        value_type: ValueType::Long,
        documentation: "How many milliseconds a record is safe from compaction.",
        rule: Rule::Only {
            value: "0",
            why: NO_COMPACTION,
        },
    },
    Setting {
        name: MIN_INSYNC_REPLICAS,
        node_name: MIN_INSYNC_REPLICAS,
        value_type: ValueType::Int,
        documentation: "How many replicas must be in sync when a batch with acks=all comes, and have it on their \
                        disks before that is answered; a majority always must. A node's default counts as far \
                        as a topic has replicas.",
        rule: Rule::Field {
            get: |s| s.min_insync_replicas.to_string(),
            set: |s, value| {
                let replicas = number(value, 1, limits::NODES_MAX as u64)?;
                s.min_insync_replicas = u32::try_from(replicas).expect("the range is one of u32");
                Ok(())
            },
        },
    },
    Setting {
        name: "preallocate",
        node_name: "log.preallocate",
        value_type: ValueType::Boolean,
        documentation: "Whether the files of a new segment are made at their full size.",
        rule: Rule::Only {
            value: "false",
            why: "segments grow with what is written",
        },
    },
    Setting {
        name: "remote.storage.enable",
        node_name: "remote.log.storage.system.enable",
        value_type: ValueType::Boolean,
        documentation: "Whether old segments move to another storage.",
        rule: Rule::Only {
            value: "false",
            why: "there is no other storage",
        },
    },
    Setting {
        name: "retention.bytes",
        node_name: "log.retention.bytes",
        value_type: ValueType::Long,
        documentation: "How many bytes of a partition are kept at least; older segments go. -1 keeps all.",
        rule: Rule::Field {
            get: |s| bound_text(s.retention.bytes),
            set: |s, value| {
                s.retention.bytes = bound(value)?;
                Ok(())
            },
        },
    },
    Setting {
        name: "retention.ms",
        node_name: "log.retention.ms",
        value_type: ValueType::Long,
        documentation: "How many milliseconds records are kept at least; older segments go. -1 keeps all.",
        rule: Rule::Field {
            get: |s| bound_text(s.retention.age_ms),
            set: |s, value| {
                s.retention.age_ms = bound(value)?;
                Ok(())
            },
        },
    },
    Setting {
        name: "segment.bytes",
        node_name: "log.segment.bytes",
        value_type: ValueType::Long,
        documentation: "How large a segment file gets before the next one is started.",
        rule: Rule::Field {
            get: |s| s.segment_bytes.to_string(),
            set: |s, value| {
                s.segment_bytes =
                    number(value, limits::SEGMENT_BYTES_MIN, limits::SEGMENT_BYTES_MAX)?;
                Ok(())
            },
        },
    },
    Setting {
        name: "segment.jitter.ms",
        node_name: "log.roll.jitter.ms",
        value_type: ValueType::Long,
        documentation: "By how many milliseconds the start of a segment is put off at random.",
        rule: Rule::Only {
            value: "0",
            why: "segments of many topics do not start together",
        },
    },
    Setting {
        name: "segment.ms",
        node_name: "log.roll.ms",
        value_type: ValueType::Long,
        documentation: "How old a segment gets, in milliseconds, before the next record starts a new one.",
        rule: Rule::Field {
            get: |s| bound_text(s.retention.segment_age_ms),
            set: |s, value| {
                s.retention.segment_age_ms = Some(number(value, 1, i64::MAX.unsigned_abs())?);
                Ok(())
            },
        },
    },
    Setting {
        name: "unclean.leader.election.enable",
        node_name: "unclean.leader.election.enable",
        value_type: ValueType::Boolean,
        documentation: "Whether a replica that lacks acknowledged records may lead.",
        rule: Rule::Only {
            value: "false",
            why: "a leader has what was acknowledged",
        },
    },
];

/// A bound that may be missing, which is written -1.
fn bound(value: &str) -> Result<Option<u64>, String> {
    if value == "-1" {
        return Ok(None);
    }
    match number(value, 0, i64::MAX.unsigned_abs()) {
        Ok(bound) => Ok(Some(bound)),
        Err(_) => Err("-1, or a number from 0".to_owned()),
    }
}

fn bound_text(bound: Option<u64>) -> String {
    bound.map_or("-1".to_owned(), |bound| bound.to_string())
}

fn number(value: &str, min: u64, max: u64) -> Result<u64, String> {
    match value.parse() {
        Ok(n) if (min..=max).contains(&n) => Ok(n),
        _ => Err(format!("a number from {min} to {max}")),
    }
}
