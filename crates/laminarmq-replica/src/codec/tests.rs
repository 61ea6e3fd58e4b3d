use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    AppendResult, EntryKind, GroupId, LogIndex, LogPoint, Membership, MembershipAt,
    MembershipError, Offset, Payload, PeerBody, PeerEntry, PeerMessage, ReplicaId, Term, VoteReply,
};

fn point() -> impl Strategy<Value = LogPoint> {
    (any::<u64>(), any::<u32>()).prop_map(|(index, term)| LogPoint {
        index: LogIndex(index),
        term: Term(term),
    })
}

fn vote() -> impl Strategy<Value = VoteReply> {
    (any::<bool>(), point()).prop_map(|(granted, commit)| VoteReply { granted, commit })
}

/// Lengths on both sides of [`SHARED_BYTES_MIN`].
fn payload() -> impl Strategy<Value = Payload> {
    let bytes = || {
        (0..SHARED_BYTES_MIN * 2, any::<u8>())
            .prop_map(|(length, fill)| Bytes::from(vec![fill; length]))
    };
    (bytes(), bytes()).prop_map(|(head, body)| Payload { head, body })
}

fn entry() -> impl Strategy<Value = PeerEntry> {
    (any::<u64>(), any::<u32>(), 1..=6u8, any::<u8>(), payload()).prop_map(
        |(index, term, kind, flags, payload)| PeerEntry {
            index: LogIndex(index),
            term: Term(term),
            kind: EntryKind::from_u8(kind).expect("1 to 6 are kinds"),
            flags,
            payload,
        },
    )
}

fn body() -> impl Strategy<Value = PeerBody> {
    let index = || any::<u64>().prop_map(LogIndex);
    let result = prop_oneof![
        index().prop_map(AppendResult::Matched),
        (index(), point()).prop_map(|(at, hint)| AppendResult::Rejected { at, hint }),
    ];
    prop_oneof![
        (point(), point()).prop_map(|(last, commit)| PeerBody::PreVote { last, commit }),
        vote().prop_map(PeerBody::PreVoteReply),
        (point(), point(), any::<bool>()).prop_map(|(last, commit, transfer)| PeerBody::Vote {
            last,
            commit,
            transfer
        }),
        vote().prop_map(PeerBody::VoteReply),
        (point(), index(), prop::collection::vec(entry(), 0..4)).prop_map(
            |(prev, commit, entries)| PeerBody::Append {
                prev,
                commit,
                entries
            }
        ),
        (result, index()).prop_map(|(result, commit)| PeerBody::AppendReply { result, commit }),
        index().prop_map(|commit| PeerBody::Heartbeat { commit }),
        index().prop_map(|commit| PeerBody::HeartbeatReply { commit }),
        index().prop_map(|commit| PeerBody::Rest { commit }),
        index().prop_map(|commit| PeerBody::RestReply { commit }),
        (any::<u64>(), point()).prop_map(|(nonce, last)| PeerBody::Doubt { nonce, last }),
        (any::<u64>(), point(), any::<bool>())
            .prop_map(|(nonce, last, leads)| PeerBody::Standing { nonce, last, leads }),
        Just(PeerBody::TimeoutNow),
        snapshot(),
    ]
}

fn snapshot() -> impl Strategy<Value = PeerBody> {
    // Sorted, without doubles, and no id in two of the lists: some learn, some leave, the rest vote.
    let ids = prop::collection::btree_set(1..u64::MAX, 1..20);
    (
        point(),
        any::<u64>(),
        any::<u64>(),
        ids,
        0..4usize,
        0..4usize,
    )
        .prop_map(|(at, offset, index, ids, learners, outgoing)| {
            let mut voters: Vec<_> = ids.into_iter().map(ReplicaId).collect();
            let learners = voters.split_off(voters.len().saturating_sub(learners).max(1));
            let outgoing = voters.split_off(voters.len().saturating_sub(outgoing).max(1));
            let members = Membership {
                voters,
                learners,
                learners_next: outgoing.iter().take(1).copied().collect(),
                outgoing,
            };
            PeerBody::Snapshot {
                at,
                offset: Offset(offset),
                members: MembershipAt {
                    index: LogIndex(index),
                    members,
                },
            }
        })
}

fn message() -> impl Strategy<Value = PeerMessage> {
    (any::<u32>(), body()).prop_map(|(term, body)| PeerMessage {
        term: Term(term),
        body,
    })
}

fn encoded(message: &PeerMessage) -> Bytes {
    let mut out = PieceWriter::new();
    message.encode(&mut out).expect("a small message");
    let length = out.len();
    let bytes = Bytes::from(out.take().concat());
    assert_eq!(bytes.len(), length);
    bytes
}

