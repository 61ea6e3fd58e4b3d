//! What the broker promised, and when: read from the bytes that it sent.
//!
//! A promise counts from the moment at which the broker began to send the end of the answer. What a client
//! got later says nothing; but an answer that a client got must be among them.

use std::collections::{BTreeMap, HashMap};

use bytes::{Buf, Bytes, BytesMut};
use laminarmq_kafka::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, ListOffsetsRequest, ProduceRequest,
};
use laminarmq_kafka::{ErrorCode, decode_response};

use super::content::Stream;
use super::journal::{Asked, Request};
use crate::client::{
    CREATE_TOPICS_VERSION, DELETE_TOPICS_VERSION, LIST_OFFSETS_VERSION, PRODUCE_VERSION,
};
use crate::strace::{Step, Trace};

/// A place on the time line: the run of the broker, and the step of its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) run: usize,
    pub(crate) step: usize,
}

/// An acknowledged batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) at: Moment,
    pub(crate) stream: Stream,
    pub(crate) number: u32,
    pub(crate) base_offset: i64,
}

/// An offset below which everything can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) at: Moment,
    pub(crate) end_offset: i64,
}

/// What was promised about one incarnation of a topic.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) partitions: i32,
    /// It cannot be there before.
    pub(crate) asked_for: Moment,
    /// From here on it must be there...
    pub(crate) created: Option<Moment>,
    /// ...until here,
    pub(crate) doomed: Option<Moment>,
    /// and from here on it must not.
    pub(crate) deleted: Option<Moment>,
    /// By partition.
    pub(crate) acks: BTreeMap<i32, Vec<Ack>>,
    pub(crate) seen: BTreeMap<i32, Vec<Seen>>,
    /// How many batches of each stream were sent, by partition and run.
    pub(crate) sent: BTreeMap<(i32, usize), u32>,
}

/// All promises, by topic and incarnation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Promises {
    pub(crate) topics: BTreeMap<String, BTreeMap<u32, Topic>>,
    /// When each promise was made, ascending.
    moments: Vec<Moment>,
}

impl Promises {
    /// How many promises were made up to a moment.
    pub(crate) fn made_until(&self, moment: Moment) -> usize {
        self.moments.partition_point(|&made| made <= moment)
    }

    /// Reads the promises of all runs. `listeners` has the broker's address in each run.
    pub(crate) fn read(
        traces: &[Trace],
        listeners: &[String],
        requests: &[Request],
    ) -> Result<Self, String> {
        let mut answers = HashMap::new();
        for (run, (trace, listener)) in traces.iter().zip(listeners).enumerate() {
            for (peer, correlation, step, frame) in frames(trace, listener)? {
                answers.insert((run, peer, correlation), (Moment { run, step }, frame));
            }
        }
        let mut promises = Self::default();
        for request in requests {
            let key = |correlation| (request.run, request.peer.clone(), correlation);
            let answer = answers.get(&key(request.correlation));
            if answer.is_none() && request.answered {
                return Err(format!(
                    "a client got an answer that is not in the trace: {request:?}"
                ));
            }
            // The client waits for each answer before it asks for a topic or its end.
            let earliest = match answers.get(&key(request.correlation - 1)) {
                Some((moment, _)) => *moment,
                None => Moment {
                    run: request.run,
                    step: 0,
                },
            };
            promises.add(request, earliest, answer)?;
        }
        promises.moments.sort_unstable();
        Ok(promises)
    }

