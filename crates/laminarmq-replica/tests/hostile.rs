//! Whatever a peer says, a replica refuses it or acts on it; it never panics, and what was
//! committed stays.
//!
//! The messages are decoded ones: near misses of what a real peer would say, made from the
//! replica's own state, so that most of them get past the first checks.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use bytes::Bytes;
use common::{Group, Node, batch, config};
use laminarmq_replica::{
    AppendResult, EntryKind, LogIndex, LogPoint, MemberStep, Membership, MembershipAt,
    MembershipChange, Offset, Payload, PeerBody, PeerEntry, PeerError, PeerMessage, ReplicaId,
    Role, Term, Token, VoteReply,
};
use proptest::prelude::*;

/// A number near one of the replica's own, or anything.
#[derive(Clone, Copy, Debug)]
enum Near {
    Last(i8),
    Commit(i8),
    Small(u8),
    Any(u64),
}

impl Near {
    fn resolve(self, last: u64, commit: u64) -> u64 {
        match self {
            Self::Last(by) => last.saturating_add_signed(by.into()),
            Self::Commit(by) => commit.saturating_add_signed(by.into()),
            Self::Small(number) => number.into(),
            Self::Any(number) => number,
        }
    }
}

fn near() -> BoxedStrategy<Near> {
    prop_oneof![
        4 => (-3..=3_i8).prop_map(Near::Last),
        3 => (-3..=3_i8).prop_map(Near::Commit),
        2 => (0..4_u8).prop_map(Near::Small),
        1 => prop_oneof![any::<u64>(), Just(u64::MAX), Just(1 << 62), Just(u64::MAX - 1)].prop_map(Near::Any),
    ]
    .boxed()
}

#[derive(Clone, Copy, Debug)]
struct Point {
    index: Near,
    /// Take the true term of that index where there is one.
    truly: bool,
    term: Near,
}

fn point() -> BoxedStrategy<Point> {
    (near(), prop::bool::weighted(0.7), near())
        .prop_map(|(index, truly, term)| Point { index, truly, term })
        .boxed()
}

#[derive(Clone, Debug)]
struct Entry {
    kind: u8,
    term_up: bool,
    gap: bool,
    flags: u8,
    offset: i8,
    payload: u8,
}

fn entry() -> BoxedStrategy<Entry> {
    let rare = || prop::bool::weighted(0.05);
    let flags = prop_oneof![9 => 0..=1_u8, 1 => any::<u8>()];
    let offset = prop_oneof![9 => Just(0_i8), 1 => -2..=2_i8];
    (1..=5_u8, rare(), rare(), flags, offset, 0..12_u8)
        .prop_map(|(kind, term_up, gap, flags, offset, payload)| Entry {
            kind,
            term_up,
            gap,
            flags,
            offset,
            payload,
        })
        .boxed()
}

#[derive(Clone, Debug)]
enum Body {
    PreVote(Point, Point),
    Vote(Point, Point, bool),
    PreVoteReply(bool, Point),
    VoteReply(bool, Point),
    Append(Point, Near, Vec<Entry>),
    Matched(Near, Near),
    Rejected(Near, Point, Near),
    Heartbeat(Near),
    HeartbeatReply(Near),
    Rest(Near),
    RestReply(Near),
    Doubt(Point),
    Standing(Point, bool),
    Snapshot(Point, i8, Near, bool, u8),
    TimeoutNow,
}

fn body() -> BoxedStrategy<Body> {
    prop_oneof![
        1 => (point(), point()).prop_map(|(a, b)| Body::PreVote(a, b)),
        1 => (point(), point(), any::<bool>()).prop_map(|(a, b, t)| Body::Vote(a, b, t)),
        1 => (any::<bool>(), point()).prop_map(|(yes, p)| Body::PreVoteReply(yes, p)),
        2 => (any::<bool>(), point()).prop_map(|(yes, p)| Body::VoteReply(yes, p)),
        8 => (point(), near(), prop::collection::vec(entry(), 0..4)).prop_map(|(p, c, e)| Body::Append(p, c, e)),
        3 => (near(), near()).prop_map(|(i, c)| Body::Matched(i, c)),
        3 => (near(), point(), near()).prop_map(|(a, h, c)| Body::Rejected(a, h, c)),
        2 => near().prop_map(Body::Heartbeat),
        1 => near().prop_map(Body::HeartbeatReply),
        2 => near().prop_map(Body::Rest),
        1 => near().prop_map(Body::RestReply),
        1 => point().prop_map(Body::Doubt),
        1 => (point(), any::<bool>()).prop_map(|(p, l)| Body::Standing(p, l)),
        2 => (point(), -2..=2_i8, near(), any::<bool>(), any::<u8>())
            .prop_map(|(p, o, i, us, t)| Body::Snapshot(p, o, i, us, t)),
        1 => Just(Body::TimeoutNow),
    ]
    .boxed()
}

