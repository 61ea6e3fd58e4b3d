//! A replica that may have lost what it acknowledged: it elects nobody who lacks it, and gets it back.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use common::{Group, Node, config};
use laminarmq_replica::{
    EntryKind, Flush, LogIndex, LogPoint, Offset, Payload, PeerBody, PeerEntry, PeerError,
    PeerMessage, ReplicaConfig, ReplicaId, Role, Term, Token, TrimProposed, TrimTo, Tuning,
};

const VOTERS: [u64; 3] = [1, 2, 3];

/// Where writing counts as saving.
fn careless(id: u64) -> ReplicaConfig {
    ReplicaConfig {
        flush: Flush::Os,
        rest_ticks: 20,
        ..config(id, &VOTERS)
    }
}

fn group() -> Group {
    Group::new(VOTERS.map(|id| Node::new(careless(id))))
}

/// The machine crashes, and what was only written is gone.
fn lose(node: &mut Node, is_told: bool) {
    node.config.may_have_lost = is_told;
    node.restart(true);
}

fn commit(group: &mut Group, leader: u64, token: u64) {
    group.node(leader).propose(token, 1);
    group.settle();
    let committed = &group.node(leader).seen.committed;
    assert_eq!(committed.last().map(|it| it.0), Some(token));
}

fn ticks(group: &mut Group, count: u32) {
    for _ in 0..count {
        group.tick();
    }
}

fn values(node: &Node) -> Vec<String> {
    let start = node.replica.start_offset().get();
    let values = node.values(start).into_iter();
    values.map(|(_, value)| value).collect()
}

fn no_one_leads(group: &Group) -> bool {
    !group.nodes.values().any(|node| node.replica.is_leader())
}

#[test]
fn no_leader_is_elected_without_what_a_voter_may_have_lost() {
    // Told or not: without a doubt the two that lack the record make one of them leader.
    for is_told in [true, false] {
        let mut group = group();
        let leader = group.elect();
        let (loser, other) = (leader % 3 + 1, 6 - leader - (leader % 3 + 1));
        commit(&mut group, leader, 1);
        let away = group.nodes.remove(&other).unwrap();
        commit(&mut group, leader, 2);
        lose(group.node(loser), is_told);
        let holder = group.nodes.remove(&leader).unwrap();
        group.nodes.insert(other, away);
        ticks(&mut group, 200);
        assert_eq!(no_one_leads(&group), is_told);
        assert_eq!(group.node(loser).replica.is_in_doubt(), is_told);
        if !is_told {
            continue;
        }
        group.nodes.insert(leader, holder);
        let next = group.elect();
        ticks(&mut group, 10);
        assert!(!group.node(loser).replica.is_in_doubt());
        commit(&mut group, next, 3);
        ticks(&mut group, 10);
        for node in group.nodes.values() {
            assert_eq!(values(node), ["t1-0", "t2-0", "t3-0"]);
        }
    }
}

#[test]
fn the_leader_of_before_sends_again_what_was_lost() {
    let mut group = group();
    let leader = group.elect();
    let loser = leader % 3 + 1;
    for token in 1..20 {
        commit(&mut group, leader, token);
    }
    let term = group.node(leader).replica.leader_epoch();
    lose(group.node(loser), true);
    assert!(group.node(loser).replica.is_in_doubt());
    assert_eq!(group.node(loser).replica.log().end_index(), 1);
    ticks(&mut group, 10);
    assert!(!group.node(loser).replica.is_in_doubt());
    assert!(group.node(loser).seen.doubt_over);
    assert_eq!(group.node(leader).replica.leader_epoch(), term);
    assert_eq!(values(group.node(loser)).len(), 19);
    // It is a voter as any other: with it alone the leader commits.
    let other = 6 - leader - loser;
    group.nodes.remove(&other);
    commit(&mut group, leader, 30);
}

#[test]
fn what_a_replica_in_doubt_has_is_not_taken_for_committed() {
    let mut group = group();
    let leader = group.elect();
    commit(&mut group, leader, 1);
    // Nobody else gets it, and the crash takes nothing.
    let mut alone = group.nodes.remove(&leader).unwrap();
    alone.propose(2, 1);
    alone.settle();
    alone.config.may_have_lost = true;
    alone.restart(false);
    alone.settle();
    assert!(alone.replica.is_in_doubt());
    alone.config.may_have_lost = false;
    alone.restart(false);
    assert!(alone.replica.is_in_doubt());
    assert!(alone.replica.high_watermark() <= Offset(1));
    let next = group.elect();
    commit(&mut group, next, 3);
    group.nodes.insert(leader, alone);
    ticks(&mut group, 10);
    assert_eq!(values(group.node(leader)), ["t1-0", "t3-0"]);
}

