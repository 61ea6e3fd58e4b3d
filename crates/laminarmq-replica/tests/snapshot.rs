//! A follower that is behind the leader's start begins anew there, and a crash at any point of that
//! leaves a replica that opens and goes on.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use common::{Group, Node, config};
use laminarmq::MemEnv;
use laminarmq_kafka::batch::{BatchBuilder, Compression, NewRecord, ProducerStamp};
use laminarmq_replica::{
    EntryKind, GroupState, LogIndex, LogPoint, Membership, MembershipAt, Offset, Payload, PeerBody,
    PeerEntry, PeerMessage, PersistJob, Proposed, Replica, ReplicaConfig, ReplicaId, Term, Token,
    TrimTo,
};

/// Entries that a leader and one follower have, the first ones trimmed, and a follower (the last
/// one of the tuple) that has seen `seen` batches of them.
fn behind(seen: u64, machine: bool) -> (Group, u64, Node) {
    let voters = [1, 2, 3];
    let mut group = Group::new(voters.map(|id| {
        Node::new(ReplicaConfig {
            state_machine: machine,
            tail_cache_bytes: 0,
            ..config(id, &voters)
        })
    }));
    let leader = group.elect();
    for token in 0..seen {
        group.node(leader).propose(token, 2);
        group.settle();
    }
    let away = leader % 3 + 1;
    let away = group.nodes.remove(&away).unwrap();
    for token in seen..10 {
        group.node(leader).propose(token, 2);
        group.settle();
    }
    if machine {
        let command = bytes::Bytes::from_static(b"whole state");
        let node = group.node(leader);
        node.replica.propose_command(command, Token(100)).unwrap();
        group.settle();
    }
    group.node(leader).replica.roll_next();
    group.node(leader).propose(10, 2);
    group.settle();
    (group, leader, away)
}

/// Trims so far that what the follower needs next is gone; in the middle of a batch.
fn trim(group: &mut Group, leader: u64) {
    let node = group.node(leader);
    node.replica
        .propose_trim(TrimTo::Offset(Offset(21)), Token(200))
        .unwrap();
    group.settle();
    group.tick();
    group.tick();
    let start = group.node(leader).replica.log().start_index();
    assert!(start > 10, "the log was cut at {start}");
}

fn catch_up(group: &mut Group, leader: u64, id: u64) {
    for _ in 0..10 {
        group.tick();
    }
    let want = group.node(leader).values(21);
    let (start, end) = {
        let replica = &group.node(leader).replica;
        (replica.log().start_index(), replica.log().end_index())
    };
    let node = group.node(id);
    assert_eq!(node.replica.log().end_index(), end);
    assert_eq!(node.replica.log().start_index(), start);
    assert_eq!(node.replica.start_offset(), Offset(21));
    assert_eq!(node.values(21), want);
}

#[test]
fn a_follower_behind_the_start_begins_anew_there() {
    for seen in [0, 4] {
        let (mut group, leader, away) = behind(seen, false);
        trim(&mut group, leader);
        let id = away.config.replica.get();
        group.nodes.insert(id, away);
        catch_up(&mut group, leader, id);
        // And it keeps it, over a power cut.
        group.node(id).restart(true);
        catch_up(&mut group, leader, id);
        // It counts again: with it alone the leader commits.
        let other = 6 - leader - id;
        group.nodes.remove(&other);
        group.node(leader).propose(50, 1);
        group.settle();
        let committed = &group.node(leader).seen.committed;
        assert_eq!(committed.last().map(|it| it.0), Some(50));
    }
}

