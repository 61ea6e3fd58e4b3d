//! The settings of a topic, under the names that other brokers use.
//!
//! A topic keeps the pairs that people gave, as text; [`TopicSettings`] is what they mean together with the
//! node's defaults. The [`table`] is the only place that knows the names.

mod describe;
mod edit;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use describe::Described;
pub(crate) use edit::{Edit, Operation, edit_pairs};
pub(crate) use table::ValueType;

use describe::{Source, Synonym};
use table::{MIN_INSYNC_REPLICAS, Rule, SETTINGS, Setting, find};

use crate::config::{BrokerConfig, FlushMode};
use crate::limits;
use crate::shard::Retention;
use std::collections::BTreeMap;

/// Who sets the time of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TimestampType {
    /// The producer.
    #[default]
    Create,
    /// The broker, when it takes the batch.
    LogAppend,
}

/// What the broker's configuration says about topics that do not say it themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopicDefaults {
    pub(crate) flush: FlushMode,
    /// At least 1.
    pub(crate) min_insync_replicas: u32,
}

impl TopicDefaults {
    pub(crate) fn of(config: &BrokerConfig) -> Self {
        Self {
            flush: config.default_flush,
            min_insync_replicas: config.default_min_insync_replicas,
        }
    }
}

impl Default for TopicDefaults {
    fn default() -> Self {
        Self::of(&BrokerConfig::default())
    }
}

/// The settings in force for one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicSettings {
    pub(crate) flush: FlushMode,
    /// A segment is closed once it holds this much.
    pub(crate) segment_bytes: u64,
    /// Largest batch that is accepted, head included.
    pub(crate) max_message_bytes: u32,
    pub(crate) timestamp_type: TimestampType,
    /// At least 1; see [`Self::min_in_sync`].
    pub(crate) min_insync_replicas: u32,
    pub(crate) retention: Retention,
}

/// A setting that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingError {
    #[error("unknown topic setting {0:?}")]
    Unknown(String),
    #[error("{name} needs a value")]
    NoValue { name: String },
    #[error("{name}={value:?} is not valid: it must be {want}")]
    Invalid {
        name: String,
        value: String,
        want: String,
    },
    #[error("{name} is no list: a value can be set, but not be added to it or taken out")]
    NotAList { name: String },
    #[error("{0:?} is given twice")]
    Twice(String),
    #[error("{0} settings, at most {max} are allowed", max = limits::TOPIC_CONFIGS_MAX)]
    TooMany(usize),
}

impl TopicSettings {
    /// What a topic without any setting of its own has.
    pub(crate) fn of_defaults(defaults: TopicDefaults) -> Self {
        Self {
            flush: defaults.flush,
            segment_bytes: limits::SEGMENT_BYTES_DEFAULT,
            max_message_bytes: limits::BATCH_BYTES_DEFAULT,
            timestamp_type: TimestampType::Create,
            min_insync_replicas: defaults.min_insync_replicas,
            retention: Retention {
                age_ms: None,
                bytes: None,
                segment_age_ms: Some(limits::SEGMENT_AGE_DEFAULT_MS),
            },
        }
    }

    /// What `pairs` mean on top of `defaults`.
    pub(crate) fn resolve(
        pairs: &BTreeMap<String, String>,
        defaults: TopicDefaults,
    ) -> Result<Self, SettingError> {
        let mut settings = Self::of_defaults(defaults);
        for (name, value) in pairs {
            settings.set(name, value)?;
        }
        Ok(settings)
    }

    /// Replicas that must have a batch with acks=all, of a partition with so many.
    ///
    /// What a topic says itself is never more than that, see [`Self::check_replicas`]. A node's default may be: it
    /// is made for topics of several replicas, and where there is one, all of them is what it can mean.
    pub(crate) fn min_in_sync(&self, replicas: usize) -> u32 {
        u32::try_from(replicas).map_or(self.min_insync_replicas, |replicas| {
            self.min_insync_replicas.min(replicas)
        })
    }

