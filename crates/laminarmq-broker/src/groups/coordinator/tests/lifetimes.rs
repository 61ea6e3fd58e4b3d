//! Sessions, leaving, crashes, deletion, expiry.

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn a_silent_member_is_out_and_the_others_take_over() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("g", 2);
    bench.pass(SESSION / 2);
    assert_eq!(bench.beat("g", generation, &ids[1]), Ok(()));
    bench.pass(SESSION / 2);
    assert_eq!(
        bench.beat("g", generation, &ids[0]),
        Err(GroupError::UnknownMember)
    );
    assert_eq!(
        bench.beat("g", generation, &ids[1]),
        Err(GroupError::Rebalancing)
    );
    let reply = bench.join("g", again(&ids[1]));
    let joined = bench.joined(reply);
    assert_eq!(
        (joined.leader.as_str(), joined.members.len()),
        (ids[1].as_str(), 1)
    );
}

#[test]
fn who_waits_is_not_silent() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("g", 2);
    let waiting = bench.join("g", again(&ids[0]));
    for _ in 0..5 {
        bench.pass(SESSION - Duration::from_millis(1));
        assert_eq!(
            bench.beat("g", generation, &ids[1]),
            Err(GroupError::Rebalancing)
        );
        assert!(bench.waits(waiting));
    }
    let other = bench.join("g", again(&ids[1]));
    assert_eq!(bench.joined(waiting).members.len(), 2);
    assert_eq!(bench.joined(other).generation, generation + 1);
}

#[test]
fn a_group_that_everybody_left_is_empty_and_keeps_its_offsets() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("g", 2);
    bench.commit("g", generation, &ids[0], 5).unwrap();
    assert_eq!(bench.leave("g", &[member(&ids[0])]), [Ok(())]);
    assert_eq!(bench.state("g"), GroupStateName::PreparingRebalance);
    assert_eq!(bench.leave("g", &[member(&ids[1])]), [Ok(())]);
    assert_eq!(
        bench.leave("g", &[member(&ids[1])]),
        [Err(GroupError::UnknownMember)]
    );
    for _ in 0..2 {
        let group = bench.describe("g");
        assert_eq!(
            (group.state, group.members.len()),
            (GroupStateName::Empty, 0)
        );
        assert_eq!(group.protocol_type, "consumer");
        assert_eq!(bench.fetch("g"), Some(5));
        bench.crash();
    }
    assert_eq!(bench.coordinator.timers.len(), 0, "nothing is waited for");
    assert!(bench.coordinator.groups.is_empty());
    let (_, later) = bench.stable("g", 1);
    assert!(later > generation + 1, "being empty was a generation too");
}

#[test]
fn members_go_on_after_a_crash() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("g", 3);
    bench.commit("g", generation, &ids[1], 8).unwrap();
    let before = bench.describe("g");
    bench.pass(SESSION - Duration::from_millis(1));
    bench.crash();
    // Their sessions begin anew.
    bench.pass(SESSION - Duration::from_millis(1));
    assert_eq!(bench.describe("g"), before);
    for id in &ids {
        assert_eq!(bench.beat("g", generation, id), Ok(()));
        let sync = bench.sync("g", generation, id, &[]);
        assert_eq!(bench.synced(sync), Ok(id.clone()));
    }
    assert_eq!(bench.commit("g", generation, &ids[2], 9), Ok(()));
    assert_eq!(bench.fetch("g"), Some(9));
    let reply = bench.join("g", again(&ids[0]));
    assert!(bench.waits(reply), "the leader is still the leader");
    bench.crash();
    bench.pass(SESSION);
    assert_eq!(
        bench.state("g"),
        GroupStateName::Empty,
        "those that do not come back are out"
    );
}

#[test]
fn a_generation_that_was_told_is_not_given_again_after_a_crash() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("g", 1);
    let reply = bench.join("g", again(&ids[0]));
    assert_eq!(bench.joined(reply).generation, generation + 1);
    // Before its assignments were kept.
    bench.crash();
    assert_eq!(
        bench.beat("g", generation + 1, &ids[0]),
        Err(GroupError::IllegalGeneration)
    );
    assert_eq!(
        bench.beat("g", generation, &ids[0]),
        Err(GroupError::Rebalancing)
    );
    let reply = bench.join("g", again(&ids[0]));
    assert_eq!(bench.joined(reply).generation, generation + 2);
}

#[test]
fn who_follows_keeps_up_and_sends_everybody_elsewhere() {
    let mut bench = Bench::new();
    bench.commit("g", -1, "", 5).unwrap();
    bench.coordinator = bench.replayed();
    let elsewhere = GroupError::NotCoordinator;
    assert_eq!(bench.commit("g", -1, "", 6), Err(elsewhere.clone()));
    let reply = bench.join("g", old_client("c"));
    assert_eq!(bench.join_error(reply), elsewhere);
    assert_eq!(bench.beat("g", 1, "a"), Err(elsewhere));
    assert_eq!(
        bench.coordinator.list(),
        Some(vec![]),
        "they are told by who leads"
    );
    assert_eq!(bench.coordinator.next_deadline(), None);
    bench.call(|coordinator, now, out| coordinator.lead(now, out));
    assert_eq!(bench.fetch("g"), Some(5));
}

