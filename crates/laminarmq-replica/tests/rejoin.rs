//! A replica that lost what it acknowledged never speaks as itself again: it comes back under a new
//! id, with an empty log, as a learner and then as a voter.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use common::{Group, Node, config};
use laminarmq::MemEnv;
use laminarmq_replica::{
    LogIndex, LogPoint, MemberStep, Membership, MembershipAt, MembershipChange, Offset, PeerBody,
    PeerError, PeerMessage, ReplicaConfig, ReplicaId, Role, Term, Token, TrimTo,
};

/// Enters a joint configuration, and leaves it.
fn change(group: &mut Group, leader: u64, steps: Vec<MemberStep>, token: u64) {
    for (number, change) in [MembershipChange::Enter(steps), MembershipChange::Leave]
        .iter()
        .enumerate()
    {
        let token = Token(token + number as u64);
        let node = group.node(leader);
        node.replica.propose_membership(change, token).unwrap();
        group.settle();
    }
}

/// A replica that was no member when the group was as `known` says.
fn joiner(id: u64, known: &MembershipAt) -> Node {
    Node::new(ReplicaConfig {
        members: known.members.clone(),
        members_index: known.index,
        ..config(id, &[1])
    })
}

fn three() -> (Group, u64) {
    let mut group = Group::of(&[1, 2, 3]);
    let leader = group.elect();
    for token in 0..6 {
        group.node(leader).propose(token, 2);
        group.settle();
    }
    group.tick();
    group.tick();
    (group, leader)
}

/// Makes the last entries the log's start, at the leader and at who follows.
fn trim(group: &mut Group, leader: u64) {
    group.node(leader).replica.roll_next();
    group.node(leader).propose(90, 2);
    group.settle();
    let node = group.node(leader);
    node.replica
        .propose_trim(TrimTo::Offset(Offset(12)), Token(91))
        .unwrap();
    group.settle();
    group.tick();
    assert!(group.node(leader).replica.log().start_index() > 1);
}

#[test]
fn how_many_have_an_entry_is_counted_over_those_that_have_a_vote() {
    let (mut group, leader) = three();
    let [second, third] = [leader % 3 + 1, (leader + 1) % 3 + 1];
    let last = group.node(leader).replica.applied_index();
    let on = |group: &mut Group, n| group.node(leader).replica.durable_on(n).unwrap().get();
    assert_eq!([1, 2, 3].map(|n| on(&mut group, n)), [last.get(); 3]);

    // The third is away.
    let away = group.nodes.remove(&third).unwrap();
    group.node(leader).propose(10, 1);
    group.settle();
    let next = LogIndex(last.get() + 1);
    let counts = [1, 2, 3].map(|n| on(&mut group, n));
    assert_eq!(counts, [next.get(), next.get(), last.get()]);
    let replica = &group.node(leader).replica;
    let has = [1, 2, 3].map(|n| next <= replica.visible_on(n));
    assert_eq!(has, [true, true, false]);
    assert!(last <= replica.visible_on(3));
    // A majority has what is committed, also where nobody here knows who it is.
    let replica = &mut group.node(second).replica;
    assert!(next <= replica.visible_on(2));
    assert!(LogIndex(next.get() + 1) > replica.visible_on(1));
    assert!(last > replica.visible_on(3));

    // A learner does not count, whatever it has; as a voter it does.
    let known = group.node(leader).replica.membership().clone();
    group.nodes.insert(4, joiner(4, &known));
    let four = ReplicaId(4);
    change(&mut group, leader, vec![MemberStep::Learner(four)], 20);
    let replica = &group.node(leader).replica;
    assert!(replica.progress(four).unwrap().matched > next);
    assert!(next > replica.visible_on(3));
    let swap = vec![
        MemberStep::Voter(four),
        MemberStep::Remove(ReplicaId(third)),
    ];
    let enter = MembershipChange::Enter(swap);
    let replica = &mut group.node(leader).replica;
    replica.propose_membership(&enter, Token(30)).unwrap();
    group.settle();
    assert!(group.node(leader).replica.members().is_joint());
    assert_eq!(on(&mut group, 3), last.get(), "of the old ones too");
    let leave = MembershipChange::Leave;
    let replica = &mut group.node(leader).replica;
    replica.propose_membership(&leave, Token(31)).unwrap();
    group.settle();
    assert!(next <= group.node(leader).replica.visible_on(3));

    // It comes back, and counts no more.
    group.nodes.insert(third, away);
    assert!(group.node(leader).replica.durable_on(4).unwrap() == LogIndex(0));
}

