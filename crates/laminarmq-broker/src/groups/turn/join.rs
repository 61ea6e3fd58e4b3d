//! JoinGroup.

use super::Turn;
use crate::groups::group::{Member, Opening, Phase, pending_size, protocols_size};
use crate::groups::request::{Answer, GroupError, Join, JoinRefused, Joined};
use crate::groups::subscription::{self, CONSUMER};
use crate::groups::timers::Timer;
use crate::limits::{
    GROUP_BYTES_MAX, GROUP_CLIENT_ID_BYTES_MAX, GROUP_MEMBERS_MAX, GROUP_NEW_MEMBER_WAIT_MAX,
};
use bytes::Bytes;
use std::time::Duration;

impl<R> Turn<'_, R> {
    /// The request was checked as far as that can be done without the group.
    pub(in crate::groups) fn join(&mut self, join: Join, reply: R) {
        if let Err(error) = self.may_join(&join) {
            // A member that is let in no more waits for nobody either.
            self.forget_pending(&join.member.id);
            self.refuse_join(reply, error, join.member.id);
            return;
        }
        let known = match &join.member.instance {
            Some(instance) if join.member.id.is_empty() => self.group.instances.get(instance),
            _ => None,
        };
        match known.cloned() {
            Some(before) => self.replace(&before, join, reply),
            None if join.member.id.is_empty() => self.join_unknown(join, reply),
            None if self.group.pending.contains(&join.member.id) => {
                self.drop_pending(&join.member.id);
                let id = join.member.id.clone();
                self.add(&id, join, reply);
            }
            None => self.join_again(join, reply),
        }
    }

    fn may_join(&self, join: &Join) -> Result<(), GroupError> {
        let (group, id) = (&self.group, &join.member.id);
        if !group.supports(&join.protocol_type, &join.protocols) {
            return Err(GroupError::InconsistentProtocol);
        }
        let before = group.members.get(id);
        let places = match group.phase {
            // Members that have not come back yet leave room for others.
            Phase::Preparing(_) => group.joining(),
            _ => group.members.len(),
        };
        let has_place = match group.phase {
            Phase::Preparing(_) => before.is_some_and(|member| member.joining.is_some()),
            _ => before.is_some(),
        };
        let replaces = || {
            let instance = join.member.instance.as_ref();
            instance.is_some_and(|instance| group.instances.contains_key(instance))
        };
        if places >= GROUP_MEMBERS_MAX && !has_place && !replaces() {
            return Err(GroupError::Full);
        }
        let own = before.map_or(0, |member| member.size(id));
        let of_group = GROUP_BYTES_MAX.saturating_sub(group.bytes() - own);
        if member_size(join) > of_group.min(self.room + own) {
            return Err(GroupError::Full);
        }
        Ok(())
    }

    fn join_unknown(&mut self, join: Join, reply: R) {
        let id = self.new_id(&join);
        if !join.id_first || join.member.instance.is_some() {
            self.add(&id, join, reply);
            return;
        }
        if self.group.pending.len() >= GROUP_MEMBERS_MAX || pending_size(&id) > self.room {
            self.refuse_join(reply, GroupError::Full, String::new());
            return;
        }
        self.group.pending.insert(id.clone());
        self.set(Timer::Pending(id.clone()), millis(join.session_timeout_ms));
        self.refuse_join(reply, GroupError::MemberIdRequired, id);
    }

    fn join_again(&mut self, join: Join, reply: R) {
        if let Err(error) = self.check_member(&join.member) {
            self.refuse_join(reply, error, join.member.id);
            return;
        }
        let id = join.member.id.clone();
        let same = self.group.members[&id].protocols == join.protocols;
        match self.group.phase {
            Phase::Empty => unreachable!("an empty group has no members"),
            // It may not have heard the answer.
            Phase::Completing if same => self.tell_generation(&id, reply),
            // The leader joins again when it has seen that the topics have changed.
            Phase::Stable if same && !self.group.is_leader(&id) => {
                self.tell_generation(&id, reply);
                self.hear(&id);
            }
            Phase::Preparing(_) | Phase::Completing | Phase::Stable => {
                self.update(&id, join);
                self.await_join(&id, reply);
                self.rebalance("a member joined again");
            }
        }
    }

    fn add(&mut self, id: &str, join: Join, reply: R) {
        if self.group.members.is_empty() {
            self.group.protocol_type.clone_from(&join.protocol_type);
        }
        if let Phase::Preparing(Opening::First { more_came, .. }) = &mut self.group.phase {
            *more_came = true;
        }
        self.group.insert(id.to_owned(), member(join));
        if self.group.leader.is_none() {
            self.group.leader = Some(id.to_owned());
        }
        self.await_join(id, reply);
        self.rebalance("a member joined");
    }

    /// A member that has a name of its own comes back, without the id that it had: it gets another one, and
    /// who still uses the old one is out.
    fn replace(&mut self, before: &str, join: Join, reply: R) {
        let id = self.new_id(&join);
        let old_leader = self.group.leader.clone();
        let led = self.group.is_leader(before);
        self.cancel(Timer::Session(before.to_owned()));
        let mut member = self
            .group
            .members
            .remove(before)
            .expect("instances name members");
        self.group.unsynced.remove(before);
        for (waiting, refusal) in [
            (member.joining.take(), refused_join(before)),
            (
                member.syncing.take(),
                Answer::Sync(Err(GroupError::FencedInstance)),
            ),
        ] {
            if let Some(waiting) = waiting {
                self.answer(waiting, refusal);
            }
        }
        let changed = !is_same_subscription(&member.protocols, &join);
        let (order, assignment) = (member.order, member.assignment);
        let may_skip_assignment = join.may_skip_assignment;
        let instance = join.member.instance.clone().expect("found by its instance");
        let mut member = self::member(join);
        member.order = order;
        member.assignment = assignment;
        // Its client may hear the answer and go on; it is as alive as one that has joined.
        member.is_new = false;
        self.group.instances.insert(instance, id.clone());
        self.group.members.insert(id.clone(), member);
        if led {
            self.group.leader = Some(id.clone());
        }
        let same_protocol = self.group.choose_protocol() == self.group.protocol;
        if self.group.phase != Phase::Stable || changed || !same_protocol {
            self.await_join(&id, reply);
            self.rebalance("a member with a name of its own came back");
            return;
        }
        self.keep();
        self.hear(&id);
        let mut joined = self.joined(&id);
        if led && may_skip_assignment {
            joined.skip_assignment = true;
        } else if led {
            // Nobody would get what it would assign: it is told of the leader that is gone, so that it does
            // not take itself for the leader.
            joined.members.clear();
            joined.leader = old_leader.unwrap_or_default();
        }
        self.answer(reply, Answer::Join(Ok(joined)));
    }

    /// Takes over what the member says about itself.
    fn update(&mut self, id: &str, join: Join) {
        let updated: Member<R> = member(join);
        let member = self
            .group
            .members
            .get_mut(id)
            .expect("a member that was found");
        member.session_timeout = updated.session_timeout;
        member.rebalance_timeout = updated.rebalance_timeout;
        member.protocols = updated.protocols;
        member.client_id = updated.client_id;
        member.client_host = updated.client_host;
    }

    /// From now on the member waits for the next generation.
    fn await_join(&mut self, id: &str, reply: R) {
        let member = self
            .group
            .members
            .get_mut(id)
            .expect("a member that was found");
        let (earlier, is_new) = (member.joining.replace(reply), member.is_new);
        if let Some(earlier) = earlier {
            // The client asked once more, and listens for this answer no longer.
            self.refuse_join(earlier, GroupError::Rebalancing, id.to_owned());
        }
        if is_new {
            self.set(Timer::Session(id.to_owned()), GROUP_NEW_MEMBER_WAIT_MAX);
        } else {
            self.cancel(Timer::Session(id.to_owned()));
        }
    }

    fn tell_generation(&mut self, id: &str, reply: R) {
        let joined = self.joined(id);
        self.answer(reply, Answer::Join(Ok(joined)));
    }

    /// What a member hears of the present generation.
    pub(super) fn joined(&self, id: &str) -> Joined {
        let group = &self.group;
        Joined {
            generation: group.generation,
            protocol_type: group.protocol_type.clone(),
            protocol: group.protocol.clone().unwrap_or_default(),
            leader: group.leader.clone().unwrap_or_default(),
            member_id: id.to_owned(),
            members: if group.is_leader(id) {
                group.roll_call()
            } else {
                Vec::new()
            },
            skip_assignment: false,
        }
    }

    pub(super) fn refuse_join(&mut self, reply: R, error: GroupError, member_id: String) {
        self.answer(reply, Answer::Join(Err(JoinRefused { error, member_id })));
    }

    /// A name that nobody had and that a reader of the log recognises.
    fn new_id(&mut self, join: &Join) -> String {
        let prefix = match &join.member.instance {
            Some(instance) => shorten(instance),
            None => shorten(&join.client_id),
        };
        let bytes = (self.random)();
        let mut id = format!("{prefix}-");
        for (place, byte) in bytes.iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                id.push('-');
            }
            id.push_str(&format!("{byte:02x}"));
        }
        id
    }
}

