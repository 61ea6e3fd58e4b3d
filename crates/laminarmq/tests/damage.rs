//! What a read says about damage: which record, and at which place of which file.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs::OpenOptions;

use common::{FILE_HEADER, append, as_rec, changed, open, recs, small, stored, try_open};
use laminarmq::limits::STREAM_CHUNK_BYTES;
use laminarmq::{Append, Damage, Log, MemEnv, Part, ReadError, poll_ready};

fn place(error: ReadError) -> (u64, u64, u64) {
    match error {
        ReadError::Damaged(Damage {
            segment,
            index,
            position,
            ..
        }) => (segment, index, position),
        error => panic!("{error}"),
    }
}

/// The chunk that is damaged is named by every way to read its record.
#[test]
fn a_damaged_chunk_is_named_by_its_place() {
    const CHUNK: usize = STREAM_CHUNK_BYTES + 56;
    let options = small(1 << 30);
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), options);
    // The last one is looked at when the log is opened.
    for _ in 0..3 {
        let mut long = poll_ready(log.record_writer(Append::default())).unwrap();
        poll_ready(long.write(&vec![7; 2 * STREAM_CHUNK_BYTES + 100])).unwrap();
        poll_ready(long.finish()).unwrap();
    }
    poll_ready(log.close()).unwrap();
    let second = FILE_HEADER + 2 * CHUNK + 156;
    for chunk in 0..3 {
        let at = second + chunk * CHUNK;
        for byte in [at + 20, at + 56 + 50] {
            let flipped = changed(&disk, 1, Part::Store, |bytes| bytes[byte] ^= 1);
            let log = try_open(&flipped, options).unwrap();
            let want = (1, 2, at as u64);
            assert_eq!(place(poll_ready(log.read(2)).unwrap_err()), want);
            let both = poll_ready(log.read_range(1..3, u64::MAX));
            assert_eq!(place(both.unwrap_err()), want);
            let mut stream = log.stream(1..).unwrap();
            poll_ready(stream.next()).unwrap();
            for _ in 0..2 {
                assert_eq!(place(poll_ready(stream.next()).unwrap_err()), want);
            }
            let mut reader = poll_ready(log.record_reader(2)).unwrap();
            for _ in 0..chunk {
                poll_ready(reader.next_chunk()).unwrap();
            }
            assert_eq!(place(poll_ready(reader.next_chunk()).unwrap_err()), want);
        }
    }
}

/// An index entry says of itself, with a right check, that its record has this place and this length.
fn forged(disk: &MemEnv, number: usize, position: u64, length: u64) -> MemEnv {
    changed(disk, 1, Part::Index, |bytes| {
        let at = 64 + 48 * number;
        bytes[at..at + 8].copy_from_slice(&position.to_le_bytes());
        bytes[at + 8..at + 16].copy_from_slice(&length.to_le_bytes());
        let index = (1 + number as u64).to_le_bytes();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&index), &bytes[at..at + 46]);
        bytes[at + 46..at + 48].copy_from_slice(&crc.to_le_bytes()[..2]);
    })
}

/// Neither memory nor a number of the machine runs over, whatever an entry says.
#[test]
fn an_index_that_points_outside_the_store_is_damage() {
    let options = small(1 << 20);
    let model = recs(0..12, 20);
    let disk = stored(&model, options, true);
    let end = disk.file(1, Part::Store).unwrap().len() as u64;
    let outside = |log: &Log<MemEnv>, index: u64, position: u64| {
        let refused = |error: ReadError| {
            assert!(
                error.to_string().contains("points outside the store"),
                "{error}"
            );
            assert_eq!(place(error), (1, index, position));
        };
        refused(poll_ready(log.read(index)).unwrap_err());
        refused(log.reader().read(index).unwrap_err());
    };
    for position in [end, end + 1, 1 << 40, u64::MAX - 60, u64::MAX] {
        for number in [0, 5, 11] {
            let log = try_open(&forged(&disk, number, position, 20), options).unwrap();
            let index = 1 + number as u64;
            outside(&log, index, position);
            for to in [index + 1, 13] {
                let range = poll_ready(log.read_range(index..to, u64::MAX));
                assert_eq!(place(range.unwrap_err()).1, index);
            }
            let mut stream = log.stream(index..).unwrap();
            assert_eq!(place(poll_ready(stream.next()).unwrap_err()).1, index);
            if number > 0 {
                let before = poll_ready(log.read(index - 1)).unwrap();
                assert_eq!(as_rec(&before), model[number - 1]);
            }
        }
    }
    // The length alone is wrong.
    let log = try_open(&forged(&disk, 3, 64, end - 64 - 55), options).unwrap();
    outside(&log, 4, 64);
}

