use laminarmq_kafka::messages::{ListOffsetsRequest, MetadataRequest};
use laminarmq_kafka::{ApiKey, ErrorCode};

use super::super::fake_broker::{FakeBroker, Fault};
use super::*;

/// Nodes of the fake cluster.
const NODES: usize = 2;

async fn open(broker: &FakeBroker) -> Result<Connection, ClientError> {
    Connection::open(&broker.address(), &ClientOptions::default()).await
}

async fn call_metadata(connection: &Connection) -> Result<usize, ClientError> {
    let response = connection.call(&MetadataRequest::default()).await?;
    Ok(response.brokers.len())
}

#[tokio::test]
async fn many_callers_share_a_connection_and_get_their_own_answers() {
    let broker = FakeBroker::start(&[("a", 1), ("b", 3)]).await;
    let connection = Arc::new(open(&broker).await.expect("connects"));
    let ask = |name: &'static str| {
        let connection = Arc::clone(&connection);
        tokio::spawn(async move {
            let request = MetadataRequest {
                topics: Some(vec![
                    laminarmq_kafka::messages::metadata::MetadataRequestTopic {
                        name: Some(String::from(name)),
                        ..Default::default()
                    },
                ]),
                ..MetadataRequest::default()
            };
            let response = connection.call(&request).await.expect("answered");
            (name, response.topics[0].partitions.len())
        })
    };
    // More than may be in flight, of two kinds in turn.
    let calls: Vec<_> = (0..3 * IN_FLIGHT_MAX)
        .map(|turn| ask(if turn % 2 == 0 { "a" } else { "b" }))
        .collect();
    for call in calls {
        let (name, partitions) = call.await.expect("no panic");
        assert_eq!(partitions, if name == "a" { 1 } else { 3 });
    }
}

#[tokio::test]
async fn an_old_broker_is_asked_again_in_version_0() {
    let broker = FakeBroker::start(&[]).await;
    broker.fault(
        ApiKey::ApiVersions,
        Fault::Refuse(ErrorCode::UNSUPPORTED_VERSION),
    );
    let connection = open(&broker).await.expect("connects");
    assert_eq!(broker.count(ApiKey::ApiVersions), 2);
    assert_eq!(call_metadata(&connection).await.expect("answered"), NODES);
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let port = listener
        .expect("a free port")
        .local_addr()
        .expect("bound")
        .port();
    let address = HostPort {
        host: String::from("127.0.0.1"),
        port,
    };
    let error = Connection::open(&address, &ClientOptions::default()).await;
    assert!(
        matches!(error, Err(ClientError::Unreachable { .. })),
        "{error:?}"
    );
}

/// A response frame to the second request of a connection, with this body.
fn frame(correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(4 + body.len()).expect("short");
    [&length.to_be_bytes(), &correlation_id.to_be_bytes(), body].concat()
}

#[tokio::test]
async fn a_broker_that_breaks_the_protocol_loses_the_connection() {
    for (answer, says) in [
        (frame(99, b""), "a response to request 99 in place of 1"),
        (vec![0, 0, 0, 2, 1, 2], "without a correlation id"),
        (vec![0x7f, 0xff, 0xff, 0xff], "the limit is"),
        (vec![0xff; 4], "negative length"),
    ] {
        let broker = FakeBroker::start(&[]).await;
        broker.fault(ApiKey::Metadata, Fault::Answer(answer));
        let connection = open(&broker).await.expect("connects");
        let error = call_metadata(&connection).await.expect_err("not an answer");
        assert!(matches!(error, ClientError::Lost { .. }), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(!connection.is_alive());
        // And stays lost.
        assert!(call_metadata(&connection).await.is_err());
    }
}

#[tokio::test]
async fn a_body_that_is_none_is_an_error_of_that_call_alone() {
    let broker = FakeBroker::start(&[]).await;
    broker.fault(ApiKey::Metadata, Fault::Answer(frame(1, &[0xff; 9])));
    let connection = open(&broker).await.expect("connects");
    let error = call_metadata(&connection).await.expect_err("not a body");
    assert!(matches!(error, ClientError::Decode { .. }), "{error:?}");
    assert_eq!(call_metadata(&connection).await.expect("answered"), NODES);
}

#[tokio::test]
async fn a_caller_that_gives_up_disturbs_nobody() {
    let broker = FakeBroker::start(&[]).await;
    let connection = open(&broker).await.expect("connects");
    for _ in 0..10 {
        let given_up = tokio::select! {
            biased;
            _ = call_metadata(&connection) => false,
            () = tokio::task::yield_now() => true,
        };
        assert!(given_up, "the answer takes longer than one turn");
        assert_eq!(call_metadata(&connection).await.expect("answered"), NODES);
    }
}

#[tokio::test]
async fn a_closed_connection_fails_all_its_callers() {
    let broker = FakeBroker::start(&[]).await;
    broker.fault(ApiKey::ListOffsets, Fault::DropAnswer);
    let connection = open(&broker).await.expect("connects");
    let request = ListOffsetsRequest::default();
    let (first, second) = tokio::join!(connection.call(&request), connection.call(&request));
    assert!(matches!(first, Err(ClientError::Lost { .. })), "{first:?}");
    assert!(
        matches!(second, Err(ClientError::Lost { .. })),
        "{second:?}"
    );
}
