//! SyncGroup.

use super::Turn;
use crate::groups::group::Phase;
use crate::groups::request::{Answer, GroupError, Sync, Synced};
use crate::groups::timers::Timer;
use crate::limits::GROUP_BYTES_MAX;
use bytes::Bytes;
use std::collections::BTreeMap;

impl<R> Turn<'_, R> {
    pub(in crate::groups) fn sync(&mut self, sync: Sync, reply: R) {
        if let Err(error) = self.may_sync(&sync) {
            self.answer(reply, Answer::Sync(Err(error)));
            return;
        }
        let id = &sync.member.id;
        match self.group.phase {
            Phase::Empty => unreachable!("an empty group has no members"),
            Phase::Preparing(_) => self.answer(reply, Answer::Sync(Err(GroupError::Rebalancing))),
            Phase::Completing => {
                self.await_sync(id, reply);
                if self.group.is_leader(id) {
                    self.assign(sync.assignments, &sync.member.id);
                }
            }
            Phase::Stable => {
                self.group.unsynced.remove(id);
                self.tell_assignment(id, reply);
                self.hear(id);
            }
        }
    }

    fn may_sync(&self, sync: &Sync) -> Result<(), GroupError> {
        self.check_member(&sync.member)?;
        self.check_generation(sync.generation)?;
        let differs = |given: &Option<String>, own: Option<&str>| {
            given
                .as_ref()
                .is_some_and(|given| Some(given.as_str()) != own)
        };
        if differs(&sync.protocol_type, Some(&self.group.protocol_type))
            || differs(&sync.protocol, self.group.protocol.as_deref())
        {
            return Err(GroupError::InconsistentProtocol);
        }
        Ok(())
    }

    fn await_sync(&mut self, id: &str, reply: R) {
        self.group.unsynced.remove(id);
        self.cancel(Timer::Session(id.to_owned()));
        let member = self
            .group
            .members
            .get_mut(id)
            .expect("a member that was found");
        if let Some(earlier) = member.syncing.replace(reply) {
            // The client asked once more, and listens for this answer no longer.
            self.answer(earlier, Answer::Sync(Err(GroupError::Rebalancing)));
        }
    }

    /// The leader brings the assignments: the generation is complete.
    fn assign(&mut self, assignments: Vec<(String, Bytes)>, leader: &str) {
        let mut assignments: BTreeMap<_, _> = assignments.into_iter().collect();
        assignments.retain(|id, _| self.group.members.contains_key(id));
        let new: usize = assignments.values().map(Bytes::len).sum();
        // Those of before were cleared when the generation began.
        let new = new as u64;
        if self.group.bytes() + new > GROUP_BYTES_MAX || new > self.room {
            let member = self
                .group
                .members
                .get_mut(leader)
                .expect("a member that was found");
            let reply = member.syncing.take().expect("it has just asked");
            self.answer(reply, Answer::Sync(Err(GroupError::AssignmentTooLarge)));
            self.group.unsynced.insert(leader.to_owned());
            self.hear(leader);
            return;
        }
        for (id, assignment) in &assignments {
            let member = self.group.members.get_mut(id).expect("others were dropped");
            // What is kept of a request keeps no frame's buffer.
            member.assignment = Bytes::copy_from_slice(assignment);
        }
        self.group.phase = Phase::Stable;
        self.keep();
        let members = self.group.members.iter_mut();
        let waiting: Vec<_> = members
            .filter_map(|(id, member)| Some((id.clone(), member.syncing.take()?)))
            .collect();
        for (id, reply) in waiting {
            self.tell_assignment(&id, reply);
            self.hear(&id);
        }
    }

    fn tell_assignment(&mut self, id: &str, reply: R) {
        let synced = Synced {
            protocol_type: self.group.protocol_type.clone(),
            protocol: self.group.protocol.clone().unwrap_or_default(),
            assignment: self.group.members[id].assignment.clone(),
        };
        self.answer(reply, Answer::Sync(Ok(synced)));
    }
}
