//! Looking at a stored log without opening it: the same judgement as opening, and not a byte changed.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{
    FILE_HEADER, Rec, append, as_rec, bases, borders, by_chance, changed, contents, open, recs,
    small, stored, try_open,
};
use laminarmq::{
    Finding, FooterState, Log, LogOptions, MemEnv, OpenError, Part, Progress, ReadError, Report,
    Severity, StoredLog, poll_ready,
};

const COUNT: u64 = 20;

fn options() -> LogOptions {
    small(700)
}

fn model() -> Vec<Rec> {
    recs(0..COUNT, 100)
}

fn verified(disk: &MemEnv) -> Report {
    StoredLog::in_memory(disk).verify(&mut |_| {}).unwrap()
}

/// Every byte of every file.
fn bytes_of(disk: &MemEnv) -> Vec<Option<Vec<u8>>> {
    let bases = bases(disk);
    let files = bases
        .iter()
        .flat_map(|base| [Part::Store, Part::Index].map(|part| disk.file(*base, part)));
    files.chain([disk.start_file()]).collect()
}

/// The records up to the first that cannot be read, and whether one was.
fn dumped(disk: &MemEnv, from: u64) -> (Vec<Rec>, Option<ReadError>) {
    let mut records = Vec::new();
    for record in StoredLog::in_memory(disk).records(from).unwrap() {
        match record {
            Ok(record) => records.push(as_rec(&record)),
            Err(error) => return (records, Some(error)),
        }
    }
    (records, None)
}

/// What verifying says has to be what opening does; and it changes nothing.
fn agrees(disk: &MemEnv, context: &str) -> Report {
    let before = bytes_of(disk);
    let calls = (disk.calls(), disk.syncs());
    let report = verified(disk);
    let inspection = StoredLog::in_memory(disk).inspect().unwrap();
    let (records, stopped) = dumped(disk, 0);
    assert_eq!(bytes_of(disk), before, "{context}");
    assert_eq!((disk.calls(), disk.syncs()), calls, "{context}");
    assert_eq!(inspection.segments, report.segments, "{context}");
    let copy = disk.copy();
    match try_open(&copy, options()) {
        Ok(log) => {
            let readable = poll_ready(log.read_range(log.start_index()..u64::MAX, u64::MAX));
            assert_eq!(log.start_index(), report.start_index, "{context}");
            assert_eq!(readable.is_ok(), report.is_sound(), "{context}: {report:?}");
            if report.is_sound() {
                assert_eq!(log.end_index(), report.end_index, "{context}: {report:?}");
                let end = report.start_index + records.len() as u64;
                assert_eq!(end, report.end_index, "{context}: {stopped:?}");
                assert_eq!(records, contents(&log), "{context}");
                let cut = report
                    .findings
                    .iter()
                    .map(|finding| match finding.severity {
                        Severity::TornEnd { bytes } | Severity::Truncated { bytes } => bytes,
                        _ => 0,
                    });
                assert_eq!(cut.sum::<u64>(), log.recovery().bytes_cut, "{context}");
            }
        }
        Err(OpenError::Damaged(damage)) => {
            let first = report
                .first_damage()
                .unwrap_or_else(|| panic!("{context}: {damage}"));
            assert_eq!(first.place.index, damage.index, "{context}: {report:?}");
            assert_eq!(first.place.segment, damage.segment, "{context}: {report:?}");
            assert_eq!(
                first.place.position, damage.position,
                "{context}: {report:?}"
            );
            assert_eq!(first.place.what, damage.what, "{context}");
        }
        Err(OpenError::SegmentMissing { before, .. }) => {
            let first = report.first_damage().unwrap();
            assert_eq!(first.place.segment, before, "{context}: {report:?}");
        }
        Err(error) => panic!("{context}: {error}"),
    }
    report
}

