//! The bytes of a link from another node, as they come off a socket in pieces: split into frames as a model says,
//! whose bodies are then read as a link reads them. What can be read comes back from its own bytes.
//!
//! An input is: a mode, the size of the pieces, how many zeros follow, and the bytes. The mode's bit 0: the frames'
//! checksums are made right.

use bytes::Bytes;
use laminarmq_broker::test_util::{PeerFrames, read_peer_frame, rewrite_peer_frame};
use laminarmq_replica::codec::PieceWriter;
use laminarmq_replica::{
    AppendResult, EntryKind, LogIndex, LogPoint, Membership, MembershipAt, Offset, Payload,
    PeerBody, PeerEntry, PeerMessage, ReplicaId, Term, VoteReply,
};

use crate::pieces::{self, Pieces};

/// The largest frame.
const FRAME_BYTES_MAX: u32 = 300 << 10;
/// Length and checksum.
const HEAD: usize = 8;
/// The kinds of frames are 1 to this.
const KINDS: u8 = 9;

/// The checksum of a frame, which begins with its length.
fn frame_crc(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[HEAD..])
}

/// The length of the first frame with its head, if it is allowed.
fn frame_length(stream: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*stream.first_chunk()?);
    (1..=FRAME_BYTES_MAX)
        .contains(&length)
        .then_some(HEAD + length as usize)
}

fn mend(mut stream: &mut [u8]) {
    while let Some(length) = frame_length(stream) {
        let Some((frame, rest)) = stream.split_at_mut_checked(length) else {
            return;
        };
        let crc = frame_crc(frame);
        frame[4..HEAD].copy_from_slice(&crc.to_le_bytes());
        stream = rest;
    }
}

/// What the framing says about a stream: kinds and bodies, and whether it ends well behind them.
fn model(mut stream: &[u8]) -> (Vec<(u8, Bytes)>, bool) {
    let mut frames = Vec::new();
    while let Some(length) = frame_length(stream) {
        let Some((frame, rest)) = stream.split_at_checked(length) else {
            return (frames, false);
        };
        let kind = frame[HEAD];
        let is_right = frame[4..HEAD] == frame_crc(frame).to_le_bytes();
        if !is_right || !(1..=KINDS).contains(&kind) {
            return (frames, false);
        }
        frames.push((kind, Bytes::copy_from_slice(&frame[HEAD + 1..])));
        stream = rest;
    }
    (frames, stream.is_empty())
}

/// Splits the stream by the broker's code and by the model; reads each frame.
pub fn check(input: &[u8]) {
    let [mode, most, zeros, bytes @ ..] = input else {
        return;
    };
    let mut stream = bytes.to_vec();
    stream.resize(stream.len() + pieces::zeros(*zeros), 0);
    if mode & 1 != 0 {
        mend(&mut stream);
    }
    let (expected, ends_well) = model(&stream);
    let mut frames = Vec::new();
    let end = pieces::block_on(async {
        let mut reader = PeerFrames::new(Pieces::new(stream, *most), FRAME_BYTES_MAX);
        while let Some(frame) = reader.next().await? {
            frames.push(frame);
        }
        Ok::<_, String>(())
    });
    assert_eq!(frames, expected);
    assert_eq!(end.is_ok(), ends_well, "{end:?}");
    for (kind, body) in frames {
        let can_be_read = read_peer_frame(kind, body.clone());
        let Some(again) = rewrite_peer_frame(kind, body) else {
            continue;
        };
        assert!(can_be_read, "kind {kind}");
        let again = Bytes::from(again);
        assert_eq!(rewrite_peer_frame(kind, again.clone()), Some(again.into()));
    }
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(1 + body.len()).expect("short").to_le_bytes();
    let mut frame = [&length[..], &[0; 4], &[kind], body].concat();
    let crc = frame_crc(&frame);
    frame[4..HEAD].copy_from_slice(&crc.to_le_bytes());
    frame
}

