//! Each codec: round trips, the other ways to write it, bounds, damage.

use std::io::Write;

use proptest::prelude::*;

use super::*;

const CODECS: [Compression; 4] = [
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

const MAX: u64 = 64 << 20;

fn compressed(codec: Compression, input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compress(codec, input, &mut out);
    out
}

fn damaged(codec: Compression) -> BatchError {
    error_of(Stop::DAMAGED, codec, 0)
}

fn unsupported(codec: Compression) -> BatchError {
    error_of(Stop::UNSUPPORTED, codec, 0)
}

fn bytes_after_end(codec: Compression) -> BatchError {
    error_of(Stop::Fault(CompressedFault::BytesAfterEnd), codec, 0)
}

/// Bytes of every kind: runs, text-like repeats and noise, above several block sizes of each codec.
fn mixed(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    (0..len)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match (i / 5_000) % 3 {
                0 => b'a',
                1 => b"laminar flow keeps its order. "[i % 30],
                _ => (state >> 24) as u8,
            }
        })
        .collect()
}

#[test]
fn names_and_numbers() {
    for (id, codec) in Compression::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(codec.id()), id);
        assert_eq!(Compression::from_id(codec.id()), Some(codec));
        assert_eq!(codec.name().parse(), Ok(codec));
        assert_eq!(format!("{codec:>7}").len(), 7);
    }
    assert_eq!(Compression::Zstd.id(), 4);
    assert_eq!(Compression::from_id(5), None);
    assert!("brotli".parse::<Compression>().is_err());
}

#[test]
fn round_trips_around_block_sizes() {
    for codec in Compression::ALL {
        for len in [
            0, 1, 10, 32_767, 32_768, 32_769, 65_536, 65_537, 200_000, 3_000_000,
        ] {
            let input = mixed(len);
            let bytes = compressed(codec, &input);
            let back = decompress(codec, &bytes, len as u64).unwrap();
            assert!(back == input, "{codec} {len}");
            if codec != Compression::None && len >= 32_767 {
                assert!(bytes.len() < len, "{codec} {len}: {}", bytes.len());
            }
        }
    }
}

#[test]
fn reads_in_small_steps() {
    let input = mixed(100_000);
    for codec in Compression::ALL {
        let bytes = compressed(codec, &input);
        let mut source = Decompressor::new(codec, &bytes, MAX).unwrap();
        let mut out = Vec::new();
        let mut piece = [0; 7];
        loop {
            let read = source.read(&mut piece).unwrap();
            if read == 0 {
                break;
            }
            out.extend_from_slice(&piece[..read]);
        }
        assert!(out == input, "{codec}");
        assert_eq!(source.read(&mut piece), Ok(0), "{codec}: stays at its end");
    }
}

#[test]
fn the_limit_is_exact() {
    let input = mixed(100_000);
    for codec in Compression::ALL {
        let bytes = compressed(codec, &input);
        for max in [0, 1, 50_000, 99_999] {
            assert_eq!(
                decompress(codec, &bytes, max).map(|out| out.len()),
                Err(BatchError::DecompressedTooLarge { max }),
                "{codec}"
            );
        }
        assert_eq!(decompress(codec, &bytes, 100_000).as_ref(), Ok(&input));
    }
}

#[test]
fn nothing_may_follow() {
    let input = mixed(1_000);
    for codec in CODECS {
        let mut bytes = compressed(codec, &input);
        bytes.push(0);
        let got = decompress(codec, &bytes, MAX).map(|out| out.len());
        // Framed snappy has no end mark: what follows is a damaged block.
        let want = match codec {
            Compression::Snappy => damaged(codec),
            _ => bytes_after_end(codec),
        };
        assert_eq!(got, Err(want), "{codec}");

        let twice = [compressed(codec, &input), compressed(codec, &input)].concat();
        let got = decompress(codec, &twice, MAX).map(|out| out.len());
        assert_eq!(got, Err(want), "{codec}: two streams");
    }
}

