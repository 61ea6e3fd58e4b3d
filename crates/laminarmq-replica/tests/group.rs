//! Three replicas on good links: elections, equal logs, take-overs, members that come and go.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use bytes::Bytes;
use common::{Group, Node, batch, config, run};
use laminarmq::Part;
use laminarmq_replica::{
    EntryKind, LogIndex, LogPoint, MemberStep, Membership, MembershipChange, Offset, Payload,
    PeerBody, PeerEntry, PeerError, PeerMessage, ProposeError, ReplicaConfig, ReplicaId, Role,
    Term, Token,
};

#[test]
fn one_leads_and_what_it_commits_is_everywhere() {
    let mut group = Group::of(&[1, 2, 3]);
    let leader = group.elect();
    for token in 0..10 {
        group.node(leader).propose(token, 3);
        group.settle();
    }
    assert_eq!(group.node(leader).seen.committed.len(), 10);
    // The news that the last entry is committed travels with the next message.
    group.tick();
    group.tick();
    let want = group.node(leader).values(0);
    assert_eq!(want.len(), 30);
    for id in [1, 2, 3] {
        assert_eq!(
            group.node(id).replica.high_watermark(),
            Offset(30),
            "replica {id}"
        );
        assert_eq!(group.node(id).values(0), want);
        let follower = id != leader;
        if follower {
            let refused = group
                .node(id)
                .replica
                .propose_batch(batch("x", 1, 0), Token(99));
            assert_eq!(
                refused,
                Err(ProposeError::NotLeader {
                    leader: Some(ReplicaId(leader))
                })
            );
        }
    }
}

#[test]
fn who_stands_first_leads_once_the_others_are_there() {
    for first in [1, 2, 3] {
        let node = |id| {
            let stands_first = id == first;
            Node::new(ReplicaConfig {
                stands_first,
                ..config(id, &[1, 2, 3])
            })
        };
        // The others come some ticks later; whoever waits for its timeout waits for ten and more.
        let mut group = Group::new([node(first)]);
        for _ in 0..4 {
            group.tick();
        }
        assert_eq!(
            group.node(first).replica.leader_epoch(),
            Term(0),
            "alone it only asks whether it may stand"
        );
        let others = [1, 2, 3].into_iter().filter(|id| *id != first);
        group.nodes.extend(others.map(|id| (id, node(id))));
        // At the first one those who are new save that they are there.
        group.tick();
        group.tick();
        let leads = group.node(first).replica.leads_in_full();
        assert!(leads, "replica {first}");
        assert_eq!(group.node(first).replica.leader_epoch(), Term(1));
    }
}

#[test]
fn who_stood_first_in_vain_waits_like_the_others() {
    let mut group = Group::new([Node::new(ReplicaConfig {
        stands_first: true,
        ..config(1, &[1, 2, 3])
    })]);
    let asks = |group: &mut Group| {
        let node = group.node(1);
        node.replica.tick();
        !node.settle().is_empty()
    };
    let asked: Vec<_> = (0..20).map(|_| asks(&mut group)).collect();
    // The first tick saves that it is there, and the timeout is ten to twenty.
    assert!(asked[1..=10].iter().all(|asks| *asks), "{asked:?}");
    assert!(!asked[11..].contains(&true), "{asked:?}");
}

#[test]
fn who_had_everything_is_not_behind_for_what_a_new_leader_wrote_at_once() {
    let gentle = |id| {
        Node::new(ReplicaConfig {
            catch_up_bytes: 1,
            ..config(id, &[1, 2, 3])
        })
    };
    let mut group = Group::new([1, 2, 3].map(gentle));
    let leader = group.elect();
    let node = group.node(leader);
    for token in 0..50 {
        node.propose(token, 1);
    }
    // Written, and on its way to nobody yet, when it sees who gets on how.
    let _ = node.settle();
    node.replica.tick();
    for peer in [1, 2, 3] {
        assert!(!node.replica.is_behind(ReplicaId(peer)), "replica {peer}");
    }
}

