//! The shard's loop body: inputs in, outputs out.

use super::partition::Partition;
use super::{Append, Hosted, Input, Output, Outside, Refusal};
use crate::cluster::{Incarnations, NodeId};
use laminarmq::poll_ready;
use laminarmq_replica::{Fatal, GroupId, PersistDone, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Owns partitions. See the [module](super).
pub struct Shard<O: Outside> {
    partitions: BTreeMap<GroupId, Partition<O>>,
    /// Partitions that got an input and have not worked on it yet.
    dirty: BTreeSet<GroupId>,
    /// The last token given. Unique within the shard.
    token: Token,
    /// Which nodes lost their directories.
    incarnations: Arc<Incarnations>,
    state: State<O>,
}

enum State<O: Outside> {
    Open,
    /// Nothing new is taken; closed once no job is outside any more.
    Closing(O::ChangeReply),
    Closed,
    /// The data directory failed.
    Failed,
}

impl<O: Outside> Default for Shard<O> {
    fn default() -> Self {
        Self::new()
    }
}

impl<O: Outside> Shard<O> {
    /// A shard without partitions.
    #[must_use]
    pub fn new() -> Self {
        Self {
            partitions: BTreeMap::new(),
            dirty: BTreeSet::new(),
            token: Token(0),
            incarnations: Arc::default(),
            state: State::Open,
        }
    }

    /// Whether the shard was closed: it takes no more inputs.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Takes the inputs in their order, then lets each partition that they concern work. What is to be
    /// done outside is pushed to `out`, in the order in which it has to be done.
    pub fn step(&mut self, inputs: impl IntoIterator<Item = Input<O>>, out: &mut Vec<Output<O>>) {
        for input in inputs {
            self.take(input, out);
        }
        while let Some(group) = self.dirty.pop_first() {
            self.settle(group, out);
        }
        self.close_if_quiet(out);
    }

    /// The data directory failed elsewhere: acknowledge nothing any more.
    pub fn fail(&mut self, out: &mut Vec<Output<O>>) {
        if matches!(self.state, State::Failed | State::Closed) {
            return;
        }
        let before = std::mem::replace(&mut self.state, State::Failed);
        self.dirty.clear();
        for partition in self.partitions.values_mut() {
            partition.refuse_all(&Refusal::Failed, out);
        }
        if let State::Closing(reply) = before {
            out.push(Output::Changed {
                reply,
                result: Err(Refusal::Failed),
            });
            self.state = State::Closed;
        }
    }

    /// Why nothing new is taken, if so.
    fn refusal(&self) -> Option<Refusal> {
        match self.state {
            State::Open => None,
            State::Closing(_) | State::Closed => Some(Refusal::Closing),
            State::Failed => Some(Refusal::Failed),
        }
    }

    fn take(&mut self, input: Input<O>, out: &mut Vec<Output<O>>) {
        match input {
            Input::Host(hosted) => self.host(*hosted, out),
            Input::Remove { group, reply } => {
                self.remove(group, out);
                out.push(Output::Changed {
                    reply,
                    result: Ok(()),
                });
            }
            Input::Append(append) => self.append(append, out),
            Input::Read { reads, reply } => {
                // What came before in this step is in the logs when the reads are planned.
                for read in &reads {
                    self.settle_if_dirty(read.group, out);
                }
                let plan = |read: &super::Read| self.reader(read.group)?.read(read);
                let results = reads.iter().map(plan).collect();
                out.push(Output::Read { reply, results });
            }
            Input::Lookup { lookup, reply } => {
                self.settle_if_dirty(lookup.group, out);
                let result = self.reader(lookup.group).and_then(|p| p.look_up(&lookup));
                out.push(Output::Lookup { reply, result });
            }
            Input::Measure { groups, reply } => {
                let measure = |group: &GroupId| Ok(self.reader(*group)?.bytes());
                let results = groups.iter().map(measure).collect();
                out.push(Output::Measured { reply, results });
            }
            Input::Tune {
                group,
                tuning,
                reply,
            } => {
                let partition = self.partition(group);
                let result = partition.and_then(|(partition, _)| partition.tune(tuning));
                out.push(Output::Changed { reply, result });
            }
            Input::Command {
                group,
                command,
                reply,
            } => match self.partition(group) {
                Ok((partition, token)) => partition.command(command, reply, token, out),
                Err(refusal) => out.push(Output::Proposed {
                    reply,
                    result: Err(refusal),
                }),
            },
            Input::Trim { group, to, reply } => match self.partition(group) {
                Ok((partition, token)) => partition.trim(to, reply, token, out),
                Err(refusal) => out.push(Output::Trimmed {
                    reply,
                    result: Err(refusal),
                }),
            },
            Input::Retain {
                group,
                retention,
                now_ms,
                reply,
            } => match self.partition(group) {
                Ok((partition, token)) => partition.retain(&retention, now_ms, reply, token, out),
                Err(refusal) => out.push(Output::Trimmed {
                    reply,
                    result: Err(refusal),
                }),
            },
            Input::Peer(peer) => {
                if let Ok((partition, _)) = self.partition(peer.group) {
                    partition.step(*peer, out);
                }
            }
            Input::Unreachable { node } => {
                self.each_partition(|partition| {
                    partition.unreachable(node);
                    true
                });
            }
            Input::Tick { silent } => {
                self.tick(&silent);
                out.push(Output::Ticked);
            }
            Input::Replaced(incarnations) => self.incarnations = incarnations,
            Input::Persisted { group, done } => self.persisted(group, done, out),
            Input::Close { reply } => self.close(reply, out),
        }
    }

    fn host(&mut self, hosted: Hosted<O>, out: &mut Vec<Output<O>>) {
        let group = hosted.group;
        if let Some(refusal) = self.refusal() {
            out.push(Output::Changed {
                reply: hosted.reply,
                result: Err(refusal),
            });
            return;
        }
        let before = self.partitions.insert(group, Partition::new(hosted));
        assert!(before.is_none(), "group {group} is hosted twice");
        self.dirty.insert(group);
    }

    fn remove(&mut self, group: GroupId, out: &mut Vec<Output<O>>) {
        self.dirty.remove(&group);
        if let Some(mut partition) = self.partitions.remove(&group) {
            partition.refuse_all(&Refusal::NoPartition, out);
            partition.forget_doubt();
        }
    }

    fn append(&mut self, append: Append<O>, out: &mut Vec<Output<O>>) {
        let group = append.group;
        match self.partition(group) {
            Ok((partition, token)) => {
                if let Err(fatal) = partition.append(append, token, out) {
                    self.fail_of(group, &fatal, out);
                }
            }
            Err(refusal) => {
                out.push(Output::Appended {
                    reply: append.reply,
                    result: Err(refusal),
                });
            }
        }
    }

    /// A job of a partition that was removed meanwhile concerns nobody.
    fn persisted(&mut self, group: GroupId, done: PersistDone, out: &mut Vec<Output<O>>) {
        let Some(partition) = self.partitions.get_mut(&group) else {
            return;
        };
        match partition.persisted(done) {
            Ok(()) => {
                self.dirty.insert(group);
            }
            Err(fatal) => self.fail_of(group, &fatal, out),
        }
    }

    /// A partition that shall work, and the token counter; it works at the end of the step.
    fn partition(&mut self, group: GroupId) -> Result<(&mut Partition<O>, &mut Token), Refusal> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        let partition = self
            .partitions
            .get_mut(&group)
            .ok_or(Refusal::NoPartition)?;
        self.dirty.insert(group);
        Ok((partition, &mut self.token))
    }

    /// Something that concerns all partitions; those for which `work` says so work at the end of the step.
    fn each_partition(&mut self, mut work: impl FnMut(&mut Partition<O>) -> bool) {
        if self.refusal().is_some() {
            return;
        }
        for (group, partition) in &mut self.partitions {
            if work(partition) {
                self.dirty.insert(*group);
            }
        }
    }

    fn tick(&mut self, silent: &[NodeId]) {
        self.each_partition(|partition| partition.tick(silent));
        if self.incarnations.is_empty() || self.refusal().is_some() {
            return;
        }
        for (group, partition) in &mut self.partitions {
            if partition.replace_lost(&self.incarnations, &mut self.token) {
                self.dirty.insert(*group);
            }
        }
    }

    fn reader(&self, group: GroupId) -> Result<&Partition<O>, Refusal> {
        self.refusal().map_or(Ok(()), Err)?;
        self.partitions.get(&group).ok_or(Refusal::NoPartition)
    }

    fn settle_if_dirty(&mut self, group: GroupId, out: &mut Vec<Output<O>>) {
        if self.dirty.remove(&group) {
            self.settle(group, out);
        }
    }

    fn settle(&mut self, group: GroupId, out: &mut Vec<Output<O>>) {
        let Some(partition) = self.partitions.get_mut(&group) else {
            return;
        };
        if let Err(fatal) = partition.settle(&mut self.token, out) {
            self.fail_of(group, &fatal, out);
        }
    }

    fn fail_of(&mut self, group: GroupId, fatal: &Fatal, out: &mut Vec<Output<O>>) {
        out.push(Output::Failed {
            reason: format!("partition group {group}: {fatal}"),
        });
        self.fail(out);
    }

    fn close(&mut self, reply: O::ChangeReply, out: &mut Vec<Output<O>>) {
        if let Some(refusal) = self.refusal() {
            out.push(Output::Changed {
                reply,
                result: Err(refusal),
            });
            if matches!(self.state, State::Failed) {
                self.state = State::Closed;
            }
            return;
        }
        self.state = State::Closing(reply);
        for (group, partition) in &mut self.partitions {
            if partition.prepare_close() {
                self.dirty.insert(*group);
            }
        }
    }

    /// Closes the logs once nothing is outside. Whoever still waits then waits for nothing that could
    /// come.
    fn close_if_quiet(&mut self, out: &mut Vec<Output<O>>) {
        if !matches!(self.state, State::Closing(_))
            || self.partitions.values().any(Partition::is_persisting)
        {
            return;
        }
        let State::Closing(reply) = std::mem::replace(&mut self.state, State::Closed) else {
            unreachable!("looked at above")
        };
        let mut result = Ok(());
        for (group, mut partition) in std::mem::take(&mut self.partitions) {
            partition.refuse_all(&Refusal::Closing, out);
            let (log, state) = partition.into_replica().close();
            match poll_ready(log.close()) {
                Ok(()) => out.push(Output::Final { state }),
                Err(error) => {
                    out.push(Output::Failed {
                        reason: format!("closing group {group}: {error}"),
                    });
                    result = Err(Refusal::Failed);
                }
            }
        }
        out.push(Output::Changed { reply, result });
    }
}
