use laminarmq_kafka::batch::batches;

use super::*;
use crate::power_cut::promises::{Ack, Seen};

const PARTITION: i32 = 0;

fn at(step: usize) -> Moment {
    Moment { run: 1, step }
}

fn stream(run: usize, incarnation: u32) -> Stream {
    Stream {
        run,
        topic: "t".to_owned(),
        incarnation,
        partition: PARTITION,
    }
}

/// Batches as they are stored one after the other, from offset 0 on.
fn stored(sent: &[(usize, u32)]) -> Vec<Batch> {
    let mut offset = 0;
    let store = |&(run, number): &(usize, u32)| {
        let mut bytes = content::batch(&stream(run, 0), number).to_vec();
        bytes[..8].copy_from_slice(&i64::to_be_bytes(offset));
        offset += i64::try_from(content::record_count(&stream(run, 0), number)).expect("few");
        let batch = batches(bytes.into()).next();
        batch.expect("one batch").expect("a batch")
    };
    sent.iter().map(store).collect()
}

/// Where the batch at this place begins.
fn offset(sent: &[(usize, u32)], place: usize) -> i64 {
    stored(sent)[place].header().base_offset
}

/// What was sent: three batches in run 0 and two in run 1. The first of run 0 and run 1 are acknowledged.
fn topic() -> Topic {
    let kept = [(0, 0), (0, 1), (1, 0)];
    let ack = |step, run, place| Ack {
        at: at(step),
        stream: stream(run, 0),
        number: 0,
        base_offset: offset(&kept, place),
    };
    Topic {
        partitions: 1,
        asked_for: at(0),
        created: Some(at(1)),
        doomed: None,
        deleted: None,
        acks: BTreeMap::from([(PARTITION, vec![ack(2, 0, 0), ack(3, 1, 2)])]),
        seen: BTreeMap::new(),
        sent: BTreeMap::from([((PARTITION, 0), 3), ((PARTITION, 1), 2)]),
    }
}

fn judged(topic: Topic, step: usize, found: Option<Vec<Batch>>) -> Result<Compared, Kind> {
    let mut promises = Promises::default();
    let incarnations = BTreeMap::from([(0, topic)]);
    promises.topics.insert("t".to_owned(), incarnations);
    let sent = Sent::of(&promises);
    let found = found.map(|batches| ("t".to_owned(), BTreeMap::from([(PARTITION, batches)])));
    let found = found.into_iter().collect();
    judge(&promises, &sent, at(step), &found).map_err(|broken| broken.kind)
}

#[test]
fn each_run_leaves_its_first_batches() {
    for kept in [
        &[(0, 0), (0, 1), (1, 0)][..],
        &[(0, 0), (0, 1), (1, 0), (1, 1)],
    ] {
        let compared = judged(topic(), 3, Some(stored(kept))).expect("all promises held");
        let records =
            |&(run, number): &(usize, u32)| content::record_count(&stream(run, 0), number);
        let acknowledged = records(&(0, 0)) + records(&(1, 0));
        assert_eq!(compared.acknowledged_records, acknowledged);
        assert_eq!(compared.records, kept.iter().map(records).sum::<u64>());
    }
}

#[test]
fn only_what_was_acknowledged_before_must_be_there() {
    for kept in [&[(0, 0)][..], &[(0, 0), (0, 1), (0, 2)]] {
        assert!(judged(topic(), 2, Some(stored(kept))).is_ok());
        assert_eq!(
            judged(topic(), 3, Some(stored(kept))),
            Err(Kind::LostRecords)
        );
    }
    assert!(judged(topic(), 1, Some(vec![])).is_ok());
    assert_eq!(judged(topic(), 2, Some(vec![])), Err(Kind::LostRecords));
}

#[test]
fn an_acknowledged_batch_is_at_its_offset() {
    // One more of run 0 in front of it.
    let moved = stored(&[(0, 0), (0, 1), (0, 2), (1, 0)]);
    assert_eq!(judged(topic(), 3, Some(moved)), Err(Kind::LostRecords));
}

#[test]
fn gaps_doubles_and_inventions_are_found() {
    for wrong in [
        &[(0, 0), (0, 2)][..],
        &[(0, 0), (0, 0)],
        &[(0, 1), (0, 0)],
        &[(0, 0), (1, 1)],
        &[(0, 0), (1, 0), (0, 1)],
        &[(0, 0), (0, 1), (0, 2), (0, 3)],
        &[(0, 0), (7, 0)],
    ] {
        let found = judged(topic(), 2, Some(stored(wrong)));
        assert_eq!(found, Err(Kind::WrongRecords), "{wrong:?}");
    }
    let mut sparse = stored(&[(0, 0), (0, 1), (0, 2)]);
    sparse.remove(1);
    assert_eq!(judged(topic(), 2, Some(sparse)), Err(Kind::WrongRecords));
}

#[test]
fn what_a_client_was_told_can_be_read() {
    let kept = [(0, 0), (0, 1)];
    let told = |end_offset| {
        let mut topic = topic();
        let seen = Seen {
            at: at(2),
            end_offset,
        };
        topic.seen.insert(PARTITION, vec![seen]);
        topic
    };
    let end = stored(&kept)[1].header().next_offset();
    let held = judged(told(end), 2, Some(stored(&kept))).expect("all promises held");
    assert_eq!(held.told_ends, 1);
    assert_eq!(
        judged(told(end + 1), 2, Some(stored(&kept))),
        Err(Kind::LostRecords)
    );
}

#[test]
fn topics_are_there_between_their_answers() {
    let all = || Some(stored(&[(0, 0), (0, 1), (1, 0)]));
    assert_eq!(judged(topic(), 1, None), Err(Kind::LostTopic));
    let unanswered = Topic {
        created: None,
        acks: BTreeMap::new(),
        ..topic()
    };
    assert!(judged(unanswered.clone(), 9, None).is_ok());
    assert!(judged(unanswered, 9, Some(vec![])).is_ok());

    let doomed = |deleted| Topic {
        doomed: Some(at(5)),
        deleted,
        ..topic()
    };
    assert_eq!(judged(doomed(None), 4, None), Err(Kind::LostTopic));
    for found in [None, all(), Some(vec![])] {
        assert!(judged(doomed(Some(at(6))), 5, found.clone()).is_ok());
        let revived = found.map(|_| Kind::RevivedTopic);
        let after = judged(doomed(Some(at(6))), 6, all().filter(|_| revived.is_some()));
        assert_eq!(after.err(), revived);
    }
    let missing = Topic {
        partitions: 2,
        ..topic()
    };
    assert_eq!(judged(missing, 3, all()), Err(Kind::LostTopic));
}

#[test]
fn a_topic_made_again_has_nothing_of_the_one_before() {
    let before = Topic {
        doomed: Some(at(4)),
        deleted: Some(at(5)),
        ..topic()
    };
    let again = Topic {
        asked_for: at(5),
        created: Some(at(6)),
        acks: BTreeMap::new(),
        ..topic()
    };
    let mut promises = Promises::default();
    let incarnations = BTreeMap::from([(0, before), (1, again)]);
    promises.topics.insert("t".to_owned(), incarnations);
    let sent = Sent::of(&promises);
    let found = |batches| Found::from([("t".to_owned(), BTreeMap::from([(PARTITION, batches)]))]);
    let judged = |batches| judge(&promises, &sent, at(6), &found(batches));
    assert!(judged(vec![]).is_ok());
    let old = judged(stored(&[(0, 0)])).expect_err("data of the topic before");
    assert_eq!(old.kind, Kind::WrongRecords);
}