#[derive(Clone, Debug)]
enum Action {
    Step { from: u64, term: TermOf, body: Body },
    Tick(u8),
    Propose,
    Advance,
    Persist,
}

#[derive(Clone, Copy, Debug)]
enum TermOf {
    Own(i8),
    Any(u32),
}

fn action() -> BoxedStrategy<Action> {
    let term = prop_oneof![
        30 => (-1..=2_i8).prop_map(TermOf::Own),
        1 => prop_oneof![any::<u32>(), Just(Term::MAX.get()), Just(Term::MAX.get() + 1)].prop_map(TermOf::Any),
    ];
    let from = prop_oneof![20 => 2..=3_u64, 1 => 0..5_u64];
    prop_oneof![
        12 => (from, term, body()).prop_map(|(from, term, body)| Action::Step { from, term, body }),
        2 => (1..30_u8).prop_map(Action::Tick),
        2 => Just(Action::Propose),
        4 => Just(Action::Advance),
        3 => Just(Action::Persist),
    ]
    .boxed()
}

/// The replica under fire, and what it has promised so far.
struct Target {
    node: Node,
    job: Option<laminarmq_replica::PersistJob<laminarmq::MemEnv>>,
    committed: u64,
    proposed: u64,
    refused: u64,
    taken: u64,
    resets: u64,
}

impl Target {
    /// A follower or a leader with a log of three terms, some of it committed.
    fn new(lead: bool) -> Self {
        let mut group = Group::of(&[1, 2, 3]);
        for round in 0..3 {
            let leader = group.elect();
            for token in 0..3 {
                group.node(leader).propose(round * 10 + token, 2);
                group.settle();
            }
            let next = ReplicaId(leader % 3 + 1);
            group.node(leader).replica.transfer_leadership(next);
            group.settle();
        }
        for _ in 0..10 {
            let leader = group.elect();
            if (leader == 1) == lead {
                break;
            }
            let next = if lead { 1 } else { leader % 3 + 1 };
            group
                .node(leader)
                .replica
                .transfer_leadership(ReplicaId(next));
            group.settle();
        }
        let node = group.nodes.remove(&1).unwrap();
        assert_eq!(node.replica.role() == Role::Leader, lead);
        Self {
            node,
            job: None,
            committed: 0,
            proposed: 0,
            refused: 0,
            taken: 0,
            resets: 0,
        }
    }

    /// The same after a start that leaves it in doubt whether it has everything.
    fn in_doubt() -> Self {
        let mut target = Self::new(false);
        target.node.config.may_have_lost = true;
        target.node.restart(false);
        assert!(target.node.replica.is_in_doubt());
        target
    }

    fn last(&self) -> u64 {
        self.node.replica.log().end_index() - 1
    }

    fn index(&self, near: Near) -> u64 {
        near.resolve(self.last(), self.node.replica.applied_index().get())
    }

    fn point(&self, point: Point) -> LogPoint {
        let index = self.index(point.index);
        let stored = laminarmq::poll_ready(self.node.replica.log().entry(index)).ok();
        let term = match stored {
            Some(entry) if point.truly => entry.term,
            _ if point.truly && index == 0 => 0,
            _ => u32::try_from(self.index(point.term)).unwrap_or(u32::MAX),
        };
        LogPoint {
            index: LogIndex(index),
            term: Term(term),
        }
    }

