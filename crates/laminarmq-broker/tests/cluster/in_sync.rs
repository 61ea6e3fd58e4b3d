//! Which replicas are in sync: what every node says of it, and what `acks=all` makes of it.

use crate::common::{self, batch, create_request, in_time, produce_request};
use crate::{NODES, Trio, pause};
use laminarmq_kafka::ErrorCode;

impl Trio {
    /// Waits until each of these nodes says that these replicas of the topic's partition are in sync, and these on
    /// nodes that are away.
    async fn until_in_sync(&self, asked: &[i32], topic: &str, in_sync: &[i32], away: &[i32]) {
        for asked in asked {
            let waiting = async {
                loop {
                    let mut partition = self.led(*asked, topic).await.remove(0);
                    partition.isr_nodes.sort_unstable();
                    if partition.isr_nodes == in_sync && partition.offline_replicas == away {
                        return;
                    }
                    pause().await;
                }
            };
            in_time("the replicas in sync", waiting).await;
        }
    }
}

/// What the partition's leader says to a batch, wherever that is by now.
async fn produce(trio: &Trio, topic: &str, acks: i16) -> ErrorCode {
    let request = produce_request(topic, &[(0, batch(&["x"]))], acks);
    let trying = async {
        loop {
            let leader = trio.led(1, topic).await[0].leader_id;
            let answer = trio.client(leader).await.ask(9, &request).await;
            match answer.responses[0].partition_responses[0].error_code {
                ErrorCode::NOT_LEADER_OR_FOLLOWER => pause().await,
                code => return code,
            }
        }
    };
    in_time("a produce", trying).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_nodes_say_who_is_in_sync_and_acks_all_goes_by_it() {
    let mut trio = Trio::start().await;
    for (topic, min) in [("all", "3"), ("two", "2")] {
        let mut client = trio.client(1).await;
        client
            .create(topic, 1, &[("min.insync.replicas", min)])
            .await;
        trio.until_in_sync(&NODES, topic, &NODES, &[]).await;
        assert_eq!(trio.produce(1, topic, 0, &["a"]).await, 0);
    }
    let refused = create_request("four", 1, &[("min.insync.replicas", "4")]);
    let refused = trio.client(1).await.ask(7, &refused).await;
    assert_eq!(refused.topics[0].error_code, ErrorCode::INVALID_CONFIG);

    trio.stop(3).await;
    for topic in ["all", "two"] {
        trio.until_in_sync(&[1, 2], topic, &[1, 2], &[3]).await;
    }
    let too_few = ErrorCode::NOT_ENOUGH_REPLICAS;
    assert_eq!(produce(&trio, "all", -1).await, too_few);
    assert_eq!(produce(&trio, "all", 1).await, ErrorCode::NONE);
    assert_eq!(trio.produce(1, "two", 0, &["b"]).await, 1);
    let leader = trio.led(1, "all").await[0].leader_id;
    let http = trio.running[&leader].http_addr().expect("it has one");
    let page = common::http::get(http, "/metrics").await.body;
    let short = r#"laminarmq_partition_under_min_in_sync{topic="all",partition="0"} 1"#;
    assert!(page.contains(short), "{page}");

    trio.start_nodes(&[3]).await;
    trio.until_in_sync(&NODES, "all", &NODES, &[]).await;
    assert!(trio.produce(3, "all", 0, &["c"]).await >= 1);
    trio.stop_all().await;
}
