//! Between the raft crate's messages and ours.

use bytes::Bytes;
use raft::CAMPAIGN_TRANSFER;
use raft::eraftpb::{
    ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState, Entry,
    EntryType, HardState, Message, MessageType, Snapshot,
};

use crate::consensus::{Ballot, CommittedEntry, NewEntry, is_membership, stored_descriptor};
use crate::{
    AppendResult, EntryKind, Fatal, LogIndex, LogPoint, MemberStep, Membership, MembershipChange,
    PeerBody, PeerEntry, PeerMessage, ReplicaId, Term, VoteReply,
};

pub(super) fn term(term: u64) -> Term {
    let term = u32::try_from(term)
        .ok()
        .map(Term)
        .filter(|term| *term <= Term::MAX);
    term.expect("terms from peers and files are checked, and nobody campaigns past Term::MAX")
}

/// The small bytes that stand for a payload: its kind and its number in the queue.
pub(super) fn descriptor(kind: EntryKind, number: u64) -> Bytes {
    let mut bytes = [kind.as_u8(); 9];
    bytes[1..].copy_from_slice(&number.to_le_bytes());
    Bytes::copy_from_slice(&bytes)
}

/// The number in a descriptor; `None` for the crate's own empty entry and for stored ones.
fn queue_number(descriptor: &[u8]) -> Option<u64> {
    let (_, number) = descriptor.split_first()?;
    Some(u64::from_le_bytes(number.try_into().ok()?))
}

/// The kind in a descriptor; an empty one is the crate's own no-op.
fn entry_kind(descriptor: &[u8]) -> EntryKind {
    match descriptor.first() {
        None => EntryKind::Noop,
        Some(&kind) => EntryKind::from_u8(kind).expect("we write the descriptors"),
    }
}

/// Of a proposed membership change the data is the crate's; then ours is beside it.
fn descriptor_of(entry: &Entry) -> &[u8] {
    if entry.context.is_empty() {
        &entry.data
    } else {
        &entry.context
    }
}

pub(super) fn new_entry(entry: &Entry) -> NewEntry {
    NewEntry {
        index: LogIndex(entry.index),
        term: term(entry.term),
        queued: queue_number(descriptor_of(entry)),
    }
}

pub(super) fn committed(entry: &Entry) -> CommittedEntry {
    CommittedEntry {
        index: LogIndex(entry.index),
        kind: entry_kind(descriptor_of(entry)),
    }
}

pub(super) fn is_command(entry: &Entry) -> bool {
    entry_kind(descriptor_of(entry)) == EntryKind::Command
}

/// An entry as the crate sees it once the log has it.
pub(super) fn stored(index: u64, term: Term, kind: EntryKind) -> Entry {
    let mut entry = Entry {
        index,
        term: term.get().into(),
        ..Entry::default()
    };
    match kind {
        EntryKind::Noop => {}
        EntryKind::Membership => {
            entry.set_entry_type(EntryType::EntryConfChangeV2);
            entry.data = stored_descriptor(kind);
        }
        _ => entry.data = stored_descriptor(kind),
    }
    entry
}

pub(super) fn ballot(hard: &HardState) -> Ballot {
    Ballot {
        term: term(hard.term),
        vote: Some(ReplicaId(hard.vote)).filter(|id| id.get() != 0),
    }
}

pub(super) fn conf_state(members: &Membership) -> ConfState {
    let ids = |list: &[ReplicaId]| list.iter().map(|id| id.get()).collect();
    ConfState {
        voters: ids(&members.voters),
        learners: ids(&members.learners),
        voters_outgoing: ids(&members.outgoing),
        learners_next: ids(&members.learners_next),
        ..ConfState::default()
    }
}

pub(super) fn members(state: &ConfState) -> Membership {
    let ids = |list: &[u64]| {
        let mut ids: Vec<_> = list.iter().copied().map(ReplicaId).collect();
        ids.sort_unstable();
        ids
    };
    Membership {
        voters: ids(&state.voters),
        learners: ids(&state.learners),
        outgoing: ids(&state.voters_outgoing),
        learners_next: ids(&state.learners_next),
    }
}

pub(super) fn change(change: &MembershipChange) -> ConfChangeV2 {
    let mut out = ConfChangeV2::default();
    // Leaving is a change with no steps and no transition: that is how the crate tells it.
    let MembershipChange::Enter(steps) = change else {
        return out;
    };
    out.set_transition(ConfChangeTransition::Explicit);
    let single = |step: &MemberStep| {
        let (kind, id) = match step {
            MemberStep::Voter(id) => (ConfChangeType::AddNode, id),
            MemberStep::Learner(id) => (ConfChangeType::AddLearnerNode, id),
            MemberStep::Remove(id) => (ConfChangeType::RemoveNode, id),
        };
        ConfChangeSingle {
            change_type: kind,
            node_id: id.get(),
            ..ConfChangeSingle::default()
        }
    };
    out.set_changes(steps.iter().map(single).collect());
    out
}

