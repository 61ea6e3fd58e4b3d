//! Consumer groups over the wire: joining, committing, restarts, administration.

#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use bytes::Bytes;
use common::*;
use laminarmq_kafka::messages::create_topics::CreatableTopicConfig;
use laminarmq_kafka::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use laminarmq_kafka::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use laminarmq_kafka::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use laminarmq_kafka::messages::list_groups::ListGroupsRequest;
use laminarmq_kafka::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use laminarmq_kafka::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use laminarmq_kafka::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use laminarmq_kafka::messages::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};
use laminarmq_kafka::messages::{
    CreateTopicsRequest, DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest,
    HeartbeatRequest, MetadataRequest,
};
use laminarmq_kafka::{ErrorCode, Uuid};
use std::time::Duration;

const NONE: ErrorCode = ErrorCode::NONE;

async fn group_fixture() -> Fixture {
    let mut fixture = fixture_with(|config| {
        config.groups.initial_rebalance_delay = Duration::ZERO;
        config.groups.session_timeout_min = Duration::from_millis(100);
    })
    .await;
    find_coordinator(&mut fixture.client, "g").await;
    fixture
}

async fn again(fixture: Fixture) -> Fixture {
    let Fixture { broker, dir, .. } = fixture;
    stop(broker).await;
    let mut config = config(dir.path());
    config.groups.initial_rebalance_delay = Duration::ZERO;
    config.groups.session_timeout_min = Duration::from_millis(100);
    let broker = in_time("the start", laminarmq_broker::Broker::start(config))
        .await
        .unwrap();
    let client = Client::connect(broker.kafka_addr()).await;
    Fixture {
        broker,
        client,
        dir,
    }
}

/// The node and its port.
async fn find_coordinator(client: &mut Client, group: &str) -> (i32, i32) {
    let request = FindCoordinatorRequest {
        coordinator_keys: vec![group.to_owned()],
        ..FindCoordinatorRequest::default()
    };
    let found = client.ask(4, &request).await.coordinators.remove(0);
    assert_eq!((found.error_code, found.key.as_str()), (NONE, group));
    (found.node_id, found.port)
}

fn subscription(topics: &[&str]) -> Bytes {
    let mut out = vec![0, 0];
    out.extend(u32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        out.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
        out.extend(topic.as_bytes());
    }
    out.into()
}

fn join_request(group: &str, id: &str, session: i32) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: session,
        rebalance_timeout_ms: 30_000,
        member_id: id.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".to_owned(),
            metadata: subscription(&["t"]),
        }],
        ..JoinGroupRequest::default()
    }
}

/// Joins in two steps, as new clients do.
async fn join(client: &mut Client, group: &str) -> JoinGroupResponse {
    let told = client.ask(9, &join_request(group, "", 30_000)).await;
    assert_eq!(told.error_code, ErrorCode::MEMBER_ID_REQUIRED);
    let joined = client
        .ask(9, &join_request(group, &told.member_id, 30_000))
        .await;
    assert_eq!(
        (joined.error_code, &joined.member_id),
        (NONE, &told.member_id)
    );
    joined
}

async fn sync(
    client: &mut Client,
    joined: &JoinGroupResponse,
    group: &str,
    assignments: &[(&str, &'static str)],
) -> SyncGroupResponse {
    let assignment = |(id, data): &(&str, &'static str)| SyncGroupRequestAssignment {
        member_id: (*id).to_owned(),
        assignment: Bytes::from_static(data.as_bytes()),
    };
    let request = SyncGroupRequest {
        group_id: group.to_owned(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        assignments: assignments.iter().map(assignment).collect(),
        ..SyncGroupRequest::default()
    };
    client.ask(5, &request).await
}

async fn beat(client: &mut Client, group: &str, generation_id: i32, id: &str) -> ErrorCode {
    let request = HeartbeatRequest {
        group_id: group.to_owned(),
        generation_id,
        member_id: id.to_owned(),
        ..HeartbeatRequest::default()
    };
    client.ask(4, &request).await.error_code
}

fn commit_request(
    group: &str,
    member: (i32, &str),
    offsets: &[(&str, i32, i64, Option<&str>)],
) -> OffsetCommitRequest {
    let topic = |(topic, partition, offset, metadata): &(&str, i32, i64, Option<&str>)| {
        OffsetCommitRequestTopic {
            name: (*topic).to_owned(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: *offset,
                committed_leader_epoch: 1,
                committed_metadata: metadata.map(str::to_owned),
            }],
        }
    };
    OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: member.0,
        member_id: member.1.to_owned(),
        topics: offsets.iter().map(topic).collect(),
        ..OffsetCommitRequest::default()
    }
}

async fn commit(
    client: &mut Client,
    group: &str,
    member: (i32, &str),
    offsets: &[(&str, i32, i64, Option<&str>)],
) -> Vec<ErrorCode> {
    let response = client.ask(8, &commit_request(group, member, offsets)).await;
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.error_code).collect()
}

