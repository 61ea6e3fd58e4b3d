//! Offsets: who may commit, what is told, what is removed.

use super::*;
use crate::groups::record::CommittedOffset;
use crate::limits::{GROUP_OFFSETS_BYTES, GROUP_STATE_BYTES_MAX};

#[test]
fn a_commit_is_answered_and_seen_once_it_is_committed() {
    let mut bench = Bench::new();
    bench.commits = false;
    let commit = commit_of(-1, member(""), &[(key(1, 0), 7)]);
    let reply = bench.send("simple", Request::Commit(commit));
    assert!(bench.waits(reply));
    assert_eq!(bench.fetch("simple"), None);
    bench.commit_all();
    assert_eq!(bench.take_answer(reply), Answer::Commit(Ok(())));
    assert_eq!(bench.fetch("simple"), Some(7));
    bench.crash();
    assert_eq!(bench.fetch("simple"), Some(7));
}

#[test]
fn only_members_of_the_generation_commit_to_a_group_that_has_some() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("g", 2);
    assert_eq!(bench.commit("g", generation, &ids[1], 3), Ok(()));
    for (generation, id, error) in [
        (
            generation - 1,
            ids[0].as_str(),
            GroupError::IllegalGeneration,
        ),
        (generation + 1, &ids[0], GroupError::IllegalGeneration),
        (-1, &ids[0], GroupError::IllegalGeneration),
        (generation, "x", GroupError::UnknownMember),
        (generation, "", GroupError::UnknownMember),
        (-1, "", GroupError::UnknownMember),
    ] {
        assert_eq!(
            bench.commit("g", generation, id, 9),
            Err(error),
            "{generation} {id}"
        );
    }
    assert_eq!(
        bench.commit("none", 1, "x", 9),
        Err(GroupError::IllegalGeneration)
    );
    assert_eq!(bench.fetch("g"), Some(3));
    // Members save what they have read before they join again ...
    bench.join("g", old_client("c"));
    assert_eq!(bench.commit("g", generation, &ids[0], 4), Ok(()));
    let replies = [&ids[0], &ids[1]].map(|id| bench.join("g", again(id)));
    let joined = replies.map(|reply| bench.joined(reply));
    // ... and nothing between that and their new assignment.
    let result = bench.commit("g", joined[0].generation, &ids[0], 5);
    assert_eq!(result, Err(GroupError::Rebalancing));
    assert_eq!(bench.fetch("g"), Some(4));
}

#[test]
fn a_commit_is_a_sign_of_life() {
    let mut bench = Bench::new();
    let (ids, generation) = bench.stable("g", 1);
    for offset in 0..5 {
        bench.pass(SESSION - Duration::from_millis(1));
        assert_eq!(bench.commit("g", generation, &ids[0], offset), Ok(()));
    }
    bench.pass(SESSION);
    assert_eq!(bench.state("g"), GroupStateName::Empty);
    assert_eq!(bench.commit("g", -1, "", 77), Ok(()), "empty: anybody may");
    assert_eq!(bench.fetch("g"), Some(77));
}

#[test]
fn metadata_and_epoch_come_back_as_they_were() {
    let mut bench = Bench::new();
    let offset = |partition, metadata: Option<&str>| NewOffset {
        key: key(1, partition),
        offset: i64::MAX,
        leader_epoch: 9,
        metadata: metadata.map(str::to_owned),
    };
    let commit = Commit {
        generation: -1,
        offsets: vec![offset(0, None), offset(1, Some("")), offset(2, Some("ä\0"))],
        ..Commit::default()
    };
    assert_eq!(
        bench.ask("", Request::Commit(commit)),
        Answer::Commit(Ok(()))
    );
    bench.crash();
    let keys = Some(vec![key(1, 2), key(1, 0), key(2, 0), key(1, 1)]);
    let Answer::Fetch(Ok(found)) = bench.ask("", Request::Fetch { keys }) else {
        panic!()
    };
    let told = |(_, found): (OffsetKey, Option<CommittedOffset>)| {
        found.map(|found| (found.offset, found.leader_epoch, found.metadata))
    };
    let found: Vec<_> = found.into_iter().map(told).collect();
    let want = |metadata: Option<&str>| Some((i64::MAX, 9, metadata.map(str::to_owned)));
    assert_eq!(found, [want(Some("ä\0")), want(None), None, want(Some(""))]);
    let Answer::Fetch(Ok(all)) = bench.ask("", Request::Fetch { keys: None }) else {
        panic!()
    };
    let all: Vec<_> = all.into_iter().map(|(key, _)| key).collect();
    assert_eq!(all, [key(1, 0), key(1, 1), key(1, 2)]);
    assert_eq!(
        bench.ask("none", Request::Fetch { keys: None }),
        Answer::Fetch(Ok(vec![]))
    );
}

