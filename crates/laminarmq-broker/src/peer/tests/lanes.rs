//! What well-behaved nodes may rely on.

use super::*;
use crate::limits::BATCH_BYTES_MAX;

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn messages_arrive_as_sent_and_in_order_on_each_lane() {
    let (a, b) = (node(1).await, node(2).await);
    a.link(&[&b]).await;
    let mut sent = [Vec::new(), Vec::new()];
    for index in 1..=1000 {
        for (lane, sent) in Lane::BOTH.into_iter().zip(&mut sent) {
            let length = usize::try_from(index % 17 * 100).unwrap();
            let message = append(lane, index, length);
            a.peers.send(b.id, message.clone());
            sent.push((a.id, message));
        }
    }
    until(|| b.received_len() == 2000).await;
    for (lane, sent) in Lane::BOTH.into_iter().zip(sent) {
        let mut received = b.received();
        received.retain(|(_, envelope)| envelope.lane == lane);
        assert!(received == sent, "{lane:?}");
    }
    assert_eq!(b.counts(a.id).messages_received, 2000);
    assert_eq!(a.counts(b.id).messages_dropped, 0);
    assert_eq!(a.peers.feature_level(b.id), Some(7));
    assert_eq!(a.told_unreachable(), 0);
}

#[tokio::test]
async fn the_largest_batch_gets_through() {
    let (a, b) = (node(1).await, node(2).await);
    a.link(&[&b]).await;
    let length = BATCH_BYTES_MAX as usize;
    a.peers.send(b.id, append(Lane::Bulk, 1, length));
    until(|| b.received_len() == 1).await;
    assert_eq!(b.received()[0].1.message.payload_bytes(), length);
}

/// By what arrives before what, not by the clock: the bulk lane does not get on before the heartbeat is there.
#[tokio::test]
async fn bulk_does_not_delay_live() {
    let limits = PeerLimits {
        deliver_wait: LONG,
        ..quick()
    };
    let (a, b) = (node(1).await, node_with(2, 0, CLUSTER, limits).await);
    b.inbox.live_first.store(true, Ordering::Relaxed);
    a.link(&[&b]).await;
    for index in 1..=64 {
        a.peers.send(b.id, append(Lane::Bulk, index, 256 << 10));
    }
    // Much more waits than the sockets hold.
    until(|| b.counts(a.id).frames_received > 2).await;
    assert_eq!(b.received_len(), 0);
    a.peers.send(b.id, heartbeat(Lane::Live, 5, 1));
    until(|| b.received_len() == 65).await;
    assert_eq!(b.received()[0].1, heartbeat(Lane::Live, 5, 1));
    assert_eq!(b.counts(a.id).messages_refused, 0);
}

#[tokio::test]
async fn that_a_node_is_alive_is_heard_once_and_only_by_nodes_with_a_link() {
    let (a, b, c) = (node(1).await, node(2).await, node(3).await);
    a.link(&[&b]).await;
    a.peers.say_alive();
    until(|| *b.inbox.alive.lock().unwrap() == [a.id]).await;
    assert_eq!(*c.inbox.alive.lock().unwrap(), []);
    // Nobody counts it as a message, and none is lost without a link.
    assert_eq!(b.counts(a.id).messages_received, 0);
    assert_eq!(a.told_unreachable(), 0);
}

#[tokio::test]
async fn heartbeats_of_a_thousand_groups_are_one_frame() {
    let (a, b) = (node(1).await, node(2).await);
    a.link(&[&b]).await;
    // The two links' first pings.
    until(|| b.counts(a.id).frames_received == 2).await;
    let before = b.counts(a.id);
    for group in 0..1000 {
        let commit = LogIndex(1_000_000 + 977 * group);
        let body = if group % 2 == 0 {
            PeerBody::Heartbeat { commit }
        } else {
            PeerBody::HeartbeatReply { commit }
        };
        let mut message = envelope(Lane::Live, 100 + group, body);
        (message.from, message.to) = (ReplicaId(3 * group + 1), ReplicaId(3 * group + 2));
        a.peers.send(b.id, message);
        // What stands between them does not tear them apart.
        if group % 100 == 0 {
            a.peers
                .send(b.id, envelope(Lane::Live, group, PeerBody::TimeoutNow));
        }
    }
    until(|| b.received_len() == 1010).await;
    let after = b.counts(a.id);
    assert_eq!(after.frames_received - before.frames_received, 2);
    let bytes = after.bytes_received - before.bytes_received;
    assert!(
        bytes <= 10 * 40 + 1000 * 11,
        "{bytes} bytes for 1000 heartbeats"
    );
    let groups: std::collections::HashSet<_> = b
        .received()
        .iter()
        .map(|(_, envelope)| envelope.group)
        .collect();
    assert_eq!(groups.len(), 1000 + 1);
}

