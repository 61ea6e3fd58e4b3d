//! Which shard owns which group: the one table that says so. No shard number reaches the disk.

mod watch;

pub(crate) use watch::{PartitionWatch, Waiter};

use crate::runtime::{Mailbox, ShardInput};
use crate::shard::{Progress, Refusal};
use laminarmq_replica::GroupId;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use tokio::sync::mpsc::{self, error::TrySendError};

/// A partition of this node, as seen from outside of its shard.
#[derive(Debug)]
pub(crate) struct Route {
    /// Place of its shard in [`Router::mailboxes`].
    pub(crate) shard: usize,
    /// What its shard tells about it.
    pub(crate) watch: PartitionWatch,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Router {
    mailboxes: Vec<Mailbox>,
    table: RwLock<Table>,
}

/// Why a mailbox has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// For now.
    Full,
    /// Its shard has ended.
    Gone,
}

/// What a shard has to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShardLoad {
    /// Inputs in its mailbox.
    pub(crate) waiting: usize,
    /// How many there may be.
    pub(crate) waiting_max: usize,
    /// Partitions that it has.
    pub(crate) partitions: usize,
}

#[derive(Debug, Default)]
struct Table {
    routes: HashMap<GroupId, Arc<Route>>,
    /// Partitions of each shard.
    load: Vec<usize>,
}

impl Router {
    pub(crate) fn new(mailboxes: Vec<Mailbox>) -> Self {
        let load = vec![0; mailboxes.len()];
        Self {
            mailboxes,
            table: RwLock::new(Table {
                routes: HashMap::new(),
                load,
            }),
        }
    }

    /// The route to a group of this node.
    pub(crate) fn route(&self, group: GroupId) -> Option<Arc<Route>> {
        self.table
            .read()
            .expect("no holder panics")
            .routes
            .get(&group)
            .cloned()
    }

    /// Gives a group to the shard with the fewest.
    pub(crate) fn add(&self, group: GroupId) -> Arc<Route> {
        let mut table = self.table.write().expect("no holder panics");
        let shard = (0..table.load.len())
            .min_by_key(|shard| table.load[*shard])
            .expect("there is at least one shard");
        table.load[shard] += 1;
        let route = Arc::new(Route {
            shard,
            watch: PartitionWatch::default(),
        });
        let before = table.routes.insert(group, Arc::clone(&route));
        assert!(before.is_none(), "group {group} was given to a shard twice");
        route
    }

    /// What each shard has to do, in their order.
    pub(crate) fn shards(&self) -> Vec<ShardLoad> {
        let partitions = self.table.read().expect("no holder panics").load.clone();
        let load = |(mailbox, partitions): (&Mailbox, usize)| ShardLoad {
            waiting: mailbox.max_capacity() - mailbox.capacity(),
            waiting_max: mailbox.max_capacity(),
            partitions,
        };
        self.mailboxes.iter().zip(partitions).map(load).collect()
    }

    /// Forgets a group that its shard has given up. Whoever waits for it wakes up.
    pub(crate) fn remove(&self, group: GroupId) {
        let mut table = self.table.write().expect("no holder panics");
        let Some(route) = table.routes.remove(&group) else {
            return;
        };
        table.load[route.shard] -= 1;
        drop(table);
        route.watch.close();
    }

    /// Puts an input into the mailbox of a shard, waiting while it is full.
    pub(crate) async fn send(&self, shard: usize, input: ShardInput) -> Result<(), Refusal> {
        self.mailboxes[shard]
            .send(input)
            .await
            .map_err(|_| Refusal::Closing)
    }

    /// A place in the mailbox of a shard, once there is one.
    pub(crate) async fn reserve(
        &self,
        shard: usize,
    ) -> Result<mpsc::Permit<'_, ShardInput>, Refusal> {
        let place = self.mailboxes[shard].reserve().await;
        place.map_err(|_| Refusal::Closing)
    }

    /// A place in the mailbox of a shard, if there is one now.
    pub(crate) fn try_reserve(
        &self,
        shard: usize,
    ) -> Result<mpsc::Permit<'_, ShardInput>, NoPlace> {
        self.mailboxes[shard].try_reserve().map_err(|no| match no {
            TrySendError::Full(()) => NoPlace::Full,
            TrySendError::Closed(()) => NoPlace::Gone,
        })
    }

    /// How many shards there are.
    pub(crate) fn shard_count(&self) -> usize {
        self.mailboxes.len()
    }

    /// The groups of this node, and what their shards told last.
    pub(crate) fn progress(&self) -> Vec<(GroupId, Progress)> {
        let table = self.table.read().expect("no holder panics");
        let progress = |(group, route): (&GroupId, &Arc<Route>)| (*group, route.watch.progress());
        table.routes.iter().map(progress).collect()
    }

    /// Like [`Router::send`], for threads that may wait.
    pub(crate) fn send_blocking(&self, shard: usize, input: ShardInput) -> Result<(), Refusal> {
        self.mailboxes[shard]
            .blocking_send(input)
            .map_err(|_| Refusal::Closing)
    }
}