/// All offsets of a group: topic, partition, offset, metadata.
async fn offsets(client: &mut Client, group: &str) -> Vec<(String, i32, i64, Option<String>)> {
    let request = OffsetFetchRequest {
        group_id: group.to_owned(),
        topics: None,
        ..OffsetFetchRequest::default()
    };
    let response = client.ask(7, &request).await;
    assert_eq!(response.error_code, NONE);
    let mut all = Vec::new();
    for topic in response.topics {
        for p in topic.partitions {
            assert_eq!((p.error_code, p.committed_leader_epoch), (NONE, 1));
            all.push((
                topic.name.clone(),
                p.partition_index,
                p.committed_offset,
                p.metadata,
            ));
        }
    }
    all
}

/// State, and client host and assignment of each member.
async fn describe(client: &mut Client, group: &str) -> (String, Vec<(String, Bytes)>) {
    let request = DescribeGroupsRequest {
        groups: vec![group.to_owned()],
        include_authorized_operations: true,
    };
    let group = client.ask(5, &request).await.groups.remove(0);
    assert_eq!(
        (group.error_code, group.authorized_operations),
        (NONE, 0b1_0100_1000)
    );
    let members = group.members.into_iter();
    let members = members.map(|member| (member.client_host, member.member_assignment));
    (group.group_state, members.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_the_work_and_take_over_from_each_other() {
    let mut fixture = group_fixture().await;
    let address = fixture.broker.kafka_addr();
    let found = find_coordinator(&mut fixture.client, "g").await;
    assert_eq!(found, (fixture.broker.node_id(), i32::from(address.port())));
    let first = &mut fixture.client;
    let alone = join(first, "g").await;
    assert_eq!((alone.generation_id, alone.members.len()), (1, 1));
    let assigned = sync(first, &alone, "g", &[(&alone.member_id, "all")]).await;
    assert_eq!(
        (assigned.error_code, &assigned.assignment[..]),
        (NONE, &b"all"[..])
    );
    assert_eq!(assigned.protocol_name.as_deref(), Some("range"));
    // Another comes.
    let mut second = Client::connect(address).await;
    let told = second.ask(9, &join_request("g", "", 30_000)).await;
    second
        .send(9, &join_request("g", &told.member_id, 30_000))
        .await;
    in_time("the rebalance", async {
        while beat(first, "g", 1, &alone.member_id).await != ErrorCode::REBALANCE_IN_PROGRESS {}
    })
    .await;
    let led = first
        .ask(9, &join_request("g", &alone.member_id, 30_000))
        .await;
    let (_, follows) = second.receive::<JoinGroupRequest>(9).await;
    assert_eq!((led.generation_id, follows.generation_id), (2, 2));
    assert_eq!((led.members.len(), follows.members.len()), (2, 0));
    assert_eq!(follows.leader, led.member_id);
    assert_eq!(follows.protocol_type.as_deref(), Some("consumer"));
    let halves = [
        (led.member_id.as_str(), "one"),
        (follows.member_id.as_str(), "other"),
    ];
    let (leads, waits) = tokio::join!(
        sync(first, &led, "g", &halves),
        sync(&mut second, &follows, "g", &[])
    );
    assert_eq!(
        (&leads.assignment[..], &waits.assignment[..]),
        (&b"one"[..], &b"other"[..])
    );
    let (state, members) = describe(first, "g").await;
    let host = "/127.0.0.1".to_owned();
    let want = [(host.clone(), leads.assignment), (host, waits.assignment)];
    assert_eq!((state.as_str(), members), ("Stable", want.into()));
    // The first leaves, by the older request; the other is told and goes on alone.
    let leave = LeaveGroupRequest {
        group_id: "g".to_owned(),
        member_id: led.member_id.clone(),
        ..LeaveGroupRequest::default()
    };
    assert_eq!(first.ask(2, &leave).await.error_code, NONE);
    assert_eq!(
        first.ask(2, &leave).await.error_code,
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    let id = &follows.member_id;
    assert_eq!(
        beat(&mut second, "g", 2, id).await,
        ErrorCode::REBALANCE_IN_PROGRESS
    );
    let alone = second.ask(5, &join_request("g", id, 30_000)).await;
    assert_eq!((alone.generation_id, &alone.leader), (3, id));
    let leave = LeaveGroupRequest {
        group_id: "g".to_owned(),
        members: vec![
            MemberIdentity {
                member_id: id.clone(),
                ..MemberIdentity::default()
            },
            MemberIdentity {
                member_id: "x".to_owned(),
                ..MemberIdentity::default()
            },
        ],
        ..LeaveGroupRequest::default()
    };
    let left = second.ask(5, &leave).await;
    let codes: Vec<_> = left
        .members
        .iter()
        .map(|member| member.error_code)
        .collect();
    assert_eq!(
        (left.error_code, codes),
        (NONE, vec![NONE, ErrorCode::UNKNOWN_MEMBER_ID])
    );
    assert_eq!(describe(first, "g").await, ("Empty".to_owned(), vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_falls_silent_is_replaced() {
    let mut fixture = group_fixture().await;
    let client = &mut fixture.client;
    let silent = client.ask(0, &join_request("g", "", 200)).await;
    assert_eq!((silent.error_code, silent.generation_id), (NONE, 1));
    let mut other = Client::connect(fixture.broker.kafka_addr()).await;
    let joined = other.ask(3, &join_request("g", "", 30_000)).await;
    assert_eq!(
        (joined.generation_id, &joined.leader),
        (2, &joined.member_id)
    );
    let code = beat(client, "g", 1, &silent.member_id).await;
    assert_eq!(code, ErrorCode::UNKNOWN_MEMBER_ID);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_and_offsets_survive_a_restart() {
    let mut fixture = group_fixture().await;
    let client = &mut fixture.client;
    client.create("t", 2, &[]).await;
    let joined = join(client, "g").await;
    let id = joined.member_id.clone();
    sync(client, &joined, "g", &[(&id, "all")]).await;
    let member = (joined.generation_id, id.as_str());
    assert_eq!(
        commit(client, "g", member, &[("t", 1, 7, Some("x"))]).await,
        [NONE]
    );
    for n in 0..3 {
        fixture = again(fixture).await;
        let client = &mut fixture.client;
        let want = [("t".to_owned(), 1, 7 + n, Some("x".to_owned()))];
        assert_eq!(offsets(client, "g").await, want);
        assert_eq!(beat(client, "g", joined.generation_id, &id).await, NONE);
        let assigned = sync(client, &joined, "g", &[]).await;
        assert_eq!(
            (assigned.error_code, &assigned.assignment[..]),
            (NONE, &b"all"[..])
        );
        let codes = commit(client, "g", member, &[("t", 1, 8 + n, Some("x"))]).await;
        assert_eq!(codes, [NONE]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_come_back_as_they_were_committed() {
    let mut fixture = group_fixture().await;
    let client = &mut fixture.client;
    client.create("t", 2, &[]).await;
    client.create("u", 1, &[]).await;
    let long = "m".repeat(4096);
    let wanted = [
        ("t", 0, 5, None),
        ("t", 1, 6, Some("")),
        ("u", 0, i64::MAX, Some(long.as_str())),
    ];
    assert_eq!(commit(client, "g", (-1, ""), &wanted).await, [NONE; 3]);
    let too_long = "m".repeat(4097);
    let refused = [
        ("t", 0, 50, Some(too_long.as_str())),
        ("t", 2, 50, None),
        ("none", 0, 50, None),
        ("t", 1, 7, Some("")),
    ];
    let want = [
        ErrorCode::OFFSET_METADATA_TOO_LARGE,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        NONE,
    ];
    assert_eq!(commit(client, "g", (-1, ""), &refused).await, want);
    let mut all = offsets(client, "g").await;
    all.sort();
    let want = [
        ("t".to_owned(), 0, 5, None),
        ("t".to_owned(), 1, 7, Some(String::new())),
        ("u".to_owned(), 0, i64::MAX, Some(long)),
    ];
    assert_eq!(all, want);
    // Several groups, and things that are not there.
    let topic = |name: &str, partitions: &[i32]| OffsetFetchRequestTopics {
        name: name.to_owned(),
        partition_indexes: partitions.to_vec(),
    };
    let group = |id: &str, topics| OffsetFetchRequestGroup {
        group_id: id.to_owned(),
        topics,
        ..OffsetFetchRequestGroup::default()
    };
    let request = OffsetFetchRequest {
        groups: vec![
            group("g", Some(vec![topic("none", &[3]), topic("t", &[9, 1])])),
            group("nobody", Some(vec![topic("t", &[0])])),
            group("nobody", None),
        ],
        require_stable: true,
        ..OffsetFetchRequest::default()
    };
    let response = client.ask(9, &request).await;
    let flat = response.groups.iter().flat_map(|group| {
        assert_eq!(group.error_code, NONE);
        let of_topic = |t: &laminarmq_kafka::messages::offset_fetch::OffsetFetchResponseTopics| {
            let name = t.name.clone();
            let partitions = t.partitions.iter();
            let one =
                partitions.map(move |p| (name.clone(), p.partition_index, p.committed_offset));
            one.collect::<Vec<_>>()
        };
        group.topics.iter().flat_map(of_topic)
    });
    let want = [("none", 3, -1), ("t", 9, -1), ("t", 1, 7), ("t", 0, -1)];
    let want = want.map(|(name, partition, offset)| (name.to_owned(), partition, offset));
    assert_eq!(flat.collect::<Vec<_>>(), want);
    // The oldest version has its own place for everything.
    let request = OffsetFetchRequest {
        group_id: "g".to_owned(),
        topics: Some(vec![OffsetFetchRequestTopic {
            name: "t".to_owned(),
            partition_indexes: vec![0],
        }]),
        ..OffsetFetchRequest::default()
    };
    let response = client.ask(1, &request).await;
    let partition = &response.topics[0].partitions[0];
    assert_eq!(
        (partition.committed_offset, &partition.metadata),
        (5, &None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_seen_by_the_request_behind_it() {
    let mut fixture = group_fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    for n in 0..50 {
        client
            .send(8, &commit_request("g", (-1, ""), &[("t", 0, n, None)]))
            .await;
        let request = OffsetFetchRequest {
            group_id: "g".to_owned(),
            topics: None,
            ..OffsetFetchRequest::default()
        };
        client.send(7, &request).await;
        client.receive::<OffsetCommitRequest>(8).await;
        let (_, found) = client.receive::<OffsetFetchRequest>(7).await;
        assert_eq!(found.topics[0].partitions[0].committed_offset, n);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_again_has_no_offsets() {
    let mut fixture = group_fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    client.create("u", 1, &[]).await;
    let both = [("t", 0, 5, Some("")), ("u", 0, 6, Some(""))];
    commit(client, "g", (-1, ""), &both).await;
    let delete = DeleteTopicsRequest {
        topics: vec![DeleteTopicState {
            name: Some("t".to_owned()),
            topic_id: Uuid::ZERO,
        }],
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    assert_eq!(client.ask(6, &delete).await.responses[0].error_code, NONE);
    let left = [("u".to_owned(), 0, 6, Some(String::new()))];
    assert_eq!(offsets(client, "g").await, left);
    client.create("t", 1, &[]).await;
    assert_eq!(offsets(client, "g").await, left);
    commit(client, "g", (-1, ""), &[("t", 0, 1, Some(""))]).await;
    fixture = again(fixture).await;
    let mut all = offsets(&mut fixture.client, "g").await;
    all.sort();
    assert_eq!(
        all,
        [("t".to_owned(), 0, 1, Some(String::new())), left[0].clone()]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_listed_and_deleted() {
    let mut fixture = group_fixture().await;
    let client = &mut fixture.client;
    client.create("t", 2, &[]).await;
    assert!(
        client
            .ask(5, &ListGroupsRequest::default())
            .await
            .groups
            .is_empty()
    );
    commit(
        client,
        "simple",
        (-1, ""),
        &[("t", 0, 5, None), ("t", 1, 5, None)],
    )
    .await;
    let joined = join(client, "busy").await;
    sync(client, &joined, "busy", &[]).await;
    let id = joined.member_id.as_str();
    commit(
        client,
        "busy",
        (joined.generation_id, id),
        &[("t", 0, 5, None)],
    )
    .await;
    for (states, types, want) in [
        (vec![], vec![], vec!["busy", "simple"]),
        (vec!["stable"], vec![], vec!["busy"]),
        (vec!["Empty", "Dead"], vec!["Classic"], vec!["simple"]),
        (vec![], vec!["consumer"], vec![]),
    ] {
        let own = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
        let request = ListGroupsRequest {
            states_filter: own(states),
            types_filter: own(types),
        };
        let response = client.ask(5, &request).await;
        let mut found: Vec<_> = response
            .groups
            .iter()
            .map(|g| g.group_id.as_str())
            .collect();
        found.sort_unstable();
        assert_eq!((response.error_code, found), (NONE, want));
    }
    let list = client.ask(5, &ListGroupsRequest::default()).await.groups;
    let busy = list.iter().find(|group| group.group_id == "busy").unwrap();
    let told = (
        &busy.group_state[..],
        &busy.group_type[..],
        &busy.protocol_type[..],
    );
    assert_eq!(told, ("Stable", "classic", "consumer"));
    // Offsets of a topic that somebody reads stay.
    let request = |group: &str| OffsetDeleteRequest {
        group_id: group.to_owned(),
        topics: vec![OffsetDeleteRequestTopic {
            name: "t".to_owned(),
            partitions: [0, 7]
                .map(|partition_index| OffsetDeleteRequestPartition { partition_index })
                .into(),
        }],
    };
    for (group, want) in [
        (
            "busy",
            [
                ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ],
        ),
        ("simple", [NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION]),
    ] {
        let response = client.ask(0, &request(group)).await;
        let codes: Vec<_> = response.topics[0]
            .partitions
            .iter()
            .map(|p| p.error_code)
            .collect();
        assert_eq!((response.error_code, codes), (NONE, want.to_vec()));
    }
    assert_eq!(
        client.ask(0, &request("x")).await.error_code,
        ErrorCode::GROUP_ID_NOT_FOUND
    );
    assert_eq!(
        offsets(client, "simple").await,
        [("t".to_owned(), 1, 5, None)]
    );
    let delete = DeleteGroupsRequest {
        groups_names: ["busy", "simple", "x"].map(str::to_owned).into(),
    };
    let response = client.ask(2, &delete).await;
    let codes: Vec<_> = response
        .results
        .iter()
        .map(|result| result.error_code)
        .collect();
    let want = [
        ErrorCode::NON_EMPTY_GROUP,
        NONE,
        ErrorCode::GROUP_ID_NOT_FOUND,
    ];
    assert_eq!(codes, want);
    assert_eq!(
        describe(client, "simple").await,
        ("Dead".to_owned(), vec![])
    );
    fixture = again(fixture).await;
    assert_eq!(offsets(&mut fixture.client, "simple").await, []);
    assert_eq!(describe(&mut fixture.client, "busy").await.0, "Stable");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_of_groups_is_the_brokers_own() {
    let topic = "__consumer_offsets";
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    // Nobody can make it before the broker does, nor by asking for it.
    let created = client.ask(7, &create_request(topic, 1, &[])).await;
    assert_eq!(
        created.topics[0].error_code,
        ErrorCode::INVALID_TOPIC_EXCEPTION
    );
    let ask = MetadataRequest {
        topics: Some(vec![
            laminarmq_kafka::messages::metadata::MetadataRequestTopic {
                name: Some(topic.to_owned()),
                ..Default::default()
            },
        ]),
        allow_auto_topic_creation: true,
        ..MetadataRequest::default()
    };
    let missing = client.ask(9, &ask).await;
    assert_eq!(
        missing.topics[0].error_code,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    );
    // A name that looks like it is in nobody's way.
    client.create("__consumer.offsets", 1, &[]).await;
    let mut others = Vec::new();
    for n in 0..4 {
        let mut client = Client::connect(fixture.broker.kafka_addr()).await;
        others.push(tokio::spawn(async move {
            find_coordinator(&mut client, &format!("g{n}")).await
        }));
    }
    for other in others {
        other.await.unwrap();
    }
    let found = client.ask(9, &ask).await.topics.remove(0);
    assert_eq!((found.error_code, found.partitions.len()), (NONE, 8));
    assert!(found.is_internal);
    let produced = client.produce(topic, 0, batch(&["x"])).await;
    assert_eq!(produced.error_code, ErrorCode::INVALID_TOPIC_EXCEPTION);
    let delete = DeleteTopicsRequest {
        topic_names: vec![topic.to_owned()],
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    let deleted = client.ask(5, &delete).await;
    assert_ne!(deleted.responses[0].error_code, NONE);
    assert!(
        records(&client.fetch(topic, 0, 0).await).is_empty(),
        "its entries are no records"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_nobody_is_told_where_to_ask() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    let joined = client.ask(9, &join_request("g", "", 30_000)).await;
    assert_eq!(
        (joined.error_code, joined.protocol_name),
        (ErrorCode::NOT_COORDINATOR, None)
    );
    let joined = client.ask(6, &join_request("g", "", 30_000)).await;
    assert_eq!(joined.protocol_name.as_deref(), Some(""));
    let none = client.ask(5, &ListGroupsRequest::default()).await;
    assert_eq!((none.error_code, none.groups.len()), (NONE, 0));
    find_coordinator(client, "g").await;
    let joined = client.ask(9, &join_request("", "", 30_000)).await;
    assert_eq!(joined.error_code, ErrorCode::INVALID_GROUP_ID);
    let joined = client.ask(9, &join_request("g", "", 5_999)).await;
    assert_eq!(joined.error_code, ErrorCode::INVALID_SESSION_TIMEOUT);
    let transactions = FindCoordinatorRequest {
        key: "tx".to_owned(),
        key_type: 1,
        ..FindCoordinatorRequest::default()
    };
    let refused = client.ask(3, &transactions).await;
    assert_eq!(
        refused.error_code,
        ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_members_that_wait() {
    let mut fixture = fixture_with(|config| {
        config.groups.initial_rebalance_delay = Duration::from_secs(60);
    })
    .await;
    let client = &mut fixture.client;
    find_coordinator(client, "g").await;
    let mut request = join_request("g", "", 30_000);
    request.rebalance_timeout_ms = 600_000;
    client.send(3, &request).await;
    let mut other = Client::connect(fixture.broker.kafka_addr()).await;
    in_time("the join", async {
        while describe(&mut other, "g").await.0 != "PreparingRebalance" {}
    })
    .await;
    stop(fixture.broker).await;
    let (_, answer) = client.receive::<JoinGroupRequest>(3).await;
    assert_eq!(answer.error_code, ErrorCode::NOT_COORDINATOR);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_groups_stays_short() {
    let mut fixture = group_fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    let metadata = "m".repeat(4000);
    let folder = |fixture: &Fixture| -> u64 {
        let topics = fixture.dir.path().join("topics");
        let folders = std::fs::read_dir(topics)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let own = folders.filter(|path| path.display().to_string().contains("__consumer_offsets"));
        let files = own.flat_map(|path| std::fs::read_dir(path).unwrap());
        files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum()
    };
    let before = folder(&fixture);
    for n in 0..3000 {
        let client = &mut fixture.client;
        let codes = commit(client, "g", (-1, ""), &[("t", 0, n, Some(&metadata))]).await;
        assert_eq!(codes, [NONE]);
    }
    // Twelve million bytes were written.
    in_time("cutting the log", async {
        while folder(&fixture) > before + 5_000_000 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    fixture = again(fixture).await;
    let want = [("t".to_owned(), 0, 2999, Some(metadata))];
    assert_eq!(offsets(&mut fixture.client, "g").await, want);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_groups_can_be_described_and_not_changed() {
    let mut fixture = group_fixture().await;
    let mut request = CreateTopicsRequest::default();
    let mut wish = create_request("__consumer_offsets", 1, &[])
        .topics
        .remove(0);
    wish.configs.push(CreatableTopicConfig {
        name: "flush".to_owned(),
        value: Some("os".to_owned()),
    });
    request.topics.push(wish);
    let response = fixture.client.ask(7, &request).await;
    assert_eq!(
        response.topics[0].error_code,
        ErrorCode::INVALID_TOPIC_EXCEPTION
    );
}
