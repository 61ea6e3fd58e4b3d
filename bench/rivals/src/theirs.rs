//! Runs of laminarmq 0.0.5.

use std::hint::black_box;
use std::path::Path;

use futures_lite::StreamExt;
use futures_lite::future::block_on;
use laminarmq_0_0_5::common::cache::NoOpCache;
use laminarmq_0_0_5::common::serde_compat::bincode::BinCode;
use laminarmq_0_0_5::storage::AsyncConsume;
use laminarmq_0_0_5::storage::commit_log::segmented_log::{
    Config, MetaWithIdx, Record, SegmentedLog, segment,
};
use laminarmq_0_0_5::storage::impls::common::DiskBackedSegmentStorageProvider;
use laminarmq_0_0_5::storage::impls::in_mem::segment::InMemSegmentStorageProvider;
use laminarmq_0_0_5::storage::impls::in_mem::storage::InMemStorage;
use laminarmq_0_0_5::storage::impls::tokio::storage::std_random_read::{
    StdRandomReadFileStorage, StdRandomReadFileStorageProvider,
};

use crate::measure::{Run, Times, per_record, run};

type NoCache = NoOpCache<usize, ()>;
type InMem = SegmentedLog<
    InMemStorage,
    (),
    crc32fast::Hasher,
    u32,
    usize,
    BinCode,
    InMemSegmentStorageProvider<u32>,
    NoCache,
>;
type Provider = DiskBackedSegmentStorageProvider<
    StdRandomReadFileStorage,
    StdRandomReadFileStorageProvider,
    u32,
>;
type Files = SegmentedLog<
    StdRandomReadFileStorage,
    (),
    crc32fast::Hasher,
    u32,
    u64,
    BinCode,
    Provider,
    NoCache,
>;

macro_rules! config {
    () => {
        Config {
            segment_config: segment::Config {
                max_store_size: 4 << 20,
                max_store_overflow: 2 << 20,
                max_index_size: 16 << 20,
            },
            num_index_cached_read_segments: None,
            initial_index: 0,
        }
    };
}

pub fn in_memory(run: &Run<'_>) -> Times {
    block_on(async {
        let mut log = InMem::new(config!(), InMemSegmentStorageProvider::default())
            .await
            .expect("an empty log");
        run!(log, run)
    })
}

pub async fn on_files(run: &Run<'_>, dir: &Path) -> Times {
    let provider =
        Provider::with_storage_directory_path_and_provider(dir, StdRandomReadFileStorageProvider);
    let provider = provider.expect("a directory");
    let mut log = Files::new(config!(), provider).await.expect("an empty log");
    let times = run!(log, run);
    let _ = log.close().await;
    times
}
