//! Clients: producers that wait for `acks=all`, several requests in flight on one connection, and
//! consumers. They know nothing but addresses and answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use laminarmq_kafka::batch::{
    BatchBuilder, BatchLimits, CheckedBatch, Compression, NewRecord, batches, validate,
};
use laminarmq_replica::{
    DropReason, FetchQuery, Isolation, Offset, ProposeError, Proposed, Replica, Token,
};

use crate::clock::Time;
use crate::disk::Disk;
use crate::history::{Answer, History, Read, Request};
use crate::random::Random;
use crate::report::Counts;

/// Requests that a producer sends at once, at most.
const BURST_MAX: u64 = 4;

pub(crate) struct Workload {
    random: Random,
    nodes: Vec<u64>,
    producers: Vec<Producer>,
    consumers: Vec<u64>,
    /// One past the last acknowledged offset, by connection.
    acknowledged: BTreeMap<(u64, u64), u64>,
    /// Requests on their way: by token, which is the request's number.
    waiting: BTreeMap<u64, u64>,
    pub(crate) history: History,
}

struct Producer {
    /// Who it thinks leads.
    leader: u64,
    in_flight: u64,
}

/// What a producer should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait for answers to requests up to this one.
    Wait(u64),
    /// Ask again later.
    Again,
}

impl Workload {
    pub(crate) fn new(
        mut random: Random,
        nodes: &[u64],
        producers: usize,
        consumers: usize,
    ) -> Self {
        let mut producer = || Producer {
            leader: random.pick(nodes),
            in_flight: 0,
        };
        Self {
            producers: (0..producers).map(|_| producer()).collect(),
            consumers: vec![0; consumers],
            random,
            nodes: nodes.to_vec(),
            acknowledged: BTreeMap::new(),
            waiting: BTreeMap::new(),
            history: History::default(),
        }
    }

    /// The nodes that there are from now on.
    pub(crate) fn set_nodes(&mut self, nodes: Vec<u64>) {
        self.nodes = nodes;
    }

    pub(crate) fn producers(&self) -> usize {
        self.producers.len()
    }

    pub(crate) fn consumers(&self) -> usize {
        self.consumers.len()
    }

    /// Whether no request waits for an answer.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The node that a producer is going to ask.
    pub(crate) fn target(&self, producer: usize) -> u64 {
        self.producers[producer].leader
    }

    /// Nobody answers there.
    pub(crate) fn no_answer(&mut self, producer: usize) {
        self.producers[producer].leader = self.random.pick(&self.nodes);
    }

    /// Sends a few requests to the node it believes in.
    pub(crate) fn produce(
        &mut self,
        producer: usize,
        lifetime: u64,
        now: Time,
        replica: &mut Replica<Disk>,
        counts: &mut Counts,
    ) -> Next {
        let node = self.producers[producer].leader;
        let mut sent = None;
        for _ in 0..self.random.between(1, BURST_MAX) {
            let number = self.history.requests.len() as u64;
            let (batch, values) = self.batch(number);
            counts.invoked += 1;
            let taken = replica.propose_batch(batch, Token(number));
            let connection = (node, lifetime);
            let answer = if taken.is_ok() {
                Answer::None
            } else {
                Answer::Refused
            };
            self.history.requests.push(Request {
                client: producer,
                connection,
                values,
                sent: now,
                answer,
            });
            match taken {
                Ok(Proposed::Duplicate { .. }) => {
                    unreachable!("these producers have no sequence numbers")
                }
                Ok(Proposed::Queued) => {
                    self.waiting.insert(number, node);
                    self.producers[producer].in_flight += 1;
                    sent = Some(number);
                }
                Err(error) => {
                    counts.failed += 1;
                    if let ProposeError::NotLeader { leader } = error {
                        let other = self.random.pick(&self.nodes);
                        self.producers[producer].leader = leader.map_or(other, |id| id.get());
                    }
                    break;
                }
            }
        }
        sent.map_or(Next::Again, Next::Wait)
    }

    fn batch(&mut self, number: u64) -> (CheckedBatch, Vec<String>) {
        let codec = match self.random.below(20) {
            0 => Compression::Lz4,
            1 => Compression::Snappy,
            _ => Compression::None,
        };
        let mut builder = BatchBuilder::new(codec);
        let mut values = Vec::new();
        for place in 0..self.random.between(1, 4) {
            let padding = if self.random.per_mille(100) { 1500 } else { 40 };
            let padding = usize::try_from(self.random.below(padding)).expect("small");
            let value = format!("{number}.{place} {}", "~".repeat(padding));
            let record = NewRecord {
                timestamp: 1,
                value: Some(value.as_bytes()),
                ..NewRecord::default()
            };
            builder.push(&record).expect("a small record");
            values.push(value);
        }
        let batch = validate(builder.build(), &BatchLimits::default()).expect("we built it");
        (batch, values)
    }

    /// A request ended; the producer that may go on, if that was its last one in flight.
    fn end(&mut self, number: u64, answer: Answer) -> Option<usize> {
        self.waiting.remove(&number)?;
        let request = &mut self.history.requests[usize::try_from(number).expect("an index")];
        request.answer = answer;
        let producer = request.client;
        self.producers[producer].in_flight -= 1;
        (self.producers[producer].in_flight == 0).then_some(producer)
    }

