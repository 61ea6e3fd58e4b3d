//! What a decoder says about bytes that are not quite a message, and what it puts up with.

use bytes::Bytes;
use laminarmq_kafka::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DeleteTopicsRequest, FetchResponse, MetadataRequest,
    ProduceRequest,
};
use laminarmq_kafka::{
    AnyRequest, ApiKey, DecodeError, DecodeReason, Message, Reader, RequestHeader, Uuid, Writer,
};

fn bytes(parts: &[&[u8]]) -> Bytes {
    parts.concat().into()
}

fn error(
    (part, field): (&'static str, &'static str),
    offset: usize,
    reason: DecodeReason,
) -> DecodeError {
    DecodeError {
        part,
        field,
        offset,
        reason,
    }
}

#[test]
fn a_golden_request_of_each_kind() {
    // Version 9: null transactional id, acks -1, 30 s, one topic "t", one partition 2, two bytes.
    let frame = bytes(&[
        &[0, 0, 0, 9, 0, 0, 0, 7, 0, 2, b'm', b'e', 0],
        &[0, 0xff, 0xff, 0, 0, 0x75, 0x30],
        &[2, 2, b't', 2, 0, 0, 0, 2, 3, 0xab, 0xcd, 0, 0, 0],
    ]);
    let mut r = Reader::new(frame.clone());
    let header = RequestHeader::decode(&mut r).unwrap();
    assert_eq!(header.api_key, ApiKey::Produce);
    assert_eq!((header.api_version, header.correlation_id), (9, 7));
    assert_eq!(header.client_id.as_deref(), Some("me"));
    let Ok(AnyRequest::Produce(produce)) = AnyRequest::decode(&header, &mut r) else {
        panic!("a produce request");
    };
    assert_eq!((produce.acks, produce.timeout_ms), (-1, 30_000));
    assert_eq!(produce.transactional_id, None);
    assert_eq!(produce.topic_data[0].name, "t");
    let partition = &produce.topic_data[0].partition_data[0];
    assert_eq!(partition.index, 2);
    let records = partition.records.as_ref().unwrap();
    assert_eq!(records[..], [0xab, 0xcd]);
    // A slice of the frame, not a copy.
    assert_eq!(records.as_ptr(), frame[29..].as_ptr());

    // Version 1, not flexible: one topic "t", no header tags.
    let frame = bytes(&[
        &[0, 3, 0, 1, 0, 0, 0, 8, 0xff, 0xff],
        &[0, 0, 0, 1, 0, 1, b't'],
    ]);
    let mut r = Reader::new(frame);
    let header = RequestHeader::decode(&mut r).unwrap();
    assert_eq!(
        (header.api_key, header.client_id.as_ref()),
        (ApiKey::Metadata, None)
    );
    let Ok(AnyRequest::Metadata(metadata)) = AnyRequest::decode(&header, &mut r) else {
        panic!("a metadata request");
    };
    let topics = metadata.topics.unwrap();
    assert_eq!(topics[0].name.as_deref(), Some("t"));
    assert_eq!(topics[0].topic_id, Uuid::ZERO);
    assert!(
        metadata.allow_auto_topic_creation,
        "the default of old versions"
    );
}

#[test]
fn null_where_none_is_allowed() {
    let null = DecodeReason::Null;
    let all = MetadataRequest::decode_exact(bytes(&[&[0xff; 4]]), 1).unwrap();
    assert_eq!(all.topics, None);
    assert_eq!(
        MetadataRequest::decode_exact(bytes(&[&[0xff; 4]]), 0),
        Err(error(("MetadataRequest", "topics"), 4, null))
    );
    // A topic without a name: only together with ids.
    assert_eq!(
        MetadataRequest::decode_exact(bytes(&[&[2, 0, 0, 0, 0, 0, 0]]), 9),
        Err(error(("MetadataRequestTopic", "name"), 2, null))
    );
    let by_id = bytes(&[&[2], &[7; 16], &[0, 0, 1, 0, 0]]);
    let by_id = MetadataRequest::decode_exact(by_id, 10);
    assert!(by_id.is_err(), "version 10 still has the cluster's flag");
    let by_id = bytes(&[&[2], &[7; 16], &[0, 0, 1, 0, 0]]);
    let by_id = MetadataRequest::decode_exact(by_id, 11).unwrap();
    assert_eq!(by_id.topics.unwrap()[0].name, None);
}

