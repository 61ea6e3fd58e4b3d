//! Which fault comes next.

use crate::checkers::Broken;
use crate::cluster::{Cluster, Event};
use crate::node::Up;
use laminarmq_replica::ReplicaId;

/// Between two ticks of a clock that goes wrong, at most.
pub(crate) const SLOWEST_TICK_MICROS: u64 = 40_000;

impl Cluster {
    pub(crate) fn plan_fault(&mut self) {
        if let Some(every) = self.plan.fault_every_millis {
            let pause = self.faults.between(every / 4, every * 2) * 1000;
            self.clock.in_micros(pause, Event::Fault);
        }
    }

    pub(crate) fn inject(&mut self) -> Result<(), Broken> {
        let ids: Vec<_> = self.nodes.keys().copied().collect();
        let id = self.faults.pick(&ids);
        let is_up = self.nodes[&id].up.is_some();
        if self.plan.wipes && self.faults.per_mille(350) {
            return self.inject_rare(id);
        }
        match self.faults.below(100) {
            // One fault of a disk at a time: see the crate's fault model.
            0..20 | 35..54 if self.nodes[&id].was_rotten => {}
            // Where writing is saving, a crash of the machine takes what was acknowledged.
            0..20 if is_up && self.forgets() && self.all_others_know_the_members(id) => {
                self.counts.os_crashes += 1;
                self.nodes.get_mut(&id).expect("is up").in_doubt = true;
                self.power_cut(id, "the machine crashes");
            }
            0..20 | 35..57 if self.forgets() => {}
            0..20 if is_up => self.power_cut(id, "the power goes"),
            20..35 if is_up => self.kill(id),
            35..50 if self.plan.cut_at.is_none() => {
                let disk = &self.nodes[&id].disk;
                disk.cut_at(Some(disk.syncs() + self.faults.below(4)));
                self.note(&format!("{id} is going to lose power at a sync"));
            }
            50..54 if is_up => {
                self.nodes[&id].disk.fail_next_sync();
                self.note(&format!("{id} is going to fail a sync"));
            }
            54..57 => {
                for id in ids {
                    if self.nodes[&id].up.is_some() {
                        self.power_cut(id, "the power goes everywhere");
                    }
                }
            }
            57..70 => self.partition(|from, to| from == id || to == id, &format!("{id} alone")),
            70..78 => {
                let to = self.faults.pick(&ids);
                let before = self.counts.partitions;
                self.partition(|a, b| a == id && b == to, &format!("{id}>{to} only"));
                self.counts.one_way += self.counts.partitions - before;
            }
            78..92 if self.network.heal() => self.note("partitions heal"),
            92..100 if is_up => {
                let to = self.faults.pick(&ids);
                let up = self
                    .nodes
                    .get_mut(&id)
                    .and_then(|node| node.up.as_mut())
                    .expect("is up");
                if up.replica.is_leader() {
                    self.counts.transfers += 1;
                    up.replica.transfer_leadership(ReplicaId(to));
                    self.note(&format!("{id} hands over to {to}"));
                    return self.pump(id);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What takes a replica, fills its disk, or lets its clock run wild.
    fn inject_rare(&mut self, id: u64) -> Result<(), Broken> {
        let is_up = self.nodes[&id].up.is_some();
        match self.faults.below(100) {
            0..20 if self.all_know_the_members() => {
                self.counts.wipes += 1;
                self.lose(id, "its disk is empty");
            }
            20..50 if is_up && self.all_know_the_members() => {
                self.kill(id);
                self.nodes[&id].disk.be_good();
                if self.nodes[&id].disk.rot(&mut self.faults) {
                    self.counts.bit_rot += 1;
                    self.is_suspect(id);
                    self.note(&format!("a bit of {id}'s disk flips"));
                }
            }
            50..75 if is_up => {
                self.counts.full_disks += 1;
                let room = self.faults.below(2_000);
                self.nodes[&id].disk.fill(Some(room));
                self.note(&format!("{id}'s disk has room for {room} bytes"));
                let full = self.faults.between(50, 1_500) * 1000;
                self.clock.in_micros(full, Event::Room(id));
            }
            75..100 if is_up => {
                self.counts.clock_skews += 1;
                let tick = self.faults.between(3_000, SLOWEST_TICK_MICROS);
                let node = self.nodes.get_mut(&id).expect("is up");
                node.tick = tick;
                self.note(&format!("{id}'s clock ticks every {tick} us"));
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn is_suspect(&mut self, id: u64) {
        let node = self.nodes.get_mut(&id).expect("a node of this cluster");
        node.suspect = true;
        node.was_rotten = true;
        let scrub = self.faults.between(1_000, 4_000) * 1000;
        self.clock.in_micros(scrub, Event::Scrub(id));
    }

    /// Somebody reads the whole log of a node on whose disk a bit was flipped.
    pub(crate) fn scrub(&mut self, id: u64) {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.suspect) else {
            return;
        };
        match node.up.as_ref().map(Up::whole_log) {
            None => self.clock.in_micros(500_000, Event::Scrub(id)),
            // In what nobody needs any more, or in what is made anew from the rest.
            Some(Ok(_)) => node.suspect = false,
            Some(Err(error)) => self.found_rot(id, &error),
        }
    }

    /// A flipped bit was noticed: what the replica holds does not count any more.
    pub(crate) fn found_rot(&mut self, id: u64, error: &str) {
        self.counts.rot_found += 1;
        self.lose(id, error);
    }

    fn partition(&mut self, blocks: impl Fn(u64, u64) -> bool, words: &str) {
        let ids: Vec<_> = self.nodes.keys().copied().collect();
        let mut any = false;
        for &from in &ids {
            for &to in &ids {
                if from != to && blocks(from, to) {
                    self.network.block(from, to);
                    any = true;
                }
            }
        }
        if any {
            self.counts.partitions += 1;
            self.note(&format!("partition: {words}"));
        }
    }
}
