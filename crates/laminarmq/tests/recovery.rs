//! Stores that were cut, lost, exchanged or flipped behind the log's back.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{
    FILE_HEADER, Rec, append, as_rec, bases, borders, changed, check, contents, goes_on, open,
    recs, small, stored, try_open,
};
use laminarmq::{
    Damage, Log, LogOptions, MemEnv, OpenError, Part, ReadError, StoredLog, poll_ready,
};

#[test]
fn an_end_torn_at_any_byte_is_cut_and_reported() {
    let options = small(1 << 20);
    let model = recs(0..6, 20);
    let disk = stored(&model, options, false);
    let borders = borders(&model);
    for cut in 0..=disk.file(1, Part::Store).unwrap().len() {
        let torn = changed(&disk, 1, Part::Store, |bytes| bytes.truncate(cut));
        let log = try_open(&torn, options).unwrap();
        let whole = borders.iter().rposition(|border| *border <= cut);
        let left = whole.map_or(0, |whole| cut - borders[whole]);
        let want = if whole.is_none() { cut } else { left };
        assert_eq!(log.recovery().bytes_cut, want as u64, "cut at {cut}");
        let kept = &model[..whole.unwrap_or(0)];
        check(&log, 1, kept);
        drop(log);
        goes_on(&torn, options, kept.to_vec());
    }
}

#[test]
fn garbage_behind_the_end_is_cut() {
    let options = small(1 << 20);
    let model = recs(0..6, 20);
    let disk = stored(&model, options, false);
    let store = disk.file(1, Part::Store).unwrap();
    for garbage in [
        vec![0; 700],
        vec![0xff; 33],
        store[FILE_HEADER..].to_vec(),
        store[..200].to_vec(),
    ] {
        let dirty = changed(&disk, 1, Part::Store, |bytes| {
            bytes.extend_from_slice(&garbage);
        });
        let log = try_open(&dirty, options).unwrap();
        let recovery = *log.recovery();
        let zeros = if garbage[0] == 0 {
            garbage.len() as u64
        } else {
            0
        };
        assert_eq!(recovery.bytes_cut, garbage.len() as u64 - zeros);
        assert_eq!(recovery.zeros_cut, zeros);
        check(&log, 1, &model);
        drop(log);
        goes_on(&dirty, options, model.clone());
    }
}

#[test]
fn a_closed_log_that_lost_bytes_is_an_error_that_says_where() {
    let options = small(700);
    let model = recs(0..25, 40);
    let disk = stored(&model, options, true);
    for base in bases(&disk) {
        let length = disk.file(base, Part::Store).unwrap().len();
        for cut in 0..length {
            let short = changed(&disk, base, Part::Store, |bytes| bytes.truncate(cut));
            let before: Vec<_> = bases(&short)
                .iter()
                .map(|base| short.file(*base, Part::Store))
                .collect();
            match try_open(&short, options) {
                Err(OpenError::Damaged(Damage {
                    segment,
                    index,
                    position,
                    ..
                })) => {
                    assert_eq!(segment, base);
                    assert!(index >= base && position <= cut as u64, "cut at {cut}");
                }
                other => panic!("segment {base} cut at {cut}: {other:?}"),
            }
            let after: Vec<_> = bases(&short)
                .iter()
                .map(|base| short.file(*base, Part::Store))
                .collect();
            assert_eq!(before, after, "nothing was changed");
        }
    }
}

#[test]
fn old_bytes_behind_new_ones_are_not_records() {
    let options = small(1 << 20);
    // Same lengths and indices: only the links tell the old records from the new.
    let old = recs(0..6, 20);
    let disk = stored(&old, options, false);
    let old_store = disk.file(1, Part::Store).unwrap();
    let borders = borders(&old);
    for kept in 0..5 {
        let disk = disk.copy();
        let mut log = open(disk.clone(), options);
        poll_ready(log.truncate_suffix(1 + kept as u64)).unwrap();
        let new = Rec {
            term: 99,
            ..old[kept].clone()
        };
        append(&mut log, std::slice::from_ref(&new)).unwrap();
        drop(log);
        let mixed = changed(&disk, 1, Part::Store, |bytes| {
            assert_eq!(bytes.len(), borders[kept + 1]);
            bytes.extend_from_slice(&old_store[borders[kept + 1]..]);
        });
        let log = try_open(&mixed, options).unwrap();
        let mut want = old[..kept].to_vec();
        want.push(new);
        assert_eq!(
            log.recovery().bytes_cut,
            (old_store.len() - borders[kept + 1]) as u64
        );
        check(&log, 1, &want);
        drop(log);
        goes_on(&mixed, options, want);
    }
}

