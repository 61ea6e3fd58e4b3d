//! Messages from peers are checked before the raft crate sees them: it panics on some.
//!
//! What must hold, and is held here:
//!
//! - the sender is another member; terms are in `[1, Term::MAX]`
//! - a point is `(0, 0)` or has both an index and a term
//! - entries follow `prev` without a gap, terms never fall and never pass the message's; kinds,
//!   flags, sizes and batch heads are sound; offsets continue what stands before them
//! - a heartbeat's commit, and what a follower claims to have, are not past this log's end. (An
//!   append's commit may be: one message holds one entry, however much is committed. The crate
//!   takes the lesser of the two.)
//! - answers that could win an election come after the question was sent
//! - a snapshot stands for at least one entry, and its offset is not below what is committed here
//!
//! Who is no member as far as this replica knows may still ask and command, as Raft has it: around a
//! change of the members the sender may know more. Its answers are refused. A replica that is no member
//! as far as it knows itself gives no vote.
//!
//! Checks that depend on this replica's log are skipped for messages that the crate ignores by
//! their term.

use laminarmq::LogEnv;

use crate::config::ENTRY_BYTES_CEILING;
use crate::producers::Table;
use crate::queue::Waiting;
use crate::replica::Replica;
use crate::replica::append::{parse_head, record_count};
use crate::trim::Trim;
use crate::{
    AppendResult, EntryKind, FLAGS_KNOWN, LogIndex, LogPoint, MembershipChange, Offset, PeerBody,
    PeerEntry, PeerError, PeerMessage, ReplicaId, Role, Term, VoteReply,
};

/// Indices above this would let sums overflow; no log gets there.
const INDEX_MAX: u64 = 1 << 62;

impl<E: LogEnv> Replica<E> {
    pub(super) fn step_checked(
        &mut self,
        from: ReplicaId,
        message: PeerMessage,
    ) -> Result<(), PeerError> {
        let members = &self.members.members;
        let own = self.config.replica;
        if from == own || (is_reply(&message.body) && !members.contains(from)) {
            return Err(PeerError::NotMember(from));
        }
        if is_vote(&message.body) && !members.contains(own) {
            return Err(PeerError::NotMember(own));
        }
        check_alone(&message)?;
        if self.step_doubt(from, &message) {
            return Ok(());
        }
        let term = self.leader_epoch();
        match &message.body {
            PeerBody::Append { prev, entries, .. } if message.term >= term => {
                let new = self.check_entries(*prev, entries)?;
                return self.step_entries(from, message, new);
            }
            PeerBody::Snapshot { .. } if message.term >= term => {
                return self.step_snapshot(from, message);
            }
            PeerBody::Heartbeat { commit } | PeerBody::Rest { commit } if message.term >= term => {
                self.must_have(*commit)?;
            }
            PeerBody::AppendReply { result, .. }
                if message.term == term && self.role() == Role::Leader =>
            {
                match *result {
                    AppendResult::Matched(index) | AppendResult::Rejected { at: index, .. } => {
                        self.must_have(index)?;
                    }
                }
            }
            PeerBody::VoteReply(_) if message.term == term && !self.consensus.is_settled() => {
                return Err(PeerError::Unasked);
            }
            PeerBody::TimeoutNow
                if !self.consensus.is_settled() || term.max(message.term) >= Term::MAX =>
            {
                return Err(PeerError::Unasked);
            }
            _ => {}
        }
        self.consensus.step(from, &message, |_| None)
    }

    fn must_have(&self, index: LogIndex) -> Result<(), PeerError> {
        let last = self.consensus.last_index();
        if index > last {
            Err(PeerError::PastEnd { index, last })
        } else {
            Ok(())
        }
    }

