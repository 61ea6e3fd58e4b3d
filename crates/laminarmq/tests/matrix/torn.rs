//! Writes of many sectors, torn at every border of 512 bytes: what is before it is there, or what is behind
//! it, or all but one sector, or one alone.

use laminarmq::{CrashPoint, MemEnv};

use crate::common::ops::{Driver, Op};
use crate::common::{open, small};
use crate::judge::{CrashJudge, Judge};
use crate::written::{End, Writer};

/// All sectors that a power cut may leave out.
fn sectors(disk: &MemEnv) -> Vec<CrashPoint> {
    let mut points = Vec::new();
    drop(disk.crashed_copy(|point| {
        if matches!(point, CrashPoint::Sector { .. }) {
            points.push(point);
        }
        true
    }));
    points
}

/// Every pattern of sectors, at each `step`-th border; `judge` gets the image and its name.
pub(crate) fn every_tear(
    disk: &MemEnv,
    step: usize,
    mut judge: impl FnMut(&MemEnv, &str),
) -> usize {
    let sectors = sectors(disk);
    let mut images = 0;
    for border in (0..=sectors.len()).step_by(step) {
        let patterns: [(&str, &dyn Fn(usize) -> bool); 5] = [
            ("only those before", &|at| at < border),
            ("only those behind", &|at| at >= border),
            ("all but one", &|at| at != border),
            ("only one", &|at| at == border),
            ("every other one and those before", &|at| {
                at < border || at % 2 == 0
            }),
        ];
        for (name, kept) in patterns {
            // With the new lengths of files, and without them.
            for lengths in [true, false] {
                let image = disk.crashed_copy(|point| match point {
                    CrashPoint::Sector { .. } => kept(
                        sectors
                            .iter()
                            .position(|other| *other == point)
                            .unwrap_or(0),
                    ),
                    CrashPoint::Length { .. } => lengths,
                    CrashPoint::Name { .. } | CrashPoint::Start => true,
                });
                judge(
                    &image,
                    &format!("{name}, sector {border}, lengths {lengths}"),
                );
                images += 1;
            }
        }
    }
    images
}

#[test]
fn a_batch_of_many_sectors() {
    let mixed = |count: usize| -> Vec<usize> { (0..count).map(|at| at * 211 % 900).collect() };
    for (segment_bytes, batch) in [
        (1 << 20, vec![14_000, 3]),
        (1 << 20, mixed(30)),
        (4000, mixed(40)),
    ] {
        let mut writer = Writer::new(small(segment_bytes));
        writer.append(&[10, 0, 700, 5]).sync().append(&batch);
        let mut judge = Judge::new(writer.end(End::Killed));
        let disk = judge.written.disk.copy();
        let sectors = sectors(&disk).len();
        assert!(sectors > 24, "{sectors} sectors");
        let images = every_tear(&disk, 1, |image, name| {
            judge.judge(image, || format!("segments of {segment_bytes}: {name}"));
        });
        println!("batch torn at {sectors} sectors: {}", judge.tally);
        assert!(images >= (sectors + 1) * 10 && judge.tally.images == images);
        assert!(judge.tally.cut > 0 && judge.tally.whole > 0);
        assert_eq!(judge.tally.refused + judge.tally.holes, 0);
    }
}

/// The bytes on the media are of other records with the same lengths, which had been truncated.
#[test]
fn a_batch_over_one_that_was_truncated() {
    let options = small(1 << 20);
    let append = |term, lengths: Vec<usize>| Op::Append {
        lengths,
        term,
        key_step: 0,
        timestamp: 5,
    };
    for (lengths, permille) in [
        (vec![90; 60], 100),
        (vec![456; 20], 500),
        (vec![7000, 1], 0),
    ] {
        let disk = MemEnv::new();
        let mut driver = Driver::new(open(disk.clone(), options));
        driver.apply(&append(1, vec![20; 3])).unwrap();
        driver.apply(&Op::Sync).unwrap();
        driver.apply(&append(2, lengths.clone())).unwrap();
        // On the media, but the log never learns of it: the cut is above what it knows to be durable.
        drop(driver.log().sync_ticket().unwrap().run());
        driver
            .apply(&Op::Truncate {
                permille: permille.max(100),
            })
            .unwrap();
        driver.apply(&append(3, lengths)).unwrap();
        let mut judge = CrashJudge::new(options);
        let expect = driver.expect.clone();
        let images = every_tear(&disk, 1, |image, name| {
            judge.judge(&expect, image, || name.to_owned());
        });
        println!("batch torn over a truncated one: {}", judge.tally);
        assert!(images > 100 && judge.tally.images == images && judge.tally.cut > 0);
    }
}