/// Three records in a first segment, with no index left, the second one damaged.
fn damaged_without_index(disk: &MemEnv) {
    disk.set_file(1, Part::Index, None);
    let mut store = disk.file(1, Part::Store).unwrap();
    let second = FILE_HEADER + 56 + recs(0..1, 20)[0].value.len();
    store[second + 60] ^= 1;
    disk.set_file(1, Part::Store, Some(store));
}

fn is_damage_at_2(opened: &Result<Log<MemEnv>, OpenError>) -> bool {
    matches!(
        opened,
        Err(OpenError::Damaged(Damage {
            segment: 1,
            index: 2,
            ..
        }))
    )
}

#[test]
fn the_header_of_a_later_segment_proves_what_was_durable() {
    let options = small(1 << 20);
    for sync in [true, false] {
        let disk = MemEnv::new();
        let mut log = open(disk.clone(), options);
        append(&mut log, &recs(0..3, 20)).unwrap();
        if sync {
            poll_ready(log.sync()).unwrap();
        }
        poll_ready(log.roll()).unwrap();
        drop(log);
        damaged_without_index(&disk);
        let opened = try_open(&disk, options);
        if sync {
            assert!(is_damage_at_2(&opened));
        } else {
            assert_eq!(contents(&opened.unwrap()), recs(0..1, 20));
        }
    }
}

#[test]
fn chunks_of_a_later_segment_prove_what_was_durable() {
    let options = small(1 << 20);
    for sync in [true, false] {
        let disk = MemEnv::new();
        let mut log = open(disk.clone(), options);
        append(&mut log, &recs(0..3, 20)).unwrap();
        poll_ready(log.roll()).unwrap();
        append(&mut log, &recs(3..4, 20)).unwrap();
        if sync {
            let done = log.sync_ticket().unwrap().run();
            log.complete(done).unwrap();
        }
        append(&mut log, &recs(4..5, 20)).unwrap();
        drop(log);
        damaged_without_index(&disk);
        let opened = try_open(&disk, options);
        if sync {
            assert!(is_damage_at_2(&opened));
        } else {
            let log = opened.unwrap();
            assert_eq!(log.recovery().segments_dropped, 1);
            assert_eq!(contents(&log), recs(0..1, 20));
        }
    }
}

/// Whatever a log answers is right, or an error.
fn never_lies(log: &Log<MemEnv>, model: &[Rec], context: &str) {
    for (index, want) in (1..log.end_index()).zip(model) {
        match poll_ready(log.read(index)) {
            Ok(record) => assert_eq!(as_rec(&record), *want, "{context}"),
            Err(ReadError::Damaged(damage)) => assert_eq!(damage.index, index, "{context}"),
            Err(error) => panic!("{context}: {error}"),
        }
        match poll_ready(log.entry(index)) {
            Ok(entry) => assert_eq!(
                (entry.term, entry.key, entry.kind, entry.flags, entry.length),
                (
                    want.term,
                    want.key,
                    want.kind,
                    want.flags,
                    want.value.len() as u64
                ),
                "{context}"
            ),
            Err(ReadError::Damaged(damage)) => assert_eq!(damage.index, index, "{context}"),
            Err(error) => panic!("{context}: {error}"),
        }
        if let Ok(found) = poll_ready(log.last_with_key_at_most(want.key)) {
            assert_eq!(found.map(|entry| entry.index), Some(index), "{context}");
        }
    }
    if let Ok(all) = poll_ready(log.read_range(1..log.end_index(), u64::MAX)) {
        assert_eq!(
            all.iter().map(as_rec).collect::<Vec<_>>(),
            model[..all.len()],
            "{context}"
        );
    }
}

