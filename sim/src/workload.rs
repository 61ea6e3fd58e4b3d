//! Clients: producers that wait for `acks=all`, several requests in flight on one connection, and
//! consumers. They know nothing but addresses and answers. Most producers are idempotent.

use std::collections::BTreeMap;

use laminarmq_replica::{DropReason, LogIndex, Replica, Token};

use crate::clock::Time;
use crate::consumer::{Fetched, fetch};
use crate::disk::Disk;
use crate::history::{Answer, History, Seen};
use crate::producer::{Leadership, Producer};
use crate::random::Random;
use crate::report::Counts;
use crate::sending::May;

pub(crate) struct Workload {
    pub(crate) random: Random,
    pub(crate) nodes: Vec<u64>,
    pub(crate) producers: Vec<Producer>,
    consumers: Vec<u64>,
    /// One past the last acknowledged offset, by connection.
    acknowledged: BTreeMap<(u64, u64), u64>,
    /// The last term that a node was seen to lead, by connection.
    led: BTreeMap<(u64, u64), u32>,
    /// Requests on their way, by token.
    pub(crate) waiting: BTreeMap<u64, OnItsWay>,
    /// Of those, the ones that a leader has in its log from before, not committed.
    pub(crate) repeated: Vec<Repeated>,
    pub(crate) next_token: u64,
    pub(crate) defects: Defects,
    pub(crate) history: History,
}

/// A request that waits for its answer.
pub(crate) struct OnItsWay {
    pub(crate) request: u64,
    pub(crate) to: Leadership,
}

/// A request that waits until an entry is committed where it was found.
pub(crate) struct Repeated {
    pub(crate) token: u64,
    pub(crate) by: Leadership,
    pub(crate) index: LogIndex,
    pub(crate) base_offset: u64,
}

/// Defects of the servers that clients would see; for canaries.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Defects {
    /// A leader knows only the producers' batches that it took itself.
    pub(crate) forgets_producers: bool,
    /// Who waits for a batch that was found in the log is answered by its index alone, whoever leads.
    pub(crate) answers_late: bool,
    /// Who led once answers reads as if it still did.
    pub(crate) reads_on: bool,
    /// A new leader tells its high watermark before it knows what is committed.
    pub(crate) tells_early: bool,
}

