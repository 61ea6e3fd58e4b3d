//! What is built passes the check and is read back as it was; the crate `kafka-protocol` agrees both ways.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod batch_support;

use batch_support::{Plain, build, codec, plain, push_all, read, seal};
use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as theirs;
use laminarmq_kafka::batch::{
    BatchBuilder, BatchError, BatchHeader, BatchLimits, Compression, HEAD_BYTES, NewRecord,
    ProducerStamp, PushError, batches, records, validate, verify,
};
use proptest::prelude::*;

fn limits() -> BatchLimits {
    BatchLimits::default()
}

fn max_of(records: &[Plain]) -> (i64, u32) {
    let mut best = (records[0].timestamp, 0);
    for (index, record) in (0..).zip(records) {
        if record.timestamp > best.0 {
            best = (record.timestamp, index);
        }
    }
    best
}

proptest! {
    #[test]
    fn built_batches_pass_and_come_back(
        plain in prop::collection::vec(plain(), 1..30),
        codec in codec(),
        base_offset in 0i64..1 << 50,
        epoch in 0i32..,
    ) {
        let batch = build(codec, &plain);
        let checked = validate(batch.clone(), &limits()).unwrap();
        prop_assert_eq!(checked.record_count() as usize, plain.len());
        prop_assert_eq!(checked.last_offset_delta() as usize, plain.len() - 1);
        prop_assert_eq!(checked.codec(), codec);
        prop_assert_eq!(checked.attributes().codec(), Ok(codec));
        prop_assert_eq!(checked.base_timestamp(), plain[0].timestamp);
        let (max, at) = max_of(&plain);
        prop_assert_eq!(checked.max_timestamp(), max);
        prop_assert_eq!(checked.offset_delta_of_max_timestamp(), at);
        prop_assert_eq!(checked.producer(), None);
        prop_assert_eq!(checked.size(), batch.len());
        prop_assert_eq!(checked.crc(), BatchHeader::parse(&batch).unwrap().crc);

        let placed = checked.to_bytes(base_offset, epoch);
        prop_assert_eq!(&placed[..HEAD_BYTES], &checked.head(base_offset, epoch)[..]);
        prop_assert_eq!(&placed[HEAD_BYTES..], &batch[HEAD_BYTES..]);
        let header = verify(&placed).unwrap();
        prop_assert_eq!(header.base_offset, base_offset);
        prop_assert_eq!(header.partition_leader_epoch, epoch);

        let back = read(&placed).unwrap();
        prop_assert_eq!(back.iter().map(Plain::from).collect::<Vec<_>>(), plain);
        for (offset, record) in (base_offset..).zip(&back) {
            prop_assert_eq!(record.offset, offset);
        }
    }

    #[test]
    fn the_estimate_is_exact_without_a_codec(plain in prop::collection::vec(plain(), 1..10)) {
        let mut builder = BatchBuilder::new(Compression::None);
        for record in &plain {
            let headers: Vec<_> = record.headers.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect();
            let new = NewRecord {
                timestamp: record.timestamp,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &headers,
            };
            let estimate = builder.estimated_size_with(&new);
            builder.push(&new).unwrap();
            prop_assert_eq!(builder.estimated_size(), estimate);
        }
        prop_assert_eq!(builder.record_count(), plain.len());
        let estimate = builder.estimated_size();
        prop_assert_eq!(builder.build().len(), estimate);
    }

    #[test]
    fn the_other_crate_reads_ours(plain in prop::collection::vec(plain(), 1..20)) {
        let plain = with_distinct_header_keys(plain);
        let mut builder = BatchBuilder::new(Compression::None);
        builder.set_producer(Some(ProducerStamp { id: 77, epoch: 3, base_sequence: 500 }));
        push_all(&mut builder, &plain);
        let checked = validate(builder.build(), &limits()).unwrap();

        let mut bytes = checked.to_bytes(9_000, 4);
        let set = theirs::RecordBatchDecoder::decode(&mut bytes).unwrap();
        prop_assert!(bytes.is_empty());
        prop_assert_eq!(set.version, 2);
        for (index, (ours, read)) in (0..).zip(plain.iter().zip(&set.records)) {
            prop_assert_eq!(read, &their_record(ours, index));
        }
        prop_assert_eq!(set.records.len(), plain.len());
    }

    #[test]
    fn ours_reads_the_other_crates(plain in prop::collection::vec(plain(), 1..20)) {
        let plain = with_distinct_header_keys(plain);
        let list: Vec<_> = (0..).zip(&plain).map(|(i, r)| their_record(r, i)).collect();
        let mut bytes = BytesMut::new();
        let options = theirs::RecordEncodeOptions { version: 2, compression: theirs::Compression::None };
        theirs::RecordBatchEncoder::encode(&mut bytes, &list, &options).unwrap();

        let checked = validate(bytes.freeze(), &limits()).unwrap();
        prop_assert_eq!(checked.producer(), Some(ProducerStamp { id: 77, epoch: 3, base_sequence: 500 }));
        prop_assert_eq!(checked.max_timestamp(), max_of(&plain).0);
        prop_assert_eq!(checked.header().partition_leader_epoch, 4);
        let back = read(&checked.to_bytes(9_000, 4)).unwrap();
        prop_assert_eq!(back.iter().map(Plain::from).collect::<Vec<_>>(), plain);
        prop_assert_eq!(back[0].offset, 9_000);
    }
}

