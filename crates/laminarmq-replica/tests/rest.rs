//! Groups in which nothing happens send nothing, and miss nobody later for it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use common::{Group, Node, config};
use laminarmq_replica::{
    MemberStep, MembershipChange, PeerBody, PeerMessage, ReplicaConfig, ReplicaId, Role, Token,
};

const REST_TICKS: u32 = 20;
const ELECTION_TICKS: u32 = 10;

fn resting(id: u64, voters: &[u64]) -> ReplicaConfig {
    ReplicaConfig {
        rest_ticks: REST_TICKS,
        election_ticks: ELECTION_TICKS,
        ..config(id, voters)
    }
}

fn group() -> Group {
    let voters = [1, 2, 3];
    Group::new(voters.map(|id| Node::new(resting(id, &voters))))
}

fn tick_without(group: &mut Group, lost: impl FnMut(ReplicaId, ReplicaId, &PeerMessage) -> bool) {
    for node in group.nodes.values_mut() {
        node.replica.tick();
    }
    group.settle_without(lost);
}

/// Ticks until all rest, and says how many ticks that took.
fn until_all_rest(group: &mut Group) -> u32 {
    for ticks in 0..10 * ELECTION_TICKS {
        if group.nodes.values().all(|node| node.replica.is_at_rest()) {
            return ticks;
        }
        group.tick();
    }
    panic!("somebody does not rest");
}

/// Messages of so many ticks.
fn messages(group: &mut Group, ticks: u32) -> usize {
    let mut sent = 0;
    for _ in 0..ticks {
        tick_without(group, |_, _, _| {
            sent += 1;
            false
        });
    }
    sent
}

fn other_than(group: &Group, id: u64) -> u64 {
    *group.nodes.keys().find(|other| **other != id).unwrap()
}

#[test]
fn a_group_at_rest_says_almost_nothing_and_stays_as_it_is() {
    let mut group = group();
    let leader = group.elect();
    group.node(leader).propose(1, 1);
    group.settle();
    let term = group.node(leader).replica.leader_epoch();
    until_all_rest(&mut group);
    let sent = messages(&mut group, 10 * REST_TICKS);
    // Without rest: a heartbeat and an answer for two members, every other tick.
    let awake = 10 * REST_TICKS as usize * 2;
    assert!((1..awake / 8).contains(&sent), "{sent} messages of {awake}");
    assert!(group.node(leader).replica.is_leader());
    assert_eq!(group.node(leader).replica.leader_epoch(), term);
}

#[test]
fn who_does_not_ask_for_rest_has_none() {
    let mut group = Group::of(&[1, 2, 3]);
    group.elect();
    let sent = messages(&mut group, 10 * REST_TICKS);
    assert_eq!(sent, 10 * REST_TICKS as usize * 2);
}

#[test]
fn what_is_proposed_ends_the_rest_and_is_committed() {
    let mut group = group();
    let leader = group.elect();
    for token in 0..5 {
        until_all_rest(&mut group);
        group.node(leader).propose(token, 1);
        assert!(!group.node(leader).replica.is_at_rest());
        group.settle();
        assert_eq!(group.node(leader).seen.committed.len() as u64, token + 1);
        assert!(!group.nodes.values().any(|node| node.replica.is_at_rest()));
        // All must know that it is committed before they rest again.
        until_all_rest(&mut group);
        for node in group.nodes.values() {
            assert_eq!(node.replica.high_watermark().get(), token + 1);
        }
    }
}

#[test]
fn a_leader_whose_node_is_silent_is_missed_as_soon_as_without_rest() {
    let mut group = group();
    let leader = group.elect();
    until_all_rest(&mut group);
    group.nodes.remove(&leader);
    for node in group.nodes.values_mut() {
        node.replica.wake(ELECTION_TICKS / 2);
        assert!(!node.replica.is_at_rest());
    }
    let mut ticks = 0;
    while !group.nodes.values().any(|node| node.replica.is_leader()) {
        group.tick();
        ticks += 1;
        // The first of two that wait between one and two timeouts, of which a half was over.
        assert!(ticks <= ELECTION_TICKS * 3 / 2 + 1, "nobody leads");
    }
    // One vote is enough only now: without being told nobody stands for election that soon.
    assert!(ticks >= ELECTION_TICKS / 2);
}

