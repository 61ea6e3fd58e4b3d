//! What must hold, checked on plain values: what clients saw, what disks hold, what each node says
//! of itself. A checker returns the broken promise in words.

mod linear;
mod sequences;

use std::collections::BTreeMap;

pub(crate) use linear::linearizable;
pub(crate) use sequences::sequences;

use crate::history::{Answer, History, Read};

/// A broken promise.
pub(crate) type Broken = String;

/// An entry of a log, as far as it can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) term: u32,
    /// Of kind, flags, key and bytes.
    pub(crate) hash: u64,
}

/// One leader per term.
#[derive(Default)]
pub(crate) struct Leaders(BTreeMap<u32, u64>);

impl Leaders {
    pub(crate) fn leads(&mut self, node: u64, term: u32) -> Result<(), Broken> {
        match *self.0.entry(term).or_insert(node) {
            first if first == node => Ok(()),
            first => Err(format!("nodes {first} and {node} both lead term {term}")),
        }
    }
}

/// Committed entries are the same everywhere, for good. Index 1 is the first.
#[derive(Default)]
pub(crate) struct Committed(Vec<Plain>);

impl Committed {
    /// True if nobody had committed the entry before.
    pub(crate) fn commits(&mut self, node: u64, index: u64, entry: Plain) -> Result<bool, Broken> {
        let at = usize::try_from(index - 1).expect("a small log");
        match self.0.get(at) {
            None if at == self.0.len() => {
                self.0.push(entry);
                return Ok(true);
            }
            None => return Err(format!("node {node} skipped to entry {index}")),
            Some(first) if *first != entry => {
                return Err(format!(
                    "node {node} committed {entry:?} at {index}, another one had {first:?}"
                ));
            }
            Some(_) => {}
        }
        Ok(false)
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

/// A node's high watermark never falls while it is up.
#[derive(Default)]
pub(crate) struct Watermarks(BTreeMap<u64, (u64, u64)>);

impl Watermarks {
    pub(crate) fn stands(
        &mut self,
        node: u64,
        lifetime: u64,
        watermark: u64,
    ) -> Result<(), Broken> {
        let last = self.0.insert(node, (lifetime, watermark));
        match last {
            Some((same, before)) if same == lifetime && watermark < before => Err(format!(
                "node {node}'s high watermark fell from {before} to {watermark}"
            )),
            _ => Ok(()),
        }
    }
}

/// A log: whose, its first index, its entries.
pub(crate) type LogOf<'a> = (u64, u64, &'a [Plain]);

/// If two logs have an entry of the same index and term, they are the same up to there, as far as both
/// reach back.
pub(crate) fn log_matching(a: LogOf<'_>, b: LogOf<'_>) -> Result<(), Broken> {
    let (node_a, start_a, log_a) = a;
    let (node_b, start_b, log_b) = b;
    let start = start_a.max(start_b);
    let from = |log: &'_ [Plain], of: u64| {
        log.len()
            .min(usize::try_from(start - of).expect("a small log"))
    };
    let (log_a, log_b) = (
        &log_a[from(log_a, start_a)..],
        &log_b[from(log_b, start_b)..],
    );
    let Some(last) = log_a.iter().zip(log_b).rposition(|(a, b)| a.term == b.term) else {
        return Ok(());
    };
    match (0..=last).find(|&at| log_a[at] != log_b[at]) {
        None => Ok(()),
        Some(at) => Err(format!(
            "the logs of {node_a} and {node_b} agree on the term of entry {} and differ at {}",
            last as u64 + start,
            at as u64 + start
        )),
    }
}

/// What a node has of the partition is a part of what was committed: `records` from `from` on, without a
/// gap.
pub(crate) fn part(
    node: u64,
    from: u64,
    records: &[Read],
    committed: &[Read],
) -> Result<(), Broken> {
    for (want, record) in (from..).zip(records) {
        if record.offset != want {
            return Err(format!(
                "node {node} has offset {} where {want} belongs",
                record.offset
            ));
        }
        let at = usize::try_from(want).expect("a small partition");
        if let Some(first) = committed.get(at)
            && first.value != record.value
        {
            return Err(format!(
                "node {node} has {:?} at offset {want}, where {:?} was committed",
                record.value, first.value
            ));
        }
    }
    Ok(())
}

