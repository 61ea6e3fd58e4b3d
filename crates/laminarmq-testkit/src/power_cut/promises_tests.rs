use laminarmq_kafka::messages::produce::{PartitionProduceResponse, TopicProduceResponse};
use laminarmq_kafka::messages::{DeleteTopicsResponse, ProduceResponse};
use laminarmq_kafka::{ApiKey, RequestHeader, encode_response};

use super::*;
use crate::strace::parse;

const LISTENER: &str = "127.0.0.1:9092";
const PEER: &str = "127.0.0.1:555";

fn send(bytes: &[u8], result: &str) -> String {
    let data: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!(
        "7 sendto(4<TCP:[{LISTENER}->{PEER}]>, \"{data}\", {}, MSG_NOSIGNAL, NULL, 0) = {result}\n",
        bytes.len()
    )
}

fn header(api_key: ApiKey, api_version: i16, correlation_id: i32) -> RequestHeader {
    RequestHeader {
        api_key,
        api_version,
        correlation_id,
        client_id: None,
    }
}

fn ack(correlation: i32, base_offset: i64) -> Vec<u8> {
    let partition = PartitionProduceResponse {
        base_offset,
        ..Default::default()
    };
    let topic = TopicProduceResponse {
        name: "t".to_owned(),
        partition_responses: vec![partition],
    };
    let response = ProduceResponse {
        responses: vec![topic],
        ..Default::default()
    };
    let request = header(ApiKey::Produce, PRODUCE_VERSION, correlation);
    let pieces = encode_response(&request, &response);
    pieces.expect("it can be encoded").concat()
}

fn deleted(correlation: i32) -> Vec<u8> {
    let response = DeleteTopicsResponse {
        responses: vec![Default::default()],
        ..Default::default()
    };
    let request = header(ApiKey::DeleteTopics, DELETE_TOPICS_VERSION, correlation);
    let pieces = encode_response(&request, &response);
    pieces.expect("it can be encoded").concat()
}

fn request(correlation: i32, asked: Asked) -> Request {
    Request {
        run: 0,
        peer: PEER.to_owned(),
        correlation,
        asked,
        answered: true,
    }
}

fn create() -> Request {
    let asked = Asked::CreateTopic {
        topic: "t".to_owned(),
        incarnation: 0,
        partitions: 1,
    };
    Request {
        answered: false,
        ..request(0, asked)
    }
}

fn produce(correlation: i32, number: u32) -> Request {
    let stream = Stream {
        run: 0,
        topic: "t".to_owned(),
        incarnation: 0,
        partition: 0,
    };
    request(correlation, Asked::Produce { stream, number })
}

fn read(trace: &str, requests: &[Request]) -> Result<Promises, String> {
    let trace = parse(trace).expect("a trace");
    Promises::read(&[trace], &[LISTENER.to_owned()], requests)
}

fn acks(promises: &Promises) -> Vec<(usize, u32, i64)> {
    let acks = promises.topics["t"][&0].acks.values().flatten();
    acks.map(|ack| (ack.at.step, ack.number, ack.base_offset))
        .collect()
}

#[test]
fn an_ack_counts_from_the_send_that_completes_it() {
    let (first, second) = (ack(1, 0), ack(2, 5));
    let both = [first, second].concat();
    let (a, rest) = both.split_at(3);
    let (b, c) = rest.split_at(rest.len() - 2);
    // The second send takes less than it was given; the third begins with the rest.
    let taken = b.len() - 4;
    let third = [&b[taken..], c].concat();
    let trace = send(a, "3") + &send(b, &taken.to_string()) + &send(&third, "6");
    let promises = read(&trace, &[create(), produce(1, 0), produce(2, 1)]).expect("promises");
    assert_eq!(acks(&promises), [(2, 0, 0), (4, 1, 5)]);
    let at = |step| promises.made_until(Moment { run: 0, step });
    assert_eq!([at(1), at(2), at(3), at(4)], [0, 1, 1, 2]);
}

#[test]
fn an_answer_in_a_send_that_never_returned_counts() {
    let promises = read(&send(&ack(1, 7), "?"), &[create(), produce(1, 0)]);
    assert_eq!(acks(&promises.expect("promises")), [(0, 0, 7)]);
    // The connection was gone: nobody was told anything.
    let broken = send(&ack(1, 7), "-1 EPIPE (Broken pipe)");
    let unanswered = Request {
        answered: false,
        ..produce(1, 0)
    };
    let promises = read(&broken, &[create(), unanswered]);
    assert_eq!(acks(&promises.expect("promises")), []);
}

#[test]
fn an_answer_that_only_the_client_saw_is_an_error() {
    let error = read("", &[create(), produce(1, 0)]).expect_err("no answer");
    assert!(error.contains("not in the trace"), "{error}");
    let elsewhere = send(&ack(1, 0), "99").replace("9092->", "9093->");
    assert!(read(&elsewhere, &[create(), produce(1, 0)]).is_err());
}

#[test]
fn a_topic_is_doomed_from_the_answer_before_its_end_was_asked_for() {
    let trace = send(&ack(1, 0), "99") + &send(&deleted(2), "99");
    let delete = Asked::DeleteTopic {
        topic: "t".to_owned(),
        incarnation: 3,
    };
    let requests = [create(), produce(1, 0), request(2, delete)];
    let promises = read(&trace, &requests).expect("promises");
    let topic = &promises.topics["t"][&0];
    let at = |step| Some(Moment { run: 0, step });
    assert_eq!((topic.doomed, topic.deleted), (at(0), at(2)));
}
