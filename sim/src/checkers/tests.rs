use super::*;
use crate::clock::Time;
use crate::history::{Deletion, Request};

fn request(values: &[&str], sent: u64, answer: Answer) -> Request {
    Request {
        client: 0,
        connection: (1, 1),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        sent: Time(sent),
        answer,
        stamp: None,
    }
}

fn acknowledged(base_offset: u64, at: u64) -> Answer {
    Answer::Acknowledged {
        base_offset,
        at: Time(at),
        by: (1, 1, 1),
    }
}

fn records(values: &[&str]) -> Vec<Read> {
    let read = |(offset, value): (u64, &&str)| Read {
        node: 0,
        offset,
        value: (*value).to_owned(),
    };
    (0..).zip(values).map(read).collect()
}

/// a and b acknowledged, c unknown, d refused; e on another connection.
fn history() -> History {
    let requests = vec![
        request(&["a0", "a1"], 10, acknowledged(0, 20)),
        request(&["b0"], 30, acknowledged(2, 40)),
        request(&["c0"], 50, Answer::None),
        request(&["d0"], 60, Answer::Refused),
    ];
    History {
        requests,
        reads: records(&["a0", "a1"]),
        ..History::default()
    }
}

#[test]
fn what_is_well_passes_with_and_without_the_unknown() {
    let with = partition(&history(), &records(&["a0", "a1", "b0", "c0"]));
    assert_eq!(
        with,
        Ok(Found {
            records: 4,
            unacknowledged: 1
        })
    );
    let without = partition(&history(), &records(&["a0", "a1", "b0"]));
    assert_eq!(
        without,
        Ok(Found {
            records: 3,
            unacknowledged: 0
        })
    );
}

#[test]
fn each_broken_promise_is_named() {
    let cases: [(&[&str], &str); 7] = [
        (&["a0", "a1"], "\"b0\" was acknowledged at 2 and is gone"),
        (&[], "\"a0\" was acknowledged at 0 and is gone"),
        (
            &["a0", "a1", "c0", "b0"],
            "\"b0\" was acknowledged at 2 and is at 3",
        ),
        (
            &["a0", "a1", "b0", "x"],
            "nobody sent \"x\", which is at offset 3",
        ),
        (
            &["a0", "a1", "b0", "d0"],
            "\"d0\" was refused, and is at offset 3",
        ),
        (
            &["a0", "a1", "b0", "c0", "c0"],
            "\"c0\" is at offsets 3 and 4",
        ),
        (
            &["a1", "a0", "b0"],
            "\"a0\" was acknowledged at 0 and is at 1",
        ),
    ];
    for (values, broken) in cases {
        assert_eq!(
            partition(&history(), &records(values)),
            Err(broken.to_owned())
        );
    }
    let mut gap = records(&["a0", "a1", "b0"]);
    gap[2].offset = 5;
    assert_eq!(
        partition(&history(), &gap),
        Err("offset 5 where 2 belongs".to_owned())
    );
}

#[test]
fn a_consumer_that_saw_something_else_is_named() {
    let mut history = history();
    history.reads[1].value = "c0".to_owned();
    let broken = partition(&history, &records(&["a0", "a1", "b0"])).unwrap_err();
    assert!(
        broken.starts_with("a consumer read \"c0\" at offset 1"),
        "{broken}"
    );
    history.reads[1] = Read {
        node: 2,
        offset: 9,
        value: "a0".to_owned(),
    };
    assert!(partition(&history, &records(&["a0", "a1", "b0"])).is_err());
}

#[test]
fn real_time_order_across_clients_and_order_on_a_connection() {
    let mut late = history();
    late.requests[0].answer = acknowledged(1, 20);
    late.requests[1].answer = acknowledged(0, 40);
    late.requests[1].client = 7;
    late.reads.clear();
    let broken = partition(&late, &records(&["b0", "a0", "a1"])).unwrap_err();
    assert_eq!(broken, "offset 0 was sent after Some(1) was acknowledged");
    // Sent together, on one connection: still in order.
    let mut together = late;
    together.requests[1].client = 0;
    together.requests[1].sent = Time(10);
    let broken = partition(&together, &records(&["b0", "a0", "a1"])).unwrap_err();
    assert_eq!(broken, "client 0: offset 0 came after 1");
    // On different connections nobody promised anything.
    together.requests[1].connection = (2, 1);
    assert!(partition(&together, &records(&["b0", "a0", "a1"])).is_ok());
}

