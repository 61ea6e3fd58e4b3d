//! Links between nodes.

use std::collections::{BTreeMap, BTreeSet};

use laminarmq_replica::{AppendResult, PeerBody, PeerMessage};

use crate::clock::Time;
use crate::random::Random;
use crate::report::Counts;
use crate::trace::Hash;

/// What is late takes so many times as long as usual, at most.
const LATE_TIMES_MAX: u64 = 50;

/// How bad the links are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// Messages lost, in a thousand.
    pub(crate) loss: u64,
    /// Messages that come twice, in a thousand.
    pub(crate) repeat: u64,
    /// Longest usual delay, in microseconds.
    pub(crate) delay: u64,
    /// Whether usual messages of one link keep their order.
    pub(crate) in_order: bool,
    /// Messages that take many times as long, in a thousand.
    pub(crate) late: u64,
    /// Messages with a flipped byte, in a thousand: outside the fault model, for a canary.
    pub(crate) corrupt: u64,
}

impl Weather {
    /// Longest time that a message is on its way, in microseconds.
    pub(crate) fn longest_delay(&self) -> u64 {
        self.delay * LATE_TIMES_MAX
    }
}

pub(crate) struct Network {
    random: Random,
    pub(crate) weather: Weather,
    /// Links that carry nothing: (from, to).
    blocked: BTreeSet<(u64, u64)>,
    /// When the last usual message of each link arrives.
    newest: BTreeMap<(u64, u64), Time>,
}

impl Network {
    pub(crate) fn new(random: Random, weather: Weather) -> Self {
        Self {
            random,
            weather,
            blocked: BTreeSet::new(),
            newest: BTreeMap::new(),
        }
    }

    pub(crate) fn block(&mut self, from: u64, to: u64) {
        self.blocked.insert((from, to));
    }

    /// All links carry again. True if any did not.
    pub(crate) fn heal(&mut self) -> bool {
        let any = !self.blocked.is_empty();
        self.blocked.clear();
        any
    }

    pub(crate) fn is_blocked(&self, from: u64, to: u64) -> bool {
        self.blocked.contains(&(from, to))
    }

    /// Sends a message: the times at which copies of it arrive.
    pub(crate) fn send(&mut self, from: u64, to: u64, now: Time, counts: &mut Counts) -> Vec<Time> {
        counts.messages += 1;
        if self.is_blocked(from, to) {
            counts.blocked += 1;
            return Vec::new();
        }
        if self.random.per_mille(self.weather.loss) {
            counts.lost += 1;
            return Vec::new();
        }
        let mut arrivals = vec![self.arrival((from, to), now, counts)];
        if self.random.per_mille(self.weather.repeat) {
            counts.repeated += 1;
            arrivals.push(self.arrival((from, to), now, counts));
        }
        arrivals
    }

    fn arrival(&mut self, link: (u64, u64), now: Time, counts: &mut Counts) -> Time {
        let usual = self.random.between(50, self.weather.delay);
        if self.random.per_mille(self.weather.late) {
            counts.late += 1;
            return now.after_micros(usual * self.random.between(2, LATE_TIMES_MAX));
        }
        let newest = self.newest.entry(link).or_default();
        let arrival = now.after_micros(usual);
        if self.weather.in_order {
            *newest = arrival.max(*newest);
            *newest
        } else {
            arrival
        }
    }

    /// Flips a byte of a batch, where the canary asks for it.
    pub(crate) fn maybe_corrupt(&mut self, message: &mut PeerMessage) {
        let PeerBody::Append { entries, .. } = &mut message.body else {
            return;
        };
        let Some(entry) = entries
            .last_mut()
            .filter(|entry| entry.payload.body.len() > 62)
        else {
            return;
        };
        if self.random.per_mille(self.weather.corrupt) {
            let mut bytes = entry.payload.body.to_vec();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            entry.payload.body = bytes.into();
        }
    }
}

/// A message in one line.
pub(crate) fn describe(message: &PeerMessage) -> String {
    let term = message.term;
    match &message.body {
        PeerBody::PreVote { last, .. } => {
            format!("t{term} prevote? last {}.{}", last.index, last.term)
        }
        PeerBody::PreVoteReply(reply) => format!("t{term} prevote {}", reply.granted),
        PeerBody::Vote { last, .. } => format!("t{term} vote? last {}.{}", last.index, last.term),
        PeerBody::VoteReply(reply) => format!("t{term} vote {}", reply.granted),
        PeerBody::Append {
            prev,
            commit,
            entries,
        } => {
            let mut hash = Hash::new();
            for entry in entries {
                let head = [entry.kind.as_u8(), entry.flags];
                hash.add(&head);
                entry
                    .payload
                    .pieces()
                    .iter()
                    .for_each(|piece| hash.add(piece));
            }
            let (count, hash) = (entries.len(), hash.get());
            format!(
                "t{term} append after {}.{} commit {commit}: {count} {hash:016x}",
                prev.index, prev.term
            )
        }
        PeerBody::AppendReply {
            result: AppendResult::Matched(index),
            ..
        } => format!("t{term} matched {index}"),
        PeerBody::AppendReply {
            result: AppendResult::Rejected { at, hint },
            ..
        } => {
            format!("t{term} rejected {at} hint {}.{}", hint.index, hint.term)
        }
        PeerBody::Snapshot {
            at,
            offset,
            members,
        } => format!(
            "t{term} snapshot at {}.{} offset {offset} members {:?} of {}",
            at.index, at.term, members.members, members.index
        ),
        PeerBody::Heartbeat { commit } => format!("t{term} heartbeat commit {commit}"),
        PeerBody::HeartbeatReply { commit } => format!("t{term} alive commit {commit}"),
        PeerBody::Rest { commit } => format!("t{term} rest commit {commit}"),
        PeerBody::RestReply { commit } => format!("t{term} rests commit {commit}"),
        PeerBody::TimeoutNow => format!("t{term} take over"),
        PeerBody::Doubt { nonce, last } => {
            format!("t{term} doubt {nonce:x} has {}.{}", last.index, last.term)
        }
        PeerBody::Standing { nonce, last, leads } => format!(
            "t{term} standing {nonce:x} has {}.{} leads {leads}",
            last.index, last.term
        ),
    }
}
