//! What producers send, and what they make of the answer.

use laminarmq_kafka::batch::Compression;
use laminarmq_replica::{ProposeError, Proposed, Replica, Token};

use crate::clock::Time;
use crate::disk::Disk;
use crate::history::{Answer, Request, Stamp};
use crate::producer::{Batch, Leadership, build};
use crate::report::Counts;
use crate::workload::{Defects, OnItsWay, Repeated, Workload};

/// Requests that a producer sends at once, at most.
const BURST_MAX: u64 = 4;
/// Of a thousand times that a producer has something to send again, it gives up on all of it so often.
const GIVES_UP: u64 = 5;
/// Of a thousand batches so many are sent twice at once, as over two connections of which one is thought dead.
const SENT_TWICE: u64 = 20;
/// Of a thousand times that a producer waits for nothing, it repeats so often what is acknowledged.
const SENT_ONCE_MORE: u64 = 50;

/// Whether a producer may make new batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum May {
    /// New batches, behind those that have no answer.
    SendNew,
    /// Only those that have no answer.
    FinishOld,
}

/// What a producer should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait for answers to what was sent up to this token.
    Wait(u64),
    /// Ask again later.
    Again,
    /// Nothing is on its way, and nothing was refused.
    GoOn,
    /// What was sent earlier has to end first.
    Busy,
}

/// What became of one sending.
enum Sent {
    Taken(u64),
    Acknowledged,
    Refused,
}

/// Whom, and when.
#[derive(Clone, Copy)]
struct Now {
    to: Leadership,
    at: Time,
}

impl Workload {
    /// Sends a few requests to the node it believes in. An error is an answer that no client may get.
    pub(crate) fn produce(
        &mut self,
        producer: usize,
        may: May,
        lifetime: u64,
        at: Time,
        replica: &mut Replica<Disk>,
        counts: &mut Counts,
    ) -> Result<Next, String> {
        let leader = self.producers[producer].leader;
        let now = Now {
            to: (leader, lifetime, replica.leader_epoch().get()),
            at,
        };
        self.ask_about_done(producer, now, replica, counts)?;
        let again = self.batches_to_repeat(producer, counts);
        // As some clients do: what failed first goes alone.
        let alone = again.len() > 1 && self.random.per_mille(400);
        let again = again.into_iter().take(if alone { 1 } else { usize::MAX });
        let mut new = match may {
            May::SendNew if !alone => self.random.between(1, BURST_MAX),
            _ => 0,
        };
        let mut again = again.peekable();
        let mut next = Next::GoOn;
        let mut refused = false;
        while !refused {
            let (request, codec) = match again.next() {
                Some(batch) => batch,
                None if new > 0 && self.has_room(producer) => {
                    new -= 1;
                    counts.invoked += 1;
                    self.new_request(producer, at)
                }
                None => break,
            };
            match self.send(request, codec, now, replica, counts)? {
                Sent::Taken(token) => next = Next::Wait(token),
                Sent::Acknowledged => {}
                Sent::Refused => refused = true,
            }
        }
        let producer = &mut self.producers[producer];
        if let Some(sequences) = &mut producer.sequences {
            sequences.failed |= refused || alone;
        }
        Ok(match next {
            Next::Wait(token) => Next::Wait(token),
            _ if producer.in_flight > 0 => Next::Busy,
            _ if refused => Next::Again,
            _ => Next::GoOn,
        })
    }

    fn has_room(&self, producer: usize) -> bool {
        let sequences = self.producers[producer].sequences.as_ref();
        sequences.is_none_or(|it| it.has_room())
    }

