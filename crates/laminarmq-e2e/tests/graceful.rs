//! Starting and ending: SIGTERM drains and leaves cleanly, and a second broker is refused with the reason.

use laminarmq_e2e::load;
use laminarmq_kafka::ErrorCode;
use laminarmq_testkit::{BrokerBuilder, BrokerProcess, Client, Deadline, TestDir, run};

const TOPIC: &str = "kept";

#[test]
fn sigterm_answers_what_was_received_and_exits_with_0() {
    let dir = TestDir::new("graceful");
    let mut broker = BrokerProcess::start(&dir.join("data"));
    let mut client = Client::connect(broker.addr()).expect("connected");
    client.create_topic(TOPIC, 1, &[]);
    client.produce(TOPIC, 0, load::batch(0, 0));
    let mut next = u64::from(load::batch_count(0));

    // Requests that the broker may or may not have read when the signal comes.
    let mut sent = Vec::new();
    for _ in 0..50 {
        sent.push((
            client
                .send_batch(TOPIC, 0, -1, load::batch(0, next))
                .expect("sent"),
            next,
        ));
        next += u64::from(load::batch_count(next));
    }
    broker.sigterm();
    let mut acked = Vec::new();
    // A connection that is cut with unread requests may end with a reset.
    while let Ok(Some((correlation, ack))) = client.receive_ack() {
        let (expected, first) = sent[acked.len()];
        assert_eq!(correlation, expected, "answers come in order");
        if ack.error_code != ErrorCode::NONE {
            assert!(
                ack.error_code.retriable(),
                "a broker that leaves says: try again; not {}",
                ack.error_code
            );
            break;
        }
        acked.push((first, ack.base_offset));
    }
    let status = broker.wait_for_exit();
    assert_eq!(status.code(), Some(0), "{}", broker.output());

    broker.restart();
    let mut client = Client::connect(broker.addr()).expect("connected");
    let records: Vec<_> = client
        .read_from(TOPIC, 0, 0)
        .into_iter()
        .flat_map(|batch| batch.records)
        .collect();
    for (first, base_offset) in &acked {
        let at = usize::try_from(*base_offset).expect("an offset");
        assert_eq!(records[at].key.as_deref(), Some(&load::key(*first)[..]));
    }
    println!(
        "{} of {} requests were answered between SIGTERM and the end; all are there",
        acked.len(),
        sent.len()
    );
}

#[test]
fn an_idle_broker_with_open_connections_leaves_on_sigterm() {
    let dir = TestDir::new("graceful-idle");
    let mut broker = BrokerProcess::start(&dir.join("data"));
    let clients: Vec<_> = (0..10)
        .map(|_| Client::connect(broker.addr()).expect("connected"))
        .collect();
    broker.sigterm();
    assert_eq!(
        broker.wait_for_exit().code(),
        Some(0),
        "{}",
        broker.output()
    );
    drop(clients);
}

#[test]
fn a_second_broker_on_the_same_directory_is_refused() {
    let dir = TestDir::new("second");
    let data = dir.join("data");
    let mut first = BrokerProcess::start(&data);
    let second = run(
        &mut BrokerBuilder::new(&data).command(),
        Deadline::seconds(60),
    );
    assert!(!second.status.success());
    let said = second.stderr;
    assert!(
        said.contains("data") && (said.contains("in use") || said.contains("lock")),
        "{said}"
    );
    assert!(
        said.contains(data.to_str().expect("UTF-8")),
        "names the directory: {said}"
    );
    assert!(first.is_running(), "the first one is not disturbed");
    Client::connect(first.addr())
        .expect("connected")
        .create_topic(TOPIC, 1, &[]);
}

#[test]
fn a_port_in_use_is_named() {
    let dir = TestDir::new("port");
    let first = BrokerProcess::start(&dir.join("one"));
    let second = BrokerBuilder::new(&dir.join("two")).listen(first.addr());
    let second = run(&mut second.command(), Deadline::seconds(60));
    assert!(!second.status.success());
    let said = second.stderr;
    assert!(
        said.contains("in use") || said.contains("another program"),
        "{said}"
    );
    assert!(
        said.contains(&first.addr().port().to_string()),
        "names the port: {said}"
    );
}
