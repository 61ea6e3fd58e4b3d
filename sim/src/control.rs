//! Who belongs to the group: lost replicas are replaced, step by step, by what a leader tells.
//!
//! A replica that may have lost what it acknowledged is gone for good. Its node gets an empty disk and
//! another id, and joins: learner, caught up, then voter in one change with the removal of the old id.
//! Where only the newest entries may be gone it keeps its disk and its id, and is in doubt.
//! Replicas are only taken away by faults while the group is whole: as many voters as nodes, no change
//! under way, nothing suspect, nobody else in doubt. More would be outside the model.

use laminarmq_replica::{
    Flush, LogIndex, MemberStep, Membership, MembershipAt, MembershipChange, Offset, ReplicaId,
    Token, TrimTo,
};

use crate::checkers::Broken;
use crate::cluster::{Cluster, Event};
use crate::disk::Disk;
use crate::history::Deletion;
use crate::node::Node;

/// Tokens from here on are not the clients'.
pub(crate) const OWN_TOKENS: u64 = 1 << 40;

impl Cluster {
    /// The members as the node knows them that knows most.
    fn newest_members(&self) -> Option<&MembershipAt> {
        let up = self.nodes.values().filter_map(|node| node.up.as_ref());
        up.map(|up| up.replica.membership())
            .max_by_key(|members| members.index)
    }

    /// Whether the group is as it should be.
    pub(crate) fn is_whole(&self) -> bool {
        let ids: Vec<_> = self.nodes.keys().copied().map(ReplicaId).collect();
        let sound = self.nodes.values().all(|node| node.born && !node.suspect);
        let members = self.newest_members().map(|newest| &newest.members);
        sound && members == Some(&Membership::of_voters(ids))
    }

    /// Whether every node is up, sure of what it has, and knows that the group is whole, so that a replica may be lost
    /// for good.
    pub(crate) fn all_know_the_members(&self) -> bool {
        let mut ids = self.nodes.keys();
        self.is_whole() && ids.all(|id| self.is_sure_and_knows_the_members(*id))
    }

    /// Whether a node may lose what it acknowledged, and keep its id: the others have it.
    pub(crate) fn all_others_know_the_members(&self, id: u64) -> bool {
        let mut others = self.nodes.keys().filter(|other| **other != id);
        self.is_whole() && others.all(|other| self.is_sure_and_knows_the_members(*other))
    }

    /// Where one node alone knows that the last change was left, and loses that, the others still wait for the old voters.
    fn is_sure_and_knows_the_members(&self, id: u64) -> bool {
        let node = &self.nodes[&id];
        let known = node.up.as_ref().map(|up| up.replica.membership());
        !node.in_doubt && known.is_some() && known == self.newest_members()
    }

    /// The node's disk, or what it held, is lost. It comes back as another replica.
    pub(crate) fn lose(&mut self, id: u64, why: &str) {
        self.note(&format!("{id} is lost: {why}"));
        self.take_down(id);
        if self.plan.wiped_votes {
            // The canary: as if nothing had been there before.
            let known = self.founders();
            let disk = Disk::new(self.plan.lies);
            let lifetime = self.nodes[&id].lifetime;
            let mut node = Node::new(id, &known, &self.plan, disk, &mut self.starts);
            node.lifetime = lifetime;
            self.nodes.insert(id, node);
            self.start_later(id);
            return;
        }
        self.nodes.remove(&id);
        let up: Vec<_> = self
            .nodes
            .values()
            .filter_map(|node| node.up.as_ref())
            .map(|up| up.replica.membership().clone())
            .collect();
        let known = if up.is_empty() {
            self.founders()
        } else {
            let at = self.faults.below(up.len() as u64);
            up[usize::try_from(at).expect("an index")].clone()
        };
        let new = self.next_id;
        self.next_id += 1;
        let disk = Disk::new(self.plan.lies);
        let node = Node::new(new, &known, &self.plan, disk, &mut self.starts);
        self.nodes.insert(new, node);
        self.workload
            .set_nodes(self.nodes.keys().copied().collect());
        self.note(&format!("{new} comes in its place, knows {known:?}"));
        self.start_later(new);
    }

