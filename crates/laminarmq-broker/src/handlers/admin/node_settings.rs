//! The settings of the node under the names by which tools look for them. They are set when it starts.

use crate::config::BrokerConfig;
use crate::context::Context;
use crate::groups::GROUPS_PARTITIONS;
use crate::limits;
use crate::topics::{Described, TopicDefaults, TopicSettings, ValueType};

/// A version of other brokers that offers what this one does; tools conclude from it what they may ask for.
const PROTOCOL_VERSION: &str = "3.0-IV1";

/// One setting of a node.
struct NodeSetting {
    name: &'static str,
    value_type: ValueType,
    documentation: &'static str,
    value: fn(&BrokerConfig) -> String,
}

static SETTINGS: &[NodeSetting] = &[
    NodeSetting {
        name: "advertised.listeners",
        value_type: ValueType::String,
        documentation: "Where clients are told to connect; without one, to the address that they dialled.",
        value: |config| {
            let address = config.advertise.as_ref().unwrap_or(&config.listen);
            format!("PLAINTEXT://{address}")
        },
    },
    NodeSetting {
        name: "auto.create.topics.enable",
        value_type: ValueType::Boolean,
        documentation: "Whether a topic that a client asks for is made when it is not there.",
        value: |config| config.auto_create_topics.to_string(),
    },
    NodeSetting {
        name: "connections.max.idle.ms",
        value_type: ValueType::Long,
        documentation: "After how many milliseconds a connection without requests is closed.",
        value: |config| config.limits.idle.as_millis().to_string(),
    },
    NodeSetting {
        name: "default.replication.factor",
        value_type: ValueType::Int,
        documentation: "Replicas of a partition whose creator did not say how many.",
        value: |_| "1".to_owned(),
    },
    NodeSetting {
        name: "delete.topic.enable",
        value_type: ValueType::Boolean,
        documentation: "Whether topics can be deleted.",
        value: |_| "true".to_owned(),
    },
    NodeSetting {
        name: "group.initial.rebalance.delay.ms",
        value_type: ValueType::Int,
        documentation: "How many milliseconds the first member of an empty group waits for others.",
        value: |config| {
            config
                .groups
                .initial_rebalance_delay
                .as_millis()
                .to_string()
        },
    },
    NodeSetting {
        name: "group.max.session.timeout.ms",
        value_type: ValueType::Int,
        documentation: "The longest session timeout of a member of a group, in milliseconds.",
        value: |config| config.groups.session_timeout_max.as_millis().to_string(),
    },
    NodeSetting {
        name: "group.max.size",
        value_type: ValueType::Int,
        documentation: "How many members a group may have.",
        value: |_| limits::GROUP_MEMBERS_MAX.to_string(),
    },
    NodeSetting {
        name: "group.min.session.timeout.ms",
        value_type: ValueType::Int,
        documentation: "The shortest session timeout of a member of a group, in milliseconds.",
        value: |config| config.groups.session_timeout_min.as_millis().to_string(),
    },
    NodeSetting {
        name: "inter.broker.protocol.version",
        value_type: ValueType::String,
        documentation: "A version of other brokers that offers what this one does.",
        value: |_| PROTOCOL_VERSION.to_owned(),
    },
    NodeSetting {
        name: "listeners",
        value_type: ValueType::String,
        documentation: "Where the node takes connections of clients.",
        value: |config| format!("PLAINTEXT://{}", config.listen),
    },
    NodeSetting {
        name: "log.dirs",
        value_type: ValueType::String,
        documentation: "The data directory.",
        value: |config| config.data_dir.display().to_string(),
    },
    NodeSetting {
        name: "log.message.format.version",
        value_type: ValueType::String,
        documentation: "Which record batches are stored: those of version 2.",
        value: |_| PROTOCOL_VERSION.to_owned(),
    },
    NodeSetting {
        name: "max.connections",
        value_type: ValueType::Int,
        documentation: "How many connections are served at the same time.",
        value: |config| config.limits.connections.to_string(),
    },
    NodeSetting {
        name: "num.partitions",
        value_type: ValueType::Int,
        documentation: "Partitions of a topic whose creator did not say how many.",
        value: |config| config.default_partitions.to_string(),
    },
    NodeSetting {
        name: "offset.metadata.max.bytes",
        value_type: ValueType::Int,
        documentation: "Longest metadata of a committed offset, in bytes.",
        value: |_| limits::OFFSET_METADATA_BYTES_MAX.to_string(),
    },
    NodeSetting {
        name: "offsets.retention.minutes",
        value_type: ValueType::Int,
        documentation: "How many minutes the offsets of a group without members are kept.",
        value: |config| (config.groups.offsets_retention.as_secs() / 60).to_string(),
    },
    NodeSetting {
        name: "offsets.topic.num.partitions",
        value_type: ValueType::Int,
        documentation: "Partitions in which groups and their offsets are kept.",
        value: |_| GROUPS_PARTITIONS.to_string(),
    },
    NodeSetting {
        name: "socket.request.max.bytes",
        value_type: ValueType::Int,
        documentation: "Largest request that is read, in bytes.",
        value: |config| config.limits.frame_bytes.to_string(),
    },
];

/// All settings of the node, its defaults for topics included, ascending by name.
pub(super) fn describe(context: &Context) -> Vec<Described> {
    let (config, built_in) = (&context.config, BrokerConfig::default());
    let mut all = TopicSettings::describe_node(TopicDefaults::of(config));
    all.extend(SETTINGS.iter().map(|setting| {
        Described::of_node(
            setting.name,
            setting.value_type,
            setting.documentation,
            (setting.value)(config),
            (setting.value)(&built_in),
        )
    }));
    for name in ["broker.id", "node.id"] {
        let (id, nobody) = (context.node_id.to_string(), "-1".to_owned());
        let documentation = "Number of the node in the cluster.";
        all.push(Described::of_node(
            name,
            ValueType::Int,
            documentation,
            id,
            nobody,
        ));
    }
    all.sort_by_key(|described| described.name);
    all
}
