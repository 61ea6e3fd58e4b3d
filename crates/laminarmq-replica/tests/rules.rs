//! The rules on which everything else rests, each by itself: one replica of three, and what it is told.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use common::{Node, config, run};
use laminarmq::MemEnv;
use laminarmq_replica::{
    AppendResult, Effects, EntryKind, FetchError, LogIndex, LogPoint, Payload, PeerBody, PeerEntry,
    PeerMessage, PersistJob, ReplicaId, Term, VoteReply,
};

fn hear(node: &mut Node, from: u64, term: u32, body: PeerBody) {
    let term = Term(term);
    let message = PeerMessage { term, body };
    node.replica.step(ReplicaId(from), message).unwrap();
}

/// What an advance sends, and what it wants saved.
fn advance(node: &mut Node) -> (Vec<PeerBody>, Option<PersistJob<MemEnv>>) {
    let Effects {
        messages, persist, ..
    } = node.replica.advance().unwrap();
    (messages.into_iter().map(|it| it.1.body).collect(), persist)
}

fn save(node: &mut Node, job: Option<PersistJob<MemEnv>>) -> Vec<PeerBody> {
    let done = run(job.unwrap(), &mut node.saved);
    node.replica.on_persisted(done).unwrap();
    advance(node).0
}

fn follower() -> Node {
    let mut node = Node::new(config(1, &[1, 2, 3]));
    node.settle();
    node
}

fn noop(index: u64, term: u32) -> PeerEntry {
    PeerEntry {
        index: LogIndex(index),
        term: Term(term),
        kind: EntryKind::Noop,
        flags: 0,
        payload: Payload::default(),
    }
}

/// A leader of term 2 with one entry of term 1, which nobody acknowledged; its own no-op is entry 2.
fn leader() -> Node {
    let mut node = follower();
    let append = PeerBody::Append {
        prev: LogPoint::default(),
        commit: LogIndex(0),
        entries: vec![noop(1, 1)],
    };
    hear(&mut node, 2, 1, append);
    node.settle();
    let yes = VoteReply {
        granted: true,
        commit: LogPoint::default(),
    };
    for _ in 0..100 {
        node.replica.tick();
        let mut asked: Vec<_> = node.settle();
        while let Some((_, message)) = asked.pop() {
            match message.body {
                PeerBody::PreVote { .. } => hear(&mut node, 2, 2, PeerBody::PreVoteReply(yes)),
                PeerBody::Vote { .. } => hear(&mut node, 2, 2, PeerBody::VoteReply(yes)),
                _ => continue,
            }
            asked = node.settle();
        }
        if node.replica.is_leader() {
            return node;
        }
    }
    panic!("nobody leads");
}

fn matched(node: &mut Node, index: u64) {
    let reply = PeerBody::AppendReply {
        result: AppendResult::Matched(LogIndex(index)),
        commit: LogIndex(0),
    };
    hear(node, 2, 2, reply);
    node.settle();
}

#[test]
fn a_vote_leaves_when_it_is_saved() {
    let mut node = follower();
    let vote = PeerBody::Vote {
        last: LogPoint::default(),
        commit: LogPoint::default(),
        transfer: false,
    };
    hear(&mut node, 2, 1, vote);
    let (messages, job) = advance(&mut node);
    assert!(messages.is_empty(), "{messages:?}");
    let messages = save(&mut node, job);
    assert!(matches!(
        messages[..],
        [PeerBody::VoteReply(VoteReply { granted: true, .. })]
    ));
    assert_eq!(node.saved.unwrap().vote, Some(ReplicaId(2)));
}

#[test]
fn an_append_is_acknowledged_when_it_is_saved() {
    let mut node = follower();
    let append = PeerBody::Append {
        prev: LogPoint::default(),
        commit: LogIndex(0),
        entries: vec![noop(1, 1)],
    };
    hear(&mut node, 2, 1, append);
    let (messages, job) = advance(&mut node);
    assert!(messages.is_empty(), "{messages:?}");
    let messages = save(&mut node, job);
    let all = AppendResult::Matched(LogIndex(1));
    assert!(matches!(messages[..], [PeerBody::AppendReply { result, .. }] if result == all));
}

#[test]
fn an_entry_of_an_earlier_term_counts_only_with_one_of_the_own() {
    let mut node = leader();
    assert!(!node.replica.is_visible(LogIndex(1)));
    matched(&mut node, 1);
    assert!(!node.replica.is_visible(LogIndex(1)));
    matched(&mut node, 2);
    assert!(node.replica.is_visible(LogIndex(2)));
}

#[test]
fn a_new_leader_tells_nothing_before_its_first_entry_is_committed() {
    let mut node = leader();
    matched(&mut node, 1);
    let refused = node.replica.fetch(node.query(0, 100)).map(|_| ());
    assert!(matches!(refused, Err(FetchError::NotAvailable)));
    matched(&mut node, 2);
    assert!(node.replica.fetch(node.query(0, 100)).is_ok());
}

#[test]
fn who_lost_its_leadership_shows_what_was_committed_and_no_more() {
    let mut node = leader();
    matched(&mut node, 2);
    node.propose(7, 3);
    node.settle();
    assert_eq!(node.seen.appended, [(7, 0)]);
    hear(
        &mut node,
        3,
        3,
        PeerBody::Heartbeat {
            commit: LogIndex(0),
        },
    );
    node.settle();
    assert!(!node.replica.is_leader());
    assert!(node.replica.fetch(node.query(0, 100)).unwrap().is_empty());
}

#[test]
fn a_new_leader_knows_of_nobodys_disk_but_its_own() {
    let mut node = leader();
    let on = |node: &Node, replicas| {
        let last = node.replica.durable_on(replicas);
        last.expect("it leads").get()
    };
    assert_eq!([1, 2, 3].map(|n| on(&node, n)), [2, 0, 0]);
    // Its own last entry is in its log, and not on its disk.
    node.propose(7, 1);
    let (_, job) = advance(&mut node);
    assert_eq!(on(&node, 1), 2);
    matched(&mut node, 3);
    assert_eq!([1, 2, 3].map(|n| on(&node, n)), [3, 2, 0]);
    save(&mut node, job);
    assert_eq!([1, 2, 3].map(|n| on(&node, n)), [3, 3, 0]);
    assert_eq!(on(&node, 4), 0, "there are three");

    let heartbeat = PeerBody::Heartbeat {
        commit: LogIndex(3),
    };
    hear(&mut node, 3, 3, heartbeat);
    node.settle();
    assert_eq!(node.replica.durable_on(1), None, "another leads");
}
