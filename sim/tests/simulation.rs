//! The simulator in CI: a few seeds of each kind, the same run twice, and every canary caught.
//! More seeds: `cargo run -p laminarmq-sim -- --seeds 1000`.

use std::ops::Range;

use laminarmq_sim::{Canary, Counts, Options, Outcome, Scenario, run};

fn outcome(scenario: Scenario, seed: u64, canary: Option<Canary>) -> Outcome {
    run(&Options {
        seed,
        scenario,
        canary,
        keep_all: false,
    })
}

fn all_fine(scenario: Scenario, seeds: Range<u64>) -> Counts {
    let mut counts = Counts::default();
    for seed in seeds {
        let outcome = outcome(scenario, seed, None);
        counts.add(&outcome.counts);
        assert!(
            outcome.failure.is_none(),
            "{}\n{outcome}",
            outcome.trace.join("\n")
        );
    }
    counts
}

#[test]
fn one_node_and_the_power_cut_at_every_sync() {
    let counts = all_fine(Scenario::Single, 100..103);
    assert!(counts.cuts_at_sync >= 60, "{counts}");
    assert!(
        counts.power_cuts > counts.cuts_at_sync && counts.kills > 0,
        "{counts}"
    );
    assert!(
        counts.unsynced_lost > 50 && counts.unsynced_kept > 10,
        "{counts}"
    );
    // Not everything that was in the partition had been promised: cuts fell between.
    assert!(
        counts.unacknowledged > 0 && counts.acknowledged > 1_000,
        "{counts}"
    );
}

#[test]
fn three_replicas_under_every_fault() {
    let counts = all_fine(Scenario::Trio, 400..412);
    // A run that meets no faults would prove nothing.
    let Counts {
        power_cuts,
        cuts_at_sync,
        kills,
        failed_syncs,
        partitions,
        ..
    } = counts;
    for happened in [power_cuts, cuts_at_sync, kills, failed_syncs, partitions] {
        assert!(happened > 0, "{counts}");
    }
    let Counts {
        lost,
        blocked,
        repeated,
        late,
        reordered,
        truncations,
        ..
    } = counts;
    for happened in [lost, blocked, repeated, late, reordered, truncations] {
        assert!(happened > 0, "{counts}");
    }
    assert_eq!(counts.missing(), [""; 0], "{counts}");
    assert!(
        counts.leaders > 16 && counts.acknowledged > 1_000 && counts.unknown > 0,
        "{counts}"
    );
}

#[test]
fn the_same_seed_is_the_same_run() {
    for scenario in [Scenario::Single, Scenario::Trio] {
        let [one, two] = [(); 2].map(|()| outcome(scenario, 7, None));
        assert_eq!(
            (one.trace_hash, one.counts, one.trace),
            (two.trace_hash, two.counts, two.trace)
        );
        assert_ne!(one.trace_hash, outcome(scenario, 8, None).trace_hash);
    }
}

/// Some seed ends with these words.
fn caught(scenario: Scenario, canary: Canary, words: &str) {
    caught_in(0..60, scenario, canary, words);
}

fn caught_in(seeds: Range<u64>, scenario: Scenario, canary: Canary, words: &str) {
    let mut others = Vec::new();
    for seed in seeds.clone() {
        let outcome = outcome(scenario, seed, Some(canary));
        let Some(failure) = &outcome.failure else {
            continue;
        };
        if failure.contains(words) {
            let replay = outcome.replay();
            assert!(
                replay.ends_with(&format!("--seed {seed} --canary {canary} --trace")),
                "{replay}"
            );
            return;
        }
        others.push(failure.clone());
    }
    panic!(
        "{canary} was not caught as {words:?} in seeds {seeds:?} of {scenario}, only as {others:#?}"
    );
}

#[test]
fn an_answer_before_the_sync_is_caught() {
    caught(
        Scenario::Single,
        Canary::EarlyAck,
        "acknowledged records up to",
    );
    caught(Scenario::Trio, Canary::EarlyAck, "and is gone");
}

#[test]
fn a_disk_that_lies_is_caught() {
    caught(Scenario::Trio, Canary::LyingSync, "another one had");
}

#[test]
fn a_forgotten_vote_is_caught() {
    caught(Scenario::Trio, Canary::ForgottenVote, "both lead term");
}

#[test]
fn a_wiped_disk_that_votes_as_before_is_caught() {
    caught(Scenario::Trio, Canary::WipedVoter, "another one had");
}

#[test]
fn a_crashed_machine_whose_replica_is_not_told_is_caught() {
    // In those before this one producers stand still at a gap, which takes long to see.
    caught_in(
        6..60,
        Scenario::Trio,
        Canary::ForgottenDoubt,
        "where the log ends at",
    );
}

#[test]
fn a_flipped_byte_is_caught() {
    caught(Scenario::Trio, Canary::FlippedByte, "another one had");
}

#[test]
fn a_leader_that_forgets_its_producers_is_caught() {
    caught(
        Scenario::Trio,
        Canary::ForgottenProducers,
        "was stored again: it is at",
    );
}

#[test]
fn an_answer_by_who_does_not_lead_any_more_is_caught() {
    caught(
        Scenario::Trio,
        Canary::LateAnswer,
        "acknowledged records up to",
    );
}

#[test]
fn a_leader_of_before_that_reads_on_is_caught() {
    caught(
        Scenario::Trio,
        Canary::DeposedReads,
        "after a leader of a newer term was heard of",
    );
}

#[test]
fn a_watermark_that_is_told_too_early_is_caught() {
    caught(
        Scenario::Trio,
        Canary::EarlyWatermark,
        "were acknowledged before",
    );
}
