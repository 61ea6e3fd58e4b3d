//! What requests and responses have in common.
//!
//! An input is: a number that picks the API, one that picks its version, and the body.

use bytes::Bytes;
use laminarmq_kafka::generate::Source;
use laminarmq_kafka::{ApiKey, EncodeError, Writer, api};

/// Bytes of memory that a decoder may take for one byte of input: the worst element is an empty text, 24 bytes
/// for one, and a claim that turns out wrong costs as much once more on each level above it.
const MEMORY_PER_BYTE: u64 = 24 * 3;
/// For error values and the like.
const MEMORY_CONSTANT: u64 = 4096;

/// What decoding so many bytes may allocate.
pub(crate) fn memory(len: usize) -> u64 {
    MEMORY_PER_BYTE * len as u64 + MEMORY_CONSTANT
}

/// Every API of the codec.
fn apis() -> Vec<ApiKey> {
    let all = ApiKey::ALL.iter().copied();
    all.filter(|&key| api::codec_versions(key).is_some())
        .collect()
}

/// The API, version and body of an input.
pub(crate) fn split(input: &[u8]) -> Option<(ApiKey, i16, Bytes)> {
    let [api, version, body @ ..] = input else {
        return None;
    };
    let apis = apis();
    let key = apis[usize::from(*api) % apis.len()];
    let versions = api::codec_versions(key).expect("it is in the table");
    let count = versions.max - versions.min + 1;
    Some((
        key,
        versions.min + i16::from(*version) % count,
        Bytes::copy_from_slice(body),
    ))
}

/// What an encoder wrote, in one piece.
pub(crate) fn joined(
    encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    encode(&mut w)?;
    Ok(w.finish().concat().into())
}

/// An input for each API and version, around the body that `body` makes from a source of values.
pub(crate) fn seeds(body: impl Fn(ApiKey, i16, &mut Source<'_>) -> Bytes) -> Vec<Vec<u8>> {
    // Every kind of value that the generator has, in an order that reaches several levels of arrays.
    let values: Vec<u8> = (0..400u32)
        .map(|i| (i * 37 % 251).to_le_bytes()[0])
        .collect();
    let mut seeds = Vec::new();
    for (number, key) in (0u8..).zip(apis()) {
        let versions = api::codec_versions(key).expect("it is in the table");
        for (offset, version) in (0u8..).zip(versions.min..=versions.max) {
            let body = body(key, version, &mut Source::new(&values));
            seeds.push([&[number, offset], &body[..]].concat());
        }
    }
    seeds
}
