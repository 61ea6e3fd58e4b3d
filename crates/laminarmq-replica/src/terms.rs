//! Which term each entry of the log has, as runs: a group changes its leader rarely.
//!
//! `runs` is never empty; both columns rise strictly; the first run starts one before the log's
//! start, so that the term just before the log is known as well.

use crate::{LogIndex, Term};

/// The terms of all entries of a log, and of the one before the first.
#[derive(Clone, Debug)]
pub(crate) struct TermRuns {
    /// (first index of the run, its term)
    runs: Vec<(LogIndex, Term)>,
    /// One past the last entry.
    end: LogIndex,
}

impl TermRuns {
    /// A log without entries that starts behind `before`.
    pub(crate) fn empty(before: LogIndex, term: Term) -> Self {
        Self {
            runs: vec![(before, term)],
            end: LogIndex(before.get() + 1),
        }
    }

    /// The term of the entry at `index`; `None` outside the log.
    pub(crate) fn get(&self, index: LogIndex) -> Option<Term> {
        if index >= self.end {
            return None;
        }
        let run = self.runs.partition_point(|&(first, _)| first <= index);
        Some(self.runs[run.checked_sub(1)?].1)
    }

    /// The term of the last entry, or of the one before the log.
    pub(crate) fn last(&self) -> Term {
        self.runs.last().expect("never empty").1
    }

    /// One past the last entry.
    pub(crate) fn end(&self) -> LogIndex {
        self.end
    }

    /// The last term up to this one, if there is one, and where the next one starts, if there is a next one.
    pub(crate) fn up_to(&self, term: Term) -> (Option<Term>, Option<LogIndex>) {
        let run = self.runs.partition_point(|&(_, of_run)| of_run <= term);
        let found = run.checked_sub(1).map(|run| self.runs[run].1);
        (found, self.runs.get(run).map(|&(first, _)| first))
    }

    /// Adds the next entry. False if its term is below the last one: no leader makes that.
    #[must_use]
    pub(crate) fn push(&mut self, term: Term) -> bool {
        self.push_many(term, 1)
    }

    /// Adds this many entries of one term. False, as in [`Self::push`], adds none.
    #[must_use]
    pub(crate) fn push_many(&mut self, term: Term, count: u64) -> bool {
        if term < self.last() {
            return false;
        }
        if term > self.last() {
            self.runs.push((self.end, term));
        }
        self.end.0 += count;
        true
    }

    /// Drops the entries before `first`; the term just before it stays known.
    pub(crate) fn trim(&mut self, first: LogIndex) {
        let before = LogIndex(first.get() - 1);
        let term = self.get(before).expect("a trim inside the log");
        self.runs.retain(|&(run, _)| run > before);
        self.runs.insert(0, (before, term));
    }

    /// Drops every entry from `from` on.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        assert!(
            self.runs[0].0 < from && from <= self.end,
            "a cut inside the log"
        );
        self.runs.retain(|&(first, _)| first < from);
        self.end = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(terms: &[u32]) -> TermRuns {
        let mut runs = TermRuns::empty(LogIndex(9), Term(2));
        for &term in terms {
            assert!(runs.push(Term(term)));
        }
        runs
    }

    fn all(runs: &TermRuns) -> Vec<Option<u32>> {
        (8..runs.end().get() + 1)
            .map(|i| runs.get(LogIndex(i)).map(Term::get))
            .collect()
    }

    #[test]
    fn every_entry_and_the_one_before_the_log_have_a_term() {
        let runs = runs(&[2, 2, 5, 5, 6]);
        let want = [
            None,
            Some(2),
            Some(2),
            Some(2),
            Some(5),
            Some(5),
            Some(6),
            None,
        ];
        assert_eq!(all(&runs), want);
        assert_eq!(runs.last(), Term(6));
    }

    #[test]
    fn a_term_ends_where_the_next_one_starts() {
        let runs = runs(&[2, 5, 5, 8]);
        let all: Vec<_> = (1..10).map(|term| runs.up_to(Term(term))).collect();
        let at = |term, next: Option<u64>| (Some(Term(term)), next.map(LogIndex));
        let want = [
            (None, Some(LogIndex(9))),
            at(2, Some(11)),
            at(2, Some(11)),
            at(2, Some(11)),
            at(5, Some(13)),
            at(5, Some(13)),
            at(5, Some(13)),
            at(8, None),
            at(8, None),
        ];
        assert_eq!(all, want);
    }

    #[test]
    fn a_term_never_falls() {
        let mut runs = runs(&[2, 5]);
        assert!(!runs.push(Term(4)));
        assert_eq!(runs.end(), LogIndex(12));
    }

    #[test]
    fn trimming_keeps_the_term_before_the_start() {
        for first in 10..=15 {
            let terms = [2, 2, 5, 5, 6];
            let mut trimmed = runs(&terms);
            trimmed.trim(LogIndex(first));
            let whole = runs(&terms);
            for index in first - 1..16 {
                let index = LogIndex(index);
                assert_eq!(trimmed.get(index), whole.get(index), "{index} of {first}..");
            }
            assert_eq!(trimmed.get(LogIndex(first - 2)), None);
            assert_eq!(trimmed.last(), whole.last());
            assert!(trimmed.push(Term(6)));
        }
    }

    #[test]
    fn truncation_forgets_whole_and_part_runs() {
        for cut in 10..=15 {
            let terms = [2, 2, 5, 5, 6];
            let mut cut_runs = runs(&terms);
            cut_runs.truncate(LogIndex(cut));
            let kept = usize::try_from(cut - 10).unwrap();
            assert_eq!(all(&cut_runs), all(&runs(&terms[..kept])), "cut at {cut}");
            assert_eq!(cut_runs.last(), runs(&terms[..kept]).last());
        }
    }
}