#[test]
fn without_being_told_a_silent_leader_is_missed_in_the_end() {
    let mut group = group();
    let leader = group.elect();
    until_all_rest(&mut group);
    group.nodes.remove(&leader);
    let mut ticks = 0;
    while !group.nodes.values().any(|node| node.replica.is_leader()) {
        group.tick();
        ticks += 1;
        assert!(ticks <= 3 * REST_TICKS + 4 * ELECTION_TICKS, "nobody leads");
    }
    assert!(ticks > 2 * REST_TICKS, "it rested, and nobody told it");
}

#[test]
fn a_leader_that_hears_that_its_followers_nodes_are_silent_steps_down() {
    let mut group = group();
    let leader = group.elect();
    until_all_rest(&mut group);
    group.nodes.retain(|id, _| *id == leader);
    group.node(leader).replica.wake(ELECTION_TICKS / 2);
    for _ in 0..2 * ELECTION_TICKS {
        group.tick();
    }
    assert_ne!(group.node(leader).replica.role(), Role::Leader);
}

#[test]
fn nobody_rests_while_one_does_not() {
    let mut group = group();
    let leader = group.elect();
    group.settle();
    // One that hears everything, and whose answers about rest are lost.
    let mute = other_than(&group, leader);
    for _ in 0..10 * ELECTION_TICKS {
        tick_without(&mut group, |from, _, message| {
            from.get() == mute && matches!(message.body, PeerBody::RestReply { .. })
        });
        assert!(!group.node(leader).replica.is_at_rest());
        assert!(group.node(leader).replica.is_leader());
    }
    until_all_rest(&mut group);
    // One that lacks an entry.
    group.node(leader).propose(1, 1);
    group.settle_without(|_, to, _| to.get() == mute);
    for _ in 0..10 * ELECTION_TICKS {
        tick_without(&mut group, |_, to, message| {
            to.get() == mute && matches!(message.body, PeerBody::Append { .. })
        });
        assert!(!group.node(leader).replica.is_at_rest());
    }
    until_all_rest(&mut group);
    assert_eq!(group.node(mute).replica.end_offset().get(), 1);
}

#[test]
fn a_learner_rests_too_and_is_waited_for() {
    let mut group = group();
    let leader = group.elect();
    let mut joining = resting(4, &[1, 2, 3]);
    joining.members_index = group.node(leader).replica.membership().index;
    let enter = MembershipChange::Enter(vec![MemberStep::Learner(ReplicaId(4))]);
    let replica = &mut group.node(leader).replica;
    replica.propose_membership(&enter, Token(1)).unwrap();
    group.settle();
    let leave = MembershipChange::Leave;
    let replica = &mut group.node(leader).replica;
    replica.propose_membership(&leave, Token(2)).unwrap();
    group.settle();
    for _ in 0..5 * ELECTION_TICKS {
        group.tick();
        assert!(!group.node(leader).replica.is_at_rest(), "it is not there");
    }
    group.nodes.insert(4, Node::new(joining));
    until_all_rest(&mut group);
}

#[test]
fn a_restarted_leader_finds_its_group_again() {
    let mut group = group();
    let leader = group.elect();
    until_all_rest(&mut group);
    group.node(leader).restart(true);
    // Nobody was told of it, and all others rest.
    let again = group.elect();
    group.node(again).propose(1, 1);
    group.settle();
    assert_eq!(group.node(again).seen.committed.len(), 1);
    until_all_rest(&mut group);
}

#[test]
fn an_offer_of_a_leader_that_was_replaced_wakes_nobody_and_rests_nobody() {
    let mut group = group();
    let first = group.elect();
    let old = group.node(first).replica.leader_epoch();
    let next = other_than(&group, first);
    group
        .node(first)
        .replica
        .transfer_leadership(ReplicaId(next));
    group.settle();
    assert!(group.node(next).replica.is_leader());
    let third = *group
        .nodes
        .keys()
        .find(|id| **id != first && **id != next)
        .unwrap();
    let last = group.node(third).replica.applied_index();
    let stale = PeerMessage {
        term: old,
        body: PeerBody::Rest { commit: last },
    };
    group.tick();
    let replica = &mut group.node(third).replica;
    // Whatever it answers, it follows the new one, awake.
    let _ = replica.step(ReplicaId(first), stale);
    assert!(!replica.is_at_rest());
    assert_eq!(replica.leader(), Some(ReplicaId(next)));
}