#[test]
fn a_snapshot_that_is_lost_is_sent_again() {
    let (mut group, leader, away) = behind(4, false);
    trim(&mut group, leader);
    let id = away.config.replica.get();
    group.nodes.insert(id, away);
    // It answers, so that the leader begins to send, and hears nothing of what is sent for a while.
    let mut lost = 0;
    for _ in 0..12 {
        for node in group.nodes.values_mut() {
            node.replica.tick();
        }
        group.settle_without(|_, to, message| {
            let snapshot = matches!(message.body, PeerBody::Snapshot { .. });
            let drop = snapshot && to.get() == id && lost < 3;
            lost += u32::from(drop);
            drop
        });
    }
    assert_eq!(lost, 3);
    catch_up(&mut group, leader, id);
}

#[test]
fn a_state_machine_begins_anew_and_is_told() {
    let (mut group, leader, away) = behind(4, true);
    let id = away.config.replica.get();
    // The entry with the whole state is the one before the last.
    let end = group.node(leader).replica.log().end_index();
    let node = group.node(leader);
    node.replica
        .propose_trim(TrimTo::Index(LogIndex(end - 2)), Token(200))
        .unwrap();
    group.settle();
    group.nodes.insert(id, away);
    for _ in 0..10 {
        group.tick();
    }
    let start = group.node(leader).replica.log().start_index();
    let node = group.node(id);
    let reset = node.seen.reset.expect("it was told to forget");
    assert_eq!(reset.index.get(), start);
    let commands: Vec<_> = node.seen.commands.iter().map(|it| it.1.clone()).collect();
    assert_eq!(commands, [&b"whole state"[..]]);
}

/// What is known of a producer comes with the entries behind the start.
#[test]
fn producers_are_known_behind_a_snapshot() {
    let (mut group, leader, away) = behind(4, false);
    let stamped = |sequence: i32| {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.set_producer(Some(ProducerStamp {
            id: 77,
            epoch: 0,
            base_sequence: sequence,
        }));
        let record = NewRecord {
            timestamp: 1,
            value: Some(b"x"),
            ..NewRecord::default()
        };
        builder.push(&record).unwrap();
        common::checked(builder.build())
    };
    for sequence in 0..3 {
        let token = Token(300 + u64::try_from(sequence).unwrap());
        let node = group.node(leader);
        node.replica
            .propose_batch(stamped(sequence), token)
            .unwrap();
        group.settle();
    }
    let node = group.node(leader);
    node.replica
        .propose_trim(TrimTo::HighWatermark, Token(200))
        .unwrap();
    group.settle();
    let id = away.config.replica.get();
    group.nodes.insert(id, away);
    for _ in 0..10 {
        group.tick();
    }
    let to = ReplicaId(id);
    group.node(leader).replica.transfer_leadership(to);
    group.settle();
    let node = group.node(id);
    assert!(node.replica.is_leader());
    let again = node.replica.propose_batch(stamped(2), Token(400));
    assert!(matches!(again, Ok(Proposed::Duplicate { .. })), "{again:?}");
    let next = node.replica.propose_batch(stamped(3), Token(401));
    assert_eq!(next, Ok(Proposed::Queued));
}

/// Replica 1 of three, told by replica 2: a log of `own` entries of term 2, none of them known to be
/// committed, and a snapshot of term 3 behind the fifth entry.
struct Told {
    config: ReplicaConfig,
    replica: Replica<MemEnv>,
    /// The disks that a power cut may have left, step by step, each with what was saved by then.
    left: Vec<(MemEnv, Option<GroupState>)>,
    disk: MemEnv,
    saved: Option<GroupState>,
    told: Vec<PeerMessage>,
}

impl Told {
    fn new(own: u64) -> Self {
        let config = config(1, &[1, 2, 3]);
        let disk = MemEnv::new();
        let mut it = Self {
            replica: common::open(&config, &disk, None),
            config,
            left: Vec::new(),
            disk,
            saved: None,
            told: Vec::new(),
        };
        it.settle(false);
        let entries = (1..=own).map(|index| PeerEntry {
            index: LogIndex(index),
            term: Term(2),
            kind: EntryKind::Noop,
            flags: 0,
            payload: Payload::default(),
        });
        let append = PeerBody::Append {
            prev: LogPoint::default(),
            commit: LogIndex(0),
            entries: entries.collect(),
        };
        it.hear(Term(2), append);
        it.settle(false);
        it.told.clear();
        it
    }