#[tokio::test]
async fn from_a_shards_thread_nothing_waits() {
    let (a, b) = (node(1).await, node(2).await);
    a.link(&[&b]).await;
    // Now the links have nothing to do but wait.
    until(|| b.counts(a.id).frames_received == 2).await;
    let (peers, to) = (a.peers.clone(), b.id);
    let thread = std::thread::spawn(move || {
        for index in 1..=100 {
            peers.send(to, append(Lane::Live, index, 10));
        }
    });
    until(|| b.received_len() == 100).await;
    thread.join().unwrap();
}

#[tokio::test]
async fn three_nodes_each_with_each_and_one_that_leaves() {
    let nodes = [node(1).await, node(2).await, node(3).await];
    for from in &nodes {
        let others: Vec<_> = nodes.iter().filter(|to| to.id != from.id).collect();
        from.link(&others).await;
    }
    for from in &nodes {
        for to in nodes.iter().filter(|to| to.id != from.id) {
            let group = u64::try_from(from.id.get()).unwrap();
            from.peers.send(to.id, heartbeat(Lane::Live, group, 1));
        }
    }
    for to in &nodes {
        until(|| to.received_len() == 2).await;
        for (from, envelope) in to.received() {
            assert_eq!(u64::try_from(from.get()).unwrap(), envelope.group.get());
        }
    }
    let [a, b, c] = &nodes;
    c.peers.stop().await;
    until(|| a.told_unreachable() > 0 && b.told_unreachable() > 0).await;
    a.peers.send(b.id, heartbeat(Lane::Live, 9, 9));
    until(|| b.received_len() == 3).await;
    assert_eq!(a.counts(b.id).links_opened, 2);
    assert_eq!(b.counts(a.id).links_opened, 2);
}

#[tokio::test]
async fn a_node_that_comes_back_is_found_again() {
    let (a, b) = (node(1).await, node(2).await);
    a.link(&[&b]).await;
    a.peers.send(b.id, heartbeat(Lane::Live, 5, 1));
    until(|| b.received_len() == 1).await;
    b.peers.stop().await;
    until(|| a.counts(b.id).dials_failed > 2).await;
    // Once for each lane, however many attempts and messages fail.
    for commit in 0..10 {
        a.peers.send(b.id, heartbeat(Lane::Live, 5, commit));
    }
    until(|| a.counts(b.id).dials_failed > 6).await;
    assert!(
        (1..=2).contains(&a.told_unreachable()),
        "{}",
        a.told_unreachable()
    );
    assert_eq!(a.counts(b.id).messages_dropped, 10);

    let again = node_with(2, b.address.port, CLUSTER, quick()).await;
    until(|| a.counts(b.id).links_opened == 4).await;
    a.peers.send(b.id, heartbeat(Lane::Live, 5, 2));
    until(|| again.received_len() == 1).await;
    let told = a.told_unreachable();
    again.peers.stop().await;
    until(|| a.told_unreachable() > told).await;
}

#[tokio::test]
async fn the_table_of_nodes_changes_at_run_time() {
    let (a, b, c) = (node(1).await, node(2).await, node(3).await);
    a.link(&[&b]).await;
    // The same table again, with this node itself in it, changes nothing.
    a.peers
        .set_nodes([(b.id, b.address.clone()), (a.id, local(1))].into());
    a.peers.send(b.id, heartbeat(Lane::Live, 5, 1));
    until(|| b.received_len() == 1).await;
    assert_eq!(a.counts(b.id).links_opened, 2);

    // Node 2 is somewhere else now, node 3 is new.
    let moved = node(2).await;
    a.link(&[&moved, &c]).await;
    a.peers.send(b.id, heartbeat(Lane::Live, 5, 2));
    a.peers.send(c.id, heartbeat(Lane::Live, 5, 3));
    until(|| moved.received_len() == 1 && c.received_len() == 1).await;
    assert_eq!(b.received_len(), 1);

    // Node 2 is gone.
    a.peers.set_nodes([(c.id, c.address.clone())].into());
    a.peers.send(b.id, heartbeat(Lane::Live, 5, 4));
    a.peers.send(c.id, heartbeat(Lane::Live, 5, 5));
    until(|| c.received_len() == 2).await;
    assert_eq!(a.counts(c.id).links_opened, 2);
    assert_eq!(a.counts(b.id).messages_dropped, 1);
    let call = a.peers.call(b.id, ECHO, Bytes::new(), LONG).await;
    assert_eq!(call, Err(CallError::UnknownNode));
}

/// Handing over the lead is the last thing that a node says.
#[tokio::test]
async fn what_is_queued_when_the_node_stops_is_written() {
    let (a, b) = (node(1).await, node(2).await);
    a.link(&[&b]).await;
    for index in 1..=100 {
        a.peers.send(b.id, append(Lane::Live, index, 50_000));
    }
    a.peers.stop().await;
    until(|| b.received_len() == 100).await;
    a.peers.send(b.id, heartbeat(Lane::Live, 5, 1));
    assert_eq!(a.counts(b.id).messages_dropped, 1);
}
