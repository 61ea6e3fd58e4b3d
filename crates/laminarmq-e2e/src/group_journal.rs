//! The journal of a group's member: a line an event, written by the member's own process.
//!
//! ```text
//! A 3,4,17     it has these partitions now
//! R 3 120      it read offset 120 of partition 3
//! ```
//!
//! A line that a kill cut short is no event.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// What a member writes down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberEvent {
    /// It has these partitions from now on.
    Assigned(Vec<i32>),
    /// It read a record.
    Read {
        /// The record's partition.
        partition: i32,
        /// Its offset.
        offset: i64,
    },
}

/// A journal that is written.
#[derive(Debug)]
pub struct MemberJournal(File);

impl MemberJournal {
    /// A new, empty one.
    pub fn create(path: &Path) -> io::Result<Self> {
        File::create(path).map(Self)
    }

    /// Adds an event; the operating system has it when this returns.
    pub fn write(&mut self, event: &MemberEvent) -> io::Result<()> {
        let mut line = String::new();
        match event {
            MemberEvent::Assigned(partitions) => {
                let numbers: Vec<_> = partitions.iter().map(ToString::to_string).collect();
                writeln!(line, "A {}", numbers.join(","))
            }
            MemberEvent::Read { partition, offset } => writeln!(line, "R {partition} {offset}"),
        }
        .expect("a string takes everything");
        self.0.write_all(line.as_bytes())
    }
}

/// The events of a journal, as far as it was written.
///
/// # Panics
/// When the file cannot be read, or holds something else.
#[must_use]
pub fn read_journal(path: &Path) -> Vec<MemberEvent> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    let event = |line: &str| parse(line).unwrap_or_else(|| panic!("{path:?}: {line:?}"));
    whole.lines().map(event).collect()
}

fn parse(line: &str) -> Option<MemberEvent> {
    let (kind, rest) = line.split_once(' ')?;
    match kind {
        "A" if rest.is_empty() => Some(MemberEvent::Assigned(Vec::new())),
        "A" => {
            let numbers = rest.split(',').map(|number| number.parse().ok());
            Some(MemberEvent::Assigned(numbers.collect::<Option<_>>()?))
        }
        "R" => {
            let (partition, offset) = rest.split_once(' ')?;
            Some(MemberEvent::Read {
                partition: partition.parse().ok()?,
                offset: offset.parse().ok()?,
            })
        }
        _ => None,
    }
}

/// Judges what a group's members read together, each partition having `0..ends[partition]`.
///
/// # Errors
/// The first record that nobody read, or that a member read out of order while it kept the partition.
pub fn judge_readings(members: &[Vec<MemberEvent>], ends: &[i64]) -> Result<u64, String> {
    let length = |end: &i64| usize::try_from(*end).expect("no negative end");
    let mut read: Vec<Vec<bool>> = ends.iter().map(|end| vec![false; length(end)]).collect();
    let mut readings = 0;
    for (number, events) in members.iter().enumerate() {
        let mut next = vec![None; ends.len()];
        for event in events {
            match event {
                MemberEvent::Assigned(partitions) => {
                    // What it lost and may get again begins anew.
                    for (partition, next) in (0..).zip(&mut next) {
                        if !partitions.contains(&partition) {
                            *next = None;
                        }
                    }
                }
                MemberEvent::Read { partition, offset } => {
                    let at = usize::try_from(*partition).map_err(|_| format!("{event:?}"))?;
                    let slot = next.get_mut(at).ok_or(format!("{event:?}"))?;
                    if let Some(expected) = slot.replace(offset + 1)
                        && *offset > expected
                    {
                        return Err(format!(
                            "member {number}, partition {partition}: {offset} read after {}",
                            expected - 1
                        ));
                    }
                    let seen = usize::try_from(*offset)
                        .ok()
                        .and_then(|at_offset| read[at].get_mut(at_offset));
                    *seen.ok_or(format!("{event:?}: past the end"))? = true;
                    readings += 1;
                }
            }
        }
    }
    for (partition, read) in read.iter().enumerate() {
        if let Some(offset) = read.iter().position(|seen| !seen) {
            return Err(format!(
                "partition {partition}: nobody read offset {offset}"
            ));
        }
    }
    Ok(readings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(partition: i32, offsets: &[i64]) -> Vec<MemberEvent> {
        let read = |&offset| MemberEvent::Read { partition, offset };
        offsets.iter().map(read).collect()
    }

    #[test]
    fn all_must_be_read_and_in_order() {
        let all = [reads(0, &[0, 1, 2]), reads(1, &[0, 1])];
        assert_eq!(judge_readings(&all, &[3, 2]), Ok(5));
        // Twice is allowed: a member died before it committed.
        let twice = [reads(0, &[0, 1]), reads(0, &[1, 2])];
        assert_eq!(judge_readings(&twice, &[3]), Ok(4));
        let missing = judge_readings(&[reads(0, &[0, 1])], &[3]);
        assert!(
            missing
                .expect_err("one is missing")
                .contains("nobody read offset 2")
        );
        let skipped = [reads(0, &[0, 2]), reads(0, &[1])];
        let skipped = judge_readings(&skipped, &[3]);
        assert!(
            skipped
                .expect_err("one was skipped")
                .contains("2 read after 0")
        );
        assert!(judge_readings(&[reads(0, &[0, 1, 2, 3])], &[3]).is_err());
    }

    #[test]
    fn a_partition_that_came_back_may_begin_further_on() {
        let mut events = reads(0, &[0]);
        events.push(MemberEvent::Assigned(Vec::new()));
        events.push(MemberEvent::Assigned(vec![0]));
        events.extend(reads(0, &[2]));
        assert_eq!(judge_readings(&[events, reads(0, &[1])], &[3]), Ok(3));
    }

    #[test]
    fn events_come_back_and_a_cut_line_does_not() {
        let dir = laminarmq_testkit::TestDir::new("member-journal");
        let path = dir.join("journal");
        let events = [
            MemberEvent::Assigned(vec![1, 12]),
            MemberEvent::Read {
                partition: 12,
                offset: 7,
            },
            MemberEvent::Assigned(Vec::new()),
        ];
        let mut journal = MemberJournal::create(&path).expect("a journal");
        for event in &events {
            journal.write(event).expect("written");
        }
        journal.0.write_all(b"R 3 1").expect("written");
        assert_eq!(read_journal(&path), events);
    }
}