#[test]
fn a_whole_log_is_sound() {
    for close in [true, false] {
        let disk = stored(&model(), options(), close);
        let report = agrees(&disk, "whole");
        assert_eq!(report.findings, []);
        assert_eq!((report.start_index, report.end_index), (1, 1 + COUNT));
        let log = open(disk.copy(), options());
        let infos: Vec<_> = log.segments().collect();
        assert_eq!(infos.len(), report.segments.len());
        for (info, segment) in infos.iter().zip(&report.segments) {
            assert_eq!(info.base_index, segment.base_index);
            assert_eq!(info.end_index, segment.end_index);
            assert_eq!(info.store_bytes, segment.store_bytes);
            assert_eq!(info.max_timestamp, segment.max_timestamp);
            assert_eq!(Some(info.created_ms), segment.created_ms);
            let want = if close {
                FooterState::Fits
            } else {
                FooterState::Missing
            };
            assert_eq!(segment.footer, want);
            assert!(!segment.is_removed && segment.damage.is_none());
        }
        let total = infos.iter().map(|info| info.store_bytes).sum::<u64>();
        assert_eq!(report.bytes_verified, total);
        for from in [0, 1, 9, COUNT, COUNT + 1, u64::MAX] {
            let (records, stopped) = dumped(&disk, from);
            assert!(stopped.is_none());
            let skip = usize::try_from(from.clamp(1, COUNT + 1) - 1).unwrap();
            assert_eq!(records, model()[skip..]);
        }
    }
}

#[test]
fn every_flipped_byte_is_judged_as_opening_does() {
    let model = recs(0..7, 60);
    for close in [true, false] {
        let disk = stored(&model, options(), close);
        let mut damaged = 0;
        for base in bases(&disk) {
            for part in [Part::Store, Part::Index] {
                for at in 0..disk.file(base, part).unwrap().len() {
                    let wrong = changed(&disk, base, part, |bytes| bytes[at] ^= 0x10);
                    let context = format!("byte {at} of {part:?} {base}, closed: {close}");
                    let report = agrees(&wrong, &context);
                    assert!(
                        !report.findings.is_empty() || part == Part::Index,
                        "{context}"
                    );
                    damaged += u32::from(report.first_damage().is_some());
                    // Of a closed log nothing is a torn end.
                    let is_store = close && part == Part::Store;
                    assert!(!is_store || !report.is_sound(), "{context}: {report:?}");
                }
            }
        }
        assert!(damaged > 100);
    }
}

#[test]
fn a_torn_end_at_any_byte_is_told_from_damage() {
    for close in [true, false] {
        let disk = stored(&recs(0..12, 60), options(), close);
        for base in bases(&disk) {
            for length in 0..disk.file(base, Part::Store).unwrap().len() {
                let cut = changed(&disk, base, Part::Store, |bytes| bytes.truncate(length));
                agrees(
                    &cut,
                    &format!("{length} bytes left of {base}, closed: {close}"),
                );
            }
        }
    }
}

/// The log could end at the torn place, but a segment behind it is one that opening refuses to drop.
#[test]
fn damage_behind_a_torn_end_is_damage() {
    let disk = stored(&model(), options(), false);
    let all = bases(&disk);
    let base = all[0];
    let last = all[all.len() - 1];
    // Nothing says that the first segment had been durable: its header never reached the media.
    let torn = changed(&disk, base, Part::Store, |bytes| bytes.truncate(20));
    for base in &all[1..] {
        torn.set_file(*base, Part::Store, None);
        torn.set_file(*base, Part::Index, None);
    }
    torn.set_file(base, Part::Index, None);
    assert!(agrees(&torn, "torn").is_sound());

    let mut store = disk.file(last, Part::Store).unwrap();
    store[30] ^= 1;
    torn.set_file(last, Part::Store, Some(store));
    let report = agrees(&torn, "a damaged header behind");
    assert_eq!(report.first_damage().unwrap().place.segment, last);

    // Whole, but two segments behind each other of which the first is not the one that the second names.
    for base in &all[all.len() - 2..] {
        torn.set_file(*base, Part::Store, disk.file(*base, Part::Store));
    }
    let report = agrees(&torn, "a missing segment");
    assert!(!report.is_sound());
}

#[test]
fn lost_files_are_named() {
    for close in [true, false] {
        let disk = stored(&model(), options(), close);
        let bases = bases(&disk);
        for (number, base) in bases.iter().enumerate() {
            let copy = disk.copy();
            copy.set_file(*base, Part::Index, None);
            let report = agrees(&copy, "no index");
            assert_eq!(report.segments[number].index_bytes, 0);
            assert!(report.is_sound());
            if number > 0 && number + 1 < bases.len() {
                copy.set_file(*base, Part::Store, None);
                let report = agrees(&copy, "no store");
                let first = report.first_damage().unwrap();
                assert_eq!(first.place.segment, bases[number - 1]);
                assert!(first.place.what.contains("missing"));
            }
        }
    }
}

