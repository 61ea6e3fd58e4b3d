//! Operations on a log, done beside a plain vector.

use laminarmq::retention::{self, Policy};
use laminarmq::{
    Append, AppendError, Log, LogEnv, LogReader, ReadPlan, RecordRef, SyncTicket, poll_ready,
};

use super::expect::{Expect, Version};
use super::{Rec, append, as_rec, check, check_searches, contents};

/// What is asked of a log. Places are given in thousandths of it.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Append {
        lengths: Vec<usize>,
        term: u32,
        key_step: u64,
        timestamp: i64,
    },
    /// One record, written piece by piece.
    Write {
        pieces: Vec<usize>,
        end: End,
    },
    Truncate {
        permille: u64,
    },
    TruncatePrefix {
        permille: u64,
    },
    Reset {
        start: u64,
    },
    Retain {
        now_ms: i64,
        max_age_ms: Option<u64>,
        max_bytes: Option<u64>,
    },
    Roll,
    Sync,
    TakeTicket,
    RunTicket,
    TakePlan {
        permille: u64,
        max_bytes: u64,
    },
    RunPlan,
    Read {
        permille: u64,
        count: u64,
        max_bytes: u64,
    },
}

/// What becomes of a record that is written piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    Aborted,
    Dropped,
}

/// An injected fault hit the operation. The log is as it was, or has stopped.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failed(String);

fn failed(error: &dyn std::error::Error) -> Failed {
    Failed(error.to_string())
}

/// A log and what it has to be.
pub(crate) struct Driver<E: LogEnv> {
    log: Option<Log<E>>,
    /// Reads beside the log.
    reader: Option<LogReader<E>>,
    pub(crate) expect: Expect,
    ticket: Option<SyncTicket<E>>,
    plan: Option<(ReadPlan<E>, Vec<Rec>)>,
    made: u64,
    last_key: u64,
}

impl<E: LogEnv> Driver<E> {
    /// With a log that was just opened, and what was found in it.
    pub(crate) fn new(log: Log<E>) -> Self {
        let mut driver = Self::absent(Expect::new(0, Vec::new()));
        driver.reopened(log);
        driver
    }

    /// Of a log that has to be opened yet.
    pub(crate) fn absent(expect: Expect) -> Self {
        Self {
            log: None,
            reader: None,
            expect,
            ticket: None,
            plan: None,
            made: 0,
            last_key: 0,
        }
    }

    pub(crate) fn log(&mut self) -> &mut Log<E> {
        self.log
            .as_mut()
            .expect("it is opened again before anything else")
    }

    /// The log goes, and what belongs to it.
    pub(crate) fn take_log(&mut self) -> Option<Log<E>> {
        (self.ticket, self.plan, self.reader) = (None, None, None);
        self.log.take()
    }

    /// The log was opened again, and holds what it may.
    pub(crate) fn reopened(&mut self, log: Log<E>) {
        let expect = Expect::new(log.start_index(), contents(&log));
        assert_eq!(
            log.durable_index(),
            expect.end(),
            "opening makes durable what it found"
        );
        self.reader = Some(log.reader());
        (self.log, self.expect) = (Some(log), expect);
    }

    fn index_at(&self, permille: u64) -> u64 {
        self.expect.start + self.expect.records.len() as u64 * permille / 1000
    }

    fn make(&mut self, lengths: &[usize], term: u32, key_step: u64, timestamp: i64) -> Vec<Rec> {
        // The keys of records that were truncated count as long as their segment is there.
        let mut key = self.last_key;
        let mut make = |length: &usize| {
            self.made += 1;
            key += key_step;
            let kind = self.made.to_le_bytes()[0] % 3;
            // Short values repeat, so that a stale record can look like a fresh one.
            let value = vec![term.to_le_bytes()[0]; *length];
            Rec {
                term,
                kind,
                flags: kind,
                key,
                timestamp,
                value,
            }
        };
        let records: Vec<Rec> = lengths.iter().map(&mut make).collect();
        self.last_key = key;
        records
    }