fn message(body: PeerBody) -> Vec<u8> {
    let message = PeerMessage {
        term: Term(7),
        body,
    };
    let mut out = PieceWriter::new();
    message.encode(&mut out).expect("a short message");
    let bytes = out.take().concat();
    let length = u32::try_from(bytes.len()).expect("short").to_le_bytes();
    let [group, from, to] = [5u64, 1 << 32 | 1, 2 << 32 | 2].map(u64::to_le_bytes);
    [&group[..], &from, &to, &length, &bytes].concat()
}

fn append() -> PeerBody {
    let entry = |index, kind| PeerEntry {
        index: LogIndex(index),
        term: Term(7),
        kind,
        flags: 0,
        payload: Payload::whole(Bytes::from_static(b"what the entry holds")),
    };
    PeerBody::Append {
        prev: LogPoint {
            index: LogIndex(9),
            term: Term(6),
        },
        commit: LogIndex(8),
        entries: vec![entry(10, EntryKind::Data), entry(11, EntryKind::Trim)],
    }
}

fn snapshot() -> PeerBody {
    let at = LogPoint {
        index: LogIndex(90),
        term: Term(3),
    };
    PeerBody::Snapshot {
        at,
        offset: Offset(80),
        members: MembershipAt {
            index: at.index,
            members: Membership::of_voters([1, 2, 3].map(ReplicaId)),
        },
    }
}

/// A frame of each kind, messages of each sort, a frame that zeros fill, and one that is cut.
pub fn seeds() -> Vec<Vec<u8>> {
    let point = LogPoint::default();
    let reply = VoteReply {
        granted: false,
        commit: point,
    };
    let commit = LogIndex(3);
    let hint = PeerBody::AppendReply {
        result: AppendResult::Rejected {
            at: commit,
            hint: point,
        },
        commit,
    };
    let matched = PeerBody::AppendReply {
        result: AppendResult::Matched(commit),
        commit,
    };
    let vote = PeerBody::Vote {
        last: point,
        commit: point,
        transfer: true,
    };
    let ask = PeerBody::PreVote {
        last: point,
        commit: point,
    };
    let mut bodies: Vec<(u8, Vec<u8>)> = vec![
        (
            1,
            [
                &b"LMQ-PEER"[..],
                &[1, 0, 1, 0, 1, 0],
                &[1, 0, 0, 0],
                &[2, 0, 0, 0],
                &[1, 4, 0],
                b"name",
            ]
            .concat(),
        ),
        (2, [&[1][..], &[4, 0], b"text"].concat()),
        (
            4,
            [
                5, 1, 2, 28, 9, 0, 2, 1, 29, 9, 0, 1, 2, 30, 9, 0, 2, 1, 31, 9,
            ]
            .to_vec(),
        ),
        (5, [&[7; 8][..], &[1], &[100, 0, 0, 0], b"call"].concat()),
        (6, [&[7; 8][..], &[0], b"answer"].concat()),
        (7, Vec::new()),
        (8, Vec::new()),
        (9, Vec::new()),
    ];
    let small = [
        vote,
        ask,
        PeerBody::VoteReply(reply),
        PeerBody::PreVoteReply(reply),
        hint,
        matched,
        PeerBody::TimeoutNow,
        PeerBody::Rest { commit },
        PeerBody::RestReply { commit },
        PeerBody::Doubt {
            nonce: 5,
            last: point,
        },
        PeerBody::Standing {
            nonce: 5,
            last: point,
            leads: true,
        },
    ];
    bodies.push((3, small.map(message).concat()));
    bodies.push((3, message(append())));
    bodies.push((3, message(snapshot())));
    let frames: Vec<_> = bodies
        .iter()
        .map(|(kind, body)| frame(*kind, body))
        .collect();
    let mut seeds: Vec<_> = frames
        .iter()
        .map(|frame| [&[1, 0, 0][..], frame].concat())
        .collect();
    seeds.push([&[0, 5, 0][..], &frames.concat()].concat());
    seeds.push([&[0, 200, 0][..], &frames.concat()[..100]].concat());
    // A frame of some 256 KiB.
    seeds.push(
        [
            &[1, 0, pieces::ZEROS_FROM + 17][..],
            &[0, 0, 4, 0, 0, 0, 0, 0, 3],
        ]
        .concat(),
    );
    seeds
}
