//! The state of one partition of groups: what its committed commands say.
//!
//! - It is a function of the applied commands alone.
//! - Any command can be applied to any state: a log whose start was trimmed begins in the middle, and only
//!   its first complete checkpoint makes the state whole.
//! - A checkpoint counts once its end is there, with all of its chunks between and nothing else.

use super::command::{Change, Command};
use super::record::{CommittedOffset, GroupRecord, OffsetKey};
use laminarmq_kafka::Uuid;
use std::collections::BTreeMap;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct State {
    groups: BTreeMap<String, Stored>,
    /// How many offsets there are of each topic.
    topics: BTreeMap<Uuid, usize>,
    bytes: u64,
    /// The checkpoint whose end has not come yet.
    unfinished: Option<Box<Unfinished>>,
}

/// What is kept of one group. Never without anything.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// The highest generation that was given out, or 0.
    pub(super) given: i32,
    pub(super) record: Option<GroupRecord>,
    pub(super) offsets: BTreeMap<OffsetKey, CommittedOffset>,
}

#[derive(Debug)]
struct Unfinished {
    id: u64,
    chunks: u32,
    state: State,
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.groups == other.groups && self.topics == other.topics && self.bytes == other.bytes
    }
}

impl Stored {
    fn is_empty(&self) -> bool {
        self.given == 0 && self.record.is_none() && self.offsets.is_empty()
    }
}

impl State {
    pub(super) fn groups(&self) -> impl Iterator<Item = (&str, &Stored)> {
        self.groups
            .iter()
            .map(|(name, stored)| (name.as_str(), stored))
    }

    /// Groups from this name on.
    pub(super) fn groups_from(&self, name: &str) -> impl Iterator<Item = (&str, &Stored)> {
        let from = (std::ops::Bound::Included(name), std::ops::Bound::Unbounded);
        let groups = self.groups.range::<str, _>(from);
        groups.map(|(name, stored)| (name.as_str(), stored))
    }

    pub(super) fn group(&self, name: &str) -> Option<&Stored> {
        self.groups.get(name)
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Topics that have offsets.
    pub(super) fn topics(&self) -> impl Iterator<Item = Uuid> {
        self.topics.keys().copied()
    }

    /// About what the state takes in memory, and in a checkpoint.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `mine`: this state is the one that a checkpoint is written of, so the checkpoint says nothing new.
    pub(super) fn apply(&mut self, command: Command, mine: bool) {
        match command {
            Command::Change(change) => {
                self.unfinished = None;
                self.change(change);
            }
            Command::CheckpointBegin { id } => {
                let state = State::default();
                let unfinished = Unfinished {
                    id,
                    chunks: 0,
                    state,
                };
                self.unfinished = (!mine).then(|| Box::new(unfinished));
            }
            Command::CheckpointChunk {
                id,
                number,
                changes,
            } => {
                let unfinished = self.unfinished.take();
                let fits = |u: &Unfinished| u.id == id && u.chunks == number;
                if let Some(mut unfinished) = unfinished.filter(|u| fits(u)) {
                    unfinished.chunks += 1;
                    for change in changes {
                        unfinished.state.change(change);
                    }
                    self.unfinished = Some(unfinished);
                }
            }
            Command::CheckpointEnd { id, chunks } => {
                let unfinished = self.unfinished.take();
                let fits = |u: &Unfinished| u.id == id && u.chunks == chunks;
                if let Some(unfinished) = unfinished.filter(|u| fits(u)) {
                    *self = unfinished.state;
                }
            }
        }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Offsets { group, offsets } => {
                if !offsets.is_empty() {
                    self.stored(group, |state, stored| {
                        for (key, offset) in offsets {
                            state.insert(stored, key, offset);
                        }
                    });
                }
            }
            Change::Group { group, record } => self.stored(group, |state, stored| {
                state.bytes += record.size();
                state.bytes -= stored.record.as_ref().map_or(0, GroupRecord::size);
                stored.given = stored.given.max(record.generation);
                stored.record = Some(record);
            }),
            Change::Generation { group, generation } => self.stored(group, |_, stored| {
                stored.given = stored.given.max(generation);
            }),
            Change::RemoveGroup { group } => self.stored(group, |state, stored| {
                for (key, offset) in std::mem::take(&mut stored.offsets) {
                    state.forget(key, &offset);
                }
                state.bytes -= stored.record.take().map_or(0, |record| record.size());
                stored.given = 0;
            }),
            Change::RemoveOffsets { group, keys } => self.stored(group, |state, stored| {
                for key in keys {
                    if let Some(offset) = stored.offsets.remove(&key) {
                        state.forget(key, &offset);
                    }
                }
            }),
            Change::RemoveTopics { topics } => self.remove_topics(&topics),
        }
    }

    /// Changes what is kept of a group, which is kept only while there is something of it.
    fn stored(&mut self, name: String, change: impl FnOnce(&mut Self, &mut Stored)) {
        let own = GROUP_BYTES + name.len() as u64;
        let mut stored = match self.groups.remove(&name) {
            Some(stored) => {
                self.bytes -= own;
                stored
            }
            None => Stored::default(),
        };
        change(self, &mut stored);
        if !stored.is_empty() {
            self.bytes += own;
            self.groups.insert(name, stored);
        }
    }

    fn insert(&mut self, stored: &mut Stored, key: OffsetKey, offset: CommittedOffset) {
        self.bytes += offset.size();
        *self.topics.entry(key.topic).or_default() += 1;
        if let Some(before) = stored.offsets.insert(key, offset) {
            self.forget(key, &before);
        }
    }

    fn forget(&mut self, key: OffsetKey, offset: &CommittedOffset) {
        self.bytes -= offset.size();
        let count = self
            .topics
            .get_mut(&key.topic)
            .expect("each offset is counted");
        *count -= 1;
        if *count == 0 {
            self.topics.remove(&key.topic);
        }
    }

    fn remove_topics(&mut self, topics: &[Uuid]) {
        if !topics.iter().any(|topic| self.topics.contains_key(topic)) {
            return;
        }
        let names: Vec<_> = self.groups.keys().cloned().collect();
        for name in names {
            self.stored(name, |state, stored| {
                for topic in topics {
                    let of_topic = of_topic(*topic);
                    let keys: Vec<_> = stored
                        .offsets
                        .range(of_topic)
                        .map(|(key, _)| *key)
                        .collect();
                    for key in keys {
                        if let Some(offset) = stored.offsets.remove(&key) {
                            state.forget(key, &offset);
                        }
                    }
                }
            });
        }
    }
}

/// What a group takes beside its name, its record and its offsets.
const GROUP_BYTES: u64 = 64;

fn of_topic(topic: Uuid) -> std::ops::RangeInclusive<OffsetKey> {
    let key = |partition| OffsetKey { topic, partition };
    key(i32::MIN)..=key(i32::MAX)
}

#[cfg(test)]
mod tests;
