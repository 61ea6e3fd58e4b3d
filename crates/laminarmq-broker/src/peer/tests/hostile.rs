//! Bytes that no node of ours sends.

use super::super::calls::{Answer, Call, Status};
use super::super::hello::Refusal;
use super::*;

/// Numbers that are the same in every run of a seed.
struct Lots(u64);

impl Lots {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }
}

/// One frame of each kind.
fn samples() -> Vec<Vec<u8>> {
    use super::super::messages::Encoder;
    use super::super::queue::Item;
    let body = |write: &dyn Fn(&mut PieceWriter)| {
        let mut body = PieceWriter::new();
        write(&mut body);
        body
    };
    let messages = |messages: Vec<Envelope>| {
        let mut items = messages.into_iter().map(Item::Message).collect();
        let mut out = PieceWriter::new();
        Encoder::default().encode(&mut items, &mut out);
        out.take().concat()
    };
    let call = Call {
        id: 1,
        kind: ECHO,
        wait_ms: 1000,
        bytes: Bytes::from_static(b"call"),
    };
    let answer = Answer {
        id: 1,
        status: Status::Answered,
        bytes: Bytes::from_static(b"answer"),
    };
    vec![
        hello_frame(&Hello::new(&identity(99, CLUSTER), id(2), Lane::Live)),
        frame(
            FrameKind::Refusal,
            body(&|out| Refusal::no_hello().encode(out)),
        ),
        messages(vec![append(Lane::Live, 1, 20)]),
        messages(vec![
            envelope(Lane::Live, 1, PeerBody::TimeoutNow),
            envelope(
                Lane::Live,
                2,
                PeerBody::Vote {
                    last: LogPoint::default(),
                    commit: LogPoint::default(),
                    transfer: true,
                },
            ),
        ]),
        messages((0..9).map(|n| heartbeat(Lane::Live, n * n, n)).collect()),
        frame(FrameKind::Call, body(&|out| call.encode(out))),
        frame(FrameKind::Answer, body(&|out| answer.encode(out))),
        frame(FrameKind::Ping, PieceWriter::new()),
        frame(FrameKind::Pong, PieceWriter::new()),
        frame(FrameKind::Alive, PieceWriter::new()),
    ]
}

/// A sample with some bytes changed, cut off or added; most of them with a checksum that is right.
fn mutated(samples: &[Vec<u8>], lots: &mut Lots) -> Vec<u8> {
    let mut bytes = samples[lots.next(samples.len())].clone();
    for _ in 0..lots.next(4) {
        let at = lots.next(bytes.len());
        bytes[at] = match lots.next(4) {
            0 => 0,
            1 => 255,
            2 => bytes[at].wrapping_add(1),
            _ => lots.next(256).to_le_bytes()[0],
        };
    }
    match lots.next(8) {
        0 => bytes.truncate(9 + lots.next(bytes.len() - 8)),
        1 => bytes.extend([0; 7]),
        _ => {}
    }
    if lots.next(8) > 0 {
        let length = u32::try_from(bytes.len() - 8).unwrap().to_le_bytes();
        bytes[..4].copy_from_slice(&length);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&length), &bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

#[tokio::test]
async fn a_hundred_thousand_damaged_frames_are_read_or_refused() {
    let samples = samples();
    let mut lots = Lots(0x5eed);
    let (mut unframed, mut read, mut refused) = (0, 0, 0);
    for _ in 0..100_000 {
        let bytes = mutated(&samples, &mut lots);
        let mut reader = FrameReader::new(&bytes[..], 1 << 20);
        match reader.next(LONG).await {
            Ok(Some(Frame { kind, body })) => {
                let again = again::rewrite(kind as u8, body.clone());
                assert_eq!(again.is_some(), again::read(kind as u8, body));
                if again.is_some() {
                    read += 1;
                } else {
                    refused += 1;
                }
            }
            Ok(None) => panic!("there are bytes"),
            Err(_) => unframed += 1,
        }
    }
    // All three happen, or this would prove little.
    let least = unframed.min(read).min(refused);
    assert!(
        least > 5_000,
        "{unframed} unframed, {read} read, {refused} refused"
    );
}

/// Strangers say what they like, before their hello and behind it. Two nodes that have a link do not notice.
#[tokio::test]
async fn damaged_frames_on_the_port_harm_nobody() {
    let (a, b) = (node(1).await, node(2).await);
    a.link(&[&b]).await;
    let samples = samples();
    let mut lots = Lots(0xbad);
    let mut sent = 0;
    for round in 0..3000 {
        let mut raw = if round % 4 == 0 {
            Raw::connect(&b).await
        } else {
            Raw::link(
                &b,
                if round % 3 == 0 {
                    Lane::Bulk
                } else {
                    Lane::Live
                },
            )
            .await
        };
        // Node 2 may have closed the link at any of them.
        for _ in 0..33 {
            let bytes = mutated(&samples, &mut lots);
            if raw.socket.write_all(&bytes).await.is_err() {
                break;
            }
            sent += 1;
        }
        if round % 100 == 0 {
            let before = b.inbox.received.lock().unwrap().len();
            a.peers.send(b.id, heartbeat(Lane::Live, 1 << 40, round));
            let arrived = || {
                let received = b.inbox.received.lock().unwrap();
                let ours = heartbeat(Lane::Live, 1 << 40, round);
                received[before..].contains(&(a.id, ours))
            };
            until(arrived).await;
            b.inbox.received.lock().unwrap().clear();
        }
    }
    assert!(sent > 90_000, "{sent}");
    assert_eq!(a.counts(b.id).links_opened, 2);
    assert_eq!(a.told_unreachable(), 0);
    let echo = a
        .peers
        .call(b.id, ECHO, Bytes::from_static(b"well"), LONG)
        .await;
    assert_eq!(echo, Ok(Bytes::from_static(b"well")));
}

#[tokio::test]
async fn what_has_no_place_ends_the_link() {
    let b = node(2).await;
    let all = samples();
    // On the bulk lane there are no calls.
    for (lane, number) in [
        (Lane::Live, 0),
        (Lane::Live, 6),
        (Lane::Live, 8),
        (Lane::Bulk, 5),
    ] {
        let mut raw = Raw::link(&b, lane).await;
        raw.write(&all[number]).await;
        assert!(raw.next().await.is_none(), "{lane:?} {number}");
    }
    // What is no hello is told so: it may be a client with the wrong port.
    let mut client = Raw::connect(&b).await;
    client.write(b"GET / HTTP/1.1\r\n\r\n").await;
    let refusal = client.next().await.unwrap();
    assert_eq!(refusal.kind, FrameKind::Refusal);
    assert!(
        Refusal::decode(refusal.body)
            .unwrap()
            .text
            .contains("clients have another")
    );
}

#[tokio::test]
async fn those_who_say_nothing_do_not_keep_nodes_out() {
    let (a, b) = (node(1).await, node(2).await);
    let mut silent = Vec::new();
    for _ in 0..crate::limits::PEER_HANDSHAKES_MAX * 2 {
        silent.push(Raw::connect(&b).await);
    }
    a.link(&[&b]).await;
    // The oldest are gone, sooner than by their own time; the newest are waited for.
    let gone = timeout(crate::limits::PEER_HELLO_WAIT_MAX / 2, silent[0].next());
    assert!(gone.await.expect("it is gone").is_none());
    let newest = silent.last_mut().unwrap();
    let hello = Hello::new(&identity(99, CLUSTER), b.id, Lane::Live);
    newest.write(&hello_frame(&hello)).await;
    assert_eq!(newest.next().await.unwrap().kind, FrameKind::Hello);
}
