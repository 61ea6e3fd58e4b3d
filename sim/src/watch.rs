//! What is held while a run goes on, and at its end: each node's own word, the logs against each
//! other, and the partition against what clients were promised.

use std::collections::BTreeSet;

use crate::checkers::{self, Broken, Committed, Leaders, Watermarks};
use crate::cluster::{Cluster, Event};
use crate::consumer::{read_all, records_of};
use crate::history::Read;

/// What the checkers remember.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) leaders: Leaders,
    committed: Committed,
    watermarks: Watermarks,
    /// The committed records by offset, from 0 on, deleted ones too.
    records: Vec<Read>,
    /// Leaders that were checked since they know their watermark: (node, lifetime, term).
    checked: BTreeSet<(u64, u64, u32)>,
}

impl Cluster {
    /// Checks what a node says of itself.
    pub(crate) fn observe(&mut self, id: u64) -> Result<(), Broken> {
        let node = self.nodes.get_mut(&id).expect("a node of this cluster");
        let lifetime = node.lifetime;
        let suspect = node.suspect;
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
            let from = (up.compared + 1).max(up.start_index());
            let entries = match up.entries(from, applied) {
                Ok(entries) => entries,
                Err(error) if suspect => {
                    self.found_rot(id, &error);
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            for (index, entry) in (from..).zip(entries) {
                let is_new = self.watch.committed.commits(id, index, entry.plain)?;
                self.counts.compared += 1;
                if let Some(batch) = entry.batch.filter(|_| is_new) {
                    self.watch.records.extend(records_of(id, batch, 0)?);
                }
            }
            up.compared = applied;
        }
        let replica = &up.replica;
        let key = (id, lifetime, replica.leader_epoch().get());
        if replica.is_leader() && replica.is_watermark_known() && self.watch.checked.insert(key) {
            // A new leader that knows what is committed knows all that was ever promised.
            let start = replica.start_offset().get();
            checkers::promised(&self.workload.history, start, watermark).map_err(|broken| {
                format!("at node {id}, newly leader of term {}: {broken}", key.2)
            })?;
        }
        if replica.start_offset().get() > self.workload.history.to_delete {
            return Err(format!(
                "node {id} starts at {}, and nobody asked for that",
                replica.start_offset()
            ));
        }
        Ok(())
    }

    /// Compares the logs of all nodes that are up, and sees whether the run is over.
    pub(crate) fn look(&mut self) -> Result<(), Broken> {
        let mut logs = Vec::new();
        for node in self.nodes.values() {
            if let Some(up) = node.up.as_ref().filter(|_| !node.suspect) {
                logs.push((node.id, up.start_index(), up.whole_log()?));
                // A new leader does not tell what it shows before it knows.
                if up.replica.is_watermark_known() {
                    let from = up.replica.start_offset().get();
                    let records = read_all(node.id, &up.replica)?;
                    checkers::part(node.id, from, &records, &self.watch.records)?;
                }
            }
        }
        for (at, (id, start, log)) in logs.iter().enumerate() {
            for (other, other_start, other_log) in &logs[at + 1..] {
                checkers::log_matching((*id, *start, log), (*other, *other_start, other_log))?;
            }
        }
        let ends = logs
            .iter()
            .map(|(_, start, log)| start - 1 + log.len() as u64);
        self.settled = self.is_settled(ends);
        let pause = if self.calm {
            300_000
        } else {
            self.plan.look_micros
        };
        self.clock.in_micros(pause, Event::Look);
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
            && self.all_know_the_members()
            && lengths.all(|length| length == all)
            && up
                .iter()
                .all(|up| up.compared == all && !up.replica.is_persisting())
    }

    /// The end: every node has the same partition, and it is what the clients were promised.
    pub(crate) fn finish(&mut self) -> Result<(), Broken> {
        checkers::sequences(&self.workload.history, &self.watch.records)
            .map_err(|broken| format!("at the end: {broken}"))?;
        let found = checkers::partition(&self.workload.history, &self.watch.records)
            .map_err(|broken| format!("at the end: {broken}"))?;
        let views = checkers::linearizable(
            &self.workload.history,
            &self.watch.records,
            self.plan.stale_micros_max(),
        )
        .map_err(|broken| format!("at the end: {broken}"))?;
        self.note(&format!(
            "replaced leaders went on for {} us",
            views.stale_micros
        ));
        self.counts.views_newest = views.newest;
        self.counts.views_stale = views.stale;
        self.counts.views_followers = views.followers;
        self.counts.records = found.records;
        self.counts.unacknowledged = found.unacknowledged;
        for node in self.nodes.values() {
            let up = node.up.as_ref().expect("a settled run");
            let (from, end) = (up.replica.start_offset(), up.replica.high_watermark());
            let records = read_all(node.id, &up.replica)?;
            checkers::part(node.id, from.get(), &records, &self.watch.records)?;
            checkers::promised(&self.workload.history, from.get(), end.get())
                .map_err(|broken| format!("at the end, at node {}: {broken}", node.id))?;
            if end.get() != self.watch.records.len() as u64 {
                return Err(format!("at the end, node {} shows {end}", node.id));
            }
            self.trace.bytes(&node.disk.bytes(&up.segments()));
        }
        Ok(())
    }
}
