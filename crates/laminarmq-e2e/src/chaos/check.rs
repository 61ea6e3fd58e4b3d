//! Whether a partition holds what was acknowledged: each record once, in order, where the acknowledgement
//! said if it did, and nothing else.

use std::collections::BTreeMap;

use laminarmq_kafka::batch::Record;

use crate::idempotent::UNTOLD_OFFSET;
use crate::load;

/// Compares the records of a partition with the acknowledged ones: their numbers, from 0 on without a gap,
/// with their offsets.
///
/// # Errors
/// What is wrong at the first place where they differ.
pub fn same(
    partition: i32,
    stored: &[Record],
    acknowledged: &BTreeMap<u64, i64>,
) -> Result<(), String> {
    for (record, number) in stored.iter().zip(0..) {
        let offset = record.offset;
        let found = record.key.as_deref().and_then(load::number);
        if found != Some(number) {
            return Err(format!(
                "offset {offset}: {found:?} where {number} should be: lost, doubled or out of order"
            ));
        }
        match acknowledged.get(&number) {
            Some(told) if [offset, UNTOLD_OFFSET].contains(told) => {}
            told => {
                return Err(format!(
                    "record {number} is at {offset}, acknowledged at {told:?}"
                ));
            }
        }
        if record.value.as_deref() != Some(&load::value(partition, number)[..]) {
            return Err(format!("record {number} at {offset} has another value"));
        }
    }
    if stored.len() != acknowledged.len() {
        return Err(format!(
            "{} records, but {} were acknowledged",
            stored.len(),
            acknowledged.len()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: i32 = 2;

    fn record(number: u64, offset: i64) -> Record {
        Record {
            offset,
            timestamp: 0,
            key: Some(load::key(number).to_vec().into()),
            value: Some(load::value(PARTITION, number).into()),
            headers: Vec::new(),
        }
    }

    /// Ten records, with a gap in the offsets as an election leaves none, but a checker need not know.
    fn good() -> (Vec<Record>, BTreeMap<u64, i64>) {
        let offset = |number: u64| i64::try_from(number).unwrap() + i64::from(number > 4);
        let stored = (0..10).map(|number| record(number, offset(number)));
        let acknowledged = (0..10).map(|number| (number, offset(number)));
        (stored.collect(), acknowledged.collect())
    }

    #[track_caller]
    fn wrong(change: impl FnOnce(&mut Vec<Record>, &mut BTreeMap<u64, i64>)) -> String {
        let (mut stored, mut acknowledged) = good();
        change(&mut stored, &mut acknowledged);
        same(PARTITION, &stored, &acknowledged).expect_err("something is wrong")
    }

    #[test]
    fn what_was_acknowledged_and_nothing_else_is_right() {
        let (stored, acknowledged) = good();
        assert_eq!(same(PARTITION, &stored, &acknowledged), Ok(()));
        assert_eq!(same(PARTITION, &[], &BTreeMap::new()), Ok(()));
    }

    #[test]
    fn a_record_need_not_have_been_told_its_offset() {
        let (mut stored, mut acknowledged) = good();
        acknowledged.insert(7, UNTOLD_OFFSET);
        assert_eq!(same(PARTITION, &stored, &acknowledged), Ok(()));
        stored.remove(7);
        assert!(same(PARTITION, &stored, &acknowledged).is_err());
    }

    #[test]
    fn a_lost_record_is_seen_wherever_it_was() {
        for at in 0..10 {
            let why = wrong(|stored, _| drop(stored.remove(at)));
            assert!(
                why.contains(if at == 9 { "9 records" } else { "lost" }),
                "{why}"
            );
        }
    }

    #[test]
    fn doubled_swapped_moved_changed_and_invented_records_are_seen() {
        wrong(|stored, _| stored.insert(4, record(3, 4)));
        wrong(|stored, _| stored.swap(3, 4));
        wrong(|stored, _| stored[7].offset += 1);
        wrong(|stored, _| stored[7].value = Some(load::value(PARTITION + 1, 7).into()));
        wrong(|stored, _| stored[7].value = None);
        wrong(|stored, _| stored[7].key = None);
        wrong(|stored, _| stored.push(record(10, 11)));
        wrong(|_, acknowledged| {
            acknowledged.remove(&9);
        });
        wrong(|_, acknowledged| {
            acknowledged.insert(10, 11);
        });
    }
}
