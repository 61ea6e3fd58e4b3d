//! Comparing what a broker has after a power cut with what was promised before it.
//!
//! - A topic whose creation was answered is there, until somebody asks for its end; one whose end was
//!   answered is not.
//! - A partition has what its producers sent, run after run, of each run the first batches without a gap:
//!   nothing else, nothing twice, offsets dense from 0.
//! - Each acknowledged batch is at its offset, and nothing is missing below an end that a client was told.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use laminarmq_kafka::batch::Batch;

use super::content::{self, Stream};
use super::promises::{Moment, Promises, Topic};

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// What kind of promise it is.
    pub kind: Kind,
    /// What was found.
    pub what: String,
}

/// The kinds of broken promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The broker does not start, or does not go on.
    Unusable,
    /// A topic is missing that was promised to be there.
    LostTopic,
    /// A topic is there that was not to be.
    RevivedTopic,
    /// Something acknowledged, or once readable, is missing.
    LostRecords,
    /// Something is there that nobody sent, or not there, or not so.
    WrongRecords,
}

impl Broken {
    pub(crate) fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
        }
    }
}

/// What a broker has: by topic and partition, the batches from offset 0 on.
pub(crate) type Found = BTreeMap<String, BTreeMap<i32, Vec<Batch>>>;

/// The batches that were sent, made once.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    batches: HashMap<Stream, Vec<Bytes>>,
}

impl Sent {
    /// Everything that was sent before any of the promises.
    pub(crate) fn of(promises: &Promises) -> Self {
        let mut batches = HashMap::new();
        for (name, incarnations) in &promises.topics {
            for (&incarnation, topic) in incarnations {
                for (&(partition, run), &count) in &topic.sent {
                    let stream = Stream {
                        run,
                        topic: name.clone(),
                        incarnation,
                        partition,
                    };
                    let made = (0..count).map(|number| content::batch(&stream, number));
                    let made = made.collect();
                    batches.insert(stream, made);
                }
            }
        }
        Self { batches }
    }
}

/// What was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) acknowledged_records: u64,
    /// Ends that a client was told.
    pub(crate) told_ends: u64,
    pub(crate) records: u64,
    pub(crate) topics: u64,
}

/// Compares everything that the broker has with what was promised up to a moment.
pub(crate) fn judge(
    promises: &Promises,
    sent: &Sent,
    moment: Moment,
    found: &Found,
) -> Result<Compared, Broken> {
    let mut compared = Compared::default();
    let names: BTreeSet<_> = promises.topics.keys().chain(found.keys()).collect();
    for name in names {
        let passed = |at: Option<Moment>| at.is_some_and(|at| at <= moment);
        let incarnations = promises.topics.get(name).into_iter().flatten();
        let mut possible = incarnations
            .filter(|(_, topic)| topic.asked_for <= moment && !passed(topic.deleted))
            .map(|(&incarnation, topic)| Candidate {
                name,
                incarnation,
                topic,
                is_promised: passed(topic.created) && !passed(topic.doomed),
                moment,
            });
        match found.get(name) {
            Some(partitions) => {
                compared.topics += 1;
                // Which of several it is tells the content.
                let mut broken = Broken::new(
                    Kind::RevivedTopic,
                    format!("topic {name} is there, but was deleted or never asked for"),
                );
                let fits = |candidate: Candidate<'_>| match candidate.judge(sent, partitions) {
                    Ok(found) => Some(found),
                    Err(other) => {
                        broken = other;
                        None
                    }
                };
                let Some(fitting) = possible.find_map(fits) else {
                    return Err(broken);
                };
                compared.acknowledged_records += fitting.acknowledged_records;
                compared.told_ends += fitting.told_ends;
                compared.records += fitting.records;
            }
            None => {
                if let Some(missing) = possible.find(|candidate| candidate.is_promised) {
                    let incarnation = missing.incarnation;
                    return Err(Broken::new(
                        Kind::LostTopic,
                        format!("topic {name}, incarnation {incarnation}, is missing"),
                    ));
                }
            }
        }
    }
    Ok(compared)
}

/// An incarnation of a topic that may be the one that is there.
struct Candidate<'a> {
    name: &'a str,
    incarnation: u32,
    topic: &'a Topic,
    /// Otherwise it may be gone, and so may what is in it.
    is_promised: bool,
    moment: Moment,
}