    fn add(
        &mut self,
        request: &Request,
        earliest: Moment,
        answer: Option<&(Moment, Bytes)>,
    ) -> Result<(), String> {
        let wrong = |what: &dyn std::fmt::Debug| format!("{request:?} is answered with {what:?}");
        let at = answer.map(|(at, _)| *at);
        self.moments.extend(at);
        match &request.asked {
            Asked::CreateTopic {
                topic,
                incarnation,
                partitions,
            } => {
                if let Some((_, frame)) = answer {
                    let response = decoded::<CreateTopicsRequest>(frame, CREATE_TOPICS_VERSION)?;
                    if response.topics[0].error_code != ErrorCode::NONE {
                        return Err(wrong(&response));
                    }
                }
                let topic = self.topics.entry(topic.clone()).or_default();
                topic.insert(
                    *incarnation,
                    Topic {
                        partitions: *partitions,
                        asked_for: earliest,
                        created: at,
                        doomed: None,
                        deleted: None,
                        acks: BTreeMap::new(),
                        seen: BTreeMap::new(),
                        sent: BTreeMap::new(),
                    },
                );
            }
            Asked::DeleteTopic { topic, incarnation } => {
                if let Some((_, frame)) = answer {
                    let response = decoded::<DeleteTopicsRequest>(frame, DELETE_TOPICS_VERSION)?;
                    let error = response.responses[0].error_code;
                    if error != ErrorCode::NONE && error != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
                        return Err(wrong(&response));
                    }
                }
                let topic = self.topics.entry(topic.clone()).or_default();
                for (_, topic) in topic.range_mut(..=*incarnation) {
                    if topic.deleted.is_none() {
                        topic.doomed.get_or_insert(earliest);
                        topic.deleted = at;
                    }
                }
            }
            Asked::Produce { stream, number } => {
                let topic = self.topic(&stream.topic, stream.incarnation)?;
                let sent = topic.sent.entry((stream.partition, stream.run));
                let sent = sent.or_default();
                *sent = (*sent).max(number + 1);
                if let Some((at, frame)) = answer {
                    let response = decoded::<ProduceRequest>(frame, PRODUCE_VERSION)?;
                    let result = &response.responses[0].partition_responses[0];
                    if result.error_code != ErrorCode::NONE {
                        return Err(wrong(&response));
                    }
                    topic.acks.entry(stream.partition).or_default().push(Ack {
                        at: *at,
                        stream: stream.clone(),
                        number: *number,
                        base_offset: result.base_offset,
                    });
                }
            }
            Asked::EndOffset {
                topic,
                incarnation,
                partition,
            } => {
                let topic = self.topic(topic, *incarnation)?;
                if let Some((at, frame)) = answer {
                    let response = decoded::<ListOffsetsRequest>(frame, LIST_OFFSETS_VERSION)?;
                    let result = &response.topics[0].partitions[0];
                    if result.error_code != ErrorCode::NONE {
                        return Err(wrong(&response));
                    }
                    topic.seen.entry(*partition).or_default().push(Seen {
                        at: *at,
                        end_offset: result.offset,
                    });
                }
            }
        }
        Ok(())
    }

    fn topic(&mut self, name: &str, incarnation: u32) -> Result<&mut Topic, String> {
        let topics = self.topics.get_mut(name);
        topics
            .and_then(|topics| topics.get_mut(&incarnation))
            .ok_or_else(|| format!("nobody asked for incarnation {incarnation} of {name}"))
    }
}

fn decoded<R: laminarmq_kafka::Request>(
    frame: &Bytes,
    version: i16,
) -> Result<R::Response, String> {
    let (_, response) = decode_response::<R>(frame.clone(), version)
        .map_err(|error| format!("the broker sent what is no answer: {error}"))?;
    Ok(response)
}

/// The peer, correlation id and step of each answer that the broker began to send the end of.
fn frames(trace: &Trace, listener: &str) -> Result<Vec<(String, i32, usize, Bytes)>, String> {
    let mut found = Vec::new();
    let mut streams: HashMap<&str, BytesMut> = HashMap::new();
    for (step, at) in trace.steps.iter().enumerate() {
        let Step::Enter(number) = *at else { continue };
        let call = &trace.calls[number];
        let local = call.target().strip_prefix("TCP:[");
        let Some(rest) = local.and_then(|target| target.strip_prefix(listener)) else {
            continue;
        };
        let Some(peer) = rest
            .strip_prefix("->")
            .and_then(|peer| peer.strip_suffix(']'))
        else {
            continue;
        };
        let mut data = match call.name.as_str() {
            "write" | "writev" | "sendto" | "sendmsg" => call.data(),
            "sendmmsg" | "sendfile" | "splice" => {
                return Err(format!("answers sent by {} are not read", call.name));
            }
            _ => continue,
        };
        // One that never returned may have sent it all.
        if let Some(result) = call.result {
            data.truncate(usize::try_from(result).unwrap_or(0));
        }
        let stream = streams.entry(peer).or_default();
        stream.extend_from_slice(&data);
        while let Some(length) = stream.first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*length)).expect("a usize has 32 bits");
            if stream.len() < 4 + length {
                break;
            }
            stream.advance(4);
            let frame = stream.split_to(length).freeze();
            let correlation = frame
                .first_chunk::<4>()
                .ok_or("an answer without a correlation id")?;
            let correlation = i32::from_be_bytes(*correlation);
            found.push((peer.to_owned(), correlation, step, frame));
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "promises_tests.rs"]
mod tests;