#[test]
fn a_flipped_byte_is_never_taken_for_data() {
    let options = small(500);
    let model = recs(0..14, 30);
    let (mut errors, mut cuts) = (0, 0);
    for close in [true, false] {
        let disk = stored(&model, options, close);
        let segments = bases(&disk);
        assert!(segments.len() >= 3);
        for base in segments {
            for part in [Part::Store, Part::Index] {
                for at in 0..disk.file(base, part).unwrap().len() {
                    for mask in [0x01, 0x80, 0xff] {
                        let flipped = changed(&disk, base, part, |bytes| bytes[at] ^= mask);
                        let context =
                            format!("closed {close}, {base} {part:?} byte {at} ^ {mask:#x}");
                        let Ok(log) = try_open(&flipped, options) else {
                            assert!(part == Part::Store, "an index is rebuilt: {context}");
                            errors += 1;
                            continue;
                        };
                        let short = log.end_index() < 1 + model.len() as u64;
                        assert_eq!(short, log.recovery().bytes_cut > 0, "{context}");
                        assert!(!(short && close), "what was durable is not cut: {context}");
                        cuts += u32::from(short);
                        never_lies(&log, &model, &context);
                    }
                }
            }
        }
    }
    assert!(
        errors > 0 && cuts > 0,
        "both happened: {errors} errors, {cuts} cuts"
    );
}