impl Candidate<'_> {
    fn judge(&self, sent: &Sent, found: &BTreeMap<i32, Vec<Batch>>) -> Result<Compared, Broken> {
        let mut compared = Compared::default();
        let numbers = 0..self.topic.partitions;
        if !found.keys().copied().eq(numbers.clone()) {
            return Err(Broken::new(
                Kind::LostTopic,
                format!(
                    "topic {} has the partitions {:?}, not {numbers:?}",
                    self.name,
                    found.keys()
                ),
            ));
        }
        for (&partition, batches) in found {
            compared.records += self.match_sent(sent, partition, batches)?;
            if self.is_promised {
                compared.acknowledged_records += self.match_acks(sent, partition, batches)?;
                compared.told_ends += self.match_told_ends(partition, batches)?;
            }
        }
        Ok(compared)
    }

    fn broken(&self, kind: Kind, partition: i32, what: &str) -> Broken {
        let Self {
            name, incarnation, ..
        } = self;
        Broken::new(
            kind,
            format!("{name}/{partition}, incarnation {incarnation}: {what}"),
        )
    }

    fn stream(&self, partition: i32, run: usize) -> Stream {
        Stream {
            run,
            topic: self.name.to_owned(),
            incarnation: self.incarnation,
            partition,
        }
    }

    /// Each run's first batches, one run after the other. Returns how many records there are.
    fn match_sent(&self, sent: &Sent, partition: i32, found: &[Batch]) -> Result<u64, Broken> {
        let mut next_offset = 0;
        for batch in found {
            let header = batch.header();
            if header.base_offset != next_offset {
                let what = format!("offset {} follows {next_offset}", header.base_offset);
                return Err(self.broken(Kind::WrongRecords, partition, &what));
            }
            next_offset = header.next_offset();
        }
        let mut rest = found;
        for run in 0..=self.moment.run {
            let sent = sent.batches.get(&self.stream(partition, run));
            let same = rest
                .iter()
                .zip(sent.into_iter().flatten())
                .take_while(|(batch, sent)| content::is_same(batch.bytes(), sent))
                .count();
            rest = &rest[same..];
        }
        match rest.first() {
            None => Ok(next_offset.unsigned_abs()),
            Some(batch) => {
                let what = format!(
                    "what is at offset {} was not sent, or not after what is before it",
                    batch.header().base_offset
                );
                Err(self.broken(Kind::WrongRecords, partition, &what))
            }
        }
    }

    /// Returns how many records were acknowledged.
    fn match_acks(&self, sent: &Sent, partition: i32, found: &[Batch]) -> Result<u64, Broken> {
        let by_offset: HashMap<_, _> = found
            .iter()
            .map(|batch| (batch.header().base_offset, batch))
            .collect();
        let mut records = 0;
        let acks = self.topic.acks.get(&partition);
        for ack in acks.into_iter().flatten() {
            if ack.at > self.moment {
                continue;
            }
            let number = usize::try_from(ack.number).expect("a usize has 32 bits");
            let wanted = sent
                .batches
                .get(&ack.stream)
                .and_then(|stream| stream.get(number));
            let is_there = match (by_offset.get(&ack.base_offset), wanted) {
                (Some(found), Some(wanted)) => content::is_same(found.bytes(), wanted),
                _ => false,
            };
            if !is_there {
                let what = format!(
                    "batch {number} of run {}, acknowledged at offset {} in step {} of run {}, is not there; the end is {}",
                    ack.stream.run,
                    ack.base_offset,
                    ack.at.step,
                    ack.at.run,
                    found.last().map_or(0, |batch| batch.header().next_offset())
                );
                return Err(self.broken(Kind::LostRecords, partition, &what));
            }
            records += content::record_count(&ack.stream, ack.number);
        }
        Ok(records)
    }

    /// Returns how many there were.
    fn match_told_ends(&self, partition: i32, found: &[Batch]) -> Result<u64, Broken> {
        let end = found.last().map_or(0, |batch| batch.header().next_offset());
        let mut told = 0;
        for seen in self.topic.seen.get(&partition).into_iter().flatten() {
            if seen.at > self.moment {
                continue;
            }
            if seen.end_offset > end {
                let what = format!(
                    "it ends at {end}, and a client was told {} in step {} of run {}",
                    seen.end_offset, seen.at.step, seen.at.run
                );
                return Err(self.broken(Kind::LostRecords, partition, &what));
            }
            told += 1;
        }
        Ok(told)
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
