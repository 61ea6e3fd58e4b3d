//! A group of one: what is promised when, and what is there afterwards.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::io::ErrorKind;

use bytes::Bytes;
use common::{Node, batch, config, open, run};
use laminarmq::MemEnv;
use laminarmq_replica::{
    Fatal, FetchError, Flush, GroupState, LogIndex, Membership, Offset, OffsetQuery, OpenError,
    PersistDone, ProposeError, Replica, ReplicaConfig, ReplicaId, Role, StateWriteError, Term,
    Token,
};

fn sole() -> ReplicaConfig {
    config(1, &[1])
}

#[test]
fn it_leads_at_once_and_its_vote_is_saved_together_with_its_first_entry() {
    let disk = MemEnv::new();
    let mut replica = open(&sole(), &disk, None);
    assert_eq!(
        (replica.role(), replica.leader_epoch()),
        (Role::Leader, Term(1))
    );
    let effects = replica.advance().unwrap();
    let job = effects.persist.expect("a vote and an entry to save");
    assert!(job.ticket.is_some());
    let state = job.state.clone().expect("the vote");
    assert_eq!((state.term, state.vote), (Term(1), Some(ReplicaId(1))));
    assert!(effects.leadership.is_some());

    // Nobody may read before the leader knows what is committed.
    assert!(!replica.is_watermark_known());
    let error = replica
        .fetch(Node::new(sole()).query(0, 1))
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, FetchError::NotAvailable) && error.is_retriable());
    replica.on_persisted(run(job, &mut None)).unwrap();
    replica.advance().unwrap();
    assert!(replica.is_watermark_known());
}

#[test]
fn appended_at_once_committed_when_saved_and_jobs_cover_all_that_came_meanwhile() {
    let mut node = Node::new(sole());
    node.settle();
    let replica = &mut node.replica;
    replica.propose_batch(batch("a", 3, 0), Token(1)).unwrap();
    let first = replica.advance().unwrap();
    assert_eq!(first.appended[0].base_offset, Offset(0));
    assert_eq!(first.appended[0].next_offset, Offset(3));
    assert!(first.committed.is_empty());
    assert_eq!(
        (replica.high_watermark(), replica.end_offset()),
        (Offset(0), Offset(3))
    );
    let job = first.persist.expect("the batch");
    assert!(job.state.is_none(), "no vote changed");

    // While it is out, more arrives: one more job covers all of it.
    for token in 2..10 {
        replica
            .propose_batch(batch("b", 1, 0), Token(token))
            .unwrap();
        let effects = replica.advance().unwrap();
        assert_eq!(effects.appended.len(), 1);
        assert!(effects.persist.is_none(), "one job is out at a time");
    }
    replica.on_persisted(run(job, &mut None)).unwrap();
    let second = replica.advance().unwrap();
    assert_eq!(
        second
            .committed
            .iter()
            .map(|c| c.token.get())
            .collect::<Vec<_>>(),
        [1]
    );
    assert_eq!(second.high_watermark, Some(Offset(3)));
    replica
        .on_persisted(run(second.persist.expect("the rest"), &mut None))
        .unwrap();
    let third = replica.advance().unwrap();
    assert_eq!(
        third
            .committed
            .iter()
            .map(|c| c.token.get())
            .collect::<Vec<_>>(),
        (2..10).collect::<Vec<_>>()
    );
    assert_eq!(replica.high_watermark(), Offset(11));
    assert!(third.persist.is_none());
    assert_eq!(replica.uncommitted_bytes(), 0);
}

#[test]
fn one_write_for_all_that_was_proposed_before_an_advance() {
    let mut node = Node::new(sole());
    node.settle();
    let before = node.disk.calls();
    (0..20).for_each(|token| node.propose(token, 2));
    node.settle();
    assert_eq!(node.disk.calls() - before, 1);
    let offsets: Vec<_> = (0..20).map(|token| (token, token * 2)).collect();
    assert_eq!(
        (&node.seen.appended, &node.seen.committed),
        (&offsets, &offsets)
    );
}

#[test]
fn after_a_power_cut_everything_committed_is_there_and_commits_again() {
    let mut node = Node::new(sole());
    node.settle();
    (0..5).for_each(|token| node.propose(token, 3));
    node.settle();
    let before = node.values(0);
    assert_eq!(before.len(), 15);
    // This one reaches the page cache only.
    node.propose(9, 1);
    node.replica.advance().unwrap();
    node.restart(true);
    assert_eq!(node.replica.leader_epoch(), Term(2));
    node.settle();
    assert_eq!(node.replica.end_offset(), Offset(15));
    assert_eq!(node.values(0), before);
    node.propose(10, 2);
    node.settle();
    assert_eq!(node.seen.committed, [(10, 15)]);
    let after = node.values(14);
    assert_eq!(
        after[1..],
        [(15, "t10-0".to_owned()), (16, "t10-1".to_owned())]
    );
}

