//! The crash matrix through the generic face: images of a log's disk that were cut, flipped, or left by a power cut or a
//! failing call, each opened in memory and on real files.
//!
//! ```text
//! below what had been durable   every record is there, or there is an error, and really something is damaged
//! above it                      a tail may be cut
//! everywhere                    no record is invented or misplaced, nothing panics, and what is appended after the
//!                               recovery reads back right, before and after one more opening
//! ```

use std::path::Path;

use futures_lite::future::block_on;
use futures_lite::stream;
use laminarmq::common::serde_compat::bincode::BinCode;
use laminarmq::common::split::SplitAt;
use laminarmq::storage::commit_log::CommitLog;
use laminarmq::storage::commit_log::segmented_log::segment::{
    SegmentError, SegmentStorageProvider,
};
use laminarmq::storage::commit_log::segmented_log::{
    Config, MetaWithIdx, Record, SegmentedLog, SegmentedLogError, segment,
};
use laminarmq::storage::impls::file::FileStorage;
use laminarmq::storage::{AsyncConsume, AsyncIndexedRead, AsyncTruncate, Storage};
use laminarmq::test_util::env_storage::{EnvProvider, EnvStorage};
use laminarmq::test_util::faults::{Call, Fault, FaultEnv, Faults, Left};
use laminarmq::{MemEnv, Part};

use crate::kinds::{Crc, Files, Lru};

type Log<S, P> = SegmentedLog<S, u16, Crc, u64, u64, BinCode, P, Lru>;

fn config() -> Config<u64, u64> {
    Config {
        segment_config: segment::Config {
            max_store_size: 500,
            max_store_overflow: 1000,
            max_index_size: 5000,
        },
        num_index_cached_read_segments: Some(1),
        initial_index: 0,
    }
}

fn value(number: u64) -> Vec<u8> {
    let byte = u8::try_from(number % 251).unwrap();
    vec![byte; usize::try_from(5 + number * 13 % 60).unwrap()]
}

fn record(number: u64) -> Record<u16, u64, Vec<u8>> {
    let (metadata, index) = (u16::try_from(number).unwrap(), None);
    Record {
        metadata: MetaWithIdx { metadata, index },
        value: value(number),
    }
}

async fn open<S, P>(provider: P) -> Result<Log<S, P>, String>
where
    S: Storage<Position = u64>,
    S::Content: SplitAt<u8>,
    P: SegmentStorageProvider<S, u64> + Clone,
{
    let opened = Log::<S, P>::new(config(), provider).await;
    opened.map_err(|error| match error {
        SegmentedLogError::Unreadable(error) => error.to_string(),
        other => panic!("not because of what is stored: {other}"),
    })
}

/// What is known of the log whose disk was damaged.
#[derive(Debug, Clone, Copy)]
struct Known {
    written: u64,
    durable: u64,
    /// Whether bytes of a store, or a file, are not what was written.
    is_damaged: bool,
    /// Whether that may be below what was durable.
    may_refuse: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Refused,
    Cut,
    Holes,
    Whole,
}

/// Opens what is stored, and looks at all of it.
async fn judge<S, P>(provider: P, known: Known) -> Outcome
where
    S: Storage<Position = u64>,
    S::Content: SplitAt<u8>,
    P: SegmentStorageProvider<S, u64> + Clone,
{
    let mut log = match open(provider.clone()).await {
        Ok(log) => log,
        Err(error) => {
            assert!(known.may_refuse, "refused: {error}");
            return Outcome::Refused;
        }
    };
    let end = log.highest_index();
    assert_eq!(log.lowest_index(), 0);
    assert!(end <= known.written, "{end} records of {}", known.written);
    assert!(
        end >= known.durable,
        "{end} left, {} were durable",
        known.durable
    );
    let mut holes = 0;
    for index in 0..end {
        match log.read(&index).await {
            Ok(record) => {
                assert_eq!(&*record.value, value(index), "{index}");
                assert_eq!(u64::from(record.metadata.metadata), index);
            }
            Err(SegmentedLogError::SegmentError(
                SegmentError::StoreError(_) | SegmentError::IndexError(_),
            )) => holes += 1,
            Err(error) => panic!("{index}: {error}"),
        }
    }
    // One damaged place hits at most a record and the index entry of one.
    assert!(
        holes <= u32::from(known.is_damaged),
        "{holes} records cannot be read"
    );
    for index in end..end + 2 {
        let mut more = record(index + 1000 - end);
        more.value = value(index + 100);
        assert_eq!(
            log.append_record_with_contiguous_bytes(&more)
                .await
                .unwrap(),
            index
        );
    }
    let check = async |log: &Log<S, P>| {
        for index in end..end + 2 {
            assert_eq!(&*log.read(&index).await.unwrap().value, value(index + 100));
        }
        assert_eq!(log.highest_index(), end + 2);
    };
    check(&log).await;
    drop(log);
    match open(provider).await {
        Ok(log) => check(&log).await,
        Err(error) => assert!(holes > 0, "not again: {error}"),
    }
    match (holes, end < known.written) {
        (0, false) => Outcome::Whole,
        (0, true) => Outcome::Cut,
        _ => Outcome::Holes,
    }
}

