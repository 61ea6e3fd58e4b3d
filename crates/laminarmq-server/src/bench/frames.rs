//! Produce requests, written once and then only changed where batches differ.
//!
//! One buffer holds a whole frame: length, header, body, batch. For each batch the values, two
//! timestamps and the CRC are written over the old ones, and the correlation id and the partition in
//! front of it. So a batch costs its values and its CRC, and goes out with one write.

use std::ops::Range;

use laminarmq_kafka::EncodeError;
use laminarmq_kafka::batch::{
    BatchBuilder, BatchHeader, BatchLimits, Compression, HEAD_BYTES, NewRecord, records,
};
use laminarmq_kafka::encode_request;
use laminarmq_kafka::messages::ProduceRequest;
use laminarmq_kafka::messages::produce::{PartitionProduceData, TopicProduceData};

use super::values::Mark;
use crate::client::{Acks, CLIENT_ID};

/// Length, API and version lie before the correlation id.
const CORRELATION_ID: Range<usize> = 8..12;
/// First byte of a batch that its CRC covers.
const CRC_COVERS_FROM: usize = 21;
/// How long a broker may wait for a quorum.
const TIMEOUT_MS: i32 = 30_000;

/// What the frames have in common.
#[derive(Debug, Clone)]
pub(super) struct Shape<'a> {
    pub(super) topic: &'a str,
    pub(super) acks: Acks,
    /// Version of the produce request.
    pub(super) version: i16,
    pub(super) batch_records: u32,
    pub(super) record_bytes: usize,
}

/// A produce request that is written over and over.
#[derive(Debug)]
pub(super) struct Frames {
    frame: Vec<u8>,
    batch: Range<usize>,
    partition: Range<usize>,
    /// Where the values begin, in `frame`.
    values: Vec<usize>,
    record_bytes: usize,
    head: BatchHeader,
}

impl Frames {
    pub(super) fn new(shape: &Shape<'_>) -> Result<Self, EncodeError> {
        let (batch, values) = template(shape);
        // Partitions that differ in every byte show where the number stands.
        let [frame, other] = [0x0101_0101, 0x0202_0202].map(|index| encode(shape, &batch, index));
        let (frame, other) = (frame?, other?);
        let start = frame
            .windows(batch.len())
            .position(|window| window == batch)
            .expect("a request carries its batch unchanged");
        let at = frame
            .iter()
            .zip(&other)
            .position(|(one, other)| one != other)
            .expect("a request carries its partition");
        Ok(Self {
            head: BatchHeader::parse(&batch).expect("a batch that was just built"),
            batch: start..start + batch.len(),
            partition: at..at + 4,
            values: values.into_iter().map(|value| start + value).collect(),
            record_bytes: shape.record_bytes,
            frame,
        })
    }

    /// Bytes of the batch, without the request around it.
    pub(super) fn batch_bytes(&self) -> usize {
        self.batch.len()
    }

    /// The next frame: a batch whose records have the numbers from `first` on.
    pub(super) fn next(
        &mut self,
        partition: i32,
        correlation_id: i32,
        timestamp: i64,
        first: Mark,
    ) -> &[u8] {
        self.frame[CORRELATION_ID].copy_from_slice(&correlation_id.to_be_bytes());
        self.frame[self.partition.clone()].copy_from_slice(&partition.to_be_bytes());
        for (number, at) in (first.number..).zip(&self.values) {
            let mark = Mark { number, ..first };
            mark.fill(&mut self.frame[*at..*at + self.record_bytes]);
        }
        self.head.base_timestamp = timestamp;
        self.head.max_timestamp = timestamp;
        let batch = &mut self.frame[self.batch.clone()];
        // The CRC covers the timestamps, so they go in first.
        batch[..HEAD_BYTES].copy_from_slice(&self.head.encode());
        self.head.crc = crc32c::crc32c(&batch[CRC_COVERS_FROM..]);
        batch[..HEAD_BYTES].copy_from_slice(&self.head.encode());
        &self.frame
    }
}