    fn entries(&self, prev: LogPoint, term: Term, entries: &[Entry]) -> Vec<PeerEntry> {
        let log = self.node.replica.log();
        let mut offset = laminarmq::poll_ready(log.entry(prev.index.get().saturating_add(1)))
            .map_or(self.node.replica.end_offset().get(), |entry| entry.key);
        let mut index = prev.index.get();
        let mut out = Vec::new();
        for entry in entries {
            index = index.saturating_add(1 + u64::from(entry.gap));
            let term = if entry.term_up {
                Term(term.get().saturating_add(1))
            } else {
                term
            };
            let kind = EntryKind::from_u8(entry.kind).unwrap();
            let epoch = i32::try_from(term.get()).unwrap_or(i32::MAX);
            let base = i64::try_from(offset)
                .unwrap_or(i64::MAX)
                .saturating_add(entry.offset.into());
            let fresh = batch("p", 2, 5);
            let payload = match (kind, entry.payload) {
                (_, 0) => Payload::default(),
                (_, 1) => Payload::whole(Bytes::from(vec![entry.flags; 70])),
                (EntryKind::Data, 2) => Payload::whole(fresh.to_bytes(base, epoch).slice(..65)),
                (EntryKind::Data, 3) => {
                    let whole = fresh.to_bytes(base, epoch);
                    Payload {
                        head: whole.slice(..20),
                        body: whole.slice(20..),
                    }
                }
                (EntryKind::Data, 4) => {
                    let mut bytes = fresh.to_bytes(base, epoch).to_vec();
                    bytes[23..27].fill(0xff);
                    Payload::whole(bytes.into())
                }
                (EntryKind::Data, 5) => {
                    let head = Bytes::copy_from_slice(&fresh.head(base, epoch));
                    Payload {
                        head,
                        body: fresh.body().clone(),
                    }
                }
                (EntryKind::Data, _) => Payload::whole(fresh.to_bytes(base, epoch)),
                (EntryKind::Membership, 2..6) => {
                    Payload::whole(MembershipChange::Leave.encode().into())
                }
                (EntryKind::Membership, _) => {
                    let steps = [1, 2, 3]
                        .map(|id| MemberStep::Remove(ReplicaId(id)))
                        .to_vec();
                    let steps = if entry.payload == 6 {
                        steps
                    } else {
                        vec![MemberStep::Learner(ReplicaId(9))]
                    };
                    Payload::whole(MembershipChange::Enter(steps).encode().into())
                }
                (EntryKind::Noop, _) => Payload::default(),
                (EntryKind::Trim, 2..6) => {
                    // Version 1, an index that is sometimes past the entry's own, an offset.
                    let mut bytes = vec![1];
                    let first = u64::from(entry.payload - 2).wrapping_mul(index);
                    bytes.extend_from_slice(&first.to_le_bytes());
                    bytes.extend_from_slice(&offset.to_le_bytes());
                    Payload::whole(bytes.into())
                }
                (EntryKind::Producers, 2..6) => {
                    Payload::whole(Bytes::from_static(&[1, 0, 0, 0, 0]))
                }
                (EntryKind::Trim | EntryKind::Command | EntryKind::Producers, _) => {
                    Payload::whole(Bytes::from_static(b"bytes"))
                }
            };
            if kind == EntryKind::Data {
                offset = offset.saturating_add(2);
            }
            out.push(PeerEntry {
                index: LogIndex(index),
                term,
                kind,
                flags: entry.flags,
                payload,
            });
        }
        out
    }

