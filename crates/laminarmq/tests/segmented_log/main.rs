//! The generic face of the log, over storages of this crate and of others.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../model/replay.rs"]
mod replay;

mod anywhere;
mod contract;
mod crash;
mod kinds;
mod memory;
mod minimal;
mod model;
mod rules;

use futures_lite::future::block_on;
use kinds::{Files, Lru, NoCache};
use laminarmq::MemEnv;
use laminarmq::common::serde_compat::bincode::BinCode;
use laminarmq::storage::impls::file::FileStorage;
use laminarmq::storage::impls::in_mem::segment::InMemSegmentStorageProvider;
use laminarmq::storage::impls::in_mem::storage::InMemStorage;
use laminarmq::test_util::env_storage::{EnvProvider, EnvStorage};
use laminarmq::test_util::faults::FaultEnv;
use laminarmq::test_util::storages;
use minimal::{Minimal, MinimalProvider};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Meta {
    name: String,
    number: u32,
}

fn meta(index: u64) -> Meta {
    Meta {
        name: format!("record {index}"),
        number: u32::try_from(index).unwrap(),
    }
}

fn none(_: u64) {}

#[test]
fn in_memory() {
    type Provider<Idx> = InMemSegmentStorageProvider<Idx>;
    type Crc = crc32c::Crc32cHasher;
    type Sip = std::hash::DefaultHasher;
    block_on(async {
        let small = Provider::<u32>::default;
        contract::holds::<InMemStorage, (), Crc, u32, BinCode, _, NoCache>(small(), None, none)
            .await;
        contract::holds::<InMemStorage, Meta, Sip, u32, BinCode, _, Lru>(small(), Some(2), meta)
            .await;
        let large = Provider::<u64>::default;
        contract::holds::<InMemStorage, Meta, Crc, u64, BinCode, _, NoCache>(large(), None, meta)
            .await;
        contract::holds::<InMemStorage, (), Sip, u64, BinCode, _, Lru>(large(), Some(0), none)
            .await;
    });
}

async fn on_files() {
    type Crc = crc32c::Crc32cHasher;
    type Sip = std::hash::DefaultHasher;
    let dir = || tempfile::tempdir().unwrap();
    let (one, two, three, four) = (dir(), dir(), dir(), dir());
    let small = |dir: &tempfile::TempDir| Files::<u32>::new(dir.path()).unwrap();
    let large = |dir: &tempfile::TempDir| Files::<u64>::new(dir.path()).unwrap();
    contract::holds::<FileStorage, (), Crc, u32, BinCode, _, NoCache>(small(&one), None, none)
        .await;
    contract::holds::<FileStorage, Meta, Sip, u32, BinCode, _, Lru>(small(&two), Some(1), meta)
        .await;
    contract::holds::<FileStorage, Meta, Crc, u64, BinCode, _, Lru>(large(&three), Some(3), meta)
        .await;
    contract::holds::<FileStorage, (), Sip, u64, BinCode, _, NoCache>(large(&four), None, none)
        .await;
}

#[test]
fn files() {
    block_on(on_files());
}

#[test]
fn storages_keep_their_contract() {
    let dirs: std::cell::RefCell<Vec<tempfile::TempDir>> = std::cell::RefCell::default();
    let dir = || {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_path_buf();
        dirs.borrow_mut().push(dir);
        path
    };
    block_on(async {
        storages::run(InMemSegmentStorageProvider::<u32>::default).await;
        storages::run(|| Files::<u32>::new(dir()).unwrap()).await;
        storages::run(|| EnvProvider(MemEnv::new())).await;
        storages::run(|| EnvProvider(FaultEnv::new(MemEnv::new()))).await;
        storages::run(MinimalProvider::default).await;
    });
}

#[cfg(target_os = "linux")]
#[test]
fn files_through_io_uring() {
    use laminarmq::storage::impls::common::DiskBackedSegmentStorageProvider;
    use laminarmq::storage::impls::file::{UringStorage, UringStorageProvider};
    type Uring = DiskBackedSegmentStorageProvider<UringStorage, UringStorageProvider, u64>;
    type Crc = crc32c::Crc32cHasher;
    let dirs: std::cell::RefCell<Vec<tempfile::TempDir>> = std::cell::RefCell::default();
    let fresh = || {
        let dir = tempfile::tempdir().unwrap();
        let provider = Uring::new(dir.path()).unwrap();
        dirs.borrow_mut().push(dir);
        provider
    };
    block_on(async {
        storages::run(fresh).await;
        contract::holds::<UringStorage, Meta, Crc, u64, BinCode, _, Lru>(fresh(), Some(1), meta)
            .await;
    });
}

#[test]
fn a_disk_that_can_fail() {
    type Crc = crc32c::Crc32cHasher;
    type Disk = EnvStorage<FaultEnv<MemEnv>>;
    block_on(async {
        let provider = || EnvProvider(FaultEnv::new(MemEnv::new()));
        contract::holds::<Disk, Meta, Crc, u64, BinCode, _, Lru>(provider(), Some(1), meta).await;
        contract::holds::<Disk, (), Crc, u64, BinCode, _, NoCache>(provider(), None, none).await;
    });
}

#[test]
fn a_storage_of_somebody_else() {
    type Crc = crc32c::Crc32cHasher;
    block_on(async {
        let provider = MinimalProvider::default;
        contract::holds::<Minimal, Meta, Crc, u32, BinCode, _, Lru>(provider(), Some(1), meta)
            .await;
        contract::holds::<Minimal, (), Crc, u32, BinCode, _, NoCache>(provider(), None, none).await;
    });
}
