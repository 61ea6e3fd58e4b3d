//! What a writer refuses, how frames are cut, and what a broker tells about its versions.

use bytes::Bytes;
use laminarmq_kafka::frame::encode_response_as;
use laminarmq_kafka::messages::{
    ApiVersionsRequest, ApiVersionsResponse, CreateTopicsResponse, FetchRequest, FetchResponse,
    InitProducerIdRequest, MetadataRequest, MetadataResponse, ProduceRequest, fetch, metadata,
    produce,
};
use laminarmq_kafka::primitives::writer::LINK_BYTES_MIN;
use laminarmq_kafka::{
    ApiKey, EncodeError, EncodeReason, ErrorCode, Message, Records, RequestHeader, Uuid, Writer,
    api, decode_response, encode_request, encode_response, served,
};

fn encode<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    message.encode(&mut w, version)?;
    Ok(w.finish().concat().into())
}

fn refused(part: &'static str, field: &'static str, reason: EncodeReason) -> EncodeError {
    EncodeError {
        part,
        field,
        reason,
    }
}

#[test]
fn a_value_that_the_version_cannot_carry() {
    let request = InitProducerIdRequest {
        producer_id: 5,
        ..Default::default()
    };
    assert!(encode(&request, 3).is_ok());
    assert_eq!(
        encode(&request, 2),
        Err(refused(
            "InitProducerIdRequest",
            "producer_id",
            EncodeReason::NotInVersion(2)
        ))
    );
    // Ignorable fields are dropped.
    let request = FetchRequest {
        rack_id: "r".to_owned(),
        cluster_id: Some("c".to_owned()),
        ..Default::default()
    };
    assert_eq!(encode(&request, 10), encode(&FetchRequest::default(), 10));
    assert_ne!(encode(&request, 11), encode(&FetchRequest::default(), 11));
    assert_eq!(
        encode(&request, 13),
        Err(refused(
            "FetchRequest",
            "version",
            EncodeReason::UnsupportedVersion(13)
        ))
    );
}

#[test]
fn null_that_the_version_cannot_carry() {
    let all = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    assert_eq!(encode(&all, 1).unwrap()[..], [0xff; 4]);
    assert_eq!(
        encode(&all, 0),
        Err(refused("MetadataRequest", "topics", EncodeReason::Null(0)))
    );
    let by_id = MetadataRequest {
        topics: Some(vec![metadata::MetadataRequestTopic {
            topic_id: Uuid([1; 16]),
            name: None,
        }]),
        ..Default::default()
    };
    assert!(encode(&by_id, 10).is_ok());
    assert_eq!(
        encode(&by_id, 9),
        Err(refused(
            "MetadataRequestTopic",
            "name",
            EncodeReason::Null(9)
        ))
    );
}

#[test]
fn text_has_a_limit_in_every_version() {
    for version in [1, 12] {
        let broker = |len| MetadataResponse {
            brokers: vec![metadata::MetadataResponseBroker {
                host: "h".repeat(len),
                ..Default::default()
            }],
            ..Default::default()
        };
        assert!(encode(&broker(0x7fff), version).is_ok());
        assert_eq!(
            encode(&broker(0x8000), version),
            Err(refused(
                "MetadataResponseBroker",
                "host",
                EncodeReason::TooLong(0x8000)
            ))
        );
    }
}

#[test]
fn tagged_fields_at_their_default_are_left_out() {
    let none = encode(&ApiVersionsResponse::default(), 3).unwrap();
    assert_eq!(none[..], [0, 0, 1, 0, 0, 0, 0, 0]);
    let some = ApiVersionsResponse {
        finalized_features_epoch: 5,
        zk_migration_ready: true,
        ..Default::default()
    };
    let some = encode(&some, 3).unwrap();
    assert_eq!(
        some[..],
        [
            0, 0, 1, 0, 0, 0, 0, 2, 1, 8, 0, 0, 0, 0, 0, 0, 0, 5, 3, 1, 1
        ]
    );
}

fn produce_request(records: &Bytes) -> ProduceRequest {
    ProduceRequest {
        acks: -1,
        topic_data: vec![produce::TopicProduceData {
            name: "t".to_owned(),
            partition_data: vec![produce::PartitionProduceData {
                index: 0,
                records: Some(records.clone()),
            }],
        }],
        ..Default::default()
    }
}

