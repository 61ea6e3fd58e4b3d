//! Three nodes in this process, on real links: who leads, where clients are sent, and what survives.

#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;
#[path = "cluster/fencing.rs"]
mod fencing;
#[path = "cluster/in_sync.rs"]
mod in_sync;
#[path = "cluster/links.rs"]
mod links;
#[path = "cluster/unheard.rs"]
mod unheard;

use common::{Client, batch, config, in_time, stop};
use laminarmq_broker::{Broker, ClusterConfig, HostPort, Member, NodeId, Running};
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use laminarmq_kafka::messages::metadata::{MetadataRequestTopic, MetadataResponsePartition};
use laminarmq_kafka::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use laminarmq_kafka::messages::offset_fetch::OffsetFetchRequestTopic;
use laminarmq_kafka::messages::{
    CreateTopicsRequest, FindCoordinatorRequest, MetadataRequest, OffsetCommitRequest,
    OffsetFetchRequest,
};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use tempfile::TempDir;

const NODES: [i32; 3] = [1, 2, 3];

struct Trio {
    peers: Vec<HostPort>,
    /// Where a node reaches another one, if not there.
    links: BTreeMap<(i32, i32), links::Link>,
    dirs: Vec<TempDir>,
    running: BTreeMap<i32, Running>,
}

/// Addresses that nobody had a moment ago.
fn free_addresses(count: usize) -> Vec<HostPort> {
    let taken: Vec<_> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let address = |socket: &TcpListener| socket.local_addr().unwrap().to_string();
    taken
        .iter()
        .map(|socket| address(socket).parse().unwrap())
        .collect()
}

impl Trio {
    async fn start() -> Self {
        Self::start_on(free_addresses(NODES.len() * 2), BTreeMap::new()).await
    }

    async fn start_on(peers: Vec<HostPort>, links: BTreeMap<(i32, i32), links::Link>) -> Self {
        let mut trio = Self {
            peers,
            links,
            dirs: NODES.iter().map(|_| tempfile::tempdir().unwrap()).collect(),
            running: BTreeMap::new(),
        };
        trio.start_nodes(&NODES).await;
        trio
    }

    fn place(node: i32) -> usize {
        NODES.iter().position(|other| *other == node).unwrap()
    }

    async fn start_nodes(&mut self, nodes: &[i32]) {
        let starting: Vec<_> = nodes
            .iter()
            .map(|node| (*node, tokio::spawn(Broker::start(self.config(*node)))))
            .collect();
        for (node, starting) in starting {
            let started = in_time("the start", starting).await.unwrap();
            self.running.insert(node, started.expect("the node starts"));
        }
    }

    fn config(&self, node: i32) -> laminarmq_broker::BrokerConfig {
        let place = Self::place(node);
        let mut config = config(self.dirs[place].path());
        config.listen = self.peers[NODES.len() + place].clone();
        config.http = Some("127.0.0.1:0".parse().unwrap());
        let member = |(other, peer): (&i32, &HostPort)| Member {
            node: NodeId::new(*other).unwrap(),
            peer: self
                .links
                .get(&(node, *other))
                .map_or_else(|| peer.clone(), |link| link.address.clone()),
        };
        config.cluster = Some(ClusterConfig {
            node: NodeId::new(node).unwrap(),
            members: NODES.iter().zip(&self.peers).map(member).collect(),
            listen: None,
            default_replication: 3,
            // Each node may have its own addresses of the others, and one test's must not take another's for its own.
            cluster_id: Some(format!("trio-{}", self.peers[0].port)),
        });
        config
    }

    fn address(&self, node: i32) -> SocketAddr {
        self.running[&node].kafka_addr()
    }

    async fn client(&self, node: i32) -> Client {
        Client::connect(self.address(node)).await
    }

    async fn stop(&mut self, node: i32) {
        stop(self.running.remove(&node).unwrap()).await;
    }