#[test]
fn damage_below_what_later_chunks_prove_is_not_cut() {
    let options = small(1 << 20);
    let model = recs(0..9, 20);
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), options);
    append(&mut log, &model[..5]).unwrap();
    poll_ready(log.sync()).unwrap();
    append(&mut log, &model[5..]).unwrap();
    drop(log);
    let borders = borders(&model);
    for record in 0..9 {
        for at in borders[record]..borders[record + 1] {
            let flipped = changed(&disk, 1, Part::Store, |bytes| bytes[at] ^= 0x10);
            let index = 1 + record as u64;
            match try_open(&flipped, options) {
                Err(OpenError::Damaged(damage)) => {
                    assert!(record < 5, "record {record} was never durable");
                    assert_eq!((damage.segment, damage.index), (1, index));
                    assert_eq!(damage.position, borders[record] as u64);
                    let text = damage.to_string();
                    assert!(
                        text.contains(&index.to_string()) && text.contains("00001"),
                        "{text}"
                    );
                }
                Ok(log) => {
                    assert!(record >= 5, "record {record} was durable");
                    let cut = borders[9] - borders[record];
                    assert_eq!(log.recovery().bytes_cut, cut as u64);
                    check(&log, 1, &model[..record]);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_missing_segment_is_an_error_that_names_the_gap() {
    let options = small(500);
    let model = recs(0..25, 40);
    for close in [true, false] {
        let disk = stored(&model, options, close);
        let all = bases(&disk);
        for missing in 1..all.len() - 1 {
            let gap = disk.copy();
            gap.set_file(all[missing], Part::Store, None);
            gap.set_file(all[missing], Part::Index, None);
            match try_open(&gap, options) {
                Err(OpenError::SegmentMissing { before, next, .. }) => {
                    assert_eq!((before, next), (all[missing - 1], all[missing + 1]));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_lost_last_segment_is_noticed_where_its_predecessor_cannot_be_the_end() {
    let options = small(500);
    let model = recs(0..25, 40);
    let disk = stored(&model, options, false);
    let all = bases(&disk);
    // An unwritten file header: the segment was rolled to, but nothing of it reached the media.
    let last = all[all.len() - 1];
    for header in [vec![], vec![0; 30], vec![0; 900]] {
        let bare = changed(&disk, last, Part::Store, |bytes| *bytes = header.clone());
        let log = try_open(&bare, options).unwrap();
        assert_eq!(log.end_index(), last);
        assert_eq!(log.recovery().segments_dropped, 1);
        assert_eq!(log.recovery().bytes_cut, header.len() as u64);
        let kept = model[..usize::try_from(last).unwrap() - 1].to_vec();
        assert_eq!(contents(&log), kept);
        drop(log);
        goes_on(&bare, options, kept);
    }
}

#[test]
fn a_file_of_another_kind_or_version_is_refused_by_name() {
    let options = small(500);
    let disk = stored(&recs(0..5, 40), options, true);
    let bare = |at: usize, value: u8| {
        changed(&disk, 1, Part::Store, |bytes| {
            bytes[at] = value;
            let crc = crc32c::crc32c(&bytes[..60]);
            bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        })
    };
    for (at, value, text) in [
        (8, 77, "version 77"),
        (10, 9, "checksum number 9, this log was opened with CRC-32C"),
        (11, 8, "encoding is 8"),
        (12, 16, "0x0010"),
    ] {
        let error = try_open(&bare(at, value), options).unwrap_err();
        assert!(matches!(error, OpenError::Format { segment: 1, .. }));
        assert!(error.to_string().contains(text), "{error}");
    }
    let renamed = disk.copy();
    renamed.set_file(2, Part::Store, renamed.file(1, Part::Store));
    renamed.set_file(1, Part::Store, None);
    assert!(matches!(
        try_open(&renamed, options),
        Err(OpenError::Damaged(Damage { segment: 2, .. }))
    ));
}

#[test]
fn reads_of_a_damaged_segment_fail_and_the_rest_goes_on() {
    let options = small(500);
    let model = recs(0..25, 40);
    let disk = stored(&model, options, true);
    let flipped = changed(&disk, 1, Part::Store, |bytes| bytes[FILE_HEADER + 60] ^= 1);
    let log = try_open(&flipped, options).unwrap();
    match poll_ready(log.read(1)) {
        Err(ReadError::Damaged(damage)) => {
            assert_eq!((damage.segment, damage.index, damage.position), (1, 1, 64));
        }
        other => panic!("{other:?}"),
    }
    assert!(poll_ready(log.read_range(1..5, u64::MAX)).is_err());
    assert!(
        poll_ready(log.plan(1..5, u64::MAX))
            .unwrap()
            .read()
            .is_err()
    );
    assert_eq!(as_rec(&poll_ready(log.read(2)).unwrap()), model[1]);
    drop(log);
    goes_on_after(&flipped, options, &model);
}

fn goes_on_after(disk: &MemEnv, options: LogOptions, model: &[Rec]) {
    let mut log = open(disk.clone(), options);
    append(&mut log, &recs(900..901, 10)).unwrap();
    assert_eq!(log.end_index(), model.len() as u64 + 2);
}

#[test]
fn zeros_in_front_of_a_later_segment_are_no_records_that_were_cut() {
    let options = small(1 << 20);
    let model = recs(0..6, 20);
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), options);
    append(&mut log, &model[..4]).unwrap();
    poll_ready(log.roll()).unwrap();
    append(&mut log, &model[4..]).unwrap();
    drop(log);
    let ahead = changed(&disk, 1, Part::Store, |bytes| bytes.extend([0; 700]));
    let report = StoredLog::in_memory(&ahead).verify(&mut |_| {});
    assert_eq!(report.unwrap().findings, []);
    let log = try_open(&ahead, options).unwrap();
    let recovery = *log.recovery();
    assert_eq!((recovery.bytes_cut, recovery.zeros_cut), (0, 700));
    check(&log, 1, &model);
    drop(log);
    goes_on(&ahead, options, model);
}

/// A later version may say more in a store's header than this one knows: its checksum, which the first chunk links
/// to, is that of what stands there.
#[test]
fn a_header_with_unknown_optional_features_is_read_and_left_as_it_is() {
    let options = small(700);
    let model = recs(0..25, 40);
    for close in [false, true] {
        let disk = stored(&model, options, close);
        for base in bases(&disk) {
            let mut bytes = disk.file(base, Part::Store).unwrap();
            // An optional feature, and something where there is room for more.
            bytes[14..16].copy_from_slice(&[4, 0x80]);
            bytes[57] = 9;
            let crc = crc32c::crc32c(&bytes[..60]);
            bytes[60..64].copy_from_slice(&crc.to_le_bytes());
            // The chunks as that version would have linked them.
            let seed = crc32c::crc32c(b"laminarmq chunk");
            let seed = crc32c::crc32c_append(seed, &base.to_le_bytes());
            let (mut at, mut link) = (FILE_HEADER, crc);
            while at < bytes.len() {
                bytes[at + 52..at + 56].copy_from_slice(&link.to_le_bytes());
                link = crc32c::crc32c_append(seed, &bytes[at + 4..at + 56]);
                bytes[at..at + 4].copy_from_slice(&link.to_le_bytes());
                let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap());
                at += 56 + usize::try_from(length).unwrap();
            }
            disk.set_file(base, Part::Store, Some(bytes));
            // The index is that of the store as it was.
            disk.set_file(base, Part::Index, None);
        }
        assert!(
            StoredLog::in_memory(&disk)
                .verify(&mut |_| {})
                .unwrap()
                .is_sound()
        );
        let dumped = StoredLog::in_memory(&disk).records(0).unwrap();
        assert_eq!(dumped.map(Result::unwrap).count(), model.len());
        let log = open(disk.clone(), options);
        assert_eq!(log.recovery().bytes_cut, 0);
        check(&log, 1, &model);
        drop(log);
        let first = bases(&disk)[0];
        assert_eq!(disk.file(first, Part::Store).unwrap()[14..16], [4, 0x80]);
        goes_on(&disk, options, model.clone());
    }
}