/// Judges an image in both places.
fn judge_both(image: &MemEnv, dir: &Path, known: Known, name: &str) -> Outcome {
    struct Named<'a>(&'a str);
    impl Drop for Named<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the image: {}", self.0);
            }
        }
    }
    let _named = Named(name);
    for entry in std::fs::read_dir(dir).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    image.write_to_dir(dir).unwrap();
    let disk = EnvProvider(image.copy());
    let in_memory = block_on(judge::<EnvStorage<MemEnv>, _>(disk, known));
    let files = Files::<u64>::new(dir).unwrap();
    let on_files = block_on(judge::<FileStorage, _>(files, known));
    assert_eq!(in_memory, on_files, "in memory and on files");
    in_memory
}

/// A log of several segments whose last records are not durable, and how many are.
fn written(close: bool) -> (MemEnv, Known) {
    let disk = MemEnv::new();
    let (mut durable, written) = (30, 34);
    block_on(async {
        let mut log = open::<EnvStorage<MemEnv>, _>(EnvProvider(disk.clone()))
            .await
            .unwrap();
        for number in 0..written {
            if number % 3 == 0 {
                let Record { metadata, value } = record(number);
                let pieces = value.chunks(9).map(|piece| Ok::<_, ()>(piece.to_vec()));
                let value = stream::iter(pieces.collect::<Vec<_>>());
                log.append(Record { metadata, value }).await.unwrap();
            } else {
                log.append_record_with_contiguous_bytes(&record(number))
                    .await
                    .unwrap();
            }
            if number + 1 == durable {
                log.flush().await.unwrap();
            }
        }
        if close {
            log.close().await.unwrap();
            durable = written;
        }
    });
    let known = Known {
        written,
        durable,
        is_damaged: true,
        may_refuse: true,
    };
    (disk, known)
}

fn bases(disk: &MemEnv) -> Vec<u64> {
    block_on(laminarmq::SegmentEnv::list(&mut disk.clone())).unwrap()
}

fn fast_dir() -> tempfile::TempDir {
    tempfile::tempdir_in(crate::common::fast_dir()).unwrap()
}

#[test]
fn stores_cut_at_every_byte() {
    let dir = fast_dir();
    let (mut images, mut cut, mut refused) = (0, 0, 0);
    for close in [false, true] {
        let (disk, known) = written(close);
        for base in bases(&disk) {
            let bytes = disk.file(base, Part::Store).unwrap();
            for length in 0..bytes.len() {
                let image = disk.copy();
                image.set_file(base, Part::Store, Some(bytes[..length].to_vec()));
                let name = format!("store {base} cut to {length}, closed: {close}");
                images += 1;
                match judge_both(&image, dir.path(), known, &name) {
                    Outcome::Refused => refused += 1,
                    Outcome::Cut => cut += 1,
                    Outcome::Holes | Outcome::Whole => {}
                }
            }
        }
    }
    println!("{images} images: {cut} cut, {refused} refused");
    assert!(
        images > 4000 && cut > 200 && refused > 2000,
        "{images} {cut} {refused}"
    );
}

#[test]
fn every_byte_flipped() {
    let dir = fast_dir();
    let mut outcomes = [0; 4];
    for close in [false, true] {
        let (disk, known) = written(close);
        for base in bases(&disk) {
            for part in [Part::Store, Part::Index] {
                let bytes = disk.file(base, part).unwrap();
                for at in 0..bytes.len() {
                    let mut flipped = bytes.clone();
                    flipped[at] ^= 1 << (at % 8);
                    let image = disk.copy();
                    image.set_file(base, part, Some(flipped));
                    let name = format!("{part:?} {base} flipped at {at}, closed: {close}");
                    outcomes[judge_both(&image, dir.path(), known, &name) as usize] += 1;
                }
            }
        }
    }
    println!("refused, cut, holes, whole: {outcomes:?}");
    assert!(outcomes.iter().sum::<i32>() > 8000);
    assert!(outcomes.iter().all(|count| *count > 100), "{outcomes:?}");
}

#[test]
fn indexes_cut_emptied_lost_and_swapped() {
    let dir = fast_dir();
    let mut images = 0;
    for close in [false, true] {
        let (disk, known) = written(close);
        // An index is derived: whatever becomes of it, all records are there.
        let known = Known {
            is_damaged: false,
            may_refuse: false,
            ..known
        };
        let bases = bases(&disk);
        let index = |base: u64| disk.file(base, Part::Index).unwrap();
        let mut judge = |base: u64, bytes: Option<Vec<u8>>, name: &str| {
            let image = disk.copy();
            image.set_file(base, Part::Index, bytes);
            let name = format!("index {base} {name}, closed: {close}");
            images += 1;
            assert_eq!(judge_both(&image, dir.path(), known, &name), Outcome::Whole);
        };
        for base in &bases {
            let bytes = index(*base);
            for length in 0..bytes.len() {
                judge(*base, Some(bytes[..length].to_vec()), "cut");
            }
            judge(*base, None, "lost");
            for other in &bases {
                judge(*base, Some(index(*other)), "swapped");
            }
        }
    }
    println!("{images} images");
    assert!(images > 3000);
}

