//! Produce and fetch of one partition, as operations on one log in real time (ADR 0014).
//!
//! A partition's offsets order its operations: an append stands where its first record is, a read where its high
//! watermark is. The history is linearizable if that order agrees with real time, which is four rules, for every
//! pair of which one was over before the other began:
//!
//! - two appends: the later one has the higher offset (held by [`super::partition`])
//! - an append, then a read: the read's high watermark is past the append
//! - a read, then an append: the append is not below the read's high watermark
//! - two reads: the high watermark does not fall
//!
//! The third holds for every read. The second and the fourth hold for reads *of the newest leader*: nobody has heard
//! yet of one with a newer term. A leader of an older term that does not know it may leave out what is newer, for no
//! longer than `stale_micros_max` after the newer one was first heard of; a follower may at any time. The
//! same goes for deletions: the newest leader's start does not fall, and is past what was deleted.
//!
//! Of equal times nothing is said: either may have been first.

use std::collections::BTreeMap;

use crate::checkers::Broken;
use crate::clock::Time;
use crate::history::{Answer, History, Read, Seen};

/// How much of what was seen was held against what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Views {
    pub(crate) newest: u64,
    pub(crate) stale: u64,
    pub(crate) followers: u64,
    /// The longest time for which a replaced leader was seen to go on.
    pub(crate) stale_micros: u64,
}

/// Holds what consumers saw against what producers were told. `records` are all of the partition, from offset 0 on; a leader
/// that was replaced may go on for `stale_micros_max`.
pub(crate) fn linearizable(
    history: &History,
    records: &[Read],
    stale_micros_max: u64,
) -> Result<Views, Broken> {
    let mut views = Views::default();
    let terms = first_heard(history);
    let mut appends = Passed::new(appended(history));
    let deletions = history.deletions.iter();
    let mut deletions = Passed::new(deletions.map(|it| (it.at, it.before)).collect());
    // (start, end) as the newest leader showed them, before a time and at that time.
    let mut shown = (0, 0);
    let mut shown_now = (Time::default(), shown);
    for seen in &history.seen {
        if seen.at > shown_now.0 {
            shown = shown_now.1;
            shown_now.0 = seen.at;
        }
        if !seen.leads {
            views.followers += 1;
            continue;
        }
        let replaced = replaced_at(&terms, seen.by.2);
        if let Some(replaced) = replaced.filter(|replaced| *replaced < seen.at) {
            views.stale += 1;
            let late = seen.at.0 - replaced.0;
            views.stale_micros = late.max(views.stale_micros);
            if late > stale_micros_max {
                return Err(format!(
                    "{seen:?}: {late} us after a leader of a newer term was heard of, {stale_micros_max} at most"
                ));
            }
            continue;
        }
        views.newest += 1;
        let (appended, deleted) = (appends.before(seen.at), deletions.before(seen.at));
        if appended > seen.end {
            return Err(format!(
                "{seen:?}, and records up to {appended} were acknowledged before"
            ));
        }
        if deleted > seen.start {
            return Err(format!(
                "{seen:?}, and records before {deleted} were deleted before"
            ));
        }
        if shown.1 > seen.end || shown.0 > seen.start {
            return Err(format!("{seen:?}, and {shown:?} was seen before"));
        }
        let (start, end) = shown_now.1;
        shown_now.1 = (start.max(seen.start), end.max(seen.end));
    }
    nothing_below_what_was_seen(history, records)?;
    Ok(views)
}

/// Acknowledged appends: when the answer came, and one past their last offset.
fn appended(history: &History) -> Vec<(Time, u64)> {
    let answers = history.requests.iter();
    let appended = answers.filter_map(|request| match request.answer {
        Answer::Acknowledged {
            base_offset, at, ..
        } => Some((at, base_offset + request.values.len() as u64)),
        Answer::None | Answer::Refused => None,
    });
    appended.collect()
}

/// When each term was first heard of: a leader of it acknowledged something, a deletion too, or answered a read.
fn first_heard(history: &History) -> BTreeMap<u32, Time> {
    let mut terms: BTreeMap<u32, Time> = BTreeMap::new();
    let answers = history.requests.iter();
    let appends = answers.filter_map(|request| match request.answer {
        Answer::Acknowledged { at, by, .. } => Some((by.2, at)),
        Answer::None | Answer::Refused => None,
    });
    let led = history.seen.iter().filter(|seen| seen.leads);
    let deleted = history.deletions.iter().map(|it| (it.by.2, it.at));
    let led = led.map(|seen: &Seen| (seen.by.2, seen.at));
    for (term, at) in appends.chain(deleted).chain(led) {
        let first = terms.entry(term).or_insert(at);
        *first = at.min(*first);
    }
    terms
}

/// When a leader of a newer term was first heard of.
fn replaced_at(terms: &BTreeMap<u32, Time>, term: u32) -> Option<Time> {
    terms.range(term + 1..).map(|(_, at)| *at).min()
}

/// A record is never found below a high watermark that somebody saw before it was sent.
fn nothing_below_what_was_seen(history: &History, records: &[Read]) -> Result<(), Broken> {
    let values = records.iter();
    let offsets: BTreeMap<_, _> = values
        .map(|read| (read.value.as_str(), read.offset))
        .collect();
    let mut sent: Vec<_> = history.requests.iter().collect();
    sent.sort_by_key(|request| request.sent);
    let mut ends = Passed::new(history.seen.iter().map(|it| (it.at, it.end)).collect());
    for request in sent {
        let seen = ends.before(request.sent);
        let first = request.values.first();
        if let Some(&offset) = first.and_then(|value| offsets.get(value.as_str()))
            && offset < seen
        {
            return Err(format!(
                "{:?} is at offset {offset}; before it was sent somebody saw a high watermark of {seen}",
                request.values[0]
            ));
        }
    }
    Ok(())
}

