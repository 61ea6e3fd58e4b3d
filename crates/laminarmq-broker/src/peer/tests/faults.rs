//! Nodes that are slow, silent, or not who they should be.

use super::super::hello::{Reason, Refusal};
use super::super::outgoing::{LinkError, open};
use super::*;

#[tokio::test]
async fn another_cluster_or_node_is_refused_with_what_to_do() {
    let b = node(2).await;
    let refused =
        async |us: Identity, to: i32| match open(&b.address, &us, id(to), Lane::Live).await {
            Err(LinkError::Refused(refusal)) => (refusal.reason, refusal.text),
            other => panic!("{other:?}"),
        };
    let (reason, text) = refused(identity(1, "another-cluster"), 2).await;
    assert_eq!(reason, Reason::Cluster);
    assert!(
        text.contains("another-cluster") && text.contains(CLUSTER),
        "{text}"
    );
    assert!(text.contains("correct the address"), "{text}");
    let (reason, text) = refused(identity(1, CLUSTER), 3).await;
    assert_eq!(reason, Reason::Node);
    assert!(
        text.starts_with("this is node 2, not node 3: correct"),
        "{text}"
    );
    let (reason, text) = refused(identity(2, CLUSTER), 2).await;
    assert_eq!(reason, Reason::SameNode);
    assert!(text.contains("copies of one data directory"), "{text}");
    assert_eq!(b.counts(id(1)).links_accepted, 0);
    open(&b.address, &identity(1, CLUSTER), id(2), Lane::Live)
        .await
        .unwrap();

    // A node whose table is wrong goes on trying, and says nothing to the other.
    let a = node_with(1, 0, "another-cluster", quick()).await;
    a.peers.set_nodes([(b.id, b.address.clone())].into());
    until(|| a.counts(b.id).dials_failed > 4).await;
    assert_eq!(a.counts(b.id).links_opened, 0);
    a.peers.send(b.id, heartbeat(Lane::Live, 5, 1));
    until(|| a.told_unreachable() >= 1).await;
    assert_eq!(b.received_len(), 0);
}

#[tokio::test]
async fn versions_that_do_not_meet_are_refused_and_others_do() {
    let b = node(2).await;
    let answer = async |versions| {
        let mut raw = Raw::connect(&b).await;
        let mut hello = Hello::new(&identity(1, CLUSTER), b.id, Lane::Live);
        hello.versions = versions;
        raw.write(&hello_frame(&hello)).await;
        raw.next().await.expect("an answer")
    };
    for versions in [(2, 3), (0, 0), (2, 1)] {
        let frame = answer(versions).await;
        assert_eq!(frame.kind, FrameKind::Refusal, "{versions:?}");
        let refusal = Refusal::decode(frame.body).unwrap();
        assert_eq!(refusal.reason, Reason::Version);
        assert!(refusal.text.ends_with("upgrade the older one"), "{refusal}");
    }
    for versions in [(1, 1), (0, 1), (1, 9)] {
        assert_eq!(
            answer(versions).await.kind,
            FrameKind::Hello,
            "{versions:?}"
        );
    }
}

#[tokio::test]
async fn a_dialler_checks_who_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = local(listener.local_addr().unwrap().port());
    let us = identity(1, CLUSTER);
    let opening = open(&address, &us, id(2), Lane::Live);
    let (opened, _raw) = tokio::join!(opening, Raw::accept(&listener, 3));
    let error = opened.unwrap_err().to_string();
    assert_eq!(error, "wrong node: it is node 3, not node 2");
}

