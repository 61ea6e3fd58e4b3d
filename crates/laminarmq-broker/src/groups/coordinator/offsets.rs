//! OffsetCommit, OffsetFetch, OffsetDelete, and topics that are gone.

use super::Coordinator;
use crate::groups::command::Change;
use crate::groups::group::{Group, Phase};
use crate::groups::record::{CommittedOffset, OffsetKey};
use crate::groups::request::{Answer, Commit, GroupError, NewOffset};
use crate::groups::{Now, Output, Outputs};
use crate::limits::{GROUP_OFFSETS_BYTES, GROUP_STATE_BYTES_MAX};
use laminarmq_kafka::Uuid;
use std::sync::Arc;

/// A topic's name, by which members subscribe, and some of its partitions.
type OfTopic = (String, Vec<OffsetKey>);

impl<R> Coordinator<R> {
    pub(super) fn commit(
        &mut self,
        group: &str,
        commit: Commit,
        reply: R,
        now: Now,
        out: &mut Outputs<R>,
    ) {
        let result = self.may_commit(group, &commit, now, out);
        if result.is_err() || commit.offsets.is_empty() {
            let answer = Answer::Commit(result);
            out.push(Output::Reply { reply, answer });
            return;
        }
        let retention_ms = commit.retention_ms;
        let committed = |new: NewOffset| {
            let offset = CommittedOffset {
                offset: new.offset,
                leader_epoch: new.leader_epoch,
                metadata: new.metadata,
                committed_ms: now.wall_ms,
                retention_ms,
            };
            (new.key, offset)
        };
        // The log keeps their order, so all are committed when the last one is.
        let mut last = None;
        let mut offsets = commit.offsets.into_iter().map(committed).peekable();
        while offsets.peek().is_some() {
            let mut bytes = 0;
            let part = std::iter::from_fn(|| {
                offsets.next_if(|(_, offset)| {
                    bytes += offset.size();
                    bytes <= GROUP_OFFSETS_BYTES
                })
            });
            let offsets = part.collect();
            let group = group.to_owned();
            last = Some(self.proposals.propose(Change::Offsets { group, offsets }));
        }
        let last = last.expect("there is at least one offset");
        self.proposals.hold(last, reply, Answer::Commit(Ok(())));
    }

    fn may_commit(
        &mut self,
        group: &str,
        commit: &Commit,
        now: Now,
        out: &mut Outputs<R>,
    ) -> Result<(), GroupError> {
        let name: Arc<str> = group.into();
        if commit.generation >= 0 && !self.is_known(group) {
            return Err(GroupError::IllegalGeneration);
        }
        let mut result = Ok(());
        self.glance(&name, now, out, |turn| {
            result = turn.commit_allowed(commit.generation, &commit.member);
            if result.is_ok() {
                turn.hear(&commit.member.id);
            }
        });
        result?;
        let size = |new: &NewOffset| 64 + new.metadata.as_ref().map_or(0, String::len) as u64;
        let new: u64 = commit.offsets.iter().map(size).sum();
        let taken = self.state.bytes() + self.member_bytes + self.proposals.bytes();
        if taken + new > GROUP_STATE_BYTES_MAX {
            return Err(GroupError::NoRoomForOffsets);
        }
        Ok(())
    }

    pub(super) fn is_known(&self, group: &str) -> bool {
        self.groups.contains_key(group) || self.state.group(group).is_some()
    }

    /// What is committed; what is not yet, nobody was told of.
    pub(super) fn fetch(
        &self,
        group: &str,
        keys: Option<Vec<OffsetKey>>,
    ) -> Vec<(OffsetKey, Option<CommittedOffset>)> {
        let stored = self.state.group(group).map(|stored| &stored.offsets);
        match keys {
            None => {
                let all = stored.into_iter().flatten();
                all.map(|(key, offset)| (*key, Some(offset.clone())))
                    .collect()
            }
            Some(keys) => {
                let find = |key| (key, stored.and_then(|offsets| offsets.get(&key)).cloned());
                keys.into_iter().map(find).collect()
            }
        }
    }

    pub(super) fn delete_offsets(
        &mut self,
        group: &str,
        topics: &[OfTopic],
        reply: R,
        out: &mut Outputs<R>,
    ) {
        if !self.is_known(group) {
            let answer = Answer::DeleteOffsets(Err(GroupError::NotFound));
            out.push(Output::Reply { reply, answer });
            return;
        }
        let members: Option<&Group<R>> = self.groups.get(group);
        let members = members.filter(|group| group.phase != Phase::Empty);
        if members.is_some_and(|members| !members.is_of_consumers()) {
            let answer = Answer::DeleteOffsets(Err(GroupError::NotEmpty));
            out.push(Output::Reply { reply, answer });
            return;
        }
        let check = |(name, _): &OfTopic| match members {
            Some(members) if members.is_subscribed(name) => Err(GroupError::Subscribed),
            _ => Ok(()),
        };
        let results: Vec<_> = topics.iter().map(check).collect();
        let free = topics
            .iter()
            .zip(&results)
            .filter(|(_, result)| result.is_ok());
        let keys: Vec<OffsetKey> = free.flat_map(|((_, keys), _)| keys).copied().collect();
        let answer = Answer::DeleteOffsets(Ok(results));
        match self.remove_offsets(group, &keys) {
            Some(last) => self.proposals.hold(last, reply, answer),
            None => out.push(Output::Reply { reply, answer }),
        }
    }

    /// The topics that are there, as far as this partition has offsets of them: those of others go.
    pub(crate) fn retain_topics(&mut self, exists: impl Fn(Uuid) -> bool, out: &mut Outputs<R>) {
        if !self.is_active() {
            return;
        }
        let gone = self.state.topics().filter(|topic| !exists(*topic));
        let gone: Vec<_> = gone
            .filter(|topic| !self.leaving_topics.contains(topic))
            .collect();
        for topics in gone.chunks(TOPICS_PER_COMMAND) {
            self.leaving_topics.extend(topics);
            let topics = topics.to_vec();
            self.proposals.propose(Change::RemoveTopics { topics });
        }
        self.go_on(out);
    }
}

/// Topics of one command: it stays far below its limit.
pub(super) const TOPICS_PER_COMMAND: usize = 1024;
