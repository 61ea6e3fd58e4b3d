//! Zeros that were written ahead of the records: cut, dirty, and torn with what is written over them.

use laminarmq::Part;

use crate::common::small;
use crate::judge::Judge;
use crate::tally::Outcome;
use crate::torn;
use crate::written::{End, Writer, Written};

/// A log that was synced often, so that its store is written ahead, and then killed.
fn written(last: &[usize]) -> Written {
    let mut writer = Writer::new(small(1 << 20));
    for length in [0, 30, 7, 0, 100, 64, 1, 2] {
        writer.append(&[length]).sync();
    }
    writer.append(last);
    let written = writer.end(End::Killed);
    let ahead = written.picture.stores[&1].len() - written.borders(1).last().unwrap();
    assert!(ahead > 10_000, "{ahead} bytes written ahead");
    written
}

#[test]
fn zeros_behind_the_end_are_given_back_and_not_called_a_loss() {
    let mut judge = Judge::new(written(&[40]));
    let (length, end) = (
        judge.written.picture.stores[&1].len(),
        *judge.written.borders(1).last().unwrap(),
    );
    let mut want = 0;
    for cut in (end..end + 600)
        .chain((end..length).step_by(509))
        .chain([length])
    {
        let image = judge
            .written
            .with(1, Part::Store, |bytes| bytes.truncate(cut));
        let outcome = judge.judge(&image, || format!("zeros cut at {cut}"));
        assert_eq!(outcome, Outcome::Whole);
        want += 1;
    }
    println!("zeros cut: {}", judge.tally);
    assert!(judge.tally.images == want && want > 700);
}

#[test]
fn anything_else_behind_the_end_is_cut_and_reported() {
    let mut judge = Judge::new(written(&[40, 0, 200]));
    let end = *judge.written.borders(1).last().unwrap();
    let length = judge.written.picture.stores[&1].len();
    let old = judge.written.picture.stores[&1][64..end].to_vec();
    let garbage = [vec![1], vec![0xff; 56], vec![0xaa; 700], old];
    for (number, garbage) in garbage.iter().enumerate() {
        let last = length - garbage.len();
        for at in (end..end + 130)
            .chain((end..last).step_by(1021))
            .chain([last])
        {
            let image = judge.written.with(1, Part::Store, |bytes| {
                bytes[at..at + garbage.len()].copy_from_slice(garbage);
            });
            judge.judge(&image, || format!("garbage {number} at {at}"));
        }
    }
    println!("zeros with garbage: {}", judge.tally);
    assert!(judge.tally.images > 600 && judge.tally.whole == judge.tally.images);
}

#[test]
fn a_batch_torn_over_zeros() {
    let mut judge = Judge::new(written(&[300, 0, 2000, 511, 512, 513, 1, 4000, 9]));
    let disk = judge.written.disk.copy();
    let images = torn::every_tear(&disk, 1, |image, name| {
        judge.judge(image, || name.to_owned());
    });
    println!("batch torn over zeros: {}", judge.tally);
    assert!(images > 100 && judge.tally.images == images);
    assert!(judge.tally.cut > 0 && judge.tally.whole > 0);
    assert_eq!(judge.tally.refused + judge.tally.holes, 0);
}