/// Who leads, and knows what is committed, knows all that was promised: every acknowledged record lies
/// below its high watermark, and what was deleted stays deleted.
pub(crate) fn promised(history: &History, start: u64, watermark: u64) -> Result<(), Broken> {
    for request in &history.requests {
        if let Answer::Acknowledged { base_offset, .. } = request.answer
            && base_offset + request.values.len() as u64 > watermark
        {
            return Err(format!(
                "{:?} was acknowledged at {base_offset} and is gone: the high watermark is {watermark}",
                request.values[0]
            ));
        }
    }
    let deleted = history.deleted();
    if start < deleted {
        return Err(format!(
            "records before {deleted} were deleted, and the start is {start}"
        ));
    }
    Ok(())
}

/// What a check of the partition counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) records: u64,
    pub(crate) unacknowledged: u64,
}

/// Holds the partition's records, offset by offset from 0, against what the clients saw.
///
/// - offsets are dense
/// - everything acknowledged is there, where it was acknowledged
/// - nothing is there that nobody sent, or that was refused, or twice
/// - what was acknowledged before another request was sent stands before it, and requests on one
///   connection keep their order
/// - what a consumer read is what is there
pub(crate) fn partition(history: &History, records: &[Read]) -> Result<Found, Broken> {
    if let Some((want, got)) = (0..)
        .zip(records)
        .find(|(want, record)| record.offset != *want)
    {
        return Err(format!("offset {} where {want} belongs", got.offset));
    }
    let mut sent = BTreeMap::new();
    for (number, request) in history.requests.iter().enumerate() {
        for (place, value) in request.values.iter().enumerate() {
            sent.insert(value.as_str(), (number, place));
        }
    }
    let mut found = BTreeMap::new();
    for record in records {
        let Some(&(number, place)) = sent.get(record.value.as_str()) else {
            return Err(format!(
                "nobody sent {:?}, which is at offset {}",
                record.value, record.offset
            ));
        };
        if history.requests[number].answer == Answer::Refused {
            return Err(format!(
                "{:?} was refused, and is at offset {}",
                record.value, record.offset
            ));
        }
        if let Some(first) = found.insert((number, place), record.offset) {
            return Err(format!(
                "{:?} is at offsets {first} and {}",
                record.value, record.offset
            ));
        }
    }
    for (number, request) in history.requests.iter().enumerate() {
        let Answer::Acknowledged { base_offset, .. } = request.answer else {
            continue;
        };
        for (place, value) in request.values.iter().enumerate() {
            let want = base_offset + place as u64;
            match found.get(&(number, place)) {
                Some(&at) if at == want => {}
                Some(at) => {
                    return Err(format!(
                        "{value:?} was acknowledged at {want} and is at {at}"
                    ));
                }
                None => return Err(format!("{value:?} was acknowledged at {want} and is gone")),
            }
        }
    }
    order(history)?;
    for read in &history.reads {
        let at = usize::try_from(read.offset).expect("a small partition");
        if records
            .get(at)
            .is_none_or(|record| record.value != read.value)
        {
            let is = records.get(at).map(|record| &record.value);
            return Err(format!(
                "a consumer read {:?} at offset {} of node {}, where {is:?} is",
                read.value, read.offset, read.node
            ));
        }
    }
    let acknowledged =
        |request: &&crate::history::Request| matches!(request.answer, Answer::Acknowledged { .. });
    let promised: u64 = history
        .requests
        .iter()
        .filter(acknowledged)
        .map(|r| r.values.len() as u64)
        .sum();
    let records = records.len() as u64;
    Ok(Found {
        records,
        unacknowledged: records - promised,
    })
}

fn order(history: &History) -> Result<(), Broken> {
    let mut by_time: Vec<_> = Vec::new();
    let mut by_connection = BTreeMap::new();
    for request in &history.requests {
        let Answer::Acknowledged {
            base_offset, at, ..
        } = request.answer
        else {
            continue;
        };
        let key = (request.client, request.connection);
        if let Some(before) = by_connection.insert(key, base_offset)
            && before > base_offset
        {
            return Err(format!(
                "client {}: offset {base_offset} came after {before}",
                request.client
            ));
        }
        by_time.push((request.sent, at, base_offset));
    }
    // Whatever was acknowledged before a request was sent stands before it.
    let mut acknowledged: Vec<_> = by_time
        .iter()
        .map(|&(_, at, offset)| (at, offset))
        .collect();
    acknowledged.sort_unstable();
    by_time.sort_unstable();
    let mut passed = acknowledged.into_iter().peekable();
    let mut highest = None;
    for (sent, _, offset) in by_time {
        while let Some((_, earlier)) = passed.next_if(|&(at, _)| at < sent) {
            highest = highest.max(Some(earlier));
        }
        if highest > Some(offset) {
            return Err(format!(
                "offset {offset} was sent after {highest:?} was acknowledged"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
