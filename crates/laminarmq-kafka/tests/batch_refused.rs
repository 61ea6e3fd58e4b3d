//! Everything that the check of a batch refuses, with the error code that the producer is told.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod batch_support;

use batch_support::{Plain, RawRecord, build, fix_crc, seal};
use bytes::Bytes;
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::batch::{
    Attributes, BatchError, BatchHeader, BatchLimits, CompressedFault, Compression, HEAD_BYTES,
    RecordFault, validate,
};
use laminarmq_kafka::primitives::varint::put_i32;

#[track_caller]
fn refused(batch: Bytes, want: BatchError, code: ErrorCode) {
    let got = validate(batch, &BatchLimits::default());
    assert_eq!(got.as_ref().err(), Some(&want));
    assert_eq!(want.error_code(), code);
    assert!(!want.to_string().is_empty());
}

/// One good record, in a head that is changed.
fn with_head(edit: impl FnOnce(&mut BatchHeader)) -> Bytes {
    seal(1, &RawRecord::default().encode(), edit)
}

/// One record that is changed, in a good head.
fn with_record(record: &RawRecord) -> Bytes {
    seal(1, &record.encode(), |_| {})
}

#[test]
fn the_base_of_these_tests_is_accepted() {
    assert!(validate(with_head(|_| {}), &BatchLimits::default()).is_ok());
    assert!(validate(with_record(&RawRecord::default()), &BatchLimits::default()).is_ok());
}

#[test]
fn framing() {
    let good = with_head(|_| {});
    refused(
        Bytes::new(),
        BatchError::TooShort { bytes: 0 },
        ErrorCode::CORRUPT_MESSAGE,
    );
    refused(
        good.slice(..60),
        BatchError::TooShort { bytes: 60 },
        ErrorCode::CORRUPT_MESSAGE,
    );
    refused(
        good.slice(..good.len() - 1),
        BatchError::Truncated {
            declared: good.len(),
            actual: good.len() - 1,
        },
        ErrorCode::CORRUPT_MESSAGE,
    );
    let two = [&good[..], &good[..]].concat();
    refused(
        two.into(),
        BatchError::MoreThanOneBatch {
            declared: good.len(),
            actual: 2 * good.len(),
        },
        ErrorCode::INVALID_RECORD,
    );
    for magic in [0, 1, 3] {
        let mut bytes = good.to_vec();
        bytes[16] = magic;
        refused(
            bytes.into(),
            BatchError::Magic(magic),
            ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT,
        );
    }
    let mut bytes = good.to_vec();
    bytes[8..12].copy_from_slice(&(-1i32).to_be_bytes());
    refused(
        bytes.into(),
        BatchError::Length(-1),
        ErrorCode::CORRUPT_MESSAGE,
    );
}

#[test]
fn size_and_sum() {
    let good = with_head(|_| {});
    let limits = BatchLimits {
        batch_bytes_max: good.len() - 1,
        ..BatchLimits::default()
    };
    let error = validate(good.clone(), &limits).unwrap_err();
    let want = BatchError::TooLarge {
        size: good.len(),
        max: good.len() - 1,
    };
    assert_eq!(error, want);
    assert_eq!(error.error_code(), ErrorCode::MESSAGE_TOO_LARGE);

    let crc = BatchHeader::parse(&good).unwrap().crc;
    let mut bytes = good.to_vec();
    bytes[20] ^= 1;
    refused(
        bytes.into(),
        BatchError::Crc {
            stored: crc ^ 1,
            computed: crc,
        },
        ErrorCode::CORRUPT_MESSAGE,
    );
}

#[test]
fn attributes() {
    let invalid = ErrorCode::INVALID_RECORD;
    let format = ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT;
    let time = ErrorCode::INVALID_TIMESTAMP;
    let codec = ErrorCode::UNSUPPORTED_COMPRESSION_TYPE;
    for (bits, want, code) in [
        (1 << 3, BatchError::AppendTimeFromProducer, time),
        (1 << 4, BatchError::Transactional, format),
        (1 << 5, BatchError::ControlBatch, invalid),
        (1 << 6, BatchError::Attributes(1 << 6), invalid),
        (1 << 7, BatchError::Attributes(1 << 7), invalid),
        (1 << 15, BatchError::Attributes(1 << 15), invalid),
        (5, BatchError::UnknownCodec(5), codec),
        (7, BatchError::UnknownCodec(7), codec),
    ] {
        let batch = with_head(|header| header.attributes = Attributes(bits));
        refused(batch, want, code);
    }
}

