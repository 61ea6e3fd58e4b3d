//! What `acks=all` waits for beside a quorum, seen from three shards.

use super::trio::{LONG, Trio};
use super::*;

const ALL_THREE: Ack = Ack::Quorum { min_in_sync: 3 };
const QUORUM: Ack = Ack::Quorum { min_in_sync: 1 };

fn too_few(in_sync: u32) -> Result<u64, Refusal> {
    let wanted = 3;
    Err(Refusal::TooFewInSync { in_sync, wanted })
}

fn fell_out(in_sync: u32) -> Result<u64, Refusal> {
    let wanted = 3;
    Err(Refusal::FellOutOfSync { in_sync, wanted })
}

#[test]
fn an_append_is_answered_when_as_many_disks_have_it_as_it_asks_for() {
    let mut trio = Trio::new();
    trio.append(1, 0, ALL_THREE, 1);
    assert_eq!(trio.appended(), [(1, Ok(0))]);
    trio.stuck.insert(3);
    trio.append(1, 1, ALL_THREE, 2);
    // Committed, and its repetition is no better off; who asks for less is not kept waiting.
    trio.append(1, 1, ALL_THREE, 3);
    trio.append(1, 2, QUORUM, 4);
    trio.append(1, 3, Ack::Leader, 5);
    assert_eq!(trio.appended(), [(4, Ok(2)), (5, Ok(3))]);
    assert_eq!(trio.progress(1).high_watermark, Some(Offset(4)));
    trio.ticks(3);
    assert_eq!(trio.appended(), []);
    trio.stuck.clear();
    trio.ticks(1);
    assert_eq!(trio.appended(), [(2, Ok(1)), (3, Ok(1))]);
    // One that saves nothing says nothing, and is in sync no longer.
    trio.stuck.insert(3);
    trio.append(1, 4, ALL_THREE, 6);
    trio.ticks(LONG);
    assert_eq!(trio.appended(), [(6, fell_out(2))]);
}

#[test]
fn with_one_out_of_sync_what_waits_for_it_is_refused_and_nothing_new_is_taken() {
    let mut trio = Trio::new();
    trio.cut.insert(3);
    trio.append(1, 0, ALL_THREE, 1);
    assert_eq!(trio.appended(), [], "it may still come");
    trio.ticks(LONG);
    assert_eq!(trio.progress(1).in_sync, 2);
    assert_eq!(trio.appended(), [(1, fell_out(2))]);
    // Not taken, and others are: the sequence goes on where it was.
    trio.append(1, 1, ALL_THREE, 2);
    assert_eq!(trio.appended(), [(2, too_few(2))]);
    let two = Ack::Quorum { min_in_sync: 2 };
    trio.append(1, 1, two, 3);
    assert_eq!(trio.appended(), [(3, Ok(1))]);
    trio.cut.clear();
    trio.ticks(LONG);
    assert_eq!(trio.progress(1).in_sync, 3);
    // What was refused after it was written is there, and known when it comes again.
    trio.append(1, 0, ALL_THREE, 4);
    trio.append(1, 2, ALL_THREE, 5);
    assert_eq!(trio.appended(), [(4, Ok(0)), (5, Ok(2))]);
}

#[test]
fn as_many_as_may_be_held_are_and_then_others_are_refused() {
    let mut trio = Trio::new();
    trio.stuck.insert(3);
    let held = i32::try_from(crate::limits::HELD_APPENDS_MAX).unwrap();
    for number in 0..held {
        trio.append(1, number, ALL_THREE, 1);
    }
    assert_eq!(trio.appended(), []);
    for ack in [ALL_THREE, QUORUM] {
        trio.append(1, held, ack, 2);
        assert_eq!(trio.appended(), [(2, Err(Refusal::TooManyHeld))]);
    }
    trio.append(1, held, Ack::Leader, 3);
    assert_eq!(trio.appended().len(), 1);
    trio.stuck.clear();
    trio.ticks(1);
    let appended = trio.appended();
    assert_eq!(appended.len(), crate::limits::HELD_APPENDS_MAX);
    assert!(appended.iter().all(|(_, result)| result.is_ok()));
    trio.append(1, held + 1, ALL_THREE, 4);
    assert!(matches!(trio.appended()[..], [(4, Ok(_))]));
}

