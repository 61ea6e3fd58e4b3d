//! What a topic may be called and how it may be set up.

pub(crate) mod name;
pub(crate) mod settings;

pub(crate) use name::{NameError, check_name, is_internal};
pub(crate) use settings::{
    Described, Edit, Operation, SettingError, TimestampType, TopicDefaults, TopicSettings,
    ValueType, collect_pairs, edit_pairs,
};
