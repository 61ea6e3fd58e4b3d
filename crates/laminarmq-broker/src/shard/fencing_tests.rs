//! What readers hear from a leader that does not know yet what is committed, and from one that was replaced.

use super::tests::{ONE, QUORUM, Test, read};
use super::trio::{LONG, Trio};
use super::*;
use laminarmq_replica::Isolation;

fn look_up(query: OffsetQuery, epoch: Option<i32>, reply: u32) -> Input<Test> {
    let lookup = Lookup {
        group: ONE,
        query,
        epoch,
    };
    Input::Lookup { lookup, reply }
}

/// What a node says to a fetch, to the question for the end, and to the one where `old` ends.
fn asked(trio: &mut Trio, node: u64, epoch: Option<i32>, old: Term) -> Vec<Result<u64, Refusal>> {
    trio.input(node, read(ONE, 0, epoch, 1));
    let latest = OffsetQuery::Latest(Isolation::ReadUncommitted);
    trio.input(node, look_up(latest, epoch, 2));
    trio.input(node, look_up(OffsetQuery::EndOfEpoch(old), epoch, 3));
    let answers = std::mem::take(&mut trio.answers);
    answers.into_iter().map(|(_, result)| result).collect()
}

#[test]
fn a_new_leader_says_nothing_of_offsets_before_its_first_entry_is_committed() {
    let mut trio = Trio::new();
    trio.append(1, 0, QUORUM, 1);
    let old = trio.progress(1).epoch;
    trio.cut.insert(1);
    trio.no_appends = true;
    while trio.leader() == Some(1) {
        trio.ticks(1);
    }
    let leader = trio.leader().expect("another one");
    let new = trio.progress(leader);
    assert!(new.epoch > old && new.high_watermark.is_none());
    let now = Some(new.epoch.leader_epoch());
    let nothing = vec![Err(Refusal::NotAvailable); 3];
    assert_eq!(asked(&mut trio, leader, now, old), nothing);
    // Fencing needs nothing that it would have to know first.
    let current = new.epoch.leader_epoch();
    let fenced = vec![Err(Refusal::FencedEpoch { current }); 3];
    let before = Some(old.leader_epoch());
    assert_eq!(asked(&mut trio, leader, before, old), fenced);

    trio.no_appends = false;
    trio.ticks(LONG);
    assert_eq!(trio.leader(), Some(leader));
    let all = asked(&mut trio, leader, now, old);
    assert!(matches!(all[..], [Ok(1..), Ok(1), Ok(1)]), "{all:?}");

    // The one before it leads nothing any more, and when it hears of that, is fenced too.
    let refused = vec![Err(Refusal::NotLeader); 3];
    assert_eq!(asked(&mut trio, 1, None, old), refused);
    trio.cut.clear();
    trio.ticks(LONG);
    let later = trio.progress(1).epoch.leader_epoch();
    let fenced = vec![Err(Refusal::FencedEpoch { current: later }); 3];
    assert_eq!(asked(&mut trio, 1, before, old), fenced);
}
