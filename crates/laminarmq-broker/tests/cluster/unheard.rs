//! What a node says to clients that does not hear of the leaders.

use super::links::Link;
use super::*;
use laminarmq_kafka::messages::MetadataResponse;

async fn metadata(trio: &Trio, node: i32, topic: &str) -> MetadataResponse {
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(topic.to_owned()),
            ..MetadataRequestTopic::default()
        }]),
        ..MetadataRequest::default()
    };
    trio.client(node).await.ask(9, &request).await
}

fn leaders(answer: &MetadataResponse) -> Vec<i32> {
    answer.topics[0]
        .partitions
        .iter()
        .map(|p| p.leader_id)
        .collect()
}

/// A client with connections to it alone would ask it again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_is_cut_off_sends_clients_to_the_others() {
    let mut trio = Trio::start().await;
    create(&mut trio.client(1).await, "t", 3, 3).await;
    let led = trio.led(1, "t").await;
    let left = led[0].leader_id;
    let others: Vec<_> = NODES.into_iter().filter(|node| *node != left).collect();
    let away = others.iter().map(|node| trio.running.remove(node).unwrap());
    let stopping: Vec<_> = away.map(|broker| tokio::spawn(stop(broker))).collect();
    for stopping in stopping {
        stopping.await.unwrap();
    }
    let alone = async {
        loop {
            let answer = metadata(&trio, left, "t").await;
            let named: Vec<_> = answer.brokers.iter().map(|broker| broker.node_id).collect();
            if !named.contains(&left) && !leaders(&answer).contains(&left) {
                return named.len();
            }
            pause().await;
        }
    };
    assert_eq!(in_time("the others' names", alone).await, 2);
    // They come back, and so does it.
    trio.start_nodes(&others).await;
    trio.led(left, "t").await;
    let whole = async {
        while metadata(&trio, left, "t").await.brokers.len() < 3 {
            pause().await;
        }
    };
    in_time("all names", whole).await;
    trio.stop_all().await;
}

/// Of three nodes the links between two are cut, and the one between them tells one who leads: the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_does_not_hear_of_a_leader_asks_the_others() {
    let peers = free_addresses(NODES.len() * 2);
    let mut links = BTreeMap::new();
    for from in NODES {
        for to in NODES.into_iter().filter(|to| *to != from) {
            links.insert((from, to), Link::to(peers[Trio::place(to)].clone()).await);
        }
    }
    let mut trio = Trio::start_on(peers, links).await;
    // Who decides about metadata has to stay in reach of all.
    let between = trio
        .client(1)
        .await
        .ask(9, &MetadataRequest::default())
        .await;
    let between = between.controller_id;
    let mut others = NODES.into_iter().filter(|node| *node != between);
    let [leads, deaf] = [others.next().unwrap(), others.next().unwrap()];
    let mut client = trio.client(1).await;
    let mut number = 0;
    let topic = loop {
        let topic = format!("t{number}");
        create(&mut client, &topic, 6, 3).await;
        let led = trio.led(1, &topic).await;
        if led.iter().any(|p| p.leader_id == leads) {
            break topic;
        }
        number += 1;
    };
    trio.stop(deaf).await;
    for pair in [(leads, deaf), (deaf, leads)] {
        trio.links[&pair].cut();
    }
    trio.start_nodes(&[deaf]).await;
    let heard = async {
        loop {
            let told = leaders(&metadata(&trio, deaf, &topic).await);
            let real = leaders(&metadata(&trio, leads, &topic).await);
            if told == real && real.contains(&leads) {
                return;
            }
            pause().await;
        }
    };
    in_time("the leaders, from the node between", heard).await;
    trio.stop_all().await;
}