#[test]
fn without_a_quorum_nothing_commits_and_the_leader_steps_down() {
    let mut group = Group::of(&[1, 2, 3]);
    let leader = group.elect();
    let others: Vec<_> = [1, 2, 3].into_iter().filter(|&id| id != leader).collect();
    let away: Vec<_> = others
        .iter()
        .map(|id| group.nodes.remove(id).unwrap())
        .collect();
    group.node(leader).propose(1, 1);
    group.settle();
    assert_eq!(group.node(leader).seen.appended, [(1, 0)]);
    for _ in 0..40 {
        group.tick();
    }
    assert_eq!(group.node(leader).replica.role(), Role::PreCandidate);
    assert!(group.node(leader).seen.committed.is_empty());
    assert_eq!(group.node(leader).replica.high_watermark(), Offset(0));
    // They come back, and have not led meanwhile. What the token comes back as depends on who is
    // elected, but it comes back, once.
    for node in away {
        group.nodes.insert(node.config.replica.get(), node);
    }
    let elected = group.elect();
    group.node(elected).propose(2, 1);
    for _ in 0..10 {
        group.tick();
    }
    let seen = &group.node(leader).seen;
    let committed = seen
        .committed
        .iter()
        .filter(|(token, _)| *token == 1)
        .count();
    assert_eq!(committed + seen.dropped.len(), 1, "{seen:?}");
}

#[test]
fn a_deposed_leader_drops_what_others_replaced() {
    let mut group = Group::of(&[1, 2, 3]);
    let old = group.elect();
    group.node(old).propose(1, 2);
    group.settle();
    let mut away = group.nodes.remove(&old).unwrap();
    for token in 10..15 {
        away.propose(token, 1);
        away.settle();
    }
    assert_eq!(away.seen.appended.len(), 6);
    let new = group.elect();
    group.node(new).propose(2, 4);
    group.settle();
    group.nodes.insert(old, away);
    group.elect();
    for _ in 0..10 {
        group.tick();
    }
    assert_eq!(group.node(old).seen.dropped, [10, 11, 12, 13, 14]);
    let want = group.node(new).values(0);
    assert_eq!(want.len(), 6);
    assert_eq!(group.node(old).values(0), want);
    assert_eq!(group.node(old).replica.end_offset(), Offset(6));
}

/// Rolls are decided once: sealed segments have the same bytes everywhere.
#[test]
fn segments_are_the_same_bytes_on_all_replicas() {
    let voters = [1, 2, 3];
    let small = |id| ReplicaConfig {
        segment_bytes: 2_000,
        ..config(id, &voters)
    };
    // A replica whose own idea of a full segment differs must follow all the same.
    let odd = ReplicaConfig {
        segment_bytes: 1 << 30,
        ..small(3)
    };
    let mut group = Group::new([Node::new(small(1)), Node::new(small(2)), Node::new(odd)]);
    // Whoever was elected first, let one with small segments lead.
    group.elect();
    group
        .nodes
        .values_mut()
        .for_each(|node| node.replica.transfer_leadership(ReplicaId(1)));
    group.settle();
    assert!(group.node(1).replica.is_leader());
    for token in 0..60 {
        group.node(1).propose(token, 5);
        group.settle();
    }
    group.tick();
    group.tick();
    let segments = |node: &Node| -> Vec<u64> {
        node.replica
            .log()
            .segments()
            .map(|segment| segment.base_index)
            .collect()
    };
    let bases = segments(group.node(1));
    assert!(bases.len() > 3, "{bases:?}");
    for id in [2, 3] {
        assert_eq!(segments(group.node(id)), bases, "replica {id}");
        for &base in &bases[..bases.len() - 1] {
            let bytes = |node: &Node| node.disk.file(base, Part::Store).unwrap();
            let (mine, leaders) = (bytes(group.node(id)), bytes(group.node(1)));
            // The file header names the time of its making and what was durable then.
            assert_eq!(mine.len(), leaders.len(), "segment {base} of replica {id}");
        }
    }
}

#[test]
fn a_hand_over_refuses_proposals_until_it_is_done() {
    let mut group = Group::of(&[1, 2, 3]);
    let old = group.elect();
    let to = if old == 1 { 2 } else { 1 };
    group.node(old).replica.transfer_leadership(ReplicaId(to));
    let refused = group
        .node(old)
        .replica
        .propose_batch(batch("x", 1, 0), Token(1));
    assert_eq!(refused, Err(ProposeError::HandingOver));
    group.settle();
    assert!(group.node(to).replica.is_leader());
    assert_eq!(group.node(old).replica.leader(), Some(ReplicaId(to)));
    assert!(group.node(to).replica.leader_epoch() > Term(1));
}

