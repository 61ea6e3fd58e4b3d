//! The load under which a broker is traced.
//!
//! Each partition has one producer, which sends the batches of one stream in order and keeps several of
//! them unanswered. Beside them one client makes topics, fills them, and deletes them, and another asks up
//! to where the partitions can be read.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use laminarmq_kafka::ErrorCode;

use super::content::{self, Stream};
use super::journal::{Asked, Journal};
use crate::{Client, Deadline};

/// A topic that lives as long as the recording.
struct Lasting {
    name: &'static str,
    partitions: i32,
    segment_bytes: &'static str,
}

const LASTING: [Lasting; 2] = [
    Lasting {
        name: "short",
        partitions: 2,
        segment_bytes: "16384",
    },
    Lasting {
        name: "long",
        partitions: 1,
        segment_bytes: "262144",
    },
];
/// A topic that is made and deleted all the time, always under this name.
const PASSING: &str = "passing";
const PASSING_PARTITIONS: i32 = 2;
const PASSING_SEGMENT_BYTES: &str = "4096";
/// How many batches each partition of a passing topic gets.
const PASSING_BATCHES: u32 = 4;
/// More than there are passing topics in one run.
const INCARNATIONS: u32 = 10_000;
/// How long a topic's partitions may take to have a leader.
const LEADER_SECONDS: u64 = 60;
/// How long nothing may be acknowledged.
const PAUSE_SECONDS: u64 = 120;
/// Batches without an answer, on each connection.
const WINDOW: usize = 4;

/// When the load ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Each producer had so many batches acknowledged.
    Acknowledged(u32),
    /// The broker is gone.
    Broken,
}

/// One run of the load, against one run of the broker.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    pub(crate) run: usize,
    pub(crate) addr: SocketAddr,
    pub(crate) journal: &'a Journal,
    pub(crate) until: Until,
    /// How many batches were acknowledged so far.
    pub(crate) acknowledged: &'a AtomicUsize,
}

impl Load<'_> {
    /// Makes the lasting topics.
    pub(crate) fn make_topics(&self) {
        let mut client = self.connect().expect("the broker listens");
        for topic in &LASTING {
            client
                .create(topic.name, 0, topic.partitions, topic.segment_bytes)
                .expect("CreateTopics is answered");
        }
    }

    /// Runs until the end that was asked for.
    pub(crate) fn run(&self) {
        let producing = AtomicBool::new(true);
        thread::scope(|scope| {
            let mut producers = Vec::new();
            for topic in &LASTING {
                for partition in 0..topic.partitions {
                    producers
                        .push(scope.spawn(move || self.judge(self.produce(topic.name, partition))));
                }
            }
            producers.push(scope.spawn(|| self.judge(self.make_and_delete())));
            let watcher = scope.spawn(|| self.judge(self.watch(&producing)));
            let ended: Vec<_> = producers.into_iter().map(|thread| thread.join()).collect();
            producing.store(false, Ordering::Relaxed);
            for ended in ended.into_iter().chain([watcher.join()]) {
                ended.expect("the load does not panic");
            }
        });
    }

    /// Asks again and again up to where the lasting partitions can be read.
    fn watch(&self, producing: &AtomicBool) -> io::Result<()> {
        let mut client = self.connect()?;
        for topic in &LASTING {
            client.wait_for_leaders(topic.name, topic.partitions)?;
        }
        while producing.load(Ordering::Relaxed) {
            let acknowledged = self.acknowledged.load(Ordering::Relaxed);
            for topic in &LASTING {
                for partition in 0..topic.partitions {
                    client.end_offset(topic.name, 0, partition)?;
                }
            }
            let goes_on = || {
                let more = self.acknowledged.load(Ordering::Relaxed) > acknowledged;
                (more || !producing.load(Ordering::Relaxed)).then_some(())
            };
            let waited = Deadline::seconds(PAUSE_SECONDS).wait_for("acknowledgements", goes_on);
            waited.map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn judge(&self, ended: io::Result<()>) {
        match (ended, self.until) {
            (Ok(()), _) | (Err(_), Until::Broken) => {}
            (Err(error), Until::Acknowledged(_)) => panic!("the load was interrupted: {error}"),
        }
    }

    fn count(&self) -> u32 {
        match self.until {
            Until::Acknowledged(count) => count,
            Until::Broken => u32::MAX,
        }
    }

    fn produce(&self, topic: &str, partition: i32) -> io::Result<()> {
        let mut client = self.connect()?;
        let partitions = LASTING.iter().find(|lasting| lasting.name == topic);
        client.wait_for_leaders(topic, partitions.map_or(0, |topic| topic.partitions))?;
        client.end_offset(topic, 0, partition)?;
        client.produce(topic, 0, partition, self.count())?;
        client.end_offset(topic, 0, partition)
    }

    fn make_and_delete(&self) -> io::Result<()> {
        let mut client = self.connect()?;
        let run = u32::try_from(self.run).expect("a few runs");
        if run > 0 {
            // The run before may have left one.
            client.delete(PASSING, run * INCARNATIONS - 1)?;
        }
        let rounds = match self.until {
            Until::Acknowledged(count) => count.div_ceil(PASSING_BATCHES * 4),
            Until::Broken => INCARNATIONS,
        };
        for round in 0..rounds {
            let incarnation = run * INCARNATIONS + round;
            client.create(
                PASSING,
                incarnation,
                PASSING_PARTITIONS,
                PASSING_SEGMENT_BYTES,
            )?;
            for partition in 0..PASSING_PARTITIONS {
                client.produce(PASSING, incarnation, partition, PASSING_BATCHES)?;
                client.end_offset(PASSING, incarnation, partition)?;
            }
            client.delete(PASSING, incarnation)?;
        }
        Ok(())
    }

    fn connect(&self) -> io::Result<Journaling<'_>> {
        let client = Client::connect(self.addr)?;
        let peer = client.local_addr()?.to_string();
        Ok(Journaling {
            client,
            peer,
            load: self,
        })
    }
}