#[test]
fn a_killed_process_loses_nothing_that_reached_the_page_cache() {
    let mut node = Node::new(sole());
    node.settle();
    node.propose(1, 4);
    node.replica.advance().unwrap();
    node.restart(false);
    node.settle();
    assert_eq!(node.values(0).len(), 4);
}

#[test]
fn with_flush_os_only_the_vote_is_synced() {
    let mut node = Node::new(ReplicaConfig {
        flush: Flush::Os,
        ..sole()
    });
    let first = node.replica.advance().unwrap();
    let job = first.persist.expect("the vote");
    assert!(job.ticket.is_none() && job.state.is_some());
    assert!(
        !node.replica.is_watermark_known(),
        "even here the vote comes first"
    );
    let done = run(job, &mut node.saved);
    node.replica.on_persisted(done).unwrap();
    node.replica.advance().unwrap();
    node.propose(1, 2);
    let effects = node.replica.advance().unwrap();
    assert!(effects.persist.is_none());
    assert_eq!(effects.committed.len(), 1);
    assert_eq!(node.replica.high_watermark(), Offset(2));
}

#[test]
fn too_much_uncommitted_is_refused_and_one_entry_always_passes() {
    let size = batch("x", 1, 0).size() as u64;
    let mut node = Node::new(ReplicaConfig {
        uncommitted_bytes_max: size * 2,
        ..sole()
    });
    node.settle();
    let propose =
        |node: &mut Node, token| node.replica.propose_batch(batch("x", 1, 0), Token(token));
    // One is in the log and one still waits for it: both count.
    propose(&mut node, 1).unwrap();
    let job = node.replica.advance().unwrap().persist.unwrap();
    propose(&mut node, 2).unwrap();
    let refused = propose(&mut node, 3).unwrap_err();
    assert_eq!(
        refused,
        ProposeError::Full {
            uncommitted: size * 2,
            max: size * 2
        }
    );
    assert!(refused.is_retriable());
    let done = run(job, &mut node.saved);
    node.replica.on_persisted(done).unwrap();
    node.settle();
    propose(&mut node, 3).unwrap();

    let mut node = Node::new(ReplicaConfig {
        uncommitted_bytes_max: 0,
        ..sole()
    });
    node.settle();
    propose(&mut node, 1).unwrap();
    propose(&mut node, 2).unwrap_err();
    node.settle();
    assert_eq!(node.seen.committed, [(1, 0)]);
}

#[test]
fn a_batch_above_the_limit_is_refused_for_good() {
    let mut node = Node::new(ReplicaConfig {
        entry_bytes_max: 100,
        ..sole()
    });
    node.settle();
    let error = node
        .replica
        .propose_batch(batch("long", 10, 0), Token(1))
        .unwrap_err();
    assert!(matches!(error, ProposeError::TooLarge { max: 100, .. }) && !error.is_retriable());
}

#[test]
fn a_failed_sync_is_the_end() {
    for kind in ["log", "state"] {
        let mut node = Node::new(sole());
        let job = node.replica.advance().unwrap().persist.unwrap();
        let id = job.id();
        let done = if kind == "log" {
            node.disk.fail_sync(Some(0));
            PersistDone::new(id, job.ticket.map(laminarmq::SyncTicket::run), Ok(()))
        } else {
            let log = job.ticket.map(laminarmq::SyncTicket::run);
            PersistDone::new(
                id,
                log,
                Err(StateWriteError::new("syncing", ErrorKind::Other.into())),
            )
        };
        let fatal = node.replica.on_persisted(done).unwrap_err();
        assert!(matches!(fatal, Fatal::Sync(_) | Fatal::State(_)), "{fatal}");
        assert!(node.replica.has_ended());
        assert!(matches!(node.replica.advance(), Err(Fatal::Ended)));
        let refused = node.replica.propose_batch(batch("x", 1, 0), Token(1));
        assert_eq!(refused, Err(ProposeError::Ended));
    }
}

#[test]
fn a_failed_append_is_the_end() {
    let mut node = Node::new(sole());
    node.settle();
    node.propose(1, 1);
    node.disk.fail_call(Some(0));
    assert!(matches!(node.replica.advance(), Err(Fatal::Append(_))));
    assert!(matches!(node.replica.advance(), Err(Fatal::Ended)));
}

#[test]
fn a_state_machine_gets_all_its_commands_again() {
    let machine = ReplicaConfig {
        state_machine: true,
        ..sole()
    };
    let mut node = Node::new(machine);
    node.settle();
    let command = |n: u64| Bytes::from(format!("command {n}"));
    for n in 0..10 {
        node.replica.propose_command(command(n), Token(n)).unwrap();
        node.settle();
    }
    let first: Vec<_> = node.seen.commands.clone();
    assert_eq!(
        first
            .iter()
            .map(|(_, bytes)| bytes.clone())
            .collect::<Vec<_>>(),
        (0..10).map(command).collect::<Vec<_>>()
    );
    for power in [false, true] {
        node.restart(power);
        node.settle();
        assert_eq!(node.seen.commands, first);
    }
}