#[test]
fn a_wrong_entry_in_a_sealed_index_is_found_exactly() {
    let disk = stored(&model(), options(), true);
    let base = bases(&disk)[1];
    // An entry that is valid by itself: that of the record behind it, with its check made again.
    let wrong = changed(&disk, base, Part::Index, |bytes| {
        bytes[64 + 24] ^= 1;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&base.to_le_bytes()), &bytes[64..110]);
        bytes[110..112].copy_from_slice(&crc.to_le_bytes()[..2]);
    });
    let report = verified(&wrong);
    assert!(!report.is_sound() && report.first_damage().is_none());
    let [finding] = &report.findings[..] else {
        panic!("{report:?}");
    };
    assert_eq!(finding.severity, Severity::Index);
    assert_eq!(finding.part, Part::Index);
    assert_eq!((finding.place.segment, finding.place.index), (base, base));
    assert_eq!(finding.place.position, 64);
}

/// An index file that is shorter than a header, or begins with that of another store.
#[test]
fn an_index_without_the_header_of_its_store_is_found() {
    let disk = stored(&model(), options(), true);
    let base = bases(&disk)[1];
    let foreign = disk.file(bases(&disk)[2], Part::Index).unwrap();
    for length in [0, 1, 63, 64] {
        let cut = changed(&disk, base, Part::Index, |bytes| bytes.truncate(length));
        let other = changed(&cut, base, Part::Index, |bytes| {
            *bytes = foreign[..length].to_vec();
        });
        for (left, is_named) in [(cut, length < 64), (other, true)] {
            let report = verified(&left);
            assert!(report.first_damage().is_none());
            let named = |it: &Finding| {
                it.place.segment == base && it.place.what == "no index header of this store"
            };
            let found = report.findings.iter().any(named);
            assert_eq!(found, is_named && length > 0, "{length}: {report:?}");
        }
    }
}

#[test]
fn a_footer_that_does_not_tell_the_truth_is_found() {
    let disk = stored(&model(), options(), true);
    let base = bases(&disk)[1];
    // The largest timestamp, under a checksum that is right.
    let wrong = changed(&disk, base, Part::Index, |bytes| {
        let at = bytes.len() - 128;
        bytes[at + 40] ^= 1;
        let crc = crc32c::crc32c(&bytes[at..at + 124]).to_le_bytes();
        bytes[at + 124..].copy_from_slice(&crc);
    });
    let report = verified(&wrong);
    let [finding] = &report.findings[..] else {
        panic!("{report:?}");
    };
    assert_eq!(finding.severity, Severity::Index);
    assert!(finding.place.what.contains("footer"));
    assert_eq!(finding.place.segment, base);
}

#[test]
fn chunks_behind_the_place_prove_that_it_is_damage() {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), small(1 << 20));
    append(&mut log, &recs(0..4, 60)).unwrap();
    poll_ready(log.sync()).unwrap();
    append(&mut log, &recs(4..6, 60)).unwrap();
    drop(log);
    let length = disk.file(1, Part::Store).unwrap().len();
    let borders = borders(&recs(0..6, 60));
    for at in FILE_HEADER..length {
        let wrong = changed(&disk, 1, Part::Store, |bytes| bytes[at] ^= 0x10);
        let report = agrees(&wrong, &format!("byte {at}"));
        assert_eq!(report.is_sound(), at >= borders[4], "byte {at}: {report:?}");
    }
}

/// Behind the start of the next segment, a chunk of a truncated record says that more had been durable than there
/// is now. That says nothing of the next segment, whose only record is torn.
#[test]
fn chunks_of_truncated_records_prove_nothing_of_later_segments() {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), small(1 << 20));
    for index in 0..6 {
        append(&mut log, &recs(index..index + 1, 60)).unwrap();
        poll_ready(log.sync()).unwrap();
    }
    let before = disk.file(1, Part::Store).unwrap();
    poll_ready(log.truncate_suffix(3)).unwrap();
    poll_ready(log.roll()).unwrap();
    append(&mut log, &recs(3..4, 60)).unwrap();
    drop(log);
    disk.set_file(1, Part::Store, Some(before));
    disk.set_file(1, Part::Index, None);
    let torn = changed(&disk, 3, Part::Store, |bytes| bytes[FILE_HEADER + 8] ^= 1);
    let report = agrees(&torn, "torn behind a truncation");
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.end_index, 3);
}

