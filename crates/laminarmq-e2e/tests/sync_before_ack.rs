//! Under strace: with `flush=sync` each answer leaves after a completed sync of its partition's data.

use std::net::SocketAddr;

use laminarmq_e2e::load;
use laminarmq_e2e::trace::{Answers, STRACE, Watch, answers};
use laminarmq_testkit::strace::parse;
use laminarmq_testkit::{BrokerBuilder, Client, Deadline, TestDir, eventually};

const TOPIC: &str = "synced";
const SENDS: i32 = 100;

#[test]
fn with_flush_sync_each_answer_leaves_after_the_sync_of_its_data() {
    let (judged, sent) = traced_sends("sync");
    println!(
        "flush=sync: {} answers, {} writes, {} syncs",
        judged.answers.len(),
        judged.writes,
        judged.syncs
    );
    assert_eq!(judged.violation(sent), None);
}

/// The same judge on a broker that does not sync: it must see the difference.
#[test]
fn with_flush_os_answers_leave_before_a_sync() {
    let (judged, sent) = traced_sends("os");
    let unsynced = judged
        .answers
        .iter()
        .filter(|answer| !answer.synced)
        .count();
    println!(
        "flush=os: {} answers, {unsynced} of them before a sync",
        judged.answers.len()
    );
    assert_eq!(judged.answers.len(), sent.len());
    assert!(
        judged.answers.iter().all(|answer| answer.wrote),
        "written before it was answered"
    );
    assert!(unsynced > 0 && judged.violation(sent).is_some());
}

/// Sends batches one after the other, each with acks=all, to a broker under strace.
fn traced_sends(flush: &str) -> (Answers, std::ops::Range<i32>) {
    let dir = TestDir::new("sync-before-ack");
    let data = dir.join("data");
    let output = dir.join("trace");
    let output_text = output.to_str().expect("a path in UTF-8");
    let wrapper = [&STRACE[..], &[output_text]].concat();
    let mut broker = BrokerBuilder::new(&data).wrapper(&wrapper).start();
    let addr = broker.addr();

    let sent = send(addr, flush);
    broker.sigterm();
    assert!(
        broker.wait_for_exit().success(),
        "the traced broker ends cleanly"
    );
    let trace = eventually("strace writes its last line", Deadline::seconds(60), || {
        let trace = std::fs::read_to_string(&output).expect("the trace is read");
        trace
            .trim_end()
            .ends_with("+++ exited with 0 +++")
            .then_some(trace)
    });

    let folder = data
        .canonicalize()
        .expect("the data directory is there")
        .join("topics");
    let folder = format!("{}/{TOPIC}-0/", folder.display());
    let watch = Watch {
        folder: &folder,
        suffix: ".log",
        listener: &addr.to_string(),
        correlations: sent.clone(),
    };
    (answers(&parse(&trace).expect("a trace"), &watch), sent)
}

/// Returns the correlation ids of the sends.
fn send(addr: SocketAddr, flush: &str) -> std::ops::Range<i32> {
    let mut client = Client::connect(addr).expect("connected");
    client.create_topic(TOPIC, 1, &[("flush", flush)]);
    let first = client.next_correlation();
    let mut number = 0;
    for _ in 0..SENDS {
        client.produce(TOPIC, 0, load::batch(0, number));
        number += u64::from(load::batch_count(number));
    }
    first..client.next_correlation()
}