    /// Takes note of what the log says is durable.
    pub(crate) fn note_durable(&mut self) {
        let durable = self.log().durable_index();
        let all = durable == self.expect.end() && self.log().sync_ticket().is_none();
        self.expect.is_durable(durable, all);
    }

    /// After an error: where the log stopped, it may be on its way to any of `versions`.
    fn stopped(&mut self, error: &dyn std::error::Error, versions: Vec<Version>) -> Failed {
        if self.log().poisoned().is_some() {
            self.expect.may_be(versions);
        }
        failed(error)
    }

    /// Where the log is what it has to be.
    pub(crate) fn check_bounds(&mut self) {
        let bounds = (self.log().start_index(), self.log().end_index());
        assert_eq!(bounds, (self.expect.start, self.expect.end()));
        let durable = self.log().durable_index();
        self.check_reader(durable);
    }

    /// Who reads beside the log sees the same.
    fn check_reader(&self, durable: u64) {
        let reader = self.reader.as_ref().expect("it comes with the log");
        let (start, end) = (self.expect.start, self.expect.end());
        let seen = (
            reader.start_index(),
            reader.durable_index(),
            reader.end_index(),
        );
        assert_eq!(seen, (start, durable, end));
        // Another place each time, and the end.
        let from = start + self.made.wrapping_mul(7) % (end - start + 1);
        for from in [from, end.saturating_sub(1).max(start)] {
            let read = reader.read_range(from..end, 2000).unwrap();
            let got: Vec<_> = read.iter().map(as_rec).collect();
            let want = self.expect.from(from);
            assert_eq!(got, want[..got.len()]);
            assert_eq!(got.is_empty(), want.is_empty());
            if let Some(record) = want.first() {
                let entry = reader.entry(from).unwrap();
                assert_eq!((entry.index, entry.key), (from, record.key));
            }
        }
    }

    /// Everything that can be asked of the log.
    pub(crate) fn check_all(&mut self) {
        let (start, records) = (self.expect.start, self.expect.records.clone());
        check(self.log(), start, &records);
        check_searches(self.log(), start, &records);
        self.check_streams();
    }

    /// The records one after the other and piece by piece, by the log and beside it.
    fn check_streams(&mut self) {
        let start = self.expect.start;
        let records = self.expect.records.clone();
        let reader = self.reader.clone().expect("it comes with the log");
        let log = self.log();
        let (mut one, mut other) = (log.stream(..).unwrap(), reader.stream(..).unwrap());
        for (index, want) in (start..).zip(&records) {
            let record = poll_ready(one.next()).unwrap().unwrap();
            assert_eq!((record.index, &from_ref(&record)), (index, want));
            let record = other.next().unwrap().unwrap();
            assert_eq!((record.index, &from_ref(&record)), (index, want));
            let mut chunks = poll_ready(log.record_reader(index)).unwrap();
            assert_eq!(chunks.info().length, want.value.len() as u64);
            let mut value = Vec::new();
            while let Some(chunk) = poll_ready(chunks.next_chunk()).unwrap() {
                value.extend_from_slice(&chunk);
            }
            assert!(value == want.value, "record {index} piece by piece");
        }
        assert!(poll_ready(one.next()).unwrap().is_none());
        assert!(other.next().unwrap().is_none());
    }

