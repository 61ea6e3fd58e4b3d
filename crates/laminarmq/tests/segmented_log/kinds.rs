//! The logs that the tests of single rules use.

use futures_lite::future::block_on;
use futures_lite::stream;
use laminarmq::common::cache::{AllocLRUCache, NoOpCache};
use laminarmq::common::serde_compat::bincode::BinCode;
use laminarmq::storage::commit_log::CommitLog;
use laminarmq::storage::commit_log::segmented_log::{
    Config, LogError, MetaWithIdx, Record, SegmentedLog, segment,
};
use laminarmq::storage::impls::common::DiskBackedSegmentStorageProvider;
use laminarmq::storage::impls::file::{FileStorage, FileStorageProvider};
use laminarmq::storage::impls::in_mem::segment::InMemSegmentStorageProvider;
use laminarmq::storage::impls::in_mem::storage::InMemStorage;

pub(crate) type NoCache = NoOpCache<usize, ()>;
pub(crate) type Lru = AllocLRUCache<usize, ()>;
pub(crate) type Crc = crc32c::Crc32cHasher;

pub(crate) type Files<Idx> =
    DiskBackedSegmentStorageProvider<FileStorage, FileStorageProvider, Idx>;
pub(crate) type FileLog<M, H = Crc, C = NoCache> =
    SegmentedLog<FileStorage, M, H, u64, u64, BinCode, Files<u64>, C>;
pub(crate) type MemLog<Idx, C = NoCache> =
    SegmentedLog<InMemStorage, (), Crc, Idx, usize, BinCode, InMemSegmentStorageProvider<Idx>, C>;

pub(crate) fn config<Idx: Default, Size: From<u16>>(
    max_store_size: u16,
    cached: Option<usize>,
) -> Config<Idx, Size> {
    Config {
        segment_config: segment::Config {
            max_store_size: max_store_size.into(),
            max_store_overflow: 1000.into(),
            max_index_size: 50_000.into(),
        },
        num_index_cached_read_segments: cached,
        initial_index: Idx::default(),
    }
}

pub(crate) fn rec<T>(value: T) -> Record<(), u64, T> {
    let (metadata, index) = ((), None);
    Record {
        metadata: MetaWithIdx { metadata, index },
        value,
    }
}

/// A file log of `()` in a directory.
pub(crate) fn open(dir: &std::path::Path, max_store_size: u16) -> FileLog<()> {
    block_on(FileLog::new(
        config(max_store_size, None),
        Files::new(dir).unwrap(),
    ))
    .unwrap()
}

pub(crate) fn append(log: &mut FileLog<()>, value: &[u8]) -> u64 {
    block_on(log.append_record_with_contiguous_bytes(&rec(value))).unwrap()
}

pub(crate) fn append_pieces(
    log: &mut FileLog<()>,
    pieces: Vec<Result<Vec<u8>, ()>>,
) -> Result<u64, LogError<FileStorage, BinCode, NoCache>> {
    block_on(log.append(rec(stream::iter(pieces))))
}