#[test]
fn counts() {
    for (record_count, last_offset_delta) in [
        (0, -1),
        (0, 0),
        (-1, -2),
        (1, 1),
        (2, 0),
        (1, -1),
        (i32::MIN, i32::MAX),
    ] {
        let batch = with_head(|header| {
            header.record_count = record_count;
            header.last_offset_delta = last_offset_delta;
        });
        let want = BatchError::RecordCount {
            record_count,
            last_offset_delta,
        };
        refused(batch, want, ErrorCode::INVALID_RECORD);
    }
    // A count that the records do not keep.
    for count in [2, i32::MAX] {
        let batch = seal(count, &RawRecord::default().encode(), |_| {});
        let want = BatchError::Record {
            index: 1,
            fault: RecordFault::Truncated,
        };
        refused(batch, want, ErrorCode::INVALID_RECORD);
    }
    let second = RawRecord {
        offset_delta: 1,
        ..RawRecord::default()
    };
    let two = [RawRecord::default().encode(), second.encode()].concat();
    assert!(validate(seal(2, &two, |_| {}), &BatchLimits::default()).is_ok());
    refused(
        seal(1, &two, |_| {}),
        BatchError::BytesAfterRecords,
        ErrorCode::INVALID_RECORD,
    );
}

#[test]
fn producers() {
    for (id, epoch, sequence) in [(5, -1, 0), (5, 0, -1), (-2, 0, 0), (i64::MIN, 0, 0)] {
        let batch = with_head(|header| {
            header.producer_id = id;
            header.producer_epoch = epoch;
            header.base_sequence = sequence;
        });
        let want = BatchError::Producer {
            id,
            epoch,
            sequence,
        };
        refused(batch, want, ErrorCode::INVALID_RECORD);
    }
    // Without an id the other two have no meaning.
    let batch = with_head(|header| header.base_sequence = 0);
    let checked = validate(batch, &BatchLimits::default()).unwrap();
    assert_eq!(checked.producer(), None);
}

#[test]
fn records() {
    let base = RawRecord::default;
    let cases = [
        (
            RawRecord {
                length_off_by: -1,
                ..base()
            },
            RecordFault::Length,
        ),
        (
            RawRecord {
                length_off_by: -1_000,
                ..base()
            },
            RecordFault::Length,
        ),
        (
            RawRecord {
                length_off_by: 1,
                ..base()
            },
            RecordFault::Length,
        ),
        (
            RawRecord {
                key_length: -2,
                ..base()
            },
            RecordFault::Key,
        ),
        (
            RawRecord {
                key_length: 100,
                ..base()
            },
            RecordFault::Key,
        ),
        (
            RawRecord {
                key_length: i32::MAX,
                ..base()
            },
            RecordFault::Key,
        ),
        (
            RawRecord {
                value_length: -2,
                ..base()
            },
            RecordFault::Value,
        ),
        (
            RawRecord {
                value_length: 5,
                ..base()
            },
            RecordFault::Value,
        ),
        (
            RawRecord {
                header_count: -1,
                ..base()
            },
            RecordFault::HeaderCount,
        ),
        (
            RawRecord {
                header_count: 1,
                ..base()
            },
            RecordFault::HeaderCount,
        ),
        (
            RawRecord {
                header_count: i32::MAX,
                ..base()
            },
            RecordFault::HeaderCount,
        ),
        (
            RawRecord {
                header_count: 1,
                tail: vec![1, 0],
                ..base()
            },
            RecordFault::HeaderKey,
        ),
        (
            RawRecord {
                header_count: 1,
                tail: vec![4, 0],
                ..base()
            },
            RecordFault::HeaderKey,
        ),
        (
            RawRecord {
                header_count: 1,
                tail: vec![0, 3],
                ..base()
            },
            RecordFault::HeaderValue,
        ),
        (
            RawRecord {
                header_count: 1,
                tail: vec![0, 2],
                ..base()
            },
            RecordFault::HeaderValue,
        ),
        (
            RawRecord {
                header_count: 1,
                tail: vec![0, 0, 9],
                ..base()
            },
            RecordFault::Length,
        ),
        (
            RawRecord {
                tail: vec![9],
                ..base()
            },
            RecordFault::Length,
        ),
    ];
    for (record, fault) in cases {
        let want = BatchError::Record { index: 0, fault };
        refused(with_record(&record), want, ErrorCode::INVALID_RECORD);
        // The same inside a compressed stream, which is walked through another input.
        refused(
            gzipped(&record.encode(), 1),
            want,
            ErrorCode::INVALID_RECORD,
        );
    }
    let headers = RawRecord {
        header_count: 2,
        tail: vec![0, 1, 2, b'k', 2, b'v'],
        ..base()
    };
    assert!(validate(with_record(&headers), &BatchLimits::default()).is_ok());
}