    /// Queues the payloads of the entries from the first new one on, and lets the crate see all.
    fn step_entries(
        &mut self,
        from: ReplicaId,
        message: PeerMessage,
        new: Vec<(LogIndex, Offset)>,
    ) -> Result<(), PeerError> {
        let bytes: u64 = match &message.body {
            PeerBody::Append { entries, .. } => {
                entries.iter().map(|e| e.payload.len() as u64).sum()
            }
            _ => 0,
        };
        let max = self
            .config
            .uncommitted_bytes_max
            .max(self.config.inflight_bytes_max);
        if !self.queue.is_empty() && self.queue.bytes() + bytes > max {
            return Err(PeerError::Busy);
        }
        let first_number = self.queue.next_number();
        let Some(&(first, _)) = new.first() else {
            return self.consensus.step(from, &message, |_| None);
        };
        let number_of =
            |index: LogIndex| Some(first_number + index.get().checked_sub(first.get())?);
        let result = self.consensus.step(from, &message, number_of);
        let PeerBody::Append { entries, .. } = message.body else {
            return result;
        };
        let fresh = entries.into_iter().filter(|entry| entry.index >= first);
        for (entry, (index, next_offset)) in fresh.zip(new) {
            debug_assert_eq!(entry.index, index, "new entries are a suffix");
            let at = LogPoint {
                index,
                term: entry.term,
            };
            let PeerEntry {
                kind,
                flags,
                payload,
                ..
            } = entry;
            self.queue.push(
                at,
                next_offset,
                None,
                Waiting::Sent {
                    kind,
                    flags,
                    payload,
                },
            );
        }
        result
    }

    /// Checks what needs this log. Returns the entries that the log does not have, each with the
    /// offset after it; none if the crate is going to refuse or ignore the append anyway.
    fn check_entries(
        &self,
        prev: LogPoint,
        entries: &[PeerEntry],
    ) -> Result<Vec<(LogIndex, Offset)>, PeerError> {
        if prev.index < self.consensus.commit() || !self.consensus.matches(prev) {
            return Ok(Vec::new());
        }
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let at = |index, what| PeerError::Entry { index, what };
        // A log that cannot be read ends the replica elsewhere; here the message counts as lost.
        let mut offset = self.offset_behind(prev).ok_or(PeerError::Busy)?;
        let mut new = Vec::new();
        for entry in entries {
            if entry.kind == EntryKind::Data {
                let header =
                    parse_head(&entry.payload).ok_or(at(entry.index, "not a record batch"))?;
                if u64::try_from(header.base_offset) != Ok(offset.get()) {
                    return Err(at(entry.index, "an offset that does not follow"));
                }
                let records = record_count(&header)
                    .ok_or(at(entry.index, "an impossible number of records"))?;
                offset = Offset(offset.get() + records);
            }
            let point = LogPoint {
                index: entry.index,
                term: entry.term,
            };
            if !new.is_empty() || !self.consensus.matches(point) {
                new.push((entry.index, offset));
            } else if self.offset_behind(point) != Some(offset) {
                // The same index and term, and not the same entry: two leaders of one term.
                return Err(at(entry.index, "another entry than the one that is there"));
            }
        }
        Ok(new)
    }

    /// The offset behind an entry that is in the log or waits for it.
    fn offset_behind(&self, at: LogPoint) -> Option<Offset> {
        if let Some(offset) = self.queue.offset_after(at.index, at.term) {
            return Some(offset);
        }
        // What is not queued and not in the log can only be this replica's own no-op.
        self.offset_after(at.index).ok()
    }
}

fn is_reply(body: &PeerBody) -> bool {
    match body {
        PeerBody::PreVoteReply(_)
        | PeerBody::VoteReply(_)
        | PeerBody::AppendReply { .. }
        | PeerBody::HeartbeatReply { .. }
        | PeerBody::RestReply { .. }
        | PeerBody::Standing { .. } => true,
        PeerBody::PreVote { .. }
        | PeerBody::Vote { .. }
        | PeerBody::Append { .. }
        | PeerBody::Snapshot { .. }
        | PeerBody::Heartbeat { .. }
        | PeerBody::Rest { .. }
        | PeerBody::Doubt { .. }
        | PeerBody::TimeoutNow => false,
    }
}

fn is_vote(body: &PeerBody) -> bool {
    matches!(body, PeerBody::PreVote { .. } | PeerBody::Vote { .. })
}

