//! Cases: frames, and what may be concluded from the answer.

use bytes::Bytes;
use laminarmq_kafka::ApiKey;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::mutate::{find_batch, mutate, mutate_batch};
use super::valid_requests;

/// Bytes of the length in front of a frame.
const LENGTH: usize = 4;
/// Where a frame's correlation id is.
const CORRELATION: std::ops::Range<usize> = 8..12;
/// What was done to a valid request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Nothing: it must be answered, and the answer must be well-formed.
    Valid,
    /// Bytes behind its correlation id were changed: an answer that comes must be to this API and version, and well-formed.
    Body,
    /// Its batch was changed and given a correct CRC; otherwise as `Body`.
    Batch,
    /// Any byte behind the length was changed: nothing is known of an answer.
    Header,
    /// The length in front is wrong: what follows is out of step, so the connection is used up.
    Framing,
}

/// Something to send.
#[derive(Debug, Clone)]
pub struct Case {
    /// The API of the request that it was made from.
    pub api: ApiKey,
    /// Its version.
    pub version: i16,
    /// What was done to it.
    pub class: Class,
    /// The bytes to send, length included.
    pub bytes: Vec<u8>,
}

impl Case {
    /// Puts this correlation id where a request has it.
    pub fn set_correlation(&mut self, correlation: i32) {
        // Cases whose header was changed may be too short to have one.
        if let Some(place) = self.bytes.get_mut(CORRELATION) {
            place.copy_from_slice(&correlation.to_be_bytes());
        }
    }
}

/// `count` cases made from valid requests of this API and version; the same seed gives the same ones.
///
/// The first are the valid requests themselves.
pub fn cases(
    api: ApiKey,
    version: i16,
    topic: &str,
    count: usize,
    seed: u64,
) -> impl Iterator<Item = Case> {
    let own = u64::from(api.number().unsigned_abs()) << 32 | u64::from(version.unsigned_abs());
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ own << 8);
    let valid = valid_requests(api, version, topic);
    (0..count).map(move |index| {
        let (class, bytes) = match valid.get(index) {
            Some(frame) => (Class::Valid, frame.to_vec()),
            None => mutation(&valid, &mut rng),
        };
        Case {
            api,
            version,
            class,
            bytes,
        }
    })
}

fn mutation(valid: &[Bytes], rng: &mut impl Rng) -> (Class, Vec<u8>) {
    let pick = |rng: &mut _| &valid[RngExt::random_range(rng, 0..valid.len())];
    let (frame, other) = (pick(rng), pick(rng));
    let mut bytes = frame.to_vec();
    let class = match rng.random_range(0..100) {
        0..4 => {
            mutate(&mut bytes, LENGTH, other, rng);
            Class::Header
        }
        4..6 => {
            mutate_length(&mut bytes, rng);
            return (Class::Framing, bytes);
        }
        6..50 if let Some(batch) = find_batch(&bytes) => {
            mutate_batch(&mut bytes[batch], rng);
            Class::Batch
        }
        _ => {
            mutate(&mut bytes, CORRELATION.end, other, rng);
            Class::Body
        }
    };
    let length = i32::try_from(bytes.len() - LENGTH).expect("a short frame");
    bytes[..LENGTH].copy_from_slice(&length.to_be_bytes());
    (class, bytes)
}

/// A length that is negative, absurd, or some bytes off.
fn mutate_length(bytes: &mut [u8], rng: &mut impl Rng) {
    let length = i32::try_from(bytes.len() - LENGTH).expect("a short frame");
    let wrong = match rng.random_range(0..4) {
        0 => i32::MIN | rng.random::<i32>(),
        1 => i32::MAX - rng.random_range(0..1 << 20),
        2 => rng.random_range(0..length),
        _ => length + rng.random_range(1..1 << 20),
    };
    bytes[..LENGTH].copy_from_slice(&wrong.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_follow_from_the_seed_and_keep_what_their_class_says() {
        let all = |seed| {
            cases(ApiKey::Produce, 9, "topic", 500, seed)
                .map(|case| case.bytes)
                .collect::<Vec<_>>()
        };
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));

        let valid = valid_requests(ApiKey::Produce, 9, "topic");
        let mut classes = std::collections::BTreeMap::<_, usize>::new();
        for mut case in cases(ApiKey::Produce, 9, "topic", 2000, 3) {
            *classes.entry(case.class).or_default() += 1;
            case.set_correlation(0);
            let is_valid = valid.iter().any(|frame| frame[..] == case.bytes);
            let length = u32::from_be_bytes(case.bytes[..LENGTH].try_into().expect("four bytes"));
            let framed = length as usize == case.bytes.len() - LENGTH;
            let header =
                case.bytes.get(LENGTH..CORRELATION.end) == valid[0].get(LENGTH..CORRELATION.end);
            match case.class {
                Class::Valid => assert!(is_valid),
                Class::Body => assert!(framed && header),
                Class::Batch => assert!(framed && header && find_batch(&case.bytes).is_some()),
                Class::Header => assert!(framed),
                Class::Framing => assert!(!framed),
            }
        }
        assert_eq!(classes.len(), 5, "{classes:?}");
        assert!(
            classes[&Class::Body] + classes[&Class::Batch] > 1700,
            "{classes:?}"
        );
    }
}
