//! The data directory: who may use it, what it says about itself, and the folders of its partitions.
//!
//! - One process holds `LOCK` for as long as it uses the directory.
//! - `meta.json` is written last when a directory is made, so where it is there, everything else of the
//!   empty broker is there too; a directory that has `meta.json` and no metadata log is damaged.
//! - A folder under `topics/` that ends in `-<number>` is a partition. It appears under that name only
//!   complete, with its `partition.meta`, and disappears from under it in one step.
//! - Each directory entry is synced before anything that depends on it is acknowledged.
//!
//! The files are described in `docs/formats/data-directory.md`.

mod boot;
mod error;
mod files;
mod lock;
mod meta;
mod partition;

pub(crate) use boot::Boot;
pub(crate) use boot::InDoubt;
pub use error::DataDirError;
pub(crate) use meta::{Meta, Owner, cluster_id as cluster_id_of};
pub(crate) use partition::{PartitionMeta, PartitionName};

use crate::cluster::NodeId;
use crate::env::Env;
use crate::parallel::in_parallel;
use laminarmq_replica::GroupId;
use lock::DirLock;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Topic under whose name the metadata group keeps its folder.
pub(crate) const METADATA_TOPIC: &str = "__cluster_metadata";

/// An open, locked data directory.
#[derive(Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
    meta: Meta,
    boot: Boot,
    /// Held for its drop: the lock ends with this value.
    _lock: DirLock,
}

impl DataDir {
    /// Opens the directory at `root`, making it when it is not there.
    ///
    /// A new one belongs to `node` of that cluster, or of one of its own with a random name; one that is
    /// there already has to.
    pub(crate) fn open(root: &Path, env: &Env, owner: &Owner) -> Result<Self, DataDirError> {
        files::create_dir_all(root)?;
        let lock = DirLock::take(root)?;
        files::create_dir_all(&root.join("topics"))?;
        let found = Meta::read(root)?;
        let is_new = found.is_none();
        let meta = match found {
            Some(meta) => meta.of(root, owner)?,
            None => Self::initialise(root, env, owner)?,
        };
        let boot = Boot::open(root, env, is_new)?;
        let dir = Self {
            root: root.to_owned(),
            meta,
            boot,
            _lock: lock,
        };
        if !dir.partition_path(&PartitionName::metadata()).is_dir() {
            return Err(DataDirError::MetadataMissing {
                path: dir.partition_path(&PartitionName::metadata()),
            });
        }
        dir.sweep()?;
        Ok(dir)
    }

    fn initialise(root: &Path, env: &Env, owner: &Owner) -> Result<Meta, DataDirError> {
        let topics = root.join("topics");
        let name = PartitionName::metadata();
        for entry in files::list(&topics)? {
            // A first start that was cut short leaves the empty metadata folder; anything else belongs
            // to a broker that had a meta.json.
            if entry != name.to_string() && !entry.ends_with(partition::UNFINISHED) {
                return Err(DataDirError::MetaMissing {
                    path: root.join(meta::FILE),
                    found: entry,
                });
            }
        }
        let replica = owner.node.first_replica().get();
        partition::create(&topics, &name, &PartitionMeta::metadata(replica))?;
        let meta = Meta::new(env, owner);
        meta.write(root)?;
        tracing::info!(path = %root.display(), cluster_id = %meta.cluster_id, "made a new data directory");
        Ok(meta)
    }

