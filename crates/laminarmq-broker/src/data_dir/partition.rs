//! The folder of one partition: its name, and `partition.meta`, which says whose data it is.

use super::error::DataDirError;
use super::{METADATA_TOPIC, files};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// End of the name of a folder whose files are being removed.
pub(super) const DELETED: &str = ".deleted";
/// End of the name of a folder that is being made.
pub(super) const UNFINISHED: &str = ".unfinished";
/// End of the name of a folder that was set aside.
pub(super) const STRAY: &str = ".stray";

const FILE: &str = "partition.meta";
const VERSION: u32 = 1;

/// A topic's name and the number of a partition of it; written `<topic>-<number>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartitionName {
    pub(crate) topic: String,
    pub(crate) partition: u32,
}

impl PartitionName {
    pub(crate) fn new(topic: &str, partition: u32) -> Self {
        Self {
            topic: topic.to_owned(),
            partition,
        }
    }

    /// The folder of the metadata group.
    pub(crate) fn metadata() -> Self {
        Self::new(METADATA_TOPIC, 0)
    }

    pub(super) fn parse(folder: &str) -> Option<Self> {
        let (topic, number) = folder.rsplit_once('-')?;
        let partition: u32 = number.parse().ok()?;
        let name = Self::new(topic, partition);
        // "t-01" and "t-+1" parse as numbers but are not how a partition is written.
        (!topic.is_empty() && name.to_string() == folder).then_some(name)
    }
}

impl fmt::Display for PartitionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// What `partition.meta` holds: the identity of the data beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartitionMeta {
    version: u32,
    /// Id of the topic, which a topic of the same name that is made later does not share.
    pub(crate) topic_id: String,
    /// Group of the partition, given once by the metadata group.
    pub(crate) group_id: u64,
    /// This replica in the group.
    pub(crate) replica_id: u64,
}

impl PartitionMeta {
    pub(crate) fn new(topic_id: [u8; 16], group_id: u64, replica_id: u64) -> Self {
        Self {
            version: VERSION,
            topic_id: hex(topic_id),
            group_id,
            replica_id,
        }
    }

    /// Of this replica of the metadata group.
    pub(crate) fn metadata(replica: u64) -> Self {
        Self::new([0; 16], 0, replica)
    }

    /// `None` when the folder has no such file.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, DataDirError> {
        let path = folder.join(FILE);
        let Some(content) = files::read_whole(&path)? else {
            return Ok(None);
        };
        let meta: Self =
            serde_json::from_slice(&content).map_err(|error| DataDirError::Damaged {
                path: path.clone(),
                reason: error.to_string(),
            })?;
        if meta.version != VERSION {
            return Err(DataDirError::OtherFormat {
                path,
                found: meta.version,
                known: VERSION,
            });
        }
        Ok(Some(meta))
    }
}

/// Makes the folder of partition `name`: complete under another name, then renamed and synced, so that
/// a folder of that name always has its `partition.meta`.
pub(super) fn create(
    topics: &Path,
    name: &PartitionName,
    meta: &PartitionMeta,
) -> Result<(), DataDirError> {
    let path = topics.join(name.to_string());
    if path.is_dir() {
        return Ok(());
    }
    let aside = topics.join(format!("{}{UNFINISHED}", meta.group_id));
    match fs::create_dir(&aside) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(DataDirError::io("make the folder", &aside, error)),
    }
    write_meta(&aside, meta)?;
    fs::rename(&aside, &path).map_err(|error| DataDirError::io("rename", &aside, error))?;
    files::sync_dir(topics)
}

/// Writes a folder's `partition.meta` anew.
pub(super) fn write_meta(folder: &Path, meta: &PartitionMeta) -> Result<(), DataDirError> {
    let mut text = serde_json::to_string_pretty(meta).expect("plain fields always serialise");
    text.push('\n');
    files::write_whole(folder, FILE, text.as_bytes())
}

fn hex(bytes: [u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