#[test]
fn what_a_crash_leaves_is_judged_as_opening_does() {
    let mut torn = 0;
    for seed in 0..150 {
        let disk = MemEnv::new();
        let mut log = open(disk.clone(), options());
        for round in 0..6 {
            let first = round * 10;
            append(&mut log, &recs(first..first + 1 + seed % 5, 90)).unwrap();
            match (seed + round) % 6 {
                0 => poll_ready(log.sync()).unwrap(),
                1 => poll_ready(log.roll()).unwrap(),
                2 => poll_ready(log.truncate_suffix((log.start_index() + log.end_index()) / 2))
                    .unwrap(),
                3 => poll_ready(log.truncate_prefix(log.start_index() + 1)).unwrap(),
                4 if seed % 7 == 0 => poll_ready(log.reset(5 + seed)).unwrap(),
                _ => {}
            }
        }
        drop(log);
        for left in [
            disk.copy(),
            disk.crashed_copy(|_| false),
            disk.crashed_copy(by_chance(seed)),
        ] {
            let report = agrees(&left, &format!("seed {seed}"));
            torn += u32::from(!report.findings.is_empty());
        }
    }
    assert!(torn > 10);
}

#[test]
fn truncated_segments_and_interrupted_resets_are_told() {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), options());
    append(&mut log, &model()).unwrap();
    poll_ready(log.sync()).unwrap();
    let second = log.segments().nth(1).unwrap().base_index;
    // The removal of the first segment does not reach the media, the start does.
    disk.fail_call(Some(2));
    poll_ready(log.truncate_prefix(second + 1)).unwrap_err();
    drop(log);
    let report = agrees(&disk, "truncated");
    assert_eq!(report.start_index, second + 1);
    let removed: Vec<bool> = report.segments.iter().map(|it| it.is_removed).collect();
    assert!(removed[0] && !removed[1..].contains(&true));
    let mut log = open(disk.clone(), options());
    disk.fail_call(Some(2));
    poll_ready(log.reset(50)).unwrap_err();
    drop(log);
    let inspection = StoredLog::in_memory(&disk).inspect().unwrap();
    assert!(inspection.resetting && inspection.segments.iter().all(|it| it.is_removed));
    assert_eq!((inspection.start_index, inspection.end_index), (50, 50));
    let report = agrees(&disk, "resetting");
    assert_eq!((report.start_index, report.end_index), (50, 50));
}

#[test]
fn progress_goes_up_to_the_total() {
    let disk = stored(&recs(0..40, 100_000), small(1 << 21), true);
    let mut seen: Vec<Progress> = Vec::new();
    let report = StoredLog::in_memory(&disk)
        .verify(&mut |it| seen.push(it))
        .unwrap();
    assert!(seen.len() > 4);
    assert!(
        seen.windows(2)
            .all(|pair| pair[0].bytes_done <= pair[1].bytes_done)
    );
    let last = seen.last().unwrap();
    assert_eq!(
        (last.bytes_done, last.bytes_total),
        (report.bytes_verified, report.bytes_verified)
    );
    let (records, _) = dumped(&disk, 0);
    assert_eq!(records, recs(0..40, 100_000));
}

#[test]
fn a_directory_that_is_in_use_is_read_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open_dir(dir.path(), options()).unwrap();
    append(&mut log, &model()).unwrap();
    // An index that is not there must not appear.
    let first = log.env().path(1, Part::Index);
    std::fs::remove_file(&first).unwrap();
    let names = || {
        let entries = std::fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let stored = StoredLog::in_dir(dir.path()).unwrap();
    let report = stored.verify(&mut |_| {}).unwrap();
    assert!(report.is_sound() && report.end_index == 1 + COUNT);
    let records: Result<Vec<_>, _> = stored.records(0).unwrap().collect();
    assert_eq!(
        records.unwrap().iter().map(as_rec).collect::<Vec<_>>(),
        model()
    );
    assert_eq!(names(), before);
    drop(log);
    assert!(matches!(
        StoredLog::in_dir(dir.path().join("none")),
        Err(OpenError::Io { .. })
    ));
    assert!(!dir.path().join("none").exists());
    // Damage in the middle: where exactly, and how far it could be read.
    let path = dir.path().join("00000000000000000001.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[borders(&model())[2] + 60] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut records = stored.records(0).unwrap();
    assert_eq!(records.by_ref().take_while(Result::is_ok).count(), 2);
    assert!(records.next().is_none(), "it never skips");
    let report = stored.verify(&mut |_| {}).unwrap();
    let place = &report.findings[0].place;
    assert_eq!((place.segment, place.index), (1, 3));
    assert_eq!(place.position, borders(&model())[2] as u64);
    assert!(place.position > FILE_HEADER as u64);
}