    fn message(&self, term: TermOf, body: Body) -> PeerMessage {
        let own = self.node.replica.leader_epoch().get();
        let term = Term(match term {
            TermOf::Own(by) => own.saturating_add_signed(by.into()),
            TermOf::Any(term) => term,
        });
        let index = |near| LogIndex(self.index(near));
        let reply = |granted, at| VoteReply {
            granted,
            commit: self.point(at),
        };
        let body = match body {
            Body::PreVote(last, commit) => PeerBody::PreVote {
                last: self.point(last),
                commit: self.point(commit),
            },
            Body::Vote(last, commit, transfer) => PeerBody::Vote {
                last: self.point(last),
                commit: self.point(commit),
                transfer,
            },
            Body::Snapshot(at, offset, made, with_us, made_up) => {
                let mut at = self.point(at);
                if at.term > term && made_up < 100 {
                    at.term = term;
                }
                let own = self.node.replica.end_offset().get();
                let voters = if with_us { [1, 2, 3] } else { [2, 3, 4] };
                PeerBody::Snapshot {
                    at,
                    offset: Offset(own.saturating_add_signed(offset.into())),
                    members: MembershipAt {
                        index: index(made),
                        members: Membership::of_voters(voters.map(ReplicaId)),
                    },
                }
            }
            Body::PreVoteReply(granted, at) => PeerBody::PreVoteReply(reply(granted, at)),
            Body::VoteReply(granted, at) => PeerBody::VoteReply(reply(granted, at)),
            Body::Append(prev, commit, entries) => {
                let prev = self.point(prev);
                PeerBody::Append {
                    prev,
                    commit: index(commit),
                    entries: self.entries(prev, term, &entries),
                }
            }
            Body::Matched(at, commit) => PeerBody::AppendReply {
                result: AppendResult::Matched(index(at)),
                commit: index(commit),
            },
            Body::Rejected(at, hint, commit) => {
                let result = AppendResult::Rejected {
                    at: index(at),
                    hint: self.point(hint),
                };
                PeerBody::AppendReply {
                    result,
                    commit: index(commit),
                }
            }
            Body::Heartbeat(commit) => PeerBody::Heartbeat {
                commit: index(commit),
            },
            Body::HeartbeatReply(commit) => PeerBody::HeartbeatReply {
                commit: index(commit),
            },
            Body::Rest(commit) => PeerBody::Rest {
                commit: index(commit),
            },
            Body::RestReply(commit) => PeerBody::RestReply {
                commit: index(commit),
            },
            Body::Doubt(last) => PeerBody::Doubt {
                nonce: 7,
                last: self.point(last),
            },
            Body::Standing(last, leads) => PeerBody::Standing {
                nonce: 7,
                last: self.point(last),
                leads,
            },
            Body::TimeoutNow => PeerBody::TimeoutNow,
        };
        PeerMessage { term, body }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Step { from, term, body } => {
                let message = self.message(term, body);
                match self.node.replica.step(ReplicaId(from), message.clone()) {
                    Ok(()) => self.taken += 1,
                    Err(error) => {
                        assert_ne!(
                            error,
                            PeerError::Ended,
                            "a peer ended the replica: {message:?}"
                        );
                        self.refused += 1;
                    }
                }
            }
            Action::Tick(count) => {
                for _ in 0..count {
                    self.node.replica.tick();
                }
            }
            Action::Propose => {
                let token = Token(self.proposed);
                if self
                    .node
                    .replica
                    .propose_batch(batch("own", 3, 0), token)
                    .is_ok()
                {
                    self.proposed += 1;
                }
            }
            Action::Advance => self.advance(),
            Action::Persist => {
                self.advance();
                if let Some(job) = self.job.take() {
                    let done = common::run(job, &mut self.node.saved);
                    self.node.replica.on_persisted(done).unwrap();
                    self.advance();
                }
            }
        }
    }

    fn advance(&mut self) {
        let effects = self
            .node
            .replica
            .advance()
            .expect("a peer's message never ends a replica");
        self.resets += u64::from(effects.reset.is_some());
        if effects.persist.is_some() {
            assert!(self.job.is_none(), "one job at a time");
            self.job = effects.persist;
        }
        let applied = self.node.replica.applied_index().get();
        assert!(applied >= self.committed && applied <= self.last());
        self.committed = applied;
        assert!(self.node.replica.high_watermark() <= self.node.replica.end_offset());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_a_panic(kind in 0..3, actions in prop::collection::vec(action(), 1..120)) {
        let mut target = match kind {
            0 => Target::in_doubt(),
            kind => Target::new(kind == 1),
        };
        for action in actions {
            target.act(action);
        }
        // What is in the log is still a log: it opens, and all of it reads.
        let mut node = target.node;
        node.restart(false);
        for index in node.replica.log().start_index()..node.replica.log().end_index() {
            laminarmq::poll_ready(node.replica.log().read(index)).unwrap();
        }
    }
}

/// The random messages above would prove nothing if all were refused at the door.
#[test]
fn the_random_messages_reach_the_replica() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut taken, mut refused, mut grown, mut resets) = (0, 0, 0, 0);
    for round in 0..120 {
        let mut target = Target::new(round % 2 == 0);
        let before = target.last();
        for _ in 0..60 {
            let action = action().new_tree(&mut runner).unwrap().current();
            target.act(action);
        }
        taken += target.taken;
        refused += target.refused;
        resets += target.resets;
        grown += u64::from(target.last() > before);
    }
    assert!(
        taken > 600 && refused > 600 && grown > 10 && resets > 3,
        "{taken} taken, {refused} refused, {grown} logs grew, {resets} began anew"
    );
}

