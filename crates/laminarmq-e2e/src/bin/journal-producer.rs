//! A producer in a process of its own that writes down what was acknowledged.
//!
//!     journal-producer ADDRESS TOPIC PARTITIONS WINDOW JOURNAL
//!
//! Each partition has a connection, and WINDOW requests in flight on it with acks=all. It goes on where
//! the journal ends, sends no record twice, and ends when its connections break. Any answer but a
//! success, or an answer out of order, is a failure (exit status 1).

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use laminarmq_e2e::load;
use laminarmq_kafka::ErrorCode;
use laminarmq_testkit::{Client, Entry, JournalReader, JournalWriter};

/// A request without an answer yet.
struct InFlight {
    correlation: i32,
    first: u64,
    count: u32,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("journal-producer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> io::Result<()> {
    let [addr, topic, partitions, window, path] = arguments else {
        return Err(wrong("expected ADDRESS TOPIC PARTITIONS WINDOW JOURNAL"));
    };
    let addr: SocketAddr = addr
        .parse()
        .map_err(|error| wrong(format!("{addr}: {error}")))?;
    let partitions: i32 = partitions
        .parse()
        .map_err(|error| wrong(format!("{partitions}: {error}")))?;
    let window: usize = window
        .parse()
        .map_err(|error| wrong(format!("{window}: {error}")))?;

    let before = JournalReader::open(Path::new(path))?.poll()?;
    let journal = Arc::new(JournalWriter::open(Path::new(path))?);
    let mut threads = Vec::new();
    for partition in 0..partitions {
        let next = next_number(&before, partition);
        let (journal, topic) = (Arc::clone(&journal), topic.clone());
        let client = Client::connect(addr)?;
        threads.push(thread::spawn(move || {
            load_partition(client, &topic, partition, next, window, &journal)
        }));
    }
    threads
        .into_iter()
        .try_for_each(|thread| thread.join().expect("the loader does not panic"))
}

fn wrong(text: impl Into<String>) -> io::Error {
    io::Error::other(text.into())
}

/// The number after all that were ever sent to the partition.
fn next_number(journal: &[Entry], partition: i32) -> u64 {
    let ends = journal.iter().filter_map(|&entry| match entry {
        Entry::Sent {
            partition: p,
            first,
            count,
        } if p == partition => Some(first + u64::from(count)),
        _ => None,
    });
    ends.max().unwrap_or(0)
}

/// Loads one partition until the connection breaks.
fn load_partition(
    client: Client,
    topic: &str,
    partition: i32,
    first: u64,
    window: usize,
    journal: &JournalWriter,
) -> io::Result<()> {
    let sender = client.split()?;
    // One request is with the receiver, the others are in the channel.
    let (queue, answers) = sync_channel(window - 1);
    thread::scope(|scope| {
        // How the sender ends says nothing that the receiver does not see as well.
        scope.spawn(move || send(sender, topic, partition, first, &queue, journal));
        let received = receive(client, partition, &answers, journal);
        // A sender that waits for room in the channel learns of the end this way.
        drop(answers);
        received
    })
}

/// Sends batches until the connection breaks, or the receiver has gone.
fn send(
    mut client: Client,
    topic: &str,
    partition: i32,
    mut first: u64,
    queue: &SyncSender<InFlight>,
    journal: &JournalWriter,
) {
    loop {
        let count = load::batch_count(first);
        let written = journal.write(Entry::Sent {
            partition,
            first,
            count,
        });
        let in_flight = InFlight {
            correlation: client.next_correlation(),
            first,
            count,
        };
        if written.is_err() || queue.send(in_flight).is_err() {
            return;
        }
        if client
            .send_batch(topic, partition, -1, load::batch(partition, first))
            .is_err()
        {
            return;
        }
        first += u64::from(count);
    }
}

/// Writes down acknowledgements until the connection breaks, then how many requests were in flight.
fn receive(
    mut client: Client,
    partition: i32,
    queue: &Receiver<InFlight>,
    journal: &JournalWriter,
) -> io::Result<()> {
    for InFlight {
        correlation,
        first,
        count,
    } in queue
    {
        let (answered, ack) = match client.receive_ack() {
            Ok(Some(answer)) => answer,
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(error),
            // A connection that was cut ends with an error or without one; the journal needs no difference.
            Ok(None) | Err(_) => {
                let others = queue.iter().count();
                let in_flight = u32::try_from(others + 1).expect("the window is small");
                return journal.write(Entry::Broken {
                    partition,
                    in_flight,
                });
            }
        };
        if answered != correlation {
            return Err(wrong(format!(
                "answer {answered} came before answer {correlation}"
            )));
        }
        if ack.error_code != ErrorCode::NONE {
            return Err(wrong(format!(
                "partition {partition}: {} {:?}",
                ack.error_code, ack.error_message
            )));
        }
        journal.write(Entry::Acked {
            partition,
            first,
            count,
            base_offset: ack.base_offset,
        })?;
    }
    Ok(())
}
