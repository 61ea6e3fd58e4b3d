//! What checking a batch costs in memory, counted at the allocator.
//!
//! One test only, so that nothing else allocates meanwhile.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]
#![allow(
    unsafe_code,
    reason = "a global allocator that counts, around the system's"
)]

mod batch_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use batch_support::{Plain, build, seal};
use bytes::Bytes;
use laminarmq_kafka::batch::{
    Attributes, BatchError, BatchLimits, CheckedBatch, Compression, HEAD_BYTES, validate,
};

struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

struct Cost {
    result: Result<CheckedBatch, BatchError>,
    calls: usize,
    /// Most bytes above what was there before.
    peak: usize,
}

fn cost(batch: Bytes, decompressed_bytes_max: u64) -> Cost {
    let limits = BatchLimits {
        batch_bytes_max: usize::MAX,
        decompressed_bytes_max,
    };
    let calls = CALLS.load(Relaxed);
    let live = LIVE.load(Relaxed);
    PEAK.store(live, Relaxed);
    let result = validate(batch, &limits);
    Cost {
        result,
        calls: CALLS.load(Relaxed) - calls,
        peak: PEAK.load(Relaxed).saturating_sub(live),
    }
}

/// The most resident memory that this process had so far, in bytes.
fn resident_peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib: usize = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib * 1024
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

#[test]
fn memory() {
    plain_batches_cost_nothing();
    content_is_never_held();
    bombs_are_refused_within_their_bound();
    claims_cost_nothing();
}

fn plain_batches_cost_nothing() {
    let plain: Vec<_> = (0..1_000)
        .map(|i| Plain::of_value(i, &[7; 1_024]))
        .collect();
    let batch = build(Compression::None, &plain);
    assert!(batch.len() > 1_000 * KIB);
    let cost = cost(batch, 0);
    assert_eq!(cost.result.unwrap().record_count(), 1_000);
    assert_eq!((cost.calls, cost.peak), (0, 0));
}

/// 16 MiB of zeros in a few kilobytes.
fn bomb(codec: Compression) -> Bytes {
    build(codec, &[Plain::of_value(1, &vec![0; 16 * MIB])])
}

/// What a decoder may take, whatever the content.
const DECODER_BYTES: usize = 256 * KIB;

fn content_is_never_held() {
    for codec in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let batch = bomb(codec);
        assert!(batch.len() < 2 * MIB, "{codec}: {}", batch.len());
        let cost = cost(batch, 17 * MIB as u64);
        assert!(cost.result.is_ok(), "{codec}");
        assert!(cost.peak < DECODER_BYTES, "{codec}: {}", cost.peak);
    }
}

fn bombs_are_refused_within_their_bound() {
    let before = resident_peak();
    for codec in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let max = MIB as u64;
        let cost = cost(bomb(codec), max);
        let want = BatchError::DecompressedTooLarge { max };
        assert_eq!(cost.result.err(), Some(want), "{codec}");
        assert!(cost.peak < DECODER_BYTES, "{codec}: {}", cost.peak);
    }

    // A raw snappy block cannot be read in parts, so its content is held, but not beyond the limit.
    let records = &build(Compression::None, &[Plain::of_value(1, &vec![0; 4 * MIB])])[HEAD_BYTES..];
    let block = snap::raw::Encoder::new().compress_vec(records).unwrap();
    let raw = seal(1, &block, |header| {
        header.attributes = Attributes::of(Compression::Snappy);
    });
    let small = cost(raw.clone(), MIB as u64);
    assert!(matches!(
        small.result,
        Err(BatchError::DecompressedTooLarge { .. })
    ));
    assert!(small.peak < DECODER_BYTES, "{}", small.peak);
    let large = cost(raw, 5 * MIB as u64);
    assert!(large.result.is_ok());
    assert!(large.peak < 4 * MIB + DECODER_BYTES, "{}", large.peak);

    // zstd allocates outside the counter. A frame above its streamed windows is held up to the limit.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    std::io::copy(
        &mut std::io::Read::take(std::io::repeat(0), 256 * MIB as u64),
        &mut encoder,
    )
    .unwrap();
    let frame = encoder.finish().unwrap();
    let batch = seal(1, &frame, |header| {
        header.attributes = Attributes::of(Compression::Zstd);
    });
    let before_large = resident_peak();
    let large_window = cost(batch, MIB as u64);
    let want = BatchError::DecompressedTooLarge { max: MIB as u64 };
    assert_eq!(large_window.result.err(), Some(want));
    assert!(large_window.peak < 2 * MIB, "{}", large_window.peak);
    let grown = resident_peak() - before_large;
    assert!(
        grown < 8 * MIB,
        "{grown} bytes more resident for a large window"
    );
    let grown = before_large - before;
    println!("resident peak grew by {grown} bytes while the bombs were made and checked");
}

/// A few bytes that claim a lot.
fn claims_cost_nothing() {
    let lz4_block_of_4_mib = {
        let mut frame = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x70];
        let [_, checksum, _, _] = twox_hash::XxHash32::oneshot(0, &frame[4..]).to_le_bytes();
        frame.push(checksum);
        frame.extend([3, 0, 0, 0, 0x20, b'a', b'b']);
        frame.extend([0; 4]);
        (Compression::Lz4, frame)
    };
    let snappy_block_of_2_gib = (
        Compression::Snappy,
        vec![0xff, 0xff, 0xff, 0xff, 0x07, 0, b'x'],
    );
    let framed_snappy_block_of_2_gib = {
        let mut bytes = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x07".to_vec();
        bytes.extend([0xff, 0xff, 0xff, 0xff, 0x07, 0, b'x']);
        (Compression::Snappy, bytes)
    };
    let zstd_content_of_an_exbibyte = {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1110_0000];
        frame.extend((1u64 << 60).to_le_bytes());
        frame.extend([0b0000_1001, 0, 0, b'x']);
        (Compression::Zstd, frame)
    };
    let before = resident_peak();
    for (codec, stream) in [
        lz4_block_of_4_mib,
        snappy_block_of_2_gib,
        framed_snappy_block_of_2_gib,
        zstd_content_of_an_exbibyte,
    ] {
        let batch = seal(i32::MAX, &stream, |header| {
            header.attributes = Attributes::of(codec);
        });
        let cost = cost(batch, u64::MAX);
        assert!(cost.result.is_err(), "{codec}");
        assert!(cost.peak < DECODER_BYTES, "{codec}: {}", cost.peak);
    }
    let grown = resident_peak() - before;
    assert!(grown < 8 * MIB, "{grown} bytes more resident");
}
