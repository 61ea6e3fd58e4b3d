//! Bytes that are no message: nothing panics, nothing is half read, and what is taken for a message after
//! all survives being written and read again.

use std::collections::BTreeMap;

use bytes::Bytes;
use laminarmq_kafka::{Reader, RequestHeader};

use support::{Body, Numbers, every_body};

mod support;

/// Lengths and counts that lie, in both forms that lengths have.
const LIES: [&[u8]; 8] = [
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xfe],
    &[0x80, 0x00, 0x00, 0x00],
    &[0x7f, 0xff],
    &[0x80, 0x00],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0x80, 0x80, 0x80, 0x80, 0x08],
];

/// Decodes; what is accepted must come back from its own bytes.
fn try_decode(body: Body, bytes: Vec<u8>) -> bool {
    let bytes = Bytes::from(bytes);
    let Ok(message) = body.decode(bytes.clone()) else {
        return false;
    };
    let again = message.encode(body.version);
    let again = again.unwrap_or_else(|e| panic!("{body:?} {bytes:?} decodes but: {e}"));
    assert_eq!(body.decode(again), Ok(message), "{body:?} {bytes:?}");
    true
}

#[test]
fn a_count_without_elements() {
    for body in every_body() {
        for start in 0..24 {
            for lie in LIES {
                for end in [&[][..], &[0, 0], &[0; 40], &[1; 40]] {
                    try_decode(body, [&vec![0; start], lie, end].concat());
                }
            }
        }
    }
}

#[test]
fn no_part_of_a_message_is_a_message() {
    let mut numbers = Numbers(1);
    for body in every_body() {
        for _ in 0..4 {
            let entropy = numbers.bytes(60);
            let bytes = body.generate_bytes(&entropy);
            for len in 0..bytes.len() {
                let result = body.decode(bytes.slice(..len));
                assert!(result.is_err(), "{body:?} {len} of {bytes:?}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(body.decode(longer.into()).is_err(), "{body:?} {bytes:?}");
        }
    }
}

#[test]
fn mutated_messages() {
    let mut numbers = Numbers(2);
    let (mut cases, mut accepted) = (0, BTreeMap::new());
    for body in every_body() {
        let taken: &mut u32 = accepted.entry(format!("{body:?}")).or_default();
        for _ in 0..400 {
            let len = numbers.below(120);
            let entropy = numbers.bytes(len);
            let mut bytes = body.generate_bytes(&entropy).to_vec();
            for _ in 0..=numbers.below(3) {
                mutate(&mut bytes, &mut numbers);
            }
            *taken += u32::from(try_decode(body, bytes));
            cases += 1;
        }
    }
    assert!(cases >= 100_000, "{cases}");
    // Mutations that no body survives would test little more than random bytes do.
    let never: Vec<_> = accepted.iter().filter(|(_, n)| **n == 0).collect();
    assert!(never.is_empty(), "{never:?}");
}

fn mutate(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let at = numbers.below(bytes.len() + 1);
    match numbers.below(6) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, numbers.byte()),
        2 if at < bytes.len() => {
            bytes.remove(at);
        }
        3 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
        4 => {
            let lie = LIES[numbers.below(LIES.len())];
            let end = bytes.len().min(at + lie.len());
            bytes.splice(at..end, lie.iter().copied());
        }
        _ if at < bytes.len() => bytes[at] = numbers.byte(),
        _ => {}
    }
}

#[test]
fn random_bytes() {
    let mut numbers = Numbers(3);
    for body in every_body() {
        for _ in 0..400 {
            let len = numbers.below(64);
            let mut bytes = numbers.bytes(len);
            // Small numbers are lengths that may hold.
            for byte in &mut bytes {
                if numbers.below(2) == 0 {
                    *byte %= 4;
                }
            }
            try_decode(body, bytes);
        }
    }
}

#[test]
fn random_headers() {
    let mut numbers = Numbers(4);
    let mut taken = 0;
    for _ in 0..20_000 {
        let len = numbers.below(40);
        let mut bytes = numbers.bytes(len);
        for (i, byte) in bytes.iter_mut().enumerate() {
            if matches!(i, 0 | 2 | 8) {
                *byte = 0;
            } else if matches!(i, 1 | 3 | 9) {
                *byte %= 24;
            } else {
                *byte %= 0x80;
            }
        }
        let mut r = Reader::new(bytes.into());
        let header = RequestHeader::decode(&mut r);
        taken += u32::from(header.is_ok());
        if let Ok(header) = header {
            let _ = laminarmq_kafka::AnyRequest::decode(&header, &mut r);
        }
    }
    assert!(taken > 1000, "{taken}");
}
