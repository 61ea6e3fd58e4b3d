use super::*;
use crate::groups::checkpoint::Cursor;
use crate::groups::record::MemberRecord;
use crate::limits::GROUP_CHUNK_BYTES;
use bytes::Bytes;
use proptest::prelude::*;

fn key(topic: u8, partition: i32) -> OffsetKey {
    OffsetKey {
        topic: Uuid([topic; 16]),
        partition,
    }
}

fn offset(offset: i64, metadata: &str) -> CommittedOffset {
    CommittedOffset {
        offset,
        leader_epoch: -1,
        metadata: Some(metadata.to_owned()),
        committed_ms: offset,
        retention_ms: None,
    }
}

fn commit(group: &str, topic: u8, partition: i32, at: i64) -> Change {
    Change::Offsets {
        group: group.to_owned(),
        offsets: vec![(key(topic, partition), offset(at, "m"))],
    }
}

fn record(generation: i32, metadata: usize) -> GroupRecord {
    GroupRecord {
        generation,
        since_ms: 1,
        protocol_type: "consumer".to_owned(),
        protocol: None,
        leader: None,
        members: vec![MemberRecord {
            id: "a".to_owned(),
            instance: None,
            client_id: String::new(),
            client_host: String::new(),
            session_timeout_ms: 1,
            rebalance_timeout_ms: 1,
            protocols: vec![("p".to_owned(), Bytes::from(vec![1; metadata]))],
            assignment: Bytes::new(),
        }],
    }
}

fn apply(state: &mut State, change: Change) {
    state.apply(change.into(), false);
}

/// The commands that write the state down.
fn checkpoint(state: &State, id: u64) -> Vec<Command> {
    let mut cursor = Cursor::default();
    let mut commands = vec![Command::CheckpointBegin { id }];
    let mut chunks = 0;
    while let Some(changes) = cursor.next_chunk(state) {
        let number = chunks;
        chunks += 1;
        commands.push(Command::CheckpointChunk {
            id,
            number,
            changes,
        });
    }
    commands.push(Command::CheckpointEnd { id, chunks });
    commands
}

fn replay(commands: &[Command]) -> State {
    let mut state = State::default();
    for command in commands {
        let command = Command::decode(&command.encode()).unwrap();
        state.apply(command, false);
    }
    state
}

#[test]
fn nothing_is_left_of_what_is_removed() {
    let mut state = State::default();
    apply(&mut state, commit("g", 1, 0, 5));
    apply(&mut state, commit("g", 2, 0, 6));
    apply(&mut state, commit("h", 1, 3, 7));
    let group = || "g".to_owned();
    apply(
        &mut state,
        Change::Group {
            group: group(),
            record: record(4, 10),
        },
    );
    assert_eq!((state.len(), state.topics().count()), (2, 2));
    apply(
        &mut state,
        Change::RemoveTopics {
            topics: vec![Uuid([1; 16])],
        },
    );
    assert_eq!(state.group("h"), None);
    assert_eq!(state.topics().collect::<Vec<_>>(), [Uuid([2; 16])]);
    apply(
        &mut state,
        Change::RemoveOffsets {
            group: group(),
            keys: vec![key(2, 0), key(2, 1)],
        },
    );
    let left = state.group("g").unwrap();
    assert!(left.offsets.is_empty() && left.given == 4 && left.record.is_some());
    apply(&mut state, Change::RemoveGroup { group: group() });
    assert_eq!(state, State::default());
    assert_eq!(state.bytes(), 0);
    // None of them needs to find what it is about.
    apply(&mut state, Change::RemoveGroup { group: group() });
    apply(
        &mut state,
        Change::RemoveOffsets {
            group: group(),
            keys: vec![key(2, 0)],
        },
    );
    apply(
        &mut state,
        Change::Offsets {
            group: group(),
            offsets: vec![],
        },
    );
    assert_eq!(state, State::default());
}

#[test]
fn a_generation_given_out_never_falls() {
    let mut state = State::default();
    let generation = |generation| Change::Generation {
        group: "g".to_owned(),
        generation,
    };
    apply(&mut state, generation(7));
    apply(
        &mut state,
        Change::Group {
            group: "g".to_owned(),
            record: record(6, 1),
        },
    );
    apply(&mut state, generation(5));
    assert_eq!(state.group("g").unwrap().given, 7);
}