#[test]
fn a_follower_far_behind_catches_up_from_files() {
    let voters = [1, 2, 3];
    let tight = |id| ReplicaConfig {
        tail_cache_bytes: 500,
        inflight_bytes_max: 700,
        segment_bytes: 4_000,
        ..config(id, &voters)
    };
    let mut group = Group::new(voters.map(|id| Node::new(tight(id))));
    let leader = group.elect();
    let late = if leader == 3 { 1 } else { 3 };
    let away = group.nodes.remove(&late).unwrap();
    for token in 0..200 {
        group.node(leader).propose(token, 3);
        group.settle();
    }
    group.nodes.insert(late, away);
    for _ in 0..20 {
        group.tick();
    }
    let want = group.node(leader).values(0);
    assert_eq!(want.len(), 600);
    assert_eq!(group.node(late).values(0), want);
}

#[test]
fn all_lose_power_and_nothing_committed_is_gone() {
    let mut group = Group::of(&[1, 2, 3]);
    for round in 0..5 {
        let leader = group.elect();
        for token in 0..5 {
            group.node(leader).propose(round * 10 + token, 2);
            group.settle();
        }
        let before = group.node(leader).values(0);
        assert_eq!(before.len(), usize::try_from((round + 1) * 10).unwrap());
        group.nodes.values_mut().for_each(|node| node.restart(true));
        let leader = group.elect();
        group.settle();
        assert_eq!(group.node(leader).values(0), before);
    }
}

fn change(group: &mut Group, leader: u64, steps: Vec<MemberStep>, token: u64) {
    let enter = MembershipChange::Enter(steps);
    group
        .node(leader)
        .replica
        .propose_membership(&enter, Token(token))
        .unwrap();
    group.settle();
    assert!(group.node(leader).replica.members().is_joint());
    let again = group
        .node(leader)
        .replica
        .propose_membership(&enter, Token(token));
    assert!(
        matches!(
            again,
            Err(ProposeError::Membership(_) | ProposeError::MembershipBusy)
        ),
        "{again:?}"
    );
    group
        .node(leader)
        .replica
        .propose_membership(&MembershipChange::Leave, Token(token + 1))
        .unwrap();
    group.settle();
    assert!(!group.node(leader).replica.members().is_joint());
}

#[test]
fn from_one_to_three_and_back_to_another_one() {
    // Newcomers know who is there, and have nothing.
    let first = [1];
    let mut group = Group::new([Node::new(config(1, &first))]);
    group.settle();
    group.node(1).propose(1, 3);
    group.settle();
    for id in [2, 3] {
        group.nodes.insert(id, Node::new(config(id, &first)));
        group.settle();
    }
    let all = [1, 2, 3].map(ReplicaId);
    change(
        &mut group,
        1,
        vec![MemberStep::Voter(all[1]), MemberStep::Voter(all[2])],
        10,
    );
    group.tick();
    group.tick();
    for id in [1, 2, 3] {
        assert_eq!(
            *group.node(id).replica.members(),
            Membership::of_voters(all),
            "replica {id}"
        );
        assert_eq!(group.node(id).values(0).len(), 3);
        let saved = group.node(id).saved.clone().unwrap().membership;
        assert_eq!(saved.members, Membership::of_voters(all));
        assert!(saved.index.get() > 0);
    }
    group.node(1).replica.transfer_leadership(all[1]);
    group.settle();
    assert!(group.node(2).replica.is_leader());
    change(
        &mut group,
        2,
        vec![MemberStep::Remove(all[0]), MemberStep::Remove(all[2])],
        20,
    );
    group.nodes.remove(&1);
    group.nodes.remove(&3);
    group.node(2).propose(30, 2);
    group.settle();
    assert_eq!(group.node(2).values(0).len(), 5);
    // Alone, it needs no clock to lead again.
    group.node(2).restart(true);
    group.settle();
    assert!(group.node(2).replica.is_leader());
    assert_eq!(group.node(2).values(0).len(), 5);
}