/// The same with each payload in one piece, as it is after decoding.
fn joined(mut message: PeerMessage) -> PeerMessage {
    if let PeerBody::Append { entries, .. } = &mut message.body {
        for entry in entries {
            let bytes = entry.payload.pieces().concat();
            entry.payload = Payload::whole(bytes.into());
        }
    }
    message
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages_round_trip_and_no_prefix_is_one(message in message()) {
        let bytes = encoded(&message);
        prop_assert_eq!(PeerMessage::decode(bytes.clone()), Ok(joined(message)));
        // All prefixes of a short one; of a long one, those that end in what is not a payload.
        for end in (0..bytes.len()).filter(|end| *end < 200 || end % 61 == 0) {
            prop_assert_eq!(PeerMessage::decode(bytes.slice(..end)), Err(CodecError::Short), "{} bytes", end);
        }
        let longer = [&bytes[..], &[0]].concat();
        prop_assert_eq!(PeerMessage::decode(longer.into()), Err(CodecError::Trailing(1)));
    }

    #[test]
    fn beats_round_trip(
        beats in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<u32>(), any::<u64>(), any::<bool>(), any::<bool>()), 0..20)
    ) {
        let beats: Vec<_> = beats
            .into_iter()
            .map(|(group, from, to, term, commit, reply, rest)| Beat {
                group: GroupId(group),
                from: ReplicaId(from),
                to: ReplicaId(to),
                term: Term(term),
                commit: LogIndex(commit),
                reply,
                rest,
            })
            .collect();
        let bytes = encoded_beats(&beats);
        prop_assert!(bytes.len() <= beats.len() * BEAT_BYTES_MAX);
        prop_assert_eq!(decoded_beats(bytes), Ok(beats.clone()));
        for beat in beats {
            let again = Beat::of(beat.group, beat.from, beat.to, &beat.message());
            prop_assert_eq!(again, Some(beat));
        }
    }
}

proptest! {
    // 100 000 of them together: what is decoded is written as it stood.
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_messages_are_refused_or_written_again_as_they_stood(
        message in message(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 20)
    ) {
        let bytes = encoded(&message);
        for (at, value, near) in damage {
            let mut bytes = bytes.to_vec();
            // Most numbers that matter stand in front of the payloads.
            let range = if near { bytes.len().min(64) } else { bytes.len() };
            bytes[at.index(range)] = value;
            check_any(&bytes.into());
        }
    }

    #[test]
    fn any_bytes_are_refused_or_written_again_as_they_stood(
        kind in 0..13u8,
        mut bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 5..120)
    ) {
        bytes[4] = kind;
        check_any(&bytes.into());
    }
}

fn check_any(bytes: &Bytes) {
    if let Ok(message) = PeerMessage::decode(bytes.clone()) {
        assert_eq!(encoded(&message), *bytes);
    }
    if let Ok(beats) = decoded_beats(bytes.clone()) {
        assert_eq!(encoded_beats(&beats), *bytes);
    }
}

fn encoded_beats(beats: &[Beat]) -> Bytes {
    let mut out = PieceWriter::new();
    let mut writer = BeatWriter::default();
    for beat in beats {
        writer.write(*beat, &mut out);
    }
    Bytes::from(out.take().concat())
}

fn decoded_beats(mut bytes: Bytes) -> Result<Vec<Beat>, CodecError> {
    let mut reader = BeatReader::default();
    let mut beats = Vec::new();
    while let Some(beat) = reader.read(&mut bytes)? {
        beats.push(beat);
    }
    Ok(beats)
}

fn append(entries: Vec<PeerEntry>) -> PeerMessage {
    PeerMessage {
        term: Term(7),
        body: PeerBody::Append {
            prev: LogPoint {
                index: LogIndex(4),
                term: Term(6),
            },
            commit: LogIndex(3),
            entries,
        },
    }
}

fn data(payload: Payload) -> PeerEntry {
    PeerEntry {
        index: LogIndex(5),
        term: Term(7),
        kind: EntryKind::Data,
        flags: 2,
        payload,
    }
}

#[test]
fn the_very_bytes_of_an_append() {
    let payload = Payload {
        head: Bytes::from_static(b"he"),
        body: Bytes::from_static(b"ad"),
    };
    #[rustfmt::skip]
    let golden = [
        7, 0, 0, 0, 5,
        4, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0,
        3, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0,
        5, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 2,
        4, 0, 0, 0, b'h', b'e', b'a', b'd',
    ];
    assert_eq!(encoded(&append(vec![data(payload)])), golden[..]);
}

#[test]
fn the_very_bytes_of_three_beats() {
    let beat = |group, reply, rest| Beat {
        group: GroupId(group),
        from: ReplicaId(3),
        to: ReplicaId(300),
        term: Term(9),
        commit: LogIndex(128),
        reply,
        rest,
    };
    let bytes = encoded_beats(&[
        beat(10, false, false),
        beat(9, true, false),
        beat(9, true, true),
    ]);
    #[rustfmt::skip]
    let golden = [
        20, 3, 0xac, 2, 36, 0x80, 1,
        1, 3, 0xac, 2, 37, 0x80, 1,
        0, 3, 0xac, 2, 39, 0x80, 1,
    ];
    assert_eq!(bytes, golden[..]);
}