#[test]
fn a_checkpoint_counts_only_when_it_is_complete_and_undisturbed() {
    let mut state = State::default();
    for n in 0..3 {
        apply(&mut state, commit(&format!("g{n}"), 1, n, 5));
    }
    let whole = checkpoint(&state, 9);
    assert_eq!(replay(&whole), state);
    let old = Command::Change(commit("old", 1, 0, 1));
    let behind = |commands: &[Command]| {
        let mut all = vec![old.clone()];
        all.extend_from_slice(commands);
        replay(&all)
    };
    // What stands before it is replaced.
    assert_eq!(behind(&whole), state);
    let only_old = replay(std::slice::from_ref(&old));
    // Without its end, its beginning or a chunk it says nothing.
    assert_eq!(behind(&whole[..whole.len() - 1]), only_old);
    assert_eq!(behind(&whole[1..]), only_old);
    assert_eq!(behind(&[whole[0].clone(), whole[2].clone()]), only_old);
    // Nor with the chunk of another, or twice the same.
    let other = checkpoint(&state, 10);
    let mixed = [whole[0].clone(), other[1].clone(), whole[2].clone()];
    assert_eq!(behind(&mixed), only_old);
    let twice = [
        whole[0].clone(),
        whole[1].clone(),
        whole[1].clone(),
        whole[2].clone(),
    ];
    assert_eq!(behind(&twice), only_old);
    // Something between: the one that wrote it was not the one that writes the rest.
    let mut disturbed = whole.clone();
    let change = commit("new", 1, 0, 2);
    disturbed.insert(2, Command::Change(change.clone()));
    let mut want = only_old;
    apply(&mut want, change);
    assert_eq!(behind(&disturbed), want);
    // A second attempt counts.
    let again = [&whole[..2], &other[..]].concat();
    assert_eq!(behind(&again), state);
}

#[test]
fn chunks_are_short_unless_one_record_is_long() {
    let mut state = State::default();
    let large = usize::try_from(GROUP_CHUNK_BYTES).unwrap() * 3;
    for n in 0..20 {
        let group = format!("g{n:02}");
        for partition in 0..400 {
            let metadata = "x".repeat(usize::try_from(partition).unwrap() * 3);
            let offsets = vec![(key(1, partition), offset(1, &metadata))];
            apply(
                &mut state,
                Change::Offsets {
                    group: group.clone(),
                    offsets,
                },
            );
        }
        let metadata = if n == 7 { large } else { 100 };
        apply(
            &mut state,
            Change::Group {
                group,
                record: record(n, metadata),
            },
        );
    }
    let commands = checkpoint(&state, 1);
    let bound = usize::try_from(GROUP_CHUNK_BYTES).unwrap() + 1024;
    let long: Vec<_> = commands
        .iter()
        .map(|c| c.encode().len())
        .filter(|n| *n > bound)
        .collect();
    assert!(long.len() == 1 && long[0] < large + bound, "{long:?}");
    assert!(commands.len() > 20, "{}", commands.len());
    assert_eq!(replay(&commands), state);
}

fn change() -> impl Strategy<Value = Change> {
    let group = || prop::sample::select(vec!["", "a", "a\0", "b", "bb"]).prop_map(str::to_owned);
    let key = || (0u8..3, -1i32..3).prop_map(|(topic, partition)| key(topic, partition));
    let offset = || (0i64..9, "[a-z]{0,3}").prop_map(|(at, metadata)| offset(at, &metadata));
    prop_oneof![
        4 => (group(), prop::collection::vec((key(), offset()), 0..4))
            .prop_map(|(group, offsets)| Change::Offsets { group, offsets }),
        2 => (group(), 0i32..9, 0usize..9)
            .prop_map(|(group, n, size)| Change::Group { group, record: record(n, size) }),
        2 => (group(), 1i32..12).prop_map(|(group, generation)| Change::Generation { group, generation }),
        1 => group().prop_map(|group| Change::RemoveGroup { group }),
        1 => (group(), prop::collection::vec(key(), 0..4))
            .prop_map(|(group, keys)| Change::RemoveOffsets { group, keys }),
        1 => (0u8..3).prop_map(|topic| Change::RemoveTopics { topics: vec![Uuid([topic; 16])] }),
    ]
}

proptest! {
    #[test]
    fn a_checkpoint_says_exactly_the_state(
        before in prop::collection::vec(change(), 0..40),
        behind in prop::collection::vec(change(), 0..10),
    ) {
        let mut state = State::default();
        before.into_iter().for_each(|change| apply(&mut state, change));
        let mut commands = checkpoint(&state, 3);
        prop_assert_eq!(&replay(&commands), &state);
        for change in behind {
            commands.push(change.clone().into());
            apply(&mut state, change);
        }
        prop_assert_eq!(&replay(&commands), &state);
        let counted: u64 = state.groups().map(|(name, stored)| {
            let offsets: u64 = stored.offsets.values().map(CommittedOffset::size).sum();
            GROUP_BYTES + name.len() as u64 + offsets + stored.record.as_ref().map_or(0, GroupRecord::size)
        }).sum();
        prop_assert_eq!(counted, state.bytes());
    }
}
