//! Random operations through the generic face against a plain vector, in memory and on real files, where nothing fails:
//! what those storages do by themselves, they do without a trace.
//!
//! Appends come in runs, so that files are mapped, and streams of memory read ahead.

use futures_lite::future::block_on;
use futures_lite::stream::{self, StreamExt};
use laminarmq::common::serde_compat::bincode::BinCode;
use laminarmq::common::split::SplitAt;
use laminarmq::storage::commit_log::CommitLog;
use laminarmq::storage::commit_log::segmented_log::segment::{self, SegmentStorageProvider};
use laminarmq::storage::commit_log::segmented_log::{Config, MetaWithIdx, Record, SegmentedLog};
use laminarmq::storage::impls::in_mem::segment::InMemSegmentStorageProvider;
use laminarmq::storage::{
    AsyncConsume, AsyncIndexedExclusiveRead, AsyncIndexedRead, AsyncTruncate, Storage,
};
use proptest::prelude::*;

use crate::kinds::{Crc, Files, Lru};
use crate::replay;

#[derive(Debug, Clone)]
enum Act {
    /// So many records of that length.
    Append(u32, usize),
    Stream(Vec<usize>),
    Flush,
    Rotate,
    Truncate(usize),
    Look(usize),
    Close,
    /// Forgets the log without closing it, as a process does that is killed.
    Kill,
}

fn act() -> impl Strategy<Value = Act> {
    let length = prop_oneof![6 => 0..300usize, 2 => 300..9000usize, 1 => 30_000..70_000usize];
    let piece = prop_oneof![20 => 0..200usize, 1 => 200_000..300_000usize];
    prop_oneof![
        8 => (1..100u32, length).prop_map(|(count, length)| Act::Append(count, length)),
        2 => prop::collection::vec(piece, 0..4).prop_map(Act::Stream),
        1 => Just(Act::Flush),
        1 => Just(Act::Rotate),
        3 => (0..1000usize).prop_map(Act::Truncate),
        3 => (0..1000usize).prop_map(Act::Look),
        1 => Just(Act::Close),
        1 => Just(Act::Kill),
    ]
}

#[derive(Debug, Clone)]
struct Case {
    max_store_size: u32,
    cached: Option<usize>,
    acts: Vec<Act>,
}

fn case() -> impl Strategy<Value = Case> {
    let sizes = prop_oneof![1000..5000u32, 100_000..500_000u32];
    let cached = prop_oneof![2 => Just(None), 1 => (0..3usize).prop_map(Some)];
    let acts = prop::collection::vec(act(), 1..20);
    (sizes, cached, acts).prop_map(|(max_store_size, cached, acts)| Case {
        max_store_size,
        cached,
        acts,
    })
}

type Log<S, M, P> = SegmentedLog<S, M, Crc, u64, <S as Storage>::Position, BinCode, P, Lru>;

/// Metadata of a record, made of its number.
trait Meta: Default + Clone + std::fmt::Debug + PartialEq + serde::Serialize {
    fn of(number: u32) -> Self;
}

impl Meta for () {
    fn of(_number: u32) -> Self {}
}

impl Meta for u32 {
    fn of(number: u32) -> Self {
        number
    }
}

struct Run<S: Storage, M, P>
where
    P: SegmentStorageProvider<S, u64>,
{
    config: Config<u64, S::Position>,
    provider: P,
    log: Option<Log<S, M, P>>,
    /// Numbers and lengths.
    want: Vec<(u32, usize)>,
    made: u32,
}

fn value(number: u32, length: usize) -> Vec<u8> {
    vec![number.to_le_bytes()[0]; length]
}

