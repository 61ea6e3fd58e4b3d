//! Opens the replicas of this node's partitions: folder, log, saved state.

use super::state::{METADATA_GROUP, Topic, TopicPartition};
use crate::cluster::NodeId;
use crate::config::FlushMode;
use crate::data_dir::{DataDir, DataDirError, PartitionMeta, PartitionName};
use crate::env::{Env, millis};
use crate::groups::GROUPS_TOPIC;
use crate::limits::{
    BATCH_BYTES_MAX, COMMAND_BYTES_MAX, ELECTION_TICKS, GROUP_COMMAND_BYTES_MAX,
    GROUP_UNCOMMITTED_BYTES_MAX, HEARTBEAT_TICKS, PARTITION_TAIL_BYTES_MAX, REST_TICKS,
    SEALED_FILES_OPEN_MAX,
};
use crate::topics::TopicSettings;
use laminarmq::{FileEnv, Log, LogOptions, OpenFiles, Recovery, poll_ready};
use laminarmq_replica::{
    Flush, GroupId, GroupState, Membership, PRODUCERS_BYTES_MAX, Replica, ReplicaConfig, ReplicaId,
    Term, Tuning,
};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The longest record that any partition's log may hold.
const RECORD_BYTES_MAX: u64 = BATCH_BYTES_MAX as u64;
/// More terms than a partition has before its node's disk is lost: a start of a group of one is a term.
const TERMS_PER_INCARNATION: u32 = 1 << 20;
/// Disks lost on one node, beyond which their terms are not told apart any more.
const INCARNATIONS_TOLD: u32 = 1 << 10;
const _: () = assert!(INCARNATIONS_TOLD <= Term::MAX.0 / TERMS_PER_INCARNATION);
const _: () = assert!(PRODUCERS_BYTES_MAX <= RECORD_BYTES_MAX);
const _: () = assert!(COMMAND_BYTES_MAX as u64 <= RECORD_BYTES_MAX);
const _: () = assert!(GROUP_COMMAND_BYTES_MAX as u64 <= RECORD_BYTES_MAX);

/// Why a partition cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its folder.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// Its folder's files.
    #[error("cannot open the log in {}: {source}", path.display())]
    Files {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its log.
    #[error("cannot open the log in {}: {source}", path.display())]
    Log {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        source: laminarmq::OpenError,
    },
    /// The folder was there, is gone, and other nodes count on what it held.
    #[error(
        "the folder {} is gone, and this node's part of the partition with it: put it back, or start the node \
         with an empty data directory, and it gets everything that other nodes hold from them", path.display()
    )]
    Emptied {
        /// The folder.
        path: PathBuf,
    },
    /// Its replica.
    #[error("cannot open the partition in {}: {source}", path.display())]
    Replica {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        source: laminarmq_replica::OpenError,
    },
}

/// See the module's documentation. Shared by the threads that open partitions at the start.
#[derive(Debug)]
pub(crate) struct Opener {
    dir: Arc<DataDir>,
    env: Env,
    /// This node.
    node: NodeId,
    /// Its replica of each group.
    replica: ReplicaId,
    /// The members of the metadata group.
    metadata_members: Membership,
    /// The files of sealed segments that are open at once, of all partitions together.
    files: OpenFiles,
    /// What raft-state held when the broker started; taken when its group is opened.
    saved: Mutex<HashMap<GroupId, GroupState>>,
    tails: Mutex<TailBudget>,
}

impl Opener {
    pub(crate) fn new(
        dir: Arc<DataDir>,
        env: Env,
        node: NodeId,
        nodes: &[NodeId],
        saved: Vec<GroupState>,
        tail_cache_bytes: u64,
    ) -> Self {
        let replicas = nodes.iter().map(|node| node.first_replica());
        let saved = saved
            .into_iter()
            .map(|state| (state.group, state))
            .collect();
        let replica = node.replica(dir.meta().incarnation);
        let tails = TailBudget {
            free: tail_cache_bytes,
            shares: BTreeMap::new(),
        };
        Self {
            dir,
            env,
            node,
            replica,
            metadata_members: Membership::of_voters(replicas),
            files: OpenFiles::at_most(SEALED_FILES_OPEN_MAX),
            saved: Mutex::new(saved),
            tails: Mutex::new(tails),
        }
    }

    /// The files of sealed segments that are open, of all partitions together.
    pub(crate) fn sealed_files(&self) -> OpenFiles {
        self.files.clone()
    }

    pub(crate) fn dir(&self) -> &DataDir {
        &self.dir
    }

