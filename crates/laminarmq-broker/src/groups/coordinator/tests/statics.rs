//! Members that have names of their own.

use super::*;

fn join_as(instance: &str) -> Join {
    Join {
        member: named("", instance),
        id_first: true,
        ..old_client("c")
    }
}

/// A stable group of two such members, "a" leading.
fn stable(bench: &mut Bench) -> ([String; 2], i32) {
    let replies = ["a", "b"].map(|instance| bench.join("g", join_as(instance)));
    bench.pass(2 * DELAY);
    let joined = replies.map(|reply| bench.joined(reply));
    let generation = joined[0].generation;
    let ids = joined.map(|joined| joined.member_id);
    assert!(
        ids[0].starts_with("a-") && ids[1].starts_with("b-"),
        "{ids:?}"
    );
    let follower = bench.sync("g", generation, &ids[1], &[]);
    let leader = bench.sync("g", generation, &ids[0], &[(&ids[0], "A"), (&ids[1], "B")]);
    assert_eq!(bench.synced(leader), Ok("A".to_owned()));
    assert_eq!(bench.synced(follower), Ok("B".to_owned()));
    (ids, generation)
}

#[test]
fn one_that_comes_back_takes_its_place_without_a_rebalance() {
    let mut bench = Bench::new();
    let ([a, b], generation) = stable(&mut bench);
    let mut join = join_as("b");
    // It was started again: it wants the same topics, and holds nothing.
    join.protocols[0].1 = of_topics(&["t"], b"owns nothing").into();
    let reply = bench.join("g", join);
    let joined = bench.joined(reply);
    assert_ne!(joined.member_id, b);
    assert_eq!(
        (joined.generation, joined.leader.as_str()),
        (generation, a.as_str())
    );
    assert_eq!(bench.state("g"), GroupStateName::Stable);
    // The one before is out, whatever it does.
    let before = named(&b, "b");
    assert_eq!(
        bench.beat_as("g", generation, before.clone()),
        Err(GroupError::FencedInstance)
    );
    let reply = bench.join(
        "g",
        Join {
            member: before.clone(),
            ..old_client("c")
        },
    );
    assert_eq!(bench.join_error(reply), GroupError::FencedInstance);
    let sync = Sync {
        generation,
        member: before.clone(),
        ..Sync::default()
    };
    assert_eq!(
        bench.ask("g", Request::Sync(sync)),
        Answer::Sync(Err(GroupError::FencedInstance))
    );
    let commit = commit_of(generation, before.clone(), &[(key(1, 0), 5)]);
    assert_eq!(
        bench.ask("g", Request::Commit(commit)),
        Answer::Commit(Err(GroupError::FencedInstance))
    );
    assert_eq!(
        bench.leave("g", &[before]),
        [Err(GroupError::FencedInstance)]
    );
    // The new one has the assignment, also after a crash.
    for _ in 0..2 {
        let sync = bench.sync("g", generation, &joined.member_id, &[]);
        assert_eq!(bench.synced(sync), Ok("B".to_owned()));
        assert_eq!(
            bench.beat_as("g", generation, named(&joined.member_id, "b")),
            Ok(())
        );
        bench.crash();
    }
}

#[test]
fn a_leader_that_comes_back_assigns_nothing() {
    let mut bench = Bench::new();
    let ([a, _], generation) = stable(&mut bench);
    let reply = bench.join("g", join_as("a"));
    let joined = bench.joined(reply);
    // An older client would assign if it took itself for the leader.
    assert_eq!(
        (joined.leader.as_str(), joined.members.len()),
        (a.as_str(), 0)
    );
    let newer = Join {
        may_skip_assignment: true,
        ..join_as("a")
    };
    let reply = bench.join("g", newer);
    let joined = bench.joined(reply);
    assert!(
        joined.skip_assignment && joined.members.len() == 2,
        "{joined:?}"
    );
    assert_eq!(
        (joined.leader.as_str(), joined.generation),
        (joined.member_id.as_str(), generation)
    );
    // It does lead: it can start a rebalance.
    let reply = bench.join(
        "g",
        Join {
            member: named(&joined.member_id, "a"),
            ..old_client("c")
        },
    );
    assert!(bench.waits(reply));
    assert_eq!(bench.state("g"), GroupStateName::PreparingRebalance);
}

#[test]
fn one_that_comes_back_with_other_wishes_makes_a_rebalance() {
    let mut bench = Bench::new();
    let ([a, _], generation) = stable(&mut bench);
    let mut join = join_as("b");
    join.protocols[0].1 = of_topics(&["u"], b"").into();
    let reply = bench.join("g", join);
    assert!(bench.waits(reply));
    let leader = bench.join(
        "g",
        Join {
            member: named(&a, "a"),
            ..old_client("c")
        },
    );
    assert_eq!(bench.joined(reply).generation, generation + 1);
    assert_eq!(bench.joined(leader).members.len(), 2);
}

