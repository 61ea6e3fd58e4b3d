use super::*;
use crate::groups::record::MemberRecord;
use bytes::Bytes;
use proptest::prelude::*;

fn key(topic: u8, partition: i32) -> OffsetKey {
    OffsetKey {
        topic: Uuid([topic; 16]),
        partition,
    }
}

fn offset(metadata: Option<&str>) -> CommittedOffset {
    CommittedOffset {
        offset: 5,
        leader_epoch: 2,
        metadata: metadata.map(str::to_owned),
        committed_ms: 1000,
        retention_ms: None,
    }
}

fn record() -> GroupRecord {
    GroupRecord {
        generation: 3,
        since_ms: 9,
        protocol_type: "consumer".to_owned(),
        protocol: Some("range".to_owned()),
        leader: Some("a-1".to_owned()),
        members: vec![MemberRecord {
            id: "a-1".to_owned(),
            instance: Some("i".to_owned()),
            client_id: "a".to_owned(),
            client_host: "/::1".to_owned(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
            protocols: vec![("range".to_owned(), Bytes::from_static(b"meta"))],
            assignment: Bytes::from_static(b"all"),
        }],
    }
}

fn all() -> Vec<Command> {
    let group = || "g".to_owned();
    let mut kept = offset(Some(""));
    kept.retention_ms = Some(77);
    let changes = vec![
        Change::Offsets {
            group: group(),
            offsets: vec![(key(1, 0), offset(None)), (key(2, 7), kept)],
        },
        Change::Group {
            group: group(),
            record: record(),
        },
        Change::Generation {
            group: group(),
            generation: 4,
        },
        Change::RemoveGroup { group: group() },
        Change::RemoveOffsets {
            group: group(),
            keys: vec![key(1, 0)],
        },
        Change::RemoveTopics {
            topics: vec![Uuid([7; 16])],
        },
    ];
    let mut all: Vec<Command> = changes.iter().cloned().map(Command::Change).collect();
    all.push(Command::CheckpointBegin { id: 8 });
    all.push(Command::CheckpointChunk {
        id: 8,
        number: 1,
        changes,
    });
    all.push(Command::CheckpointEnd { id: 8, chunks: 2 });
    all
}

#[test]
fn commands_come_back_as_they_were() {
    for command in all() {
        assert_eq!(Command::decode(&command.encode()), Ok(command));
    }
}

#[test]
fn the_bytes_are_the_documented_ones() {
    let offsets = Command::Change(Change::Offsets {
        group: "g".to_owned(),
        offsets: vec![(key(9, 1), offset(Some("m")))],
    });
    let mut want = vec![1, 1];
    want.extend(b"\x01\0g\x01\0\0\0");
    want.extend([9; 16]);
    want.extend(b"\x01\0\0\0\x05\0\0\0\0\0\0\0\x02\0\0\0\xe8\x03\0\0\0\0\0\0");
    want.extend([0xff; 8]);
    want.extend(b"\x01\x01\0m");
    assert_eq!(offsets.encode(), want);

    let group = Command::Change(Change::Group {
        group: "g".to_owned(),
        record: record(),
    });
    let mut want = vec![1, 2];
    want.extend(
        b"\x01\0g\x01\x03\0\0\0\x09\0\0\0\0\0\0\0\x08\0consumer\x01\x05\0range\x01\x03\0a-1",
    );
    want.extend(b"\x01\0\0\0\x03\0a-1\x01\x01\0i\x01\0a\x04\0/::1\x10\x27\0\0\x60\xea\0\0");
    want.extend(b"\x01\0\0\0\x05\0range\x04\0\0\0meta\x03\0\0\0all");
    assert_eq!(group.encode(), want);

    let generation = Command::Change(Change::Generation {
        group: "g".to_owned(),
        generation: 4,
    });
    assert_eq!(generation.encode(), b"\x01\x03\x01\0g\x04\0\0\0");
    let remove = Command::Change(Change::RemoveGroup {
        group: "g".to_owned(),
    });
    assert_eq!(remove.encode(), b"\x01\x04\x01\0g");
    let topics = Command::Change(Change::RemoveTopics {
        topics: vec![Uuid([7; 16])],
    });
    assert_eq!(
        topics.encode(),
        [&b"\x01\x06\x01\0\0\0"[..], &[7; 16]].concat()
    );
    let remove = Command::Change(Change::RemoveOffsets {
        group: "g".to_owned(),
        keys: vec![key(7, 2)],
    });
    let want = [&b"\x01\x05\x01\0g\x01\0\0\0"[..], &[7; 16], b"\x02\0\0\0"].concat();
    assert_eq!(remove.encode(), want);
    let begin = Command::CheckpointBegin { id: 258 };
    assert_eq!(begin.encode(), b"\x01\x07\x02\x01\0\0\0\0\0\0");
    let chunk = Command::CheckpointChunk {
        id: 1,
        number: 2,
        changes: vec![Change::Generation {
            group: "g".to_owned(),
            generation: 4,
        }],
    };
    let want = b"\x01\x08\x01\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\x03\x01\0g\x04\0\0\0";
    assert_eq!(chunk.encode(), want);
    let end = Command::CheckpointEnd { id: 1, chunks: 3 };
    assert_eq!(end.encode(), b"\x01\x09\x01\0\0\0\0\0\0\0\x03\0\0\0");
}

#[test]
fn newer_and_damaged_commands_are_told_apart() {
    let mut bytes = all()[1].encode();
    bytes[0] = 9;
    assert_eq!(
        Command::decode(&bytes),
        Err(CommandError::Newer { found: 9 })
    );
    assert_eq!(Command::decode(&[1, 77]), Err(CommandError::Kind(77)));
    let mut bytes = all()[1].encode();
    bytes[5] = 2;
    assert_eq!(Command::decode(&bytes), Err(CommandError::GroupType(2)));
    let mut long = all()[1].encode();
    long.push(0);
    assert_eq!(Command::decode(&long), Err(CommandError::Long(1)));
    // A chunk within a chunk, which would make reading it recursive.
    let nested = [&all()[7].encode()[..14], &[1, 0, 0, 0, CHECKPOINT_CHUNK]].concat();
    assert_eq!(
        Command::decode(&nested),
        Err(CommandError::Kind(CHECKPOINT_CHUNK))
    );
}

proptest! {
    #[test]
    fn cut_commands_are_short_and_no_bytes_panic(
        bytes: Vec<u8>,
        which in 0usize..9,
        cut in 0usize..200,
        kind in 0u8..12,
    ) {
        let whole = all()[which].encode();
        let cut = cut.min(whole.len() - 1);
        prop_assert_eq!(Command::decode(&whole[..cut]), Err(CommandError::Short));
        let _ = Command::decode(&[&[VERSION, kind][..], &bytes].concat());
    }
}
