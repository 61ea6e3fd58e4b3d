use super::*;
use crate::limits::{
    GROUP_BYTES_MAX, GROUP_MEMBERS_MAX, GROUP_NEW_MEMBER_WAIT_MAX, GROUP_PROTOCOLS_MAX,
    GROUP_STATE_BYTES_MAX,
};

#[test]
fn a_member_alone_waits_for_others_and_then_leads() {
    let mut bench = Bench::new();
    let reply = bench.join("g", old_client("me"));
    bench.pass(DELAY - Duration::from_millis(1));
    assert!(bench.waits(reply));
    assert_eq!(bench.state("g"), GroupStateName::PreparingRebalance);
    bench.pass(Duration::from_millis(1));
    let joined = bench.joined(reply);
    assert!(joined.member_id.starts_with("me-"), "{joined:?}");
    assert_eq!((joined.generation, joined.protocol.as_str()), (1, "range"));
    assert_eq!(joined.leader, joined.member_id);
    assert_eq!(
        joined.members,
        [(
            member(&joined.member_id),
            protocols(&["range"])[0].1.clone()
        )]
    );
    assert_eq!(bench.state("g"), GroupStateName::CompletingRebalance);
}

#[test]
fn each_that_comes_makes_the_first_wait_longer_within_the_rebalance_timeout() {
    let mut bench = Bench::new();
    let short = |id: &str| Join {
        rebalance_timeout_ms: 1200,
        ..old_client(id)
    };
    let first = bench.join("g", short("a"));
    bench.pass(Duration::from_millis(400));
    let second = bench.join("g", short("b"));
    bench.pass(Duration::from_millis(400));
    assert!(bench.waits(first), "the second moved the end to 1000 ms");
    let third = bench.join("g", short("c"));
    bench.pass(Duration::from_millis(399));
    assert!(
        bench.waits(first),
        "the third moved it to the end of the timeout"
    );
    bench.join("g", short("d"));
    bench.pass(Duration::from_millis(1));
    let generations: Vec<_> = [first, second, third]
        .map(|reply| bench.joined(reply).generation)
        .into();
    assert_eq!(generations, [1, 1, 1]);
}

#[test]
fn without_a_delay_the_first_goes_on_at_once() {
    let mut bench = Bench::with(GroupConfig {
        initial_rebalance_delay: Duration::ZERO,
        ..config()
    });
    let reply = bench.join("g", old_client("a"));
    assert_eq!(bench.joined(reply).generation, 1);
}

#[test]
fn a_new_client_is_given_its_id_first() {
    let mut bench = Bench::new();
    let new = Join {
        id_first: true,
        ..old_client("n")
    };
    let reply = bench.join("g", new.clone());
    let Answer::Join(Err(refused)) = bench.take_answer(reply) else {
        panic!()
    };
    assert_eq!(refused.error, GroupError::MemberIdRequired);
    assert!(refused.member_id.starts_with("n-"));
    // It is no member yet, and the group is none either.
    assert_eq!(bench.coordinator.list(), Some(vec![]));
    assert_eq!(
        bench.beat("g", 0, &refused.member_id),
        Err(GroupError::UnknownMember)
    );
    let with_id = Join {
        member: member(&refused.member_id),
        ..new
    };
    let reply = bench.join("g", with_id);
    bench.pass(DELAY);
    assert_eq!(bench.joined(reply).member_id, refused.member_id);
}

#[test]
fn an_id_that_is_not_used_is_forgotten_and_delays_nobody_for_longer() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("g", 1);
    let new = Join {
        id_first: true,
        ..old_client("n")
    };
    let reply = bench.join("g", new.clone());
    assert_eq!(bench.join_error(reply), GroupError::MemberIdRequired);
    assert_eq!(
        bench.beat("g", generation, &ids[0]),
        Ok(()),
        "no rebalance for an id"
    );
    let reply = bench.join("g", again(&ids[0]));
    assert!(bench.waits(reply), "the one with the new id may come");
    bench.pass(SESSION);
    assert_eq!(bench.joined(reply).generation, generation + 1);
    // And it is not a member id any more.
    let gone = Join {
        member: member("n-0"),
        ..new
    };
    let reply = bench.join("g", gone);
    assert_eq!(bench.join_error(reply), GroupError::UnknownMember);
}