#[test]
fn lengths_that_do_not_hold() {
    let decode = |parts: &[&[u8]]| DeleteTopicsRequest::decode_exact(bytes(parts), 1).unwrap_err();
    let at = ("DeleteTopicsRequest", "topic_names");
    assert_eq!(
        decode(&[&[0xff, 0xff, 0xff, 0xfe]]),
        error(at, 0, DecodeReason::NegativeLength(-2))
    );
    assert_eq!(
        decode(&[&[0, 0, 0, 2, 0, 0, 0]]),
        error(at, 4, DecodeReason::TooManyElements { count: 2, left: 3 })
    );
    assert_eq!(
        decode(&[&[0, 0, 0, 1, 0, 3, b'a', b'b']]),
        error(at, 6, DecodeReason::Truncated { needed: 3, left: 2 })
    );
    assert_eq!(
        decode(&[&[0, 0, 0, 1, 0, 1, 0xff]]),
        error(at, 6, DecodeReason::NotUtf8)
    );
    assert_eq!(
        decode(&[&[0, 0, 0]]),
        error(at, 0, DecodeReason::Truncated { needed: 4, left: 3 })
    );
    assert_eq!(
        decode(&[&[0, 0, 0, 0, 0, 0]]),
        error(
            ("DeleteTopicsRequest", "timeout_ms"),
            4,
            DecodeReason::Truncated { needed: 4, left: 2 }
        )
    );

    let decode = |parts: &[&[u8]]| DeleteTopicsRequest::decode_exact(bytes(parts), 4).unwrap_err();
    assert_eq!(
        decode(&[&[0xff; 6]]),
        error(at, 0, DecodeReason::VarintTooLarge)
    );
    // 0x8002 is one above 0x8001, and that above the limit.
    assert_eq!(
        decode(&[&[2, 0x81, 0x80, 2], &[b'a'; 0x8001]]),
        error(at, 1, DecodeReason::TextTooLong(0x8000))
    );
}

#[test]
fn librdkafkas_question_for_all_topics_is_understood() {
    let decode = |api_version, body: &'static [u8]| {
        let header = RequestHeader {
            api_key: ApiKey::Metadata,
            api_version,
            correlation_id: 1,
            client_id: None,
        };
        AnyRequest::decode(&header, &mut Reader::new(body.into()))
    };
    // As version 2.16 sends it: a null list, three bytes of nothing, two flags, no tags.
    let Ok(AnyRequest::Metadata(request)) = decode(12, &[0, 0, 0, 0, 1, 0, 0]) else {
        panic!("not understood");
    };
    assert_eq!(request.topics, None);
    assert!(!request.allow_auto_topic_creation);
    for (version, body) in [(12, &[0; 6][..]), (12, &[0; 8]), (8, &[0xff; 10])] {
        let error = decode(version, body).unwrap_err().to_string();
        assert!(error.contains("bytes too many"), "{error}");
    }
}

#[test]
fn what_follows_a_request_is_refused() {
    let header = RequestHeader {
        api_key: ApiKey::ApiVersions,
        api_version: 0,
        correlation_id: 1,
        client_id: None,
    };
    let decode = |b: &'static [u8]| AnyRequest::decode(&header, &mut Reader::new(b.into()));
    assert!(decode(&[]).is_ok());
    let reason = DecodeReason::TrailingBytes(2);
    assert_eq!(
        decode(&[1, 2]),
        Err(error(("ApiVersions", "end"), 0, reason))
    );
    assert_eq!(
        ApiVersionsRequest::decode_exact(bytes(&[&[1, 2]]), 0),
        Err(error(("ApiVersionsRequest", "end"), 0, reason))
    );
}

