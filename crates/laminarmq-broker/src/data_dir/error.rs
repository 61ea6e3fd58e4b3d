use std::io;
use std::path::{Path, PathBuf};

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has the directory open.
    #[error(
        "the data directory {} is in use by another process ({}); stop it, or choose another \
         directory with --data-dir",
        path.display(), holder(.pid)
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Process id that its `LOCK` file names.
        pid: Option<u32>,
    },
    /// It was written by another program: a newer one, or one from before the format was settled.
    #[error(
        "{} has format version {found}, but this program knows version {known}; start the program \
         that wrote it, or name another directory",
        path.display()
    )]
    OtherFormat {
        /// The file that says so.
        path: PathBuf,
        /// Version found.
        found: u32,
        /// The version that this program can read.
        known: u32,
    },
    /// It belongs to another cluster.
    #[error(
        "the data directory {} belongs to cluster {found}, and this node shall be of cluster {wanted}; \
         choose another directory with --data-dir, or name the cluster with --cluster-id {found}",
        path.display()
    )]
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// The cluster that it belongs to.
        found: String,
        /// The one that it should.
        wanted: String,
    },
    /// It belongs to a node that is alone, and this one shall not be.
    #[error(
        "the data directory {} belongs to a node that is alone, which cannot become a part of a cluster; \
         choose another directory with --data-dir",
        path.display()
    )]
    Alone {
        /// The directory.
        path: PathBuf,
    },
    /// It belongs to a node of a cluster, and this one shall be alone.
    #[error(
        "the data directory {} belongs to node {node} of a cluster; name its nodes with --cluster, or choose \
         another directory with --data-dir",
        path.display()
    )]
    OfCluster {
        /// The directory.
        path: PathBuf,
        /// The node.
        node: i32,
    },
    /// It belongs to another node.
    #[error(
        "the data directory {} belongs to node {found}, and this is node {wanted}; choose another \
         directory with --data-dir, or start the node with --node-id {found}",
        path.display()
    )]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// The node that it belongs to.
        found: i32,
        /// The one that it should.
        wanted: i32,
    },
    /// `meta.json` is missing while partitions are there.
    #[error(
        "{} is missing, but the directory already holds {found:?}; this is not an empty directory and \
         not a complete data directory: restore the file, or choose another directory",
        path.display()
    )]
    MetaMissing {
        /// The file that is missing.
        path: PathBuf,
        /// The first thing found.
        found: String,
    },
    /// The folder of the cluster metadata is missing.
    #[error("{} is missing: without it nobody knows which topics there are; restore it", path.display())]
    MetadataMissing {
        /// The folder that is missing.
        path: PathBuf,
    },
    /// A file cannot be understood.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DataDirError {
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

fn holder(pid: &Option<u32>) -> String {
    pid.map_or_else(
        || "which has not written its number".to_owned(),
        |pid| format!("pid {pid}"),
    )
}