fn log(entries: &[(u32, u64)]) -> Vec<Plain> {
    entries
        .iter()
        .map(|&(term, hash)| Plain { term, hash })
        .collect()
}

#[test]
fn logs_may_differ_only_behind_their_last_common_term() {
    let a = log(&[(1, 10), (1, 11), (2, 12), (2, 13)]);
    let matching = |b: &[(u32, u64)]| log_matching((1, 1, &a), (2, 1, &log(b)));
    assert_eq!(matching(&[]), Ok(()));
    assert_eq!(matching(&[(1, 10), (1, 11), (3, 99), (3, 98)]), Ok(()));
    assert_eq!(matching(&[(1, 10), (1, 11), (2, 12)]), Ok(()));
    assert!(
        matching(&[(1, 10), (1, 99), (2, 12)])
            .unwrap_err()
            .ends_with("differ at 2")
    );
    assert!(
        matching(&[(1, 10), (3, 11), (2, 12)])
            .unwrap_err()
            .ends_with("differ at 2")
    );
}

#[test]
fn leaders_watermarks_and_commits() {
    let mut leaders = Leaders::default();
    assert_eq!(leaders.leads(1, 5), Ok(()));
    assert_eq!(leaders.leads(1, 5), Ok(()));
    assert_eq!(leaders.leads(2, 6), Ok(()));
    assert_eq!(
        leaders.leads(2, 5),
        Err("nodes 1 and 2 both lead term 5".to_owned())
    );

    let mut watermarks = Watermarks::default();
    assert_eq!(watermarks.stands(1, 1, 10), Ok(()));
    assert_eq!(
        watermarks.stands(1, 2, 8),
        Ok(()),
        "a restart may know less"
    );
    assert!(watermarks.stands(1, 2, 7).is_err());

    let mut committed = Committed::default();
    let entry = Plain { term: 1, hash: 5 };
    assert_eq!(committed.commits(1, 1, entry), Ok(true));
    assert_eq!(committed.commits(2, 1, entry), Ok(false));
    assert!(
        committed
            .commits(2, 3, entry)
            .unwrap_err()
            .contains("skipped")
    );
    assert!(
        committed
            .commits(2, 1, Plain { term: 1, hash: 6 })
            .unwrap_err()
            .contains("another one had")
    );
}

#[test]
fn logs_that_begin_at_different_places_are_compared_where_both_have_something() {
    let a = log(&[(1, 10), (1, 11), (2, 12), (2, 13)]);
    let later = |start, b: &[(u32, u64)]| log_matching((1, 1, &a), (2, start, &log(b)));
    assert_eq!(later(3, &[(2, 12), (2, 13), (3, 14)]), Ok(()));
    assert_eq!(later(9, &[(3, 14)]), Ok(()));
    assert!(
        later(3, &[(2, 99), (2, 13)])
            .unwrap_err()
            .ends_with("differ at 3")
    );
}

#[test]
fn a_part_of_the_partition_is_what_was_committed_there() {
    let all = records(&["a0", "a1", "b0", "c0"]);
    assert_eq!(part(1, 2, &all[2..], &all), Ok(()));
    // What is committed and not seen yet proves nothing.
    assert_eq!(part(1, 2, &all[2..], &all[..3]), Ok(()));
    assert!(
        part(1, 1, &all[2..], &all)
            .unwrap_err()
            .contains("offset 2 where 1")
    );
    let mut other = all.clone();
    other[3].value = "x".to_owned();
    assert!(
        part(1, 2, &other[2..], &all)
            .unwrap_err()
            .contains("\"c0\" was committed")
    );
}

#[test]
fn a_leader_knows_what_was_promised_and_what_was_deleted() {
    let mut history = history();
    assert_eq!(promised(&history, 0, 3), Ok(()));
    assert!(
        promised(&history, 0, 2)
            .unwrap_err()
            .contains("\"b0\" was acknowledged")
    );
    history.deletions = vec![Deletion {
        at: Time(5),
        by: (1, 1, 1),
        before: 2,
    }];
    assert_eq!(promised(&history, 2, 3), Ok(()));
    assert!(
        promised(&history, 1, 3)
            .unwrap_err()
            .contains("were deleted")
    );
}
