//! What happens to a log, at random.

use proptest::prelude::*;

use crate::common::ops::{End, Op};
use laminarmq::test_util::faults::{Call, Left};
use laminarmq::{FlushPolicy, IndexCache};

/// How much of one kind of unsynced thing a power cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Nothing,
    Half,
    All,
}

/// What a power cut leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keep {
    pub(crate) names: Kept,
    pub(crate) start: Kept,
    pub(crate) lengths: Kept,
    pub(crate) sectors: Kept,
    /// Which half.
    pub(crate) seed: u64,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Do(Op),
    /// The log is closed in order and opened again.
    Close,
    /// The process is killed, and the log opened again.
    Kill,
    /// As [`Act::Close`], with other options.
    Resize(Settings),
    /// The power is cut, and the log opened again.
    Crash(Keep),
    /// A call to come fails.
    Fail {
        call: Call,
        after: u64,
        left: Left,
    },
}

/// How a log is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) segment_bytes: u64,
    pub(crate) auto_roll: bool,
    pub(crate) flush: FlushPolicy,
    pub(crate) index_cache: IndexCache,
    pub(crate) write_ahead: bool,
    /// Bound of open files, where there are files.
    pub(crate) open_files: usize,
}

/// How a log is opened first, and what happens to it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) settings: Settings,
    pub(crate) acts: Vec<Act>,
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let acts = prop::collection::vec(act(), 1..40);
    (settings(), acts).prop_map(|(settings, acts)| Case { settings, acts })
}

fn settings() -> impl Strategy<Value = Settings> {
    let segment_bytes = prop_oneof![Just(128), 300..3000u64];
    let every = (prop::option::of(1..20u64), prop::option::of(1..2000u64));
    let flush = prop_oneof![
        4 => Just(FlushPolicy::OnRequest),
        1 => every.prop_map(|(records, bytes)| FlushPolicy::Every { records, bytes, ms: None }),
    ];
    let index_cache = prop_oneof![
        2 => Just(IndexCache::Recent),
        2 => (0..3usize).prop_map(IndexCache::Segments),
        1 => Just(IndexCache::All),
    ];
    let open_files = prop_oneof![Just(0), Just(2), Just(64)];
    (
        segment_bytes,
        prop::bool::weighted(0.9),
        flush,
        index_cache,
        any::<bool>(),
        open_files,
    )
        .prop_map(
            |(segment_bytes, auto_roll, flush, index_cache, write_ahead, open_files)| Settings {
                segment_bytes,
                auto_roll,
                flush,
                index_cache,
                write_ahead,
                open_files,
            },
        )
}

fn op() -> impl Strategy<Value = Op> {
    let length = prop_oneof![1 => Just(0), 4 => 0..40usize, 1 => 0..3000usize];
    let lengths = prop::collection::vec(length, 0..12);
    // A chunk has at most 256 KiB, so few records are of several: they are slow.
    let piece = prop_oneof![
        1 => Just(0usize),
        400 => 0..300usize,
        1 => Just(256 << 10),
        1 => 200_000..600_000usize,
    ];
    let pieces = prop::collection::vec(piece, 0..4);
    let end =
        prop_oneof![4 => Just(End::Finished), 1 => Just(End::Aborted), 1 => Just(End::Dropped)];
    let permille = || 0..=1000u64;
    let retain = (
        0..60i64,
        prop::option::of(0..40u64),
        prop::option::of(0..6000u64),
    );
    prop_oneof![
        10 => (lengths, 0..3u32, 0..3u64, 0..20i64).prop_map(
            |(lengths, term, key_step, timestamp)| Op::Append { lengths, term, key_step, timestamp }
        ),
        2 => (pieces, end).prop_map(|(pieces, end)| Op::Write { pieces, end }),
        3 => permille().prop_map(|permille| Op::Truncate { permille }),
        2 => permille().prop_map(|permille| Op::TruncatePrefix { permille }),
        1 => retain.prop_map(|(now_ms, max_age_ms, max_bytes)| {
            Op::Retain { now_ms, max_age_ms, max_bytes }
        }),
        1 => (1..60u64).prop_map(|start| Op::Reset { start }),
        2 => Just(Op::Roll),
        2 => Just(Op::Sync),
        2 => Just(Op::TakeTicket),
        2 => Just(Op::RunTicket),
        1 => (permille(), 0..5000u64).prop_map(|(permille, max_bytes)| {
            Op::TakePlan { permille, max_bytes }
        }),
        1 => Just(Op::RunPlan),
        2 => (permille(), 0..30u64, 0..5000u64).prop_map(|(permille, count, max_bytes)| {
            Op::Read { permille, count, max_bytes }
        }),
    ]
}

fn keep() -> impl Strategy<Value = Keep> {
    let kept = || prop_oneof![Just(Kept::Nothing), Just(Kept::Half), Just(Kept::All)];
    (kept(), kept(), kept(), kept(), any::<u64>()).prop_map(
        |(names, start, lengths, sectors, seed)| Keep {
            names,
            start,
            lengths,
            sectors,
            seed,
        },
    )
}

fn act() -> impl Strategy<Value = Act> {
    let call = prop_oneof![
        3 => Just(Call::Change),
        1 => Just(Call::Read),
        2 => Just(Call::Sync),
    ];
    let left = prop_oneof![Just(Left::Nothing), Just(Left::Half), Just(Left::All)];
    prop_oneof![
        28 => op().prop_map(Act::Do),
        1 => Just(Act::Close),
        1 => Just(Act::Kill),
        1 => settings().prop_map(Act::Resize),
        2 => keep().prop_map(Act::Crash),
        2 => (call, 0..8u64, left).prop_map(|(call, after, left)| Act::Fail { call, after, left }),
    ]
}