    /// The replica of the metadata group.
    pub(crate) fn open_metadata(&self) -> Result<Replica<FileEnv>, OpenError> {
        let members = self.metadata_members.clone();
        let mut config = self.replica_config(METADATA_GROUP, members);
        config.state_machine = true;
        config.entry_bytes_max = u32::try_from(COMMAND_BYTES_MAX).expect("a limit of 1 MiB");
        self.open(
            &PartitionName::metadata(),
            &PartitionMeta::metadata(self.replica.get()),
            config,
            None,
        )
    }

    /// The replica of one partition of a topic.
    pub(crate) fn open_partition(
        &self,
        topic: &Topic,
        partition: u32,
        settings: &TopicSettings,
    ) -> Result<Replica<FileEnv>, OpenError> {
        let TopicPartition { group, .. } = topic.partitions[partition as usize];
        let reborn = self.reborn(topic, partition);
        let members = reborn
            .as_ref()
            .map(|state| state.membership.members.clone());
        let founding = || topic.partitions[partition as usize].founding_members();
        let mut config = self.replica_config(group, members.unwrap_or_else(founding));
        config.tune(tuning(settings));
        // So a new partition is led by the first of its nodes, and at once.
        config.stands_first =
            topic.partitions[partition as usize].founders.first() == Some(&self.replica);
        if topic.name == GROUPS_TOPIC {
            // Its entries are commands, which the coordinator of groups keeps in memory itself.
            config.state_machine = true;
            config.entry_bytes_max = GROUP_COMMAND_BYTES_MAX;
            config.uncommitted_bytes_max = GROUP_UNCOMMITTED_BYTES_MAX;
        } else {
            let mut tails = self.tails.lock().expect("no holder panics");
            config.tail_cache_bytes = tails.take(group);
        }
        let meta = PartitionMeta::new(topic.id.0, group.0, self.replica.get());
        self.open(
            &PartitionName::new(&topic.name, partition),
            &meta,
            config,
            reborn,
        )
    }

    /// Groups with saved state that nobody opened.
    pub(crate) fn unclaimed(&self) -> Vec<GroupId> {
        self.saved
            .lock()
            .expect("no holder panics")
            .drain()
            .map(|(group, _)| group)
            .collect()
    }

    /// Gives back what a partition that is gone had.
    pub(crate) fn forget(&self, group: GroupId) {
        self.tails
            .lock()
            .expect("no holder panics")
            .give_back(group);
    }

    /// The first state of a partition that no other node held, and that was lost with this node's directory:
    /// nobody can replace it, so it begins anew. Its terms begin above all that were before: clients know those as
    /// leader epochs, and take none that is lower.
    fn reborn(&self, topic: &Topic, partition: u32) -> Option<GroupState> {
        let TopicPartition {
            group, founders, ..
        } = &topic.partitions[partition as usize];
        let is_lost =
            |founder: ReplicaId| founder != self.replica && NodeId::of(founder) == Some(self.node);
        let [founder] = founders[..] else { return None };
        is_lost(founder).then(|| GroupState {
            term: Term(self.dir.meta().incarnation.min(INCARNATIONS_TOLD) * TERMS_PER_INCARNATION),
            ..GroupState::first(*group, self.replica, Membership::of_voters([self.replica]))
        })
    }

    fn replica_config(&self, group: GroupId, members: Membership) -> ReplicaConfig {
        let mut config = ReplicaConfig::new(group, self.replica, members);
        config.tail_cache_bytes = 0;
        config.election_ticks = ELECTION_TICKS;
        config.heartbeat_ticks = HEARTBEAT_TICKS;
        config.rest_ticks = REST_TICKS;
        // A directory that lost everything is found out before anything is opened (see
        // `cluster::bootstrap`), a lost folder by its saved state: where neither says so, an empty
        // log without a state is a new one.
        config.first_start = true;
        config
    }

    /// Whether entries may be gone that a replica acknowledged.
    fn may_have_lost(
        &self,
        name: &PartitionName,
        flush: Flush,
        recovery: &Recovery,
    ) -> Result<bool, DataDirError> {
        let boot = self.dir.boot();
        if flush == Flush::Sync {
            // A process that ends leaves no end with segments behind it that was never whole: this one is damaged.
            return Ok(recovery.segments_dropped > 0 && !boot.crashed());
        }
        if recovery.bytes_cut > 0 || recovery.segments_dropped > 0 {
            // Nothing here tells the end that was never whole from one that was damaged.
            boot.suspect()?;
        }
        if boot.crashed() {
            tracing::warn!(
                partition = %name,
                "with flush=os the newest records of this replica may be gone, since the machine crashed or its files \
                 are damaged; where there are other replicas it gets them from those"
            );
        }
        Ok(boot.crashed())
    }