/// Everything that a log does, each step with what is known after it: records, and how many are durable.
async fn history<S, P>(provider: P, mut done: impl FnMut(u64, u64)) -> Result<(), ()>
where
    S: Storage<Position = u64>,
    S::Content: SplitAt<u8>,
    P: SegmentStorageProvider<S, u64> + Clone,
{
    let mut log = Log::<S, P>::new(config(), provider.clone())
        .await
        .map_err(drop)?;
    let (mut end, mut durable) = (0, 0);
    for step in 0..50u64 {
        match step {
            12 | 30 | 44 => {
                log.flush().await.map_err(drop)?;
                durable = end;
            }
            20 => {
                log.rotate_new_write_segment().await.map_err(drop)?;
                durable = end;
            }
            25 | 36 => {
                // What is cut below the mark is durably gone.
                let from = end - 6;
                durable = durable.min(from);
                done(end, durable);
                log.truncate(&from).await.map_err(drop)?;
                end = from;
            }
            40 => {
                log.close().await.map_err(drop)?;
                durable = end;
                done(end, durable);
                log = Log::<S, P>::new(config(), provider.clone())
                    .await
                    .map_err(drop)?;
            }
            _ if step % 4 == 0 => {
                let Record { metadata, value } = record(end);
                done(end + 1, durable);
                let value = stream::iter([Ok::<_, ()>(value)]);
                log.append(Record { metadata, value }).await.map_err(drop)?;
                end += 1;
            }
            _ => {
                done(end + 1, durable);
                let appended = log.append_record_with_contiguous_bytes(&record(end)).await;
                appended.map_err(drop)?;
                end += 1;
            }
        }
        done(end, durable);
    }
    Ok(())
}

/// Of a log on which a history stopped somewhere. Records that were cut off may come back until the next sync, so
/// that any number up to the most there ever were is right.
fn stopped(most: u64, durable: u64) -> Known {
    Known {
        written: most,
        durable,
        is_damaged: false,
        may_refuse: false,
    }
}

#[test]
fn power_cuts_at_every_sync_point() {
    let dir = fast_dir();
    let mut images = 0;
    for (keep, wants_room) in (0..6u64).flat_map(|keep| [(keep, false), (keep, true)]) {
        for stop in 0.. {
            let disk = MemEnv::new();
            let faults = Faults::default();
            faults.want_room(wants_room);
            let env = FaultEnv::with(disk.clone(), &faults);
            faults.arm(Fault::nth(Call::Sync, stop));
            let (mut most, mut durable) = (0, 0);
            let ended = block_on(history::<EnvStorage<FaultEnv<MemEnv>>, _>(
                EnvProvider(env),
                |end, mark| (most, durable) = (most.max(end), mark),
            ));
            let mut state = keep.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stop;
            disk.crash_with(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                match keep {
                    0 => false,
                    1 => true,
                    _ => (state >> 40) & 1 == 1,
                }
            });
            images += 1;
            let name = format!("sync {stop}, kept by {keep}, room: {wants_room}");
            judge_both(&disk, dir.path(), stopped(most, durable), &name);
            if ended.is_ok() {
                break;
            }
        }
    }
    println!("{images} images");
    assert!(images > 100);
}

#[test]
fn each_call_fails_once() {
    let dir = fast_dir();
    let mut images = 0;
    for call in [Call::Change, Call::Sync, Call::Read] {
        let ways = [Left::Nothing, Left::Half, Left::All];
        for (left, wants_room) in ways.into_iter().flat_map(|it| [(it, false), (it, true)]) {
            for after in 0.. {
                let disk = MemEnv::new();
                let faults = Faults::default();
                faults.want_room(wants_room);
                faults.arm(Fault {
                    left,
                    ..Fault::nth(call, after)
                });
                let env = FaultEnv::with(disk.clone(), &faults);
                let (mut most, mut durable) = (0, 0);
                let ended = block_on(history::<EnvStorage<FaultEnv<MemEnv>>, _>(
                    EnvProvider(env),
                    |end, mark| (most, durable) = (most.max(end), mark),
                ));
                images += 1;
                let name = format!("{call:?} {after} failed, left {left:?}, room: {wants_room}");
                judge_both(&disk, dir.path(), stopped(most, durable), &name);
                if ended.is_ok() && faults.counts().failed == 0 {
                    break;
                }
            }
        }
    }
    println!("{images} images");
    assert!(images > 300);
}