    pub(crate) fn founders(&self) -> MembershipAt {
        let ids = self.plan.nodes.iter().copied().map(ReplicaId);
        MembershipAt {
            index: LogIndex(0),
            members: Membership::of_voters(ids),
        }
    }

    /// One step towards a whole group, by whoever leads.
    pub(crate) fn control(&mut self) -> Result<(), Broken> {
        let pause = self.timing.between(50_000, 400_000);
        self.clock.in_micros(pause, Event::Control);
        for id in self.leaders() {
            let present: Vec<_> = self.nodes.keys().copied().map(ReplicaId).collect();
            let replica = &self.nodes[&id].up.as_ref().expect("a leader").replica;
            let members = replica.members();
            let new = present.iter().find(|id| !members.contains(**id)).copied();
            let ready = members
                .learners
                .iter()
                .find(|id| present.contains(id) && replica.is_caught_up(**id));
            let gone = members
                .voters
                .iter()
                .chain(&members.learners)
                .filter(|id| !present.contains(id));
            let change = if members.is_joint() {
                MembershipChange::Leave
            } else if let Some(new) = new {
                MembershipChange::Enter(vec![MemberStep::Learner(new)])
            } else if let Some(ready) = ready {
                let mut steps = vec![MemberStep::Voter(*ready)];
                steps.extend(gone.map(|id| MemberStep::Remove(*id)));
                MembershipChange::Enter(steps)
            } else {
                continue;
            };
            let token = self.own_token();
            let up = self.nodes.get_mut(&id).and_then(|node| node.up.as_mut());
            let replica = &mut up.expect("a leader").replica;
            if replica.propose_membership(&change, token).is_ok() {
                match &change {
                    MembershipChange::Enter(steps) => match steps[0] {
                        MemberStep::Learner(_) => self.counts.learners += 1,
                        _ => self.counts.promotions += 1,
                    },
                    MembershipChange::Leave => {}
                }
                self.note(&format!("{id} proposes {change:?}"));
                self.pump(id)?;
            }
        }
        Ok(())
    }

    /// Deletes records, at whoever leads.
    pub(crate) fn trim(&mut self) -> Result<(), Broken> {
        let Some(every) = self.plan.trim_every_millis.filter(|_| !self.calm) else {
            return Ok(());
        };
        let pause = self.timing.between(every / 2, every * 2) * 1000;
        self.clock.in_micros(pause, Event::Trim);
        for id in self.leaders() {
            let token = self.own_token();
            let up = self.nodes.get_mut(&id).and_then(|node| node.up.as_mut());
            let replica = &mut up.expect("a leader").replica;
            let (start, end) = (replica.start_offset().get(), replica.high_watermark().get());
            if start >= end {
                continue;
            }
            let offset = end - self.timing.below(end - start) / self.timing.pick(&[1, 4, 16]);
            if replica
                .propose_trim(TrimTo::Offset(Offset(offset)), token)
                .is_ok()
            {
                self.counts.trims += 1;
                self.trims.insert(token.get(), offset);
                let history = &mut self.workload.history;
                history.to_delete = history.to_delete.max(offset);
                self.note(&format!("{id} is to delete what is before {offset}"));
                self.pump(id)?;
            }
        }
        Ok(())
    }

    /// An own proposal is committed.
    pub(crate) fn own_committed(&mut self, id: u64, token: Token) {
        if let Some(before) = self.trims.remove(&token.get()) {
            let now = self.clock.now();
            self.note(&format!("deleted before {before}"));
            let node = &self.nodes[&id];
            let replica = &node.up.as_ref().expect("it just advanced").replica;
            let by = (id, node.lifetime, replica.leader_epoch().get());
            let deletion = Deletion {
                at: now,
                by,
                before,
            };
            self.workload.history.deletions.push(deletion);
        }
    }

    fn own_token(&mut self) -> Token {
        self.own_tokens += 1;
        Token(OWN_TOKENS + self.own_tokens)
    }

    fn leaders(&self) -> Vec<u64> {
        let leads = |node: &&Node| node.up.as_ref().is_some_and(|up| up.replica.is_leader());
        let leaders = self.nodes.values().filter(leads);
        leaders.map(|node| node.id).collect()
    }

    /// Whether a crash of the machine loses what was acknowledged.
    pub(crate) fn forgets(&self) -> bool {
        self.plan.flush == Flush::Os
    }
}
