//! Three brokers in network namespaces of their own, each with a small disk of its own, while they are killed,
//! frozen and stopped, links between them are cut, and their disks run full: see `laminarmq_e2e::chaos`.
//!
//! `ci/chaos/run` makes what this needs and starts it. `LAMINARMQ_SEED` replays what happens in a run.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use laminarmq_e2e::chaos::{Chaos, Disk, Kind, Namespace, Network, Surroundings};
use laminarmq_e2e::seed;
use laminarmq_testkit::trio::{NODES, Seat, Trio};

const CLIENT_PORT: u16 = 9092;
const PEER_PORT: u16 = 9093;
/// What can wait for its delivery is less than what a disk has for each round.
const QUEUED_MAX: i32 = 4000;
/// An answer that was lost is asked for again soon, so that a round need not wait for long, and repetitions
/// of what was written are many.
const SETTINGS: &[(&str, &str)] = &[
    ("request.timeout.ms", "2000"),
    ("socket.timeout.ms", "3000"),
    ("socket.connection.setup.timeout.ms", "2000"),
];

struct Arguments {
    rounds: usize,
    client: Namespace,
    nodes: Vec<(Namespace, PathBuf)>,
}

fn arguments() -> Option<Arguments> {
    let given: Vec<_> = std::env::args().skip(1).collect();
    let (rounds, client, nodes) = match &given[..] {
        [rounds, client, nodes @ ..] if nodes.len() == NODES => (rounds, client, nodes),
        _ => return None,
    };
    let node = |text: &String| {
        let (namespace, disk) = text.split_once('=')?;
        Some((self::namespace(namespace)?, PathBuf::from(disk)))
    };
    Some(Arguments {
        rounds: rounds.parse().ok()?,
        client: namespace(client)?,
        nodes: nodes.iter().map(node).collect::<Option<_>>()?,
    })
}

fn namespace(text: &str) -> Option<Namespace> {
    let (name, address) = text.split_once('@')?;
    Some(Namespace {
        name: name.to_owned(),
        address: address.parse::<Ipv4Addr>().ok()?,
    })
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("usage: cluster-chaos ROUNDS NAME@ADDRESS NAME@ADDRESS=DISK (three of these)");
        return ExitCode::from(2);
    };
    let kinds = Kind::ALL.len();
    if arguments.rounds < kinds {
        eprintln!("cluster-chaos: {kinds} rounds at least, or not every kind happens");
        return ExitCode::from(2);
    }
    let seats: Vec<_> = arguments.nodes.iter().map(seat).collect();
    let disks = arguments.nodes.iter().map(|(_, disk)| Disk::new(disk));
    let disks = disks.collect();
    let nodes = arguments.nodes.into_iter().map(|(node, _)| node);
    let surroundings = Surroundings {
        network: Network::new(arguments.client, nodes.collect()),
        disks,
    };
    let trio = Trio::start_at(&seats);
    let chaos = Chaos::new(trio, seed(), SETTINGS, Some(surroundings));
    let mut chaos = chaos.queue_at_most(QUEUED_MAX);
    chaos.run(arguments.rounds);
    chaos.finish();
    ExitCode::SUCCESS
}

/// The broker of a node, started in the node's namespace.
fn seat((namespace, disk): &(Namespace, PathBuf)) -> Seat {
    let address = |port| SocketAddr::from((namespace.address, port));
    let wrapper = ["ip", "netns", "exec", &namespace.name];
    Seat {
        data_dir: disk.join("data"),
        client: address(CLIENT_PORT),
        peer: address(PEER_PORT),
        wrapper: wrapper.map(str::to_owned).to_vec(),
    }
}