    /// Does it. After an error that did not stop the log, it has to be as it was.
    pub(crate) fn apply(&mut self, op: &Op) -> Result<(), Failed> {
        match *op {
            Op::Append {
                ref lengths,
                term,
                key_step,
                timestamp,
            } => {
                let more = self.make(lengths, term, key_step, timestamp);
                self.append(&more)
            }
            Op::Write { ref pieces, end } => self.write(pieces, end),
            Op::Truncate { permille } => self.truncate(self.index_at(permille)),
            Op::TruncatePrefix { permille } => self.truncate_prefix(self.index_at(permille)),
            Op::Reset { start } => self.reset(start),
            Op::Retain {
                now_ms,
                max_age_ms,
                max_bytes,
            } => {
                let policy = Policy {
                    max_age_ms,
                    max_bytes,
                };
                self.retain(now_ms, policy)
            }
            Op::Roll => {
                let rolled = poll_ready(self.log().roll());
                rolled.map_err(|error| self.stopped(&error, Vec::new()))
            }
            Op::Sync => {
                let synced = poll_ready(self.log().sync());
                synced.map_err(|error| self.stopped(&error, Vec::new()))?;
                assert_eq!(self.log().durable_index(), self.expect.end());
                self.note_durable();
                Ok(())
            }
            Op::TakeTicket => {
                self.ticket = self.log().sync_ticket();
                Ok(())
            }
            Op::RunTicket => {
                let Some(ticket) = self.ticket.take() else {
                    return Ok(());
                };
                let completed = self.log().complete(ticket.run());
                let durable = completed.map_err(|error| self.stopped(&error, Vec::new()))?;
                assert_eq!(durable, self.log().durable_index());
                self.note_durable();
                Ok(())
            }
            Op::TakePlan {
                permille,
                max_bytes,
            } => {
                let start = self.index_at(permille);
                let plan = poll_ready(self.log().plan(start..u64::MAX, max_bytes));
                let plan = plan.map_err(|error| failed(&error))?;
                let count = plan.range().count();
                self.plan = Some((plan, self.expect.from(start)[..count].to_vec()));
                Ok(())
            }
            Op::RunPlan => {
                // A plan from before a truncation yields an error, never other records.
                if let Some((plan, want)) = self.plan.take()
                    && let Ok(records) = plan.read()
                {
                    assert_eq!(records.iter().map(as_rec).collect::<Vec<_>>(), want);
                }
                Ok(())
            }
            Op::Read {
                permille,
                count,
                max_bytes,
            } => self.read(self.index_at(permille), count, max_bytes),
        }
    }

    fn append(&mut self, more: &[Rec]) -> Result<(), Failed> {
        let next = self.expect.with(more);
        let appended = append(self.log(), more);
        let range = appended.map_err(|error| self.stopped(&error, vec![next.clone()]))?;
        let end = self.expect.end();
        assert_eq!(range, end..end + more.len() as u64);
        self.expect.becomes(next);
        self.note_durable(); // the options may say that an append syncs
        Ok(())
    }

    fn write(&mut self, pieces: &[usize], how: End) -> Result<(), Failed> {
        let length = pieces.iter().sum();
        let term = u32::try_from(length % 5).expect("it is below 5");
        let record = self.make(&[length], term, 1, 3).remove(0);
        let next = self.expect.with(std::slice::from_ref(&record));
        let written = write(self.log(), &record, pieces, how);
        let index = written.map_err(|error| self.stopped(&error, vec![next.clone()]))?;
        if how == End::Finished {
            assert_eq!(index, Some(self.expect.end()));
            self.expect.becomes(next);
            self.note_durable();
        }
        Ok(())
    }

    fn truncate(&mut self, from: u64) -> Result<(), Failed> {
        let next = self.expect.without_end(from);
        let truncated = poll_ready(self.log().truncate_suffix(from));
        truncated.map_err(|error| self.stopped(&error, vec![next.clone()]))?;
        self.expect.becomes(next);
        self.note_durable();
        Ok(())
    }

    fn truncate_prefix(&mut self, index: u64) -> Result<(), Failed> {
        let bases: Vec<u64> = self.log().segments().map(|info| info.base_index).collect();
        if let Err(error) = poll_ready(self.log().truncate_prefix(index)) {
            let between = bases
                .iter()
                .filter(|base| **base > self.expect.start && **base < index);
            let starts = between.chain([&index]);
            let versions = starts
                .flat_map(|start| self.expect.versions_from(*start))
                .collect();
            return Err(self.stopped(&error, versions));
        }
        self.expect.starts_at(index.max(self.expect.start));
        self.note_durable();
        Ok(())
    }