#[test]
fn one_that_comes_back_during_a_rebalance_takes_part_in_it() {
    let mut bench = Bench::new();
    let ([a, b], generation) = stable(&mut bench);
    let first = bench.join(
        "g",
        Join {
            member: named(&a, "a"),
            ..old_client("c")
        },
    );
    let before = bench.join(
        "g",
        Join {
            member: named(&b, "b"),
            ..old_client("c")
        },
    );
    let joined = [first, before].map(|reply| bench.joined(reply));
    // Assignments are being made for an id that is gone: once more, with the new one.
    let waiting = bench.sync("g", generation + 1, &b, &[]);
    let second = bench.join("g", join_as("b"));
    assert_eq!(bench.synced(waiting), Err(GroupError::FencedInstance));
    assert!(bench.waits(second));
    // And again while it waits.
    let third = bench.join("g", join_as("b"));
    assert_eq!(bench.join_error(second), GroupError::FencedInstance);
    let first = bench.join(
        "g",
        Join {
            member: named(&a, "a"),
            ..old_client("c")
        },
    );
    let third = bench.joined(third);
    assert_eq!(third.generation, joined[0].generation + 1);
    let members: Vec<_> = bench
        .joined(first)
        .members
        .into_iter()
        .map(|(m, _)| m)
        .collect();
    assert_eq!(members, [named(&a, "a"), named(&third.member_id, "b")]);
}

#[test]
fn one_that_is_away_keeps_its_place_until_its_session_ends() {
    let mut bench = Bench::new();
    let long = |instance: &str| Join {
        session_timeout_ms: 300_000,
        ..join_as(instance)
    };
    let replies = ["a", "b"].map(|instance| bench.join("g", long(instance)));
    bench.pass(2 * DELAY);
    let [a, b] = replies.map(|reply| bench.joined(reply).member_id);
    let sync = bench.sync("g", 1, &a, &[]);
    bench.synced(sync).unwrap();
    let sync = bench.sync("g", 1, &b, &[]);
    bench.synced(sync).unwrap();
    // "a" is away. The rebalance waits for it, and goes on without it as with it.
    let third = bench.join("g", long("c"));
    let second = bench.join(
        "g",
        Join {
            member: named(&b, "b"),
            ..long("b")
        },
    );
    bench.pass(REBALANCE - Duration::from_millis(1));
    assert!(bench.waits(third));
    bench.pass(Duration::from_millis(1));
    let second = bench.joined(second);
    assert_eq!(
        (second.leader.as_str(), second.members.len()),
        (b.as_str(), 3)
    );
    let c = bench.joined(third).member_id;
    let sync = bench.sync("g", 2, &b, &[(&a, "waiting for a")]);
    bench.synced(sync).unwrap();
    let sync = bench.sync("g", 2, &c, &[]);
    bench.synced(sync).unwrap();
    // It comes back to what is waiting for it.
    let back = bench.join("g", long("a"));
    let back = bench.joined(back);
    let sync = bench.sync("g", 2, &back.member_id, &[]);
    assert_eq!(bench.synced(sync), Ok("waiting for a".to_owned()));
    for _ in 0..30 {
        bench.pass(SESSION);
        assert_eq!(bench.beat_as("g", 2, named(&b, "b")), Ok(()));
        assert_eq!(bench.beat_as("g", 2, named(&c, "c")), Ok(()));
        if bench.describe("g").members.len() < 3 {
            panic!("its session is 300 s");
        }
        if bench.now.mono > Duration::from_secs(350) {
            break;
        }
    }
    bench.pass(SESSION);
    bench.pass(SESSION);
    assert_eq!(
        bench.beat_as("g", 2, named(&b, "b")),
        Err(GroupError::Rebalancing)
    );
}

#[test]
fn nobody_goes_on_while_all_are_away() {
    let mut bench = Bench::new();
    let ([a, b], _) = stable(&mut bench);
    // One leaves for good, the other is away for longer than a rebalance takes.
    let quick = Join {
        member: named("", "a"),
        rebalance_timeout_ms: 1000,
        ..join_as("a")
    };
    let reply = bench.join("g", quick);
    let a2 = bench.joined(reply).member_id;
    assert_ne!(a, a2);
    let _ = bench.leave("g", &[named(&b, "b")]);
    bench.pass(Duration::from_secs(5));
    assert_eq!(bench.state("g"), GroupStateName::PreparingRebalance);
    bench.pass(SESSION);
    assert_eq!(bench.state("g"), GroupStateName::Empty);
}

#[test]
fn they_leave_by_their_own_names() {
    let mut bench = Bench::new();
    let ([a, _], _) = stable(&mut bench);
    let results = bench.leave(
        "g",
        &[named("", "b"), named("", "x"), named(&a, "b"), member("y")],
    );
    let unknown = Err(GroupError::UnknownMember);
    assert_eq!(results, [Ok(()), unknown.clone(), unknown.clone(), unknown]);
    let left = bench.describe("g").members;
    assert_eq!(
        left.iter().map(|m| &m.member).collect::<Vec<_>>(),
        [&named(&a, "a")]
    );
    assert_eq!(bench.leave("g", &[named(&a, "a")]), [Ok(())]);
    assert_eq!(bench.state("g"), GroupStateName::Empty);
}