#[test]
fn each_refusal_by_name() {
    let mut target = Target::new(false);
    let own = target.node.replica.leader_epoch();
    let last = LogIndex(target.last());
    let prev = target.point(Point {
        index: Near::Last(0),
        truly: true,
        term: Near::Small(0),
    });
    let heartbeat = |commit| PeerBody::Heartbeat {
        commit: LogIndex(commit),
    };
    let replica = &mut target.node.replica;
    let mut refused = |from, term: Term, body| {
        let message = PeerMessage { term, body };
        replica
            .step(ReplicaId(from), message)
            .expect_err("must be refused")
    };
    assert_eq!(
        refused(
            9,
            own,
            PeerBody::HeartbeatReply {
                commit: LogIndex(1)
            }
        ),
        PeerError::NotMember(ReplicaId(9))
    );
    assert_eq!(
        refused(1, own, heartbeat(1)),
        PeerError::NotMember(ReplicaId(1))
    );
    assert_eq!(refused(2, Term(0), heartbeat(1)), PeerError::Term(Term(0)));
    let past = Term(Term::MAX.get() + 1);
    assert_eq!(refused(2, past, heartbeat(1)), PeerError::Term(past));
    let beyond = LogIndex(last.get() + 1);
    assert_eq!(
        refused(2, own, heartbeat(beyond.get())),
        PeerError::PastEnd {
            index: beyond,
            last
        }
    );
    let entry = |index, payload| PeerEntry {
        index: LogIndex(index),
        term: own,
        kind: EntryKind::Data,
        flags: 0,
        payload: Payload::whole(payload),
    };
    let append = |entries| PeerBody::Append {
        prev,
        commit: LogIndex(0),
        entries,
    };
    let gap = append(vec![entry(last.get() + 2, Bytes::new())]);
    let what = |error| match error {
        PeerError::Entry { what, .. } | PeerError::Malformed(what) => what,
        other => panic!("{other}"),
    };
    assert_eq!(what(refused(2, own, gap)), "a gap before it");
    let junk = append(vec![entry(last.get() + 1, Bytes::from_static(&[0; 80]))]);
    assert_eq!(what(refused(2, own, junk)), "not a record batch");
    let elsewhere = batch("x", 1, 0).to_bytes(1, own.leader_epoch());
    let elsewhere = append(vec![entry(last.get() + 1, elsewhere)]);
    assert_eq!(
        what(refused(2, own, elsewhere)),
        "an offset that does not follow"
    );
    let nowhere = LogPoint {
        index: LogIndex(5),
        term: Term(0),
    };
    let append = PeerBody::Append {
        prev: nowhere,
        commit: LogIndex(0),
        entries: Vec::new(),
    };
    assert_eq!(
        what(refused(2, own, append)),
        "an index without a term, or a term without an index"
    );
    let vote = PeerBody::Vote {
        last: LogPoint {
            index: last,
            term: own,
        },
        commit: nowhere,
        transfer: false,
    };
    assert!(matches!(refused(2, own, vote), PeerError::Malformed(_)));
}

/// A vote that nobody asked for must not make a leader of a log that is not saved yet.
#[test]
fn a_vote_before_the_question_is_refused() {
    let mut node = Node::new(config(1, &[1, 2, 3]));
    node.settle();
    let fresh = batch("p", 1, 0).to_bytes(0, 1);
    let entry = PeerEntry {
        index: LogIndex(1),
        term: Term(1),
        kind: EntryKind::Data,
        flags: 0,
        payload: Payload::whole(fresh),
    };
    let append = PeerBody::Append {
        prev: LogPoint::default(),
        commit: LogIndex(0),
        entries: vec![entry],
    };
    node.replica
        .step(
            ReplicaId(2),
            PeerMessage {
                term: Term(1),
                body: append,
            },
        )
        .unwrap();
    // Not saved: the job is never run. The election timeout passes all the same.
    let _job = node.replica.advance().unwrap().persist.unwrap();
    for _ in 0..25 {
        node.replica.tick();
        let _ = node.replica.advance().unwrap();
    }
    assert_eq!(node.replica.role(), Role::PreCandidate);
    let yes = VoteReply {
        granted: true,
        commit: LogPoint::default(),
    };
    let reply = PeerMessage {
        term: Term(2),
        body: PeerBody::PreVoteReply(yes),
    };
    node.replica.step(ReplicaId(2), reply).unwrap();
    assert_eq!(node.replica.role(), Role::Candidate);
    let reply = PeerMessage {
        term: Term(2),
        body: PeerBody::VoteReply(yes),
    };
    assert_eq!(
        node.replica.step(ReplicaId(2), reply),
        Err(PeerError::Unasked)
    );
    assert_eq!(node.replica.role(), Role::Candidate);
}
