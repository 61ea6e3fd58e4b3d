//! Judging what a broker kept, by the journal of what it acknowledged.
//!
//! A producer numbers its records and never sends one twice, so in each partition, in the order of
//! offsets:
//! - the numbers rise: a number that repeats was doubled, one that falls is out of order;
//! - each record is one that was sent, with the content that follows from its number: else it was
//!   invented or damaged;
//! - each acknowledged batch lies at the offset that the acknowledgement named: else it was lost.
//!
//! Records without an acknowledgement may be there or not.

use std::collections::BTreeMap;

use laminarmq_testkit::Entry;

use crate::load;

/// A record as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it lies.
    pub offset: i64,
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// The figures of a history that keeps its promises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many records were sent.
    pub sent: u64,
    /// How many of them were acknowledged.
    pub acked: u64,
    /// How many are there.
    pub kept: u64,
    /// How many are there although they were not acknowledged.
    pub kept_without_ack: u64,
}

/// What the journal says of one partition.
#[derive(Debug, Default)]
struct Promises {
    /// First number to count, of each batch sent.
    sent: BTreeMap<u64, u32>,
    /// Base offset to first number and count, of each batch acknowledged.
    acked: BTreeMap<i64, (u64, u32)>,
}

/// Compares one partition's journal with what it kept (everything from offset 0 on, in order).
///
/// # Errors
/// The first broken promise, in words.
pub fn judge(partition: i32, journal: &[Entry], kept: &[Kept]) -> Result<Summary, String> {
    let promises = promises(partition, journal)?;
    let mut last = None;
    for (offset, record) in (0..).zip(kept) {
        if record.offset != offset {
            return Err(format!(
                "offset {offset}: missing, {} follows",
                record.offset
            ));
        }
        let number =
            load::number(&record.key).ok_or(format!("offset {offset}: a key that nobody sent"))?;
        if last.is_some_and(|last| number <= last) {
            return Err(format!(
                "offset {offset}: record {number} after {last:?}: doubled or out of order"
            ));
        }
        last = Some(number);
        let batch = promises.sent.range(..=number).next_back();
        if batch.is_none_or(|(first, count)| number >= first + u64::from(*count)) {
            return Err(format!("offset {offset}: record {number} was never sent"));
        }
        if record.value != load::value(partition, number) {
            return Err(format!(
                "offset {offset}: record {number} has another value than was sent"
            ));
        }
    }
    for (&base, &(first, count)) in &promises.acked {
        for (number, offset) in (first..first + u64::from(count)).zip(base..) {
            let at = usize::try_from(offset)
                .ok()
                .and_then(|index| kept.get(index));
            let found = at.and_then(|record| load::number(&record.key));
            if found != Some(number) {
                return Err(format!(
                    "record {number} was acknowledged at offset {offset}, there is {found:?}"
                ));
            }
        }
    }
    let sum = |counts: &mut dyn Iterator<Item = u32>| counts.map(u64::from).sum();
    let acked: u64 = sum(&mut promises.acked.values().map(|&(_, count)| count));
    Ok(Summary {
        sent: sum(&mut promises.sent.values().copied()),
        acked,
        kept: kept.len() as u64,
        kept_without_ack: kept.len() as u64 - acked,
    })
}

