//! What happened in a run, and how to see it again.

use std::fmt;

use crate::scenario::{Canary, Scenario};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident: $words:literal,)*) => {
        /// How often what happened.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counts {
            /// Adds another run's.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }

        impl fmt::Display for Counts {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(f, "  {:>12}  {}", self.$name, $words)?;)*
                Ok(())
            }
        }
    };
}

counts! {
    /// Power cuts.
    power_cuts: "power cuts",
    /// Power cuts exactly at a sync.
    cuts_at_sync: "power cuts at a sync",
    /// Killed processes.
    kills: "killed processes",
    /// Failed syncs.
    failed_syncs: "failed syncs",
    /// Unsynced sectors, lengths and names that a power cut took.
    unsynced_lost: "unsynced sectors, lengths and names lost",
    /// Those that the media had taken nevertheless.
    unsynced_kept: "unsynced sectors, lengths and names kept",
    /// Syncs that were done.
    syncs: "syncs",
    /// Messages sent.
    messages: "messages sent",
    /// Lost by the network.
    lost: "messages lost",
    /// Sent over a link that carried nothing.
    blocked: "messages into a partition",
    /// Delivered twice.
    repeated: "messages repeated",
    /// Delayed beyond the usual.
    late: "messages very late",
    /// Delivered after one that was sent later.
    reordered: "messages overtaken",
    /// Refused by the receiver as unexpected.
    refused: "messages refused",
    /// Partitions begun.
    partitions: "partitions",
    /// Partitions of one direction only.
    one_way: "partitions of one direction",
    /// Clocks that began to run much faster or slower.
    clock_skews: "clocks gone wrong",
    /// Disks on which a bit was flipped.
    bit_rot: "bits flipped on disks",
    /// Flipped bits that were noticed.
    rot_found: "flipped bits noticed",
    /// Disks that had no room for a while.
    full_disks: "full disks",
    /// Disks that were replaced by empty ones.
    wipes: "wiped disks",
    /// Machines that crashed where writing had counted as saving.
    os_crashes: "machine crashes with flush=os",
    /// Starts of replicas that may have lost what they acknowledged.
    doubts: "starts in doubt",
    /// Replicas that had everything again.
    doubts_over: "doubts that ended",
    /// Replicas that became learners.
    learners: "learners",
    /// Learners that became voters, in the place of a lost replica.
    promotions: "learners made voters",
    /// Logs that began anew by a snapshot.
    snapshots: "snapshots",
    /// Deletions of records that were asked for.
    trims: "deletions of records",
    /// Hand-overs asked for.
    transfers: "hand-overs asked for",
    /// Times that somebody became leader.
    leaders: "leader changes",
    /// Times that a leader rested.
    rests: "rests of a leader",
    /// Times that a replica at rest missed a node that said nothing.
    missed_at_rest: "silent nodes missed at rest",
    /// Logs that lost an end to a newer leader.
    truncations: "truncations",
    /// Batches that clients sent.
    invoked: "produce requests",
    /// Acknowledged.
    acknowledged: "produce requests acknowledged",
    /// Refused.
    failed: "produce requests refused",
    /// Never answered.
    unknown: "produce requests without an answer",
    /// Batches of idempotent producers that were sent again.
    sent_again: "idempotent requests sent again",
    /// Repetitions that were recognised.
    duplicates: "repetitions recognised",
    /// Of those, by another leader than the one that took the batch, or by that one in another lifetime.
    duplicates_elsewhere: "repetitions recognised after a failover or restart",
    /// Of those, not committed when they were recognised.
    duplicates_awaited: "repetitions recognised before they were committed",
    /// Repetitions within a turn.
    unsettled: "repetitions within a turn",
    /// Requests that an idempotent producer gave up.
    given_up: "idempotent requests given up",
    /// Records read by consumers during the run.
    reads: "records read by consumers",
    /// Answers to consumers by the newest leader that anybody has heard of: what they show is linearizable.
    views_newest: "reads of the newest leader",
    /// By a leader that was replaced already.
    views_stale: "reads of a leader that was replaced",
    /// By a node that does not lead.
    views_followers: "reads of followers",
    /// Committed entries compared.
    compared: "committed entries compared",
    /// Records in the partition at the end, over all runs.
    records: "records at the end",
    /// Of those, never acknowledged.
    unacknowledged: "records at the end without an acknowledgement",
}

impl Counts {
    /// What must have happened in runs that are to prove something, as far as it did not.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let all = [
            (self.power_cuts, "power cuts"),
            (self.cuts_at_sync, "power cuts at a sync"),
            (self.kills, "killed processes"),
            (self.failed_syncs, "failed syncs"),
            (self.lost, "messages lost"),
            (self.repeated, "messages repeated"),
            (self.late, "messages very late"),
            (self.reordered, "messages overtaken"),
            (self.partitions, "partitions"),
            (self.one_way, "partitions of one direction"),
            (self.clock_skews, "clocks gone wrong"),
            (self.bit_rot, "bits flipped"),
            (self.rot_found, "flipped bits noticed"),
            (self.full_disks, "full disks"),
            (self.wipes, "wiped disks"),
            (self.os_crashes, "machine crashes with flush=os"),
            (self.doubts, "starts in doubt"),
            (self.doubts_over, "doubts that ended"),
            (self.learners, "learners"),
            (self.promotions, "learners made voters"),
            (self.leaders, "leader changes"),
            (self.transfers, "hand-overs"),
            (self.truncations, "truncations"),
            (self.snapshots, "snapshots"),
            (self.rests, "rests of a leader"),
            (self.missed_at_rest, "silent nodes missed at rest"),
            (self.trims, "deletions of records"),
            (self.acknowledged, "acknowledged requests"),
            (self.sent_again, "idempotent requests sent again"),
            (self.duplicates, "repetitions recognised"),
            (
                self.duplicates_elsewhere,
                "repetitions recognised after a failover or restart",
            ),
            (
                self.duplicates_awaited,
                "repetitions recognised before they were committed",
            ),
            (self.unsettled, "repetitions within a turn"),
            (self.given_up, "idempotent requests given up"),
            (self.reads, "reads"),
            (self.views_newest, "reads of the newest leader"),
            (self.views_stale, "reads of a leader that was replaced"),
            (self.views_followers, "reads of followers"),
        ];
        all.iter()
            .filter(|(count, _)| *count == 0)
            .map(|(_, words)| *words)
            .collect()
    }
}

/// One run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Its scenario.
    pub scenario: Scenario,
    /// The fault outside the model that it ran with.
    pub canary: Option<Canary>,
    /// What happened.
    pub counts: Counts,
    /// A hash of every event, and of every byte on every disk at the end.
    pub trace_hash: u64,
    /// The first broken promise; it ends the run.
    pub failure: Option<String>,
    /// The newest events; all of them if that was asked for.
    pub trace: Vec<String>,
}

impl Outcome {
    /// The command that repeats the run.
    #[must_use]
    pub fn replay(&self) -> String {
        let canary = self
            .canary
            .map_or(String::new(), |canary| format!(" --canary {canary}"));
        format!(
            "cargo run -p laminarmq-sim -- --scenario {} --seed {}{canary} --trace",
            self.scenario, self.seed
        )
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(failure) = &self.failure else {
            return write!(
                f,
                "seed {}: fine, trace {:016x}",
                self.seed, self.trace_hash
            );
        };
        writeln!(f, "seed {} BROKE: {failure}", self.seed)?;
        write!(f, "again: {}", self.replay())
    }
}
