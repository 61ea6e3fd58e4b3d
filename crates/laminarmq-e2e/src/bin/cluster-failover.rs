//! How long a partition takes from the SIGKILL of its leader to the first acknowledged write: three brokers,
//! replication factor 3, acks=all, so each time is an election, its no-op on two disks, and a batch on two.
//!
//!     LAMINARMQ_BIN=target/release/laminarmq cargo run --release -p laminarmq-e2e --bin cluster-failover -- 100

use std::process::ExitCode;
use std::time::{Duration, Instant};

use laminarmq_e2e::load;
use laminarmq_kafka::ErrorCode;
use laminarmq_testkit::trio::Trio;
use laminarmq_testkit::{Client, TestDir, pause};

const TOPIC: &str = "failover";
const ALL: [usize; 3] = [0, 1, 2];
/// Longer is a failure of another kind.
const PATIENCE: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "this measures time")]
fn now() -> Instant {
    Instant::now()
}

fn main() -> ExitCode {
    let kills = std::env::args().nth(1);
    let Some(Ok(kills)) = kills.map_or(Some(Ok(100)), |text| Some(text.parse::<usize>())) else {
        eprintln!("usage: cluster-failover [KILLS]");
        return ExitCode::from(2);
    };
    let dir = TestDir::new("cluster-failover");
    let mut trio = Trio::start(&dir);
    let mut client = Client::connect(trio.brokers[0].addr()).expect("connected");
    client.create_topic(TOPIC, 1, &[]);
    drop(client);
    let mut number = 0;
    let mut times = Vec::with_capacity(kills);
    for kill in 0..kills {
        let leader = trio.leaders(0, TOPIC, &ALL)[0];
        write(&trio, &ALL, &mut number);
        trio.brokers[leader].kill9();
        let began = now();
        let others: Vec<_> = ALL.into_iter().filter(|place| *place != leader).collect();
        write(&trio, &others, &mut number);
        let took = began.elapsed();
        println!(
            "{kill:4}  node {}  {:6.0} ms",
            leader + 1,
            took.as_secs_f64() * 1e3
        );
        times.push(took);
        trio.restart(&[leader]);
    }
    times.sort_unstable();
    let at = |share: f64| {
        #[expect(
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "a place in a short list"
        )]
        let place = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len()) - 1;
        times[place].as_secs_f64() * 1e3
    };
    println!(
        "{kills} kills: p50 {:.0} ms, p90 {:.0} ms, p99 {:.0} ms, most {:.0} ms",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    ExitCode::SUCCESS
}

/// Writes one batch, asking one node after the other for the leader until it is acknowledged.
fn write(trio: &Trio, among: &[usize], number: &mut u64) {
    let began = now();
    loop {
        for place in among {
            if try_write(trio, *place, *number) {
                *number += 1;
                return;
            }
        }
        assert!(began.elapsed() < PATIENCE, "nobody takes a write");
        pause(Duration::from_millis(10));
    }
}

fn try_write(trio: &Trio, place: usize, number: u64) -> bool {
    let Ok(mut client) = Client::connect(trio.brokers[place].addr()) else {
        return false;
    };
    if client
        .send_batch(TOPIC, 0, -1, load::batch(0, number))
        .is_err()
    {
        return false;
    }
    match client.receive_ack() {
        Ok(Some((_, answer))) => answer.error_code == ErrorCode::NONE,
        _ => false,
    }
}
