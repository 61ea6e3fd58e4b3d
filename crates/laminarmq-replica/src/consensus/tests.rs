use laminarmq::{LogOptions, MemEnv, poll_ready};

use super::*;
use crate::state::LogStart;
use crate::terms::TermRuns;
use crate::{GroupId, MemberStep};

fn open(members: &Membership) -> Consensus<MemEnv> {
    let config = ReplicaConfig::new(GroupId(1), ReplicaId(9), members.clone());
    let options = LogOptions {
        initial_index: 1,
        ..LogOptions::default()
    };
    let log = poll_ready(Log::open_with(MemEnv::new(), options)).unwrap();
    let saved = Saved {
        ballot: Ballot::default(),
        commit: LogIndex(0),
        applied: LogIndex(0),
        members: members.clone(),
        start: LogStart::default(),
        terms: TermRuns::empty(LogIndex(0), Term(0)),
    };
    Consensus::open(&config, saved, log, Box::new(|| 7)).unwrap()
}

fn members_of(raw: &Consensus<MemEnv>) -> Membership {
    convert::members(&raw.raw.raft.prs().conf().to_conf_state())
}

/// Every combination of lists over three ids, as far as it passes the check.
fn memberships() -> Vec<Membership> {
    let subset = |bits: u32| -> Vec<ReplicaId> {
        (0..3)
            .filter(|id| bits >> id & 1 == 1)
            .map(|id| ReplicaId(id + 1))
            .collect()
    };
    (0..1 << 12_u32)
        .map(|bits| Membership {
            voters: subset(bits),
            learners: subset(bits >> 3),
            outgoing: subset(bits >> 6),
            learners_next: subset(bits >> 9),
        })
        .filter(|members| members.check().is_ok())
        .collect()
}

#[test]
fn every_membership_that_passes_the_check_is_taken_and_given_back() {
    let all = memberships();
    assert!(all.len() > 50, "{}", all.len());
    for members in all {
        assert_eq!(members_of(&open(&members)), members);
    }
}

#[test]
fn any_change_of_any_membership_makes_one_that_can_be_saved_or_none() {
    let ids = [1, 2, 3].map(ReplicaId);
    let step = |which: usize, id| match which {
        0 => MemberStep::Voter(id),
        1 => MemberStep::Learner(id),
        _ => MemberStep::Remove(id),
    };
    let mut changes = vec![MembershipChange::Leave];
    for first in 0..9 {
        changes.push(MembershipChange::Enter(vec![step(
            first % 3,
            ids[first / 3],
        )]));
        for second in 0..9 {
            let steps = vec![
                step(first % 3, ids[first / 3]),
                step(second % 3, ids[second / 3]),
            ];
            changes.push(MembershipChange::Enter(steps));
        }
    }
    let (mut made, mut refused) = (0, 0);
    for members in memberships() {
        for change in &changes {
            let mut consensus = open(&members);
            match consensus.apply_membership(change) {
                Some(after) => {
                    assert_eq!(after.check(), Ok(()), "{members:?} {change:?} {after:?}");
                    assert_eq!(members_of(&consensus), after);
                    made += 1;
                }
                None => {
                    assert_eq!(
                        members_of(&consensus),
                        members,
                        "a refused change changes nothing"
                    );
                    refused += 1;
                }
            }
        }
    }
    assert!(made > 1_000 && refused > 1_000, "{made} {refused}");
}

#[test]
fn election_timeouts_are_ours_and_spread() {
    let voters = Membership::of_voters([8, 9].map(ReplicaId));
    let ticks_to_campaign = |draw: u64| {
        let config = ReplicaConfig::new(GroupId(1), ReplicaId(9), voters.clone());
        let mut consensus = open(&config.members);
        consensus.random = Box::new(move || draw);
        consensus.draw_timeout();
        (1..100).find(|_| {
            consensus.tick();
            consensus.role() != Role::Follower
        })
    };
    // From election_ticks on, up to one less than twice as many; whatever the crate draws.
    for _ in 0..20 {
        assert_eq!(ticks_to_campaign(0), Some(10));
        assert_eq!(ticks_to_campaign(4), Some(14));
        assert_eq!(ticks_to_campaign(19), Some(19));
    }
}