/// The other crate keeps headers in a map.
fn with_distinct_header_keys(mut records: Vec<Plain>) -> Vec<Plain> {
    for record in &mut records {
        for (index, (key, _)) in record.headers.iter_mut().enumerate() {
            key.push_str(&index.to_string());
        }
    }
    records
}

fn their_record(record: &Plain, index: i32) -> theirs::Record {
    let headers: IndexMap<_, _> = record
        .headers
        .iter()
        .map(|(key, value)| {
            let key = StrBytes::from_string(key.clone());
            (key, value.clone().map(Bytes::from))
        })
        .collect();
    theirs::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 4,
        producer_id: 77,
        producer_epoch: 3,
        timestamp_type: theirs::TimestampType::Creation,
        offset: 9_000 + i64::from(index),
        sequence: 500 + index,
        timestamp: record.timestamp,
        key: record.key.clone().map(Bytes::from),
        value: record.value.clone().map(Bytes::from),
        headers,
    }
}

#[test]
fn null_and_empty_are_told_apart() {
    let fields = [None, Some(vec![]), Some(b"x".to_vec())];
    let mut plain = Vec::new();
    for key in &fields {
        for value in &fields {
            plain.push(Plain {
                timestamp: -1,
                key: key.clone(),
                value: value.clone(),
                headers: vec![("h".into(), value.clone()), (String::new(), key.clone())],
            });
        }
    }
    for codec in Compression::ALL {
        let back = read(&build(codec, &plain)).unwrap();
        assert_eq!(back.iter().map(Plain::from).collect::<Vec<_>>(), plain);
    }
}

#[test]
fn a_value_of_a_megabyte_passes_every_codec() {
    let value: Vec<u8> = (0..1_000_000u32)
        .map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1])
        .collect();
    let plain = [Plain::of_value(5, &value)];
    for codec in Compression::ALL {
        let checked = validate(build(codec, &plain), &limits()).unwrap();
        let back = read(&checked.to_bytes(0, 0)).unwrap();
        assert!(back[0].value.as_deref() == Some(&value[..]), "{codec}");
    }
}

#[test]
fn uncompressed_fields_share_the_batch() {
    let batch = build(Compression::None, &[Plain::of_value(5, b"shared")]);
    let range = batch.as_ptr_range();
    let value = read(&batch).unwrap()[0].value.clone().unwrap();
    assert!(range.contains(&value.as_ptr()));
    let body = validate(batch, &limits()).unwrap().body().clone();
    assert!(range.contains(&body.as_ptr()));
}

#[test]
fn append_time_reaches_the_records() {
    for codec in Compression::ALL {
        let plain: Vec<_> = (0..5).map(|i| Plain::of_value(100 + i, b"v")).collect();
        let mut checked = validate(build(codec, &plain), &limits()).unwrap();
        assert_eq!(checked.offset_delta_of_max_timestamp(), 4);
        checked.stamp_append_time(99_999);
        assert_eq!(checked.max_timestamp(), 99_999);
        assert_eq!(checked.offset_delta_of_max_timestamp(), 0);
        assert!(checked.attributes().is_log_append_time());

        let bytes = checked.to_bytes(70, 1);
        assert_eq!(verify(&bytes).unwrap().crc, checked.crc());
        for record in read(&bytes).unwrap() {
            assert_eq!(record.timestamp, 99_999);
        }
    }
}

#[test]
fn a_wrong_max_timestamp_is_corrected() {
    let plain = [
        Plain::of_value(100, b"a"),
        Plain::of_value(300, b"b"),
        Plain::of_value(300, b"c"),
        Plain::of_value(200, b"d"),
    ];
    for codec in Compression::ALL {
        let good = build(codec, &plain);
        for wrong in [-1, 299, i64::MAX] {
            let body = &good[HEAD_BYTES..];
            let bad = seal(4, body, |header| {
                *header = BatchHeader::parse(&good).unwrap();
                header.max_timestamp = wrong;
            });
            let checked = validate(bad, &limits()).unwrap();
            assert_eq!(checked.max_timestamp(), 300);
            assert_eq!(checked.offset_delta_of_max_timestamp(), 1);
            assert_eq!(verify(&checked.to_bytes(1, 1)).unwrap().max_timestamp, 300);
            assert_eq!(checked.crc(), BatchHeader::parse(&good).unwrap().crc);
        }
    }
}