/// The hello is read at the same places in all versions.
#[test]
fn the_very_bytes_of_a_hello() {
    let mut body = PieceWriter::new();
    Hello::new(&identity(258, "abc"), id(3), Lane::Bulk).encode(&mut body);
    let bytes = body.take().concat();
    #[rustfmt::skip]
    let golden = [
        b'L', b'M', b'Q', b'-', b'P', b'E', b'E', b'R', 1, 0, 1, 0, 1, 0,
        2, 1, 0, 0, 3, 0, 0, 0, 1, 3, 0, b'a', b'b', b'c',
    ];
    assert_eq!(bytes, golden);
    let hello = Hello::decode(bytes.clone().into()).unwrap();
    for end in 0..bytes.len() {
        assert_eq!(Hello::decode(bytes[..end].to_vec().into()), None);
    }
    // What a later version says behind it.
    let later = [&bytes[..], b"more"].concat();
    assert_eq!(Hello::decode(later.into()), Some(hello));
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_up_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = local(listener.local_addr().unwrap().port());
    let limits = PeerLimits {
        queue_len: 100,
        queue_bytes: 1 << 20,
        stall: Duration::from_millis(300),
        ..quick()
    };
    let a = node_with(1, 0, CLUSTER, limits).await;
    let b = node(2).await;
    a.peers
        .set_nodes([(id(9), address), (b.id, b.address.clone())].into());
    let silent = (
        Raw::accept(&listener, 9).await,
        Raw::accept(&listener, 9).await,
    );
    until(|| a.counts(id(9)).links_opened == 2 && a.counts(b.id).links_opened == 2).await;
    // Until the sockets are full, then the queue.
    let mut index = 0;
    while a.counts(id(9)).messages_dropped < 50 {
        for _ in 0..10 {
            index += 1;
            a.peers.send(id(9), append(Lane::Live, index, 100_000));
        }
        tokio::task::yield_now().await;
        assert!(index < 10_000, "the queue has no bound");
    }
    until(|| a.told_unreachable() >= 1).await;
    a.peers.send(b.id, heartbeat(Lane::Live, 5, 1));
    until(|| b.received_len() == 1).await;
    // Given up in the end, with all that waited, and dialled again.
    let again = Raw::accept(&listener, 9).await;
    until(|| a.counts(id(9)).links_opened == 3).await;
    let counts = a.counts(id(9));
    assert!(counts.messages_dropped > 50 && counts.messages_dropped < index);
    drop((silent, again));
}

/// A machine that is gone takes what fits into the sockets, and answers no ping.
#[tokio::test]
async fn a_peer_that_answers_no_pings_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = local(listener.local_addr().unwrap().port());
    let limits = PeerLimits {
        ping_interval: Duration::from_millis(20),
        ..quick()
    };
    let a = node_with(1, 0, CLUSTER, limits).await;
    let b = node(2).await;
    a.peers
        .set_nodes([(id(9), address), (b.id, b.address.clone())].into());
    let silent = (
        Raw::accept(&listener, 9).await,
        Raw::accept(&listener, 9).await,
    );
    let again = (
        Raw::accept(&listener, 9).await,
        Raw::accept(&listener, 9).await,
    );
    until(|| a.counts(id(9)).links_opened == 4).await;
    // One that answers stays.
    assert_eq!(a.counts(b.id).links_opened, 2);
    assert!(b.counts(a.id).frames_received > 4);
    drop((silent, again));
}

#[tokio::test]
async fn a_link_on_which_nothing_comes_is_closed() {
    let limits = PeerLimits {
        idle: Duration::from_millis(30),
        ..quick()
    };
    let b = node_with(2, 0, CLUSTER, limits).await;
    let mut raw = Raw::link(&b, Lane::Live).await;
    assert!(raw.next().await.is_none());
}

#[tokio::test]
async fn a_newer_link_replaces_the_one_before_and_lanes_do_not_mix() {
    let b = node(2).await;
    let mut first = Raw::link(&b, Lane::Live).await;
    let mut bulk = Raw::link(&b, Lane::Bulk).await;
    let mut second = Raw::link(&b, Lane::Live).await;
    assert!(first.next().await.is_none());
    let ping = frame(FrameKind::Ping, PieceWriter::new());
    for link in [&mut bulk, &mut second] {
        link.write(&ping).await;
        assert_eq!(link.next().await.unwrap().kind, FrameKind::Pong);
    }
}

/// One shard that does not get on costs its own messages, and others some milliseconds.
#[tokio::test]
async fn what_finds_no_room_is_dropped_after_a_while() {
    let limits = PeerLimits {
        deliver_wait: Duration::from_millis(20),
        ..quick()
    };
    let (a, b) = (node(1).await, node_with(2, 0, CLUSTER, limits).await);
    a.link(&[&b]).await;
    *b.inbox.full.lock().unwrap() = Some(GroupId(3));
    for group in (1..=5).cycle().take(1000) {
        a.peers.send(b.id, heartbeat(Lane::Live, group, 1));
    }
    until(|| b.received_len() == 800).await;
    until(|| b.counts(a.id).messages_refused == 200).await;
    // It waits while there may be room.
    a.peers.send(b.id, heartbeat(Lane::Live, 3, 2));
    *b.inbox.full.lock().unwrap() = None;
    until(|| b.received_len() == 801).await;
}