#[test]
fn a_long_commit_takes_several_commands_and_one_answer() {
    let mut bench = Bench::new();
    bench.commits = false;
    let offsets: Vec<_> = (0..10_000)
        .map(|partition| (key(1, partition), 5))
        .collect();
    let reply = bench.send("g", Request::Commit(commit_of(-1, member(""), &offsets)));
    let most = usize::try_from(GROUP_OFFSETS_BYTES).unwrap();
    assert!(bench.outside.len() > 1 && bench.outside.iter().all(|(_, c)| c.len() <= most));
    while bench.outside.len() > 1 {
        bench.commit_one();
        assert!(bench.waits(reply));
    }
    bench.commit_one();
    assert_eq!(bench.take_answer(reply), Answer::Commit(Ok(())));
    let Answer::Fetch(Ok(all)) = bench.ask("g", Request::Fetch { keys: None }) else {
        panic!()
    };
    assert_eq!(all.len(), 10_000);
}

#[test]
fn only_so_much_is_kept() {
    let mut bench = Bench::new();
    let full = |bench: &mut Bench, group: &str| {
        let offsets = (0..30_000).map(|partition| NewOffset {
            key: key(1, partition),
            offset: 1,
            leader_epoch: -1,
            metadata: Some("x".repeat(4000)),
        });
        let commit = Commit {
            generation: -1,
            offsets: offsets.collect(),
            ..Commit::default()
        };
        match bench.ask(group, Request::Commit(commit)) {
            Answer::Commit(result) => result,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(full(&mut bench, "a"), Ok(()));
    assert_eq!(full(&mut bench, "b"), Err(GroupError::NoRoomForOffsets));
    assert!(bench.coordinator.state.bytes() <= GROUP_STATE_BYTES_MAX);
    assert_eq!(bench.commit("b", -1, "", 1), Ok(()), "a little still fits");
    assert_eq!(bench.delete("a"), Ok(()));
    assert_eq!(full(&mut bench, "b"), Ok(()));
}

#[test]
fn offsets_of_topics_that_are_gone_go_too() {
    let mut bench = Bench::new();
    let commit = commit_of(-1, member(""), &[(key(1, 0), 5), (key(2, 0), 6)]);
    bench.ask("g", Request::Commit(commit));
    bench.commits = false;
    let gone = Uuid([1; 16]);
    for _ in 0..2 {
        bench.call(|coordinator, _, out| coordinator.retain_topics(|topic| topic != gone, out));
    }
    assert_eq!(bench.outside.len(), 1, "said once");
    bench.commit_all();
    let Answer::Fetch(Ok(all)) = bench.ask("g", Request::Fetch { keys: None }) else {
        panic!()
    };
    assert_eq!(
        all.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
        [key(2, 0)]
    );
    bench.call(|coordinator, _, out| coordinator.retain_topics(|topic| topic != gone, out));
    assert!(bench.outside.is_empty());
}

fn delete_offsets(bench: &mut Bench, group: &str) -> Answer {
    let topics = vec![
        ("t".to_owned(), vec![key(1, 0), key(1, 1)]),
        ("u".to_owned(), vec![key(2, 0)]),
    ];
    bench.ask(group, Request::DeleteOffsets { topics })
}

#[test]
fn offsets_that_members_use_cannot_be_deleted() {
    let mut bench = Bench::new();
    let offsets = [(key(1, 0), 5), (key(2, 0), 6)];
    bench.ask("g", Request::Commit(commit_of(-1, member(""), &offsets)));
    assert_eq!(
        delete_offsets(&mut bench, "none"),
        Answer::DeleteOffsets(Err(GroupError::NotFound))
    );
    // Its members read the topic "t", which is 1.
    let (ids, _) = bench.stable("g", 1);
    let results = vec![Err(GroupError::Subscribed), Ok(())];
    assert_eq!(
        delete_offsets(&mut bench, "g"),
        Answer::DeleteOffsets(Ok(results))
    );
    let Answer::Fetch(Ok(all)) = bench.ask("g", Request::Fetch { keys: None }) else {
        panic!()
    };
    assert_eq!(
        all.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
        [key(1, 0)]
    );
    bench.leave("g", &[member(&ids[0])]);
    let results = vec![Ok(()), Ok(())];
    assert_eq!(
        delete_offsets(&mut bench, "g"),
        Answer::DeleteOffsets(Ok(results))
    );
    assert_eq!(bench.fetch("g"), None);
    // Of groups that are not consumers nobody knows what they read.
    let other = Join {
        protocol_type: "connect".to_owned(),
        ..old_client("c")
    };
    bench.join("h", other);
    assert_eq!(
        delete_offsets(&mut bench, "h"),
        Answer::DeleteOffsets(Err(GroupError::NotEmpty))
    );
}

#[test]
fn members_whose_metadata_nobody_understands_use_every_topic() {
    let mut bench = Bench::new();
    let mut odd = old_client("c");
    odd.protocols[0].1 = Bytes::from_static(b"?");
    bench.join("g", odd);
    let results = vec![Err(GroupError::Subscribed), Err(GroupError::Subscribed)];
    assert_eq!(
        delete_offsets(&mut bench, "g"),
        Answer::DeleteOffsets(Ok(results))
    );
}