#[test]
fn no_truncation_passes_as_whole() {
    let input = mixed(40_000);
    for codec in CODECS {
        let bytes = compressed(codec, &input);
        for len in 0..bytes.len() {
            match decompress(codec, &bytes[..len], MAX) {
                Err(_) => {}
                // Where no end mark is, less data may come out, but never all of it.
                Ok(out) => assert!(
                    out.len() < input.len() && input.starts_with(&out),
                    "{codec}: {len} of {}",
                    bytes.len()
                ),
            }
        }
    }
}

#[test]
fn snappy_is_written_framed_and_read_raw_too() {
    let input = mixed(100_000);
    let framed = compressed(Compression::Snappy, &input);
    assert!(framed.starts_with(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"));
    let raw = snap::raw::Encoder::new().compress_vec(&input).unwrap();
    let back = decompress(Compression::Snappy, &raw, MAX).unwrap();
    assert!(back == input);
}

#[test]
fn snappy_refuses_sizes_that_its_bytes_cannot_hold() {
    // A raw block of 8 bytes that claims the most a size can say.
    let raw = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, b'x', 0x00];
    assert_eq!(
        decompress(Compression::Snappy, &raw, u64::MAX).map(|out| out.len()),
        Err(damaged(Compression::Snappy))
    );
    let mut framed = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x08".to_vec();
    framed.extend(raw);
    assert_eq!(
        decompress(Compression::Snappy, &framed, u64::MAX).map(|out| out.len()),
        Err(damaged(Compression::Snappy))
    );
    // A length beyond the bytes, and a negative one.
    for length in [[0, 0, 0, 9], [0xff; 4]] {
        framed[16..20].copy_from_slice(&length);
        assert_eq!(
            decompress(Compression::Snappy, &framed, MAX).map(|out| out.len()),
            Err(damaged(Compression::Snappy))
        );
    }
    // A framing that is newer than what is known.
    let newer = b"\x82SNAPPY\0\0\0\0\x02\0\0\0\x02";
    assert_eq!(
        decompress(Compression::Snappy, newer, MAX).map(|out| out.len()),
        Err(unsupported(Compression::Snappy))
    );
    assert_eq!(
        decompress(Compression::Snappy, &newer[..12], MAX).map(|out| out.len()),
        Err(damaged(Compression::Snappy))
    );
}

fn lz4_with(info: lz4_flex::frame::FrameInfo, input: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(input).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn lz4_reads_all_block_sizes_and_checksums() {
    use lz4_flex::frame::{BlockSize, FrameInfo};
    let input = mixed(5_000_000);
    for size in [
        BlockSize::Max64KB,
        BlockSize::Max256KB,
        BlockSize::Max1MB,
        BlockSize::Max4MB,
    ] {
        for checksums in [false, true] {
            let info = FrameInfo::new()
                .block_size(size)
                .block_checksums(checksums)
                .content_checksum(checksums)
                .content_size(checksums.then_some(input.len() as u64));
            let bytes = lz4_with(info, &input);
            let back = decompress(Compression::Lz4, &bytes, MAX).unwrap();
            assert!(back == input, "{size:?} {checksums}");
        }
    }
}

#[test]
fn lz4_refuses_what_consumers_cannot_read() {
    use lz4_flex::frame::{BlockMode, FrameInfo};
    let input = mixed(100_000);
    let linked = lz4_with(FrameInfo::new().block_mode(BlockMode::Linked), &input);
    let got = decompress(Compression::Lz4, &linked, MAX).map(|out| out.len());
    assert_eq!(got, Err(unsupported(Compression::Lz4)));

    // The format before frames had a version: a magic, then blocks.
    let legacy = [0x02, 0x21, 0x4c, 0x18, 2, 0, 0, 0, 0x10, b'x'];
    let got = decompress(Compression::Lz4, &legacy, MAX).map(|out| out.len());
    assert_eq!(got, Err(damaged(Compression::Lz4)));

    // The dictionary bit, with its id where it belongs.
    let dictionary = [0x04, 0x22, 0x4d, 0x18, 0x61, 0x40, 1, 0, 0, 0, 0];
    let got = decompress(Compression::Lz4, &dictionary, MAX).map(|out| out.len());
    assert_eq!(got, Err(unsupported(Compression::Lz4)));
}

#[test]
fn lz4_checks_every_checksum_and_the_content_size() {
    use lz4_flex::frame::FrameInfo;
    // Noise is stored as it is, so that only checksums can tell a change.
    let input = mixed(15_000)[10_000..].to_vec();
    let whole = FrameInfo::new().content_size(Some(5_000));
    for info in [
        whole.clone().block_checksums(true),
        whole.clone().content_checksum(true),
    ] {
        let bytes = lz4_with(info, &input);
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x21;
            let got = decompress(Compression::Lz4, &bytes, MAX).map(|out| out.len());
            assert!(got.is_err(), "byte {at} of {}", bytes.len());
        }
    }
    // A content size that does not hold, under a header checksum that does.
    let mut bytes = lz4_with(whole, &input);
    bytes[6] ^= 1;
    let [_, checksum, _, _] = twox_hash::XxHash32::oneshot(0, &bytes[4..14]).to_le_bytes();
    bytes[14] = checksum;
    let got = decompress(Compression::Lz4, &bytes, MAX).map(|out| out.len());
    assert_eq!(got, Err(damaged(Compression::Lz4)));
}

fn zstd_streamed(input: &[u8], window_log: u32) -> Vec<u8> {
    let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(window_log).unwrap();
    encoder.write_all(input).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn zstd_reads_frames_of_any_window() {
    let input = mixed(3_000_000);
    for window_log in [10, 17, 23, 24, 27] {
        let bytes = zstd_streamed(&input, window_log);
        assert_eq!(zstd::has_large_window(&bytes), window_log > 23);
        let back = decompress(Compression::Zstd, &bytes, MAX).unwrap();
        assert!(back == input, "{window_log}");
        let max = input.len() as u64 - 1;
        assert_eq!(
            decompress(Compression::Zstd, &bytes, max).map(|out| out.len()),
            Err(BatchError::DecompressedTooLarge { max }),
            "{window_log}"
        );
        let mut more = bytes.clone();
        more.push(0);
        assert_eq!(
            decompress(Compression::Zstd, &more, MAX).map(|out| out.len()),
            Err(bytes_after_end(Compression::Zstd)),
            "{window_log}"
        );
        let less = &bytes[..bytes.len() - 1];
        assert_eq!(
            decompress(Compression::Zstd, less, MAX).map(|out| out.len()),
            Err(damaged(Compression::Zstd)),
            "{window_log}"
        );
    }
}

#[test]
fn zstd_content_sizes_are_claims() {
    // A single segment frame that claims 2^60 bytes and holds one.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1110_0000];
    frame.extend((1u64 << 60).to_le_bytes());
    frame.extend([0b0000_1001, 0, 0, b'x']);
    assert!(zstd::has_large_window(&frame));
    let got = decompress(Compression::Zstd, &frame, MAX).map(|out| out.len());
    assert!(got.is_err(), "{got:?}");
}

proptest! {
    #[test]
    fn any_bytes_round_trip(input in prop::collection::vec(any::<u8>(), 0..2_000)) {
        for codec in Compression::ALL {
            let bytes = compressed(codec, &input);
            prop_assert_eq!(&decompress(codec, &bytes, input.len() as u64).unwrap(), &input);
        }
    }

    #[test]
    fn noise_is_refused_or_bounded(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        codec in prop::sample::select(&CODECS[..]),
    ) {
        if let Ok(out) = decompress(codec, &noise, 10_000) {
            prop_assert!(out.len() <= 10_000);
        }
    }

    #[test]
    fn changed_streams_are_refused_or_bounded(
        len in 0usize..3_000,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        codec in prop::sample::select(&CODECS[..]),
    ) {
        let mut bytes = compressed(codec, &mixed(len));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(out) = decompress(codec, &bytes, 10_000) {
            prop_assert!(out.len() <= 10_000);
        }
    }
}
