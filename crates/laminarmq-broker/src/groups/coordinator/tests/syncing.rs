use super::*;
use crate::limits::GROUP_BYTES_MAX;

/// Two members that were told their generation. Ids, and the generation.
fn completing(bench: &mut Bench) -> ([String; 2], i32) {
    let replies = [
        bench.join("g", old_client("a")),
        bench.join("g", old_client("b")),
    ];
    bench.pass(2 * DELAY);
    let joined = replies.map(|reply| bench.joined(reply));
    let generation = joined[0].generation;
    (joined.map(|joined| joined.member_id), generation)
}

#[test]
fn all_get_what_the_leader_brings() {
    let mut bench = Bench::new();
    let ([a, b], generation) = completing(&mut bench);
    let follower = bench.sync("g", generation, &b, &[(&b, "stolen")]);
    assert!(bench.waits(follower));
    let leader = bench.sync("g", generation, &a, &[(&b, "for b"), ("nobody", "x")]);
    assert_eq!(bench.synced(follower), Ok("for b".to_owned()));
    assert_eq!(
        bench.synced(leader),
        Ok(String::new()),
        "who gets nothing gets that"
    );
    assert_eq!(bench.state("g"), GroupStateName::Stable);
    let once_more = bench.sync("g", generation, &b, &[]);
    assert_eq!(bench.synced(once_more), Ok("for b".to_owned()));
    let group = bench.describe("g");
    let told: Vec<_> = group
        .members
        .iter()
        .map(|m| (&m.client_id[..], &m.assignment[..]))
        .collect();
    assert_eq!(told, [("a", &b""[..]), ("b", b"for b")]);
    assert_eq!(group.members[0].client_host, "/10.0.0.1");
    assert_eq!(group.members[0].metadata, protocols(&["range"])[0].1);
    assert_eq!(
        (group.protocol_type.as_str(), group.protocol.as_str()),
        ("consumer", "range")
    );
}

#[test]
fn nothing_is_told_before_it_is_committed() {
    let mut bench = Bench::new();
    bench.commits = false;
    let reply = bench.join("g", old_client("a"));
    bench.pass(DELAY);
    assert!(bench.waits(reply), "the generation is not committed");
    bench.commit_all();
    let id = bench.joined(reply).member_id;
    let sync = bench.sync("g", 1, &id, &[(&id, "all")]);
    let beat = bench.send(
        "g",
        Request::Heartbeat {
            generation: 1,
            member: member(&id),
        },
    );
    let describe = bench.send("g", Request::Describe);
    assert!(bench.waits(sync) && bench.waits(beat) && bench.waits(describe));
    bench.commit_all();
    assert_eq!(bench.synced(sync), Ok("all".to_owned()));
    assert_eq!(bench.take_answer(beat), Answer::Heartbeat(Ok(())));
    assert!(matches!(
        bench.take_answer(describe),
        Answer::Describe(Ok(_))
    ));
}

#[test]
fn who_is_not_of_the_generation_is_told_so() {
    let mut bench = Bench::new();
    let ([a, b], generation) = completing(&mut bench);
    let reply = bench.sync("g", generation + 1, &a, &[]);
    assert_eq!(bench.synced(reply), Err(GroupError::IllegalGeneration));
    let reply = bench.sync("g", generation, "nobody", &[]);
    assert_eq!(bench.synced(reply), Err(GroupError::UnknownMember));
    let reply = bench.sync("other", generation, &a, &[]);
    assert_eq!(bench.synced(reply), Err(GroupError::UnknownMember));
    for (protocol_type, protocol) in [(Some("connect"), None), (None, Some("sticky"))] {
        let sync = Sync {
            generation,
            member: member(&a),
            protocol_type: protocol_type.map(str::to_owned),
            protocol: protocol.map(str::to_owned),
            assignments: vec![],
        };
        let answer = bench.ask("g", Request::Sync(sync));
        assert_eq!(answer, Answer::Sync(Err(GroupError::InconsistentProtocol)));
    }
    // Once a rebalance begins, those that wait for assignments join again instead.
    let waiting = bench.sync("g", generation, &b, &[]);
    let third = bench.join("g", old_client("c"));
    assert_eq!(bench.synced(waiting), Err(GroupError::Rebalancing));
    let reply = bench.sync("g", generation, &a, &[]);
    assert_eq!(bench.synced(reply), Err(GroupError::Rebalancing));
    assert!(bench.waits(third));
}