    async fn stop_all(mut self) {
        // One after the other would leave the last without a quorum to finish with.
        let stopping: Vec<_> = std::mem::take(&mut self.running)
            .into_values()
            .map(|broker| tokio::spawn(stop(broker)))
            .collect();
        for stopping in stopping {
            stopping.await.unwrap();
        }
    }

    /// What a node says of the partitions of a topic, once all have leaders among the running nodes.
    async fn led(&self, node: i32, topic: &str) -> Vec<MetadataResponsePartition> {
        let mut client = self.client(node).await;
        let looking = async {
            loop {
                let partitions = describe(&mut client, topic).await;
                let is_led =
                    |p: &MetadataResponsePartition| self.running.contains_key(&p.leader_id);
                if !partitions.is_empty() && partitions.iter().all(is_led) {
                    return partitions;
                }
                pause().await;
            }
        };
        in_time("a leader of every partition", looking).await
    }

    /// The coordinator of a group, once it is one of the running nodes.
    async fn coordinator(&self, asked: i32, group: &str) -> i32 {
        let request = FindCoordinatorRequest {
            key: group.to_owned(),
            ..FindCoordinatorRequest::default()
        };
        let looking = async {
            loop {
                let answer = self.client(asked).await.ask(2, &request).await;
                if self.running.contains_key(&answer.node_id) {
                    return answer.node_id;
                }
                pause().await;
            }
        };
        in_time("a coordinator", looking).await
    }

    /// Produces to the partition's leader, wherever that is by now.
    async fn produce(&self, asked: i32, topic: &str, partition: i32, values: &[&str]) -> i64 {
        let trying = async {
            loop {
                let led = self.led(asked, topic).await;
                let leader = led[usize::try_from(partition).unwrap()].leader_id;
                let mut client = self.client(leader).await;
                let answer = client.produce(topic, partition, batch(values)).await;
                match answer.error_code {
                    ErrorCode::NONE => return answer.base_offset,
                    // A new leader may not have heard of enough others yet.
                    ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::NOT_ENOUGH_REPLICAS => {
                        pause().await;
                    }
                    other => panic!("{other}"),
                }
            }
        };
        in_time("a produce", trying).await
    }

    /// Waits until the leaders of all partitions say that all their replicas are there.
    async fn until_whole(&self) {
        let waiting = async {
            for running in self.running.values() {
                let http = running.http_addr().unwrap();
                let mut before = Vec::new();
                loop {
                    let page = common::http::get(http, "/metrics").await.body;
                    let short = short(&page);
                    if short.is_empty() {
                        break;
                    }
                    if short != before {
                        println!("{short:?}");
                    }
                    before = short;
                    pause().await;
                }
            }
        };
        in_time("all replicas", waiting).await;
    }

    /// All values of a partition, from its leader.
    async fn read(&self, asked: i32, topic: &str, partition: i32, count: usize) -> Vec<String> {
        let reading = async {
            loop {
                let led = self.led(asked, topic).await;
                let leader = led[usize::try_from(partition).unwrap()].leader_id;
                let mut client = self.client(leader).await;
                let read = client.fetch(topic, partition, 0).await;
                if read.error_code == ErrorCode::NONE {
                    let values = common::values(&read);
                    if values.len() >= count {
                        return values;
                    }
                }
                pause().await;
            }
        };
        in_time("a read", reading).await
    }
}

/// What a page of metrics tells of partitions, or of the metadata, that lack a replica.
fn short(page: &str) -> Vec<String> {
    let is_short = |line: &&str| {
        line.starts_with("kafka_topic_partition_under_replicated_partition{")
            && line.ends_with(" 1")
            || line.starts_with("laminarmq_metadata_replicas_in_sync ") && !line.ends_with(" 3")
    };
    let short = page.lines().filter(is_short);
    short.map(str::to_owned).collect()
}

#[expect(clippy::disallowed_methods, reason = "the pace of asking again")]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