#[test]
fn an_id_that_is_given_back_delays_nobody() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("g", 1);
    let new = Join {
        id_first: true,
        ..old_client("n")
    };
    let reply = bench.join("g", new);
    let Answer::Join(Err(refused)) = bench.take_answer(reply) else {
        panic!()
    };
    let reply = bench.join("g", again(&ids[0]));
    assert!(bench.waits(reply));
    assert_eq!(bench.leave("g", &[member(&refused.member_id)]), [Ok(())]);
    assert_eq!(bench.joined(reply).generation, generation + 1);
}

#[test]
fn a_new_member_makes_the_others_join_again() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("g", 2);
    let third = bench.join("g", old_client("c"));
    assert!(
        bench.waits(third),
        "it waits for the others, not for a delay"
    );
    for id in &ids {
        assert_eq!(
            bench.beat("g", generation, id),
            Err(GroupError::Rebalancing)
        );
    }
    let first = bench.join("g", again(&ids[0]));
    assert!(bench.waits(third));
    let second = bench.join("g", again(&ids[1]));
    let all = [first, second, third].map(|reply| bench.joined(reply));
    assert!(all.iter().all(|joined| joined.generation == generation + 1));
    assert!(
        all.iter().all(|joined| joined.leader == ids[0]),
        "the oldest still leads"
    );
    assert_eq!(all[0].members.len(), 3);
    assert!(all[1].members.is_empty() && all[2].members.is_empty());
}

#[test]
fn who_does_not_join_again_in_time_is_out() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("g", 3);
    let fourth = bench.join("g", old_client("c"));
    let third = bench.join("g", again(&ids[2]));
    // The leader and the second stay alive, but do not join.
    for _ in 0..12 {
        for id in &ids[..2] {
            assert_eq!(
                bench.beat("g", generation, id),
                Err(GroupError::Rebalancing)
            );
        }
        bench.pass(REBALANCE / 12);
    }
    let (third, fourth) = (bench.joined(third), bench.joined(fourth));
    assert_eq!(
        (third.generation, third.leader.as_str()),
        (generation + 1, ids[2].as_str())
    );
    assert_eq!(third.members.len(), 2);
    assert_eq!(fourth.leader, ids[2], "the oldest that joined leads");
    assert_eq!(
        bench.beat("g", generation, &ids[0]),
        Err(GroupError::UnknownMember)
    );
}

#[test]
fn the_leader_joining_again_rebalances_and_others_only_with_something_new() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("g", 2);
    let reply = bench.join("g", again(&ids[1]));
    let told = bench.joined(reply);
    assert_eq!((told.generation, told.members.len()), (generation, 0));
    assert_eq!(bench.state("g"), GroupStateName::Stable);
    let reply = bench.join("g", again(&ids[0]));
    assert!(bench.waits(reply));
    let second = bench.join("g", again(&ids[1]));
    assert_eq!(bench.joined(reply).generation, generation + 1);
    assert_eq!(bench.joined(second).generation, generation + 1);
    // While assignments are made, who joins again as it was hears the same once more...
    let reply = bench.join("g", again(&ids[1]));
    assert_eq!(bench.joined(reply).generation, generation + 1);
    let reply = bench.join("g", again(&ids[0]));
    assert_eq!(bench.joined(reply).members.len(), 2);
    // ... and with something new there is a rebalance.
    let mut changed = again(&ids[1]);
    changed.protocols[0].1 = of_topics(&["t", "u"], b"").into();
    let reply = bench.join("g", changed);
    assert!(bench.waits(reply));
    assert_eq!(bench.state("g"), GroupStateName::PreparingRebalance);
}