#[test]
fn a_doubt_outlives_a_restart_though_the_log_has_grown() {
    let mut group = group();
    let leader = group.elect();
    let loser = leader % 3 + 1;
    for token in 1..5 {
        commit(&mut group, leader, token);
    }
    lose(group.node(loser), true);
    for _ in 0..10 {
        for node in group.nodes.values_mut() {
            node.replica.tick();
        }
        let is_answer = |message: &PeerMessage| matches!(message.body, PeerBody::Standing { .. });
        group.settle_without(|_, _, message| is_answer(message));
    }
    let node = group.node(loser);
    assert!(node.replica.is_in_doubt());
    assert_eq!(node.replica.end_offset(), Offset(4));
    node.config.may_have_lost = false;
    node.restart(false);
    assert!(node.replica.is_in_doubt());
    ticks(&mut group, 10);
    assert!(!group.node(loser).replica.is_in_doubt());
}

#[test]
fn where_all_lost_their_end_the_furthest_log_wins_and_needs_all() {
    let mut group = group();
    let leader = group.elect();
    commit(&mut group, leader, 1);
    let saver = leader % 3 + 1;
    let tuning = |flush| Tuning {
        flush,
        segment_bytes: 1 << 30,
        entry_bytes_max: 1 << 20,
    };
    let saves = |group: &mut Group, flush| group.node(saver).replica.tune(tuning(flush)).unwrap();
    saves(&mut group, Flush::Sync);
    commit(&mut group, leader, 2);
    saves(&mut group, Flush::Os);
    commit(&mut group, leader, 3);
    for id in VOTERS {
        lose(group.node(id), true);
    }
    // One that holds less than the saver: without its word nobody knows that it does.
    let late = group.nodes.remove(&leader).unwrap();
    ticks(&mut group, 200);
    assert!(no_one_leads(&group));
    group.nodes.insert(leader, late);
    assert_eq!(group.elect(), saver);
    ticks(&mut group, 10);
    for node in group.nodes.values() {
        assert!(!node.replica.is_in_doubt());
        assert_eq!(values(node), ["t1-0", "t2-0"]);
    }
}

#[test]
fn a_saved_log_that_lost_committed_entries_is_in_doubt_until_it_has_them_saved() {
    let mut group = Group::of(&VOTERS);
    let leader = group.elect();
    let loser = leader % 3 + 1;
    for token in 1..5 {
        commit(&mut group, leader, token);
    }
    ticks(&mut group, 4);
    // Saves what is known to be committed.
    group
        .node(leader)
        .replica
        .transfer_leadership(ReplicaId(loser));
    group.settle();
    assert!(group.node(loser).saved.as_ref().unwrap().commit >= LogIndex(4));
    let node = group.node(loser);
    node.disk = laminarmq::MemEnv::new();
    node.restart(false);
    assert!(node.replica.is_in_doubt());
    // A new leader is known and has sent nothing: what is saved now must not hide what is missing.
    let mut alone = group.nodes.remove(&loser).unwrap();
    let commit = LogIndex(0);
    for term in 5..8 {
        let before = alone.saved.as_ref().unwrap().term;
        alone.settle();
        assert!(!grants(
            &mut alone,
            leader,
            term,
            PeerBody::Heartbeat { commit }
        ));
        let saved = alone.saved.as_ref().unwrap();
        assert!(saved.term > before && saved.in_doubt);
        alone.restart(false);
        assert!(alone.replica.is_in_doubt());
    }
    group.nodes.insert(loser, alone);
    group.elect();
    ticks(&mut group, 10);
    assert!(!group.node(loser).replica.is_in_doubt());
    assert_eq!(values(group.node(loser)).len(), 4);
    group.node(loser).restart(true);
    assert!(!group.node(loser).replica.is_in_doubt());
}

