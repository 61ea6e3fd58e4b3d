//! Bodies of requests, of every API and version: they are refused, or taken whole and written again.

use laminarmq_kafka::{AnyRequest, Reader, RequestHeader, generate};

use crate::{codec, memory};

/// Decodes, encodes, decodes and encodes again.
pub fn check(input: &[u8]) {
    let Some((api_key, api_version, body)) = codec::split(input) else {
        return;
    };
    let header = RequestHeader {
        api_key,
        api_version,
        correlation_id: 0,
        client_id: None,
    };
    let decode = |bytes| AnyRequest::decode(&header, &mut Reader::new(bytes));
    let Ok(request) = memory::within(codec::memory(body.len()), || decode(body)) else {
        return;
    };
    assert_eq!(request.api_key(), api_key);
    let encode = |request: &AnyRequest| codec::joined(|w| request.encode(w, api_version));
    let bytes = encode(&request).expect("what was read can be written");
    let again = decode(bytes.clone()).expect("what was written can be read");
    assert_eq!(again, request);
    assert_eq!(encode(&again).expect("as before"), bytes);
}

/// One request of each API and version.
pub fn seeds() -> Vec<Vec<u8>> {
    codec::seeds(|key, version, source| {
        let request = generate::request(key, version, source).expect("it is in the table");
        codec::joined(|w| request.encode(w, version)).expect("made for this version")
    })
}
