//! Memory that decoding takes, counted: at most a constant times the bytes that came in, whatever they claim.
#![expect(unsafe_code, reason = "counting allocations takes an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use laminarmq_kafka::messages::DeleteTopicsRequest;
use laminarmq_kafka::primitives::reader::ELEMENT_BYTES_MAX;
use laminarmq_kafka::{DecodeReason, Message, Reader};

use support::{Body, Numbers, every_body};

mod support;

/// Bytes of memory for one byte of input. The worst element is an empty text in a flexible version: 24 bytes
/// for one. A claim that turns out wrong costs as much once more on each level above it.
const PER_BYTE: usize = 24 * 3;
/// For error values and the like.
const CONSTANT: usize = 4096;

struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: both methods hand the request to the system's allocator as it is; the count beside it neither
// allocates nor unwinds (the cell is const and has no destructor).
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATED.try_with(|n| n.set(n.get() + layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`, which is the same one.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: `ptr` came from `System` through `alloc` above, with this layout.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Bytes that `run` allocates in this thread, also those that it frees again.
fn allocated<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATED.get();
    let result = run();
    (ALLOCATED.get() - before, result)
}

fn check(body: Body, bytes: Vec<u8>) -> usize {
    let len = bytes.len();
    let bytes = Bytes::from(bytes);
    let (used, result) = allocated(|| body.decode(bytes.clone()));
    assert!(
        used <= PER_BYTE * len + CONSTANT,
        "{body:?} took {used} bytes of memory for {len}: {result:?}"
    );
    used
}

#[test]
fn the_count_counts() {
    let (used, _) = allocated(|| Vec::<u8>::with_capacity(1000));
    assert!(used >= 1000);
}

/// Behind each prefix of a valid body stands a count that is as large as the rest can just justify, in both
/// forms that counts have, and then the smallest elements there are.
#[test]
fn claims_behind_any_prefix() {
    const REST: usize = 2048;
    let mut numbers = Numbers(5);
    for body in every_body() {
        for _ in 0..2 {
            let entropy = numbers.bytes(50);
            let bytes = body.generate_bytes(&entropy);
            for at in 0..=bytes.len().min(160) {
                for divisor in [1, 2, 3, 8] {
                    let count = u32::try_from(REST / divisor).expect("small");
                    let mut compact = Vec::new();
                    laminarmq_kafka::primitives::varint::put_u32(&mut compact, count + 1);
                    for claim in [&count.to_be_bytes()[..], &compact] {
                        for fill in [0, 1] {
                            check(body, [&bytes[..at], claim, &[fill; REST]].concat());
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn impossible_claims_cost_nothing() {
    for body in every_body() {
        for start in 0..40 {
            for claim in [
                &[0x7f, 0xff, 0xff, 0xff, 0, 0][..],
                &[0xff, 0xff, 0xff, 0xff, 0x0f],
            ] {
                let bytes = Bytes::from([&vec![0; start], claim].concat());
                let (used, _) = allocated(|| body.decode(bytes));
                assert!(used <= CONSTANT, "{body:?} took {used}");
            }
        }
    }
}

#[test]
fn elements_have_a_budget() {
    let body = |count: u32| {
        let mut bytes = Vec::new();
        laminarmq_kafka::primitives::varint::put_u32(&mut bytes, count + 1);
        bytes.resize(bytes.len() + count as usize, 1);
        bytes.extend([0, 0, 0, 9, 0]);
        Bytes::from(bytes)
    };
    let most = u32::try_from(ELEMENT_BYTES_MAX / size_of::<String>()).expect("small");

    let (used, all) = allocated(|| DeleteTopicsRequest::decode_exact(body(most), 5));
    assert_eq!(
        all.expect("within the budget").topic_names.len(),
        most as usize
    );
    // The bodies above are made inside the count.
    assert!(used <= ELEMENT_BYTES_MAX + 3 * most as usize + CONSTANT);

    let frame = body(most + 1);
    let (used, none) = allocated(|| DeleteTopicsRequest::decode_exact(frame, 5));
    let error = none.expect_err("over the budget");
    let limit = ELEMENT_BYTES_MAX;
    assert_eq!(error.reason, DecodeReason::OverBudget { limit });
    assert_eq!(
        (error.part, error.field),
        ("DeleteTopicsRequest", "topic_names")
    );
    assert!(used <= CONSTANT, "{used}");

    let mut r = Reader::with_budget(body(10), 10 * size_of::<String>());
    assert!(DeleteTopicsRequest::decode(&mut r, 5).is_ok());
    let mut r = Reader::with_budget(body(10), 10 * size_of::<String>() - 1);
    assert!(DeleteTopicsRequest::decode(&mut r, 5).is_err());
}