/// These records compressed, in a head that says so.
fn gzipped(records: &[u8], count: i32) -> Bytes {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(records).unwrap();
    seal(count, &encoder.finish().unwrap(), |header| {
        header.attributes = Attributes::of(Compression::Gzip);
    })
}

#[test]
fn numbers_inside_records() {
    // The length itself does not fit 32 bits.
    refused(
        seal(1, &[0xff, 0xff, 0xff, 0xff, 0x7f], |_| {}),
        BatchError::Record {
            index: 0,
            fault: RecordFault::Number,
        },
        ErrorCode::INVALID_RECORD,
    );
    // A record that ends inside each of its parts.
    let whole = RawRecord {
        header_count: 2,
        tail: vec![0, 1, 2, b'k', 4, b'v', b'w'],
        ..RawRecord::default()
    }
    .encode();
    assert!(validate(seal(1, &whole, |_| {}), &BatchLimits::default()).is_ok());
    for len in 0..whole.len() {
        for batch in [seal(1, &whole[..len], |_| {}), gzipped(&whole[..len], 1)] {
            refused(
                batch,
                BatchError::Record {
                    index: 0,
                    fault: RecordFault::Truncated,
                },
                ErrorCode::INVALID_RECORD,
            );
        }
    }
    // A negative length, and one that is the largest number.
    for (length, fault) in [
        (-1, RecordFault::Length),
        (i32::MAX, RecordFault::Truncated),
    ] {
        let mut body = Vec::new();
        put_i32(&mut body, length);
        refused(
            seal(1, &body, |_| {}),
            BatchError::Record { index: 0, fault },
            ErrorCode::INVALID_RECORD,
        );
    }
}

#[test]
fn offsets_and_times() {
    for found in [1, -1, i32::MIN, i32::MAX] {
        let record = RawRecord {
            offset_delta: found,
            ..RawRecord::default()
        };
        let want = BatchError::OffsetDelta { index: 0, found };
        refused(with_record(&record), want, ErrorCode::INVALID_RECORD);
    }
    let gap = RawRecord {
        offset_delta: 2,
        ..RawRecord::default()
    };
    let two = [RawRecord::default().encode(), gap.encode()].concat();
    let want = BatchError::OffsetDelta { index: 1, found: 2 };
    refused(seal(2, &two, |_| {}), want, ErrorCode::INVALID_RECORD);

    let late = RawRecord {
        timestamp_delta: i64::MAX,
        ..RawRecord::default()
    };
    let want = BatchError::Timestamp { index: 0 };
    refused(with_record(&late), want, ErrorCode::INVALID_TIMESTAMP);
}

#[test]
fn compressed_streams() {
    for codec in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let good = build(codec, &[Plain::of_value(1_000, &[b'x'; 1_000])]);
        // A byte behind the stream, covered by length and CRC.
        let mut more = good.to_vec();
        more.push(0);
        let length = u32::try_from(more.len() - 12).unwrap();
        more[8..12].copy_from_slice(&length.to_be_bytes());
        fix_crc(&mut more);
        let fault = match codec {
            Compression::Snappy => CompressedFault::Damaged,
            _ => CompressedFault::BytesAfterEnd,
        };
        let want = BatchError::Compressed { codec, fault };
        refused(more.into(), want, ErrorCode::INVALID_RECORD);

        // No such stream at all.
        let noise = seal(1, &[0x5a; 40], |header| {
            header.attributes = Attributes::of(codec);
        });
        let want = BatchError::Compressed {
            codec,
            fault: CompressedFault::Damaged,
        };
        refused(noise, want, ErrorCode::INVALID_RECORD);

        // More content than allowed.
        let limits = BatchLimits {
            decompressed_bytes_max: 1_000,
            ..BatchLimits::default()
        };
        let error = validate(good.clone(), &limits).unwrap_err();
        assert_eq!(error, BatchError::DecompressedTooLarge { max: 1_000 });
        assert_eq!(error.error_code(), ErrorCode::MESSAGE_TOO_LARGE);

        // An uncompressed body under this codec's number.
        let plain = build(Compression::None, &[Plain::of_value(1_000, b"v")]);
        let body = &plain[HEAD_BYTES..];
        let mislabelled = seal(1, body, |header| header.attributes = Attributes::of(codec));
        let error = validate(mislabelled, &BatchLimits::default()).unwrap_err();
        assert!(
            matches!(error, BatchError::Compressed { .. }),
            "{codec}: {error}"
        );
    }
}
