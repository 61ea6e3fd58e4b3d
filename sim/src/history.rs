//! What the clients saw, in plain values. Nothing here comes from inside a replica.

use crate::clock::Time;
use crate::producer::Leadership;

/// How a produce request ended, as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Not yet, or never: it may or may not be in the partition.
    None,
    /// In the partition, from this offset on.
    Acknowledged {
        base_offset: u64,
        at: Time,
        by: Leadership,
    },
    /// Certainly not in the partition.
    Refused,
}

/// What an idempotent producer calls a batch: its id, the id's epoch, the number of the first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
}

/// One produce request, however often it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) client: usize,
    /// The connection it went over last: requests on one keep their order.
    pub(crate) connection: (u64, u64),
    pub(crate) values: Vec<String>,
    /// When it was sent first.
    pub(crate) sent: Time,
    pub(crate) answer: Answer,
    /// Of an idempotent producer.
    pub(crate) stamp: Option<Stamp>,
}

/// One record that a consumer got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) node: u64,
    pub(crate) offset: u64,
    pub(crate) value: String,
}

/// What a node told a consumer besides the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) at: Time,
    pub(crate) by: Leadership,
    /// Whether it answered as the leader of that term.
    pub(crate) leads: bool,
    /// The first record that there is.
    pub(crate) start: u64,
    /// The high watermark: one past the last record that there is to read.
    pub(crate) end: u64,
}

/// It was acknowledged that records before an offset are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deletion {
    pub(crate) at: Time,
    pub(crate) by: Leadership,
    pub(crate) before: u64,
}

/// Everything the clients of a run saw.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// By request number.
    pub(crate) requests: Vec<Request>,
    pub(crate) reads: Vec<Read>,
    /// By time.
    pub(crate) seen: Vec<Seen>,
    /// Somebody asked to delete records before this offset, and none after it.
    pub(crate) to_delete: u64,
    pub(crate) deletions: Vec<Deletion>,
}

impl History {
    /// It was acknowledged that records before this one are deleted.
    pub(crate) fn deleted(&self) -> u64 {
        let offsets = self.deletions.iter().map(|it| it.before);
        offsets.max().unwrap_or(0)
    }

    pub(crate) fn request(&self, number: u64) -> &Request {
        &self.requests[usize::try_from(number).expect("an index")]
    }

    pub(crate) fn request_mut(&mut self, number: u64) -> &mut Request {
        &mut self.requests[usize::try_from(number).expect("an index")]
    }
}