#[test]
fn many_commands_come_in_pieces() {
    let mut node = Node::new(ReplicaConfig {
        state_machine: true,
        ..sole()
    });
    node.settle();
    for n in 0..20_u8 {
        node.replica
            .propose_command(Bytes::from(vec![n; 1 << 19]), Token(n.into()))
            .unwrap();
        node.settle();
    }
    node.restart(false);
    let job = node.replica.advance().unwrap().persist.unwrap();
    node.replica.on_persisted(run(job, &mut None)).unwrap();
    let mut pieces = 0;
    let mut commands = 0;
    loop {
        let effects = node.replica.advance().unwrap();
        let bytes: usize = effects.commands.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(bytes < 5 << 20, "{bytes} bytes at once");
        commands += effects.commands.len();
        pieces += 1;
        if !effects.more {
            break;
        }
    }
    assert_eq!(commands, 20);
    assert_eq!(pieces, 3, "10 MiB in pieces of 4");
}

#[test]
fn a_state_of_somebody_else_is_refused() {
    let disk = MemEnv::new();
    let other = GroupState::first(common::GROUP, ReplicaId(2), sole().members);
    let error =
        Replica::open(sole(), common::log(&disk), Some(other), common::random(1)).map(|_| ());
    assert!(matches!(error, Err(OpenError::Foreign { .. })));
}

#[test]
fn a_lost_state_ends_a_voter_among_others_and_not_a_sole_one() {
    let mut node = Node::new(sole());
    node.settle();
    node.propose(1, 1);
    node.settle();
    let alone = Replica::open(
        sole(),
        common::log(&node.disk.copy()),
        None,
        common::random(1),
    )
    .unwrap();
    // Its term is known from the log.
    assert_eq!(alone.leader_epoch(), Term(2));
    let among = Replica::open(
        config(1, &[1, 2]),
        common::log(&node.disk.copy()),
        None,
        common::random(1),
    );
    assert!(matches!(
        among.map(|_| ()),
        Err(OpenError::StateLost { entries: 2 })
    ));
}

#[test]
fn committed_entries_that_are_gone_end_a_voter_among_others_and_not_a_sole_one() {
    let mut node = Node::new(sole());
    node.settle();
    node.propose(1, 1);
    node.settle();
    let (log, state) =
        std::mem::replace(&mut node.replica, open(&sole(), &MemEnv::new(), None)).close();
    drop(log);
    assert_eq!(state.commit, LogIndex(2));
    let emptied = MemEnv::new();
    let mut alone = open(&sole(), &emptied, Some(state.clone()));
    assert_eq!(alone.high_watermark(), Offset(0));
    alone.advance().unwrap();

    let mut among = state;
    among.membership.members = Membership::of_voters([1, 2].map(ReplicaId));
    // Others may have them; see `doubt.rs`.
    let opened = |disk: &MemEnv| {
        let log = common::log(disk);
        Replica::open(sole(), log, Some(among.clone()), common::random(1)).unwrap()
    };
    assert!(opened(&MemEnv::new()).is_in_doubt());
    assert!(!opened(&node.disk).is_in_doubt());
}

#[test]
fn rolls_happen_at_the_size_and_are_flags_in_the_log() {
    let small = ReplicaConfig {
        segment_bytes: 1024,
        ..sole()
    };
    let mut node = Node::new(small);
    node.settle();
    for token in 0..40 {
        node.propose(token, 4);
        node.settle();
    }
    let segments: Vec<_> = node.replica.log().segments().collect();
    assert!(segments.len() > 4, "{} segments", segments.len());
    for segment in &segments[1..] {
        let entry = laminarmq::poll_ready(node.replica.log().entry(segment.base_index)).unwrap();
        assert_eq!(entry.flags, laminarmq_replica::FLAG_ROLL);
    }
    let before = node.values(0);
    node.restart(true);
    node.settle();
    assert_eq!(node.values(0), before);
    assert_eq!(before.len(), 160);
    // The saved commit keeps what is looked at after a restart to about a segment.
    let saved = node.saved.as_ref().unwrap().commit.get();
    assert!(
        saved >= segments[segments.len() - 3].base_index,
        "commit {saved} in {segments:?}"
    );
}

#[test]
fn offsets_of_an_empty_partition() {
    let mut node = Node::new(sole());
    node.settle();
    let limits = laminarmq_kafka::batch::BatchLimits::default();
    let look = |query| {
        node.replica
            .offset_for(query)
            .unwrap()
            .resolve(&limits)
            .unwrap()
    };
    assert_eq!(look(OffsetQuery::Earliest).unwrap().offset, Offset(0));
    assert!(look(OffsetQuery::AtOrAfter(0)).is_none());
    assert!(look(OffsetQuery::MaxTimestamp).is_none());
}
