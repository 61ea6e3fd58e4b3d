use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use laminarmq_kafka::{ApiKey, ErrorCode};

use super::heartbeat::Heart;
use super::member::Generation;
use super::protocol::{TopicPartitions, decode_assignment, encode_assignment, encode_subscription};
use super::*;
use crate::client::fake_broker::{FakeBroker, Fault};
use crate::client::{Client, ClientError, ClientOptions};

const GROUP: &str = "g";
const TOPIC: &str = "t";
/// Partitions of the topic.
const PARTITIONS: usize = 3;

async fn start() -> (FakeBroker, Client) {
    let broker = FakeBroker::start(&[(TOPIC, PARTITIONS), ("u", 1)]).await;
    let client = Client::connect(&[broker.address()], ClientOptions::default()).await;
    (broker, client.expect("connects"))
}

fn code_of<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Option<ErrorCode> {
    result.expect_err("refused").code()
}

fn offsets(offsets: &[(i32, i64)]) -> BTreeMap<i32, i64> {
    offsets.iter().copied().collect()
}

fn in_topic(partitions: &[(i32, i64)]) -> TopicOffsets {
    TopicOffsets::from([(String::from(TOPIC), offsets(partitions))])
}

#[tokio::test]
async fn a_member_alone_gets_all_partitions_and_leaves() {
    let (broker, client) = start().await;
    let mut member = Member::new(&client, GROUP, TOPIC);
    assert_eq!(member.join().await.expect("joined"), [0, 1, 2]);
    // Once without an id, once with the one that it got.
    assert_eq!(broker.count(ApiKey::JoinGroup), 2);
    assert_eq!(broker.group(GROUP, |group| group.members.len()), 1);
    member.leave().await;
    assert_eq!(broker.group(GROUP, |group| group.members.len()), 0);
}

#[tokio::test]
async fn old_brokers_are_spoken_to_in_their_versions() {
    let (broker, client) = start().await;
    for (api, version) in [
        (ApiKey::FindCoordinator, 3),
        (ApiKey::JoinGroup, 3),
        (ApiKey::SyncGroup, 2),
        (ApiKey::Heartbeat, 2),
        (ApiKey::LeaveGroup, 2),
        (ApiKey::OffsetCommit, 2),
        (ApiKey::OffsetFetch, 7),
        (ApiKey::DescribeGroups, 0),
        (ApiKey::ListGroups, 0),
        (ApiKey::DeleteGroups, 0),
        (ApiKey::DescribeCluster, -1),
    ] {
        broker.speak_at_most(api, version);
    }
    // Connections that were opened before know the other versions.
    let client_of = Client::connect(&[broker.address()], client.options().clone()).await;
    let client = client_of.expect("connects");
    let mut member = Member::new(&client, GROUP, TOPIC);
    assert_eq!(member.join().await.expect("joined"), [0, 1, 2]);
    assert_eq!(broker.count(ApiKey::JoinGroup), 1);
    member.commit(&offsets(&[(1, 5)])).await.expect("kept");
    let committed = member.committed(&[0, 1]).await.expect("told");
    assert_eq!(committed, offsets(&[(1, 5)]));
    let listed = client.groups().await.expect("listed");
    assert_eq!((listed.len(), listed[0].coordinator), (1, 1));
    member.leave().await;
    assert_eq!(broker.group(GROUP, |group| group.members.len()), 0);
    let coordinator = Coordinator::of(&client, GROUP);
    assert_eq!(
        coordinator.committed(None).await.expect("told"),
        in_topic(&[(1, 5)])
    );
    coordinator.describe().await.expect("described");
    coordinator.delete().await.expect("deleted");
}

#[tokio::test]
async fn a_leader_gives_every_member_its_share() {
    let (broker, client) = start().await;
    for protocol in ["range", "roundrobin"] {
        broker.group(GROUP, |group| {
            group.protocol = Some(String::from(protocol));
            let other = String::from("other");
            group
                .members
                .insert(other, encode_subscription(&[TOPIC, "u", "gone"]));
            group
                .members
                .insert(String::from("odd"), bytes::Bytes::from_static(b"\xff"));
        });
        let mut member = Member::new(&client, GROUP, TOPIC);
        let ours = member.join().await.expect("joined");
        let shares = broker.group(GROUP, |group| group.assignments.clone());
        let other = decode_assignment(&shares["other"]).expect("whole");
        assert_eq!(other["u"], [0]);
        assert_eq!(
            decode_assignment(&shares["odd"]),
            Ok(TopicPartitions::new())
        );
        let mut all = [ours, other[TOPIC].clone()].concat();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2], "{protocol}");
        member.leave().await;
    }
}