async fn describe(client: &mut Client, topic: &str) -> Vec<MetadataResponsePartition> {
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(topic.to_owned()),
            ..MetadataRequestTopic::default()
        }]),
        ..MetadataRequest::default()
    };
    let mut answer = client.ask(9, &request).await;
    answer.topics.remove(0).partitions
}

async fn create(client: &mut Client, topic: &str, partitions: i32, replicas: i16) {
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: topic.to_owned(),
            num_partitions: partitions,
            replication_factor: replicas,
            ..CreatableTopic::default()
        }],
        timeout_ms: 30_000,
        ..CreateTopicsRequest::default()
    };
    let answer = client.ask(7, &request).await;
    assert_eq!(answer.topics[0].error_code, ErrorCode::NONE, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn any_node_makes_a_topic_and_all_know_where_it_is() {
    let trio = Trio::start().await;
    for (number, node) in NODES.into_iter().enumerate() {
        let topic = format!("t{number}");
        create(&mut trio.client(node).await, &topic, 4, 3).await;
        let mut seen = Vec::new();
        for asked in NODES {
            let led = trio.led(asked, &topic).await;
            for partition in &led {
                let mut nodes = partition.replica_nodes.clone();
                nodes.sort_unstable();
                assert_eq!(nodes, NODES);
            }
            seen.push(led.iter().map(|p| p.leader_id).collect::<Vec<_>>());
        }
        assert_eq!(seen[0].len(), 4);
    }
    let mut client = trio.client(1).await;
    let all = client
        .ask(
            9,
            &MetadataRequest {
                topics: Some(vec![]),
                ..MetadataRequest::default()
            },
        )
        .await;
    let mut brokers: Vec<_> = all.brokers.iter().map(|b| (b.node_id, b.port)).collect();
    brokers.sort_unstable();
    let real = NODES.map(|node| (node, i32::from(trio.address(node).port())));
    assert_eq!(brokers, real);
    trio.stop_all().await;
}

/// By chance this is so for one topic in seven hundred; on a machine that is busy a node may be too late for its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn new_partitions_are_led_by_the_first_of_their_nodes() {
    let trio = Trio::start().await;
    let mut client = trio.client(1).await;
    let mut leads_first = false;
    for number in 0..5 {
        let topic = format!("t{number}");
        create(&mut client, &topic, 6, 3).await;
        let led = trio.led(1, &topic).await;
        leads_first = led.iter().all(|p| p.replica_nodes[0] == p.leader_id);
        let led: Vec<_> = led
            .iter()
            .map(|p| (&p.replica_nodes, p.leader_id))
            .collect();
        println!("{led:?}");
        if leads_first {
            break;
        }
    }
    assert!(leads_first);
    trio.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_survives_the_loss_of_each_node_in_turn() {
    let mut trio = Trio::start().await;
    create(&mut trio.client(2).await, "t", 1, 3).await;
    assert_eq!(trio.produce(1, "t", 0, &["a", "b"]).await, 0);
    let mut expected = vec!["a".to_owned(), "b".to_owned()];
    for gone in NODES {
        trio.stop(gone).await;
        let asked = if gone == 1 { 2 } else { 1 };
        let value = format!("without {gone}");
        let base = trio.produce(asked, "t", 0, &[&value]).await;
        assert_eq!(base, i64::try_from(expected.len()).unwrap());
        expected.push(value);
        assert_eq!(trio.read(asked, "t", 0, expected.len()).await, expected);
        trio.start_nodes(&[gone]).await;
    }
    trio.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_does_not_hold_a_partition_sends_its_clients_to_who_does() {
    let trio = Trio::start().await;
    create(&mut trio.client(1).await, "few", 6, 1).await;
    for asked in NODES {
        let led = trio.led(asked, "few").await;
        for (number, partition) in (0..).zip(&led) {
            assert_eq!(partition.replica_nodes, [partition.leader_id]);
            let mut client = trio.client(asked).await;
            let answer = client.produce("few", number, batch(&["x"])).await;
            let right = partition.leader_id == asked;
            let expected = if right {
                ErrorCode::NONE
            } else {
                ErrorCode::NOT_LEADER_OR_FOLLOWER
            };
            assert_eq!(answer.error_code, expected);
        }
    }
    trio.stop_all().await;
}

/// A node that lost its directory comes back as another replica, twice, and has what the others have: then each of
/// those can go. What it had before is not let in any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_whose_directory_was_lost_gets_everything_from_the_others() {
    let mut trio = Trio::start().await;
    create(&mut trio.client(1).await, "t", 2, 3).await;
    create(&mut trio.client(1).await, "alone", 24, 1).await;
    trio.produce(1, "t", 0, &["a"]).await;
    let mut expected = vec!["a".to_owned()];
    let mut lost = Vec::new();
    let mut epoch = 0;
    for round in 0..2 {
        trio.stop(3).await;
        let place = Trio::place(3);
        let empty = tempfile::tempdir().unwrap();
        lost.push(std::mem::replace(&mut trio.dirs[place], empty));
        let value = format!("while it was away {round}");
        trio.produce(1, "t", 0, &[&value]).await;
        expected.push(value);
        trio.start_nodes(&[3]).await;
        // What only that node had begins anew, and the groups that are made now have its new replica.
        let led = trio.led(3, "alone").await;
        let alone = led.iter().position(|p| p.leader_id == 3).unwrap();
        // Clients take no leader epoch that is lower than the last one.
        assert!(led[alone].leader_epoch > epoch, "{led:?}");
        epoch = led[alone].leader_epoch;
        let alone = i32::try_from(alone).unwrap();
        assert_eq!(trio.produce(3, "alone", alone, &["x"]).await, 0);
        create(&mut trio.client(3).await, &format!("new-{round}"), 1, 3).await;
        trio.until_whole().await;
    }
    // Only now: without that node two of three would be gone.
    let told = trio.led(1, "alone").await;
    assert!(
        told.iter()
            .any(|p| p.leader_id == 3 && p.leader_epoch == epoch),
        "{told:?}"
    );
    for gone in [1, 2] {
        trio.stop(gone).await;
        let value = format!("without {gone}");
        trio.produce(3, "t", 0, &[&value]).await;
        expected.push(value);
        assert_eq!(trio.read(3, "t", 0, expected.len()).await, expected);
        trio.start_nodes(&[gone]).await;
        trio.until_whole().await;
    }
    trio.stop(3).await;
    for old in lost {
        let place = Trio::place(3);
        let present = std::mem::replace(&mut trio.dirs[place], old);
        let refused = in_time("the start", Broker::start(trio.config(3))).await;
        let error = refused.expect_err("it was replaced").to_string();
        assert!(error.contains("counts for nothing any more"), "{error}");
        trio.dirs[place] = present;
    }
    trio.start_nodes(&[3]).await;
    assert_eq!(trio.read(3, "t", 0, expected.len()).await, expected);
    trio.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn committed_offsets_outlive_the_node_that_took_them() {
    let mut trio = Trio::start().await;
    create(&mut trio.client(1).await, "t", 1, 3).await;
    let commit = OffsetCommitRequest {
        group_id: "g".to_owned(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![OffsetCommitRequestPartition {
                committed_offset: 42,
                ..OffsetCommitRequestPartition::default()
            }],
        }],
        ..OffsetCommitRequest::default()
    };
    // On a busy machine its leadership may move on before it is used.
    let committing = async {
        loop {
            let first = trio.coordinator(1, "g").await;
            let answer = trio.client(first).await.ask(8, &commit).await;
            if answer.topics[0].partitions[0].error_code == ErrorCode::NONE {
                return first;
            }
            pause().await;
        }
    };
    let first = in_time("a commit", committing).await;
    let elsewhere = NODES.into_iter().find(|node| *node != first).unwrap();
    let answer = trio.client(elsewhere).await.ask(8, &commit).await;
    let code = answer.topics[0].partitions[0].error_code;
    assert_eq!(
        code,
        ErrorCode::NOT_COORDINATOR,
        "only its coordinator decides"
    );

    trio.stop(first).await;
    let fetch = OffsetFetchRequest {
        group_id: "g".to_owned(),
        topics: Some(vec![OffsetFetchRequestTopic {
            name: "t".to_owned(),
            partition_indexes: vec![0],
        }]),
        ..OffsetFetchRequest::default()
    };
    let fetching = async {
        loop {
            let now = trio.coordinator(elsewhere, "g").await;
            let answer = trio.client(now).await.ask(5, &fetch).await;
            if answer.error_code == ErrorCode::NONE {
                return answer.topics[0].partitions[0].committed_offset;
            }
            pause().await;
        }
    };
    assert_eq!(in_time("the offset", fetching).await, 42);
    trio.stop_all().await;
}

/// What a crash of the machine takes from a node that only writes: the end of each log, down to `bytes`.
fn crash_machine(dir: &std::path::Path, partition: &str, bytes: u64) {
    let folder = dir.join("topics").join(partition);
    let log = folder.join("00000000000000000001.log");
    let file = std::fs::OpenOptions::new().write(true).open(log).unwrap();
    assert!(file.metadata().unwrap().len() > bytes);
    file.set_len(bytes).unwrap();
    // It says that what it names is synced, as it was when the broker stopped.
    std::fs::remove_file(folder.join("00000000000000000001.index")).unwrap();
    let boot = dir.join("boot.json");
    let record = std::fs::read_to_string(&boot).unwrap();
    assert!(record.contains("\"clean\": true"), "{record}");
    let before = r#"{"version": 1, "boot_id": "of another start", "clean": false}"#;
    std::fs::write(boot, before).unwrap();
}

/// With `flush=os`: what it acknowledged comes back from the others, and that is put on record only then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_whose_machine_crashed_gets_back_what_was_not_synced() {
    let mut trio = Trio::start().await;
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: "t".to_owned(),
            num_partitions: 1,
            replication_factor: 3,
            configs: vec![CreatableTopicConfig {
                name: "flush".to_owned(),
                value: Some("os".to_owned()),
            }],
            ..CreatableTopic::default()
        }],
        timeout_ms: 30_000,
        ..CreateTopicsRequest::default()
    };
    let answer = trio.client(1).await.ask(7, &request).await;
    assert_eq!(answer.topics[0].error_code, ErrorCode::NONE, "{answer:?}");
    let mut expected = Vec::new();
    for number in 0..20 {
        let value = number.to_string();
        trio.produce(1, "t", 0, &[&value]).await;
        expected.push(value);
    }
    trio.until_whole().await;
    // One that follows: its leader goes on, and counts on what is gone.
    let leader = trio.led(1, "t").await[0].leader_id;
    let crashed = NODES.into_iter().find(|node| *node != leader).unwrap();
    let place = Trio::place(crashed);
    // As it was on disk: what is known to be committed is saved now and then only.
    let state = trio.dirs[place].path().join("raft-state");
    let saved = std::fs::read(&state).unwrap();
    trio.stop(crashed).await;
    std::fs::write(&state, saved).unwrap();
    crash_machine(trio.dirs[place].path(), "t-0", 300);
    trio.start_nodes(&[crashed]).await;
    trio.until_whole().await;
    let boot = trio.dirs[place].path().join("boot.json");
    let settled = async {
        while std::fs::read_to_string(&boot).unwrap().contains("another") {
            pause().await;
        }
    };
    in_time("the record", settled).await;
    // It has everything: with it alone the others can be done without in turn.
    for gone in NODES.into_iter().filter(|node| *node != crashed) {
        trio.stop(gone).await;
        let value = format!("without {gone}");
        trio.produce(crashed, "t", 0, &[&value]).await;
        expected.push(value);
        assert_eq!(trio.read(crashed, "t", 0, expected.len()).await, expected);
        trio.start_nodes(&[gone]).await;
        trio.until_whole().await;
    }
    trio.stop_all().await;
}