    fn open(
        &self,
        name: &PartitionName,
        meta: &PartitionMeta,
        mut config: ReplicaConfig,
        reborn: Option<GroupState>,
    ) -> Result<Replica<FileEnv>, OpenError> {
        let folder = self.dir.open_partition(name, meta)?;
        let path = folder.path;
        let saved = self
            .saved
            .lock()
            .expect("no holder panics")
            .remove(&config.group);
        if let (true, Some(saved)) = (folder.created, &saved) {
            if !saved.membership.members.is_sole_voter(config.replica) {
                // It may have voted for what it does not have any more.
                return Err(OpenError::Emptied { path });
            }
            // Nobody else has a copy: what is gone is gone, but it is not gone silently.
            tracing::error!(
                partition = %name,
                group = %config.group,
                committed_index = %saved.commit,
                "the folder of this partition was missing; it starts again, empty"
            );
        }
        let begin_anew = |state| {
            tracing::error!(
                partition = %name,
                "this partition was on this node alone, and was lost with its data directory: it begins anew, empty"
            );
            state
        };
        let saved = saved
            .filter(|_| !folder.created)
            .or_else(|| reborn.map(begin_anew));
        let env = FileEnv::sharing(&path, &self.files).map_err(|source| OpenError::Files {
            path: path.clone(),
            source,
        })?;
        let options = LogOptions {
            initial_index: 1,
            segment_bytes: u64::MAX,
            auto_roll: false,
            // Not what the topic allows now: what it allowed before is still to be read.
            record_bytes_max: RECORD_BYTES_MAX,
            ..LogOptions::default()
        };
        let began = self.env.monotonic();
        let log = poll_ready(Log::open_with(env, options)).map_err(|source| OpenError::Log {
            path: path.clone(),
            source,
        })?;
        tell_recovery(name, log.recovery(), self.env.monotonic() - began);
        if saved.is_some() {
            config.may_have_lost = self.may_have_lost(name, config.flush, log.recovery())?;
        }
        let env = self.env.clone();
        Replica::open(config, log, saved, Box::new(move || env.next_u64()))
            .map_err(|source| OpenError::Replica { path, source })
    }
}

/// What a topic's settings say about its replicas.
pub(super) fn tuning(settings: &TopicSettings) -> Tuning {
    Tuning {
        flush: match settings.flush {
            FlushMode::Sync => Flush::Sync,
            FlushMode::Os => Flush::Os,
        },
        segment_bytes: settings.segment_bytes,
        entry_bytes_max: settings.max_message_bytes,
    }
}

/// Says what opening a log had to do, where that was more than looking at it.
fn tell_recovery(name: &PartitionName, recovery: &Recovery, took: Duration) {
    if recovery.is_clean() {
        return;
    }
    let Recovery {
        bytes_cut,
        zeros_cut,
        segments_dropped,
        indexes_rebuilt,
        bytes_scanned,
    } = *recovery;
    let took_ms = millis(took);
    // After a crash a scan is a matter of course. What was cut is worth a look: none of it was acknowledged,
    // unless somebody else wrote to the files.
    if bytes_cut > 0 || segments_dropped > 0 {
        tracing::warn!(
            partition = %name,
            bytes_cut,
            segments_dropped,
            zeros_cut,
            indexes_rebuilt,
            bytes_scanned,
            took_ms,
            "the log was recovered: an unfinished end was cut"
        );
    } else {
        tracing::info!(
            partition = %name,
            zeros_cut,
            indexes_rebuilt,
            bytes_scanned,
            took_ms,
            "the log was recovered: nothing was lost"
        );
    }
}

/// Shares the memory for recent batches out. Each partition gets a part of what is still free, so that the
/// first ones get the most, later ones some, and all together never more than there is.
#[derive(Debug)]
struct TailBudget {
    free: u64,
    shares: BTreeMap<GroupId, u64>,
}

impl TailBudget {
    fn take(&mut self, group: GroupId) -> u64 {
        let share = (self.free / 32).min(PARTITION_TAIL_BYTES_MAX);
        self.free -= share;
        if let Some(before) = self.shares.insert(group, share) {
            self.free += before;
        }
        share
    }

    fn give_back(&mut self, group: GroupId) {
        self.free += self.shares.remove(&group).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shares_together_stay_within_the_budget() {
        let total = 256 << 20;
        let mut budget = TailBudget {
            free: total,
            shares: BTreeMap::new(),
        };
        assert_eq!(budget.take(GroupId(0)), PARTITION_TAIL_BYTES_MAX);
        for group in 1..5000 {
            budget.take(GroupId(group));
        }
        assert!(budget.shares.values().sum::<u64>() <= total);
        for group in 0..5000 {
            budget.give_back(GroupId(group));
            budget.give_back(GroupId(group));
        }
        assert_eq!(budget.free, total);
    }
}