    fn reset(&mut self, start: u64) -> Result<(), Failed> {
        if let Err(error) = poll_ready(self.log().reset(start)) {
            if self.log().poisoned().is_some() {
                self.expect.may_be_reset(start);
            }
            return Err(failed(&error));
        }
        self.expect = Expect::new(start, Vec::new());
        self.note_durable();
        Ok(())
    }

    fn retain(&mut self, now_ms: i64, policy: Policy) -> Result<(), Failed> {
        let infos: Vec<_> = self.log().segments().collect();
        let plan = retention::plan(&infos, now_ms, &policy);
        let start = plan.start_index.max(self.expect.start);
        let gone = usize::try_from(start - self.expect.start).unwrap();
        let is_young = |record: &Rec| {
            let age = u64::try_from(now_ms.saturating_sub(record.timestamp)).unwrap_or(0);
            policy.max_age_ms.is_none_or(|max| age <= max)
        };
        if policy.max_bytes.is_none() {
            assert!(
                !self.expect.records[..gone].iter().any(is_young) || policy.max_age_ms.is_none(),
                "a young record goes"
            );
        }
        let total: u64 = infos.iter().map(|info| info.store_bytes).sum();
        if let (Some(max), None) = (policy.max_bytes, policy.max_age_ms) {
            assert!(total - plan.bytes >= max.min(total), "newer bytes go");
        }
        if policy == Policy::default() {
            assert_eq!(plan.segments, 0);
        }
        self.truncate_prefix_with(start, &plan)?;
        assert_eq!(self.log().segments().len(), infos.len() - plan.segments);
        Ok(())
    }

    fn truncate_prefix_with(&mut self, start: u64, plan: &retention::Plan) -> Result<(), Failed> {
        let bases: Vec<u64> = self.log().segments().map(|info| info.base_index).collect();
        if let Err(error) = poll_ready(self.log().retain(plan)) {
            let reached = bases.iter().filter(|base| **base <= start);
            let versions = reached
                .flat_map(|base| self.expect.versions_from(*base))
                .collect();
            return Err(self.stopped(&error, versions));
        }
        self.expect.starts_at(start);
        self.note_durable();
        Ok(())
    }

    fn read(&mut self, start: u64, count: u64, max_bytes: u64) -> Result<(), Failed> {
        let read = poll_ready(self.log().read_range(start..start + count, max_bytes));
        let read = read.map_err(|error| failed(&error))?;
        let got: Vec<_> = read.iter().map(as_rec).collect();
        let left = self.expect.from(start);
        assert_eq!(got, left[..got.len()]);
        assert!(
            read.iter()
                .zip(start..)
                .all(|(record, index)| record.index == index)
        );
        let stored: u64 = got
            .iter()
            .map(|record| record.value.len() as u64 + 56)
            .sum();
        assert!(stored <= max_bytes || got.len() == 1);
        assert!(!got.is_empty() || count == 0 || left.is_empty());
        assert!(got.len() as u64 <= count);
        Ok(())
    }
}

fn write<E: LogEnv>(
    log: &mut Log<E>,
    record: &Rec,
    pieces: &[usize],
    how: End,
) -> Result<Option<u64>, AppendError> {
    let head = Append {
        term: record.term,
        kind: record.kind,
        flags: record.flags,
        key: record.key,
        timestamp: record.timestamp,
        value: &[],
    };
    let mut writer = poll_ready(log.record_writer(head))?;
    let mut left = record.value.as_slice();
    for piece in pieces {
        let (piece, rest) = left.split_at(*piece);
        poll_ready(writer.write(piece))?;
        left = rest;
    }
    assert_eq!(writer.value_len(), record.value.len() as u64);
    match how {
        End::Finished => poll_ready(writer.finish()).map(Some),
        End::Aborted => poll_ready(writer.abort()).map(|()| None),
        End::Dropped => Ok(None),
    }
}

fn from_ref(record: &RecordRef<'_>) -> Rec {
    Rec {
        term: record.term,
        kind: record.kind,
        flags: record.flags,
        key: record.key,
        timestamp: record.timestamp,
        value: record.value.to_vec(),
    }
}
