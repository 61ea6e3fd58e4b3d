//! The settings of a topic, under the names that other brokers use.
//!
//! A topic keeps the pairs that its creator gave, as text; [`TopicSettings`] is what they mean together
//! with the broker's defaults. [`TopicSettings::resolve`] is the only place that knows the names.

use crate::config::FlushMode;
use crate::limits;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TopicDefaults {
    pub(crate) flush: FlushMode,
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

    /// All settings with their values, as text.
    pub(crate) fn describe(&self) -> Vec<(&'static str, String)> {
        let timestamp_type = match self.timestamp_type {
            TimestampType::Create => "CreateTime",
            TimestampType::LogAppend => "LogAppendTime",
        };
        vec![
            ("cleanup.policy", "delete".to_owned()),
            ("compression.type", "producer".to_owned()),
            ("flush", self.flush.to_string()),
            ("max.message.bytes", self.max_message_bytes.to_string()),
            ("message.timestamp.type", timestamp_type.to_owned()),
            ("min.insync.replicas", "1".to_owned()),
            ("retention.bytes", "-1".to_owned()),
            ("retention.ms", "-1".to_owned()),
            ("segment.bytes", self.segment_bytes.to_string()),
        ]
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        let invalid = |want: &str| SettingError::Invalid {
            name: name.to_owned(),
            value: value.to_owned(),
            want: want.to_owned(),
        };
        let number = |min: u64, max: u64| match value.parse::<u64>() {
            Ok(n) if (min..=max).contains(&n) => Ok(n),
            _ => Err(invalid(&format!("a number from {min} to {max}"))),
        };
        let only = |want: &str, why: &str| {
            if value == want {
                Ok(())
            } else {
                Err(invalid(&format!("{want:?} ({why})")))
            }
        };
        match name {
            "flush" => self.flush = value.parse().map_err(|_| invalid("\"sync\" or \"os\""))?,
            "segment.bytes" => {
                self.segment_bytes = number(limits::SEGMENT_BYTES_MIN, limits::SEGMENT_BYTES_MAX)?;
            }
            "max.message.bytes" => {
                let min = limits::BATCH_OVERHEAD_BYTES.into();
                let bytes = number(min, limits::BATCH_BYTES_MAX.into())?;
                self.max_message_bytes = u32::try_from(bytes).expect("the range is one of u32");
            }
            "message.timestamp.type" => {
                self.timestamp_type = match value {
                    "CreateTime" => TimestampType::Create,
                    "LogAppendTime" => TimestampType::LogAppend,
                    _ => return Err(invalid("\"CreateTime\" or \"LogAppendTime\"")),
                };
            }
            "cleanup.policy" => only("delete", "compaction is not there yet")?,
            "compression.type" => only("producer", "batches are stored as they come")?,
            "min.insync.replicas" => only("1", "there is one node")?,
            "retention.ms" | "retention.bytes" => only("-1", "retention is not there yet")?,
            _ => return Err(SettingError::Unknown(name.to_owned())),
        }
        Ok(())
    }
}

/// The pairs of a request as a map; each has a name that occurs once, and a value.
pub(crate) fn collect_pairs(
    pairs: impl ExactSizeIterator<Item = (String, Option<String>)>,
) -> Result<BTreeMap<String, String>, SettingError> {
    if pairs.len() > limits::TOPIC_CONFIGS_MAX {
        return Err(SettingError::TooMany(pairs.len()));
    }
    let mut map = BTreeMap::new();
    for (name, value) in pairs {
        let Some(value) = value else {
            return Err(SettingError::NoValue { name });
        };
        if map.contains_key(&name) {
            return Err(SettingError::Twice(name));
        }
        map.insert(name, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(pairs: &[(&str, &str)]) -> Result<TopicSettings, SettingError> {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned())));
        TopicSettings::resolve(&collect_pairs(pairs)?, TopicDefaults::default())
    }

    #[test]
    fn settings_override_the_defaults() {
        let settings = resolve(&[
            ("flush", "os"),
            ("segment.bytes", "1048576"),
            ("max.message.bytes", "2000000"),
            ("message.timestamp.type", "LogAppendTime"),
            ("cleanup.policy", "delete"),
            ("compression.type", "producer"),
            ("min.insync.replicas", "1"),
            ("retention.ms", "-1"),
            ("retention.bytes", "-1"),
        ]);
        let want = TopicSettings {
            flush: FlushMode::Os,
            segment_bytes: 1 << 20,
            max_message_bytes: 2_000_000,
            timestamp_type: TimestampType::LogAppend,
        };
        assert_eq!(settings, Ok(want));
        let default = TopicSettings::of_defaults(TopicDefaults {
            flush: FlushMode::Os,
        });
        let map = BTreeMap::new();
        let resolved = TopicSettings::resolve(
            &map,
            TopicDefaults {
                flush: FlushMode::Os,
            },
        );
        assert_eq!(resolved, Ok(default));
    }

    #[test]
    fn what_is_described_can_be_given_back() {
        let settings =
            resolve(&[("flush", "os"), ("message.timestamp.type", "LogAppendTime")]).unwrap();
        let described: BTreeMap<_, _> = settings
            .describe()
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v))
            .collect();
        assert_eq!(
            TopicSettings::resolve(&described, TopicDefaults::default()),
            Ok(settings)
        );
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (name, value, part) in [
            ("retention.ms", "1000", "retention is not there yet"),
            ("cleanup.policy", "compact", "compaction is not there yet"),
            ("segment.bytes", "10", "a number from 1024"),
            ("segment.bytes", "many", "a number from 1024"),
            ("max.message.bytes", "4294967296", "a number from 61"),
            ("flush", "never", "\"sync\" or \"os\""),
            ("message.timestamp.type", "now", "CreateTime"),
            ("unclean.thing", "1", "unknown topic setting"),
        ] {
            let error = resolve(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_setting_comes_once_and_with_a_value() {
        assert_eq!(
            resolve(&[("flush", "os"), ("flush", "os")]),
            Err(SettingError::Twice("flush".to_owned()))
        );
        let none = [("flush".to_owned(), None)];
        let error = collect_pairs(none.into_iter()).unwrap_err();
        assert_eq!(
            error,
            SettingError::NoValue {
                name: "flush".to_owned()
            }
        );
        let many: Vec<_> = (0..65)
            .map(|n| (format!("k{n}"), Some(String::new())))
            .collect();
        assert_eq!(
            collect_pairs(many.into_iter()),
            Err(SettingError::TooMany(65))
        );
    }
}
