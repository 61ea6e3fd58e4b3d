//! Three brokers under the load of an idempotent producer, to which something happens in each round.
//!
//! What holds here:
//! - what happens in a round is undone at its end, and then all three brokers run;
//! - what happens is drawn from a seed, each kind once before any a second time;
//! - load goes on while a majority of the nodes can work together, and each round waits for some of it to be
//!   delivered: a cluster that stands still is a failure;
//! - a broker ends only by what a round does to it, and never says that it panicked.

pub mod check;
mod disk;
mod disks;
mod kind;
mod links;
mod network;
mod processes;

pub use disk::Disk;
pub use kind::Kind;
pub use network::{Namespace, Network};

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use laminarmq_kafka::ErrorCode;
use laminarmq_testkit::{Client, Deadline, eventually, pause};
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::idempotent::{IdempotentLoad, UNTOLD_OFFSET};
use laminarmq_testkit::trio::{NODES, Trio};

const TOPIC: &str = "survives";
const PARTITIONS: i32 = 3;
/// What happens comes after so many deliveries of the round at the latest.
const DELIVERIES_MAX: usize = 2000;
/// So many deliveries at least go on beside what happens.
const DELIVERIES_BESIDE: usize = 500;
/// How long deliveries may take. An election and a few retries of the client are far less.
const DELIVERIES_SECONDS: u64 = 120;
/// How long it may take until all partitions can be read from their leaders.
const READABLE_SECONDS: u64 = 60;

/// What is around the brokers and can be taken from them.
#[derive(Debug)]
pub struct Surroundings {
    /// The links between the nodes, and to the client.
    pub network: Network,
    /// Each node's disk, by its place.
    pub disks: Vec<Disk>,
}

/// The brokers, their load, and what happened to them.
pub struct Chaos {
    trio: Trio,
    load: IdempotentLoad,
    rng: ChaCha8Rng,
    surroundings: Option<Surroundings>,
    happened: BTreeMap<Kind, usize>,
}

impl Chaos {
    /// Makes the topic on new brokers, and a producer with these settings of librdkafka. Without
    /// surroundings only processes are hurt.
    ///
    /// # Panics
    /// When the topic cannot be made.
    #[must_use]
    pub fn new(
        trio: Trio,
        seed: u64,
        settings: &[(&str, &str)],
        surroundings: Option<Surroundings>,
    ) -> Self {
        let mut client = Client::connect(trio.brokers[0].addr()).expect("connected");
        // Small segments, so that faults meet rolls.
        client.create_topic(TOPIC, PARTITIONS, &[("segment.bytes", "65536")]);
        let load = IdempotentLoad::with_settings(&trio.bootstrap(), TOPIC, PARTITIONS, settings);
        Self {
            trio,
            load,
            rng: ChaCha8Rng::seed_from_u64(seed),
            surroundings,
            happened: BTreeMap::new(),
        }
    }

    /// Lets so many records wait for their delivery.
    #[must_use]
    pub fn queue_at_most(mut self, records: i32) -> Self {
        self.load = self.load.queue_at_most(records);
        self
    }

