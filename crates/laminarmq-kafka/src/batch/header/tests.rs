//! Golden bytes, round trips and the arithmetic of the CRC.

use proptest::prelude::*;

use super::*;

/// One record without key, with value "v", written down by hand.
const GOLDEN: [u8; 69] = [
    0, 0, 0, 0, 0, 0, 0, 42, // base offset
    0, 0, 0, 57, // batch length
    0, 0, 0, 7, // leader epoch
    2, // magic
    0x9a, 0xd0, 0x2a, 0xcc, // CRC
    0, 0, // attributes
    0, 0, 0, 0, // last offset delta
    0, 0, 1, 0x99, 0x4a, 0xa7, 0x10, 0x00, // base timestamp
    0, 0, 1, 0x99, 0x4a, 0xa7, 0x10, 0x05, // max timestamp
    0, 0, 0, 0, 0, 0, 0x03, 0xe9, // producer id
    0, 3, // producer epoch
    0, 0, 0, 99, // base sequence
    0, 0, 0, 1, // record count
    14, 0, 10, 0, 1, 2, b'v', 0, // the record
];

fn golden() -> BatchHeader {
    BatchHeader {
        base_offset: 42,
        size: 69,
        partition_leader_epoch: 7,
        crc: 0x9ad0_2acc,
        attributes: Attributes(0),
        last_offset_delta: 0,
        base_timestamp: 0x0199_4aa7_1000,
        max_timestamp: 0x0199_4aa7_1005,
        producer_id: 1001,
        producer_epoch: 3,
        base_sequence: 99,
        record_count: 1,
    }
}

/// CRC-32C bit by bit, as its definition has it.
fn crc_by_definition(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
        }
    }
    !crc
}

#[test]
fn golden_bytes() {
    assert_eq!(crc_by_definition(b"123456789"), 0xe306_9283);
    assert_eq!(crc_by_definition(&GOLDEN[21..]), golden().crc);
    assert_eq!(BatchHeader::parse(&GOLDEN), Ok(golden()));
    assert_eq!(golden().encode()[..], GOLDEN[..HEAD_BYTES]);
    assert_eq!(verify(&GOLDEN), Ok(golden()));
}

#[test]
fn framing_is_checked() {
    for len in 0..GOLDEN.len() {
        let want = if len < HEAD_BYTES {
            BatchError::TooShort { bytes: len }
        } else {
            BatchError::Truncated {
                declared: 69,
                actual: len,
            }
        };
        assert_eq!(verify(&GOLDEN[..len]), Err(want));
    }
    let mut more = GOLDEN.to_vec();
    more.push(0);
    let want = BatchError::MoreThanOneBatch {
        declared: 69,
        actual: 70,
    };
    assert_eq!(verify(&more), Err(want));

    for length in [i32::MIN, -1, 0, 48] {
        let mut bytes = GOLDEN;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        assert_eq!(BatchHeader::parse(&bytes), Err(BatchError::Length(length)));
        assert_eq!(peek_size(&bytes), Some(Err(BatchError::Length(length))));
    }
    for magic in [0, 1, 3, 0xff] {
        let mut bytes = GOLDEN;
        bytes[16] = magic;
        assert_eq!(BatchHeader::parse(&bytes), Err(BatchError::Magic(magic)));
    }
    assert_eq!(peek_size(&GOLDEN[..11]), None);
    assert_eq!(peek_size(&GOLDEN[..12]), Some(Ok(69)));
}

#[test]
fn every_flipped_bit_that_the_crc_covers_is_caught() {
    for at in 21..GOLDEN.len() {
        for bit in 0..8 {
            let mut bytes = GOLDEN;
            bytes[at] ^= 1 << bit;
            assert!(
                matches!(verify(&bytes), Err(BatchError::Crc { .. })),
                "byte {at}"
            );
        }
    }
}

#[test]
fn the_leaders_fields_are_outside_the_crc() {
    let mut bytes = GOLDEN;
    let head = bytes.first_chunk_mut().unwrap();
    set_base_offset_and_epoch(head, 1 << 40, 9);
    let header = verify(&bytes).unwrap();
    assert_eq!(
        (header.base_offset, header.last_offset()),
        (1 << 40, 1 << 40)
    );
    assert_eq!(header.next_offset(), (1 << 40) + 1);
    assert_eq!(header.partition_leader_epoch, 9);
    let rest = BatchHeader {
        base_offset: 42,
        partition_leader_epoch: 7,
        ..header
    };
    assert_eq!(rest, golden());
}

#[test]
fn append_time_keeps_the_crc_right() {
    let mut header = golden();
    header.stamp_append_time(1_700_000_000_000);
    let mut bytes = GOLDEN;
    bytes[..HEAD_BYTES].copy_from_slice(&header.encode());
    assert_eq!(crc_by_definition(&bytes[21..]), header.crc);
    let stamped = verify(&bytes).unwrap();
    assert!(stamped.attributes.is_log_append_time());
    assert_eq!(stamped.max_timestamp, 1_700_000_000_000);
    assert_eq!(stamped.base_timestamp, golden().base_timestamp);
}

#[test]
fn attribute_bits() {
    let attributes = |bits| Attributes(bits);
    assert!(attributes(0b000_1000).is_log_append_time());
    assert!(attributes(0b001_0000).is_transactional());
    assert!(attributes(0b010_0000).is_control());
    assert!(attributes(0b100_0000).has_delete_horizon());
    assert_eq!(attributes(0xffff).unknown(), 0xff80);
    assert_eq!(attributes(0xfff8).codec(), Ok(Compression::None));
    assert_eq!(attributes(0b011).codec(), Ok(Compression::Lz4));
    for id in 5..8 {
        let codec = attributes(u16::from(id)).codec();
        assert_eq!(codec, Err(BatchError::UnknownCodec(id)));
    }
    for codec in Compression::ALL {
        assert_eq!(Attributes::of(codec).codec(), Ok(codec));
    }
}

proptest! {
    #[test]
    fn heads_round_trip(mut bytes in prop::array::uniform32(any::<u8>()), more in prop::array::uniform29(any::<u8>())) {
        bytes[16] = MAGIC_V2;
        bytes[8] &= 0x7f;
        bytes[9] |= 1;
        let mut head = [0; HEAD_BYTES];
        head[..32].copy_from_slice(&bytes);
        head[32..].copy_from_slice(&more);
        let header = BatchHeader::parse(&head).unwrap();
        prop_assert_eq!(header.encode(), head);
    }

    #[test]
    fn stamps_equal_a_new_sum(
        head in prop::array::uniform32(any::<u8>()),
        body in prop::collection::vec(any::<u8>(), 0..500),
        now in any::<i64>(),
    ) {
        let mut batch = golden().encode().to_vec();
        batch[23..55].copy_from_slice(&head);
        batch.extend(&body);
        let length = i32::try_from(batch.len() - LENGTH_PREFIX_BYTES).unwrap();
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        let crc = crc_of(&batch);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());

        let mut header = verify(&batch).unwrap();
        header.stamp_append_time(now);
        batch[..HEAD_BYTES].copy_from_slice(&header.encode());
        prop_assert_eq!(crc_of(&batch), header.crc);
    }
}