#[test]
fn the_protocol_is_what_most_prefer_of_what_all_know() {
    let mut bench = Bench::new();
    let prefers = |names: &[&str]| Join {
        protocols: protocols(names),
        ..old_client("c")
    };
    let replies = [
        prefers(&["x", "a", "b"]),
        prefers(&["b", "a"]),
        prefers(&["b", "y", "a"]),
    ]
    .map(|join| bench.join("g", join));
    let reply = bench.join("g", prefers(&["x", "y"]));
    assert_eq!(bench.join_error(reply), GroupError::InconsistentProtocol);
    let other_type = Join {
        protocol_type: "connect".to_owned(),
        ..prefers(&["a"])
    };
    let reply = bench.join("g", other_type);
    assert_eq!(bench.join_error(reply), GroupError::InconsistentProtocol);
    bench.pass(2 * DELAY);
    for reply in replies {
        assert_eq!(bench.joined(reply).protocol, "b");
    }
    // Equal votes: the oldest member decides.
    let replies = [prefers(&["a", "b"]), prefers(&["b", "a"])].map(|join| bench.join("h", join));
    bench.pass(2 * DELAY);
    for reply in replies {
        assert_eq!(bench.joined(reply).protocol, "a");
    }
}

#[test]
fn nothing_without_protocols_and_out_of_the_timeouts() {
    let mut bench = Bench::new();
    let cases = [
        (
            Join {
                protocol_type: String::new(),
                ..old_client("c")
            },
            GroupError::InconsistentProtocol,
        ),
        (
            Join {
                protocols: vec![],
                ..old_client("c")
            },
            GroupError::InconsistentProtocol,
        ),
        (
            Join {
                session_timeout_ms: 5_999,
                ..old_client("c")
            },
            GroupError::SessionTimeout,
        ),
        (
            Join {
                session_timeout_ms: -1,
                ..old_client("c")
            },
            GroupError::SessionTimeout,
        ),
        (
            Join {
                session_timeout_ms: 1_800_001,
                ..old_client("c")
            },
            GroupError::SessionTimeout,
        ),
        (again("nobody"), GroupError::UnknownMember),
        (
            Join {
                member: named("", &"i".repeat(1025)),
                ..old_client("c")
            },
            GroupError::Invalid,
        ),
        (
            Join {
                protocols: protocols(&["p"; GROUP_PROTOCOLS_MAX + 1]),
                ..old_client("c")
            },
            GroupError::Invalid,
        ),
    ];
    for (join, error) in cases {
        let reply = bench.join("g", join);
        assert_eq!(bench.join_error(reply), error);
    }
    let reply = bench.join("", old_client("c"));
    assert_eq!(bench.join_error(reply), GroupError::GroupId);
    let reply = bench.join(&"g".repeat(1025), old_client("c"));
    assert_eq!(bench.join_error(reply), GroupError::GroupId);
    assert_eq!(
        bench.coordinator.list(),
        Some(vec![]),
        "none of them left anything"
    );
    assert!(bench.log.is_empty());
}

#[test]
fn a_member_that_cannot_show_that_it_is_alive_is_waited_for_only_so_long() {
    let mut bench = Bench::new();
    let slow = Join {
        rebalance_timeout_ms: 3_600_000,
        ..old_client("c")
    };
    let first = bench.join("g", slow.clone());
    bench.pass(DELAY);
    let leader = bench.joined(first);
    let sync = bench.sync("g", 1, &leader.member_id, &[]);
    bench.synced(sync).unwrap();
    let second = bench.join("g", slow);
    let mut left = GROUP_NEW_MEMBER_WAIT_MAX;
    while !left.is_zero() {
        assert!(bench.waits(second));
        let _ = bench.beat("g", 1, &leader.member_id);
        let step = left.min(SESSION / 2);
        bench.pass(step);
        left -= step;
    }
    assert_eq!(bench.join_error(second), GroupError::UnknownMember);
}

