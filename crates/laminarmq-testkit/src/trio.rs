//! Three real brokers that are one cluster.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;

use crate::{BrokerBuilder, BrokerProcess, Client, Deadline, TestDir, eventually};
use laminarmq_kafka::messages::MetadataRequest;
use laminarmq_kafka::messages::metadata::MetadataRequestTopic;

/// How many nodes there are.
pub const NODES: usize = 3;
/// How long everything may take to have a leader again.
const LEADERS_SECONDS: u64 = 60;

/// Where one of the brokers is.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Its data.
    pub data_dir: PathBuf,
    /// Where clients reach it.
    pub client: SocketAddr,
    /// Where the others reach it.
    pub peer: SocketAddr,
    /// The command that starts it and is replaced by it; nothing: it is started by itself.
    pub wrapper: Vec<String>,
}

/// The brokers, by their places 0, 1, 2; the node ids are one more.
#[derive(Debug)]
pub struct Trio {
    /// Each of them.
    pub brokers: Vec<BrokerProcess>,
}

impl Trio {
    /// Starts three new brokers on ports of this machine, with their data in `dir`, and waits until all are
    /// ready.
    ///
    /// # Panics
    /// When one does not become ready.
    #[must_use]
    pub fn start(dir: &TestDir) -> Self {
        Self::start_in(&dir.join(""), &[])
    }

    /// The same through another program, see [`BrokerBuilder::wrapper`].
    ///
    /// # Panics
    /// When one does not become ready.
    #[must_use]
    pub fn start_wrapped(dir: &TestDir, wrapper: &[&str]) -> Self {
        Self::start_in(&dir.join(""), wrapper)
    }

    /// The same in any directory.
    ///
    /// # Panics
    /// When one does not become ready.
    #[must_use]
    pub fn start_in(dir: &Path, wrapper: &[&str]) -> Self {
        let addresses = free_addresses(NODES * 2);
        let (clients, peers) = addresses.split_at(NODES);
        let seats = (0..NODES).map(|place| Seat {
            data_dir: dir.join(format!("node-{}", place + 1)),
            client: clients[place],
            peer: peers[place],
            wrapper: wrapper.iter().map(|&word| word.to_owned()).collect(),
        });
        Self::start_at(&seats.collect::<Vec<_>>())
    }

    /// The same, each where its seat says.
    ///
    /// # Panics
    /// When one does not become ready.
    #[must_use]
    pub fn start_at(seats: &[Seat]) -> Self {
        let nodes: Vec<_> = (1..)
            .zip(seats)
            .map(|(id, seat)| format!("{id}@{}", seat.peer))
            .collect();
        let nodes = nodes.join(",");
        let builders = (1..).zip(seats).map(|(id, seat)| {
            let id: u32 = id;
            let wrapper: Vec<_> = seat.wrapper.iter().map(String::as_str).collect();
            BrokerBuilder::new(&seat.data_dir)
                .listen(seat.client)
                .args(&["--cluster", &nodes, "--node-id", &id.to_string()])
                .wrapper(&wrapper)
        });
        // All at once: a new cluster begins when its nodes have heard of each other.
        let starting: Vec<_> = builders
            .map(|builder| thread::spawn(|| builder.start()))
            .collect();
        let started = starting.into_iter().map(|one| one.join());
        let brokers =
            started.map(|broker| broker.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        Self {
            brokers: brokers.collect(),
        }
    }

    /// All addresses, as a client is told them.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        let addresses = self.brokers.iter().map(|broker| broker.addr().to_string());
        addresses.collect::<Vec<_>>().join(",")
    }

    /// Starts these again, which have ended, and waits until they are ready.
    ///
    /// # Panics
    /// When one does not become ready.
    pub fn restart(&mut self, places: &[usize]) {
        thread::scope(|scope| {
            for (place, broker) in self.brokers.iter_mut().enumerate() {
                if places.contains(&place) {
                    scope.spawn(|| broker.restart());
                }
            }
        });
    }

    /// The places of the leaders of a topic's partitions, as the node at `asked` knows them, once each has
    /// one of those at `among`.
    ///
    /// # Panics
    /// When some have none in time.
    #[must_use]
    pub fn leaders(&self, asked: usize, topic: &str, among: &[usize]) -> Vec<usize> {
        let deadline = Deadline::seconds(LEADERS_SECONDS);
        eventually("a leader of each partition", deadline, || {
            self.leaders_now(asked, topic, among)
        })
    }

    /// The same as it is now; none while a partition has no leader, or one elsewhere.
    #[must_use]
    pub fn leaders_now(&self, asked: usize, topic: &str, among: &[usize]) -> Option<Vec<usize>> {
        let leaders = leaders(self.brokers[asked].addr(), topic)?;
        let all = leaders.iter().all(|place| among.contains(place));
        (all && !leaders.is_empty()).then_some(leaders)
    }
}

fn leaders(addr: SocketAddr, topic: &str) -> Option<Vec<usize>> {
    let mut client = Client::connect(addr).ok()?;
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(topic.to_owned()),
            ..MetadataRequestTopic::default()
        }]),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    let answer = client.call(9, &request).ok()?;
    let mut partitions = answer.topics.into_iter().next()?.partitions;
    partitions.sort_by_key(|partition| partition.partition_index);
    let place = |id: i32| usize::try_from(id - 1).ok();
    partitions.iter().map(|p| place(p.leader_id)).collect()
}

/// Addresses that nobody had a moment ago.
fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let taken: Vec<_> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
        .collect();
    let address = |socket: &TcpListener| socket.local_addr().expect("bound");
    taken.iter().map(address).collect()
}
