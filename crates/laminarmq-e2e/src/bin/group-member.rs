//! A member of a consumer group in a process of its own: librdkafka, and a journal of what it read.
//!
//!     group-member ADDRESS TOPIC GROUP STRATEGY JOURNAL
//!
//! It writes a record's offset to its journal before it commits past it, and leaves the group when its
//! standard input ends. The journal is described in `laminarmq_e2e::group_journal`.

use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use laminarmq_e2e::group_journal::{MemberEvent, MemberJournal};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;

/// Records between two commits.
const RECORDS_PER_COMMIT: usize = 50;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("group-member: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes down what the member is given.
struct Context {
    journal: Arc<Mutex<MemberJournal>>,
}

impl ClientContext for Context {
    // A coordinator that is gone for a while is no news.
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Context {
    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        let Ok(assignment) = consumer.assignment() else {
            return;
        };
        let mut partitions: Vec<i32> = assignment
            .elements()
            .iter()
            .map(|element| element.partition())
            .collect();
        partitions.sort_unstable();
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal
            .write(&MemberEvent::Assigned(partitions))
            .expect("the journal takes what is written");
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [addr, topic, group, strategy, path] = arguments else {
        return Err("expected ADDRESS TOPIC GROUP STRATEGY JOURNAL".into());
    };
    let journal = Arc::new(Mutex::new(MemberJournal::create(Path::new(path))?));
    let context = Context {
        journal: Arc::clone(&journal),
    };
    let consumer: BaseConsumer<Context> = ClientConfig::new()
        .set("bootstrap.servers", addr)
        .set("group.id", group)
        .set("partition.assignment.strategy", strategy)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "500")
        .set("reconnect.backoff.max.ms", "500")
        .set("fetch.wait.max.ms", "100")
        .create_with_context(context)?;
    consumer.subscribe(&[topic])?;

    let leave = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&leave);
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Ordering::SeqCst);
    });
    let mut since_commit = 0;
    while !leave.load(Ordering::SeqCst) {
        let polled = consumer.poll(Duration::from_millis(100));
        let idle = polled.is_none();
        if let Some(Ok(message)) = polled {
            let read = MemberEvent::Read {
                partition: message.partition(),
                offset: message.offset(),
            };
            let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
            journal.write(&read)?;
            drop(journal);
            // An error says that the partition was taken away meanwhile.
            let _ = consumer.store_offset_from_message(&message);
            since_commit += 1;
        }
        if since_commit >= RECORDS_PER_COMMIT || (idle && since_commit > 0) {
            // One that is refused (the group is moving on) is tried again: a member that keeps its partitions
            // over a rebalance reads none of them anew. What it lost is another member's to commit.
            if consumer.commit_consumer_state(CommitMode::Sync).is_ok() {
                since_commit = 0;
            }
        }
    }
    if since_commit > 0 {
        let _ = consumer.commit_consumer_state(CommitMode::Sync);
    }
    drop(consumer);
    Ok(())
}
