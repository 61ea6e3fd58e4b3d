//! Commands of the metadata group: what its log holds, in an encoding of our own.
//!
//! ```text
//! command   version u8, kind u8, fields of the kind
//! u32, u64  little-endian              text   u16 length, UTF-8
//! id        16 bytes                   list   u32 count, elements
//! ```
//!
//! A command says everything that applying it needs, so every node that applies the same commands has the
//! same state: it holds no clock, no random choice and no setting of one node. Described in
//! `docs/formats/metadata-commands.md`.

use crate::topics::{NameError, check_name};
use laminarmq_kafka::Uuid;
use std::collections::BTreeMap;

/// The version that is written, and the newest that is understood.
pub(crate) const VERSION: u8 = 1;

const CREATE_TOPIC: u8 = 1;
const DELETE_TOPIC: u8 = 2;
const ALLOCATE_PRODUCER_IDS: u8 = 3;
const ALTER_TOPIC: u8 = 4;
const ADD_PARTITIONS: u8 = 5;
const REGISTER_NODE: u8 = 6;
const REPLACE_NODE: u8 = 7;

/// One change of the cluster's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Makes a topic. Its partitions get the next group ids when this is applied.
    CreateTopic(CreateTopic),
    /// Removes the topic with this id.
    DeleteTopic { topic_id: Uuid },
    /// Gives `node` the next `count` producer ids.
    AllocateProducerIds { node: u32, count: u64 },
    /// Replaces all settings of the topic with this id.
    AlterTopic {
        topic_id: Uuid,
        /// As whoever changed them gave them; what is not here goes back to its default.
        settings: BTreeMap<String, String>,
    },
    /// Adds partitions to the topic with this id. They get the next group ids when this is applied.
    AddPartitions {
        topic_id: Uuid,
        /// How many it has before; with another number nothing happens, so that repeating the command adds
        /// nothing.
        present: u32,
        /// For each new partition, the nodes that hold it.
        replicas: Vec<Vec<u32>>,
    },
    /// Says where Kafka clients reach a node. Each node of a cluster says so when it starts.
    RegisterNode { node: u32, host: String, port: u16 },
    /// A node lost its directory and has another one: from now on its replicas are those of this
    /// incarnation, which must be the next one.
    ReplaceNode {
        node: u32,
        incarnation: u32,
        /// What its new directory is called.
        directory: String,
    },
}

/// The fields of [`Command::CreateTopic`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CreateTopic {
    pub(crate) topic_id: Uuid,
    pub(crate) name: String,
    /// For each partition, the nodes that hold it.
    pub(crate) replicas: Vec<Vec<u32>>,
    /// Settings as the creator gave them.
    pub(crate) settings: BTreeMap<String, String>,
}

/// Why bytes from the log are not a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(
        "metadata command of version {found}, this program knows version {VERSION}: start the program \
         that wrote it"
    )]
    Newer { found: u8 },
    #[error("metadata command of kind {0}, which version {VERSION} does not have")]
    Kind(u8),
    #[error("metadata command ends early")]
    Short,
    #[error("metadata command with {0} bytes too many")]
    Long(usize),
    #[error("metadata command with text that is not UTF-8")]
    Text,
    /// It would become the name of a folder.
    #[error("metadata command that makes topic {name:?}: {error}")]
    Name { name: String, error: NameError },
}

