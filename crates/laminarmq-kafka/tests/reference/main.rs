//! Every message in every version against another implementation, both ways: our bytes mean the same to it,
//! field by field, and the bytes that it writes for them are ours.

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey as TheirKey, RequestKind, ResponseKind};
use laminarmq_kafka::{
    AnyRequest, AnyResponse, ApiKey, EncodeError, EncodeReason, ErrorCode, Reader, RequestHeader,
    ResponseHeader, Writer, api, generate,
};
use proptest::prelude::*;

use support::every_version;
use tree::Tree;

#[path = "../support/mod.rs"]
mod support;
mod tree;

fn joined(w: Writer) -> Bytes {
    w.finish().concat().into()
}

fn their_key(key: ApiKey) -> TheirKey {
    TheirKey::try_from(key.number()).expect("they know the API")
}

/// Fields of theirs from versions that we do not have.
const LATER: &[&str] = &[
    "DescribeClusterBroker.is_fenced",
    "DescribeClusterRequest.include_fenced_brokers",
    "DescribedGroup.error_message",
    "OffsetCommitRequestTopic.topic_id",
    "OffsetCommitResponseTopic.topic_id",
    "OffsetFetchRequestTopics.topic_id",
    "OffsetFetchResponseTopics.topic_id",
    "FetchPartition.high_watermark",
    "FetchPartition.replica_directory_id",
    "FetchRequest.replica_state",
    "FetchResponse.node_endpoints",
    "FetchTopic.topic_id",
    "FetchableTopicResponse.topic_id",
    "ForgottenTopic.topic_id",
    "InitProducerIdRequest.enable_2_pc",
    "InitProducerIdRequest.keep_prepared_txn",
    "InitProducerIdResponse.ongoing_txn_producer_epoch",
    "InitProducerIdResponse.ongoing_txn_producer_id",
    "ListOffsetsRequest.timeout_ms",
    "MetadataResponse.error_code",
    "TopicProduceData.topic_id",
    "TopicProduceResponse.topic_id",
];

fn assert_same(ours: &impl std::fmt::Debug, theirs: &impl std::fmt::Debug, context: &str) {
    Tree::of(ours).assert_in(&Tree::of(theirs), LATER, context);
}

fn check_request(key: ApiKey, version: i16, entropy: &[u8]) {
    let ours = generate::request(key, version, &mut generate::Source::new(entropy))
        .expect("a version of the table");
    let mut w = Writer::new();
    ours.encode(&mut w, version).expect("generated for it");
    let bytes = joined(w);
    let context = format!("{key} v{version} {bytes:?}");

    let mut rest = bytes.clone();
    let theirs = RequestKind::decode(their_key(key), &mut rest, version).expect(&context);
    assert!(rest.is_empty(), "they left {rest:?} of {context}");

    let header = RequestHeader {
        api_key: key,
        api_version: version,
        correlation_id: 0,
        client_id: None,
    };
    let again = AnyRequest::decode(&header, &mut Reader::new(bytes.clone())).expect(&context);
    assert_eq!(again, ours, "{context}");
    assert_same(&again, &theirs, &context);

    let mut back = BytesMut::new();
    theirs.encode(&mut back, version).expect(&context);
    assert_eq!(back.freeze(), bytes, "{context}");
}

fn check_response(key: ApiKey, version: i16, entropy: &[u8]) {
    let ours = generate::response(key, version, &mut generate::Source::new(entropy))
        .expect("a version of the table");
    let mut w = Writer::new();
    ours.encode(&mut w, version).expect("generated for it");
    let bytes = joined(w);
    let context = format!("{key} v{version} {bytes:?}");

    let mut rest = bytes.clone();
    let theirs = ResponseKind::decode(their_key(key), &mut rest, version).expect(&context);
    assert!(rest.is_empty(), "they left {rest:?} of {context}");

    let again = AnyResponse::decode(key, version, &mut Reader::new(bytes.clone())).expect(&context);
    assert_eq!(again, ours, "{context}");
    assert_same(&again, &theirs, &context);

    let mut back = BytesMut::new();
    theirs.encode(&mut back, version).expect(&context);
    assert_eq!(back.freeze(), bytes, "{context}");
}