/// An index that gives a record no room at all does not make it an empty one.
#[test]
fn a_record_without_room_is_damage_chunk_by_chunk_too() {
    let options = small(1 << 20);
    let model = recs(0..12, 20);
    let disk = stored(&model, options, true);
    let log = open(disk.clone(), options);
    let entry = poll_ready(log.entry(5)).unwrap();
    let next = poll_ready(log.entry(6)).unwrap();
    drop(log);
    let log = try_open(&forged(&disk, 4, next.position, entry.length), options).unwrap();
    let mut reader = poll_ready(log.record_reader(5)).unwrap();
    for _ in 0..2 {
        let error = poll_ready(reader.next_chunk()).unwrap_err();
        assert_eq!(place(error), (1, 5, next.position));
    }
}

/// The entry that is damaged, in an index of which no entry is in memory.
#[test]
fn a_damaged_index_entry_is_named_by_its_place() {
    let options = small(700);
    let disk = stored(&recs(0..25, 40), options, true);
    let segments: Vec<_> = open(disk.copy(), options).segments().collect();
    for info in &segments[..segments.len() - 1] {
        for index in info.base_index..info.end_index {
            let position = 64 + 48 * (index - info.base_index);
            let at = usize::try_from(position).unwrap();
            let flipped = changed(&disk, info.base_index, Part::Index, |bytes| {
                bytes[at + 20] ^= 1;
            });
            let log = try_open(&flipped, options).unwrap();
            let want = (info.base_index, index, position);
            assert_eq!(place(poll_ready(log.entry(index)).unwrap_err()), want);
            assert_eq!(place(poll_ready(log.read(index)).unwrap_err()), want);
        }
    }
}

/// Somebody cuts an index file while the log is open.
#[test]
fn an_index_that_is_too_short_is_damage_at_the_first_entry_that_is_gone() {
    let options = small(700);
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open_dir(dir.path(), options).unwrap();
    append(&mut log, &recs(0..25, 40)).unwrap();
    poll_ready(log.close()).unwrap();
    let log = Log::open_dir(dir.path(), options).unwrap();
    let info = log.segments().nth(1).unwrap();
    let name = format!("{:020}.index", info.base_index);
    let file = OpenOptions::new()
        .write(true)
        .open(dir.path().join(name))
        .unwrap();
    file.set_len(64 + 48 + 20).unwrap();
    let first = info.base_index;
    poll_ready(log.entry(first)).unwrap();
    for index in first + 1..info.end_index {
        let error = poll_ready(log.entry(index)).unwrap_err();
        assert!(error.to_string().contains("too short"), "{error}");
        let position = 64 + 48 * (index - first);
        assert_eq!(place(error), (first, index, position));
    }
}

/// The same with a store: what a reader is told is damage, not an end of the log.
#[test]
fn a_store_that_is_too_short_is_damage() {
    let options = small(700);
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open_dir(dir.path(), options).unwrap();
    append(&mut log, &recs(0..25, 40)).unwrap();
    let info = log.segments().nth(1).unwrap();
    let name = format!("{:020}.log", info.base_index);
    let file = OpenOptions::new()
        .write(true)
        .open(dir.path().join(name))
        .unwrap();
    file.set_len(info.store_bytes - 1).unwrap();
    let last = info.end_index - 1;
    poll_ready(log.read(last - 1)).unwrap();
    let read = poll_ready(log.read(last)).unwrap_err();
    let range = poll_ready(log.read_range(last..last + 2, u64::MAX)).unwrap_err();
    let beside = log.reader().read(last).unwrap_err();
    for error in [read, range, beside] {
        assert!(error.to_string().contains("is shorter"), "{error}");
        let (segment, index, _) = place(error);
        assert_eq!((segment, index), (info.base_index, last));
    }
}
