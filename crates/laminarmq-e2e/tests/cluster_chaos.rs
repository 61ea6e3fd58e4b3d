//! Three real brokers under the load of an idempotent librdkafka producer, while they are killed, frozen and
//! stopped: what was acknowledged is there once, in order, on every node that leads.

use std::collections::BTreeMap;
use std::time::Duration;

use laminarmq_e2e::idempotent::IdempotentLoad;
use laminarmq_e2e::trio::{NODES, Trio};
use laminarmq_e2e::{is_long, load, seed};
use laminarmq_testkit::{Client, Deadline, TestDir, eventually};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TOPIC: &str = "survives";
const PARTITIONS: i32 = 3;
const ROUNDS: usize = 8;
const ROUNDS_LONG: usize = 50;
/// What happens comes after so many deliveries of the round at the latest.
const DELIVERIES_MAX: usize = 2000;

#[test]
fn what_was_acknowledged_is_there_once_and_in_order_whatever_happens_to_the_nodes() {
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let dir = TestDir::new("cluster-chaos");
    let mut trio = Trio::start(&dir);
    let mut client = Client::connect(trio.brokers[0].addr()).expect("connected");
    // Small segments, so that faults meet rolls.
    client.create_topic(TOPIC, PARTITIONS, &[("segment.bytes", "65536")]);
    drop(client);

    let mut load = IdempotentLoad::with_bootstrap(&trio.bootstrap(), TOPIC, PARTITIONS);
    let rounds = if is_long() { ROUNDS_LONG } else { ROUNDS };
    let mut happened = BTreeMap::<&str, usize>::new();
    for round in 0..rounds {
        go_on(&mut load, rng.random_range(1..=DELIVERIES_MAX));
        // Each kind at least once, also in a short run.
        let kind = if round < KINDS {
            round
        } else {
            rng.random_range(0..KINDS)
        };
        let what = hurt(kind, &mut trio, &mut load, &mut rng);
        *happened.entry(what).or_default() += 1;
    }
    go_on(&mut load, DELIVERIES_MAX);
    let sent = load.sent();
    let delivered = load.finish();
    let all: Vec<_> = (0..NODES).collect();
    let leaders = trio.leaders(0, TOPIC, &all);
    for (partition, leader) in (0..PARTITIONS).zip(leaders) {
        let mut client = Client::connect(trio.brokers[leader].addr()).expect("connected");
        let stored = client.read_from(TOPIC, partition, 0);
        let offsets = &delivered[&partition];
        assert_eq!(offsets.len() as u64, sent, "partition {partition}");
        let mut number = 0;
        for record in stored.into_iter().flat_map(|batch| batch.records) {
            let found = load::number(&record.key.expect("a key"));
            assert_eq!(
                found,
                Some(number),
                "partition {partition}, offset {}: lost, doubled or out of order",
                record.offset
            );
            assert_eq!(
                offsets[&number], record.offset,
                "where the acknowledgement said"
            );
            assert_eq!(
                record.value.as_deref(),
                Some(&load::value(partition, number)[..])
            );
            number += 1;
        }
        assert_eq!(number, sent, "partition {partition} holds each record once");
    }
    println!(
        "{happened:?}: {sent} records in each of {PARTITIONS} partitions, each once, in order"
    );
    for broker in &trio.brokers {
        assert!(!broker.output().contains("panicked"), "{}", broker.output());
    }
}

/// Sends until so many more records are delivered.
fn go_on(load: &mut IdempotentLoad, more: usize) {
    let goal = load.delivered() + more;
    eventually("deliveries", Deadline::seconds(120), || {
        for _ in 0..20 {
            load.send();
        }
        (load.delivered() >= goal).then_some(())
    });
}

const KINDS: usize = 5;

/// Does something to the nodes, and undoes it. What two of three can do goes on meanwhile.
fn hurt(
    kind: usize,
    trio: &mut Trio,
    load: &mut IdempotentLoad,
    rng: &mut impl Rng,
) -> &'static str {
    let victim = rng.random_range(0..NODES);
    let others: Vec<_> = (0..NODES).filter(|place| *place != victim).collect();
    match kind {
        0 => {
            let leader = trio.leaders(0, TOPIC, &[0, 1, 2])[0];
            trio.brokers[leader].kill9();
            go_on(load, 500);
            trio.restart(&[leader]);
            "leader killed"
        }
        1 => {
            trio.brokers[victim].kill9();
            trio.restart(&[victim]);
            "killed"
        }
        2 => {
            trio.brokers[victim].sigstop();
            go_on(load, 500);
            trio.brokers[victim].sigcont();
            "frozen"
        }
        3 => {
            trio.brokers[victim].sigterm();
            go_on(load, 500);
            let status = trio.brokers[victim].wait_for_exit();
            assert!(status.success(), "{}", trio.brokers[victim].output());
            trio.restart(&[victim]);
            "stopped"
        }
        _ => {
            // No quorum is left; what is under way waits for one.
            for place in &others {
                trio.brokers[*place].kill9();
            }
            pause(Duration::from_millis(rng.random_range(0..1500)));
            trio.restart(&others);
            "two killed"
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the pace of what happens, not a wait for something"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