/// Writes a message of the last version in another one: where that fails for a field that it does not have,
/// it fails for both, and else the bytes are the same. (Null in a version without it is refused by us alone.)
fn check_downgrade(key: ApiKey, version: i16, entropy: &[u8]) {
    let source = &mut generate::Source::new(entropy);
    let last = api::codec_versions(key).expect("it has some").max;
    let same =
        |ours: Result<Bytes, EncodeError>, theirs: Option<BytesMut>, context: &str| match ours
            .map_err(|e| e.reason)
        {
            Ok(bytes) => assert_eq!(Some(bytes), theirs.map(BytesMut::freeze), "{context}"),
            Err(EncodeReason::Null(_)) => {}
            Err(reason) => assert!(theirs.is_none(), "{reason:?}: {context}"),
        };
    let ours = |encode: &dyn Fn(&mut Writer, i16) -> Result<(), EncodeError>, version| {
        let mut w = Writer::new();
        encode(&mut w, version).map(|()| joined(w))
    };

    let request = generate::request(key, last, source).expect("a version of the table");
    let encode = |w: &mut Writer, version| request.encode(w, version);
    let mut bytes = ours(&encode, last).expect("generated for it");
    let context = format!("request {key} v{version} of {bytes:?}");
    let theirs = RequestKind::decode(their_key(key), &mut bytes, last).expect(&context);
    let mut out = BytesMut::new();
    let theirs = theirs.encode(&mut out, version).is_ok().then_some(out);
    same(ours(&encode, version), theirs, &context);

    let response = generate::response(key, last, source).expect("a version of the table");
    let encode = |w: &mut Writer, version| response.encode(w, version);
    let mut bytes = ours(&encode, last).expect("generated for it");
    let context = format!("response {key} v{version} of {bytes:?}");
    let theirs = ResponseKind::decode(their_key(key), &mut bytes, last).expect(&context);
    let mut out = BytesMut::new();
    let theirs = theirs.encode(&mut out, version).is_ok().then_some(out);
    same(ours(&encode, version), theirs, &context);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_are_the_same_bytes(entropy in proptest::collection::vec(any::<u8>(), 0..400)) {
        for (key, version) in every_version() {
            check_request(key, version, &entropy);
        }
    }

    #[test]
    fn responses_are_the_same_bytes(entropy in proptest::collection::vec(any::<u8>(), 0..400)) {
        for (key, version) in every_version() {
            check_response(key, version, &entropy);
        }
    }

    #[test]
    fn older_versions_refuse_the_same(entropy in proptest::collection::vec(any::<u8>(), 0..400)) {
        for (key, version) in every_version() {
            check_downgrade(key, version, &entropy);
        }
    }

    #[test]
    fn request_headers_are_the_same_bytes(
        correlation_id in any::<i32>(),
        client_id in proptest::option::of("[a-zé]{0,40}"),
    ) {
        use kafka_protocol::protocol::{Decodable, Encodable};
        for (key, version) in every_version() {
            let ours = RequestHeader {
                api_key: key,
                api_version: version,
                correlation_id,
                client_id: client_id.clone(),
            };
            let mut w = Writer::new();
            ours.encode(&mut w).unwrap();
            let bytes = joined(w);

            let form = their_key(key).request_header_version(version);
            let mut rest = bytes.clone();
            let theirs =
                kafka_protocol::messages::RequestHeader::decode(&mut rest, form).unwrap();
            assert!(rest.is_empty());
            assert_eq!(theirs.request_api_key, key.number());
            assert_eq!(theirs.request_api_version, version);
            assert_eq!(theirs.correlation_id, correlation_id);
            assert_eq!(theirs.client_id.as_deref(), client_id.as_deref());
            let mut back = BytesMut::new();
            theirs.encode(&mut back, form).unwrap();
            assert_eq!(back.freeze(), bytes);

            let mut r = Reader::new(bytes);
            assert_eq!(RequestHeader::decode(&mut r), Ok(ours));
            assert_eq!(r.remaining(), 0);

            let mut w = Writer::new();
            ResponseHeader { correlation_id }.encode(&mut w, key, version);
            let bytes = joined(w);
            let form = their_key(key).response_header_version(version);
            let mut rest = bytes.clone();
            let theirs =
                kafka_protocol::messages::ResponseHeader::decode(&mut rest, form).unwrap();
            assert!(rest.is_empty());
            assert_eq!(theirs.correlation_id, correlation_id);
            let mut r = Reader::new(bytes);
            let header = ResponseHeader::decode(&mut r, key, version);
            assert_eq!(header, Ok(ResponseHeader { correlation_id }));
            assert_eq!(r.remaining(), 0);
        }
    }
}

#[test]
fn error_codes_are_the_same() {
    for code in (i16::MIN..=i16::MAX).map(ErrorCode) {
        let theirs = ResponseError::try_from_code(code.0)
            .filter(|theirs| !matches!(theirs, ResponseError::Unknown(_)));
        let Some(theirs) = theirs else {
            assert!(code.is_none() || code.name().is_none(), "{code:?}");
            assert!(!code.retriable());
            continue;
        };
        let name = code.name().expect("they know it");
        assert_eq!(
            name.replace('_', "").to_lowercase(),
            format!("{theirs:?}").to_lowercase()
        );
        assert_eq!(code.retriable(), theirs.is_retriable(), "{code:?}");
    }
}