#[test]
fn the_builder_starts_over_after_each_batch() {
    for codec in Compression::ALL {
        let mut builder = BatchBuilder::new(codec);
        assert!(builder.is_empty());
        let empty = builder.estimated_size();
        let mut built = Vec::new();
        for round in 0..5i32 {
            builder.set_producer(Some(ProducerStamp {
                id: 5,
                epoch: 0,
                base_sequence: 10 * round,
            }));
            let plain: Vec<_> = (0..10i64)
                .map(|i| {
                    Plain::of_value(
                        i64::from(round) * 1_000 + i,
                        format!("{round}/{i}").as_bytes(),
                    )
                })
                .collect();
            push_all(&mut builder, &plain);
            built.push((plain, builder.build()));
            assert!(builder.is_empty());
            assert_eq!(builder.estimated_size(), empty);
        }
        // All of them are still what they were.
        for (round, (plain, batch)) in (0..).zip(built) {
            let checked = validate(batch.clone(), &limits()).unwrap();
            assert_eq!(checked.producer().unwrap().base_sequence, 10 * round);
            let back = read(&batch).unwrap();
            assert_eq!(back.iter().map(Plain::from).collect::<Vec<_>>(), plain);
        }
        push_all(&mut builder, &[Plain::of_value(1, b"dropped")]);
        builder.clear();
        assert!(builder.is_empty());
        let kept = [Plain::of_value(2, b"kept")];
        push_all(&mut builder, &kept);
        let back = read(&builder.build()).unwrap();
        assert_eq!(back.iter().map(Plain::from).collect::<Vec<_>>(), kept);
    }
}

#[test]
fn times_too_far_apart_are_refused_and_leave_the_batch() {
    let mut builder = BatchBuilder::new(Compression::None);
    let at = |timestamp| NewRecord {
        timestamp,
        ..NewRecord::default()
    };
    builder.push(&at(-2)).unwrap();
    assert_eq!(builder.push(&at(i64::MAX)), Err(PushError::Timestamp));
    assert_eq!(builder.record_count(), 1);
    builder.push(&at(7)).unwrap();
    assert_eq!(read(&builder.build()).unwrap().len(), 2);
}

#[test]
#[should_panic(expected = "at least one record")]
fn an_empty_batch_is_a_bug() {
    let _ = BatchBuilder::new(Compression::None).build();
}

#[test]
fn many_batches_iterate_and_a_cut_one_ends_quietly() {
    let mut bytes = Vec::new();
    let mut ends = vec![0];
    let mut next_offset = 0;
    for (i, codec) in (1..).zip(Compression::ALL) {
        let plain: Vec<_> = (0..i).map(|n| Plain::of_value(n, b"value")).collect();
        let checked = validate(build(codec, &plain), &limits()).unwrap();
        bytes.extend_from_slice(&checked.to_bytes(next_offset, 1));
        next_offset += i;
        ends.push(bytes.len());
    }
    let bytes = Bytes::from(bytes);
    for len in 0..=bytes.len() {
        let whole = ends.iter().filter(|&&end| end > 0 && end <= len).count();
        let mut offset = 0;
        let mut seen = 0;
        for batch in batches(bytes.slice(..len)) {
            let batch = batch.unwrap();
            batch.verify().unwrap();
            assert_eq!(batch.header().base_offset, offset);
            for record in batch.records(&limits()).unwrap() {
                assert_eq!(record.unwrap().offset, offset);
                offset += 1;
            }
            assert_eq!(batch.header().next_offset(), offset);
            assert_eq!(batch.bytes().len(), batch.header().size);
            seen += 1;
        }
        assert_eq!(seen, whole, "cut to {len}");
    }
}

#[test]
fn an_error_ends_the_iteration_over_batches() {
    let batch = build(Compression::None, &[Plain::of_value(1, b"v")]);
    let mut bytes = [&batch[..], &batch[..], &batch[..]].concat();
    bytes[batch.len() + 16] = 1;
    let mut iter = batches(bytes.clone().into());
    assert!(iter.next().unwrap().is_ok());
    assert_eq!(iter.next(), Some(Err(BatchError::Magic(1))));
    assert_eq!(iter.next(), None);

    bytes[8..12].copy_from_slice(&48i32.to_be_bytes());
    let mut iter = batches(bytes.into());
    assert_eq!(iter.next(), Some(Err(BatchError::Length(48))));
    assert_eq!(iter.next(), None);
}

#[test]
fn an_error_ends_the_iteration_over_records() {
    let good = build(
        Compression::None,
        &[Plain::of_value(1, b"v"), Plain::of_value(1, b"w")],
    );
    // One record fewer than there are: what is left is an error, told once.
    let bad = seal(1, &good[HEAD_BYTES..], |_| {});
    let mut iter = records(&bad, &limits()).unwrap();
    assert!(iter.next().unwrap().is_ok());
    assert_eq!(iter.next(), Some(Err(BatchError::BytesAfterRecords)));
    assert_eq!(iter.next(), None);
    // One more than there are.
    let bad = seal(3, &good[HEAD_BYTES..], |_| {});
    let mut iter = records(&bad, &limits()).unwrap().skip(2);
    assert!(matches!(
        iter.next(),
        Some(Err(BatchError::Record { index: 2, .. }))
    ));
    assert_eq!(iter.next(), None);
    // Not one whole batch.
    assert!(records(&good.slice(..good.len() - 1), &limits()).is_err());
}
