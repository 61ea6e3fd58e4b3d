//! Runs of this library.

use std::hint::black_box;
use std::path::Path;

use futures_lite::StreamExt;
use futures_lite::future::block_on;
use laminarmq::Crc32cHasher;
use laminarmq::common::cache::NoOpCache;
use laminarmq::common::serde_compat::bincode::BinCode;
use laminarmq::storage::AsyncConsume;
use laminarmq::storage::commit_log::segmented_log::{
    Config, MetaWithIdx, Record, SegmentedLog, segment,
};
use laminarmq::storage::impls::common::DiskBackedSegmentStorageProvider;
use laminarmq::storage::impls::file::{FileStorage, FileStorageProvider};
use laminarmq::storage::impls::in_mem::segment::InMemSegmentStorageProvider;
use laminarmq::storage::impls::in_mem::storage::InMemStorage;

use crate::measure::{Run, Times, per_record, run};

type NoCache = NoOpCache<usize, ()>;
type InMem = SegmentedLog<
    InMemStorage,
    (),
    Crc32cHasher,
    u32,
    usize,
    BinCode,
    InMemSegmentStorageProvider<u32>,
    NoCache,
>;
type Provider = DiskBackedSegmentStorageProvider<FileStorage, FileStorageProvider, u32>;
type Files = SegmentedLog<FileStorage, (), Crc32cHasher, u32, u64, BinCode, Provider, NoCache>;

fn config<Size: From<u32>>() -> Config<u32, Size>
where
    Config<u32, Size>: Default,
{
    Config {
        segment_config: segment::Config {
            max_store_size: (4 << 20).into(),
            max_store_overflow: (2 << 20).into(),
            max_index_size: (16 << 20).into(),
        },
        ..Config::default()
    }
}

pub fn in_memory(run: &Run<'_>) -> Times {
    block_on(async {
        let sizes = config::<u64>().segment_config;
        let config = Config {
            segment_config: segment::Config {
                max_store_size: sizes.max_store_size as usize,
                max_store_overflow: sizes.max_store_overflow as usize,
                max_index_size: sizes.max_index_size as usize,
            },
            ..Config::default()
        };
        let mut log = InMem::new(config, InMemSegmentStorageProvider::default())
            .await
            .expect("an empty log");
        run!(log, run)
    })
}

pub fn on_files(run: &Run<'_>, dir: &Path) -> Times {
    block_on(async {
        let provider = Provider::new(dir).expect("a directory");
        let mut log = Files::new(config(), provider).await.expect("an empty log");
        let times = run!(log, run);
        log.close().await.expect("it closes");
        times
    })
}
