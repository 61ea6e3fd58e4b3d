//! Batches in and out.

use super::counter;
use bytes::{Buf, Bytes};
use laminarmq_kafka::batch::BatchHeader;
use prometheus::{IntCounter, Registry};

#[derive(Debug)]
pub(crate) struct DataMetrics {
    produced: Flow,
    fetched: Flow,
}

#[derive(Debug)]
struct Flow {
    bytes: IntCounter,
    batches: IntCounter,
    records: IntCounter,
}

/// How much of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) bytes: u64,
    pub(crate) batches: u64,
    pub(crate) records: u64,
}

impl DataMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            produced: Flow {
                bytes: counter(
                    registry,
                    "laminarmq_produced_bytes_total",
                    "Bytes of batches that were written and confirmed, as they came (compressed).",
                ),
                batches: counter(
                    registry,
                    "laminarmq_produced_batches_total",
                    "Batches that were written and confirmed.",
                ),
                records: counter(
                    registry,
                    "laminarmq_produced_records_total",
                    "Records that were written and confirmed.",
                ),
            },
            fetched: Flow {
                bytes: counter(
                    registry,
                    "laminarmq_fetched_bytes_total",
                    "Bytes of batches in answers to fetches (compressed).",
                ),
                batches: counter(
                    registry,
                    "laminarmq_fetched_batches_total",
                    "Batches in answers to fetches.",
                ),
                records: counter(
                    registry,
                    "laminarmq_fetched_records_total",
                    "Records of the batches in answers to fetches.",
                ),
            },
        }
    }

    pub(crate) fn produced(&self, amount: Amount) {
        self.produced.add(amount);
    }

    /// Counts the batches of one partition of an answer.
    pub(crate) fn fetched(&self, pieces: &[Bytes]) {
        self.fetched.add(amount_of(pieces));
    }
}

impl Flow {
    fn add(&self, amount: Amount) {
        if amount.batches > 0 {
            self.bytes.inc_by(amount.bytes);
            self.batches.inc_by(amount.batches);
            self.records.inc_by(amount.records);
        }
    }
}

/// Looks at the heads of whole batches that stand in pieces: a head is never torn, the bytes behind it may
/// be in the next piece.
fn amount_of(pieces: &[Bytes]) -> Amount {
    let mut amount = Amount {
        bytes: pieces.iter().map(|piece| piece.len() as u64).sum(),
        ..Amount::default()
    };
    // Of the batch at hand, behind the bytes that were looked at.
    let mut rest = 0;
    for piece in pieces {
        let mut piece = &piece[..];
        loop {
            let skipped = piece.len().min(rest);
            piece.advance(skipped);
            rest -= skipped;
            if piece.is_empty() {
                break;
            }
            let Ok(header) = BatchHeader::parse(piece) else {
                // What was stored was checked before, so this cannot be; the bytes are counted.
                return amount;
            };
            amount.batches += 1;
            amount.records += u64::from(header.record_count.unsigned_abs());
            rest = header.size;
        }
    }
    amount
}

#[cfg(test)]
mod tests {
    use super::*;
    use laminarmq_kafka::batch::{BatchBuilder, Compression, HEAD_BYTES, NewRecord};

    fn batch(records: usize) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::None);
        for _ in 0..records {
            builder.push(&NewRecord::default()).unwrap();
        }
        builder.build()
    }

    #[test]
    fn batches_are_counted_however_they_are_cut_behind_their_heads() {
        let (one, two) = (batch(1), batch(7));
        let bytes = (one.len() + two.len()) as u64;
        let want = Amount {
            bytes,
            batches: 2,
            records: 8,
        };
        let joined = Bytes::from([&one[..], &two[..]].concat());
        assert_eq!(amount_of(std::slice::from_ref(&joined)), want);
        assert_eq!(amount_of(&[one.clone(), two.clone()]), want);
        let head = |batch: &Bytes| batch.slice(..HEAD_BYTES);
        let body = |batch: &Bytes| batch.slice(HEAD_BYTES..);
        assert_eq!(
            amount_of(&[head(&one), body(&one), head(&two), body(&two)]),
            want
        );
        let middle = one.len() + HEAD_BYTES + 3;
        assert_eq!(
            amount_of(&[joined.slice(..middle), joined.slice(middle..)]),
            want
        );
        assert_eq!(amount_of(&[]), Amount::default());
    }
}
