//! What is held while a run goes on, and at its end: each node's own word, the logs against each
//! other, and the partition against what clients were promised.

use std::collections::BTreeSet;

use crate::checkers::{self, Broken, Committed, Leaders, Watermarks};
use crate::cluster::{Cluster, Event};
use crate::workload::read_all;

/// What the checkers remember.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) leaders: Leaders,
    committed: Committed,
    watermarks: Watermarks,
    /// Leaders that were checked since they know their watermark: (node, lifetime, term).
    checked: BTreeSet<(u64, u64, u32)>,
}

impl Cluster {
    /// Checks what a node says of itself.
    pub(crate) fn observe(&mut self, id: u64) -> Result<(), Broken> {
        let node = self.nodes.get_mut(&id).expect("a node of this cluster");
        let lifetime = node.lifetime;
        let Some(up) = &mut node.up else {
            return Ok(());
        };
        let watermark = up.replica.high_watermark().get();
        self.watch.watermarks.stands(id, lifetime, watermark)?;
        if watermark > up.replica.end_offset().get() {
            return Err(format!(
                "node {id}'s high watermark {watermark} is past its end"
            ));
        }
        if up.was_truncated() {
            self.counts.truncations += 1;
        }
        let applied = up.replica.applied_index().get();
        if applied > up.compared {
            let from = up.compared + 1;
            for (index, entry) in (from..).zip(up.entries(from, applied)?) {
                self.watch.committed.commits(id, index, entry)?;
                self.counts.compared += 1;
            }
            up.compared = applied;
        }
        let replica = &up.replica;
        let key = (id, lifetime, replica.leader_epoch().get());
        if replica.is_leader() && replica.is_watermark_known() && self.watch.checked.insert(key) {
            // A new leader that knows what is committed knows all that was ever promised.
            let records = read_all(id, replica)?;
            checkers::partition(&self.workload.history, &records).map_err(|broken| {
                format!("at node {id}, newly leader of term {}: {broken}", key.2)
            })?;
        }
        Ok(())
    }

    /// Compares the logs of all nodes that are up, and sees whether the run is over.
    pub(crate) fn look(&mut self) -> Result<(), Broken> {
        let mut logs = Vec::new();
        for node in self.nodes.values() {
            if let Some(up) = &node.up {
                logs.push((node.id, up.whole_log()?));
            }
        }
        for (at, (id, log)) in logs.iter().enumerate() {
            for (other, other_log) in &logs[at + 1..] {
                checkers::log_matching((*id, log), (*other, other_log))?;
            }
        }
        self.settled = self.is_settled(logs.iter().map(|(_, log)| log.len() as u64));
        self.clock.in_micros(300_000, Event::Look);
        Ok(())
    }

    /// All are up, nothing is on its way, and something was acknowledged since the faults ended.
    fn is_settled(&self, mut lengths: impl Iterator<Item = u64>) -> bool {
        let up: Vec<_> = self
            .nodes
            .values()
            .filter_map(|node| node.up.as_ref())
            .collect();
        let all = self.watch.committed.len();
        self.is_enough()
            && self.workload.is_idle()
            && up.len() == self.nodes.len()
            && lengths.all(|length| length == all)
            && up
                .iter()
                .all(|up| up.compared == all && !up.replica.is_persisting())
    }

    /// The end: every node has the same partition, and it is what the clients were promised.
    pub(crate) fn finish(&mut self) -> Result<(), Broken> {
        for node in self.nodes.values() {
            let up = node.up.as_ref().expect("a settled run");
            let records = read_all(node.id, &up.replica)?;
            let found = checkers::partition(&self.workload.history, &records)
                .map_err(|broken| format!("at the end, at node {}: {broken}", node.id))?;
            self.counts.records = found.records;
            self.counts.unacknowledged = found.unacknowledged;
            self.trace.bytes(&node.disk.bytes(&up.segments()));
        }
        Ok(())
    }
}
