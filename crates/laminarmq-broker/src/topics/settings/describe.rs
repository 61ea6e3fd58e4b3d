//! What is told about a setting: its value, where that comes from, and what else it could be.

use super::ValueType;

/// Where a value comes from, by its number in DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The topic says so.
    Topic = 1,
    /// The node was started with it.
    Node = 4,
    /// Nobody said anything.
    Default = 5,
}

/// A setting with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) value_type: ValueType,
    pub(crate) documentation: &'static str,
    pub(crate) source: Source,
    /// All places that have a value, the one that counts first.
    pub(crate) synonyms: Vec<Synonym>,
}

/// A place that has a value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synonym {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) source: Source,
}

impl Described {
    /// A setting of a node, which comes from its start where it is not what it would be without a word.
    pub(crate) fn of_node(
        name: &'static str,
        value_type: ValueType,
        documentation: &'static str,
        value: String,
        built_in: String,
    ) -> Self {
        let is_default = value == built_in;
        let at = |value, source| Synonym {
            name,
            value,
            source,
        };
        let mut synonyms = vec![at(built_in, Source::Default)];
        if !is_default {
            synonyms.insert(0, at(value.clone(), Source::Node));
        }
        Self {
            name,
            source: synonyms[0].source,
            value,
            value_type,
            documentation,
            synonyms,
        }
    }
}