#[test]
fn a_wiped_disk_does_not_open_as_the_replica_that_it_was() {
    for (first_start, opens) in [(true, true), (false, false)] {
        let voter = ReplicaConfig {
            first_start,
            ..config(3, &[1, 2, 3])
        };
        let opened = common::try_open(&voter, &MemEnv::new(), None);
        assert_eq!(opened.is_ok(), opens, "first start: {first_start}");
    }
    // Nor does one that joined, and may have become a voter since.
    let joined = ReplicaConfig {
        first_start: false,
        ..config(4, &[1, 2, 3])
    };
    let refused = common::try_open(&joined, &MemEnv::new(), None).err();
    assert!(refused.is_some_and(|error| error.contains("must not vote")));
    // A log without its state neither, first start or not.
    let (mut group, leader) = three();
    let disk = group.node(leader % 3 + 1).disk.clone();
    let voter = config(leader % 3 + 1, &[1, 2, 3]);
    let refused = common::try_open(&voter, &disk, None).err();
    assert!(refused.is_some_and(|error| error.contains("must not vote")));
}

#[test]
fn who_joins_does_not_stand_and_gives_no_vote() {
    let known = MembershipAt {
        index: LogIndex(0),
        members: Membership::of_voters([1, 2, 3].map(ReplicaId)),
    };
    let mut node = joiner(4, &known);
    node.settle();
    for _ in 0..200 {
        node.replica.tick();
        assert!(node.settle().is_empty());
    }
    assert_eq!(node.replica.role(), Role::Follower);
    let last = LogPoint {
        index: LogIndex(900),
        term: Term(8),
    };
    let commit = LogPoint::default();
    for body in [
        PeerBody::PreVote { last, commit },
        PeerBody::Vote {
            last,
            commit,
            transfer: true,
        },
    ] {
        let message = PeerMessage {
            term: Term(9),
            body,
        };
        let refused = node.replica.step(ReplicaId(1), message);
        assert_eq!(refused, Err(PeerError::NotMember(ReplicaId(4))));
        assert!(node.settle().is_empty());
    }
    let take_over = PeerMessage {
        term: Term(9),
        body: PeerBody::TimeoutNow,
    };
    node.replica.step(ReplicaId(1), take_over).unwrap();
    node.settle();
    assert_eq!(node.replica.role(), Role::Follower);
}

