//! Payloads of entries that the log does not have yet.
//!
//! A proposal's or an append's bytes wait here under a number while the raft crate carries the
//! number around. Numbers rise, and the entries that come back for the log have rising numbers
//! too, so whatever is passed over was superseded and is dropped. After a turn nothing is left.

use std::collections::VecDeque;

use laminarmq_kafka::batch::CheckedBatch;

use crate::{EntryKind, LogIndex, LogPoint, Offset, Payload, Term, Token};

/// What waits for its place in the log.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// A batch proposed here; its head is written when its offset is known.
    Batch(Box<CheckedBatch>),
    /// A checkpoint of the producers, made when its place is known.
    Checkpoint,
    /// Other bytes proposed here.
    Own(EntryKind, Payload),
    /// An entry as the leader sent it.
    Sent {
        kind: EntryKind,
        flags: u8,
        payload: Payload,
    },
}

impl Waiting {
    fn bytes(&self) -> u64 {
        match self {
            Self::Batch(batch) => batch.size() as u64,
            Self::Checkpoint => 0,
            Self::Own(_, payload) | Self::Sent { payload, .. } => payload.len() as u64,
        }
    }
}

/// One waiting payload and where it is going to stand.
#[derive(Debug)]
pub(crate) struct Queued {
    number: u64,
    pub(crate) at: LogPoint,
    /// The offset after it, if it ends up at `at`.
    pub(crate) next_offset: Offset,
    pub(crate) token: Option<Token>,
    pub(crate) waiting: Waiting,
}

/// The queue of one replica.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    queued: VecDeque<Queued>,
    next_number: u64,
    bytes: u64,
}

impl Queue {
    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    /// The number that the next payload gets.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Adds a payload; returns its number.
    pub(crate) fn push(
        &mut self,
        at: LogPoint,
        next_offset: Offset,
        token: Option<Token>,
        waiting: Waiting,
    ) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.bytes += waiting.bytes();
        self.queued.push_back(Queued {
            number,
            at,
            next_offset,
            token,
            waiting,
        });
        number
    }

    /// The offset after the entry at that point, if it waits here.
    pub(crate) fn offset_after(&self, index: LogIndex, term: Term) -> Option<Offset> {
        let at = LogPoint { index, term };
        self.queued
            .iter()
            .rev()
            .find(|queued| queued.at == at)
            .map(|queued| queued.next_offset)
    }

    /// The offset after everything that waits.
    pub(crate) fn last_offset(&self) -> Option<Offset> {
        self.queued.back().map(|queued| queued.next_offset)
    }

    /// Takes the payload with this number; what stood before it goes to `superseded`.
    pub(crate) fn take(&mut self, number: u64, superseded: &mut Vec<Token>) -> Option<Queued> {
        while let Some(queued) = self.queued.pop_front() {
            self.bytes -= queued.waiting.bytes();
            if queued.number == number {
                return Some(queued);
            }
            superseded.extend(queued.token);
        }
        None
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self, superseded: &mut Vec<Token>) {
        superseded.extend(self.queued.drain(..).filter_map(|queued| queued.token));
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn push(queue: &mut Queue, index: u64, token: u64) -> u64 {
        let at = LogPoint {
            index: LogIndex(index),
            term: Term(1),
        };
        let waiting = Waiting::Own(
            EntryKind::Command,
            Payload::whole(Bytes::from_static(b"abc")),
        );
        queue.push(at, Offset(index * 10), Some(Token(token)), waiting)
    }

    #[test]
    fn what_is_passed_over_is_superseded() {
        let mut queue = Queue::default();
        let numbers: Vec<_> = (0..5).map(|i| push(&mut queue, i, i)).collect();
        assert_eq!(queue.bytes(), 15);
        let mut superseded = Vec::new();
        let taken = queue.take(numbers[2], &mut superseded).expect("waits");
        assert_eq!(taken.token, Some(Token(2)));
        assert_eq!(superseded, [Token(0), Token(1)]);
        assert_eq!(queue.bytes(), 6);
        queue.clear(&mut superseded);
        assert_eq!(superseded, [0, 1, 3, 4].map(Token));
        assert_eq!((queue.bytes(), queue.is_empty()), (0, true));
        assert!(queue.take(numbers[3], &mut superseded).is_none());
    }

    #[test]
    fn the_newest_entry_at_a_place_counts() {
        let mut queue = Queue::default();
        push(&mut queue, 7, 0);
        let at = LogPoint {
            index: LogIndex(7),
            term: Term(2),
        };
        let waiting = Waiting::Own(EntryKind::Command, Payload::default());
        queue.push(at, Offset(99), None, waiting);
        assert_eq!(queue.offset_after(LogIndex(7), Term(2)), Some(Offset(99)));
        assert_eq!(queue.offset_after(LogIndex(7), Term(1)), Some(Offset(70)));
        assert_eq!(queue.offset_after(LogIndex(7), Term(3)), None);
        assert_eq!(queue.last_offset(), Some(Offset(99)));
    }
}