fn refused_join(member_id: &str) -> Answer {
    Answer::Join(Err(JoinRefused {
        error: GroupError::FencedInstance,
        member_id: member_id.to_owned(),
    }))
}

fn member<R>(join: Join) -> Member<R> {
    let session_timeout = millis(join.session_timeout_ms);
    // What is kept of a request keeps no frame's buffer.
    let copy = |(name, metadata): (String, Bytes)| (name, Bytes::copy_from_slice(&metadata));
    Member {
        instance: join.member.instance,
        client_id: shorten(&join.client_id).to_owned(),
        client_host: join.client_host,
        session_timeout,
        rebalance_timeout: match join.rebalance_timeout_ms {
            ..0 => session_timeout,
            timeout => millis(timeout),
        },
        protocols: join.protocols.into_iter().map(copy).collect(),
        assignment: Bytes::new(),
        joining: None,
        syncing: None,
        is_new: true,
        order: 0,
    }
}

/// About what the member takes in its group's record.
fn member_size(join: &Join) -> u64 {
    let instance = join.member.instance.as_ref().map_or(0, String::len);
    let names = 2 * GROUP_CLIENT_ID_BYTES_MAX + join.client_host.len() + instance + 64;
    64 + names as u64 + protocols_size(&join.protocols)
}

fn millis(millis: i32) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// The first bytes of a client's name, whole characters of it.
fn shorten(name: &str) -> &str {
    let mut end = name.len().min(GROUP_CLIENT_ID_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// Whether a member that comes back wants what it wanted. Of consumers, their topics count: the rest of
/// their metadata says what they held, and a member that was started again holds nothing.
fn is_same_subscription(before: &[(String, Bytes)], join: &Join) -> bool {
    let protocols = &join.protocols;
    before.len() == protocols.len()
        && before.iter().zip(protocols).all(|(one, other)| {
            one.0 == other.0
                && match join.protocol_type.as_str() {
                    CONSUMER => subscription::same_topics(&one.1, &other.1),
                    _ => one.1 == other.1,
                }
        })
}