impl Command {
    /// The bytes that go into the log.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder(vec![VERSION]);
        match self {
            Command::CreateTopic(topic) => {
                out.0.push(CREATE_TOPIC);
                out.0.extend_from_slice(&topic.topic_id.0);
                out.text(&topic.name);
                out.replicas(&topic.replicas);
                out.settings(&topic.settings);
            }
            Command::DeleteTopic { topic_id } => {
                out.0.push(DELETE_TOPIC);
                out.0.extend_from_slice(&topic_id.0);
            }
            Command::AllocateProducerIds { node, count } => {
                out.0.push(ALLOCATE_PRODUCER_IDS);
                out.u32(*node);
                out.0.extend_from_slice(&count.to_le_bytes());
            }
            Command::AlterTopic { topic_id, settings } => {
                out.0.push(ALTER_TOPIC);
                out.0.extend_from_slice(&topic_id.0);
                out.settings(settings);
            }
            Command::AddPartitions {
                topic_id,
                present,
                replicas,
            } => {
                out.0.push(ADD_PARTITIONS);
                out.0.extend_from_slice(&topic_id.0);
                out.u32(*present);
                out.replicas(replicas);
            }
            Command::RegisterNode { node, host, port } => {
                out.0.push(REGISTER_NODE);
                out.u32(*node);
                out.text(host);
                out.0.extend_from_slice(&port.to_le_bytes());
            }
            Command::ReplaceNode {
                node,
                incarnation,
                directory,
            } => {
                out.0.push(REPLACE_NODE);
                out.u32(*node);
                out.u32(*incarnation);
                out.text(directory);
            }
        }
        out.0
    }

    /// Reads what [`Command::encode`] wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CommandError> {
        let mut input = Decoder(bytes);
        let [version, kind] = input.array()?;
        if version != VERSION {
            return Err(CommandError::Newer { found: version });
        }
        let command = match kind {
            CREATE_TOPIC => Command::CreateTopic(CreateTopic {
                topic_id: Uuid(input.array()?),
                name: input.topic_name()?,
                replicas: input.replicas()?,
                settings: input.settings()?,
            }),
            DELETE_TOPIC => Command::DeleteTopic {
                topic_id: Uuid(input.array()?),
            },
            ALLOCATE_PRODUCER_IDS => Command::AllocateProducerIds {
                node: input.u32()?,
                count: u64::from_le_bytes(input.array()?),
            },
            ALTER_TOPIC => Command::AlterTopic {
                topic_id: Uuid(input.array()?),
                settings: input.settings()?,
            },
            ADD_PARTITIONS => Command::AddPartitions {
                topic_id: Uuid(input.array()?),
                present: input.u32()?,
                replicas: input.replicas()?,
            },
            REGISTER_NODE => Command::RegisterNode {
                node: input.u32()?,
                host: input.text()?,
                port: u16::from_le_bytes(input.array()?),
            },
            REPLACE_NODE => Command::ReplaceNode {
                node: input.u32()?,
                incarnation: input.u32()?,
                directory: input.text()?,
            },
            other => return Err(CommandError::Kind(other)),
        };
        if input.0.is_empty() {
            Ok(command)
        } else {
            Err(CommandError::Long(input.0.len()))
        }
    }
}

struct Encoder(Vec<u8>);

impl Encoder {
    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("requests are far below 2^32 elements"));
    }

    fn text(&mut self, text: &str) {
        let length = u16::try_from(text.len()).expect("names and settings are checked to be short");
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn replicas(&mut self, replicas: &[Vec<u32>]) {
        self.count(replicas.len());
        for nodes in replicas {
            self.count(nodes.len());
            nodes.iter().for_each(|node| self.u32(*node));
        }
    }

    fn settings(&mut self, settings: &BTreeMap<String, String>) {
        self.count(settings.len());
        for (name, value) in settings {
            self.text(name);
            self.text(value);
        }
    }
}

struct Decoder<'a>(&'a [u8]);

