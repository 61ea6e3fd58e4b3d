//! Every message in every version against another implementation, both ways: our bytes mean the same to it,
//! field by field, and the bytes that it writes for them are ours.
//!
//! Which messages and versions those are is written down here a second time, and every test counts what it has
//! compared: nothing can be left out in silence.

use std::cell::RefCell;
use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    ApiKey as TheirKey, RequestHeader as TheirRequestHeader, RequestKind,
    ResponseHeader as TheirResponseHeader, ResponseKind,
};
use kafka_protocol::protocol::{Decodable, Encodable};
use laminarmq_kafka::{
    AnyRequest, AnyResponse, ApiKey, EncodeError, EncodeReason, ErrorCode, Reader, RequestHeader,
    ResponseHeader, Writer, api, generate,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use fields::Fields;
use promised::{PROMISED, VERSIONS, every_version};
use tree::Tree;

mod fields;
mod later;
mod promised;
mod tree;

/// How many values each message and version is tried with.
const CASES: u32 = 128;

fn joined(w: Writer) -> Bytes {
    w.finish().concat().into()
}

fn their_key(key: ApiKey) -> TheirKey {
    TheirKey::try_from(key.number()).expect("they know the API")
}

fn assert_same(ours: &impl std::fmt::Debug, theirs: &impl std::fmt::Debug, context: &str) {
    Tree::of(ours).assert_in(&Tree::of(theirs), later::FIELDS, context);
}

fn sorted<const N: usize>(mut versions: [(ApiKey, i16, i16); N]) -> [(ApiKey, i16, i16); N] {
    versions.sort_by_key(|(key, ..)| key.number());
    versions
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

    let longer = later::request(theirs, version);
    let has_tags = their_key(key).request_header_version(version) >= 2;
    assert_eq!(longer.len() > bytes.len(), has_tags, "{context}");
    let longer = AnyRequest::decode(&header, &mut Reader::new(longer)).expect(&context);
    assert_eq!(longer, ours, "{context}");
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

    let longer = later::response(theirs, version);
    let has_tags = their_key(key).request_header_version(version) >= 2;
    assert_eq!(longer.len() > bytes.len(), has_tags, "{context}");
    let longer = AnyResponse::decode(key, version, &mut Reader::new(longer)).expect(&context);
    assert_eq!(longer, ours, "{context}");
}

fn check_request_header(key: ApiKey, version: i16, correlation_id: i32, client_id: Option<&str>) {
    let ours = RequestHeader {
        api_key: key,
        api_version: version,
        correlation_id,
        client_id: client_id.map(str::to_owned),
    };
    let mut w = Writer::new();
    ours.encode(&mut w).expect("a short client id");
    let bytes = joined(w);

    let form = their_key(key).request_header_version(version);
    let mut rest = bytes.clone();
    let theirs = TheirRequestHeader::decode(&mut rest, form).expect("theirs too");
    assert!(rest.is_empty());
    assert_eq!(theirs.request_api_key, key.number());
    assert_eq!(theirs.request_api_version, version);
    assert_eq!(theirs.correlation_id, correlation_id);
    assert_eq!(theirs.client_id.as_deref(), client_id);
    let mut back = BytesMut::new();
    theirs.encode(&mut back, form).expect("it came from bytes");
    assert_eq!(back.freeze(), bytes);

    let mut r = Reader::new(bytes);
    assert_eq!(RequestHeader::decode(&mut r).as_ref(), Ok(&ours));
    assert_eq!(r.remaining(), 0);

    if form >= 2 {
        // What a later client may add is skipped.
        let mut longer = BytesMut::new();
        let theirs = theirs.with_unknown_tagged_fields(later::unknown_tags());
        theirs.encode(&mut longer, form).expect("it has tags");
        let mut r = Reader::new(longer.freeze());
        assert_eq!(RequestHeader::decode(&mut r), Ok(ours));
        assert_eq!(r.remaining(), 0);
    }
}

fn check_response_header(key: ApiKey, version: i16, correlation_id: i32) {
    let ours = ResponseHeader { correlation_id };
    let mut w = Writer::new();
    ours.encode(&mut w, key, version);
    let bytes = joined(w);

    let form = their_key(key).response_header_version(version);
    let mut rest = bytes.clone();
    let theirs = TheirResponseHeader::decode(&mut rest, form).expect("theirs too");
    assert!(rest.is_empty());
    assert_eq!(theirs.correlation_id, correlation_id);
    let mut back = BytesMut::new();
    theirs.encode(&mut back, form).expect("it came from bytes");
    assert_eq!(back.freeze(), bytes);

    let mut r = Reader::new(bytes);
    assert_eq!(ResponseHeader::decode(&mut r, key, version), Ok(ours));
    assert_eq!(r.remaining(), 0);

    if form >= 1 {
        let mut longer = BytesMut::new();
        let theirs = theirs.with_unknown_tagged_fields(later::unknown_tags());
        theirs.encode(&mut longer, form).expect("it has tags");
        let mut r = Reader::new(longer.freeze());
        assert_eq!(ResponseHeader::decode(&mut r, key, version), Ok(ours));
        assert_eq!(r.remaining(), 0);
    }
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

/// Runs a check over generated values, for every API and version that is promised, and counts.
fn for_every_version<V: std::fmt::Debug>(
    values: impl Strategy<Value = V>,
    check: impl Fn(ApiKey, i16, &V),
) {
    let counts = RefCell::new(BTreeMap::new());
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&values, |value| {
            for (key, version) in every_version() {
                check(key, version, &value);
                *counts.borrow_mut().entry((key, version)).or_insert(0) += 1;
            }
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{e}"));
    let counts = counts.into_inner();
    assert_eq!(counts.len(), VERSIONS);
    assert!(counts.values().all(|&count| count >= CASES), "{counts:?}");
}

fn entropy() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..400)
}

#[test]
fn the_codec_has_what_is_promised_and_nothing_unproven() {
    let has = |key: ApiKey| api::codec_versions(key).map(|v| (key, v.min, v.max));
    let codec: Vec<_> = ApiKey::ALL.iter().filter_map(|&key| has(key)).collect();
    assert_eq!(codec, sorted(PROMISED));
    assert_eq!(every_version().count(), VERSIONS);
    for range in laminarmq_kafka::served() {
        for version in range.min_served..=range.max {
            let promised = every_version().any(|one| one == (range.api, version));
            assert!(promised, "{} v{version}", range.api);
        }
    }
}

#[test]
fn requests_are_the_same_bytes() {
    for_every_version(entropy(), |key, version, entropy| {
        check_request(key, version, entropy);
    });
}

#[test]
fn responses_are_the_same_bytes() {
    for_every_version(entropy(), |key, version, entropy| {
        check_response(key, version, entropy);
    });
}

#[test]
fn older_versions_refuse_the_same() {
    for_every_version(entropy(), |key, version, entropy| {
        check_downgrade(key, version, entropy);
    });
}

#[test]
fn headers_are_the_same_bytes() {
    let client_id = proptest::option::of("[a-zé]{0,40}");
    for_every_version((any::<i32>(), client_id), |key, version, value| {
        let (correlation_id, client_id) = value;
        check_request_header(key, version, *correlation_id, client_id.as_deref());
        check_response_header(key, version, *correlation_id);
    });
}

#[test]
fn the_values_reach_every_field() {
    let fields = RefCell::new(Fields::default());
    for_every_version(entropy(), |key, version, entropy| {
        let source = &mut generate::Source::new(entropy);
        let request = generate::request(key, version, source).expect("a version of the table");
        let response = generate::response(key, version, source).expect("a version of the table");
        let mut fields = fields.borrow_mut();
        fields.note(&format!("{key} request"), &Tree::of(&request));
        fields.note(&format!("{key} response"), &Tree::of(&response));
    });
    let fields = fields.into_inner();
    assert!(fields.len() > 400, "{}", fields.len());
    assert_eq!(fields.constant(), [""; 0]);
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