    /// Removes what an interrupted creation or deletion left behind.
    fn sweep(&self) -> Result<(), DataDirError> {
        for entry in files::list(&self.topics())? {
            if entry.ends_with(partition::DELETED) || entry.ends_with(partition::UNFINISHED) {
                tracing::info!(folder = entry, "removing what an earlier run left");
                files::remove_dir_all(&self.topics().join(entry))?;
            }
        }
        Ok(())
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn boot(&self) -> &Boot {
        &self.boot
    }

    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Puts on record that all other nodes were heard of, and what their directories are called.
    pub(crate) fn record_directories(
        &mut self,
        directories: BTreeMap<i32, String>,
    ) -> Result<(), DataDirError> {
        self.meta.directories = directories;
        self.meta.write(&self.root)
    }

    /// Puts on record that this directory stands for one that was lost. Nothing was written to a log before.
    pub(crate) fn record_incarnation(
        &mut self,
        incarnation: u32,
        directories: BTreeMap<i32, String>,
    ) -> Result<(), DataDirError> {
        let node = NodeId::new(self.meta.node_id).expect("checked when it was opened");
        let replica = PartitionMeta::metadata(node.replica(incarnation).get());
        // First: a start in between finds the node without directories on record, and comes here again.
        partition::write_meta(&self.partition_path(&PartitionName::metadata()), &replica)?;
        self.meta.incarnation = incarnation;
        self.record_directories(directories)
    }

    fn topics(&self) -> PathBuf {
        self.root.join("topics")
    }

    /// Where the files of partition `name` are.
    pub(crate) fn partition_path(&self, name: &PartitionName) -> PathBuf {
        self.topics().join(name.to_string())
    }

    /// The folder of partition `name`, made when it is not there. A folder of that name that belongs to
    /// another partition (an earlier topic of the same name) is set aside first.
    pub(crate) fn open_partition(
        &self,
        name: &PartitionName,
        want: &PartitionMeta,
    ) -> Result<OpenedFolder, DataDirError> {
        let path = self.partition_path(name);
        match fs::metadata(&path) {
            Ok(_) => match PartitionMeta::read(&path)? {
                Some(found) if found == *want => {
                    return Ok(OpenedFolder {
                        path,
                        created: false,
                    });
                }
                found => {
                    let group = found.map_or(want.group_id, |meta| meta.group_id);
                    self.set_aside(&name.to_string(), group)?;
                }
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(DataDirError::io("look at", &path, error)),
        }
        partition::create(&self.topics(), name, want)?;
        Ok(OpenedFolder {
            path,
            created: true,
        })
    }

    /// Takes the folders of partitions out of use and removes their files. When this returns, their
    /// names are free, also after a crash. What belongs to another group stays. One that cannot be
    /// removed does not keep the others; the first error is returned.
    pub(crate) fn remove_partitions(
        &self,
        partitions: &[(PartitionName, GroupId)],
    ) -> Result<(), DataDirError> {
        let mut result = Ok(());
        let mut aside = Vec::with_capacity(partitions.len());
        for (name, group) in partitions {
            match self.rename_deleted(name, *group) {
                Ok(path) => aside.extend(path),
                Err(error) => result = result.and(Err(error)),
            }
        }
        // One sync for all of them: it is what takes the time.
        result = result.and(files::sync_dir(&self.topics()));
        let removed = in_parallel(&aside, |path| files::remove_dir_all(path));
        removed.into_iter().fold(result, Result::and)
    }

    fn rename_deleted(
        &self,
        name: &PartitionName,
        group: GroupId,
    ) -> Result<Option<PathBuf>, DataDirError> {
        let from = self.partition_path(name);
        match PartitionMeta::read(&from)? {
            Some(meta) if meta.group_id == group.0 => {}
            _ => return Ok(None),
        }
        let to = self.topics().join(format!("{group}{}", partition::DELETED));
        fs::rename(&from, &to).map_err(|error| DataDirError::io("rename", &from, error))?;
        Ok(Some(to))
    }

    /// Sets every partition folder aside that is not in `known`: nothing here deletes data that the
    /// metadata group did not ask to be deleted.
    pub(crate) fn set_strays_aside(
        &self,
        known: &std::collections::BTreeSet<String>,
    ) -> Result<(), DataDirError> {
        for entry in files::list(&self.topics())? {
            if PartitionName::parse(&entry).is_some() && !known.contains(&entry) {
                let group =
                    PartitionMeta::read(&self.topics().join(&entry))?.map_or(0, |m| m.group_id);
                self.set_aside(&entry, group)?;
            }
        }
        Ok(())
    }

    fn set_aside(&self, entry: &str, group: u64) -> Result<(), DataDirError> {
        let topics = self.topics();
        let aside = (0u32..)
            .map(|n| topics.join(format!("{group}.{n}{}", partition::STRAY)))
            .find(|path| !path.exists())
            .expect("there are fewer than 2^32 folders");
        tracing::warn!(
            folder = entry,
            to = %aside.display(),
            "this folder belongs to no partition that the metadata knows; it is set aside, not deleted"
        );
        let from = topics.join(entry);
        fs::rename(&from, &aside).map_err(|error| DataDirError::io("rename", &from, error))?;
        files::sync_dir(&topics)
    }
}

/// A partition's folder, ready for its log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OpenedFolder {
    pub(crate) path: PathBuf,
    /// It was not there before.
    pub(crate) created: bool,
}

#[cfg(test)]
mod tests;
