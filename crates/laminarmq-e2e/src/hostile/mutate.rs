//! Changing bytes: the generic ways, and one that knows record batches.

use std::ops::Range;

use rand::{Rng, RngExt};

/// Numbers at which code goes wrong.
const EDGES: [i64; 12] = [
    0,
    1,
    -1,
    -2,
    i8::MAX as i64,
    i8::MIN as i64,
    i16::MAX as i64,
    i16::MIN as i64,
    i32::MAX as i64,
    i32::MIN as i64,
    i64::MAX,
    i64::MIN,
];

/// Lengths and counts as varints that promise far more than there is, or never end.
const VARINTS: [&[u8]; 5] = [
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    &[0xff; 12],
    &[0xff, 0x7f],
];

/// The longest range that is cut out or doubled.
const RANGE_BYTES_MAX: usize = 64;

/// Changes `bytes` from `start` on in one to three places.
pub(super) fn mutate(bytes: &mut Vec<u8>, start: usize, other: &[u8], rng: &mut impl Rng) {
    for _ in 0..rng.random_range(1..=3) {
        mutate_once(bytes, start, other, rng);
    }
}

fn mutate_once(bytes: &mut Vec<u8>, start: usize, other: &[u8], rng: &mut impl Rng) {
    if bytes.len() <= start {
        bytes.push(rng.random());
        return;
    }
    let at = rng.random_range(start..bytes.len());
    match rng.random_range(0..10) {
        0 | 1 => bytes[at] ^= 1 << rng.random_range(0..8),
        2 => bytes[at] = rng.random(),
        3 | 4 => overwrite(bytes, at, edge(rng)),
        5 => bytes.truncate(at),
        6 => drop(bytes.drain(short_range(at, bytes.len(), rng))),
        7 => {
            let doubled = bytes[short_range(at, bytes.len(), rng)].to_vec();
            drop(bytes.splice(at..at, doubled));
        }
        8 => {
            let varint = VARINTS[rng.random_range(0..VARINTS.len())];
            if rng.random() {
                overwrite(bytes, at, varint.to_vec());
            } else {
                drop(bytes.splice(at..at, varint.iter().copied()));
            }
        }
        _ => {
            let from = rng.random_range(0..=other.len());
            let range = from..other.len().min(from + RANGE_BYTES_MAX);
            drop(bytes.splice(at..at, other[range].iter().copied()));
        }
    }
}

/// An edge number in one of the widths of the protocol.
fn edge(rng: &mut impl Rng) -> Vec<u8> {
    let bytes = EDGES[rng.random_range(0..EDGES.len())].to_be_bytes();
    let width = 1 << rng.random_range(0..4);
    bytes[8 - width..].to_vec()
}

fn overwrite(bytes: &mut [u8], at: usize, with: Vec<u8>) {
    for (byte, new) in bytes[at..].iter_mut().zip(with) {
        *byte = new;
    }
}

fn short_range(at: usize, len: usize, rng: &mut impl Rng) -> Range<usize> {
    at..rng.random_range(at..=len.min(at + RANGE_BYTES_MAX))
}

/// Where a batch's length counts from.
const LENGTH_COUNTS_FROM: usize = 12;
/// Where a batch's CRC is.
const CRC: Range<usize> = 17..21;

/// The first record batch with a correct CRC in `bytes`.
pub(super) fn find_batch(bytes: &[u8]) -> Option<Range<usize>> {
    (0..bytes.len()).find_map(|start| {
        let head: [u8; 4] = bytes
            .get(start + 8..start + LENGTH_COUNTS_FROM)?
            .try_into()
            .ok()?;
        let length = usize::try_from(i32::from_be_bytes(head)).ok()?;
        let batch = start..start.checked_add(LENGTH_COUNTS_FROM + length)?;
        let found = bytes.get(batch.clone())?;
        let crc: [u8; 4] = found.get(CRC)?.try_into().ok()?;
        (u32::from_be_bytes(crc) == crc32c::crc32c(&found[CRC.end..])).then_some(batch)
    })
}

/// Changes bytes of the batch that its CRC covers, keeps its size, and makes the CRC right again: what a
/// broker sees behind its first checks.
pub(super) fn mutate_batch(batch: &mut [u8], rng: &mut impl Rng) {
    for _ in 0..rng.random_range(1..=3) {
        let at = rng.random_range(CRC.end..batch.len());
        match rng.random_range(0..5) {
            0 | 1 => batch[at] ^= 1 << rng.random_range(0..8),
            2 => batch[at] = rng.random(),
            3 => overwrite(batch, at, edge(rng)),
            _ => overwrite(
                batch,
                at,
                VARINTS[rng.random_range(0..VARINTS.len())].to_vec(),
            ),
        }
    }
    let crc = crc32c::crc32c(&batch[CRC.end..]);
    batch[CRC].copy_from_slice(&crc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn what_is_in_front_of_the_start_stays() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut changed = 0;
        for _ in 0..2000 {
            let mut bytes: Vec<u8> = (0..100).collect();
            mutate(&mut bytes, 20, b"another request", &mut rng);
            assert!(bytes.iter().copied().take(20).eq(0..20), "{bytes:?}");
            changed += usize::from(!bytes.iter().copied().eq(0..100));
        }
        assert!(changed > 1800, "only {changed} of 2000 changed");
    }

    #[test]
    fn a_changed_batch_keeps_its_size_and_has_a_correct_crc() {
        let batch = crate::load::batch(0, 7);
        let frame = [b"some bytes in front", &batch[..], b"and some behind"].concat();
        let place = find_batch(&frame).expect("the batch");
        assert_eq!(frame[place.clone()], batch);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut changed = frame.clone();
        mutate_batch(&mut changed[place.clone()], &mut rng);
        assert_ne!(changed, frame);
        assert_eq!(find_batch(&changed), Some(place));
    }
}