    /// The kinds that can happen here.
    #[must_use]
    pub fn kinds(&self) -> &'static [Kind] {
        match self.surroundings {
            Some(_) => Kind::ALL,
            None => Kind::OF_PROCESSES,
        }
    }

    /// Lets so many things happen, and says of each what it was.
    ///
    /// # Panics
    /// When the brokers do anything else than expected, or one kind never had its turn.
    pub fn run(&mut self, rounds: usize) {
        let kinds = self.kinds();
        let mut first = kinds.to_vec();
        first.shuffle(&mut self.rng);
        for round in 0..rounds {
            let before = self.rng.random_range(1..=DELIVERIES_MAX);
            self.deliver(before);
            let any = || *kinds.choose(&mut self.rng).expect("there are kinds");
            let kind = first.get(round).copied().unwrap_or_else(any);
            // Said before it happens, so that a failure has its kind.
            print!("round {:3}: {kind}: ", round + 1);
            std::io::stdout().flush().expect("somebody reads it");
            let what = self.hurt(kind);
            println!("{what}; {} delivered", self.load.delivered());
            for (place, broker) in self.trio.brokers.iter_mut().enumerate() {
                let running = broker.is_running();
                assert!(
                    running,
                    "node {} ended by itself:\n{}",
                    id(place),
                    broker.output()
                );
            }
            *self.happened.entry(kind).or_default() += 1;
        }
        self.deliver(DELIVERIES_MAX);
        for kind in kinds {
            assert!(self.happened.contains_key(kind), "never happened: {kind}");
        }
    }

    /// Waits until all is delivered, and compares what the leaders hold with it: then with each node away
    /// once, so that the others lead.
    ///
    /// # Panics
    /// When anything acknowledged is lost, doubled, out of order or changed.
    pub fn finish(self) {
        let Self {
            mut trio,
            load,
            happened,
            ..
        } = self;
        let sent = load.sent();
        let delivered = load.finish();
        let all: Vec<_> = (0..NODES).collect();
        check_leaders(&trio, &all, sent, &delivered);
        for away in 0..NODES {
            end_in_order(&mut trio, away);
            let others: Vec<_> = all.iter().copied().filter(|&at| at != away).collect();
            check_leaders(&trio, &others, sent, &delivered);
            trio.restart(&[away]);
        }
        for place in 0..NODES {
            end_in_order(&mut trio, place);
        }
        let offsets = delivered.values().flat_map(BTreeMap::values);
        let untold = offsets.filter(|&&offset| offset == UNTOLD_OFFSET).count();
        for (kind, count) in &happened {
            println!("{count:4}  {kind}");
        }
        println!(
            "{sent} records in each of {PARTITIONS} partitions: each readable, once, in order; \
             {untold} acknowledged by a later answer only"
        );
    }

    fn hurt(&mut self, kind: Kind) -> String {
        match kind {
            Kind::LeaderKilled => self.leader_killed(),
            Kind::Killed => self.killed(),
            Kind::Frozen => self.frozen(),
            Kind::Stopped => self.stopped(),
            Kind::TwoKilled => self.two_killed(),
            Kind::OneWay => self.one_way(),
            Kind::TwoApart => self.two_apart(),
            Kind::Isolated => self.isolated(),
            Kind::Unreachable => self.unreachable(),
            Kind::AllApart => self.all_apart(),
            Kind::DiskFull => self.disk_full(),
            Kind::DiskFullForAMoment => self.disk_full_for_a_moment(),
            Kind::TwoDisksFull => self.two_disks_full(),
        }
    }

    /// Sends until so many more records are delivered.
    fn deliver(&mut self, more: usize) {
        let goal = self.load.delivered() + more;
        eventually("deliveries", Deadline::seconds(DELIVERIES_SECONDS), || {
            for _ in 0..20 {
                self.load.send();
            }
            (self.load.delivered() >= goal).then_some(())
        });
    }

    /// Lets a time drawn up to `most` pass, with a little load, whether it is delivered or not.
    fn let_pass(&mut self, most: Duration) {
        let milliseconds = u64::try_from(most.as_millis()).expect("a short time");
        let time = Duration::from_millis(self.rng.random_range(0..milliseconds));
        let deadline = Deadline::after(time);
        while !deadline.is_past() {
            self.load.send();
            pause(Duration::from_millis(1));
        }
    }

    fn any_place(&mut self) -> usize {
        self.rng.random_range(0..NODES)
    }

    /// A node that leads a partition. All nodes have to be well.
    fn a_leader(&mut self) -> usize {
        let all: Vec<_> = (0..NODES).collect();
        let leaders = self.trio.leaders(0, TOPIC, &all);
        *leaders.choose(&mut self.rng).expect("there are partitions")
    }

    /// The same in half of the cases, else any node.
    fn often_a_leader(&mut self) -> usize {
        if self.rng.random() {
            self.a_leader()
        } else {
            self.any_place()
        }
    }

    /// Starts these again, which have ended.
    fn restart(&mut self, places: &[usize]) {
        for &place in places {
            look_for_a_panic(&self.trio, place);
        }
        self.trio.restart(places);
    }
}

fn others(place: usize) -> Vec<usize> {
    (0..NODES).filter(|&other| other != place).collect()
}

/// How people and the brokers call a place.
fn id(place: usize) -> usize {
    place + 1
}

/// What a broker printed is gone when it is started again.
fn look_for_a_panic(trio: &Trio, place: usize) {
    let output = trio.brokers[place].output();
    assert!(
        !output.contains("panicked"),
        "node {}:\n{output}",
        id(place)
    );
}

/// Asks a broker to end, and waits until it has.
fn end_in_order(trio: &mut Trio, place: usize) {
    let broker = &mut trio.brokers[place];
    broker.sigterm();
    let status = broker.wait_for_exit();
    assert!(status.success(), "{status}:\n{}", broker.output());
    look_for_a_panic(trio, place);
}

/// Compares what the leaders hold, once each partition is led by one of these.
fn check_leaders(
    trio: &Trio,
    among: &[usize],
    sent: u64,
    delivered: &BTreeMap<i32, BTreeMap<u64, i64>>,
) {
    let deadline = Deadline::seconds(READABLE_SECONDS);
    // A node that only just leads does not show anything yet.
    let leaders = eventually("the leaders can be read", deadline, || {
        let leaders = trio.leaders(among[0], TOPIC, among);
        let readable = |(partition, &leader): (i32, &usize)| {
            let mut client = Client::connect(trio.brokers[leader].addr()).ok()?;
            let fetched = client.fetch(TOPIC, partition, 0).ok()?;
            (fetched.error_code == ErrorCode::NONE).then_some(())
        };
        let all: Option<()> = (0..).zip(&leaders).map(readable).collect();
        all.map(|()| leaders)
    });
    for (partition, leader) in (0..PARTITIONS).zip(leaders) {
        let mut client = Client::connect(trio.brokers[leader].addr()).expect("connected");
        let batches = client.read_from(TOPIC, partition, 0);
        let stored = batches.into_iter().flat_map(|batch| batch.records);
        let stored: Vec<_> = stored.collect();
        let acknowledged = &delivered[&partition];
        assert_eq!(acknowledged.len() as u64, sent, "partition {partition}");
        if let Err(wrong) = check::same(partition, &stored, acknowledged) {
            panic!("partition {partition} on node {}: {wrong}", id(leader));
        }
    }
}