impl Decoder<'_> {
    fn take(&mut self, length: usize) -> Result<&[u8], CommandError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CommandError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CommandError> {
        Ok(self
            .take(N)?
            .try_into()
            .expect("take gives as many bytes as asked"))
    }

    fn u32(&mut self) -> Result<u32, CommandError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Result<String, CommandError> {
        let length = u16::from_le_bytes(self.array()?);
        let bytes = self.take(length.into())?;
        String::from_utf8(bytes.to_vec()).map_err(|_| CommandError::Text)
    }

    fn topic_name(&mut self) -> Result<String, CommandError> {
        let name = self.text()?;
        match check_name(&name) {
            Ok(()) => Ok(name),
            Err(error) => Err(CommandError::Name { name, error }),
        }
    }

    fn replicas(&mut self) -> Result<Vec<Vec<u32>>, CommandError> {
        self.list(|input| input.list(Decoder::u32))
    }

    fn settings(&mut self) -> Result<BTreeMap<String, String>, CommandError> {
        self.list(|input| Ok((input.text()?, input.text()?)))
    }

    /// Elements until the count is reached. Each takes at least a byte, so a wrong count runs into the
    /// end of the bytes before it costs more memory than they do.
    fn list<T, C: FromIterator<T>>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, CommandError>,
    ) -> Result<C, CommandError> {
        let count = self.u32()?;
        (0..count).map(|_| element(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn topic() -> Command {
        Command::CreateTopic(CreateTopic {
            topic_id: Uuid([9; 16]),
            name: "orders".to_owned(),
            replicas: vec![vec![1], vec![1, 2]],
            settings: BTreeMap::from([("flush".to_owned(), "os".to_owned())]),
        })
    }

    fn alteration() -> Command {
        Command::AlterTopic {
            topic_id: Uuid([4; 16]),
            settings: BTreeMap::from([("flush".to_owned(), "sync".to_owned())]),
        }
    }

    fn more_partitions() -> Command {
        Command::AddPartitions {
            topic_id: Uuid([5; 16]),
            present: 2,
            replicas: vec![vec![1], vec![2, 1]],
        }
    }

    fn registration() -> Command {
        Command::RegisterNode {
            node: 2,
            host: "b.example".to_owned(),
            port: 0x2384,
        }
    }

    fn replacement() -> Command {
        Command::ReplaceNode {
            node: 3,
            incarnation: 2,
            directory: "name".to_owned(),
        }
    }

    #[test]
    fn commands_come_back_as_they_were() {
        for command in [
            topic(),
            Command::DeleteTopic {
                topic_id: Uuid([3; 16]),
            },
            Command::AllocateProducerIds {
                node: 1,
                count: 1000,
            },
            alteration(),
            more_partitions(),
            registration(),
            replacement(),
        ] {
            assert_eq!(Command::decode(&command.encode()), Ok(command));
        }
    }

    #[test]
    fn the_bytes_are_the_documented_ones() {
        let delete = Command::DeleteTopic {
            topic_id: Uuid([0xab; 16]),
        }
        .encode();
        assert_eq!(delete, [&[1, 2][..], &[0xab; 16]].concat());
        let ids = Command::AllocateProducerIds {
            node: 7,
            count: 0x0102,
        }
        .encode();
        assert_eq!(ids, [1, 3, 7, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
        let mut want = vec![1, 1];
        want.extend([9; 16]);
        want.extend(b"\x06\0orders\x02\0\0\0\x01\0\0\0\x01\0\0\0\x02\0\0\0\x01\0\0\0\x02\0\0\0");
        want.extend(b"\x01\0\0\0\x05\0flush\x02\0os");
        assert_eq!(topic().encode(), want);
        let mut want = vec![1, 4];
        want.extend([4; 16]);
        want.extend(b"\x01\0\0\0\x05\0flush\x04\0sync");
        assert_eq!(alteration().encode(), want);
        let mut want = vec![1, 5];
        want.extend([5; 16]);
        want.extend(b"\x02\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\0\0");
        want.extend(b"\x02\0\0\0\x02\0\0\0\x01\0\0\0");
        assert_eq!(more_partitions().encode(), want);
        let want = b"\x01\x06\x02\0\0\0\x09\0b.example\x84\x23";
        assert_eq!(registration().encode(), want);
        let want = b"\x01\x07\x03\0\0\0\x02\0\0\0\x04\0name";
        assert_eq!(replacement().encode(), want);
    }

    /// What comes from another node becomes the name of a folder on this one.
    #[test]
    fn a_topic_that_could_not_be_made_here_is_none() {
        for name in ["", "..", "../x", "a/b", "a\0"] {
            let Command::CreateTopic(mut create) = topic() else {
                unreachable!("it makes a topic")
            };
            create.name = name.to_owned();
            let read = Command::decode(&Command::CreateTopic(create).encode());
            assert!(
                matches!(&read, Err(CommandError::Name { name: given, .. }) if given == name),
                "{read:?}"
            );
        }
    }

    #[test]
    fn newer_and_damaged_commands_are_told_apart() {
        let mut bytes = topic().encode();
        bytes[0] = 9;
        assert_eq!(
            Command::decode(&bytes),
            Err(CommandError::Newer { found: 9 })
        );
        assert_eq!(Command::decode(&[1, 77]), Err(CommandError::Kind(77)));
        let mut long = topic().encode();
        long.push(0);
        assert_eq!(Command::decode(&long), Err(CommandError::Long(1)));
    }

    proptest! {
        #[test]
        fn cut_commands_are_short_and_no_bytes_panic(bytes: Vec<u8>, cut in 0usize..60) {
            for whole in [topic(), alteration(), more_partitions(), registration(), replacement()] {
                let whole = whole.encode();
                let cut = cut.min(whole.len() - 1);
                prop_assert_eq!(Command::decode(&whole[..cut]), Err(CommandError::Short));
            }
            let _ = Command::decode(&bytes);
        }
    }
}