/// The highest of what was over before a time; asked in the order of time.
struct Passed {
    rest: std::iter::Peekable<std::vec::IntoIter<(Time, u64)>>,
    highest: u64,
}

impl Passed {
    fn new(mut all: Vec<(Time, u64)>) -> Self {
        all.sort_unstable();
        Self {
            rest: all.into_iter().peekable(),
            highest: 0,
        }
    }

    fn before(&mut self, time: Time) -> u64 {
        while let Some((_, value)) = self.rest.next_if(|(at, _)| *at < time) {
            self.highest = value.max(self.highest);
        }
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Deletion, Request};

    const STALE_MAX: u64 = 50;

    fn append(value: &str, sent: u64, base_offset: u64, (at, term): (u64, u32)) -> Request {
        Request {
            client: 0,
            connection: (1, 1),
            values: vec![value.to_owned()],
            sent: Time(sent),
            answer: Answer::Acknowledged {
                base_offset,
                at: Time(at),
                by: (u64::from(term), 1, term),
            },
            stamp: None,
        }
    }

    fn read(at: u64, term: u32, end: u64) -> Seen {
        Seen {
            at: Time(at),
            by: (u64::from(term), 1, term),
            leads: true,
            start: 0,
            end,
        }
    }

    fn follower(at: u64, end: u64) -> Seen {
        Seen {
            leads: false,
            ..read(at, 1, end)
        }
    }

    /// a at 0 under term 1, b at 1 under term 2; each sent 10 before it is acknowledged, at 20 and at 120.
    fn check(seen: &[Seen], deletions: &[(u64, u64)]) -> Result<Views, Broken> {
        let history = History {
            requests: vec![append("a", 10, 0, (20, 1)), append("b", 110, 1, (120, 2))],
            seen: seen.to_vec(),
            deletions: deletions
                .iter()
                .map(|(at, before)| Deletion {
                    at: Time(*at),
                    by: (2, 1, 2),
                    before: *before,
                })
                .collect(),
            ..History::default()
        };
        let values = ["a", "b"].into_iter().enumerate();
        let records: Vec<_> = values
            .map(|(offset, value)| Read {
                node: 1,
                offset: offset as u64,
                value: value.to_owned(),
            })
            .collect();
        linearizable(&history, &records, STALE_MAX)
    }

    #[track_caller]
    fn broken(seen: &[Seen], words: &str) {
        let broken = check(seen, &[]).expect_err(words);
        assert!(broken.contains(words), "{broken}");
    }

    #[test]
    fn what_is_under_way_may_be_seen_or_not() {
        // At 15 the first append is not answered, at 20 it is just being answered.
        for end in [0, 1] {
            let views = check(&[read(15, 1, end), read(20, 1, 1)], &[]);
            assert_eq!(views.map(|views| views.newest), Ok(2));
        }
    }

    #[test]
    fn the_newest_leader_shows_what_was_acknowledged() {
        broken(&[read(21, 1, 0)], "records up to 1 were acknowledged");
        broken(&[read(121, 2, 1)], "records up to 2 were acknowledged");
        // Of whom nobody has heard yet: it counts as the newest all the same.
        broken(&[read(121, 3, 1)], "records up to 2 were acknowledged");
    }

    #[test]
    fn what_the_newest_leader_showed_stays_seen() {
        broken(&[read(112, 2, 2), read(113, 2, 1)], "was seen before");
        assert!(check(&[read(112, 2, 2), read(112, 2, 1)], &[]).is_ok());
    }

    #[test]
    fn a_replaced_leader_goes_on_for_a_bounded_time() {
        let views = check(&[read(121, 1, 1), read(170, 1, 1)], &[]).expect("in time");
        assert_eq!((views.newest, views.stale, views.stale_micros), (0, 2, 50));
        broken(
            &[read(171, 1, 1)],
            "51 us after a leader of a newer term was heard of",
        );
        // A read alone tells of the newer leader, too.
        broken(&[read(30, 2, 1), read(81, 1, 1)], "51 us after");
    }

    #[test]
    fn nobody_shows_a_place_that_is_taken_later() {
        for seen in [read(105, 1, 2), follower(105, 2)] {
            broken(&[seen], "\"b\" is at offset 1; before it was sent");
        }
        assert!(check(&[follower(110, 2)], &[]).is_ok());
    }

    #[test]
    fn a_follower_may_be_behind() {
        let views = check(&[follower(500, 0)], &[]).expect("a follower");
        assert_eq!((views.followers, views.newest, views.stale), (1, 0, 0));
    }

    #[test]
    fn what_was_deleted_stays_deleted() {
        let after = |at, start| Seen {
            start,
            ..read(at, 2, 2)
        };
        assert!(check(&[after(140, 0), after(151, 1)], &[(140, 1)]).is_ok());
        let words = check(&[after(141, 0)], &[(140, 1)]).expect_err("deleted");
        assert!(words.contains("records before 1 were deleted"), "{words}");
        // It tells of a newer leader, too.
        let before = read(45, 1, 1);
        assert!(check(&[before], &[(40, 1)]).is_ok());
        let words = check(&[after(141, 1), after(142, 0)], &[]).expect_err("seen");
        assert!(words.contains("was seen before"), "{words}");
    }
}