/// Our message for the crate's. `None`: it is about an entry that is gone, so it counts as lost.
pub(super) fn outgoing(
    message: &Message,
    mut entry: impl FnMut(LogPoint) -> Result<Option<PeerEntry>, Fatal>,
    snapshot: impl FnOnce() -> Result<PeerBody, Fatal>,
) -> Result<Option<PeerMessage>, Fatal> {
    let point = |index, of| LogPoint {
        index: LogIndex(index),
        term: term(of),
    };
    let here = point(message.index, message.log_term);
    let commit = LogIndex(message.commit);
    let commit_point = point(message.commit, message.commit_term);
    let reply = VoteReply {
        granted: !message.reject,
        commit: commit_point,
    };
    let body = match message.msg_type {
        MessageType::MsgRequestPreVote => PeerBody::PreVote {
            last: here,
            commit: commit_point,
        },
        MessageType::MsgRequestPreVoteResponse => PeerBody::PreVoteReply(reply),
        MessageType::MsgRequestVote => {
            let transfer = message.context == CAMPAIGN_TRANSFER;
            PeerBody::Vote {
                last: here,
                commit: commit_point,
                transfer,
            }
        }
        MessageType::MsgRequestVoteResponse => PeerBody::VoteReply(reply),
        MessageType::MsgAppend => {
            let mut entries = Vec::with_capacity(message.entries.len());
            for of in &message.entries {
                let Some(entry) = entry(point(of.index, of.term))? else {
                    return Ok(None);
                };
                entries.push(entry);
            }
            PeerBody::Append {
                prev: here,
                commit,
                entries,
            }
        }
        MessageType::MsgAppendResponse if message.reject => {
            let hint = point(message.reject_hint, message.log_term);
            let result = AppendResult::Rejected {
                at: LogIndex(message.index),
                hint,
            };
            PeerBody::AppendReply { result, commit }
        }
        MessageType::MsgAppendResponse => {
            let result = AppendResult::Matched(LogIndex(message.index));
            PeerBody::AppendReply { result, commit }
        }
        MessageType::MsgHeartbeat => PeerBody::Heartbeat { commit },
        MessageType::MsgHeartbeatResponse => PeerBody::HeartbeatReply { commit },
        MessageType::MsgTimeoutNow => PeerBody::TimeoutNow,
        // As of now: the start may have moved since the crate asked for one.
        MessageType::MsgSnapshot => snapshot()?,
        // Local ones never leave; proposals and reads are not forwarded, since nobody steps them
        // on a follower.
        other => {
            debug_assert!(false, "a message that is never sent: {other:?}");
            return Ok(None);
        }
    };
    Ok(Some(PeerMessage {
        term: term(message.term),
        body,
    }))
}

/// The crate's message for ours, which was checked.
pub(super) fn incoming(
    from: ReplicaId,
    to: ReplicaId,
    message: &PeerMessage,
    mut number_of: impl FnMut(LogIndex) -> Option<u64>,
) -> Message {
    let mut out = Message {
        from: from.get(),
        to: to.get(),
        term: message.term.get().into(),
        ..Message::default()
    };
    let here = |out: &mut Message, point: &LogPoint| {
        out.index = point.index.get();
        out.log_term = point.term.get().into();
    };
    let commit_point = |out: &mut Message, point: &LogPoint| {
        out.commit = point.index.get();
        out.commit_term = point.term.get().into();
    };
    let kind = match &message.body {
        PeerBody::PreVote { last, commit } => {
            here(&mut out, last);
            commit_point(&mut out, commit);
            MessageType::MsgRequestPreVote
        }
        PeerBody::Vote {
            last,
            commit,
            transfer,
        } => {
            here(&mut out, last);
            commit_point(&mut out, commit);
            if *transfer {
                out.context = Bytes::from_static(CAMPAIGN_TRANSFER);
            }
            MessageType::MsgRequestVote
        }
        PeerBody::PreVoteReply(reply) | PeerBody::VoteReply(reply) => {
            out.reject = !reply.granted;
            commit_point(&mut out, &reply.commit);
            match &message.body {
                PeerBody::PreVoteReply(_) => MessageType::MsgRequestPreVoteResponse,
                _ => MessageType::MsgRequestVoteResponse,
            }
        }
        PeerBody::Append {
            prev,
            commit,
            entries,
        } => {
            here(&mut out, prev);
            out.commit = commit.get();
            let entry = |entry: &PeerEntry| {
                let mut of = stored(entry.index.get(), entry.term, entry.kind);
                // A no-op that came over the link has a descriptor too: it carries flags.
                if let Some(number) = number_of(entry.index) {
                    of.data = descriptor(entry.kind, number);
                }
                of
            };
            out.set_entries(entries.iter().map(entry).collect());
            MessageType::MsgAppend
        }
        PeerBody::AppendReply { result, commit } => {
            out.commit = commit.get();
            match result {
                AppendResult::Matched(index) => out.index = index.get(),
                AppendResult::Rejected { at, hint } => {
                    out.reject = true;
                    out.index = at.get();
                    out.reject_hint = hint.index.get();
                    out.log_term = hint.term.get().into();
                }
            }
            MessageType::MsgAppendResponse
        }
        PeerBody::Snapshot { at, members, .. } => {
            let mut snapshot = Snapshot::default();
            let metadata = snapshot.mut_metadata();
            metadata.index = at.index.get();
            metadata.term = at.term.get().into();
            metadata.set_conf_state(conf_state(&members.members));
            out.set_snapshot(snapshot);
            MessageType::MsgSnapshot
        }
        PeerBody::Heartbeat { commit } | PeerBody::Rest { commit } => {
            out.commit = commit.get();
            MessageType::MsgHeartbeat
        }
        PeerBody::HeartbeatReply { commit } | PeerBody::RestReply { commit } => {
            out.commit = commit.get();
            MessageType::MsgHeartbeatResponse
        }
        PeerBody::TimeoutNow => MessageType::MsgTimeoutNow,
        PeerBody::Doubt { .. } | PeerBody::Standing { .. } => {
            unreachable!("what is said of doubt is done with before, and is no matter of the crate")
        }
    };
    out.set_msg_type(kind);
    debug_assert!(out.entries.iter().all(|entry| is_membership(entry) == (entry_kind(&entry.data) == EntryKind::Membership)));
    out
}
