//! The broker is killed at random moments under load; what it acknowledged is there afterwards.
//!
//! The journal is written by the producer's process, which is neither the broker's nor this one.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use laminarmq_e2e::history::{Kept, Summary, judge};
use laminarmq_e2e::{is_long, seed};
use laminarmq_testkit::{
    BrokerProcess, Client, Deadline, Entry, JournalReader, Stopwatch, StoredBatch, TestDir,
    eventually,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TOPIC: &str = "load";
const PARTITIONS: i32 = 3;
/// Requests in flight on each partition's connection.
const WINDOW: &str = "16";
/// A round counts when at least so many requests were in flight at the kill.
const IN_FLIGHT_MIN: u32 = 5;
const ROUNDS: usize = 20;
const ROUNDS_LONG: usize = 200;
/// The kill comes after this many acknowledgements of the round at the latest.
const ACKS_MAX: usize = 3000;
/// Small segments, so that kills meet rolls, and starts many files.
const SEGMENT_BYTES: &str = "65536";

#[test]
fn what_was_acknowledged_survives_kills_at_random_moments() {
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let dir = TestDir::new("kill-under-load");
    let journal_path = dir.join("journal");
    let mut journal = JournalReader::open(&journal_path).expect("the journal is made");
    let mut entries = Vec::new();

    let mut broker = BrokerProcess::start(&dir.join("data"));
    let addr = broker.addr();
    connect(addr).create_topic(
        TOPIC,
        PARTITIONS,
        &[("flush", "sync"), ("segment.bytes", SEGMENT_BYTES)],
    );

    let rounds = if is_long() { ROUNDS_LONG } else { ROUNDS };
    let (mut done, mut tried) = (0, 0);
    let mut fewest_in_flight = u32::MAX;
    while done < rounds {
        tried += 1;
        assert!(
            tried <= 2 * rounds,
            "only {done} of {tried} kills met {IN_FLIGHT_MIN} requests in flight"
        );
        let kill_after = rng.random_range(1..=ACKS_MAX);
        let before = entries.len();
        let mut producer = Producer::start(addr, &journal_path);
        eventually("acknowledgements", Deadline::seconds(60), || {
            entries.extend(journal.poll().expect("the journal is read"));
            let acks = entries[before..]
                .iter()
                .filter(|entry| matches!(entry, Entry::Acked { .. }));
            (acks.count() >= kill_after).then_some(())
        });
        broker.kill9();
        producer.wait_for_success();
        entries.extend(journal.poll().expect("the journal is read"));

        let in_flight = entries[before..].iter().map(|entry| match entry {
            Entry::Broken { in_flight, .. } => *in_flight,
            Entry::Sent { .. } | Entry::Acked { .. } => 0,
        });
        let in_flight = in_flight.sum();
        let watch = Stopwatch::start();
        broker.restart();
        let restart = watch.elapsed();
        let summary = verify(addr, &entries);
        if in_flight >= IN_FLIGHT_MIN {
            done += 1;
            fewest_in_flight = fewest_in_flight.min(in_flight);
        }
        println!(
            "kill {tried} after {kill_after} acks: {in_flight} requests in flight; {summary:?}; \
             ready again after {restart:?}"
        );
    }
    let Summary {
        acked,
        kept_without_ack,
        ..
    } = verify(addr, &entries);
    println!(
        "{done} kills with at least {fewest_in_flight} requests in flight: {acked} records acknowledged, \
         all there, in order; {kept_without_ack} present without an acknowledgement"
    );
    assert!(acked > 0);
}

fn connect(addr: SocketAddr) -> Client {
    Client::connect(addr).expect("the broker takes connections")
}

/// Reads everything back and holds it against the journal.
fn verify(addr: SocketAddr, entries: &[Entry]) -> Summary {
    let mut client = connect(addr);
    let mut total = Summary::default();
    for partition in 0..PARTITIONS {
        let stored = client.read_from(TOPIC, partition, 0);
        let kept: Vec<_> = stored.into_iter().flat_map(records).collect();
        let summary = judge(partition, entries, &kept)
            .unwrap_or_else(|broken| panic!("partition {partition}: {broken}"));
        total.sent += summary.sent;
        total.acked += summary.acked;
        total.kept += summary.kept;
        total.kept_without_ack += summary.kept_without_ack;
    }
    total
}

fn records(batch: StoredBatch) -> impl Iterator<Item = Kept> {
    let bytes = |bytes: Option<bytes::Bytes>| bytes.unwrap_or_default().to_vec();
    batch.records.into_iter().map(move |record| Kept {
        offset: record.offset,
        key: bytes(record.key),
        value: bytes(record.value),
    })
}

/// A running `journal-producer`; killed when dropped.
struct Producer(Child);

impl Producer {
    fn start(addr: SocketAddr, journal: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_journal-producer"));
        command
            .args([&addr.to_string(), TOPIC, &PARTITIONS.to_string(), WINDOW])
            .arg(journal);
        Self(
            command
                .stdin(Stdio::null())
                .spawn()
                .expect("the producer starts"),
        )
    }

    /// Waits until it has ended by itself, after its connections broke.
    fn wait_for_success(&mut self) {
        let ended = || self.0.try_wait().expect("a child can be waited for");
        let status = eventually("the producer ends", Deadline::seconds(60), ended);
        assert!(status.success(), "{status}");
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