    /// What an idempotent producer has to send again, unless it gives up on that.
    fn batches_to_repeat(
        &mut self,
        producer: usize,
        counts: &mut Counts,
    ) -> Vec<(u64, Compression)> {
        let producer = &mut self.producers[producer];
        let Some(sequences) = producer.sequences.as_mut() else {
            return Vec::new();
        };
        if producer.in_flight > 0 {
            return Vec::new();
        }
        sequences.failed = false;
        let line: Vec<_> = sequences.line().collect();
        if line.is_empty() || !self.random.per_mille(GIVES_UP) {
            return line;
        }
        for batch in sequences.give_up() {
            counts.given_up += 1;
            if batch.taken_by.is_none() {
                self.history.request_mut(batch.request).answer = Answer::Refused;
            }
        }
        Vec::new()
    }

    fn new_request(&mut self, producer: usize, now: Time) -> (u64, Compression) {
        let number = self.history.requests.len() as u64;
        let codec = match self.random.below(20) {
            0 => Compression::Lz4,
            1 => Compression::Snappy,
            _ => Compression::None,
        };
        let mut values = Vec::new();
        for place in 0..self.random.between(1, 4) {
            let padding = if self.random.per_mille(100) { 1500 } else { 40 };
            let padding = usize::try_from(self.random.below(padding)).expect("small");
            values.push(format!("{number}.{place} {}", "~".repeat(padding)));
        }
        let sequences = self.producers[producer].sequences.as_mut();
        let stamp = sequences.map(|it| it.enqueue(number, values.len(), codec));
        self.history.requests.push(Request {
            client: producer,
            connection: (0, 0),
            values,
            sent: now,
            answer: Answer::None,
            stamp,
        });
        (number, codec)
    }

    fn send(
        &mut self,
        request: u64,
        codec: Compression,
        now: Now,
        replica: &mut Replica<Disk>,
        counts: &mut Counts,
    ) -> Result<Sent, String> {
        let token = self.next_token();
        let defects = self.defects;
        let known = self.history.request_mut(request);
        known.connection = (now.to.0, now.to.1);
        let client = known.client;
        let stamp = known.stamp.map(|it| defects.seen(it, now.to));
        let batch = build(&known.values, codec, stamp);
        let proposed = replica.propose_batch(batch.clone(), Token(token));
        let producer = &mut self.producers[client];
        let sequences = producer.sequences.as_mut();
        let before = sequences.and_then(|it| it.send(request, now.to, proposed.is_ok()));
        if let Some(Batch { times_sent, .. }) = before {
            counts.sent_again += u64::from(times_sent > 0);
        }
        match proposed {
            Ok(Proposed::Queued) => {
                producer.in_flight += 1;
                let to = now.to;
                self.waiting.insert(token, OnItsWay { request, to });
                if stamp.is_some() && self.random.per_mille(SENT_TWICE) {
                    let second = Token(self.next_token());
                    let second = replica.propose_batch(batch, second);
                    if second == Ok(Proposed::Queued) {
                        return Err(format!(
                            "node {} took {stamp:?} twice in one turn",
                            now.to.0
                        ));
                    }
                    counts.unsettled += u64::from(second == Err(ProposeError::Unsettled));
                }
                Ok(Sent::Taken(token))
            }
            Ok(Proposed::Duplicate {
                index, base_offset, ..
            }) => {
                let first = before.and_then(|batch| batch.taken_by);
                counts.duplicates += 1;
                counts.duplicates_elsewhere += u64::from(first.is_some_and(|it| it != now.to));
                let base_offset = base_offset.get();
                if first.is_none() {
                    return Err(format!(
                        "node {} knows {stamp:?} at {base_offset}, which nobody took before",
                        now.to.0
                    ));
                }
                if replica.is_visible(index) {
                    self.take_acknowledgement(request, now.to, base_offset, now.at, counts);
                    return Ok(Sent::Acknowledged);
                }
                counts.duplicates_awaited += 1;
                self.producers[client].in_flight += 1;
                let to = now.to;
                self.waiting.insert(token, OnItsWay { request, to });
                self.repeated.push(Repeated {
                    token,
                    by: now.to,
                    index,
                    base_offset,
                });
                Ok(Sent::Taken(token))
            }
            Err(error) => {
                counts.failed += 1;
                self.refused(request, now, &error)?;
                Ok(Sent::Refused)
            }
        }
    }