/// A replica in doubt that has heard nothing yet, and what it asks the others.
fn in_doubt() -> (Node, u64, Vec<(ReplicaId, PeerMessage)>) {
    let mut group = group();
    let leader = group.elect();
    commit(&mut group, leader, 1);
    let mut loser = group.nodes.remove(&(leader % 3 + 1)).unwrap();
    lose(&mut loser, true);
    let asked = loser.settle();
    (loser, leader, asked)
}

fn nonce_of(asked: &[(ReplicaId, PeerMessage)]) -> u64 {
    let doubts = asked.iter().filter_map(|(_, message)| match message.body {
        PeerBody::Doubt { nonce, .. } => Some(nonce),
        _ => None,
    });
    let nonces: Vec<_> = doubts.collect();
    assert_eq!(nonces.len(), 2, "both others are asked");
    nonces[0]
}

fn standing(nonce: u64, index: u64, leads: bool) -> PeerBody {
    PeerBody::Standing {
        nonce,
        last: LogPoint {
            index: LogIndex(index),
            term: Term(1),
        },
        leads,
    }
}

fn vote_for(index: u64, transfer: bool) -> PeerBody {
    let last = LogPoint {
        index: LogIndex(index),
        term: Term(1),
    };
    PeerBody::Vote {
        last,
        commit: LogPoint::default(),
        transfer,
    }
}

fn grants(node: &mut Node, from: u64, term: u32, body: PeerBody) -> bool {
    let message = PeerMessage {
        term: Term(term),
        body,
    };
    node.replica.step(ReplicaId(from), message).unwrap();
    let is_grant = |(_, message): &(ReplicaId, PeerMessage)| matches!(message.body, PeerBody::VoteReply(reply) if reply.granted);
    node.settle().iter().any(is_grant)
}

#[test]
fn votes_wait_for_the_answers_of_this_life_and_of_all() {
    let (mut node, leader, asked) = in_doubt();
    let me = node.replica.id().get();
    let other = 6 - me - leader;
    let nonce = nonce_of(&asked);
    let hear = |node: &mut Node, from: u64, body| {
        let message = PeerMessage {
            term: Term(1),
            body,
        };
        node.replica.step(ReplicaId(from), message).unwrap();
        node.settle();
    };
    assert!(!grants(&mut node, leader, 5, vote_for(9, true)));
    hear(&mut node, leader, standing(nonce.wrapping_add(1), 2, false));
    hear(&mut node, other, standing(nonce, 2, false));
    assert!(
        !grants(&mut node, other, 6, vote_for(9, true)),
        "one said nothing"
    );
    hear(&mut node, leader, standing(nonce, 7, false));
    assert!(
        !grants(&mut node, other, 7, vote_for(6, true)),
        "too little"
    );
    assert!(node.replica.is_in_doubt());
    assert!(grants(&mut node, other, 8, vote_for(7, true)));
}

#[test]
fn who_is_in_doubt_does_not_take_over_and_does_not_rest() {
    let (mut node, leader, _) = in_doubt();
    let said = |body| PeerMessage {
        term: Term(3),
        body,
    };
    let commit = LogIndex(0);
    let rest = || PeerBody::Rest { commit };
    for body in [PeerBody::TimeoutNow, rest(), rest()] {
        node.replica.step(ReplicaId(leader), said(body)).unwrap();
        node.settle();
        assert_eq!(node.replica.role(), Role::Follower);
        assert!(!node.replica.is_at_rest());
    }
    // A leader that counts on more than is there is not heard, and not cut off either.
    let commit = LogIndex(40);
    let beyond = node
        .replica
        .step(ReplicaId(leader), said(PeerBody::Heartbeat { commit }));
    assert_eq!(beyond, Ok(()));
    for _ in 0..100 {
        node.replica.tick();
        node.settle();
        assert_eq!(node.replica.role(), Role::Follower);
    }
    let stranger = standing(1, 1, false);
    let refused = node.replica.step(ReplicaId(9), said(stranger));
    assert_eq!(refused, Err(PeerError::NotMember(ReplicaId(9))));
}

#[test]
fn a_leader_that_falls_silent_does_not_hold_a_doubter_for_good() {
    let (mut node, leader, asked) = in_doubt();
    let other = 6 - node.replica.id().get() - leader;
    let nonce = nonce_of(&asked);
    let commit = LogIndex(0);
    let heartbeat = PeerBody::Heartbeat { commit };
    assert!(!grants(&mut node, leader, 3, heartbeat));
    for from in [leader, other] {
        assert!(!grants(&mut node, from, 3, standing(nonce, 7, false)));
    }
    assert!(
        !grants(&mut node, other, 4, vote_for(8, false)),
        "it follows"
    );
    for _ in 0..node.config.election_ticks {
        node.replica.tick();
        node.settle();
    }
    assert!(grants(&mut node, other, 5, vote_for(8, false)));
}

