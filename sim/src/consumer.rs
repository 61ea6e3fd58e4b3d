//! Reading as clients do: bytes in, records out.

use bytes::Bytes;
use laminarmq_kafka::batch::{BatchLimits, batches};
use laminarmq_replica::{FetchQuery, Isolation, Offset, Replica};

use crate::disk::Disk;
use crate::history::Read;

/// What a node answered.
pub(crate) struct Fetched {
    pub(crate) records: Vec<Read>,
    /// The first offset, and the high watermark.
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// One fetch. Nothing where the node cannot tell yet, or has less than that.
pub(crate) fn fetch(
    node: u64,
    replica: &Replica<Disk>,
    from: u64,
    max_bytes: u64,
) -> Result<Option<Fetched>, String> {
    let query = FetchQuery {
        offset: Offset(from),
        max_bytes,
        at_least_one: true,
        isolation: Isolation::ReadCommitted,
    };
    let Ok(plan) = replica.fetch(query) else {
        return Ok(None);
    };
    let (start, end) = (plan.start_offset.get(), plan.high_watermark.get());
    let bytes = plan
        .read()
        .map_err(|error| format!("node {node} cannot read {from}: {error}"))?;
    Ok(Some(Fetched {
        records: records_of(node, Bytes::from(bytes.concat()), from)?,
        start,
        end,
    }))
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
        let more = more.map_or(Vec::new(), |fetched| fetched.records);
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