#[test]
fn heartbeats_follow_the_state() {
    let mut bench = Bench::new();
    let ([a, b], generation) = completing(&mut bench);
    assert_eq!(
        bench.beat("g", generation, &a),
        Ok(()),
        "the leader is at it"
    );
    assert_eq!(
        bench.beat("g", generation - 1, &a),
        Err(GroupError::IllegalGeneration)
    );
    assert_eq!(
        bench.beat("g", generation, "x"),
        Err(GroupError::UnknownMember)
    );
    assert_eq!(
        bench.beat("nothing", generation, &a),
        Err(GroupError::UnknownMember)
    );
    let leader = bench.sync("g", generation, &a, &[]);
    bench.synced(leader).unwrap();
    assert_eq!(bench.beat("g", generation, &b), Ok(()));
    bench.leave("g", &[member(&a)]);
    assert_eq!(
        bench.beat("g", generation, &b),
        Err(GroupError::Rebalancing)
    );
}

#[test]
fn a_leader_that_brings_nothing_loses_its_place() {
    let mut bench = Bench::new();
    let ([a, b], generation) = completing(&mut bench);
    let waiting = bench.sync("g", generation, &b, &[]);
    // It is alive all the time.
    for _ in 0..12 {
        bench.pass(REBALANCE / 12);
        let _ = bench.beat("g", generation, &a);
    }
    assert_eq!(bench.synced(waiting), Err(GroupError::Rebalancing));
    assert_eq!(
        bench.beat("g", generation, &a),
        Err(GroupError::UnknownMember)
    );
    let reply = bench.join("g", again(&b));
    let joined = bench.joined(reply);
    assert_eq!((joined.leader, joined.generation), (b, generation + 1));
}

#[test]
fn a_member_that_never_asks_for_its_assignment_is_out() {
    let mut bench = Bench::new();
    let ([a, b], generation) = completing(&mut bench);
    let leader = bench.sync("g", generation, &a, &[]);
    bench.synced(leader).unwrap();
    for _ in 0..12 {
        bench.pass(REBALANCE / 12);
        for id in [&a, &b] {
            let _ = bench.beat("g", generation, id);
        }
    }
    assert_eq!(
        bench.beat("g", generation, &b),
        Err(GroupError::UnknownMember)
    );
    assert_eq!(
        bench.beat("g", generation, &a),
        Err(GroupError::Rebalancing)
    );
}

#[test]
fn a_silent_leader_is_replaced_while_others_wait() {
    let mut bench = Bench::new();
    let ([_, b], generation) = completing(&mut bench);
    let waiting = bench.sync("g", generation, &b, &[]);
    bench.pass(SESSION);
    // The one that waits was silent for as long, but it waits.
    assert_eq!(bench.synced(waiting), Err(GroupError::Rebalancing));
    let reply = bench.join("g", again(&b));
    assert_eq!(bench.joined(reply).leader, b);
}

#[test]
fn assignments_that_are_too_large_are_refused() {
    let mut bench = Bench::new();
    let ([a, _], generation) = completing(&mut bench);
    let assignments = vec![(
        a.clone(),
        vec![0; usize::try_from(GROUP_BYTES_MAX).unwrap()].into(),
    )];
    let sync = Sync {
        generation,
        member: member(&a),
        assignments,
        ..Sync::default()
    };
    let answer = bench.ask("g", Request::Sync(sync));
    assert_eq!(answer, Answer::Sync(Err(GroupError::AssignmentTooLarge)));
    let small = bench.sync("g", generation, &a, &[(&a, "less")]);
    assert_eq!(bench.synced(small), Ok("less".to_owned()));
}

#[test]
fn a_sync_sent_twice_is_answered_twice() {
    let mut bench = Bench::new();
    let ([a, b], generation) = completing(&mut bench);
    let first = bench.sync("g", generation, &b, &[]);
    let second = bench.sync("g", generation, &b, &[]);
    assert_eq!(bench.synced(first), Err(GroupError::Rebalancing));
    bench.sync("g", generation, &a, &[(&b, "b")]);
    assert_eq!(bench.synced(second), Ok("b".to_owned()));
}
