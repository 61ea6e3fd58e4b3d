//! Stores that were cut: at every byte of a small log, beside every chunk border of a larger one.

use laminarmq::Part;

use crate::common::small;
use crate::judge::Judge;
use crate::tally::Tally;
use crate::written::{End, Writer, Written};

/// Lengths of values, empty ones among them.
pub(crate) const MIXED: [usize; 18] = [
    0, 1, 30, 55, 0, 200, 64, 7, 0, 120, 300, 2, 0, 90, 33, 1, 0, 400,
];

/// Small logs of several segments that differ in what is durable, and in what proves it.
pub(crate) fn small_logs() -> Vec<(&'static str, Written)> {
    let writer = || Writer::new(small(500));
    let all_at_once = |end| {
        let mut writer = writer();
        writer.append(&MIXED);
        writer.end(end)
    };
    let in_batches = |end| {
        let mut writer = writer();
        writer.append(&MIXED[..5]).sync().append(&MIXED[5..9]);
        writer.append(&MIXED[9..12]).sync().append(&MIXED[12..]);
        writer.end(end)
    };
    let synced = || {
        let mut writer = writer();
        writer.append(&MIXED[..7]).append(&MIXED[7..]).sync();
        writer.end(End::Killed)
    };
    let started_inside = |end| {
        let mut writer = writer();
        writer
            .append(&MIXED)
            .sync()
            .truncate_prefix(8)
            .append(&MIXED[..4]);
        writer.end(end)
    };
    let rolled = |end| {
        let mut writer = writer();
        writer
            .append(&MIXED[..3])
            .roll()
            .append(&MIXED[3..5])
            .roll();
        writer.append(&MIXED[5..9]).sync().roll();
        writer.end(end)
    };
    vec![
        ("closed", all_at_once(End::Closed)),
        ("killed, nothing synced", all_at_once(End::Killed)),
        ("closed, synced on the way", in_batches(End::Closed)),
        ("killed, synced on the way", in_batches(End::Killed)),
        ("killed after a sync", synced()),
        (
            "closed, started inside a segment",
            started_inside(End::Closed),
        ),
        (
            "killed, started inside a segment",
            started_inside(End::Killed),
        ),
        (
            "closed with an empty segment at the end",
            rolled(End::Closed),
        ),
        (
            "killed with an empty segment at the end",
            rolled(End::Killed),
        ),
    ]
}

#[test]
fn a_store_cut_at_every_byte() {
    let mut all = Tally::default();
    for (name, written) in small_logs() {
        let mut judge = Judge::new(written);
        let mut want = 0;
        for base in judge.written.bases() {
            let length = judge.written.picture.stores[&base].len();
            for cut in 0..=length {
                let image = judge
                    .written
                    .with(base, Part::Store, |bytes| bytes.truncate(cut));
                judge.judge(&image, || format!("{name}: the store {base} cut at {cut}"));
            }
            want += length + 1;
        }
        println!("store cut at every byte, {name}: {}", judge.tally);
        assert_eq!(judge.tally.images, want);
        all += judge.tally;
    }
    assert!(all.images > 15_000, "{all}");
    assert!(all.whole > 0 && all.cut > 0 && all.refused > 0, "{all}");
}

#[test]
fn a_larger_store_cut_beside_every_chunk_border() {
    let mut lengths: Vec<usize> = (0..1500).map(|number| number * 37 % 41).collect();
    lengths[700] = 3000;
    for end in [End::Closed, End::Killed] {
        let mut writer = Writer::new(small(16 << 10));
        for (number, batch) in lengths.chunks(40).enumerate() {
            writer.append(batch);
            if number % 7 == 3 {
                writer.sync();
            }
        }
        let mut judge = Judge::new(writer.end(end));
        let bases = judge.written.bases();
        assert!(bases.len() > 6);
        for base in bases {
            for border in judge.written.borders(base) {
                for cut in border - 1..=border + 1 {
                    let image = judge
                        .written
                        .with(base, Part::Store, |bytes| bytes.truncate(cut));
                    judge.judge(&image, || format!("{end:?}: the store {base} cut at {cut}"));
                }
            }
        }
        println!(
            "larger store cut beside every border, {end:?}: {}",
            judge.tally
        );
        assert!(judge.tally.images >= 4500 && judge.tally.refused > 0);
        assert_eq!(judge.tally.cut > 0, end == End::Killed);
    }
}

#[test]
fn a_segment_that_is_gone() {
    let mut all = Tally::default();
    for (name, written) in small_logs() {
        let mut judge = Judge::new(written);
        for base in judge.written.bases() {
            for with_index in [false, true] {
                let image = judge.written.disk.copy();
                image.set_file(base, Part::Store, None);
                if with_index {
                    image.set_file(base, Part::Index, None);
                }
                if base != judge.written.first {
                    judge.judge(&image, || format!("{name}: the store {base} is gone"));
                }
            }
        }
        all += judge.tally;
    }
    println!("segment gone: {all}");
    assert!(all.images > 50 && all.cut > 0 && all.refused > 0, "{all}");
}