    /// Checks what a topic says itself against the number of its replicas, the fewest of a partition.
    ///
    /// Other brokers take `min.insync.replicas` above it, and refuse every batch with acks=all afterwards. Whoever
    /// makes such a topic hears of it here, and not whoever writes to it later. None that can be written to with
    /// acks=all is refused.
    pub(crate) fn check_replicas(
        pairs: &BTreeMap<String, String>,
        settings: &Self,
        replicas: usize,
    ) -> Result<(), SettingError> {
        match pairs.get(MIN_INSYNC_REPLICAS) {
            Some(value) if settings.min_insync_replicas as usize > replicas => {
                Err(SettingError::Invalid {
                    name: MIN_INSYNC_REPLICAS.to_owned(),
                    value: value.clone(),
                    want: format!("at most {replicas}, the number of the topic's replicas"),
                })
            }
            _ => Ok(()),
        }
    }

    /// All settings with their values, each with where it comes from. `given` is what the topic itself
    /// says, `defaults` what the node does.
    pub(crate) fn describe(
        &self,
        given: &BTreeMap<String, String>,
        defaults: TopicDefaults,
    ) -> Vec<Described> {
        let of_node = Self::describe_node(defaults);
        let describe = |(setting, of_node): (&'static Setting, Described)| {
            if !given.contains_key(setting.name) {
                return Described {
                    name: setting.name,
                    ..of_node
                };
            }
            let value = setting.value(self);
            let of_topic = Synonym {
                name: setting.name,
                value: value.clone(),
                source: Source::Topic,
            };
            let mut synonyms = vec![of_topic];
            synonyms.extend(of_node.synonyms);
            Described {
                name: setting.name,
                value,
                source: Source::Topic,
                synonyms,
                ..of_node
            }
        };
        SETTINGS.iter().zip(of_node).map(describe).collect()
    }

    /// What a node has for topics that do not say it themselves, under the names of the node's settings and
    /// in the order of the table.
    pub(crate) fn describe_node(defaults: TopicDefaults) -> Vec<Described> {
        let built_in = Self::of_defaults(TopicDefaults::default());
        let of_node = Self::of_defaults(defaults);
        let describe = |setting: &'static Setting| {
            Described::of_node(
                setting.node_name,
                setting.value_type,
                setting.documentation,
                setting.value(&of_node),
                setting.value(&built_in),
            )
        };
        SETTINGS.iter().map(describe).collect()
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        let setting = find(name).ok_or_else(|| SettingError::Unknown(name.to_owned()))?;
        let invalid = |want| SettingError::Invalid {
            name: name.to_owned(),
            value: value.to_owned(),
            want,
        };
        match setting.rule {
            Rule::Field { set, .. } => set(self, value).map_err(invalid),
            Rule::Only { value: only, why } if !only.eq_ignore_ascii_case(value) => {
                Err(invalid(format!("{only:?} ({why})")))
            }
            Rule::Only { .. } => Ok(()),
        }
    }
}

impl Setting {
    /// The value in force, as text.
    fn value(&self, settings: &TopicSettings) -> String {
        match self.rule {
            Rule::Field { get, .. } => get(settings),
            Rule::Only { value, .. } => value.to_owned(),
        }
    }
}

/// The pairs of a request as a map; each has a name that occurs once, and a value, which counts without the
/// spaces around it.
pub(crate) fn collect_pairs(
    pairs: impl ExactSizeIterator<Item = (String, Option<String>)>,
) -> Result<BTreeMap<String, String>, SettingError> {
    check_count(pairs.len())?;
    let mut map = BTreeMap::new();
    for (name, value) in pairs {
        let Some(value) = value else {
            return Err(SettingError::NoValue { name });
        };
        if map.contains_key(&name) {
            return Err(SettingError::Twice(name));
        }
        map.insert(name, value.trim().to_owned());
    }
    Ok(map)
}

fn check_count(count: usize) -> Result<(), SettingError> {
    if count > limits::TOPIC_CONFIGS_MAX {
        return Err(SettingError::TooMany(count));
    }
    Ok(())
}
