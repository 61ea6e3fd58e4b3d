//! Which fault comes next.

use crate::checkers::Broken;
use crate::cluster::{Cluster, Event};
use laminarmq_replica::ReplicaId;

impl Cluster {
    pub(crate) fn plan_fault(&mut self) {
        if let Some(every) = self.plan.fault_every_millis {
            let pause = self.faults.between(every / 4, every * 2) * 1000;
            self.clock.in_micros(pause, Event::Fault);
        }
    }

    pub(crate) fn inject(&mut self) -> Result<(), Broken> {
        let ids = self.plan.nodes.clone();
        let id = self.faults.pick(&ids);
        let is_up = self.nodes[&id].up.is_some();
        match self.faults.below(100) {
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
                self.partition(|a, b| a == id && b == to, &format!("{id}>{to} only"));
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

    fn partition(&mut self, blocks: impl Fn(u64, u64) -> bool, words: &str) {
        let ids = self.plan.nodes.clone();
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
