//! Every byte of every file flipped.

use laminarmq::Part;

use crate::common::{FILE_HEADER, small};
use crate::cuts::small_logs;
use crate::judge::Judge;
use crate::tally::{Outcome, Tally};
use crate::written::{End, Writer, Written};

const MASKS: [u8; 2] = [0x01, 0xff];

/// Every other one of the small logs.
fn flipped_logs() -> impl Iterator<Item = (&'static str, Written)> {
    let of_interest = [0, 1, 3, 5, 8];
    let all = small_logs().into_iter().enumerate();
    all.filter_map(move |(number, log)| of_interest.contains(&number).then_some(log))
}

#[test]
fn every_byte_of_a_store() {
    let mut all = Tally::default();
    for (name, written) in flipped_logs() {
        let mut judge = Judge::new(written);
        let mut want = 0;
        let start = judge.written.place(judge.written.start).position;
        for base in judge.written.bases() {
            let length = judge.written.picture.stores[&base].len();
            for (at, mask) in (0..length).flat_map(|at| MASKS.map(|mask| (at, mask))) {
                let image = judge
                    .written
                    .with(base, Part::Store, |bytes| bytes[at] ^= mask);
                let outcome = judge.judge(&image, || {
                    format!("{name}: store {base}, byte {at} ^ {mask:#x}")
                });
                // What was truncated in front may be anything.
                if !(FILE_HEADER..start).contains(&at) || base != judge.written.first {
                    assert_ne!(outcome, Outcome::Whole, "{name}: {base}, {at} ^ {mask:#x}");
                }
            }
            want += length * MASKS.len();
        }
        println!("store flipped, {name}: {}", judge.tally);
        assert_eq!(judge.tally.images, want);
        all += judge.tally;
    }
    assert!(all.images > 20_000, "{all}");
    assert!(all.cut > 0 && all.holes > 0 && all.refused > 0, "{all}");
}

#[test]
fn every_byte_of_an_index() {
    let mut all = Tally::default();
    for (name, written) in flipped_logs() {
        let mut judge = Judge::new(written);
        for base in judge.written.bases() {
            let length = judge.written.picture.indexes[&base].len();
            for (at, mask) in (0..length).flat_map(|at| MASKS.map(|mask| (at, mask))) {
                let image = judge
                    .written
                    .with(base, Part::Index, |bytes| bytes[at] ^= mask);
                let outcome = judge.judge(&image, || {
                    format!("{name}: index {base}, byte {at} ^ {mask:#x}")
                });
                // An entry is looked at when it is needed; a file that has to be scanned is made again.
                assert!(matches!(outcome, Outcome::Whole | Outcome::Holes));
            }
        }
        println!("index flipped, {name}: {}", judge.tally);
        all += judge.tally;
    }
    assert!(all.images > 12_000, "{all}");
}

/// An index with more entries than an open looks at: the flip is found when the entry is needed.
#[test]
fn bytes_of_every_entry_of_a_long_index() {
    let mut writer = Writer::new(small(10_000));
    writer.append(&[3; 100]).append(&[4; 100]);
    let mut judge = Judge::new(writer.end(End::Closed));
    assert!(judge.written.bases().len() >= 2);
    let length = judge.written.picture.indexes[&1].len();
    for at in (0..length).step_by(7) {
        let image = judge
            .written
            .with(1, Part::Index, |bytes| bytes[at] ^= 0x10);
        judge.judge(&image, || format!("index 1, byte {at}"));
    }
    println!("long index flipped: {}", judge.tally);
    assert_eq!(judge.tally.images, length.div_ceil(7));
    assert!(judge.tally.whole > 0 && judge.tally.holes > 300);
}

#[test]
fn every_byte_of_the_start_file() {
    let mut images = 0;
    for (name, written) in small_logs() {
        let mut judge = Judge::new(written);
        let Some(start) = judge.written.picture.start.clone() else {
            continue;
        };
        for (at, mask) in (0..start.len()).flat_map(|at| MASKS.map(|mask| (at, mask))) {
            let mut bytes = start.clone();
            bytes[at] ^= mask;
            let image = judge.written.disk.copy();
            image.set_start_file(Some(bytes));
            let outcome = judge.judge(&image, || {
                format!("{name}: log.start, byte {at} ^ {mask:#x}")
            });
            assert_eq!(outcome, Outcome::Refused);
        }
        for cut in 0..start.len() {
            let image = judge.written.disk.copy();
            image.set_start_file(Some(start[..cut].to_vec()));
            let outcome = judge.judge(&image, || format!("{name}: log.start cut at {cut}"));
            assert_eq!(outcome, Outcome::Refused);
        }
        images += judge.tally.images;
    }
    println!("start file flipped and cut: {images} images, all refused");
    assert_eq!(images, 2 * 3 * 64);
}
