use super::*;

fn stamp(id: i64, epoch: i16, base_sequence: i32) -> ProducerStamp {
    ProducerStamp {
        id,
        epoch,
        base_sequence,
    }
}

fn batch(index: u64, base_sequence: i32, records: u32) -> KnownBatch {
    KnownBatch {
        index: LogIndex(index),
        base_offset: Offset(index * 100),
        base_sequence,
        last_delta: records - 1,
        timestamp: 5,
    }
}

/// Producer 7, epoch 1, batches of ten at the indices from 1 on.
fn of_batches(count: u64) -> Producers {
    let mut producers = Producers::default();
    for number in 0..count {
        let sequence = i32::try_from(number * 10).unwrap();
        producers.append(7, 1, batch(number + 1, sequence, 10));
    }
    producers
}

#[test]
fn the_next_batch_is_let_through_and_a_gap_is_not() {
    let producers = of_batches(3);
    assert_eq!(producers.check(stamp(7, 1, 30), 0), Ok(Verdict::Next));
    for given in [31, 29, 40, 0] {
        let gap = SequenceError::Gap {
            expected: 30,
            given,
        };
        // One record: none of the known batches, which have ten.
        assert_eq!(producers.check(stamp(7, 1, given), 0), Err(gap));
    }
}

#[test]
fn the_last_five_batches_are_known_again() {
    let producers = of_batches(8);
    for number in 3..8 {
        let sequence = number * 10;
        let index = u64::try_from(number).unwrap() + 1;
        let known = batch(index, sequence, 10);
        let verdict = producers.check(stamp(7, 1, sequence), 9);
        assert_eq!(verdict, Ok(Verdict::Duplicate(known)));
    }
    // Older ones are not known any more, and another length is another batch.
    for (sequence, last_delta) in [(20, 9), (70, 8)] {
        let verdict = producers.check(stamp(7, 1, sequence), last_delta);
        assert!(
            matches!(verdict, Err(SequenceError::Gap { .. })),
            "{verdict:?}"
        );
    }
}

#[test]
fn an_unknown_producer_may_begin_anywhere() {
    assert_eq!(of_batches(1).check(stamp(8, 0, 44), 0), Ok(Verdict::Next));
}

#[test]
fn an_old_epoch_is_refused_and_a_new_one_begins_at_zero() {
    let mut producers = of_batches(2);
    let old = SequenceError::OldEpoch {
        current: 1,
        given: 0,
    };
    assert_eq!(producers.check(stamp(7, 0, 20), 0), Err(old));
    let gap = SequenceError::Gap {
        expected: 0,
        given: 20,
    };
    assert_eq!(producers.check(stamp(7, 2, 20), 0), Err(gap));
    assert_eq!(producers.check(stamp(7, 2, 0), 0), Ok(Verdict::Next));
    producers.append(7, 2, batch(3, 0, 10));
    // The batches of the old epoch are no duplicates of the new one's.
    let gap = SequenceError::Gap {
        expected: 10,
        given: 20,
    };
    assert_eq!(producers.check(stamp(7, 2, 20), 9), Err(gap));
}

#[test]
fn sequence_numbers_wrap_to_zero() {
    let mut producers = Producers::default();
    producers.append(7, 0, batch(1, i32::MAX - 1, 2));
    assert_eq!(producers.check(stamp(7, 0, 0), 0), Ok(Verdict::Next));
    producers.append(7, 0, batch(2, 0, 3));
    assert_eq!(producers.check(stamp(7, 0, 3), 0), Ok(Verdict::Next));
    let mut producers = Producers::default();
    producers.append(7, 0, batch(1, i32::MAX - 1, 10));
    assert_eq!(producers.check(stamp(7, 0, 8), 0), Ok(Verdict::Next));
}

#[test]
fn proposals_count_until_the_turn_ends() {
    let mut producers = of_batches(1);
    producers.propose(stamp(7, 1, 10), 9);
    assert_eq!(producers.check(stamp(7, 1, 20), 0), Ok(Verdict::Next));
    // The same once more, an older one, or a gap: only the log can tell.
    for sequence in [10, 0, 30] {
        let verdict = producers.check(stamp(7, 1, sequence), 9);
        assert_eq!(verdict, Ok(Verdict::Unsettled));
    }
    assert_eq!(producers.check(stamp(7, 2, 0), 9), Ok(Verdict::Next));
    // It never reached the log: it is the next one again.
    producers.end_turn();
    assert_eq!(producers.check(stamp(7, 1, 10), 9), Ok(Verdict::Next));
}

#[test]
fn the_producer_that_was_silent_longest_is_forgotten_first() {
    let mut producers = Producers::default();
    let most = u64::try_from(PRODUCERS_MAX).unwrap();
    for index in 1..=most {
        producers.append(index.cast_signed(), 0, batch(index, 0, 1));
    }
    // The first one speaks again, so the second one is the oldest.
    producers.append(1, 0, batch(most + 1, 1, 1));
    producers.append(0, 0, batch(most + 2, 0, 1));
    let gap = |id| producers.check(stamp(id, 0, 9), 0).is_err();
    assert!(gap(1) && gap(0) && gap(3));
    assert!(!gap(2), "forgotten");
    assert_eq!(producers.table.known.len(), PRODUCERS_MAX);
    assert_eq!(producers.table.by_age.len(), PRODUCERS_MAX);
    let bytes = producers.table.encode();
    assert!(bytes.len() as u64 <= PRODUCERS_BYTES_MAX);
}

