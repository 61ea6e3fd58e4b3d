//! Records of several chunks: cut and flipped at every byte of their headers and around their borders, torn
//! at the borders of sectors, and given up half-way.

use laminarmq::Part;
use laminarmq::limits::STREAM_CHUNK_BYTES;

use crate::common::small;
use crate::judge::Judge;
use crate::tally::Tally;
use crate::torn;
use crate::written::{CHUNK_HEADER, End, Writer, Written};

/// Values of three chunks, and of two with a last one of one byte.
const LONG: [usize; 2] = [2 * STREAM_CHUNK_BYTES + 777, STREAM_CHUNK_BYTES + 1];

/// Logs with long records among short ones.
fn logs() -> Vec<(&'static str, Written)> {
    let written = |end, sync: bool| {
        let mut writer = Writer::new(small(500_000));
        writer.append(&[10, 0, 30]).write(LONG[0]).append(&[5]);
        if sync {
            writer.sync();
        }
        writer.write(LONG[1]).append(&[0, 9]);
        writer.end(end)
    };
    let given_up = || {
        let mut writer = Writer::new(small(1 << 20));
        writer.append(&[10, 0, 30]).sync().write(LONG[1]).sync();
        writer.write_half(LONG[1]);
        writer.end(End::Killed)
    };
    vec![
        ("closed", written(End::Closed, true)),
        ("killed, synced on the way", written(End::Killed, true)),
        ("killed, nothing synced", written(End::Killed, false)),
        ("killed in a record", given_up()),
    ]
}

/// Store positions at and around all chunk headers, and some between.
fn places(written: &Written, base: u64) -> Vec<usize> {
    let length = written.picture.stores[&base].len();
    let of_segment = written.places.iter().filter(|place| place.segment == base);
    let chunks: Vec<usize> = of_segment.flat_map(|place| place.chunks()).collect();
    let around = chunks
        .iter()
        .flat_map(|at| at.saturating_sub(2)..at + CHUNK_HEADER + 2);
    let between = (0..length).step_by(40_009);
    let sectors = (0..length).step_by(512 * 101);
    let mut places: Vec<usize> = around
        .chain(between)
        .chain(sectors)
        .chain([length])
        .collect();
    places.retain(|at| *at <= length);
    places.sort_unstable();
    places.dedup();
    places
}

#[test]
fn a_store_cut_around_every_chunk() {
    let mut all = Tally::default();
    for (name, written) in logs() {
        let mut judge = Judge::new(written);
        for base in judge.written.bases() {
            for cut in places(&judge.written, base) {
                let image = judge
                    .written
                    .with(base, Part::Store, |bytes| bytes.truncate(cut));
                judge.judge(&image, || format!("{name}: the store {base} cut at {cut}"));
            }
        }
        println!("long records cut, {name}: {}", judge.tally);
        all += judge.tally;
    }
    assert!(all.images > 1200 && all.cut > 0 && all.refused > 0, "{all}");
}

#[test]
fn bytes_of_every_chunk_flipped() {
    let mut all = Tally::default();
    for (name, written) in logs() {
        let mut judge = Judge::new(written);
        for base in judge.written.bases() {
            let length = judge.written.picture.stores[&base].len();
            for at in places(&judge.written, base) {
                if at < length {
                    let image = judge
                        .written
                        .with(base, Part::Store, |bytes| bytes[at] ^= 0x21);
                    judge.judge(&image, || format!("{name}: store {base}, byte {at}"));
                }
            }
        }
        println!("long records flipped, {name}: {}", judge.tally);
        all += judge.tally;
    }
    assert!(all.images > 1200 && all.cut > 0 && all.refused > 0, "{all}");
    assert!(all.holes > 0, "{all}");
}

#[test]
fn a_long_record_torn() {
    let mut writer = Writer::new(small(1 << 20));
    writer
        .append(&[10, 0])
        .sync()
        .write(LONG[1])
        .append(&[7, 300]);
    let mut judge = Judge::new(writer.end(End::Killed));
    let disk = judge.written.disk.copy();
    let images = torn::every_tear(&disk, 13, |image, name| {
        judge.judge(image, || name.to_owned());
    });
    println!("long record torn: {}", judge.tally);
    assert!(images > 300 && judge.tally.images == images);
    assert!(judge.tally.cut > 0 && judge.tally.whole > 0);
    assert_eq!(judge.tally.refused + judge.tally.holes, 0);
}