#[test]
fn commands_reach_every_state_machine_alike() {
    let voters = [1, 2, 3];
    let machine = |id| ReplicaConfig {
        state_machine: true,
        ..config(id, &voters)
    };
    let mut group = Group::new(voters.map(|id| Node::new(machine(id))));
    let leader = group.elect();
    for n in 0..20_u64 {
        let command = Bytes::from(format!("command {n}"));
        group
            .node(leader)
            .replica
            .propose_command(command, Token(n))
            .unwrap();
        group.settle();
    }
    group.tick();
    group.tick();
    let want = group.node(leader).seen.commands.clone();
    assert_eq!(want.len(), 20);
    for id in voters {
        assert_eq!(group.node(id).seen.commands, want);
    }
}

/// A state machine's replay starts at the log's start, long before the present members.
#[test]
fn old_changes_of_the_members_are_not_made_again_by_a_replay() {
    let machine = |id| ReplicaConfig {
        state_machine: true,
        ..config(id, &[1])
    };
    let mut group = Group::new([Node::new(machine(1))]);
    group.settle();
    // So large that a replay comes in pieces, and its middle can be looked at.
    let command = |group: &mut Group, n: u8| {
        let command = Bytes::from(vec![n; 1 << 20]);
        group
            .node(1)
            .replica
            .propose_command(command, Token(n.into()))
            .unwrap();
        group.settle();
    };
    group.nodes.insert(2, Node::new(machine(2)));
    change(&mut group, 1, vec![MemberStep::Voter(ReplicaId(2))], 100);
    (0..10).for_each(|n| command(&mut group, n));
    change(&mut group, 1, vec![MemberStep::Remove(ReplicaId(2))], 200);
    group.nodes.remove(&2);
    let alone = Membership::of_voters([ReplicaId(1)]);
    assert_eq!(*group.node(1).replica.members(), alone);

    group.node(1).restart(true);
    let node = group.node(1);
    let (mut commands, mut pieces) = (0, 0);
    loop {
        let effects = node.replica.advance().unwrap();
        assert_eq!(*node.replica.members(), alone, "after {commands} commands");
        commands += effects.commands.len();
        pieces += 1;
        if !effects.more {
            break;
        }
    }
    assert_eq!((commands, pieces), (10, 3));
    group.node(1).restart(true);
    group.settle();
    assert!(group.node(1).replica.is_leader());
    command(&mut group, 99);
    assert_eq!(group.node(1).seen.commands.len(), 11);
}

#[test]
fn a_new_voter_takes_part_once_its_first_state_is_saved() {
    let config = config(1, &[1, 2, 3]);
    let mut node = Node::new(config);
    let fresh = batch("p", 1, 0).to_bytes(0, 4);
    let entry = PeerEntry {
        index: LogIndex(1),
        term: Term(4),
        kind: EntryKind::Data,
        flags: 0,
        payload: Payload::whole(fresh),
    };
    let append = PeerMessage {
        term: Term(4),
        body: PeerBody::Append {
            prev: LogPoint::default(),
            commit: LogIndex(0),
            entries: vec![entry],
        },
    };
    assert_eq!(
        node.replica.step(ReplicaId(2), append.clone()),
        Err(PeerError::Busy)
    );
    for _ in 0..100 {
        node.replica.tick();
    }
    let effects = node.replica.advance().unwrap();
    assert!(effects.messages.is_empty(), "it says nothing yet");
    let job = effects.persist.expect("its first state");
    assert!(job.ticket.is_none() && job.state.is_some());
    let done = run(job, &mut node.saved);
    node.replica.on_persisted(done).unwrap();
    node.replica.advance().unwrap();

    // Now it does, and a power cut between the log's sync and the state's harms nobody.
    node.replica.step(ReplicaId(2), append).unwrap();
    let job = node.replica.advance().unwrap().persist.unwrap();
    assert!(job.ticket.unwrap().run().is_ok());
    node.restart(true);
    assert_eq!(node.replica.leader_epoch(), Term(4), "known from the log");
    assert_eq!(node.replica.end_offset(), Offset(1));
    node.settle();
    assert_eq!(node.replica.role(), Role::Follower);
}
