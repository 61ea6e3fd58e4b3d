//! Heartbeats, leaving, and members that fall silent.

use super::Turn;
use crate::groups::group::Phase;
use crate::groups::request::{Answer, GroupError, MemberRef};
use crate::groups::timers::Timer;

impl<R> Turn<'_, R> {
    pub(in crate::groups) fn heartbeat(&mut self, generation: i32, member: &MemberRef, reply: R) {
        let checked = self
            .check_member(member)
            .and_then(|()| self.check_generation(generation));
        let result = checked.and_then(|()| {
            self.hear(&member.id);
            match self.group.phase {
                Phase::Preparing(_) => Err(GroupError::Rebalancing),
                // The leader is still at it; the member has nothing to do but be there.
                _ => Ok(()),
            }
        });
        self.answer(reply, Answer::Heartbeat(result));
    }

    pub(in crate::groups) fn leave(&mut self, members: &[MemberRef], reply: R) {
        let results = members
            .iter()
            .map(|member| self.leave_one(member))
            .collect();
        self.answer(reply, Answer::Leave(Ok(results)));
    }

    fn leave_one(&mut self, member: &MemberRef) -> Result<(), GroupError> {
        if member.instance.is_none() && self.group.pending.contains(&member.id) {
            self.forget_pending(&member.id);
            return Ok(());
        }
        let by_name = member.instance.as_ref().filter(|_| member.id.is_empty());
        let id = match by_name {
            Some(instance) => {
                let found = self.group.instances.get(instance);
                found.cloned().ok_or(GroupError::UnknownMember)?
            }
            None => {
                self.check_member(member)?;
                member.id.clone()
            }
        };
        self.take_out(&id);
        Ok(())
    }

    /// The member said nothing for as long as its session lasts.
    pub(super) fn fall_silent(&mut self, id: &str) {
        if self.group.members.contains_key(id) {
            tracing::info!(group = %self.name, member = id, "the member fell silent");
            self.take_out(id);
        }
    }

    /// The member is not one any more.
    pub(super) fn take_out(&mut self, id: &str) {
        self.cancel(Timer::Session(id.to_owned()));
        let Some(member) = self.group.remove(id) else {
            return;
        };
        // Should its client still listen, it joins again.
        if let Some(reply) = member.joining {
            self.refuse_join(reply, GroupError::UnknownMember, id.to_owned());
        }
        if let Some(reply) = member.syncing {
            self.answer(reply, Answer::Sync(Err(GroupError::UnknownMember)));
        }
        self.rebalance("a member is gone");
    }

    /// An id that was given out is not waited for any longer.
    pub(super) fn forget_pending(&mut self, id: &str) {
        self.drop_pending(id);
        self.go_on_if_all_joined();
    }

    pub(super) fn drop_pending(&mut self, id: &str) {
        if self.group.pending.remove(id) {
            self.cancel(Timer::Pending(id.to_owned()));
        }
    }
}
