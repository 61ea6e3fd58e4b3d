//! What clients of an earlier leader hear from the next one.

use crate::common::{Client, batch, fetch_request, in_time, offsets_request};
use crate::{NODES, Trio, create};
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::OffsetForLeaderEpochRequest;
use laminarmq_kafka::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderPartition, OffsetForLeaderTopic,
};

const LATEST: i64 = -1;

/// Where a leader epoch ends, for a client that believes in the epoch `current`.
async fn end_of(client: &mut Client, current: i32, epoch: i32) -> EpochEndOffset {
    let request = OffsetForLeaderEpochRequest {
        replica_id: -1,
        topics: vec![OffsetForLeaderTopic {
            topic: "t".to_owned(),
            partitions: vec![OffsetForLeaderPartition {
                partition: 0,
                current_leader_epoch: current,
                leader_epoch: epoch,
            }],
        }],
    };
    let mut answer = client.ask(4, &request).await;
    answer.topics.remove(0).partitions.remove(0)
}

/// What Fetch, ListOffsets and OffsetForLeaderEpoch say to a client that believes in this epoch.
async fn heard(client: &mut Client, current: i32) -> [ErrorCode; 3] {
    let mut fetch = fetch_request("t", &[(0, 0)]);
    fetch.topics[0].partitions[0].current_leader_epoch = current;
    let fetched = client.ask(12, &fetch).await;
    let mut list = offsets_request("t", 0, LATEST);
    list.topics[0].partitions[0].current_leader_epoch = current;
    let listed = client.ask(7, &list).await;
    [
        fetched.responses[0].partitions[0].error_code,
        listed.topics[0].partitions[0].error_code,
        end_of(client, current, current).await.error_code,
    ]
}

/// Whether this node leads in this term, as it says.
async fn leads(trio: &Trio, node: i32, term: i32) -> bool {
    let led = trio.led(node, "t").await.remove(0);
    (led.leader_id, led.leader_epoch) == (node, term)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_of_an_earlier_leader_are_told_so_by_the_next_one() {
    let mut trio = Trio::start().await;
    create(&mut trio.client(1).await, "t", 1, 3).await;
    assert_eq!(trio.produce(1, "t", 0, &["a", "b"]).await, 0);
    let before = trio.led(1, "t").await.remove(0);
    let (first, old) = (before.leader_id, before.leader_epoch);
    trio.stop(first).await;
    let others: Vec<_> = NODES.into_iter().filter(|node| *node != first).collect();
    assert_eq!(trio.produce(others[0], "t", 0, &["c"]).await, 2);
    // Once more where somebody else leads before all is asked.
    let asking = async {
        loop {
            let now = trio.led(others[0], "t").await.remove(0);
            let (leader, new) = (now.leader_id, now.leader_epoch);
            assert!(leader != first && new > old, "{before:?}, {now:?}");
            let mut client = trio.client(leader).await;
            let mut heard_there = Vec::new();
            let mut ends = Vec::new();
            for epoch in [new, old, new + 1] {
                heard_there.push(heard(&mut client, epoch).await);
                let end = end_of(&mut client, new, epoch).await;
                ends.push((end.error_code, end.leader_epoch, end.end_offset));
            }
            let follower = others.iter().find(|node| **node != leader);
            let mut client = trio.client(*follower.expect("two are there")).await;
            let refused = client.produce("t", 0, batch(&["x"])).await.error_code;
            let heard_elsewhere = [heard(&mut client, new).await, heard(&mut client, old).await];
            if !leads(&trio, leader, new).await {
                continue;
            }
            let none = ErrorCode::NONE;
            let fenced = ErrorCode::FENCED_LEADER_EPOCH;
            let unknown = ErrorCode::UNKNOWN_LEADER_EPOCH;
            assert_eq!(heard_there, [[none; 3], [fenced; 3], [unknown; 3]]);
            // What was written under the old one is there, as far as it was confirmed.
            assert_eq!(ends, [(none, new, 3), (none, old, 2), (none, -1, -1)]);
            let elsewhere = ErrorCode::NOT_LEADER_OR_FOLLOWER;
            assert_eq!(refused, elsewhere);
            assert_eq!(heard_elsewhere, [[elsewhere; 3], [fenced; 3]]);
            return;
        }
    };
    in_time("the answers of one term", asking).await;
    trio.stop_all().await;
}
