//! Hostile bytes on the socket: the broker answers or closes the connection, and nothing else happens.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};

use laminarmq_e2e::hostile::{Prober, Tallies, Tally, cases};
use laminarmq_e2e::{is_long, load, seed};
use laminarmq_kafka::messages::{ApiVersionsRequest, MetadataRequest};
use laminarmq_kafka::{ApiKey, ErrorCode, api, served};
use laminarmq_testkit::{BrokerBuilder, Client, Deadline, TestDir};

const TOPIC: &str = "hostile";
/// The topic of the connection that must go on working.
const OTHER_TOPIC: &str = "undisturbed";
const CASES_MIN: usize = 100_000;
const CASES_MIN_LONG: usize = 2_000_000;
const THREADS: usize = 3;
const TEST_SECONDS: u64 = 3600;
const GROWTH_MAX: u64 = 64 << 20;

#[test]
fn hostile_bytes_harm_nobody() {
    let seed = seed();
    let dir = TestDir::new("hostile");
    // Topics that are made by asking for them would grow the broker by right.
    let mut broker = BrokerBuilder::new(&dir.join("data"))
        .args(&["--auto-create-topics", "false"])
        .start();
    let addr = broker.addr();
    let mut client = Client::connect(addr).expect("connected");
    client.create_topic(TOPIC, 2, &[("flush", "os")]);
    client.create_topic(OTHER_TOPIC, 1, &[("flush", "os")]);
    client.produce(TOPIC, 0, load::batch(0, 0));
    let resident_before = broker.resident_bytes();

    let jobs = listed(&mut client);
    let total = if is_long() { CASES_MIN_LONG } else { CASES_MIN };
    let per_version = total.div_ceil(jobs.len());
    let queue = Mutex::new(jobs.iter());
    let done = AtomicBool::new(false);

    let (tallies, exchanges, resident_peak) = thread::scope(|scope| {
        let undisturbed = scope.spawn(|| exchange_until(&done, addr));
        let attackers: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| attack(addr, per_version, seed, &|| next(&queue))))
            .collect();
        let mut peak = resident_before;
        let ended = Deadline::seconds(TEST_SECONDS).wait_for("the attackers end", || {
            peak = peak.max(broker.resident_bytes());
            attackers
                .iter()
                .all(ScopedJoinHandle::is_finished)
                .then_some(())
        });
        // However the attackers end, the other connection's thread must learn that it is over.
        done.store(true, Ordering::Relaxed);
        ended.unwrap_or_else(|timed_out| panic!("{timed_out}"));
        let mut tallies = Tallies::new();
        for attacker in attackers {
            let found = attacker.join().expect("the attacker does not panic");
            tallies.extend(found.unwrap_or_else(|broken| panic!("{broken}")));
        }
        (
            tallies,
            undisturbed.join().expect("the other connection works"),
            peak,
        )
    });

    let sum = print(&tallies);
    let growth = resident_peak.saturating_sub(resident_before);
    println!(
        "{} cases; resident memory {} KiB before, {} KiB at most afterwards; {exchanges} exchanges on another connection",
        sum.valid + sum.mutated,
        resident_before >> 10,
        resident_peak >> 10,
    );
    assert!(broker.is_running(), "{}", broker.output());
    assert!(!broker.output().contains("panicked"), "{}", broker.output());
    assert!(sum.valid + sum.mutated >= total);
    assert_eq!(tallies.len(), jobs.len(), "every API and version was tried");
    for ((api, version), tally) in &tallies {
        assert!(
            tally.valid > 0 && tally.answered > 0,
            "{} {version}: {tally:?}",
            api.name()
        );
    }
    assert!(
        growth < GROWTH_MAX,
        "resident memory grew by {growth} bytes"
    );
    assert!(exchanges > 0);
    broker.sigterm();
    assert!(broker.wait_for_exit().success(), "{}", broker.output());
}

type Job = (ApiKey, i16);