    /// The answer is there. Late ones, after the producer gave up, count as never seen.
    pub(crate) fn acknowledged(
        &mut self,
        token: Token,
        base_offset: u64,
        at: Time,
        counts: &mut Counts,
    ) -> Option<usize> {
        if self.waiting.contains_key(&token.get()) {
            counts.acknowledged += 1;
            let request = &self.history.requests[usize::try_from(token.get()).expect("an index")];
            let end = base_offset + request.values.len() as u64;
            let newest = self.acknowledged.entry(request.connection).or_default();
            *newest = end.max(*newest);
        }
        self.end(token.get(), Answer::Acknowledged { base_offset, at })
    }

    pub(crate) fn dropped(
        &mut self,
        token: Token,
        reason: DropReason,
        counts: &mut Counts,
    ) -> Option<usize> {
        if !self.waiting.contains_key(&token.get()) {
            return None;
        }
        let answer = match reason {
            DropReason::NeverAppended => Answer::Refused,
            DropReason::Overwritten => Answer::None,
        };
        *if answer == Answer::Refused {
            &mut counts.failed
        } else {
            &mut counts.unknown
        } += 1;
        self.end(token.get(), answer)
    }

    /// A producer gives up on its requests up to this one.
    pub(crate) fn timeout(&mut self, producer: usize, last: u64, counts: &mut Counts) -> bool {
        let own = |number: &u64| {
            self.history.requests[usize::try_from(*number).expect("an index")].client == producer
        };
        let late: Vec<_> = self
            .waiting
            .range(..=last)
            .map(|(number, _)| *number)
            .filter(own)
            .collect();
        counts.unknown += late.len() as u64;
        let freed = late
            .into_iter()
            .filter_map(|number| self.end(number, Answer::None))
            .count();
        if freed > 0 {
            self.no_answer(producer);
        }
        freed > 0
    }

    /// A node is gone, and with it every answer it owed.
    pub(crate) fn disconnected(&mut self, node: u64, counts: &mut Counts) -> Vec<usize> {
        let gone: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, at)| **at == node)
            .map(|(number, _)| *number)
            .collect();
        counts.unknown += gone.len() as u64;
        gone.into_iter()
            .filter_map(|number| self.end(number, Answer::None))
            .collect()
    }

    /// A consumer reads on from where it was, or from somewhere before, at any node.
    pub(crate) fn consume(
        &mut self,
        consumer: usize,
        (node, lifetime): (u64, u64),
        replica: &Replica<Disk>,
        counts: &mut Counts,
    ) -> Result<(), String> {
        let from = self.consumers[consumer];
        let from = if self.random.per_mille(100) {
            self.random.below(from + 1)
        } else {
            from
        };
        let max_bytes = self.random.between(1, 4000);
        let start = replica.start_offset().get();
        if self.consumers[consumer] < start {
            // What it was to read is deleted.
            self.consumers[consumer] = start;
            return Ok(());
        }
        // Who acknowledged a record lets it be read from then on.
        let promised = self.acknowledged.get(&(node, lifetime)).copied();
        let visible = replica.high_watermark().get();
        if promised.is_some_and(|promised| promised > visible) {
            return Err(format!(
                "node {node} acknowledged records up to {promised:?} and shows {visible}"
            ));
        }
        let records = fetch(node, replica, from, max_bytes)?;
        counts.reads += records.len() as u64;
        if let Some(last) = records.last() {
            self.consumers[consumer] = last.offset + 1;
        }
        self.history
            .reads
            .extend(records.into_iter().filter(|record| record.offset >= from));
        Ok(())
    }
}

/// The records of one fetch. Nothing where the node cannot tell yet, or has less than that.
fn fetch(
    node: u64,
    replica: &Replica<Disk>,
    from: u64,
    max_bytes: u64,
) -> Result<Vec<Read>, String> {
    let query = FetchQuery {
        offset: Offset(from),
        max_bytes,
        at_least_one: true,
        isolation: Isolation::ReadCommitted,
    };
    let Ok(plan) = replica.fetch(query) else {
        return Ok(Vec::new());
    };
    let bytes = plan
        .read()
        .map_err(|error| format!("node {node} cannot read {from}: {error}"))?;
    records_of(node, Bytes::from(bytes.concat()), from)
}

/// The records of batches that stand one behind the other.
pub(crate) fn records_of(node: u64, bytes: Bytes, from: u64) -> Result<Vec<Read>, String> {
    let mut records = Vec::new();
    for batch in batches(bytes) {
        let bad = |error| format!("node {node} served a bad batch near {from}: {error}");
        let batch = batch.map_err(bad)?;
        batch.verify().map_err(bad)?;
        for record in batch.records(&BatchLimits::default()).map_err(bad)? {
            let record = record.map_err(bad)?;
            let offset =
                u64::try_from(record.offset).map_err(|_| "a negative offset".to_owned())?;
            let value = record.value.unwrap_or_default();
            let value = String::from_utf8(value.to_vec()).map_err(|_| "not text".to_owned())?;
            records.push(Read {
                node,
                offset,
                value,
            });
        }
    }
    Ok(records)
}

/// Every visible record of a node.
pub(crate) fn read_all(node: u64, replica: &Replica<Disk>) -> Result<Vec<Read>, String> {
    let (start, end) = (replica.start_offset().get(), replica.high_watermark().get());
    let mut records: Vec<Read> = Vec::new();
    let mut next = start;
    while next < end {
        let more = fetch(node, replica, next, 1 << 20)?;
        if more.is_empty() {
            return Err(format!(
                "node {node} has nothing at {next}, below its high watermark {end}"
            ));
        }
        records.extend(more.into_iter().filter(|record| record.offset >= next));
        next = records.last().map_or(next, |record| record.offset + 1);
    }
    Ok(records)
}