/// A client that writes down what it asks for, and what is answered.
struct Journaling<'a> {
    client: Client,
    peer: String,
    load: &'a Load<'a>,
}

impl Journaling<'_> {
    fn asks(&self, asked: Asked) -> usize {
        let Load { run, journal, .. } = self.load;
        journal.asks(*run, &self.peer, self.client.next_correlation(), asked)
    }

    fn create(
        &mut self,
        topic: &str,
        incarnation: u32,
        partitions: i32,
        segment_bytes: &str,
    ) -> io::Result<()> {
        let place = self.asks(Asked::CreateTopic {
            topic: topic.to_owned(),
            incarnation,
            partitions,
        });
        let configs = [("flush", "sync"), ("segment.bytes", segment_bytes)];
        let error = self.client.try_create_topic(topic, partitions, &configs)?;
        self.load.journal.answered(place);
        self.expect(error)?;
        self.wait_for_leaders(topic, partitions)
    }

    fn wait_for_leaders(&mut self, topic: &str, partitions: i32) -> io::Result<()> {
        let led = Deadline::seconds(LEADER_SECONDS).wait_for("leaders", || {
            match self.client.is_led(topic, partitions) {
                Ok(false) => None,
                Ok(true) => Some(Ok(())),
                Err(error) => Some(Err(error)),
            }
        });
        led.expect("every partition gets a leader")
    }

    fn delete(&mut self, topic: &str, incarnation: u32) -> io::Result<()> {
        let place = self.asks(Asked::DeleteTopic {
            topic: topic.to_owned(),
            incarnation,
        });
        let error = self.client.delete_topic(topic)?;
        self.load.journal.answered(place);
        if error == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
            return Ok(());
        }
        self.expect(error)
    }

    fn end_offset(&mut self, topic: &str, incarnation: u32, partition: i32) -> io::Result<()> {
        let place = self.asks(Asked::EndOffset {
            topic: topic.to_owned(),
            incarnation,
            partition,
        });
        self.client.end_offset(topic, partition)?;
        self.load.journal.answered(place);
        Ok(())
    }

    /// Sends the batches `0..count` of a stream, and sees each acknowledged in its turn.
    fn produce(
        &mut self,
        topic: &str,
        incarnation: u32,
        partition: i32,
        count: u32,
    ) -> io::Result<()> {
        let stream = Stream {
            run: self.load.run,
            topic: topic.to_owned(),
            incarnation,
            partition,
        };
        let mut unanswered = std::collections::VecDeque::new();
        let mut number = 0;
        while number < count || !unanswered.is_empty() {
            while number < count && unanswered.len() < WINDOW {
                let asked = Asked::Produce {
                    stream: stream.clone(),
                    number,
                };
                let place = self.asks(asked);
                let batch = content::batch(&stream, number);
                let sent = self.client.send_batch(topic, partition, -1, batch)?;
                unanswered.push_back((place, sent));
                number += 1;
            }
            let Some((correlation, ack)) = self.client.receive_ack()? else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            let (place, sent) = unanswered.pop_front().expect("something is unanswered");
            assert_eq!(correlation, sent, "answers come in the order of requests");
            self.load.journal.answered(place);
            self.expect(ack.error_code)?;
            self.load.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// A refusal is no interruption: nothing in this load gives the broker a reason.
    fn expect(&self, error: ErrorCode) -> io::Result<()> {
        assert_eq!(error, ErrorCode::NONE, "the broker refuses a request");
        Ok(())
    }
}
