//! Each call of a long history fails once, on real files: changes, reads and syncs, in every way.
//!
//! After the failure the log is as it was, or has stopped; then it is opened again, and goes on.

use std::io::ErrorKind;

use laminarmq::test_util::faults::{Call, Counts, Fault, Faults, Left};

use crate::ground::Files;
use crate::judge::Named;
use crate::script;

/// Goes through the history with one fault, and says how many calls there were.
fn go(fault: Option<Fault>) -> Counts {
    let _named = Named(|| format!("{fault:?}"));
    let (files, faults) = (Files::new(), Faults::default());
    if let Some(fault) = fault {
        faults.arm(fault);
    }
    script::run(&files, &faults, |_, _| {})
}

/// Each call of a kind fails once, and then each call and all behind it.
fn each(call: Call, lefts: &[Left], at_least: u64) {
    let calls = go(None).of(call);
    assert!(calls >= at_least, "there are {calls} calls");
    let mut images = 0;
    for left in lefts {
        for (kind, lasts) in [(ErrorKind::Other, false), (ErrorKind::StorageFull, true)] {
            for after in 0..calls {
                let fault = Fault {
                    call,
                    after,
                    kind,
                    left: *left,
                    lasts,
                };
                let counts = go(Some(fault));
                assert!(counts.failed > 0, "{fault:?} was not met");
                images += 1;
            }
        }
    }
    println!("each of {calls} calls failed on files, {call:?}: {images} histories");
    assert_eq!(images, calls * 2 * lefts.len() as u64);
}

#[test]
fn each_change_fails_once() {
    each(Call::Change, &[Left::Nothing, Left::Half, Left::All], 150);
}

#[test]
fn each_read_fails_once() {
    each(Call::Read, &[Left::Nothing], 60);
}

#[test]
fn each_sync_fails_once() {
    each(Call::Sync, &[Left::Nothing], 60);
}
