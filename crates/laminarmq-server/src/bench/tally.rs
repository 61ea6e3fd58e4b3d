//! What was read back, compared with what was sent.

use super::values::Mark;

/// Which records of a run were seen, and what was wrong with them.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    run: u64,
    /// One bit per number.
    seen: Vec<u64>,
    pub(super) doubled: u64,
    pub(super) altered: u64,
    /// Records that somebody else wrote.
    pub(super) foreign: u64,
}

/// The outcome, for the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Records that were sent.
    pub(super) sent: u64,
    /// Of these, how many are there, at least once.
    pub(super) found: u64,
    pub(super) doubled: u64,
    pub(super) altered: u64,
    pub(super) foreign: u64,
}

/// No run writes more; a number above it is no number of ours.
const NUMBERS_MAX: u64 = 1 << 34;

impl Tally {
    pub(super) fn of(run: u64) -> Self {
        Self {
            run,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, value: Option<&[u8]>) {
        let mark = value.and_then(Mark::read);
        let Some((mark, value)) = mark.zip(value).filter(|(mark, _)| mark.run == self.run) else {
            self.foreign += 1;
            return;
        };
        if mark.number >= NUMBERS_MAX || !mark.fits(value) {
            self.altered += 1;
            return;
        }
        let (word, bit) = (mark.number / 64, 1 << (mark.number % 64));
        let word = usize::try_from(word).expect("bounded above");
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        if self.seen[word] & bit != 0 {
            self.doubled += 1;
        }
        self.seen[word] |= bit;
    }

    /// Adds what another reader saw.
    pub(super) fn merge(&mut self, other: &Self) {
        if self.seen.len() < other.seen.len() {
            self.seen.resize(other.seen.len(), 0);
        }
        for (mine, theirs) in self.seen.iter_mut().zip(&other.seen) {
            self.doubled += u64::from((*mine & theirs).count_ones());
            *mine |= theirs;
        }
        self.doubled += other.doubled;
        self.altered += other.altered;
        self.foreign += other.foreign;
    }

    pub(super) fn verdict(&self, sent: u64) -> Verdict {
        Verdict {
            sent,
            found: self
                .seen
                .iter()
                .map(|word| u64::from(word.count_ones()))
                .sum(),
            doubled: self.doubled,
            altered: self.altered,
            foreign: self.foreign,
        }
    }
}

impl Verdict {
    pub(super) fn is_good(&self) -> bool {
        self.found == self.sent && self.doubled == 0 && self.altered == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(run: u64, number: u64) -> Vec<u8> {
        let mut value = vec![0; 100];
        Mark {
            run,
            number,
            due_ns: 0,
        }
        .fill(&mut value);
        value
    }

    #[test]
    fn each_once_and_unchanged_is_good() {
        let mut tally = Tally::of(1);
        for number in (0..100).rev() {
            tally.add(Some(&value(1, number)));
        }
        assert!(tally.verdict(100).is_good());
        assert!(!tally.verdict(101).is_good());
    }

    #[test]
    fn what_is_wrong_is_counted() {
        let mut tally = Tally::of(1);
        let mut altered = value(1, 2);
        altered[60] ^= 1;
        for value in [
            &value(1, 0),
            &value(1, 0),
            &value(1, 1),
            &altered,
            &value(2, 3),
        ] {
            tally.add(Some(value));
        }
        tally.add(None);
        tally.add(Some(b"short"));
        let verdict = tally.verdict(3);
        assert_eq!((verdict.found, verdict.doubled), (2, 1));
        assert_eq!((verdict.altered, verdict.foreign), (1, 3));
        assert!(!verdict.is_good());
    }

    #[test]
    fn a_record_that_two_readers_saw_is_doubled() {
        let mut one = Tally::of(1);
        one.add(Some(&value(1, 0)));
        let mut other = Tally::of(1);
        other.add(Some(&value(1, 0)));
        other.add(Some(&value(1, 200)));
        one.merge(&other);
        assert_eq!(one.verdict(2).found, 2);
        assert_eq!(one.verdict(2).doubled, 1);
    }
}