#[test]
fn a_cut_forgets_the_batches_behind_it() {
    let mut producers = of_batches(7);
    producers.append(8, 0, batch(8, 0, 1));
    assert!(producers.truncate(LogIndex(6)));
    assert_eq!(producers.check(stamp(7, 1, 50), 9), Ok(Verdict::Next));
    assert!(matches!(
        producers.check(stamp(7, 1, 40), 9),
        Ok(Verdict::Duplicate(_))
    ));
    assert_eq!(producers.check(stamp(8, 0, 5), 0), Ok(Verdict::Next));
    assert_eq!(producers.table.by_age.len(), 1);
}

#[test]
fn a_cut_brings_back_who_was_forgotten() {
    let mut producers = Producers::default();
    let most = u64::try_from(PRODUCERS_MAX).unwrap();
    for index in 1..=most {
        producers.append(index.cast_signed(), 0, batch(index, 0, 1));
    }
    let before = producers.table.clone();
    producers.append(0, 0, batch(most + 1, 0, 1));
    producers.append(-1, 0, batch(most + 2, 0, 1));
    assert!(!producers.table.known.contains_key(&1));
    assert!(producers.truncate(LogIndex(most + 1)));
    assert_eq!(producers.table, before);
}

#[test]
fn what_is_settled_cannot_be_taken_back() {
    let mut producers = of_batches(7);
    producers.settle(LogIndex(4));
    assert!(producers.truncate(LogIndex(5)));
    let left = producers.table.clone();
    assert!(!producers.truncate(LogIndex(4)));
    assert_eq!(producers.table, left);
}

/// What happens to a log, and so to the table.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// By a producer, maybe with the next epoch.
    Batch { id: i64, next_epoch: bool },
    /// One that knows this producer, and nobody else.
    Checkpoint { id: i64 },
    /// So many entries are cut off, of those that are not settled.
    Cut(usize),
    /// All but so many are settled.
    Settle(usize),
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    use proptest::prelude::*;
    let step = prop_oneof![
        20 => (0..4_i64, prop::bool::weighted(0.1))
            .prop_map(|(id, next_epoch)| Step::Batch { id, next_epoch }),
        1 => (0..4_i64).prop_map(|id| Step::Checkpoint { id }),
        2 => (0..12_usize).prop_map(Step::Cut),
        2 => (0..12_usize).prop_map(Step::Settle),
    ];
    prop::collection::vec(step, 0..120)
}

/// The table after these entries, made from nothing: number in the list plus one is the index.
fn made_anew(log: &[Step]) -> Producers {
    let mut producers = Producers::default();
    for (index, step) in (1..).zip(log) {
        let epoch = |id| producers.table.known.get(&id).map_or(0, |it| it.epoch);
        match *step {
            Step::Batch { id, next_epoch } => {
                let epoch = epoch(id) + i16::from(next_epoch);
                producers.append(id, epoch, batch(index, 0, 1));
            }
            Step::Checkpoint { id } => {
                let mut table = producers.table.clone();
                table.known.retain(|other, _| *other == id);
                table.by_age.retain(|_, other| *other == id);
                producers.replace(LogIndex(index), table);
            }
            Step::Cut(_) | Step::Settle(_) => unreachable!("not in a log"),
        }
    }
    producers
}

proptest::proptest! {
    #[test]
    fn the_table_is_that_of_the_log_whatever_was_cut(steps in steps()) {
        let mut log = Vec::new();
        let mut settled = 0;
        let mut producers = Producers::default();
        for step in steps {
            match step {
                Step::Batch { .. } | Step::Checkpoint { .. } => {
                    log.push(step);
                    let index = LogIndex(log.len() as u64);
                    let now = made_anew(&log);
                    match step {
                        Step::Batch { id, .. } => {
                            let epoch = now.table.known[&id].epoch;
                            producers.append(id, epoch, batch(index.get(), 0, 1));
                        }
                        _ => producers.replace(index, now.table),
                    }
                }
                Step::Cut(count) => {
                    let kept = log.len().saturating_sub(count).max(settled);
                    log.truncate(kept);
                    proptest::prop_assert!(producers.truncate(LogIndex(kept as u64 + 1)));
                }
                Step::Settle(but) => {
                    settled = log.len().saturating_sub(but).max(settled);
                    producers.settle(LogIndex(settled as u64));
                }
            }
            proptest::prop_assert_eq!(&producers.table, &made_anew(&log).table);
            // As many as may be cut, at most.
            proptest::prop_assert!(producers.undo.len() <= log.len() - settled);
        }
    }
}

#[test]
fn a_checkpoint_comes_back_as_it_was() {
    let mut producers = of_batches(7);
    for id in [3, 1, 2] {
        producers.append(id, 0, batch(20 + id.unsigned_abs(), 0, 1));
    }
    let bytes = producers.table.encode();
    let back = Table::decode(&bytes, LogIndex(24)).unwrap();
    assert_eq!(back, producers.table);
    assert_eq!(back.encode(), bytes);
    // What it knows stands before it.
    assert!(Table::decode(&bytes, LogIndex(23)).is_err());
    let nobody = Table::decode(&Table::default().encode(), LogIndex(1)).unwrap();
    assert!(nobody.known.is_empty());
}

#[test]
fn cut_short_or_changed_bytes_are_refused_or_sound() {
    let mut producers = of_batches(2);
    producers.append(8, 0, batch(8, 0, 1));
    let bytes = producers.table.encode();
    for length in 0..bytes.len() {
        assert!(
            Table::decode(&bytes[..length], LogIndex(9)).is_err(),
            "{length}"
        );
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(Table::decode(&longer, LogIndex(9)).is_err());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            if let Ok(changed) = Table::decode(&changed, LogIndex(9)) {
                assert_eq!(changed.known.len(), changed.by_age.len());
            }
        }
    }
}