/// Checks what needs nothing but the message.
fn check_alone(message: &PeerMessage) -> Result<(), PeerError> {
    let term = message.term;
    if term.get() == 0 || term > Term::MAX {
        return Err(PeerError::Term(term));
    }
    match &message.body {
        PeerBody::PreVote { last, commit } | PeerBody::Vote { last, commit, .. } => {
            check_point(*last)?;
            check_point(*commit)?;
            if last.term >= term {
                return Err(PeerError::Malformed(
                    "a candidate whose log is of its own term or later",
                ));
            }
            if commit.index > last.index || commit.term > last.term {
                return Err(PeerError::Malformed("committed past the end"));
            }
            Ok(())
        }
        PeerBody::PreVoteReply(VoteReply { commit, .. })
        | PeerBody::VoteReply(VoteReply { commit, .. }) => check_point(*commit),
        PeerBody::Append {
            prev,
            commit,
            entries,
        } => {
            check_point(*prev)?;
            check_index(*commit)?;
            check_entries_alone(term, *prev, entries)
        }
        PeerBody::Snapshot {
            at,
            offset,
            members,
        } => {
            check_point(*at)?;
            check_index(members.index)?;
            if at.index.get() == 0 || at.term > term {
                return Err(PeerError::Malformed("a snapshot of what cannot be"));
            }
            if i64::try_from(offset.get()).is_err() || members.members.check().is_err() {
                return Err(PeerError::Malformed("a snapshot with impossible contents"));
            }
            Ok(())
        }
        PeerBody::AppendReply { result, commit } => {
            check_index(*commit)?;
            match *result {
                AppendResult::Matched(index) => check_index(index),
                AppendResult::Rejected { at, hint } => {
                    check_index(at)?;
                    if hint.index > at {
                        return Err(PeerError::Malformed("a hint behind what was refused"));
                    }
                    if hint.term > term {
                        return Err(PeerError::Malformed("a hint of a later term"));
                    }
                    Ok(())
                }
            }
        }
        PeerBody::Heartbeat { commit }
        | PeerBody::HeartbeatReply { commit }
        | PeerBody::Rest { commit }
        | PeerBody::RestReply { commit } => check_index(*commit),
        PeerBody::Doubt { last, .. } => check_point(*last),
        PeerBody::Standing { last, leads, .. } => {
            check_point(*last)?;
            if *leads && last.term > term {
                return Err(PeerError::Malformed(
                    "a leader with entries of a later term",
                ));
            }
            Ok(())
        }
        PeerBody::TimeoutNow => Ok(()),
    }
}

fn check_entries_alone(term: Term, prev: LogPoint, entries: &[PeerEntry]) -> Result<(), PeerError> {
    let mut before = prev;
    for entry in entries {
        let at = |what| {
            Err(PeerError::Entry {
                index: entry.index,
                what,
            })
        };
        if entry.index.get() != before.index.get() + 1 {
            return at("a gap before it");
        }
        if entry.term < before.term || entry.term > term || entry.term.get() == 0 {
            return at("a term that does not follow");
        }
        if entry.flags & !FLAGS_KNOWN != 0 {
            return at("unknown flags");
        }
        if entry.payload.len() as u64 > ENTRY_BYTES_CEILING.into() {
            return at("too large");
        }
        match entry.kind {
            EntryKind::Data => {
                let Some(header) = parse_head(&entry.payload) else {
                    return at("not a record batch");
                };
                if u32::try_from(header.partition_leader_epoch) != Ok(entry.term.get()) {
                    return at("a batch of another leader epoch");
                }
            }
            EntryKind::Noop if !entry.payload.is_empty() => return at("a no-op with bytes"),
            EntryKind::Noop => {}
            EntryKind::Membership => {
                if !entry.payload.head.is_empty()
                    || MembershipChange::decode(&entry.payload.body).is_err()
                {
                    return at("not a change of the members");
                }
            }
            EntryKind::Trim => {
                let trim = Trim::decode(&entry.payload.body);
                let sound = trim.is_ok_and(|trim| trim.first <= entry.index);
                if !entry.payload.head.is_empty() || !sound {
                    return at("not a trim");
                }
            }
            EntryKind::Producers => {
                let table = Table::decode(&entry.payload.body, entry.index);
                if !entry.payload.head.is_empty() || table.is_err() {
                    return at("not a checkpoint of producers");
                }
            }
            EntryKind::Command if entry.payload.is_empty() => return at("a command without bytes"),
            EntryKind::Command => {}
        }
        before = LogPoint {
            index: entry.index,
            term: entry.term,
        };
    }
    check_index(before.index)
}

fn check_point(point: LogPoint) -> Result<(), PeerError> {
    check_index(point.index)?;
    if (point.index.get() == 0) != (point.term.get() == 0) {
        return Err(PeerError::Malformed(
            "an index without a term, or a term without an index",
        ));
    }
    if point.term > Term::MAX {
        return Err(PeerError::Term(point.term));
    }
    Ok(())
}

fn check_index(index: LogIndex) -> Result<(), PeerError> {
    if index.get() > INDEX_MAX {
        Err(PeerError::Malformed("an impossible index"))
    } else {
        Ok(())
    }
}