/// Every API and version that the broker says it serves, as far as the codec has it: each must have its valid
/// requests.
fn listed(client: &mut Client) -> Vec<Job> {
    let answer = client.call(0, &ApiVersionsRequest::default());
    let listed = answer.expect("ApiVersions is answered").api_keys;
    let mut jobs = Vec::new();
    for one in &listed {
        let api = ApiKey::try_from(one.api_key).expect("a known API is listed");
        let codec = api::codec_versions(api).expect("an API of the codec is listed");
        let versions = codec.min.max(one.min_version)..=codec.max.min(one.max_version);
        assert!(
            !versions.is_empty(),
            "{api} is listed with versions that nobody has"
        );
        jobs.extend(versions.map(|version| (api, version)));
    }
    let served = served().iter().map(|range| range.api.number());
    assert!(served.eq(listed.iter().map(|one| one.api_key)));
    jobs
}

fn next<'a>(queue: &Mutex<impl Iterator<Item = &'a Job>>) -> Option<Job> {
    queue
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .next()
        .copied()
}

/// Sends the cases of one API and version after the other.
fn attack(
    addr: SocketAddr,
    per_version: usize,
    seed: u64,
    next: &dyn Fn() -> Option<Job>,
) -> Result<Tallies, String> {
    let mut prober = Prober::new(addr);
    let mut tallies = Tallies::new();
    while let Some((api, version)) = next() {
        for case in cases(api, version, TOPIC, per_version, seed) {
            prober.probe(case, &mut tallies)?;
        }
    }
    Ok(tallies)
}

/// Writes and reads on one connection until told to stop, and removes the topics that the attackers
/// happened to make. Returns how many records it wrote and read.
fn exchange_until(done: &AtomicBool, addr: SocketAddr) -> i64 {
    let mut client = Client::connect(addr).expect("connected");
    let (mut offset, mut number) = (0, 0);
    while !done.load(Ordering::Relaxed) {
        assert_eq!(
            client.produce(OTHER_TOPIC, 0, load::batch(0, number)),
            offset
        );
        let read = client.read_from(OTHER_TOPIC, 0, offset);
        let records = read.iter().flat_map(|batch| &batch.records);
        for (record, number) in records.zip(number..) {
            assert_eq!(record.value.as_deref(), Some(&load::value(0, number)[..]));
        }
        offset += i64::from(load::batch_count(number));
        number += u64::from(load::batch_count(number));
        remove_other_topics(&mut client);
    }
    offset
}

fn remove_other_topics(client: &mut Client) {
    let all = MetadataRequest {
        topics: None,
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let described = client.call(9, &all).expect("Metadata is answered");
    // What belongs to the broker stays.
    for topic in described
        .topics
        .into_iter()
        .filter(|topic| !topic.is_internal)
    {
        let name = topic.name.expect("topics have names");
        if name != TOPIC && name != OTHER_TOPIC {
            let code = client
                .delete_topic(&name)
                .expect("DeleteTopics is answered");
            assert!(
                matches!(
                    code,
                    ErrorCode::NONE | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                ),
                "{name}: {code}"
            );
        }
    }
}

/// Prints the table of outcomes; returns its sum.
fn print(tallies: &Tallies) -> Tally {
    println!("API             version  valid  mutated  handled  refused  silent");
    for ((api, version), tally) in tallies {
        let Tally {
            valid,
            mutated,
            answered,
            refused,
            silent,
        } = tally;
        println!(
            "{:15} {version:7} {valid:6} {mutated:8} {answered:8} {refused:8} {silent:7}",
            api.name()
        );
    }
    let sum = tallies
        .values()
        .fold(Tally::default(), |sum, &tally| sum.plus(tally));
    let Tally {
        valid,
        mutated,
        answered,
        refused,
        silent,
    } = sum;
    println!(
        "{:23} {valid:6} {mutated:8} {answered:8} {refused:8} {silent:7}",
        "all"
    );
    sum
}