    /// A node took nothing.
    fn refused(&mut self, request: u64, now: Now, error: &ProposeError) -> Result<(), String> {
        let known = self.history.request_mut(request);
        let producer = &mut self.producers[known.client];
        match error {
            ProposeError::NotLeader { leader } => {
                let other = self.random.pick(&self.nodes);
                producer.leader = leader.map_or(other, |id| id.get());
            }
            // It sends only what follows on what was acknowledged, or taken there. But it may have asked a
            // leader that does not know of its successor, and of what that one acknowledged.
            ProposeError::SequenceGap { .. }
                if producer
                    .sequences
                    .as_ref()
                    .is_some_and(|it| it.newest_term > now.to.2) =>
            {
                producer.leader = self.random.pick(&self.nodes);
            }
            ProposeError::SequenceGap { .. } | ProposeError::OldProducerEpoch { .. } => {
                return Err(format!(
                    "node {} of term {} refused {:?}, which is next: {error}",
                    now.to.0, now.to.2, known.stamp
                ));
            }
            _ => {}
        }
        if known.stamp.is_none() {
            known.answer = Answer::Refused;
        }
        Ok(())
    }

    /// Now and then an idempotent producer that waits for nothing sends a batch again that was acknowledged.
    /// Who knows all of the partition recognises it; nobody says anything else of it.
    fn ask_about_done(
        &mut self,
        producer: usize,
        now: Now,
        replica: &mut Replica<Disk>,
        counts: &mut Counts,
    ) -> Result<(), String> {
        let it = &self.producers[producer];
        let Some(sequences) = it.sequences.as_ref().filter(|_| it.in_flight == 0) else {
            return Ok(());
        };
        let is_done = sequences.line().next().is_none();
        if !is_done || sequences.done.is_empty() || !self.random.per_mille(SENT_ONCE_MORE) {
            return Ok(());
        }
        let done: Vec<_> = sequences.done.iter().copied().collect();
        let newest_term = sequences.newest_term;
        let batch = self.random.pick(&done);
        let token = self.next_token();
        let known = self.history.request(batch.request);
        let Answer::Acknowledged { base_offset, .. } = known.answer else {
            return Ok(());
        };
        let stamp = known.stamp.map(|it| self.defects.seen(it, now.to));
        let bytes = build(&known.values, batch.codec, stamp);
        let broken = match replica.propose_batch(bytes, Token(token)) {
            Ok(Proposed::Duplicate {
                base_offset: at, ..
            }) => {
                counts.sent_again += 1;
                counts.duplicates += 1;
                counts.duplicates_elsewhere += u64::from(batch.taken_by != Some(now.to));
                at.get() != base_offset
            }
            // Of a leader that does not know of its successor; it will not be committed.
            Ok(Proposed::Queued) => newest_term <= now.to.2,
            Err(ProposeError::OldProducerEpoch { .. }) => true,
            Err(_) => false,
        };
        if broken {
            return Err(format!(
                "node {} does not know {stamp:?} any more, acknowledged at {base_offset}",
                now.to.0
            ));
        }
        Ok(())
    }

    fn next_token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token - 1
    }
}

impl Defects {
    /// What a leader makes of a stamp: one that forgot the producer sees somebody new.
    fn seen(self, stamp: Stamp, (node, lifetime, term): Leadership) -> Stamp {
        if !self.forgets_producers {
            return stamp;
        }
        let names = [node, lifetime, term.into()];
        let id = names.iter().fold(0, |id, name| id * 10_000 + name);
        let id = i64::try_from(id).expect("small numbers");
        Stamp {
            id: id * 10 + stamp.id,
            ..stamp
        }
    }
}