#[test]
fn an_old_client_without_a_rebalance_timeout_has_that_of_its_session() {
    let mut bench = Bench::new();
    let old = Join {
        rebalance_timeout_ms: -1,
        ..old_client("c")
    };
    let first = bench.join("g", old.clone());
    bench.pass(DELAY);
    let first = bench.joined(first);
    let sync = bench.sync("g", 1, &first.member_id, &[]);
    bench.synced(sync).unwrap();
    let second = bench.join("g", old);
    bench.pass(SESSION / 2);
    let _ = bench.beat("g", 1, &first.member_id);
    bench.pass(SESSION / 2);
    assert_eq!(bench.joined(second).generation, 2);
}

#[test]
fn a_group_has_a_largest_size() {
    let mut bench = Bench::new();
    let replies: Vec<_> = (0..GROUP_MEMBERS_MAX)
        .map(|_| bench.join("g", old_client("c")))
        .collect();
    let reply = bench.join("g", old_client("c"));
    assert_eq!(bench.join_error(reply), GroupError::Full);
    bench.pass(2 * DELAY);
    let joined: Vec<_> = replies
        .into_iter()
        .map(|reply| bench.joined(reply))
        .collect();
    let reply = bench.join("g", old_client("c"));
    assert_eq!(
        bench.join_error(reply),
        GroupError::Full,
        "also once it is complete"
    );
    let reply = bench.join("g", again(&joined[5].member_id));
    assert_eq!(bench.joined(reply).generation, 1, "members may come again");
}

#[test]
fn members_together_say_only_so_much_about_themselves() {
    let mut bench = Bench::new();
    let mut long = old_client("c");
    long.protocols[0].1 = vec![0; usize::try_from(GROUP_BYTES_MAX).unwrap() / 2].into();
    bench.join("g", long.clone());
    let reply = bench.join("g", long);
    assert_eq!(bench.join_error(reply), GroupError::Full);
    let short = bench.join("g", old_client("c"));
    bench.pass(2 * DELAY);
    assert_eq!(bench.joined(short).generation, 1);
}

#[test]
fn ids_given_out_are_bounded_too() {
    let mut bench = Bench::new();
    let new = Join {
        id_first: true,
        ..old_client("n")
    };
    for _ in 0..GROUP_MEMBERS_MAX {
        let reply = bench.join("g", new.clone());
        assert_eq!(bench.join_error(reply), GroupError::MemberIdRequired);
    }
    let reply = bench.join("g", new.clone());
    assert_eq!(bench.join_error(reply), GroupError::Full);
    bench.pass(SESSION);
    assert_eq!(bench.coordinator.timers.len(), 0);
    let reply = bench.join("g", new);
    assert_eq!(bench.join_error(reply), GroupError::MemberIdRequired);
}

#[test]
fn a_request_sent_twice_is_answered_twice() {
    let mut bench = Bench::new();
    let (ids, _) = bench.stable("g", 2);
    let first = bench.join("g", again(&ids[0]));
    let second = bench.join("g", again(&ids[0]));
    assert_eq!(bench.join_error(first), GroupError::Rebalancing);
    assert!(bench.waits(second));
}

#[test]
fn the_members_of_all_groups_together_take_only_so_much() {
    let mut bench = Bench::new();
    let mut long = old_client("c");
    long.protocols[0].1 = vec![0; usize::try_from(GROUP_BYTES_MAX).unwrap() - 10_000].into();
    let groups = GROUP_STATE_BYTES_MAX / GROUP_BYTES_MAX;
    let ids: Vec<_> = (0..groups)
        .map(|n| bench.join(&format!("g{n}"), long.clone()))
        .collect();
    assert!(ids.iter().all(|reply| bench.waits(*reply)));
    let reply = bench.join("more", long.clone());
    assert_eq!(bench.join_error(reply), GroupError::Full);
    // One that goes makes room for another.
    bench.pass(DELAY);
    let first = bench.joined(ids[0]);
    bench.leave("g0", &[member(&first.member_id)]);
    let reply = bench.join("more", long);
    assert!(bench.waits(reply));
    bench.pass(REBALANCE);
    assert_eq!(bench.coordinator.member_bytes, 0);
}