fn promises(partition: i32, journal: &[Entry]) -> Result<Promises, String> {
    let mut promises = Promises::default();
    for &entry in journal {
        match entry {
            Entry::Sent {
                partition: p,
                first,
                count,
            } if p == partition => {
                promises.sent.insert(first, count);
            }
            Entry::Acked {
                partition: p,
                first,
                count,
                base_offset,
            } if p == partition => {
                if promises.sent.get(&first) != Some(&count) {
                    return Err(format!("acknowledged but never sent: {entry:?}"));
                }
                if let Some(other) = promises.acked.insert(base_offset, (first, count)) {
                    return Err(format!(
                        "two batches acknowledged at {base_offset}: {other:?}, {entry:?}"
                    ));
                }
            }
            Entry::Sent { .. } | Entry::Acked { .. } | Entry::Broken { .. } => {}
        }
    }
    Ok(promises)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: i32 = 1;

    fn kept(offset: i64, number: u64) -> Kept {
        Kept {
            offset,
            key: load::key(number).to_vec(),
            value: load::value(PARTITION, number),
        }
    }

    /// Batches 0..2, 2..5 and 5..6 sent, the first two acknowledged.
    fn journal() -> Vec<Entry> {
        let sent = |first, count| Entry::Sent {
            partition: PARTITION,
            first,
            count,
        };
        let acked = |first, count, base_offset| Entry::Acked {
            partition: PARTITION,
            first,
            count,
            base_offset,
        };
        vec![
            sent(0, 2),
            sent(2, 3),
            acked(0, 2, 0),
            Entry::Sent {
                partition: 0,
                first: 90,
                count: 9,
            },
            acked(2, 3, 2),
            sent(5, 1),
            Entry::Broken {
                partition: PARTITION,
                in_flight: 1,
            },
        ]
    }

    fn numbers(numbers: &[u64]) -> Vec<Kept> {
        (0..)
            .zip(numbers)
            .map(|(offset, &number)| kept(offset, number))
            .collect()
    }

    #[track_caller]
    fn broken(found: &[Kept], words: &str) {
        let error = judge(PARTITION, &journal(), found).expect_err(words);
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn what_was_acknowledged_is_there_and_the_rest_may_be() {
        let summary = Summary {
            sent: 6,
            acked: 5,
            kept: 5,
            kept_without_ack: 0,
        };
        assert_eq!(
            judge(PARTITION, &journal(), &numbers(&[0, 1, 2, 3, 4])),
            Ok(summary)
        );
        let summary = Summary {
            kept: 6,
            kept_without_ack: 1,
            ..summary
        };
        assert_eq!(
            judge(PARTITION, &journal(), &numbers(&[0, 1, 2, 3, 4, 5])),
            Ok(summary)
        );
    }

    #[test]
    fn a_missing_record_is_found() {
        broken(
            &numbers(&[0, 1, 2, 3]),
            "record 4 was acknowledged at offset 4",
        );
        broken(
            &numbers(&[2, 3, 4]),
            "record 0 was acknowledged at offset 0",
        );
        broken(&[], "record 0 was acknowledged at offset 0");
        let mut gap = numbers(&[0, 1, 2, 3, 4]);
        gap.remove(1);
        broken(&gap, "offset 1: missing");
    }

    #[test]
    fn a_doubled_or_reordered_record_is_found() {
        broken(&numbers(&[0, 1, 1, 2, 3, 4]), "doubled or out of order");
        broken(&numbers(&[0, 1, 3, 2, 4]), "doubled or out of order");
    }

    #[test]
    fn an_invented_or_damaged_record_is_found() {
        broken(&numbers(&[0, 1, 2, 3, 4, 6]), "record 6 was never sent");
        let mut damaged = numbers(&[0, 1, 2, 3, 4]);
        damaged[3].value[0] ^= 1;
        broken(&damaged, "record 3 has another value");
        damaged[3].key.pop();
        broken(&damaged, "a key that nobody sent");
    }

    #[test]
    fn a_journal_that_contradicts_itself_is_found() {
        let mut twice = journal();
        twice.push(Entry::Acked {
            partition: PARTITION,
            first: 5,
            count: 1,
            base_offset: 2,
        });
        assert!(judge(PARTITION, &twice, &numbers(&[0, 1, 2, 3, 4])).is_err());
        let unsent = [Entry::Acked {
            partition: PARTITION,
            first: 7,
            count: 1,
            base_offset: 0,
        }];
        assert!(judge(PARTITION, &unsent, &numbers(&[7])).is_err());
    }
}
