//! Calls between nodes.

use super::*;
use crate::limits::PEER_CALL_BYTES_MAX;

#[tokio::test]
async fn calls_are_answered_each_its_own() {
    let (a, b) = (node(1).await, node(2).await);
    a.link(&[&b]).await;
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..20u8 {
        let (peers, to) = (a.peers.clone(), b.id);
        calls.spawn(async move {
            let bytes = Bytes::from(vec![n; usize::from(n) * 1000]);
            let answer = peers.call(to, ECHO, bytes.clone(), LONG).await;
            assert_eq!(answer, Ok(bytes));
        });
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
    let largest = Bytes::from(vec![7; PEER_CALL_BYTES_MAX]);
    let answer = a.peers.call(b.id, ECHO, largest.clone(), LONG).await;
    assert!(answer == Ok(largest));
    assert_eq!(
        (a.counts(b.id).calls_sent, b.counts(a.id).calls_received),
        (21, 21)
    );
}

#[tokio::test]
async fn a_call_without_an_answer_ends_in_time_on_both_sides() {
    let (a, b) = (node(1).await, node(2).await);
    a.link(&[&b]).await;
    let wait = Duration::from_millis(30);
    let answer = a.peers.call(b.id, NEVER, Bytes::new(), wait).await;
    assert_eq!(answer, Err(CallError::TimedOut));
    until(|| b.inbox.at_work.load(Ordering::Relaxed) == 0).await;
    // Given up by its caller: the place is free again.
    let call = a.peers.call(b.id, NEVER, Bytes::new(), LONG);
    assert!(timeout(wait, call).await.is_err());
    let answer = a.peers.call(b.id, ECHO, Bytes::new(), LONG).await;
    assert_eq!(answer, Ok(Bytes::new()));
}

#[tokio::test]
async fn calls_are_bounded_at_the_caller_and_at_the_called() {
    let few = |calls| PeerLimits { calls, ..quick() };
    let one = node_with(1, 0, CLUSTER, few(2)).await;
    let two = node_with(2, 0, CLUSTER, few(1)).await;
    one.link(&[&two]).await;
    two.link(&[&one]).await;
    let start = |from: &TestNode, to: &TestNode| {
        let (peers, to) = (from.peers.clone(), to.id);
        tokio::spawn(async move { peers.call(to, NEVER, Bytes::new(), LONG).await })
    };
    let waiting = start(&one, &two);
    until(|| two.inbox.at_work.load(Ordering::Relaxed) == 1).await;
    // The called node has room for one, ...
    let answer = one.peers.call(two.id, ECHO, Bytes::new(), LONG).await;
    assert_eq!(answer, Err(CallError::Busy));
    assert_eq!(two.counts(one.id).calls_received, 2);
    // ... and so has a caller, who does not even ask.
    let other = start(&two, &one);
    until(|| one.inbox.at_work.load(Ordering::Relaxed) == 1).await;
    let answer = two.peers.call(one.id, ECHO, Bytes::new(), LONG).await;
    assert_eq!(answer, Err(CallError::Busy));
    assert_eq!(one.counts(two.id).calls_received, 1);
    // Bytes count too.
    let many = node_with(3, 0, CLUSTER, few(100)).await;
    many.link(&[&two]).await;
    let bytes = Bytes::from(vec![0; PEER_CALL_BYTES_MAX]);
    let mut held = Vec::new();
    for _ in 0..4 {
        let (peers, to, bytes) = (many.peers.clone(), two.id, bytes.clone());
        held.push(tokio::spawn(async move {
            let _ = peers.call(to, NEVER, bytes, LONG).await;
        }));
    }
    until(|| many.counts(two.id).calls_sent == 4).await;
    let answer = many
        .peers
        .call(two.id, ECHO, Bytes::from_static(b"x"), LONG)
        .await;
    assert_eq!(answer, Err(CallError::Busy));
    for task in held {
        task.abort();
    }
    waiting.abort();
    other.abort();
}

#[tokio::test]
async fn each_failure_by_name() {
    let (a, b) = (node(1).await, node(2).await);
    let call = |kind, length| {
        let (peers, to) = (a.peers.clone(), b.id);
        async move { peers.call(to, kind, vec![0; length].into(), LONG).await }
    };
    assert_eq!(call(ECHO, 0).await, Err(CallError::UnknownNode));
    // Nobody is there.
    a.peers.set_nodes([(b.id, local(1))].into());
    assert_eq!(call(ECHO, 0).await, Err(CallError::NotConnected));
    a.link(&[&b]).await;
    assert_eq!(
        call(ECHO, PEER_CALL_BYTES_MAX + 1).await,
        Err(CallError::TooLarge)
    );
    assert_eq!(call(HUGE, 0).await, Err(CallError::TooLarge));
    let lost = tokio::spawn(call(NEVER, 0));
    until(|| b.inbox.at_work.load(Ordering::Relaxed) == 1).await;
    b.peers.stop().await;
    assert_eq!(lost.await.unwrap(), Err(CallError::Lost));
    assert_eq!(b.inbox.at_work.load(Ordering::Relaxed), 0);
}
