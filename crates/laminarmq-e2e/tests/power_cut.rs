//! The power goes, at any moment of a broker's life: what it promised before is there afterwards.
//!
//! See `laminarmq_testkit::power_cut` for how. Thousands of images: the program `power-cut` of this crate.

use laminarmq_e2e::{is_long, seed};
use laminarmq_testkit::power_cut::{
    Failure, Faults, Kind, Plan, Recording, SyncBug, Totals, check_images,
};
use laminarmq_testkit::{Stopwatch, TestDir};

/// Acknowledged batches in each run of the broker, about.
const BATCHES: u32 = 200;
const IMAGES: usize = 520;
const IMAGES_LONG: usize = 5000;
/// Images for a bug that most of them show.
const IMAGES_OF_A_BUG: usize = 20;

#[test]
fn what_was_promised_survives_a_power_cut_at_any_moment() {
    let seed = seed();
    let dir = TestDir::new("power-cut");
    let started = Stopwatch::start();
    let recording = Recording::make(dir.path(), seed, BATCHES);
    println!("recorded after {:?}", started.elapsed());
    let plan = Plan {
        images: if is_long() { IMAGES_LONG } else { IMAGES },
        seed,
        ..Plan::default()
    };
    let (totals, failures) = check_images(&recording, &plan, |_| ());
    println!("{totals}\nchecked after {:?}", started.elapsed());
    assert!(failures.is_empty(), "{}", shown(&failures));
    assert_shows_something(&totals, plan.images);
}

/// What was checked is not nothing, and each kind of fault was among it.
fn assert_shows_something(totals: &Totals, images: usize) {
    assert!(totals.checked >= images, "{totals}");
    let Faults {
        dropped_writes,
        kept_writes,
        torn_writes,
        reordered_writes,
        zeroed_writes,
        undone_cuts,
        dropped_names,
        undone_renames,
        undone_removals,
        kept_names,
    } = totals.faults;
    for (what, count) in [
        ("dropped writes", dropped_writes),
        ("kept writes", kept_writes),
        ("torn writes", torn_writes),
        ("reordered writes", reordered_writes),
        ("zeroed writes", zeroed_writes),
        ("undone cuts", undone_cuts),
        ("dropped names", dropped_names),
        ("undone renames", undone_renames),
        ("undone removals", undone_removals),
        ("kept names", kept_names),
        ("starts after the first", totals.restarted),
    ] {
        assert!(count > 0, "no {what}: {totals}");
    }
    for (what, count) in [
        ("acknowledged records", totals.acknowledged_records),
        ("told ends", totals.told_ends),
        ("topics", totals.topics),
    ] {
        assert!(count > 0, "no {what}: {totals}");
    }
}

fn shown(failures: &[Failure]) -> String {
    let shown: Vec<_> = failures.iter().map(Failure::to_string).collect();
    format!("{} promises broken\n{}", failures.len(), shown.join("\n"))
}

/// The checker must fail: a broker that does not sync what it should.
#[test]
fn a_broker_without_syncs_is_found_out() {
    let seed = seed();
    let dir = TestDir::new("power-cut-bugs");
    let recording = Recording::make(dir.path(), seed, BATCHES);
    let found = |bug| {
        let plan = Plan {
            images: IMAGES_OF_A_BUG,
            seed,
            bug,
            ..Plan::default()
        };
        let (totals, failures) = check_images(&recording, &plan, |_| ());
        let kinds: Vec<_> = failures.iter().map(|failure| failure.broken.kind).collect();
        println!("{bug:?}: {} images, {kinds:?}", totals.checked);
        kinds
    };
    let stores = found(SyncBug::NoSync("/short-0/"));
    assert!(stores.contains(&Kind::LostRecords), "{stores:?}");
    let late = found(SyncBug::LateSync("/long-0/"));
    assert!(!late.is_empty(), "{late:?}");
    let metadata = found(SyncBug::LateSync("/__cluster_metadata-0/"));
    assert!(!metadata.is_empty(), "{metadata:?}");
    let names = found(SyncBug::NoNames);
    assert!(names.contains(&Kind::LostTopic), "{names:?}");
}
