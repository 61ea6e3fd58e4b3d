//! The power is cut: behind every step of a long history, at every sync, at every call, and while a recovery
//! is at work. What was not synced is lost, or not, or in part.

use laminarmq::test_util::faults::{Call, Fault, FaultEnv, Faults};
use laminarmq::{Log, MemEnv, OpenError, poll_ready};

use crate::common::by_chance;
use crate::common::expect::Expect;
use crate::ground::Memory;
use crate::judge::CrashJudge;
use crate::script::{self, Moment};

/// All that a power cut may leave: nothing, everything, and some mixtures of unsynced things.
fn left_by_crashes(disk: &MemEnv, seed: u64) -> Vec<(String, MemEnv)> {
    let mut left = vec![
        ("all lost".to_owned(), disk.crashed_copy(|_| false)),
        ("all kept".to_owned(), disk.crashed_copy(|_| true)),
    ];
    for mix in 0..6 {
        let copy = disk.crashed_copy(by_chance(seed * 31 + mix));
        left.push((format!("mixture {mix}"), copy));
    }
    left
}

#[test]
fn behind_every_step() {
    let (memory, faults) = (Memory::default(), Faults::default());
    let mut judge = CrashJudge::new(script::options());
    let mut steps = 0;
    script::run(&memory, &faults, |moment, expect| {
        for (name, image) in left_by_crashes(&memory.disk, steps) {
            judge.judge(expect, &image, || format!("{moment}: {name}"));
        }
        steps += 1;
    });
    println!("power cut behind every step: {}", judge.tally);
    assert_eq!(judge.tally.images as u64, steps * 8);
    assert!(steps > 35 && judge.tally.cut > 0);
}

/// The power is cut at each call of a kind: it fails, as far as the log can tell.
fn at_each(call: Call, at_least: u64) {
    let calls = {
        let (memory, faults) = (Memory::default(), Faults::default());
        script::run(&memory, &faults, |_, _| {}).of(call)
    };
    assert!(calls >= at_least, "there are {calls} calls");
    let mut judge = CrashJudge::new(script::options());
    for after in 0..calls {
        let (memory, faults) = (Memory::default(), Faults::default());
        faults.arm(Fault::nth(call, after));
        script::run(&memory, &faults, |moment, expect| {
            let Moment::Fault(step) = moment else {
                return;
            };
            for (name, image) in left_by_crashes(&memory.disk, after) {
                let name = || format!("{call:?} {after}, in step {step}: {name}");
                judge.judge(expect, &image, name);
            }
        });
    }
    println!("power cut at each {call:?}: {}", judge.tally);
    // A footer that could not be written is no reason to fail.
    assert!(judge.tally.images as u64 > calls * 8 * 3 / 4 && judge.tally.cut > 0);
}

#[test]
fn at_every_sync() {
    at_each(Call::Sync, 60);
}

#[test]
fn at_every_change() {
    at_each(Call::Change, 150);
}

/// The same at each call of the disk, of which a replacement of a store makes several.
fn at_each_of_the_disk(sync: bool, at_least: u64) {
    let calls = {
        let (memory, faults) = (Memory::default(), Faults::default());
        script::run(&memory, &faults, |_, _| {});
        if sync {
            memory.disk.syncs()
        } else {
            memory.disk.calls()
        }
    };
    assert!(calls >= at_least, "there are {calls} calls");
    let mut judge = CrashJudge::new(script::options());
    for after in 0..calls {
        let (memory, faults) = (Memory::default(), Faults::default());
        memory.fail(sync, after);
        script::run(&memory, &faults, |moment, expect| {
            let Moment::Fault(step) = moment else {
                return;
            };
            for (name, image) in left_by_crashes(&memory.disk, after) {
                let name = || format!("call {after}, sync {sync}, in step {step}: {name}");
                judge.judge(expect, &image, name);
            }
        });
    }
    println!(
        "power cut at each call of the disk, sync {sync}: {}",
        judge.tally
    );
    assert!(judge.tally.images as u64 > calls * 8 * 3 / 4 && judge.tally.cut > 0);
}

#[test]
fn at_every_sync_of_the_disk() {
    at_each_of_the_disk(true, 70);
}

#[test]
fn at_every_change_of_the_disk() {
    at_each_of_the_disk(false, 200);
}

#[test]
fn while_a_recovery_is_at_work() {
    let (memory, faults) = (Memory::default(), Faults::default());
    let mut judge = CrashJudge::new(script::options());
    let mut steps = 0;
    script::run(&memory, &faults, |moment, expect| {
        steps += 1;
        let left = memory.disk.crashed_copy(by_chance(steps));
        for call in [Call::Change, Call::Sync] {
            interrupted(&mut judge, expect, &left, call, &format!("{moment}"));
        }
    });
    println!("power cut while a recovery is at work: {}", judge.tally);
    assert!(judge.tally.images > 400, "{}", judge.tally);
}

/// Opens with each call of a kind failing once, and cuts the power there.
fn interrupted(judge: &mut CrashJudge, expect: &Expect, left: &MemEnv, call: Call, moment: &str) {
    for after in 0.. {
        let disk = left.copy();
        let env = FaultEnv::new(disk.clone());
        env.faults().arm(Fault::nth(call, after));
        match poll_ready(Log::open_with(env, script::options())) {
            Ok(_) => return,
            Err(OpenError::Io { .. }) => {}
            Err(error) => panic!("{moment}: {error}"),
        }
        let all = |kept| disk.crashed_copy(move |_| kept);
        for (kept, image) in [(false, all(false)), (true, all(true))] {
            let name = || format!("{moment}: recovery failed at {call:?} {after}, kept: {kept}");
            judge.judge(expect, &image, name);
        }
    }
}