    fn hear(&mut self, term: Term, body: PeerBody) {
        let message = PeerMessage { term, body };
        self.replica.step(ReplicaId(2), message).unwrap();
    }

    /// The state is saved, the log is not reset.
    fn hear_snapshot_and_save(&mut self) {
        self.snapshot_only();
        let job = self.replica.advance().unwrap().persist.unwrap();
        let done = self.run(job);
        self.replica.on_persisted(done).unwrap();
    }

    fn snapshot(&mut self) {
        self.snapshot_only();
        self.settle(true);
    }

    fn snapshot_only(&mut self) {
        let at = LogPoint {
            index: LogIndex(5),
            term: Term(3),
        };
        let members = MembershipAt {
            index: LogIndex(4),
            members: Membership::of_voters([1, 2, 4].map(ReplicaId)),
        };
        let snapshot = PeerBody::Snapshot {
            at,
            offset: Offset(70),
            members,
        };
        self.hear(Term(3), snapshot);
    }

    /// What a cut at this moment leaves: nothing of what is not synced, all of it, or some.
    fn mark(&mut self) {
        for kept in 0..4_u32 {
            let mut number = 0;
            let copy = self.disk.crashed_copy(|_| {
                number += 1;
                kept == 1 || (kept > 1 && number % 2 == kept % 2)
            });
            self.left.push((copy, self.saved.clone()));
        }
    }

    fn settle(&mut self, mark: bool) {
        loop {
            // Everything that an advance syncs by itself, one after the other.
            if mark {
                self.mark();
            }
            let effects = self.replica.advance().unwrap();
            self.told
                .extend(effects.messages.into_iter().map(|it| it.1));
            let Some(job) = effects.persist else { break };
            // Somebody may call again while the job is out.
            let again = self.replica.advance().unwrap();
            self.told.extend(again.messages.into_iter().map(|it| it.1));
            assert!(again.persist.is_none());
            if mark {
                self.mark();
            }
            let done = self.run(job);
            if mark {
                self.mark();
            }
            self.replica.on_persisted(done).unwrap();
        }
        if mark {
            self.mark();
        }
    }

    fn run(&mut self, job: PersistJob<MemEnv>) -> laminarmq_replica::PersistDone {
        common::run(job, &mut self.saved)
    }
}

/// Where a replica stands: the start, the last entry, the offset behind it, the voters.
fn stands(replica: &Replica<MemEnv>) -> (u64, u64, u64, Vec<ReplicaId>) {
    let log = replica.log();
    (
        log.start_index(),
        log.end_index() - 1,
        replica.end_offset().get(),
        replica.members().voters.clone(),
    )
}

#[test]
fn a_power_cut_between_any_two_steps_leaves_the_old_log_or_the_new_one() {
    // An empty log, one that ends before the snapshot, and one that goes on behind it with what no
    // other replica has.
    for own in [0, 3, 9] {
        let mut told = Told::new(own);
        let before = stands(&told.replica);
        told.snapshot();
        let after = (6, 5, 70, [1, 2, 4].map(ReplicaId).to_vec());
        assert_eq!(stands(&told.replica), after);
        assert!(told.told.iter().any(|message| {
            let matched = laminarmq_replica::AppendResult::Matched(LogIndex(5));
            matches!(message.body, PeerBody::AppendReply { result, .. } if result == matched)
        }));
        let mut seen = [0, 0];
        for (disk, saved) in &told.left {
            let replica = common::open(&told.config, disk, saved.clone());
            let new = stands(&replica) == after;
            assert!(new || stands(&replica) == before, "{:?}", stands(&replica));
            // Its state says so exactly when it was saved.
            let is_saved = saved
                .as_ref()
                .is_some_and(|it| it.start.index == LogIndex(6));
            assert_eq!(new, is_saved);
            seen[usize::from(new)] += 1;
        }
        assert!(seen[0] > 4 && seen[1] > 4, "{seen:?}");
    }
}