#[test]
fn without_a_quorum_too_what_was_written_is_refused_as_written() {
    let mut trio = Trio::new();
    trio.cut.extend([2, 3]);
    trio.append(1, 0, ALL_THREE, 1);
    trio.append(1, 1, QUORUM, 2);
    let mut ticks = 0;
    let mut appended = Vec::new();
    while appended.is_empty() && ticks < LONG {
        trio.ticks(1);
        ticks += 1;
        appended = trio.appended();
    }
    // A quorum is waited for as long as it may come: whoever asked knows how long.
    assert_eq!(appended, [(1, fell_out(1))]);
}

#[test]
fn a_leader_tells_who_is_in_sync_and_so_does_the_next_one() {
    let mut trio = Trio::new();
    assert_eq!(trio.in_sync(1), [1, 2, 3]);
    trio.cut.insert(3);
    trio.ticks(LONG);
    assert_eq!(trio.in_sync(1), [1, 2]);
    trio.cut.clear();
    trio.ticks(LONG);
    assert_eq!(trio.in_sync(1), [1, 2, 3]);
    trio.cut.insert(1);
    trio.ticks(LONG);
    let leader = trio.leader().expect("another one");
    assert_eq!(trio.in_sync(leader), [2, 3]);
    trio.cut.clear();
    trio.ticks(LONG);
    assert_eq!(trio.in_sync(leader), [1, 2, 3]);
}

#[test]
fn at_rest_all_are_in_sync_until_one_is_silent() {
    let mut trio = Trio::with_rest(10 * LONG);
    for number in 0..2 {
        trio.ticks(LONG);
        assert_eq!(trio.progress(1).in_sync, 3);
        trio.append(1, number, ALL_THREE, 1);
        let offset = number.unsigned_abs().into();
        assert_eq!(trio.appended(), [(1, Ok(offset))]);
    }
    trio.ticks(LONG);
    trio.cut.insert(3);
    trio.ticks(LONG);
    assert_eq!(trio.progress(1).in_sync, 3, "it rests, and nobody woke it");
    trio.silent.push(3);
    trio.ticks(LONG);
    trio.append(1, 2, ALL_THREE, 2);
    assert_eq!(trio.appended(), [(2, too_few(2))]);
}

#[test]
fn a_follower_refuses_by_saying_that_it_does_not_lead() {
    let mut trio = Trio::new();
    trio.append(2, 0, ALL_THREE, 1);
    assert_eq!(trio.appended(), [(1, Err(Refusal::NotLeader))]);
}

#[test]
fn a_new_leader_takes_appends_as_soon_as_it_has_heard_of_enough() {
    let mut trio = Trio::new();
    trio.cut.insert(1);
    while trio.leader() == Some(1) {
        trio.ticks(1);
    }
    trio.cut.clear();
    let leader = trio.leader().expect("another one");
    let two = Ack::Quorum { min_in_sync: 2 };
    trio.append(leader, 0, two, 1);
    assert_eq!(trio.appended(), [(1, Ok(0))]);
}

/// The first one was never committed, and its place has another entry by now.
#[test]
fn a_repetition_is_not_confirmed_by_what_took_the_place_of_its_first_one() {
    let mut trio = Trio::new();
    trio.cut.insert(1);
    trio.append(1, 0, QUORUM, 1);
    trio.append(1, 0, QUORUM, 2);
    trio.ticks(LONG);
    let leader = trio.leader().expect("another one");
    assert_ne!(leader, 1);
    trio.append(leader, 0, QUORUM, 3);
    trio.append(leader, 1, QUORUM, 4);
    let appended = trio.appended();
    assert!(appended.contains(&(3, Ok(0))) && appended.contains(&(4, Ok(1))));
    trio.cut.clear();
    trio.ticks(LONG);
    let all = [appended, trio.appended()].concat();
    let of = |reply| {
        let mut of = all.iter().filter(|(to, _)| *to == reply);
        let answer = of.next().expect("an answer").1.clone();
        assert!(of.next().is_none(), "one answer");
        answer
    };
    for reply in [1, 2] {
        assert_eq!(of(reply), Err(Refusal::Unconfirmed), "{all:?}");
    }
}