#[test]
fn long_payload_is_linked_and_short_payload_copied() {
    let long = Bytes::from(vec![1; LINK_BYTES_MIN]);
    let frame = encode_request(9, 1, Some("me"), &produce_request(&long)).unwrap();
    assert_eq!(frame.len(), 3, "before, the records, after");
    assert_eq!(frame[1].as_ptr(), long.as_ptr());
    let total: usize = frame.iter().map(Bytes::len).sum();
    assert_eq!(
        frame[0][..4],
        u32::try_from(total - 4).unwrap().to_be_bytes()
    );

    let short = long.slice(1..);
    let frame = encode_request(9, 1, Some("me"), &produce_request(&short)).unwrap();
    assert_eq!(frame.len(), 1);

    // Each piece of a fetch answer goes out as it is.
    let pieces = [Bytes::from(vec![2; 2000]), Bytes::from(vec![3; 3000])];
    let response = FetchResponse {
        responses: vec![fetch::FetchableTopicResponse {
            topic: "t".to_owned(),
            partitions: vec![fetch::PartitionData {
                records: Records::from(pieces.to_vec()),
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    let header = RequestHeader {
        api_key: ApiKey::Fetch,
        api_version: 12,
        correlation_id: 3,
        client_id: None,
    };
    let frame = encode_response(&header, &response).unwrap();
    assert_eq!(frame.len(), 4);
    assert_eq!(frame[1].as_ptr(), pieces[0].as_ptr());
    assert_eq!(frame[2].as_ptr(), pieces[1].as_ptr());
    let body = Bytes::from(frame.concat()).slice(4..);
    assert_eq!(
        decode_response::<FetchRequest>(body.clone(), 12),
        Ok((3, response))
    );
    let longer = Bytes::from([&body[..], &[0]].concat());
    assert!(decode_response::<FetchRequest>(longer, 12).is_err());
}

#[test]
fn a_response_belongs_to_its_request() {
    let header = RequestHeader {
        api_key: ApiKey::Fetch,
        api_version: 12,
        correlation_id: 3,
        client_id: None,
    };
    assert_eq!(
        encode_response(&header, &MetadataResponse::default()),
        Err(refused(
            "MetadataResponse",
            "api_key",
            EncodeReason::WrongApi
        ))
    );
}

#[test]
fn the_answer_about_versions_never_has_header_tags() {
    for version in 0..=4 {
        let (mut answer, encode_version) = api::api_versions_answer(version);
        answer.error_code = ErrorCode(0x0506);
        assert_eq!(encode_version, version);
        let frame = encode_response_as(0x0102_0304, version, &answer)
            .unwrap()
            .concat();
        // Length, correlation id, and right behind it the error code.
        assert_eq!(frame[4..10], [1, 2, 3, 4, 5, 6]);
        let body = Bytes::from(frame).slice(4..);
        assert_eq!(
            decode_response::<ApiVersionsRequest>(body, version),
            Ok((0x0102_0304, answer))
        );
    }
    // Another flexible response has them.
    let frame = encode_response_as(0x0102_0304, 7, &CreateTopicsResponse::default()).unwrap();
    assert_eq!(frame.concat()[4..9], [1, 2, 3, 4, 0]);
}

#[test]
fn what_is_listed() {
    let (answer, _) = api::api_versions_answer(4);
    assert_eq!(answer.error_code, ErrorCode::NONE);
    let listed: Vec<_> = answer
        .api_keys
        .iter()
        .map(|v| (v.api_key, v.min_version, v.max_version))
        .collect();
    let expected = [
        (0, 0, 12),
        (1, 4, 12),
        (2, 1, 7),
        (3, 0, 12),
        (8, 2, 9),
        (9, 1, 9),
        (10, 0, 4),
        (11, 0, 9),
        (12, 0, 4),
        (13, 0, 5),
        (14, 0, 5),
        (15, 0, 5),
        (16, 0, 5),
        (18, 0, 4),
        (19, 2, 7),
        (20, 1, 6),
        (21, 0, 2),
        (22, 0, 4),
        (23, 2, 4),
        (32, 1, 4),
        (33, 0, 2),
        (35, 1, 4),
        (37, 0, 3),
        (42, 0, 2),
        (44, 0, 1),
        (47, 0, 0),
        (60, 0, 1),
    ];
    assert_eq!(listed, expected);

    let produce = api::served_range(ApiKey::Produce).unwrap();
    assert!(!produce.serves(2) && produce.serves(3) && produce.serves(12) && !produce.serves(13));
    for range in served() {
        let codec = api::codec_versions(range.api).unwrap();
        assert!(codec.contains(range.min_served) && codec.contains(range.max));
    }
    assert_eq!(api::served_range(ApiKey::Vote), None);

    // An unknown version is told, in version 0, how to ask again.
    for unknown in [-1, 5, i16::MAX] {
        let (answer, version) = api::api_versions_answer(unknown);
        assert_eq!(version, 0);
        assert_eq!(answer.error_code, ErrorCode::UNSUPPORTED_VERSION);
        let frame = encode_response_as(1, version, &answer).unwrap().concat();
        assert_eq!(
            frame[4..],
            [0, 0, 0, 1, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]
        );
    }
}

#[test]
fn a_client_picks_the_highest_common_version() {
    use laminarmq_kafka::Versions;
    let ours = Versions { min: 4, max: 12 };
    let pick = |min, max| ours.highest_common(Versions { min, max });
    assert_eq!(pick(0, 17), Some(12));
    assert_eq!(pick(0, 7), Some(7));
    assert_eq!(pick(0, 4), Some(4));
    assert_eq!(pick(0, 3), None);
    assert_eq!(pick(13, 17), None);
}