impl<S, M, P> Run<S, M, P>
where
    S: Storage,
    S::Size: num_traits::FromPrimitive + Copy,
    S::Content: SplitAt<u8>,
    S::Position: std::fmt::Debug,
    M: Meta + serde::de::DeserializeOwned,
    P: SegmentStorageProvider<S, u64> + Clone,
{
    fn new(case: &Case, provider: P) -> Self {
        let size = |bytes| num_traits::FromPrimitive::from_u32(bytes).unwrap();
        let config = Config {
            segment_config: segment::Config {
                max_store_size: size(case.max_store_size),
                max_store_overflow: size(1 << 21),
                max_index_size: size(20_000),
            },
            num_index_cached_read_segments: case.cached,
            initial_index: 0,
        };
        let mut run = Self {
            config,
            provider,
            log: None,
            want: Vec::new(),
            made: 0,
        };
        run.open();
        run
    }

    fn open(&mut self) {
        let opened = block_on(Log::new(self.config, self.provider.clone()));
        self.log = Some(opened.unwrap_or_else(|error| panic!("it does not open: {error}")));
    }

    fn log(&mut self) -> &mut Log<S, M, P> {
        self.log.as_mut().unwrap()
    }

    fn next<T>(&mut self, length: usize, value: T) -> Record<M, u64, T> {
        self.want.push((self.made, length));
        let metadata = M::of(self.made);
        self.made += 1;
        let index = None;
        Record {
            metadata: MetaWithIdx { metadata, index },
            value,
        }
    }

    fn append(&mut self, length: usize) {
        let record = self.next(length, value(self.made, length));
        let index = block_on(self.log().append_record_with_contiguous_bytes(&record)).unwrap();
        assert_eq!(index + 1, self.want.len() as u64);
    }

    fn check(&self) {
        let log = self.log.as_ref().unwrap();
        assert_eq!(
            log.lowest_index()..log.highest_index(),
            0..self.want.len() as u64
        );
        let found: Vec<_> = block_on(log.try_stream(..).collect());
        assert_eq!(found.len(), self.want.len());
        for ((index, found), (number, length)) in (0..).zip(found).zip(&self.want) {
            let record = found.unwrap();
            assert_eq!(record.metadata.index, Some(index));
            assert_eq!(record.metadata.metadata, M::of(*number));
            assert!(*record.value == value(*number, *length), "{index}");
        }
        for segment in log.segments() {
            if let Some(held) = segment.cached_index_records() {
                assert_eq!(held.len() as u64, segment.len());
            }
        }
    }

    fn act(&mut self, act: &Act) {
        let place = |records: usize, permille: usize| records * permille / 1000;
        match act {
            Act::Append(count, length) => (0..*count).for_each(|_| self.append(*length)),
            Act::Stream(pieces) => {
                let number = self.made;
                let items = pieces
                    .iter()
                    .map(|length| Ok::<_, ()>(value(number, *length)));
                let items = stream::iter(items.collect::<Vec<_>>());
                let record = self.next(pieces.iter().sum(), items);
                block_on(CommitLog::append(self.log(), record)).unwrap();
            }
            Act::Flush => block_on(self.log().flush()).unwrap(),
            Act::Rotate => block_on(self.log().rotate_new_write_segment()).unwrap(),
            Act::Truncate(permille) if !self.want.is_empty() => {
                let from = place(self.want.len(), *permille);
                self.want.truncate(from);
                block_on(self.log().truncate(&(from as u64))).unwrap();
            }
            Act::Look(permille) if !self.want.is_empty() => {
                let at = place(self.want.len(), *permille);
                let (number, length) = self.want[at];
                let record = block_on(self.log().exclusive_read(&(at as u64))).unwrap();
                assert!(*record.value == value(number, length));
            }
            Act::Truncate(_) | Act::Look(_) => {}
            Act::Close => {
                block_on(self.log.take().unwrap().close()).unwrap();
                self.open();
            }
            Act::Kill => {
                self.log = None;
                self.open();
            }
        }
    }

    fn through(mut self, case: &Case) {
        for act in &case.acts {
            self.act(act);
            self.check();
        }
    }
}

#[test]
fn in_memory_against_a_vector() {
    replay::cases(
        "segmented_log",
        "in_memory_against_a_vector",
        300,
        &case(),
        |case| {
            let provider = InMemSegmentStorageProvider::default;
            Run::<_, (), _>::new(case, provider()).through(case);
            Run::<_, u32, _>::new(case, provider()).through(case);
        },
    );
}

#[test]
fn on_files_against_a_vector() {
    replay::cases(
        "segmented_log",
        "on_files_against_a_vector",
        100,
        &case(),
        |case| {
            let dirs = [(), ()].map(|()| tempfile::tempdir().unwrap());
            let [one, two] = dirs.each_ref().map(|dir| Files::new(dir.path()).unwrap());
            Run::<_, (), _>::new(case, one).through(case);
            Run::<_, u32, _>::new(case, two).through(case);
        },
    );
}