fn encode(shape: &Shape<'_>, batch: &bytes::Bytes, partition: i32) -> Result<Vec<u8>, EncodeError> {
    let request = ProduceRequest {
        acks: shape.acks.number(),
        timeout_ms: TIMEOUT_MS,
        topic_data: vec![TopicProduceData {
            name: shape.topic.to_owned(),
            partition_data: vec![PartitionProduceData {
                index: partition,
                records: Some(batch.clone()),
            }],
        }],
        ..ProduceRequest::default()
    };
    encode_request(shape.version, 0, Some(CLIENT_ID), &request).map(|pieces| pieces.concat())
}

/// A batch of the right size, and where its values begin in it.
fn template(shape: &Shape<'_>) -> (bytes::Bytes, Vec<usize>) {
    let value = vec![0; shape.record_bytes];
    let mut builder = BatchBuilder::new(Compression::None);
    for _ in 0..shape.batch_records {
        let record = NewRecord {
            value: Some(&value),
            ..NewRecord::default()
        };
        builder
            .push(&record)
            .expect("the command line bounds records and batches below the format's limit");
    }
    let batch = builder.build();
    let records = records(&batch, &BatchLimits::default()).expect("it was just built");
    let values = records.map(|record| {
        let value = record
            .expect("it was just built")
            .value
            .expect("it has one");
        // A value is a slice of the batch's own buffer.
        value.as_ptr().addr() - batch.as_ptr().addr()
    });
    let values = values.collect();
    (batch, values)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use laminarmq_kafka::batch::verify;
    use laminarmq_kafka::{AnyRequest, Reader, RequestHeader};

    use super::*;

    const RECORDS: u32 = 3;

    /// Decodes a frame; its header, partition and values.
    fn decode(frame: &[u8]) -> (RequestHeader, i32, Vec<Bytes>) {
        let (length, body) = frame.split_at(4);
        assert_eq!(
            usize::try_from(u32::from_be_bytes(length.try_into().expect("four"))),
            Ok(body.len())
        );
        let mut reader = Reader::new(Bytes::copy_from_slice(body));
        let header = RequestHeader::decode(&mut reader).expect("a header");
        let request = AnyRequest::decode(&header, &mut reader).expect("a request");
        let AnyRequest::Produce(request) = request else {
            panic!("not a produce request");
        };
        let partition = &request.topic_data[0].partition_data[0];
        let batch = partition.records.clone().expect("a batch");
        verify(&batch).expect("the CRC holds");
        let records = records(&batch, &BatchLimits::default()).expect("whole");
        let values = records.map(|record| {
            let record = record.expect("whole");
            assert_eq!(record.timestamp, 1234);
            record.value.expect("a value")
        });
        (header, partition.index, values.collect())
    }

    #[test]
    fn every_frame_is_a_valid_request_with_fresh_values() {
        // Small batches are copied into the request, large ones linked; old versions are not flexible.
        for (record_bytes, version) in [(24, 3), (24, 12), (5000, 3), (5000, 12)] {
            let mut frames = Frames::new(&Shape {
                topic: "t",
                acks: Acks::All,
                version,
                batch_records: RECORDS,
                record_bytes,
            })
            .expect("a version of ours");
            for (turn, partition) in [(0, 0), (1, 300), (2, 7)] {
                let first = Mark {
                    run: 9,
                    number: u64::from(RECORDS) * turn,
                    due_ns: turn,
                };
                let correlation_id = 1000 + partition;
                let frame = frames.next(partition, correlation_id, 1234, first);
                let (header, index, values) = decode(frame);
                assert_eq!(header.correlation_id, correlation_id);
                assert_eq!(header.api_version, version);
                assert_eq!(index, partition);
                assert_eq!(values.len(), RECORDS as usize);
                for (number, value) in (first.number..).zip(&values) {
                    let mark = Mark::read(value).expect("a mark");
                    assert_eq!(mark, Mark { number, ..first });
                    assert!(mark.fits(value));
                }
            }
        }
    }
}