/// The reset itself, cut at each of its syncs; and the one at the opening after that, too.
#[test]
fn a_power_cut_at_every_sync_of_the_reset_is_finished_when_the_log_is_opened() {
    for own in [0, 3, 9] {
        let mut cuts = 0;
        loop {
            let mut told = Told::new(own);
            told.hear_snapshot_and_save();
            told.disk.fail_sync(Some(cuts));
            // Where the start file's own sync failed the log is as it was, and the replica waits.
            if told.replica.advance().is_ok() && told.replica.log().start_index() == 6 {
                break;
            }
            assert!(told.told.is_empty(), "nothing was acknowledged");
            for again in 0.. {
                told.disk.crash();
                told.disk.fail_sync(Some(again));
                let opened = common::try_open(&told.config, &told.disk, told.saved.clone());
                if let Ok(replica) = opened {
                    let after = (6, 5, 70, [1, 2, 4].map(ReplicaId).to_vec());
                    assert_eq!(stands(&replica), after);
                    break;
                }
            }
            cuts += 1;
        }
        assert!(cuts >= 2, "{cuts} cuts: a reset has more syncs than that");
    }
}

/// On a full disk the log stays as it was; what waits goes on when there is room.
#[test]
fn a_reset_waits_for_room_on_the_disk() {
    let mut told = Told::new(9);
    told.hear_snapshot_and_save();
    told.disk.set_capacity(Some(0));
    for _ in 0..3 {
        let effects = told.replica.advance().unwrap();
        assert!(effects.messages.is_empty() && effects.persist.is_none());
        assert_eq!(told.replica.log().end_index(), 10);
    }
    told.disk.set_capacity(None);
    told.settle(false);
    assert_eq!(stands(&told.replica).0, 6);
    assert!(!told.told.is_empty());
}

/// While it waits nothing is heard, and nothing is heard twice.
#[test]
fn nothing_else_is_heard_until_the_snapshot_is_in() {
    let mut told = Told::new(3);
    told.snapshot_only();
    let heartbeat = PeerMessage {
        term: Term(3),
        body: PeerBody::Heartbeat {
            commit: LogIndex(0),
        },
    };
    let busy = told.replica.step(ReplicaId(2), heartbeat.clone());
    assert!(busy.is_err_and(|error| error.is_harmless()));
    told.settle(false);
    told.replica.step(ReplicaId(2), heartbeat).unwrap();
    // An older snapshot changes nothing, and is answered with what is there.
    told.told.clear();
    let at = LogPoint {
        index: LogIndex(2),
        term: Term(2),
    };
    let members = MembershipAt {
        index: LogIndex(0),
        members: Membership::of_voters([1, 2, 3].map(ReplicaId)),
    };
    let old = PeerBody::Snapshot {
        at,
        offset: Offset(10),
        members,
    };
    told.hear(Term(3), old);
    told.settle(false);
    assert_eq!(
        stands(&told.replica),
        (6, 5, 70, [1, 2, 4].map(ReplicaId).to_vec())
    );
}

/// The leader's own members may be older than what the joining replica was told.
#[test]
fn the_younger_members_count() {
    let mut told = Told::new(0);
    told.snapshot();
    let members = MembershipAt {
        index: LogIndex(3),
        members: Membership::of_voters([1, 2, 3].map(ReplicaId)),
    };
    let at = LogPoint {
        index: LogIndex(20),
        term: Term(3),
    };
    let later = PeerBody::Snapshot {
        at,
        offset: Offset(90),
        members,
    };
    told.hear(Term(3), later);
    told.settle(false);
    assert_eq!(
        stands(&told.replica),
        (21, 20, 90, [1, 2, 4].map(ReplicaId).to_vec())
    );
}