#[test]
fn a_log_that_begins_anew_leaves_nothing_of_the_old_one() {
    let mut bench = Bench::new();
    bench.commit("old", -1, "", 5).unwrap();
    bench.call(|coordinator, _, out| coordinator.begin_anew(out));
    let mut other = Bench::new();
    other.commit("new", -1, "", 7).unwrap();
    for (index, command) in &other.log {
        bench.coordinator.apply(*index, command).unwrap();
    }
    bench.call(|coordinator, now, out| coordinator.lead(now, out));
    assert_eq!((bench.fetch("old"), bench.fetch("new")), (None, Some(7)));
}

#[test]
fn who_waits_when_the_leadership_goes_is_told_and_the_next_leader_goes_on() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("g", 1);
    bench.commits = false;
    let commit = commit_of(generation, member(&ids[0]), &[(key(1, 0), 5)]);
    let commit = bench.send("g", Request::Commit(commit));
    bench.call(|coordinator, _, out| coordinator.resign(out));
    assert_eq!(
        bench.take_answer(commit),
        Answer::Commit(Err(GroupError::NotCoordinator))
    );
    // Back before it is known what became of the commit: nothing is decided until then.
    bench.call(|coordinator, now, out| coordinator.lead(now, out));
    assert_eq!(bench.commit("h", -1, "", 6), Err(GroupError::Loading));
    bench.commits = true;
    bench.commit_one();
    assert_eq!(bench.fetch("g"), Some(5), "it was committed all the same");
    assert_eq!(bench.beat("g", generation, &ids[0]), Ok(()));
}

#[test]
fn after_a_proposal_that_failed_only_what_was_committed_is_there() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("g", 1);
    bench.commits = false;
    let commit = commit_of(generation, member(&ids[0]), &[(key(1, 0), 5)]);
    let commit = bench.send("g", Request::Commit(commit));
    let join = bench.join("g", again(&ids[0]));
    let second = bench.send(
        "h",
        Request::Commit(commit_of(-1, member(""), &[(key(1, 0), 6)])),
    );
    assert_eq!(bench.outside.len(), 3);
    bench.commit_one();
    assert_eq!(bench.take_answer(commit), Answer::Commit(Ok(())));
    let (token, _) = bench.outside.pop_front().unwrap();
    bench.call(|coordinator, now, out| coordinator.proposed(token, false, now, out));
    assert_eq!(bench.join_error(join), GroupError::NotCoordinator);
    assert_eq!(
        bench.take_answer(second),
        Answer::Commit(Err(GroupError::NotCoordinator))
    );
    assert_eq!(
        bench.beat("g", generation, &ids[0]),
        Ok(()),
        "it waits for the rest"
    );
    assert_eq!(
        bench.commit("g", generation, &ids[0], 7),
        Err(GroupError::Loading)
    );
    // What comes later may be committed all the same.
    bench.commit_all();
    assert_eq!((bench.fetch("g"), bench.fetch("h")), (Some(5), Some(6)));
    assert_eq!(bench.state("g"), GroupStateName::Stable);
    assert_eq!(bench.beat("g", generation, &ids[0]), Ok(()));
}

#[test]
fn the_end_answers_everybody() {
    let mut bench = Bench::new();
    bench.commits = false;
    let (join, new) = (
        old_client("a"),
        Join {
            id_first: true,
            ..old_client("a")
        },
    );
    let join = bench.join("g", join);
    let pending = bench.join("h", new);
    let commit = bench.send(
        "h",
        Request::Commit(commit_of(-1, member(""), &[(key(1, 0), 6)])),
    );
    assert_eq!(bench.join_error(pending), GroupError::MemberIdRequired);
    bench.call(|coordinator, _, out| coordinator.close(out));
    assert_eq!(bench.join_error(join), GroupError::NotCoordinator);
    assert_eq!(
        bench.take_answer(commit),
        Answer::Commit(Err(GroupError::NotCoordinator))
    );
}

#[test]
fn only_groups_without_members_are_deleted() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("g", 1);
    bench.commit("g", generation, &ids[0], 5).unwrap();
    assert_eq!(bench.delete("g"), Err(GroupError::NotEmpty));
    assert_eq!(bench.delete("none"), Err(GroupError::NotFound));
    bench.leave("g", &[member(&ids[0])]);
    assert_eq!(bench.delete("g"), Ok(()));
    for _ in 0..2 {
        assert_eq!(bench.state("g"), GroupStateName::Dead);
        assert_eq!(bench.fetch("g"), None);
        assert_eq!(bench.delete("g"), Err(GroupError::NotFound));
        bench.crash();
    }
    // Simple ones too.
    bench.commit("s", -1, "", 5).unwrap();
    assert_eq!(bench.delete("s"), Ok(()));
    assert_eq!(bench.coordinator.list(), Some(vec![]));
}