/// What a node of a thousand groups sends. Plain numbers would take 36 bytes for each.
#[test]
fn a_heartbeat_takes_few_bytes() {
    let beats: Vec<_> = (0..1000)
        .map(|n| Beat {
            group: GroupId(100 + n),
            from: ReplicaId(3 * n + 1),
            to: ReplicaId(3 * n + 2),
            term: Term(5),
            commit: LogIndex(1_000_000 + n * 977),
            reply: false,
            rest: false,
        })
        .collect();
    let bytes = encoded_beats(&beats).len();
    assert!(bytes <= 9 * beats.len(), "{bytes} bytes");
}

#[test]
fn large_payloads_are_shared_on_both_sides() {
    let head = Bytes::from(vec![1; 61]);
    let body = Bytes::from(vec![2; 5000]);
    let payload = Payload {
        head: head.clone(),
        body: body.clone(),
    };
    let mut out = PieceWriter::new();
    append(vec![data(payload)]).encode(&mut out).unwrap();
    let pieces = out.take();
    assert_eq!(pieces.len(), 2);
    assert_eq!(pieces[1].as_ptr(), body.as_ptr());

    let frame = Bytes::from(pieces.concat());
    let message = PeerMessage::decode(frame.clone()).unwrap();
    let PeerBody::Append { entries, .. } = message.body else {
        panic!("an append was encoded");
    };
    let behind = frame.len() - head.len() - body.len();
    assert_eq!(entries[0].payload.body.as_ptr(), frame[behind..].as_ptr());
}

#[test]
fn appending_writers_keeps_the_order_and_shares() {
    let large = Bytes::from(vec![9; SHARED_BYTES_MIN]);
    let mut inner = PieceWriter::new();
    inner.u8(1);
    inner.share(&large);
    inner.u16(2);
    let mut out = PieceWriter::new();
    out.u8(0);
    out.append(&mut inner);
    assert!(inner.is_empty() && inner.take().is_empty());
    assert_eq!(out.len(), 4 + large.len());
    let seen: Vec<u8> = out.pieces().flatten().copied().collect();
    let pieces = out.take();
    assert_eq!(pieces.concat(), seen);
    assert_eq!(pieces[0], [0, 1][..]);
    assert_eq!(pieces[1].as_ptr(), large.as_ptr());
    assert_eq!(pieces[2], [2, 0][..]);
}

#[test]
fn each_refusal_by_name() {
    let whole = encoded(&append(vec![data(Payload::default())]));
    let with = |at: usize, value: u8| {
        let mut bytes = whole.to_vec();
        bytes[at] = value;
        PeerMessage::decode(bytes.into())
    };
    let unknown = |what, value| Err(CodecError::Unknown { what, value });
    assert_eq!(with(4, 99), unknown("message", 99));
    assert_eq!(with(41, 7), unknown("kind of entry", 7));
    // Two entries, and the bytes of one.
    assert_eq!(with(25, 2), Err(CodecError::Short));
    assert_eq!(with(26, 5), Err(CodecError::Entries(5 * 256 + 1)));
    // A payload that is not there.
    assert_eq!(with(43, 1), Err(CodecError::Short));
    let vote = encoded(&PeerMessage {
        term: Term(1),
        body: PeerBody::VoteReply(VoteReply {
            granted: true,
            commit: LogPoint::default(),
        }),
    });
    let mut maybe = vote.to_vec();
    maybe[5] = 2;
    assert_eq!(PeerMessage::decode(maybe.into()), unknown("vote", 2));
    // The same number in a longer form, and more bits than there are.
    for bytes in [
        &[0x80, 0][..],
        &[0xff; 11],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
    ] {
        let bytes = Bytes::copy_from_slice(bytes);
        assert_eq!(decoded_beats(bytes), Err(CodecError::Number));
    }
    let snapshot = |members| PeerMessage {
        term: Term(1),
        body: PeerBody::Snapshot {
            at: LogPoint::default(),
            offset: Offset(1),
            members: MembershipAt {
                index: LogIndex(1),
                members,
            },
        },
    };
    let mut sound = encoded(&snapshot(Membership::of_voters([ReplicaId(1)]))).to_vec();
    // The version of the members' encoding.
    sound[33] = 9;
    let version = CodecError::Members(MembershipError::Version(9));
    assert_eq!(PeerMessage::decode(sound.into()), Err(version));
    let nobody = snapshot(Membership::default());
    assert_eq!(nobody.encode(&mut PieceWriter::new()), Err(Unencodable));
    let many = vec![data(Payload::default()); APPEND_ENTRIES_MAX + 1];
    assert_eq!(
        append(many).encode(&mut PieceWriter::new()),
        Err(Unencodable)
    );
}
