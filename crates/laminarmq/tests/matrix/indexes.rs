//! Index files that were cut, emptied, lost, swapped, or replaced by others. No record is lost through that.

use laminarmq::{MemEnv, Part};

use crate::common::small;
use crate::cuts::{MIXED, small_logs};
use crate::judge::Judge;
use crate::tally::{Outcome, Tally};
use crate::written::{End, Writer};

fn index(disk: &MemEnv, base: u64) -> Option<Vec<u8>> {
    disk.file(base, Part::Index)
}

/// Judges the image in which this segment's index file is another one.
fn judge_with(judge: &mut Judge, base: u64, bytes: Option<Vec<u8>>, name: impl Fn() -> String) {
    let image = judge.written.disk.copy();
    image.set_file(base, Part::Index, bytes);
    let outcome = judge.judge(&image, &name);
    assert_eq!(outcome, Outcome::Whole, "{}", name());
}

#[test]
fn an_index_cut_at_every_byte_or_lost() {
    let mut all = Tally::default();
    for (name, written) in small_logs() {
        let mut judge = Judge::new(written);
        let mut want = 0;
        for base in judge.written.bases() {
            let whole = judge.written.picture.indexes[&base].clone();
            for cut in 0..=whole.len() {
                let bytes = Some(whole[..cut].to_vec());
                judge_with(&mut judge, base, bytes, || {
                    format!("{name}: index {base} cut at {cut}")
                });
            }
            judge_with(&mut judge, base, None, || {
                format!("{name}: index {base} lost")
            });
            want += whole.len() + 2;
        }
        let image = judge.written.disk.copy();
        for base in judge.written.bases() {
            image.set_file(base, Part::Index, None);
        }
        let outcome = judge.judge(&image, || format!("{name}: all indexes lost"));
        assert_eq!(outcome, Outcome::Whole);
        assert_eq!(judge.tally.images, want + 1);
        println!("index cut at every byte, {name}: {}", judge.tally);
        all += judge.tally;
    }
    assert!(all.images > 7000, "{all}");
}

#[test]
fn indexes_swapped_between_segments() {
    let mut all = Tally::default();
    for (name, written) in small_logs() {
        let mut judge = Judge::new(written);
        let bases = judge.written.bases();
        for (left, right) in bases
            .iter()
            .flat_map(|left| bases.iter().map(move |right| (*left, *right)))
        {
            let disk = judge.written.disk.copy();
            let (of_left, of_right) = (index(&disk, left), index(&disk, right));
            disk.set_file(left, Part::Index, of_right);
            let half = disk.copy();
            disk.set_file(right, Part::Index, of_left);
            for image in [half, disk] {
                let outcome = judge.judge(&image, || {
                    format!("{name}: indexes {left} and {right} swapped")
                });
                assert_eq!(outcome, Outcome::Whole);
            }
        }
        all += judge.tally;
    }
    println!("indexes swapped: {all}");
    assert!(all.images > 100, "{all}");
}

#[test]
fn an_index_in_an_older_version() {
    let mut all = Tally::default();
    for end in [End::Closed, End::Killed] {
        let mut writer = Writer::new(small(500));
        let mut snapshots = Vec::new();
        for (number, batch) in MIXED.chunks(2).enumerate() {
            writer.append(batch);
            snapshots.push(writer.snapshot());
            if number % 2 == 0 {
                writer.sync();
                snapshots.push(writer.snapshot());
            }
            if number == 4 {
                writer.close_and_reopen();
                snapshots.push(writer.snapshot());
            }
        }
        let mut judge = Judge::new(writer.end(end));
        for (number, old) in snapshots.iter().enumerate() {
            for base in judge.written.bases() {
                if let Some(bytes) = index(old, base) {
                    let name = || format!("{end:?}: index {base} of snapshot {number}");
                    judge_with(&mut judge, base, Some(bytes), name);
                }
            }
            let image = judge.written.disk.copy();
            for base in judge.written.bases() {
                image.set_file(base, Part::Index, index(old, base));
            }
            let outcome = judge.judge(&image, || {
                format!("{end:?}: all indexes of snapshot {number}")
            });
            assert_eq!(outcome, Outcome::Whole);
        }
        all += judge.tally;
    }
    println!("index in an older version: {all}");
    assert!(all.images > 90, "{all}");
}

#[test]
fn an_index_of_another_log() {
    let mut all = Tally::default();
    // Same indices and lengths as the first log: the bytes alone tell them apart.
    let mut others = Vec::new();
    for (now_ms, first) in [(0, 500), (7, 0), (7, 500)] {
        let mut writer = Writer::at(small(500), now_ms, first);
        writer.append(&MIXED);
        others.push(writer.end(End::Closed));
    }
    for (name, written) in small_logs() {
        let mut judge = Judge::new(written);
        for (number, other) in others.iter().enumerate() {
            let shared = judge.written.bases();
            for base in shared
                .into_iter()
                .filter(|base| other.segments.contains_key(base))
            {
                let bytes = index(&other.disk, base);
                let name = || format!("{name}: index {base} of the other log {number}");
                judge_with(&mut judge, base, bytes, name);
            }
        }
        all += judge.tally;
    }
    println!("index of another log: {all}");
    assert!(all.images > 30, "{all}");
}
