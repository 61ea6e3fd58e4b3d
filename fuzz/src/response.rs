//! Bodies of responses, which our own client reads: they are refused, or taken whole and written again.

use laminarmq_kafka::{AnyResponse, Reader, generate};

use crate::{codec, memory};

/// Decodes, encodes, decodes and encodes again.
pub fn check(input: &[u8]) {
    let Some((api_key, version, body)) = codec::split(input) else {
        return;
    };
    let decode = |bytes| AnyResponse::decode(api_key, version, &mut Reader::new(bytes));
    let Ok(response) = memory::within(codec::memory(body.len()), || decode(body)) else {
        return;
    };
    assert_eq!(response.api_key(), api_key);
    let encode = |response: &AnyResponse| codec::joined(|w| response.encode(w, version));
    let bytes = encode(&response).expect("what was read can be written");
    let again = decode(bytes.clone()).expect("what was written can be read");
    assert_eq!(again, response);
    assert_eq!(encode(&again).expect("as before"), bytes);
}

/// One response of each API and version.
pub fn seeds() -> Vec<Vec<u8>> {
    codec::seeds(|key, version, source| {
        let response = generate::response(key, version, source).expect("it is in the table");
        codec::joined(|w| response.encode(w, version)).expect("made for this version")
    })
}