#[test]
fn groups_are_listed_with_their_states() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("stable", 1);
    bench.commit("stable", generation, &ids[0], 4).unwrap();
    bench.commit("simple", -1, "", 5).unwrap();
    let (ids, _) = bench.stable("left", 1);
    bench.leave("left", &[member(&ids[0])]);
    bench.join("young", old_client("c"));
    let mut list = bench.coordinator.list().unwrap();
    list.sort_by(|one, other| one.group.cmp(&other.group));
    let list: Vec<_> = list
        .iter()
        .map(|g| (&g.group[..], g.state.as_str(), &g.protocol_type[..]))
        .collect();
    let want = [
        ("left", "Empty", "consumer"),
        ("simple", "Empty", ""),
        ("stable", "Stable", "consumer"),
        ("young", "PreparingRebalance", "consumer"),
    ];
    assert_eq!(list, want);
    let mut overview = bench.coordinator.overview().unwrap();
    overview.sort_by(|one, other| one.group.cmp(&other.group));
    let told = overview
        .iter()
        .map(|g| (g.description.members.len(), g.offsets.clone()));
    let want = [
        (0, vec![]),
        (0, vec![(key(1, 0), 5)]),
        (1, vec![(key(1, 0), 4)]),
        (1, vec![]),
    ];
    assert_eq!(told.collect::<Vec<_>>(), want);
}

#[test]
fn offsets_expire_only_without_members_and_from_when_those_left() {
    let mut bench = Bench::new();
    bench.commit("simple", -1, "", 1).unwrap();
    let (ids, generation) = bench.stable("g", 1);
    bench.commit("g", generation, &ids[0], 5).unwrap();
    let beat_for = |bench: &mut Bench, time: Duration| {
        let end = bench.now.mono + time;
        while bench.now.mono < end {
            assert_eq!(bench.beat("g", generation, &ids[0]), Ok(()));
            bench.pass(SESSION / 2);
        }
    };
    beat_for(&mut bench, 4 * DAY);
    bench.commit("simple", -1, "", 2).unwrap();
    beat_for(&mut bench, 4 * DAY);
    assert_eq!(
        (bench.fetch("simple"), bench.fetch("g")),
        (Some(2), Some(5))
    );
    bench.leave("g", &[member(&ids[0])]);
    bench.pass(4 * DAY);
    assert_eq!((bench.fetch("simple"), bench.fetch("g")), (None, Some(5)));
    assert_eq!(bench.state("simple"), GroupStateName::Dead);
    bench.crash();
    bench.pass(3 * DAY - Duration::from_secs(1));
    assert_eq!(bench.fetch("g"), Some(5));
    bench.pass(Duration::from_secs(1) + GROUP_EXPIRY_INTERVAL);
    assert_eq!(
        (bench.fetch("g"), bench.state("g")),
        (None, GroupStateName::Dead)
    );
}

#[test]
fn a_client_may_ask_for_another_retention() {
    let mut bench = Bench::new();
    let mut commit = commit_of(-1, member(""), &[(key(1, 0), 5)]);
    commit.retention_ms = Some(1000);
    bench.ask("g", Request::Commit(commit));
    let longer = commit_of(-1, member(""), &[(key(1, 1), 5)]);
    bench.ask("g", Request::Commit(longer));
    bench.pass(GROUP_EXPIRY_INTERVAL);
    let Answer::Fetch(Ok(all)) = bench.ask("g", Request::Fetch { keys: None }) else {
        panic!()
    };
    assert_eq!(
        all.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
        [key(1, 1)]
    );
}

#[test]
fn a_group_without_members_and_offsets_does_not_stay() {
    let mut bench = Bench::new();
    let (ids, _) = bench.stable("g", 1);
    bench.leave("g", &[member(&ids[0])]);
    assert_eq!(bench.state("g"), GroupStateName::Empty);
    bench.pass(GROUP_EXPIRY_INTERVAL);
    assert_eq!(bench.state("g"), GroupStateName::Dead);
}

#[test]
fn a_commit_that_is_under_way_does_not_expire_with_what_was_before() {
    let mut bench = Bench::new();
    bench.commit("g", -1, "", 5).unwrap();
    bench.pass(7 * DAY - Duration::from_secs(1));
    bench.commits = false;
    let commit = bench.send(
        "g",
        Request::Commit(commit_of(-1, member(""), &[(key(1, 0), 6)])),
    );
    bench.pass(GROUP_EXPIRY_INTERVAL);
    bench.commit_all();
    assert_eq!(bench.take_answer(commit), Answer::Commit(Ok(())));
    assert_eq!(bench.fetch("g"), Some(6));
}
