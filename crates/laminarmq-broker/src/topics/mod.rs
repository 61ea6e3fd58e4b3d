//! What a topic may be called and how it may be set up.

pub(crate) mod name;
pub(crate) mod settings;

pub(crate) use name::{NameError, check_name};
pub(crate) use settings::{
    SettingError, TimestampType, TopicDefaults, TopicSettings, collect_pairs,
};