#[test]
fn versions_and_apis_that_do_not_exist() {
    assert_eq!(
        ProduceRequest::decode_exact(bytes(&[&[0; 40]]), 2),
        Err(error(
            ("ProduceRequest", "version"),
            0,
            DecodeReason::UnsupportedVersion(2)
        ))
    );
    assert_eq!(
        RequestHeader::decode(&mut Reader::new(bytes(&[&[0x7f, 0xff], &[0; 20]]))),
        Err(error(
            ("RequestHeader", "api_key"),
            2,
            DecodeReason::UnknownApi(0x7fff)
        ))
    );
    // Known by name, but without a schema here.
    let mut r = Reader::new(bytes(&[&[0, 52, 0, 0, 0, 0, 0, 1, 0xff, 0xff]]));
    let header = RequestHeader::decode(&mut r).unwrap();
    assert_eq!(header.api_key, ApiKey::Vote);
    let error = AnyRequest::decode(&header, &mut r).unwrap_err();
    assert_eq!(error.reason, DecodeReason::UnknownApi(52));
    // An unknown version of a known API still has a header that can be read, to answer it.
    let mut r = Reader::new(bytes(&[
        &[0, 18, 0, 99, 0, 0, 0, 1, 0, 1, b'x', 0],
        &[9; 9],
    ]));
    let header = RequestHeader::decode(&mut r).unwrap();
    assert_eq!(
        (header.api_version, header.client_id.as_deref()),
        (99, Some("x"))
    );
    assert_eq!(r.rest()[..], [9; 9]);
}

#[test]
fn tagged_fields() {
    let plain = bytes(&[&[2, b'a', 2, b'b', 0]]);
    let plain = ApiVersionsRequest::decode_exact(plain, 3).unwrap();
    // Two tags that nobody knows, one of them large.
    let unknown = bytes(&[&[2, b'a', 2, b'b', 2, 0, 1, 9, 0xff, 0xff, 3, 2, 9, 9]]);
    assert_eq!(ApiVersionsRequest::decode_exact(unknown, 3), Ok(plain));

    // Tag 1 of the response is a 64-bit number.
    let head: &[u8] = &[0, 0, 1, 0, 0, 0, 0];
    let known = bytes(&[head, &[1, 1, 8, 0, 0, 0, 0, 0, 0, 0, 5]]);
    let known = ApiVersionsResponse::decode_exact(known, 3).unwrap();
    assert_eq!(known.finalized_features_epoch, 5);

    // A known one must fill its size, and may not reach past it.
    let decode = |tags: &[u8]| ApiVersionsResponse::decode_exact(bytes(&[head, tags]), 3);
    let tag = ("ApiVersionsResponse", "tagged fields");
    assert_eq!(
        decode(&[1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 5, 6]),
        Err(error(tag, 18, DecodeReason::TrailingBytes(1)))
    );
    assert_eq!(
        decode(&[1, 1, 7, 0, 0, 0, 0, 0, 0, 0, 5]),
        Err(error(
            ("ApiVersionsResponse", "finalized_features_epoch"),
            10,
            DecodeReason::Truncated { needed: 8, left: 7 }
        ))
    );
    // Sizes and counts that lie.
    assert_eq!(
        decode(&[1, 77, 3, 1, 2]),
        Err(error(
            tag,
            10,
            DecodeReason::Truncated { needed: 3, left: 2 }
        ))
    );
    assert_eq!(
        decode(&[0xff, 0xff, 0xff, 0xff, 0x0f]),
        Err(error(
            tag,
            12,
            DecodeReason::Truncated { needed: 1, left: 0 }
        ))
    );
}

#[test]
fn records_of_a_response_share_the_frame() {
    let mut w = Writer::new();
    let records = Bytes::from(vec![9; 5000]);
    let response = FetchResponse {
        responses: vec![laminarmq_kafka::messages::fetch::FetchableTopicResponse {
            topic: "t".to_owned(),
            partitions: vec![laminarmq_kafka::messages::fetch::PartitionData {
                records: vec![records.slice(..3000), records.slice(3000..)].into(),
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    response.encode(&mut w, 12).unwrap();
    let frame = Bytes::from(w.finish().concat());
    let decoded = FetchResponse::decode_exact(frame.clone(), 12).unwrap();
    assert_eq!(decoded, response);
    let pieces = decoded.responses[0].partitions[0].records.pieces();
    assert_eq!(pieces.len(), 1);
    let range = frame.as_ptr_range();
    assert!(range.contains(&pieces[0].as_ptr()));
}
