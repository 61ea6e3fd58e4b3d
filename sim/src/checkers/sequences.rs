//! What an idempotent producer was promised, however often it sent a batch:
//!
//! - a batch is in the partition at most once, its records side by side; an acknowledged one is there, where
//!   it was acknowledged
//! - batches of a producer stand in the order of their epochs and sequences
//! - a batch stands only where the one before it, of its epoch, does

use std::collections::BTreeMap;

use crate::checkers::Broken;
use crate::history::{Answer, History, Read, Stamp};

/// Holds the partition's records against what idempotent producers saw.
pub(crate) fn sequences(history: &History, records: &[Read]) -> Result<(), Broken> {
    let mut offsets: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for record in records {
        let at = offsets.entry(&record.value).or_default();
        at.push(record.offset);
    }
    let mut newest = BTreeMap::new();
    let mut highest: BTreeMap<i64, (Stamp, u64)> = BTreeMap::new();
    for request in &history.requests {
        let Some(stamp) = request.stamp else { continue };
        let base = base_of(stamp, &request.values, &offsets)?;
        if let Answer::Acknowledged { base_offset, .. } = request.answer
            && base != Some(base_offset)
        {
            return Err(format!(
                "{stamp:?} was acknowledged at {base_offset} and is at {base:?}"
            ));
        }
        let before = newest.insert(stamp.id, (stamp, base.is_some()));
        let Some(base) = base else { continue };
        if let Some((earlier, false)) = before
            && earlier.epoch == stamp.epoch
        {
            return Err(format!(
                "{stamp:?} is at {base}, and {earlier:?} is not there"
            ));
        }
        if let Some((earlier, at)) = highest.insert(stamp.id, (stamp, base))
            && at > base
        {
            return Err(format!(
                "{stamp:?} is at {base}, before {earlier:?} at {at}"
            ));
        }
    }
    Ok(())
}

/// Where a batch stands.
fn base_of(
    stamp: Stamp,
    values: &[String],
    offsets: &BTreeMap<&str, Vec<u64>>,
) -> Result<Option<u64>, Broken> {
    let at = |value: &String| offsets.get(value.as_str()).map_or(&[][..], Vec::as_slice);
    let base = match at(&values[0]) {
        [] => None,
        [base] => Some(*base),
        all => return Err(format!("{stamp:?} was stored again: it is at {all:?}")),
    };
    for (place, value) in (0..).zip(values) {
        let want: Vec<_> = base.iter().map(|base| base + place).collect();
        if at(value) != want {
            let is = at(value);
            return Err(format!(
                "record {place} of {stamp:?} is at {is:?}, the first one at {base:?}"
            ));
        }
    }
    Ok(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::history::Request;

    fn request(epoch: i16, sequence: i32, values: &[&str], acknowledged: Option<u64>) -> Request {
        let at = Time(2);
        Request {
            client: 1,
            connection: (1, 1),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            sent: Time(1),
            answer: acknowledged.map_or(Answer::None, |base_offset| Answer::Acknowledged {
                base_offset,
                at,
                by: (1, 1, 1),
            }),
            stamp: Some(Stamp {
                id: 7,
                epoch,
                sequence,
            }),
        }
    }

    /// a and b acknowledged, c and d given up, e of the next epoch.
    fn check(values: &[&str]) -> Result<(), Broken> {
        let requests = vec![
            request(0, 0, &["a0", "a1"], Some(0)),
            request(0, 2, &["b0"], Some(2)),
            request(0, 3, &["c0"], None),
            request(0, 4, &["d0"], None),
            request(1, 0, &["e0"], None),
        ];
        let history = History {
            requests,
            ..History::default()
        };
        let read = |(offset, value): (u64, &&str)| Read {
            node: 0,
            offset,
            value: (*value).to_owned(),
        };
        let records: Vec<_> = (0..).zip(values).map(read).collect();
        sequences(&history, &records)
    }

    #[test]
    fn what_was_given_up_may_be_there_or_not() {
        assert_eq!(check(&["a0", "a1", "b0"]), Ok(()));
        assert_eq!(check(&["a0", "a1", "b0", "c0"]), Ok(()));
        assert_eq!(check(&["a0", "a1", "b0", "x", "c0", "d0", "e0"]), Ok(()));
        assert_eq!(check(&["a0", "a1", "b0", "x", "e0"]), Ok(()));
    }

    #[test]
    fn each_broken_promise_is_named() {
        let stamp = |epoch, sequence| {
            format!(
                "{:?}",
                Stamp {
                    id: 7,
                    epoch,
                    sequence
                }
            )
        };
        let cases: [(&[&str], String); 8] = [
            (
                &["a0", "a1", "b0", "b0"],
                format!("{} was stored again: it is at [2, 3]", stamp(0, 2)),
            ),
            (
                &["a0", "a1", "b0", "c0", "x", "c0"],
                format!("{} was stored again: it is at [3, 5]", stamp(0, 3)),
            ),
            (
                &["a0", "a1"],
                format!("{} was acknowledged at 2 and is at None", stamp(0, 2)),
            ),
            (
                &["a0", "a1", "x", "b0"],
                format!("{} was acknowledged at 2 and is at Some(3)", stamp(0, 2)),
            ),
            (
                &["a0", "b0", "a1"],
                format!(
                    "record 1 of {} is at [2], the first one at Some(0)",
                    stamp(0, 0)
                ),
            ),
            (
                &["a0", "a1", "b0", "d0", "c0"],
                format!("{} is at 3, before {} at 4", stamp(0, 4), stamp(0, 3)),
            ),
            (
                &["a0", "a1", "b0", "d0"],
                format!("{} is at 3, and {} is not there", stamp(0, 4), stamp(0, 3)),
            ),
            (
                &["a0", "a1", "b0", "c0", "e0", "d0"],
                format!("{} is at 4, before {} at 5", stamp(1, 0), stamp(0, 4)),
            ),
        ];
        for (values, broken) in cases {
            assert_eq!(check(values), Err(broken));
        }
    }
}
