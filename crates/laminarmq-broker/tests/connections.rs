//! What a connection does: order, limits, and bytes that are no requests.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "this is test code"
)]

mod common;

use common::*;
use laminarmq_kafka::messages::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, InitProducerIdRequest,
    ListOffsetsRequest, MetadataRequest, ProduceRequest,
};
use laminarmq_kafka::{ErrorCode, Message, Reader, encode_request, served};
use tokio::io::AsyncWriteExt;

fn raw(request: &[u8]) -> Vec<u8> {
    let mut frame = i32::try_from(request.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(request);
    frame
}

/// Api key, version, correlation id, null client id, body.
fn request(api: i16, version: i16, id: i32, body: &[u8]) -> Vec<u8> {
    let mut bytes = api.to_be_bytes().to_vec();
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(&[0xff, 0xff]);
    bytes.extend_from_slice(body);
    raw(&bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_one_write_are_answered_in_order() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    let produce = produce_request("t", &[(0, batch(&["a"]))], -1);
    let mut waiting = fetch_request("t", &[(0, 20)]);
    waiting.max_wait_ms = 50;
    let mut all = Vec::new();
    for round in 0..20 {
        let id = |n| Some(round * 10 + n);
        let pieces = [
            encode_request(9, id(0).unwrap(), None, &produce).unwrap(),
            encode_request(7, id(1).unwrap(), None, &offsets_request("t", 0, -1)).unwrap(),
            encode_request(3, id(2).unwrap(), None, &ApiVersionsRequest::default()).unwrap(),
            encode_request(
                12,
                id(3).unwrap(),
                None,
                &fetch_request("t", &[(0, round.into())]),
            )
            .unwrap(),
            encode_request(12, id(4).unwrap(), None, &MetadataRequest::default()).unwrap(),
            encode_request(4, id(5).unwrap(), None, &InitProducerIdRequest::default()).unwrap(),
        ];
        all.extend(pieces.concat().concat());
    }
    client.write(&all).await;
    for round in 0..20 {
        let (id, produced) = client.receive::<ProduceRequest>(9).await;
        let offset = produced.responses[0].partition_responses[0].base_offset;
        assert_eq!((id, offset), (round * 10, round.into()));
        let (id, offsets) = client.receive::<ListOffsetsRequest>(7).await;
        // A request sees what those before it did.
        assert!(offsets.topics[0].partitions[0].offset > round.into());
        assert_eq!(id, round * 10 + 1);
        assert_eq!(
            client.receive::<ApiVersionsRequest>(3).await.0,
            round * 10 + 2
        );
        let (id, fetched) = client.receive::<FetchRequest>(12).await;
        assert_eq!(id, round * 10 + 3);
        assert!(!values(&fetched.responses[0].partitions[0]).is_empty());
        assert_eq!(
            client.receive::<MetadataRequest>(12).await.0,
            round * 10 + 4
        );
        assert_eq!(
            client.receive::<InitProducerIdRequest>(4).await.0,
            round * 10 + 5
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pipelined_batches_keep_their_order() {
    let mut fixture = fixture_with(|config| config.default_flush = Default::default()).await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    let address = fixture.broker.kafka_addr();
    // Far more than may be in flight: the sender is held back, nothing is lost or reordered.
    const COUNT: usize = 500;
    let (mut read, mut write) = tokio::net::TcpStream::connect(address)
        .await
        .unwrap()
        .into_split();
    let sending = tokio::spawn(async move {
        for n in 0..COUNT {
            let records = batch(&[&n.to_string()]);
            let request = produce_request("t", &[(0, records)], -1);
            let frame = encode_request(9, n as i32, None, &request)
                .unwrap()
                .concat();
            write.write_all(&frame).await.unwrap();
        }
        write
    });
    use tokio::io::AsyncReadExt;
    for n in 0..COUNT {
        let length = in_time("an answer", read.read_u32()).await.unwrap();
        let mut frame = vec![0; length as usize];
        in_time("an answer", read.read_exact(&mut frame))
            .await
            .unwrap();
        let (id, produced) =
            laminarmq_kafka::decode_response::<ProduceRequest>(frame.into(), 9).unwrap();
        let result = &produced.responses[0].partition_responses[0];
        assert_eq!((id, result.base_offset), (n as i32, n as i64));
    }
    sending.await.unwrap();
    let mut got = Vec::new();
    while got.len() < COUNT {
        got.extend(values(&client.fetch("t", 0, got.len() as i64).await));
    }
    let want: Vec<_> = (0..COUNT).map(|n| n.to_string()).collect();
    assert_eq!(got, want);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.write(&request(18, 99, 7, &[0])).await;
    let frame = client.receive_frame().await.unwrap();
    let mut reader = Reader::new(frame);
    assert_eq!(reader.i32(), Ok(7));
    let response = ApiVersionsResponse::decode(&mut reader, 0).unwrap();
    assert_eq!(response.error_code, ErrorCode::UNSUPPORTED_VERSION);
    assert!(
        response
            .api_keys
            .iter()
            .any(|api| api.api_key == 18 && api.max_version == 4)
    );
    // The connection goes on.
    let response = client.ask(4, &ApiVersionsRequest::default()).await;
    assert_eq!(response.api_keys.len(), served().len());
    let produce = response
        .api_keys
        .iter()
        .find(|api| api.api_key == 0)
        .unwrap();
    assert_eq!((produce.min_version, produce.max_version), (0, 12));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_produce_versions_are_listed_and_refused() {
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    // acks 1, timeout 100, one topic "t", one partition 0, four bytes of records
    let body = b"\0\x01\0\0\0\x64\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\0\0\0\x04aaaa";
    let answer = |version: i16| {
        let mut want = b"\0\0\0\x05\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\0\x23".to_vec();
        want.extend([0xff; 8]);
        want.extend(vec![0xff; if version >= 2 { 8 } else { 0 }]);
        want.extend(vec![0; if version >= 1 { 4 } else { 0 }]);
        want
    };
    for version in 0..=2 {
        client.write(&request(0, version, 5, body)).await;
        assert_eq!(
            client.receive_frame().await.unwrap(),
            answer(version),
            "{version}"
        );
    }
    assert_eq!(client.offset("t", 0, -1).await, (ErrorCode::NONE, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_served_version_of_every_api_has_a_handler() {
    let fixture = fixture().await;
    for range in served() {
        for version in range.min_served..=range.max {
            let mut client = Client::connect(fixture.broker.kafka_addr()).await;
            let mut writer = laminarmq_kafka::Writer::frame();
            let header = laminarmq_kafka::RequestHeader {
                api_key: range.api,
                api_version: version,
                correlation_id: 3,
                client_id: None,
            };
            header.encode(&mut writer).unwrap();
            default_request(range.api.number())
                .encode(&mut writer, version)
                .unwrap();
            client.write(&writer.finish_frame().unwrap().concat()).await;
            if range.api.number() == 0 {
                continue; // A default produce has acks=0: no answer.
            }
            let frame = client.receive_frame().await;
            let frame = frame.unwrap_or_else(|| panic!("{} {version}", range.api.name()));
            assert_eq!(frame[..4], [0, 0, 0, 3], "{} {version}", range.api.name());
        }
    }
}

fn default_request(api: i16) -> laminarmq_kafka::AnyRequest {
    use laminarmq_kafka::messages::*;
    match api {
        0 => ProduceRequest::default().into(),
        1 => FetchRequest::default().into(),
        2 => ListOffsetsRequest::default().into(),
        3 => MetadataRequest::default().into(),
        8 => OffsetCommitRequest::default().into(),
        9 => OffsetFetchRequest::default().into(),
        11 => JoinGroupRequest::default().into(),
        12 => HeartbeatRequest::default().into(),
        13 => LeaveGroupRequest::default().into(),
        14 => SyncGroupRequest::default().into(),
        15 => DescribeGroupsRequest::default().into(),
        16 => ListGroupsRequest::default().into(),
        42 => DeleteGroupsRequest::default().into(),
        47 => OffsetDeleteRequest::default().into(),
        18 => ApiVersionsRequest::default().into(),
        19 => CreateTopicsRequest::default().into(),
        20 => DeleteTopicsRequest::default().into(),
        10 => FindCoordinatorRequest::default().into(),
        21 => DeleteRecordsRequest::default().into(),
        22 => InitProducerIdRequest::default().into(),
        23 => OffsetForLeaderEpochRequest::default().into(),
        32 => DescribeConfigsRequest::default().into(),
        33 => AlterConfigsRequest::default().into(),
        35 => DescribeLogDirsRequest::default().into(),
        37 => CreatePartitionsRequest::default().into(),
        44 => IncrementalAlterConfigsRequest::default().into(),
        60 => DescribeClusterRequest::default().into(),
        other => panic!("api {other} is served: give it a request here"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn librdkafkas_question_for_all_topics_is_answered() {
    use laminarmq_kafka::messages::MetadataRequest;
    let mut fixture = fixture().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    // No tags of the header, then the body with three bytes too many.
    client
        .write(&request(3, 12, 9, &[0, 0, 0, 0, 0, 1, 0, 0]))
        .await;
    let (id, response) = client.receive::<MetadataRequest>(12).await;
    assert_eq!((id, response.topics.len()), (9, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_requests_close_their_connection_and_no_other() {
    let mut fixture = fixture().await;
    fixture.client.create("t", 1, &[]).await;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("negative length", (-5i32).to_be_bytes().to_vec()),
        ("enormous length", i32::MAX.to_be_bytes().to_vec()),
        ("length 0", vec![0; 4]),
        ("too short for a header", raw(&[0; 8])),
        ("unknown api", request(999, 0, 1, &[])),
        ("an api that is not served", request(4, 0, 1, &[0; 16])),
        ("a later version of metadata", request(3, 99, 1, &[0; 16])),
        ("an earlier version of fetch", request(1, 0, 1, &[0; 16])),
        (
            "metadata with a wrong count",
            request(3, 1, 1, &[0x7f, 0xff, 0xff, 0xff]),
        ),
        (
            "metadata with bytes too many",
            request(3, 1, 1, &[0xff, 0xff, 0xff, 0xff, 1]),
        ),
        ("http", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("tls", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec()),
    ];
    for (what, bytes) in cases {
        let mut hostile = Client::connect(fixture.broker.kafka_addr()).await;
        // A right request before the wrong one is still answered.
        let id = hostile.send(3, &ApiVersionsRequest::default()).await;
        hostile.write(&bytes).await;
        assert_eq!(
            hostile.receive::<ApiVersionsRequest>(3).await.0,
            id,
            "{what}"
        );
        hostile.stream.shutdown().await.ok();
        assert_eq!(hostile.receive_frame().await, None, "{what}");
        let produced = fixture.client.produce("t", 0, batch(&["fine"])).await;
        assert_eq!(produced.error_code, ErrorCode::NONE, "{what}");
    }
    stop(fixture.broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn further_connections_wait_for_a_place() {
    let mut fixture = fixture_with(|config| config.limits.connections = 1).await;
    fixture.client.create("t", 1, &[]).await;
    let mut second = Client::connect(fixture.broker.kafka_addr()).await;
    second.send(3, &ApiVersionsRequest::default()).await;
    assert_eq!(
        fixture.client.offset("t", 0, -1).await,
        (ErrorCode::NONE, 0)
    );
    drop(fixture.client);
    assert_eq!(
        second.receive::<ApiVersionsRequest>(3).await.1.error_code,
        ErrorCode::NONE
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_leaves_in_the_middle_of_a_wait_frees_its_place() {
    let mut fixture = fixture_with(|config| config.limits.connections = 2).await;
    fixture.client.create("t", 1, &[]).await;
    let mut waiting = Client::connect(fixture.broker.kafka_addr()).await;
    let mut request = fetch_request("t", &[(0, 0)]);
    request.max_wait_ms = i32::MAX;
    waiting.send(12, &request).await;
    drop(waiting);
    let mut third = Client::connect(fixture.broker.kafka_addr()).await;
    assert_eq!(third.offset("t", 0, -1).await, (ErrorCode::NONE, 0));
}