#[test]
fn a_doubt_is_over_when_what_was_lost_is_saved_and_not_before() {
    let mut group = Group::of(&VOTERS);
    let leader = group.elect();
    let loser = leader % 3 + 1;
    commit(&mut group, leader, 1);
    ticks(&mut group, 4);
    let mut node = group.nodes.remove(&loser).unwrap();
    node.saved.as_mut().unwrap().commit = LogIndex(2);
    node.disk = laminarmq::MemEnv::new();
    node.restart(false);
    let nonce = nonce_of(&node.settle());
    let term = node.saved.as_ref().unwrap().term;
    let hear = |node: &mut Node, body| {
        let message = PeerMessage { term, body };
        node.replica.step(ReplicaId(leader), message).unwrap();
    };
    let commit = LogIndex(0);
    hear(&mut node, PeerBody::Heartbeat { commit });
    node.settle();
    hear(&mut node, standing(nonce, 1, true));
    let noop = PeerEntry {
        index: LogIndex(1),
        term: Term(1),
        kind: EntryKind::Noop,
        flags: 0,
        payload: Payload::default(),
    };
    let append = PeerBody::Append {
        prev: LogPoint::default(),
        commit,
        entries: vec![noop],
    };
    hear(&mut node, append);
    let effects = node.replica.advance().unwrap();
    assert_eq!(node.replica.log().end_index(), 2);
    assert!(node.replica.is_in_doubt());
    let done = common::run(effects.persist.expect("to be saved"), &mut node.saved);
    node.replica.on_persisted(done).unwrap();
    // Over; a start would find it in doubt again, as long as that is not saved.
    let effects = node.replica.advance().unwrap();
    assert!(!node.replica.is_in_doubt() && !effects.doubt_over);
    assert!(node.saved.as_ref().unwrap().in_doubt);
    let done = common::run(effects.persist.expect("to be saved"), &mut node.saved);
    assert!(!node.saved.as_ref().unwrap().in_doubt);
    node.replica.on_persisted(done).unwrap();
    assert!(node.replica.advance().unwrap().doubt_over);
}

#[test]
fn a_log_that_lost_everything_behind_a_trim_begins_where_its_leader_says() {
    let mut group = group();
    let leader = group.elect();
    let loser = leader % 3 + 1;
    for token in 1..7 {
        group.node(leader).propose(token, 5);
        group.settle();
    }
    // Inside a batch: what the trim sets is no offset that an entry has.
    let to = TrimTo::Offset(Offset(12));
    let trimmed = group.node(leader).replica.propose_trim(to, Token(90));
    assert!(matches!(trimmed, Ok(TrimProposed::Queued)));
    group.settle();
    ticks(&mut group, 4);
    assert!(group.node(loser).replica.log().start_index() > 1);
    // The state with the new start is saved before the log is cut, which syncs it.
    group.node(loser).disk = laminarmq::MemEnv::new();
    lose(group.node(loser), true);
    assert!(group.node(loser).replica.is_in_doubt());
    ticks(&mut group, 20);
    assert!(!group.node(loser).replica.is_in_doubt());
    let all = values(group.node(leader));
    assert_eq!(all.len(), 18);
    assert_eq!(values(group.node(loser)), all);
}

#[test]
fn who_was_told_once_that_something_may_be_gone_knows_it_at_the_next_start_too() {
    let mut group = group();
    let leader = group.elect();
    commit(&mut group, leader, 1);
    let mut node = group.nodes.remove(&(leader % 3 + 1)).unwrap();
    // Nothing is gone that anything tells of.
    node.config.may_have_lost = true;
    node.restart(false);
    assert!(node.replica.is_in_doubt());
    node.settle();
    node.config.may_have_lost = false;
    node.restart(false);
    assert!(node.replica.is_in_doubt());
    let id = node.replica.id().get();
    group.nodes.insert(id, node);
    ticks(&mut group, 10);
    commit(&mut group, leader, 2);
    ticks(&mut group, 4);
    group.node(id).restart(false);
    assert!(!group.node(id).replica.is_in_doubt());
}
