//! The batches of one partition that one fetch brought, and the wanted records in them.

use bytes::Bytes;
use laminarmq_kafka::batch::{BatchError, BatchLimits, Batches, Record, Records, batches};

use crate::client::ClientError;

/// What a batch may decompress to: more than any broker accepts, less than what hurts.
const LIMITS: BatchLimits = BatchLimits {
    batch_bytes_max: crate::client::FRAME_BYTES_MAX,
    decompressed_bytes_max: 512 << 20,
};

/// Whole batches, of which the records from `from` up to `to` are wanted.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) partition: i32,
    pub(super) data: Bytes,
    pub(super) from: i64,
    /// Exclusive; `None`: all.
    pub(super) to: Option<i64>,
    /// Where the partition is to be read on after these, beyond what was no record too.
    pub(crate) next: i64,
}

impl Delivery {
    /// The records, checked by the CRC of their batch. Ends after an error.
    pub(crate) fn records(&self) -> impl Iterator<Item = Result<Record, ClientError>> {
        let partition = self.partition;
        Wanted {
            batches: batches(self.data.clone()),
            records: None,
            from: self.from,
            to: self.to,
        }
        .map(move |record| record.map_err(|source| ClientError::Batch { partition, source }))
    }
}

/// The offset behind the last whole batch in `data`; `None`: there is no whole batch.
pub(super) fn next_offset(data: &Bytes) -> Result<Option<i64>, BatchError> {
    let mut next = None;
    for batch in batches(data.clone()) {
        next = Some(batch?.header().next_offset());
    }
    Ok(next)
}

struct Wanted {
    batches: Batches,
    /// Those of the batch at hand.
    records: Option<Records>,
    from: i64,
    to: Option<i64>,
}

impl Wanted {
    /// The records of the next batch with any for us; `None`: no more.
    fn next_batch(&mut self) -> Option<Result<Records, BatchError>> {
        loop {
            let batch = match self.batches.next()? {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            };
            let header = batch.header();
            // A fetch may begin with a batch that lies before the wanted offset, but for its end.
            let before = header.next_offset() <= self.from;
            let behind = self.to.is_some_and(|to| header.base_offset >= to);
            if before || behind || header.attributes.is_control() {
                continue;
            }
            return Some(batch.verify().and_then(|()| batch.records(&LIMITS)));
        }
    }
}

impl Iterator for Wanted {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let records = match &mut self.records {
                Some(records) => records,
                None => match self.next_batch()? {
                    Ok(records) => self.records.insert(records),
                    Err(error) => {
                        self.batches = batches(Bytes::new());
                        return Some(Err(error));
                    }
                },
            };
            match records.next() {
                None => self.records = None,
                Some(Err(error)) => {
                    self.records = None;
                    self.batches = batches(Bytes::new());
                    return Some(Err(error));
                }
                Some(Ok(record)) => {
                    let wanted =
                        record.offset >= self.from && self.to.is_none_or(|to| record.offset < to);
                    if wanted {
                        return Some(Ok(record));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use laminarmq_kafka::batch::{
        BatchBuilder, Compression, HEAD_BYTES, NewRecord, set_base_offset_and_epoch,
    };

    use super::*;

    /// A batch whose values are its offsets.
    fn batch(codec: Compression, base: i64, count: i64) -> Bytes {
        let mut builder = BatchBuilder::new(codec);
        for offset in base..base + count {
            let value = offset.to_string();
            let record = NewRecord {
                value: Some(value.as_bytes()),
                ..NewRecord::default()
            };
            builder.push(&record).expect("a small record");
        }
        let mut bytes = BytesMut::from(&builder.build()[..]);
        let head = bytes.first_chunk_mut::<HEAD_BYTES>().expect("a head");
        set_base_offset_and_epoch(head, base, 0);
        bytes.freeze()
    }

    fn read(data: &[Bytes], from: i64, to: Option<i64>) -> Result<Vec<i64>, ClientError> {
        let delivery = Delivery {
            partition: 0,
            data: Bytes::from(data.concat()),
            from,
            to,
            next: 0,
        };
        let mut offsets = Vec::new();
        for record in delivery.records() {
            let record = record?;
            let value = record.value.expect("a value");
            assert_eq!(&value[..], record.offset.to_string().as_bytes());
            offsets.push(record.offset);
        }
        Ok(offsets)
    }

    #[test]
    fn only_the_wanted_records_of_the_batches() {
        let data = [
            batch(Compression::None, 0, 5),
            batch(Compression::Zstd, 5, 5),
            batch(Compression::None, 10, 5),
        ];
        assert_eq!(
            read(&data, 0, None).expect("good"),
            (0..15).collect::<Vec<_>>()
        );
        assert_eq!(
            read(&data, 3, Some(12)).expect("good"),
            (3..12).collect::<Vec<_>>()
        );
        assert_eq!(
            read(&data, 5, Some(10)).expect("good"),
            (5..10).collect::<Vec<_>>()
        );
        assert_eq!(read(&data, 15, None).expect("good"), Vec::<i64>::new());
    }

    #[test]
    fn a_batch_that_was_cut_off_is_for_the_next_fetch() {
        let whole = batch(Compression::None, 0, 5);
        let cut = batch(Compression::None, 5, 5).slice(..70);
        let data = [whole, cut];
        assert_eq!(
            read(&data, 0, None).expect("good"),
            (0..5).collect::<Vec<_>>()
        );
        assert_eq!(next_offset(&Bytes::from(data.concat())), Ok(Some(5)));
        assert_eq!(next_offset(&data[1]), Ok(None));
    }

    #[test]
    fn a_damaged_batch_is_an_error_and_not_an_end() {
        // A byte of a value: the records still decode, so only the CRC can tell.
        let mut damaged = batch(Compression::None, 0, 5).to_vec();
        let at = damaged.len() - 2;
        assert_eq!(damaged[at], b'4');
        damaged[at] = b'5';
        let data = [batch(Compression::None, 0, 1), Bytes::from(damaged)];
        let error = read(&data, 0, None).expect_err("damaged");
        let is_crc = |source| matches!(source, BatchError::Crc { .. });
        assert!(matches!(error, ClientError::Batch { source, .. } if is_crc(source)));
    }
}