impl Workload {
    pub(crate) fn new(
        mut random: Random,
        nodes: &[u64],
        producers: usize,
        consumers: usize,
        defects: Defects,
    ) -> Self {
        let mut producer = |number: usize| {
            let leader = random.pick(nodes);
            match i64::try_from(number).expect("a few") {
                0 => Producer::plain(leader),
                1 => Producer::idempotent(leader, 1, 0),
                // Sequences begin anew at 0 some batches later.
                id => {
                    let left = i32::try_from(random.below(100)).expect("small");
                    Producer::idempotent(leader, id, i32::MAX - left)
                }
            }
        };
        Self {
            producers: (0..producers).map(&mut producer).collect(),
            consumers: vec![0; consumers],
            random,
            nodes: nodes.to_vec(),
            acknowledged: BTreeMap::new(),
            led: BTreeMap::new(),
            waiting: BTreeMap::new(),
            repeated: Vec::new(),
            next_token: 0,
            defects,
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

    /// Whether no request waits for an answer, and none is to be sent again.
    pub(crate) fn is_idle(&self) -> bool {
        let has_old = |producer: &Producer| producer.wants_to_send(false);
        self.waiting.is_empty() && !self.producers.iter().any(has_old)
    }

    /// The node that a producer is going to ask, if it has something to send.
    pub(crate) fn target(&self, producer: usize, may: May) -> Option<u64> {
        let producer = &self.producers[producer];
        producer
            .wants_to_send(may == May::SendNew)
            .then_some(producer.leader)
    }

    /// Whether a producer may send more before it has its answers.
    pub(crate) fn may_pipeline(&self, producer: usize) -> bool {
        let producer = &self.producers[producer];
        producer.sequences.is_some() && producer.wants_to_send(true)
    }

    /// Nobody answers there.
    pub(crate) fn no_answer(&mut self, producer: usize) {
        self.producers[producer].leader = self.random.pick(&self.nodes);
    }

    /// A sending ended without an acknowledgement; the producer that may go on, if that was its last one in
    /// flight.
    fn ended(&mut self, token: u64) -> Option<usize> {
        let OnItsWay { request, .. } = self.waiting.remove(&token)?;
        let client = self.history.request(request).client;
        let producer = &mut self.producers[client];
        if let Some(sequences) = &mut producer.sequences {
            sequences.failed = true;
        }
        producer.in_flight -= 1;
        (producer.in_flight == 0).then_some(client)
    }

    /// A request is acknowledged at these offsets.
    pub(crate) fn take_acknowledgement(
        &mut self,
        request: u64,
        by: Leadership,
        base_offset: u64,
        at: Time,
        counts: &mut Counts,
    ) {
        counts.acknowledged += 1;
        let known = self.history.request_mut(request);
        known.answer = Answer::Acknowledged {
            base_offset,
            at,
            by,
        };
        let end = base_offset + known.values.len() as u64;
        let newest = self.acknowledged.entry((by.0, by.1)).or_default();
        *newest = end.max(*newest);
        if let Some(sequences) = &mut self.producers[known.client].sequences {
            sequences.acknowledged(request, by.2);
        }
    }

    /// The answer is there. Late ones, after the producer gave up, count as never seen.
    pub(crate) fn acknowledged(
        &mut self,
        token: Token,
        base_offset: u64,
        at: Time,
        counts: &mut Counts,
    ) -> Option<usize> {
        let OnItsWay { request, to } = self.waiting.remove(&token.get())?;
        self.take_acknowledgement(request, to, base_offset, at, counts);
        let client = self.history.request(request).client;
        let producer = &mut self.producers[client];
        producer.in_flight -= 1;
        (producer.in_flight == 0).then_some(client)
    }

    pub(crate) fn dropped(
        &mut self,
        token: Token,
        reason: DropReason,
        counts: &mut Counts,
    ) -> Option<usize> {
        let OnItsWay { request, .. } = *self.waiting.get(&token.get())?;
        let known = self.history.request_mut(request);
        match reason {
            // One that was sent before may be there all the same.
            DropReason::NeverAppended if known.stamp.is_none() => {
                known.answer = Answer::Refused;
                counts.failed += 1;
            }
            DropReason::NeverAppended | DropReason::Overwritten => counts.unknown += 1,
        }
        self.ended(token.get())
    }

    /// A node did what it had to do: those are answered who wait for what it had in its log.
    pub(crate) fn answer_repeated(
        &mut self,
        node: u64,
        replica: &Replica<Disk>,
        at: Time,
        counts: &mut Counts,
    ) -> Vec<usize> {
        let mut free = Vec::new();
        for repeated in std::mem::take(&mut self.repeated) {
            if repeated.by.0 != node {
                self.repeated.push(repeated);
                continue;
            }
            // Else the entry with this index may be another one by now.
            let leads = replica.is_leader() && replica.leader_epoch().get() == repeated.by.2;
            if !leads && !self.defects.answers_late {
                counts.unknown += u64::from(self.waiting.contains_key(&repeated.token));
                free.extend(self.ended(repeated.token));
            } else if replica.is_visible(repeated.index) {
                let token = Token(repeated.token);
                free.extend(self.acknowledged(token, repeated.base_offset, at, counts));
            } else {
                self.repeated.push(repeated);
            }
        }
        free
    }

    /// A producer gives up waiting for what it sent up to this token; an idempotent one closes the
    /// connection, and with it goes whatever else it sent.
    pub(crate) fn timeout(&mut self, producer: usize, last: u64, counts: &mut Counts) -> bool {
        let is_own = |(token, it): (&u64, &OnItsWay)| {
            (self.history.request(it.request).client == producer).then_some(*token)
        };
        let own: Vec<_> = self.waiting.iter().filter_map(is_own).collect();
        let all = self.producers[producer].sequences.is_some();
        let late = own.iter().filter(|token| **token <= last).count();
        if late == 0 {
            return false;
        }
        let gone = own.into_iter().filter(|token| all || *token <= last);
        let freed = self.unanswered(gone.collect(), counts);
        if !freed.is_empty() {
            self.no_answer(producer);
        }
        !freed.is_empty()
    }

    /// A node is gone, and with it every answer it owed.
    pub(crate) fn disconnected(&mut self, node: u64, counts: &mut Counts) -> Vec<usize> {
        self.repeated.retain(|repeated| repeated.by.0 != node);
        let gone = self.waiting.iter().filter(|(_, it)| it.to.0 == node);
        let gone = gone.map(|(token, _)| *token).collect();
        self.unanswered(gone, counts)
    }

    fn unanswered(&mut self, tokens: Vec<u64>, counts: &mut Counts) -> Vec<usize> {
        counts.unknown += tokens.len() as u64;
        tokens
            .into_iter()
            .filter_map(|token| self.ended(token))
            .collect()
    }

    fn saw(&mut self, at: Time, by: Leadership, leads: bool, (start, end): (u64, u64)) {
        self.history.seen.push(Seen {
            at,
            by,
            leads,
            start,
            end,
        });
    }

    /// As whom a node answers, and whether as a leader.
    fn answers_as(
        &mut self,
        (node, lifetime): (u64, u64),
        replica: &Replica<Disk>,
    ) -> (Leadership, bool) {
        let term = replica.leader_epoch().get();
        if replica.is_leader() {
            self.led.insert((node, lifetime), term);
        } else if let Some(&led) = self.led.get(&(node, lifetime))
            && self.defects.reads_on
        {
            return ((node, lifetime, led), true);
        }
        ((node, lifetime, term), replica.is_leader())
    }

    /// A consumer reads on from where it was, or from somewhere before, at any node.
    pub(crate) fn consume(
        &mut self,
        consumer: usize,
        (node, lifetime): (u64, u64),
        at: Time,
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
        let Some(fetched) = fetch(node, replica, from, max_bytes)? else {
            if self.defects.tells_early && replica.is_leader() {
                let by = (node, lifetime, replica.leader_epoch().get());
                self.saw(at, by, true, (start, visible));
            }
            return Ok(());
        };
        let Fetched {
            records,
            start,
            end,
        } = fetched;
        if records.is_empty() && from < end {
            return Err(format!(
                "node {node} has nothing at {from}, below its high watermark {end}"
            ));
        }
        let (by, leads) = self.answers_as((node, lifetime), replica);
        self.saw(at, by, leads, (start, end));
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