#[tokio::test]
async fn whoever_does_not_lead_takes_what_the_leader_gave() {
    let (broker, client) = start().await;
    let other = TopicPartitions::from([(String::from("u"), vec![0])]);
    let share = TopicPartitions::from([(String::from(TOPIC), vec![2, 0, 2])]);
    for (share, want) in [
        (encode_assignment(&share), vec![0, 2]),
        (encode_assignment(&other), vec![]),
        (bytes::Bytes::new(), vec![]),
    ] {
        broker.group(GROUP, |group| {
            group.leader = Some(String::from("other"));
            group.assignments.insert(String::from("member-0"), share);
        });
        let mut member = Member::new(&client, GROUP, TOPIC);
        assert_eq!(member.join().await.expect("joined"), want);
        member.leave().await;
    }
}

#[tokio::test]
async fn trouble_on_the_way_is_overcome() {
    let (broker, client) = start().await;
    for (api, fault) in [
        (
            ApiKey::FindCoordinator,
            Fault::Refuse(ErrorCode::COORDINATOR_NOT_AVAILABLE),
        ),
        (ApiKey::JoinGroup, Fault::Refuse(ErrorCode::NOT_COORDINATOR)),
        (ApiKey::JoinGroup, Fault::DropAnswer),
        (
            ApiKey::SyncGroup,
            Fault::Refuse(ErrorCode::REBALANCE_IN_PROGRESS),
        ),
        (ApiKey::SyncGroup, Fault::DropAnswer),
        (
            ApiKey::OffsetFetch,
            Fault::Refuse(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
        ),
        (
            ApiKey::OffsetCommit,
            Fault::Refuse(ErrorCode::NOT_COORDINATOR),
        ),
        (ApiKey::OffsetCommit, Fault::DropAnswer),
    ] {
        broker.fault(api, fault);
    }
    let mut member = Member::new(&client, GROUP, TOPIC);
    assert_eq!(member.join().await.expect("joined"), [0, 1, 2]);
    member.commit(&offsets(&[(0, 7)])).await.expect("kept");
    let committed = member.committed(&[0, 1, 2]).await.expect("told");
    assert_eq!(committed, offsets(&[(0, 7)]));
}

#[tokio::test]
async fn a_coordinator_that_moves_is_followed() {
    let (broker, client) = start().await;
    let mut member = Member::new(&client, GROUP, TOPIC);
    member.join().await.expect("joined");
    member.commit(&offsets(&[(0, 6)])).await.expect("kept");
    let mut heart = heart(&broker, &client, &[]).await;
    heart.generation.number = 1;
    heart.coordinator.committed(None).await.expect("told");
    broker.move_coordinator();
    member.commit(&offsets(&[(0, 7)])).await.expect("kept");
    assert_eq!(member.join().await.expect("joined"), [0, 1, 2]);
    heart.generation.number = 2;
    heart.session_timeout = Duration::from_secs(3600);
    let mut heartbeats = Heartbeats::start(heart);
    while broker.group(GROUP, |group| group.heartbeats) < 3 {
        assert!(broker.count(ApiKey::Heartbeat) < 100, "never welcome");
        tokio::select! {
            ended = heartbeats.ended() => panic!("ended with {ended:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    member.leave().await;
}

#[tokio::test]
async fn a_member_that_was_forgotten_joins_as_a_new_one() {
    let (broker, client) = start().await;
    let mut member = Member::new(&client, GROUP, TOPIC);
    member.join().await.expect("joined");
    broker.group(GROUP, |group| group.evict_all());
    let commit = member.commit(&offsets(&[(0, 7)])).await;
    assert_eq!(code_of(commit), Some(ErrorCode::UNKNOWN_MEMBER_ID));
    assert_eq!(member.join().await.expect("joined"), [0, 1, 2]);
    member.commit(&offsets(&[(0, 7)])).await.expect("kept");
}

#[tokio::test]
async fn what_no_attempt_can_change_is_told() {
    let (broker, client) = start().await;
    for code in [
        ErrorCode::GROUP_MAX_SIZE_REACHED,
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        ErrorCode::INVALID_GROUP_ID,
    ] {
        broker.fault(ApiKey::JoinGroup, Fault::Refuse(code));
        let mut member = Member::new(&client, GROUP, TOPIC);
        assert_eq!(code_of(member.join().await), Some(code));
        member.leave().await;
    }
    // Nobody had an id to leave with.
    assert_eq!(broker.count(ApiKey::LeaveGroup), 0);
    broker.group(GROUP, |group| group.protocol = Some(String::from("sticky")));
    let mut member = Member::new(&client, GROUP, TOPIC);
    let code = code_of(member.join().await);
    assert_eq!(code, Some(ErrorCode::INCONSISTENT_GROUP_PROTOCOL));
}

#[tokio::test]
async fn commits_of_an_earlier_generation_are_refused() {
    let (broker, client) = start().await;
    let mut member = Member::new(&client, GROUP, TOPIC);
    member.join().await.expect("joined");
    broker.group(GROUP, |group| group.generation += 1);
    let commit = member.commit(&offsets(&[(0, 7)])).await;
    assert_eq!(code_of(commit), Some(ErrorCode::ILLEGAL_GENERATION));
    assert!(broker.group(GROUP, |group| group.offsets.is_empty()));
}

/// A heart that beats at once, in the group's generation or another.
async fn heart(broker: &FakeBroker, client: &Client, counts: &[(&str, i32)]) -> Heart {
    broker.group(GROUP, |group| {
        group.members.insert(String::from("m"), bytes::Bytes::new());
    });
    let counts = counts
        .iter()
        .map(|(topic, count)| ((*topic).to_owned(), *count));
    Heart {
        client: client.clone(),
        coordinator: Arc::new(Coordinator::of(client, GROUP)),
        member: String::from("m"),
        generation: Generation {
            number: 0,
            counts: counts.collect(),
        },
        interval: Duration::from_millis(1),
        session_timeout: Duration::from_secs(60),
    }
}

#[tokio::test]
async fn heartbeats_go_on_through_trouble_until_the_generation_is_over() {
    let (broker, client) = start().await;
    for code in [
        ErrorCode::REBALANCE_IN_PROGRESS,
        ErrorCode::ILLEGAL_GENERATION,
        ErrorCode::UNKNOWN_MEMBER_ID,
    ] {
        let before = broker.count(ApiKey::Heartbeat);
        for fault in [
            Fault::DropAnswer,
            Fault::Refuse(ErrorCode::NOT_COORDINATOR),
            Fault::Refuse(ErrorCode::NONE),
            Fault::Refuse(code),
        ] {
            broker.fault(ApiKey::Heartbeat, fault);
        }
        let mut heartbeats = Heartbeats::start(heart(&broker, &client, &[]).await);
        heartbeats.ended().await.expect("to join again");
        assert_eq!(broker.count(ApiKey::Heartbeat) - before, 4, "{code}");
    }
}

#[tokio::test]
async fn a_silent_coordinator_ends_the_generation_after_the_session() {
    let (broker, client) = start().await;
    broker.fault(ApiKey::Heartbeat, Fault::DropAnswer);
    let mut heart = heart(&broker, &client, &[]).await;
    heart.session_timeout = Duration::ZERO;
    let mut heartbeats = Heartbeats::start(heart);
    heartbeats.ended().await.expect("to join again");
    assert_eq!(broker.count(ApiKey::Heartbeat), 1);
}

#[tokio::test]
async fn a_refusal_for_good_ends_the_reading() {
    let (broker, client) = start().await;
    let code = ErrorCode::GROUP_AUTHORIZATION_FAILED;
    broker.fault(ApiKey::Heartbeat, Fault::Refuse(code));
    let mut heartbeats = Heartbeats::start(heart(&broker, &client, &[]).await);
    assert_eq!(code_of(heartbeats.ended().await), Some(code));
}

#[tokio::test]
async fn a_leader_joins_again_when_there_are_more_partitions() {
    let (broker, client) = start().await;
    let count = i32::try_from(PARTITIONS).expect("few");
    broker.add_partition(TOPIC);
    let counts = [(TOPIC, count), ("u", 1)];
    let mut heartbeats = Heartbeats::start(heart(&broker, &client, &counts).await);
    heartbeats.ended().await.expect("to join again");
    // Where nothing changed, only the coordinator ends it.
    let before = broker.count(ApiKey::Metadata);
    let counts = [(TOPIC, count + 1), ("u", 1)];
    let mut heartbeats = Heartbeats::start(heart(&broker, &client, &counts).await);
    while broker.count(ApiKey::Metadata) < before + 4 {
        tokio::select! {
            ended = heartbeats.ended() => panic!("ended with {ended:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
}

#[tokio::test]
async fn an_outsider_commits_only_while_there_are_no_members() {
    let (broker, client) = start().await;
    let coordinator = Coordinator::of(&client, GROUP);
    assert_eq!(
        coordinator.committed(None).await.expect("told"),
        TopicOffsets::new()
    );
    let mut member = Member::new(&client, GROUP, TOPIC);
    member.join().await.expect("joined");
    let wanted = in_topic(&[(0, 3), (2, 9)]);
    let refused = coordinator.commit(&Committer::Outsider, &wanted).await;
    assert!(
        matches!(&refused, Err(ClientError::GroupInUse(group)) if group == GROUP),
        "{refused:?}"
    );
    assert!(broker.group(GROUP, |group| group.offsets.is_empty()));
    member.leave().await;
    let kept = coordinator.commit(&Committer::Outsider, &wanted).await;
    kept.expect("kept");
    assert_eq!(coordinator.committed(None).await.expect("told"), wanted);
    let some = TopicPartitions::from([(String::from(TOPIC), vec![1, 2])]);
    let told = coordinator.committed(Some(&some)).await.expect("told");
    assert_eq!(told, in_topic(&[(2, 9)]));
    coordinator
        .forget_offsets(TOPIC, &[0])
        .await
        .expect("forgotten");
    let told = coordinator.committed(None).await.expect("told");
    assert_eq!(told, in_topic(&[(2, 9)]));
}

#[tokio::test]
async fn groups_are_listed_described_and_deleted() {
    let (broker, client) = start().await;
    broker.group("b", |_| ());
    let mut member = Member::new(&client, "a", TOPIC);
    member.join().await.expect("joined");
    broker.fault(
        ApiKey::ListGroups,
        Fault::Refuse(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
    );
    let listed = client.groups().await.expect("listed");
    let listed = listed
        .iter()
        .map(|group| (group.name.as_str(), group.state.to_string()));
    let want = [("a", String::from("Stable")), ("b", String::from("Empty"))];
    assert_eq!(listed.collect::<Vec<_>>(), want);

    let described = Coordinator::of(&client, "a").describe().await;
    let described = described.expect("described");
    assert_eq!(described.assignor.as_deref(), Some("range"));
    assert_eq!(described.members.len(), 1);
    let reader = &described.members[0];
    assert_eq!(
        (reader.client.as_str(), reader.host.as_str()),
        ("test", "127.0.0.1")
    );
    assert_eq!(reader.assignment[TOPIC], [0, 1, 2]);

    let node = Coordinator::of(&client, "a").node().await.expect("found");
    assert_eq!((node.id, node.address), (1, broker.address()));
    let refused = Coordinator::of(&client, "a").delete().await;
    assert!(
        matches!(refused, Err(ClientError::GroupInUse(_))),
        "{refused:?}"
    );
    Coordinator::of(&client, "b")
        .delete()
        .await
        .expect("deleted");
    for missing in ["b", "c"] {
        let coordinator = Coordinator::of(&client, missing);
        let described = coordinator.describe().await;
        assert!(
            matches!(described, Err(ClientError::NoSuchGroup(_))),
            "{described:?}"
        );
        let deleted = coordinator.delete().await;
        assert!(
            matches!(deleted, Err(ClientError::NoSuchGroup(_))),
            "{deleted:?}"
        );
        let forgotten = coordinator.forget_offsets(TOPIC, &[0]).await;
        assert!(
            matches!(forgotten, Err(ClientError::NoSuchGroup(_))),
            "{forgotten:?}"
        );
    }
}

#[tokio::test]
async fn both_ways_to_ask_for_the_cluster_tell_the_same() {
    let (broker, client) = start().await;
    let cluster = client.cluster().await.expect("told");
    assert_eq!(cluster.id.as_deref(), Some("fake"));
    assert_eq!(cluster.controller, Some(1));
    assert_eq!(
        cluster.nodes.iter().map(|node| node.id).collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(cluster.nodes[0].address, broker.address());
    broker.speak_at_most(ApiKey::DescribeCluster, -1);
    let older = Client::connect(&[broker.address()], ClientOptions::default()).await;
    assert_eq!(
        older.expect("connects").cluster().await.expect("told"),
        cluster
    );
}
