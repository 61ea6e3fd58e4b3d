//! What may be found when a log is opened again, kept beside the log from what was asked of it.
//!
//! ```text
//! versions   what the log was since all of it was last durable; a power cut leaves one of them or the
//!            beginning of one, since cuts that no sync followed may be undone by it
//! durable    records below this index are in every one of them, and in what is found
//! ```

use super::Rec;

/// Where a log starts, and what it holds.
pub(crate) type Version = (u64, Vec<Rec>);

#[derive(Debug, Clone)]
pub(crate) struct Expect {
    /// Index of the first record.
    pub(crate) start: u64,
    pub(crate) records: Vec<Rec>,
    versions: Vec<Version>,
    /// One past the last durable record.
    durable: u64,
    /// Where no power was cut, the log does not end below.
    least: u64,
    /// A reset was on its way to here: then nothing has to be left.
    resetting_to: Option<u64>,
}

impl Expect {
    /// Of a log that was opened or made, and is durable as it is.
    pub(crate) fn new(start: u64, records: Vec<Rec>) -> Self {
        let durable = start + records.len() as u64;
        let versions = vec![(start, records.clone())];
        Self {
            start,
            records,
            versions,
            durable,
            least: durable,
            resetting_to: None,
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.start + self.records.len() as u64
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// The records from an index on.
    pub(crate) fn from(&self, index: u64) -> &[Rec] {
        &self.records[usize::try_from(index - self.start).unwrap()..]
    }

    /// The log with more records at its end.
    pub(crate) fn with(&self, more: &[Rec]) -> Version {
        (self.start, [self.records.as_slice(), more].concat())
    }

    /// The log without records from `end` on.
    pub(crate) fn without_end(&self, end: u64) -> Version {
        let kept = usize::try_from(end - self.start).unwrap();
        (self.start, self.records[..kept].to_vec())
    }

    /// What each version is once the log starts at `start`; none where it ends below.
    pub(crate) fn versions_from(&self, start: u64) -> Vec<Version> {
        let cut = |(from, records): &Version| {
            let gone = usize::try_from(start.checked_sub(*from)?).ok()?;
            Some((start, records.get(gone..)?.to_vec()))
        };
        self.versions.iter().filter_map(cut).collect()
    }

    /// The log became this.
    pub(crate) fn becomes(&mut self, version: Version) {
        (self.start, self.records) = version.clone();
        self.versions.push(version);
        self.durable = self.durable.min(self.end());
        self.least = self.end();
    }

    /// The log starts at `start`, durably.
    pub(crate) fn starts_at(&mut self, start: u64) {
        self.versions = self.versions_from(start);
        self.records = self.from(start).to_vec();
        self.start = start;
        self.durable = self.durable.max(start);
    }

    /// Something failed on the way to these, and the log stopped: it may be any of them or what it was.
    pub(crate) fn may_be(&mut self, versions: Vec<Version>) {
        let end = |(start, records): &Version| start + records.len() as u64;
        self.least = versions.iter().map(end).fold(self.least, u64::min);
        self.durable = self.durable.min(self.least);
        self.versions.extend(versions);
    }

    /// A reset to `start` failed on its way, and the log stopped.
    pub(crate) fn may_be_reset(&mut self, start: u64) {
        self.resetting_to = Some(start);
    }

    /// The log says that it is durable up to here; `all`: that nothing waits for a sync.
    pub(crate) fn is_durable(&mut self, durable: u64, all: bool) {
        assert!(
            (self.durable..=self.end()).contains(&durable),
            "the durable index only goes down with the end"
        );
        self.durable = durable;
        if all {
            assert_eq!(durable, self.end());
            self.versions = vec![(self.start, self.records.clone())];
        }
    }

    /// What was found after the process was killed: nothing is missing.
    pub(crate) fn check_killed(&self, start: u64, found: &[Rec]) {
        self.check(start, found);
        let end = start + found.len() as u64;
        assert!(
            end >= self.least || self.is_reset(start, found),
            "it ends at {end}, below {}, and no power was cut",
            self.least
        );
    }

    fn is_reset(&self, start: u64, found: &[Rec]) -> bool {
        self.resetting_to == Some(start) && found.is_empty()
    }

    /// What was found after a power cut, or after a stopped log was opened again, is right.
    pub(crate) fn check(&self, start: u64, found: &[Rec]) {
        if self.is_reset(start, found) {
            return;
        }
        let end = start + found.len() as u64;
        assert!(
            end >= self.durable,
            "{} had been durable, and the log ends at {end}",
            self.durable
        );
        if start <= self.durable && start >= self.start {
            let kept = usize::try_from(self.durable - start).unwrap();
            let gone = usize::try_from(start - self.start).unwrap();
            assert_eq!(found[..kept], self.records[gone..gone + kept]);
        }
        let is_version = |(from, records): &Version| *from == start && records.starts_with(found);
        assert!(
            self.versions.iter().any(is_version),
            "an invented record, or one in a wrong place: {start}.. {:?}; the log was {:?}",
            keys(found),
            self.versions
                .iter()
                .map(|(start, records)| (start, keys(records)))
                .collect::<Vec<_>>()
        );
    }
}

fn keys(records: &[Rec]) -> Vec<u64> {
    records.iter().map(|record| record.key).collect()
}