#[test]
fn a_wiped_replica_comes_back_as_another_one() {
    // From the first entry, and behind a trimmed start; told of the members as they were at first,
    // or as they are.
    for (trimmed, young) in [(false, false), (false, true), (true, false), (true, true)] {
        let (mut group, leader) = three();
        let lost = leader % 3 + 1;
        let other = 6 - leader - lost;
        group.nodes.remove(&lost);
        // A change that the joining replica must not take for news: 9 comes and goes.
        change(
            &mut group,
            leader,
            vec![MemberStep::Learner(ReplicaId(9))],
            100,
        );
        change(
            &mut group,
            leader,
            vec![MemberStep::Remove(ReplicaId(9))],
            102,
        );
        let founders = MembershipAt {
            index: LogIndex(0),
            members: Membership::of_voters([1, 2, 3].map(ReplicaId)),
        };
        let known = if young {
            group.node(leader).replica.membership().clone()
        } else {
            founders
        };
        if trimmed {
            trim(&mut group, leader);
        }
        let new = ReplicaId(4);
        group.nodes.insert(4, joiner(4, &known));
        group.settle();
        assert!(group.node(leader).replica.progress(new).is_none());
        change(&mut group, leader, vec![MemberStep::Learner(new)], 110);
        let mut ticks = 0;
        while !group.node(leader).replica.is_caught_up(new) {
            group.tick();
            ticks += 1;
            assert!(ticks < 20, "{:?}", group.node(leader).replica.progress(new));
        }
        assert_eq!(group.node(4).replica.members().learners, [new]);
        assert_eq!(group.node(4).replica.role(), Role::Follower);
        let steps = vec![MemberStep::Voter(new), MemberStep::Remove(ReplicaId(lost))];
        change(&mut group, leader, steps, 120);
        group.tick();
        group.tick();
        let want = group.node(leader).replica.membership().clone();
        let mut voters = vec![ReplicaId(leader), ReplicaId(other), new];
        voters.sort_unstable();
        assert_eq!(want.members, Membership::of_voters(voters));
        assert_eq!(*group.node(4).replica.membership(), want);
        // It counts: with it the leader commits, without the third.
        group.nodes.remove(&other);
        group.node(leader).propose(130, 1);
        group.settle();
        let committed = &group.node(leader).seen.committed;
        assert_eq!(committed.last().map(|it| it.0), Some(130));
        // And over a power cut it is what it became.
        group.node(4).restart(true);
        assert_eq!(*group.node(4).replica.membership(), want);
        group.node(leader).replica.transfer_leadership(new);
        group.settle();
        for _ in 0..40 {
            group.tick();
            group.node(leader).replica.transfer_leadership(new);
            group.settle();
        }
        assert!(group.node(4).replica.is_leader());
    }
}

#[test]
fn a_follower_learns_of_a_leader_that_it_did_not_know() {
    let (mut group, leader) = three();
    let away = leader % 3 + 1;
    let mut away = group.nodes.remove(&away).unwrap();
    let new = ReplicaId(4);
    let known = group.node(leader).replica.membership().clone();
    group.nodes.insert(4, joiner(4, &known));
    group.settle();
    change(&mut group, leader, vec![MemberStep::Learner(new)], 100);
    for _ in 0..5 {
        group.tick();
    }
    let steps = vec![
        MemberStep::Voter(new),
        MemberStep::Remove(ReplicaId(leader)),
    ];
    change(&mut group, leader, steps, 110);
    group.nodes.remove(&leader);
    // Only 4 and the one that was never away are left of those who know; 4 is to lead.
    let other = 6 - leader - away.config.replica.get();
    for _ in 0..100 {
        group.tick();
        if group.node(other).replica.is_leader() {
            group.node(other).replica.transfer_leadership(new);
            group.settle();
        }
    }
    assert!(group.node(4).replica.is_leader());
    // Now the one that knows no 4 comes back, and the other one goes: its vote and its disk count.
    away.restart(true);
    let id = away.config.replica.get();
    group.nodes.insert(id, away);
    group.nodes.remove(&other);
    group.node(4).restart(true);
    for _ in 0..100 {
        group.tick();
    }
    assert!(group.node(4).replica.is_leader());
    group.node(4).propose(200, 1);
    group.settle();
    assert_eq!(group.node(4).seen.committed, [(200, 12)]);
}

/// Without anything new to send, nothing tells the leader that a peer which was out of reach takes appends again: it has
/// all there is, and counts.
#[test]
fn who_was_out_of_reach_and_lacks_nothing_is_caught_up() {
    let (mut group, leader) = three();
    for peer in [1, 2, 3].map(ReplicaId) {
        if peer == ReplicaId(leader) {
            continue;
        }
        let node = group.node(leader);
        assert!(node.replica.is_caught_up(peer));
        node.replica.report_unreachable(peer);
        for _ in 0..4 {
            group.tick();
        }
        let progress = group.node(leader).replica.progress(peer);
        assert!(progress.is_some_and(|it| it.active), "{progress:?}");
        assert!(group.node(leader).replica.is_caught_up(peer));
    }
}
