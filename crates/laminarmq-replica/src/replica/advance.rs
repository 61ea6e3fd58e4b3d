//! Doing what the consensus asks for, and telling it what is saved.

use std::collections::VecDeque;

use laminarmq::{Log, LogEnv, poll_ready};

use crate::config::{COMMAND_BYTES_PER_ADVANCE, Flush};
use crate::consensus::{CommittedEntry, Consensus, Turn};
use crate::effects::PersistId;
use crate::membership::MembershipAt;
use crate::replica::snapshot::snapshot;
use crate::replica::{Answered, Replica, Tracked};
use crate::state::LogStart;
use crate::tail::Tail;
use crate::{
    Committed, Effects, EntryKind, Fatal, LogIndex, LogPoint, MembershipChange, Payload, PeerEntry,
    PeerMessage, PersistDone, PersistJob, ReplicaId, Term,
};

/// What is being saved, and what waits for it.
///
/// `done <= out <= seen`; messages in `held` belong to turns in `(done, seen]`.
#[derive(Default)]
pub(super) struct Persisting {
    /// The newest turn.
    seen: u64,
    /// The newest turn that is saved.
    done: u64,
    /// The job that is out: up to which turn, and whether it has a ticket.
    out: Option<(u64, bool)>,
    /// A turn in `(out or done, seen]` appended entries.
    log: bool,
    /// One of them changed the state, or something worth saving did.
    pub(super) state: bool,
    /// Where the log begins by the state that is being saved, if that is news to the log.
    out_start: Option<LogStart>,
    /// The same of a state that is saved.
    saved_start: Option<LogStart>,
    pub(super) doubt: EndOfDoubt,
    held: VecDeque<(u64, Vec<(ReplicaId, PeerMessage)>)>,
}

/// How far the word is on its way to the disk that a replica is not in doubt any more. Until it is there, a start
/// would find the replica in doubt again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum EndOfDoubt {
    #[default]
    No,
    /// The next state says so.
    Unsaved,
    /// The state that is being saved does.
    Out,
    /// It is to be told.
    Saved,
}

impl Persisting {
    /// At the opening. `unsaved`: the state says something that is not saved.
    pub(super) fn of_state(unsaved: bool) -> Self {
        Self {
            state: unsaved,
            ..Self::default()
        }
    }

    pub(super) fn is_out(&self) -> bool {
        self.out.is_some()
    }

    /// Every turn is saved.
    pub(super) fn is_over(&self) -> bool {
        self.out.is_none() && self.done == self.seen
    }

    /// Where the log may begin from now on.
    pub(super) fn take_saved_start(&mut self) -> Option<LogStart> {
        self.saved_start.take()
    }

    /// The log begins anew: where it was to begin counts no more.
    pub(super) fn forget_starts(&mut self) {
        self.out_start = None;
        self.saved_start = None;
    }

    fn release(&mut self, into: &mut Vec<(ReplicaId, PeerMessage)>) {
        while self
            .held
            .front()
            .is_some_and(|&(turn, _)| turn <= self.done)
        {
            let (_, messages) = self.held.pop_front().expect("just looked at");
            into.extend(messages);
        }
    }
}

impl Tracked {
    fn answer(self) -> Option<Committed> {
        Some(Committed {
            token: self.token?,
            index: self.index,
            base_offset: self.base_offset,
            next_offset: self.next_offset,
        })
    }
}

impl<E: LogEnv> Replica<E> {
    /// Does everything that can be done without waiting, and returns the rest as effects.
    ///
    /// Call it after opening, after ticks, steps and proposals, and after
    /// [`Replica::on_persisted`]. An error is the end of the replica.
    pub fn advance(&mut self) -> Result<Effects<E>, Fatal> {
        self.must_not_have_ended()?;
        let mut effects = Effects::default();
        let result = self.run(&mut effects);
        self.ended |= result.is_err();
        result.map(|()| effects)
    }

    /// Takes the result of a job; call [`Replica::advance`] next. An error is the end of the
    /// replica: after a failed sync nobody knows what the disk holds.
    pub fn on_persisted(&mut self, done: PersistDone) -> Result<(), Fatal> {
        self.must_not_have_ended()?;
        let result = self.take_persisted(done);
        self.ended |= result.is_err();
        result
    }

    fn take_persisted(&mut self, done: PersistDone) -> Result<(), Fatal> {
        let PersistDone { id, log, state } = done;
        let done = (id.0, log.is_some());
        assert_eq!(
            self.persisting.out,
            Some(done),
            "all of the job that is out, and no other"
        );
        state?;
        if let Some(log) = log {
            self.consensus.store_mut().parts_mut().0.complete(log)?;
        }
        self.persisting.out = None;
        if self.persisting.doubt == EndOfDoubt::Out {
            self.persisting.doubt = EndOfDoubt::Saved;
        }
        if let Some(start) = self.persisting.out_start.take() {
            self.persisting.saved_start = Some(start);
        }
        self.saved_snapshot();
        self.unborn = false;
        self.persisting.done = id.0;
        self.consensus.persisted(id.0);
        Ok(())
    }

    fn run(&mut self, effects: &mut Effects<E>) -> Result<(), Fatal> {
        let watermark = self.high_watermark;
        if let Some(turn) = self.restore(effects)? {
            // It has no entries, and its ballot was saved with the snapshot: all of it is saved.
            let number = turn.number;
            self.go_on(turn, effects)?;
            self.persisting.done = number;
            self.consensus.persisted(number);
            self.consensus.applied(self.applied);
        }
        if !self.waits_for_snapshot() {
            self.drop_trimmed()?;
            self.consensus.resume();
        }
        let is_full = |effects: &Effects<E>| {
            let bytes: usize = effects.commands.iter().map(|(_, bytes)| bytes.len()).sum();
            bytes >= COMMAND_BYTES_PER_ADVANCE
        };
        loop {
            while !is_full(effects)
                && !self.waits_for_snapshot()
                && let Some(turn) = self.consensus.turn()
            {
                self.take_turn(turn, effects)?;
            }
            if is_full(effects) {
                effects.more = true;
                break;
            }
            if !self.settle(effects) {
                break;
            }
        }
        self.take_visible(effects)?;
        self.settle_doubt(effects);
        if self.persisting.doubt == EndOfDoubt::Unsaved {
            self.settle(effects);
        }
        if self.persisting.doubt == EndOfDoubt::Saved {
            self.persisting.doubt = EndOfDoubt::No;
            effects.doubt_over = true;
        }
        self.persisting.release(&mut effects.messages);
        if self.high_watermark != watermark {
            effects.high_watermark = Some(self.high_watermark);
        }
        let now = self.leadership();
        if now != self.told {
            self.told = now;
            effects.leadership = Some(now);
        }
        Ok(())
    }

    fn take_turn(&mut self, turn: Turn, effects: &mut Effects<E>) -> Result<(), Fatal> {
        match self.hold_turn(turn) {
            Some(turn) => self.go_on(turn, effects),
            None => Ok(()),
        }
    }

    fn go_on(&mut self, mut turn: Turn, effects: &mut Effects<E>) -> Result<(), Fatal> {
        let number = turn.number;
        self.persisting.seen = number;
        self.persisting.state |= turn.ballot.is_some();
        if !turn.entries.is_empty() {
            let entries = std::mem::take(&mut turn.entries);
            self.append(entries, effects)?;
            self.persisting.log = true;
        }
        self.drop_superseded(effects);

        let tail = &self.tail;
        let (end_offset, members) = (self.end_offset, &self.members);
        let mut messages = self.consensus.messages(
            &mut turn,
            |consensus, at| entry(consensus, tail, at),
            |consensus| snapshot(consensus, end_offset, members),
        )?;
        for (_, message) in &mut messages {
            self.say_rest(message);
        }
        if turn.messages_wait {
            if !messages.is_empty() {
                self.persisting.held.push_back((number, messages));
            }
        } else {
            effects.messages.extend(messages);
        }
        let committed = std::mem::take(&mut turn.committed);
        self.consensus.finish(turn)?;
        self.take_committed(&committed, effects)?;
        self.take_visible(effects)
    }

    /// Asks for what must be saved, or reports turns that need nothing. True: look again.
    fn settle(&mut self, effects: &mut Effects<E>) -> bool {
        if self.persisting.out.is_some() {
            return false;
        }
        let restores = self.wants_snapshot_saved();
        let doubt = self.persisting.doubt == EndOfDoubt::Unsaved
            || (self.is_in_doubt() && self.persisting.state);
        if self.persisting.done == self.persisting.seen && !self.unborn && !restores && !doubt {
            return false;
        }
        let want_log = std::mem::take(&mut self.persisting.log) && self.config.flush == Flush::Sync;
        let want_state = std::mem::take(&mut self.persisting.state) || self.unborn || restores;
        let ticket = if want_log {
            self.consensus.store_mut().parts_mut().0.sync_ticket()
        } else {
            None
        };
        let state = want_state.then(|| self.group_state());
        if want_state && self.persisting.doubt == EndOfDoubt::Unsaved {
            self.persisting.doubt = EndOfDoubt::Out;
        }
        if restores {
            self.saving_snapshot();
        } else if want_state && self.start.index.get() > self.log().start_index() {
            self.persisting.out_start = Some(self.start);
        }
        let seen = self.persisting.seen;
        if ticket.is_none() && state.is_none() {
            self.persisting.done = seen;
            self.consensus.persisted(seen);
            return true;
        }
        self.persisting.out = Some((seen, ticket.is_some()));
        effects.persist = Some(PersistJob {
            id: PersistId(seen),
            ticket,
            state,
        });
        false
    }

    fn take_committed(
        &mut self,
        committed: &[CommittedEntry],
        effects: &mut Effects<E>,
    ) -> Result<(), Fatal> {
        let Some(last) = committed.last() else {
            return Ok(());
        };
        for entry in committed {
            match entry.kind {
                EntryKind::Command if self.config.state_machine => {
                    effects
                        .commands
                        .push((entry.index, self.payload(entry.index)?));
                }
                EntryKind::Membership => self.take_membership(entry.index)?,
                EntryKind::Trim => self.take_trim(entry.index)?,
                EntryKind::Data | EntryKind::Noop | EntryKind::Producers | EntryKind::Command => {}
            }
        }
        self.applied = last.index;
        self.consensus.applied(last.index);
        self.consensus.stand_if_alone();
        Ok(())
    }

    /// Answers proposals that are on a quorum's disks, and moves the high watermark.
    fn take_visible(&mut self, effects: &mut Effects<E>) -> Result<(), Fatal> {
        let committed = if self.is_leader() {
            self.consensus.commit()
        } else {
            self.applied
        };
        let visible = committed.min(self.last_index());
        if visible > self.visible {
            self.visible = visible;
            self.producers.settle(visible);
            let count = self
                .tracked
                .partition_point(|tracked| tracked.index <= visible);
            for done in self.tracked.drain(..count) {
                self.tracked_bytes -= done.bytes;
                match done.answered {
                    Answered::Committed => effects.committed.extend(done.answer()),
                    Answered::Applied => self.applying.push_back(done),
                }
            }
            self.high_watermark = self.high_watermark.max(self.offset_after(visible)?);
        }
        let applied = self.applied;
        while let Some(done) = self.applying.pop_front_if(|it| it.index <= applied) {
            effects.committed.extend(done.answer());
        }
        Ok(())
    }

    fn take_membership(&mut self, index: LogIndex) -> Result<(), Fatal> {
        if index <= self.members.index {
            // A state machine's replay comes by changes that are long in effect.
            return Ok(());
        }
        let bytes = self.payload(index)?;
        let change = MembershipChange::decode(&bytes).map_err(|_| Fatal::Entry {
            index,
            what: "not a change of the members",
        })?;
        match self.consensus.apply_membership(&change) {
            Some(members) => {
                self.members = MembershipAt { index, members };
                self.persisting.state = true;
            }
            None => tracing::warn!(
                group = self.config.group.get(),
                index = index.get(),
                ?change,
                "passing over a change of the members that makes no sense for the present ones"
            ),
        }
        Ok(())
    }

    /// The bytes of a committed entry, in one piece.
    pub(super) fn payload(&self, index: LogIndex) -> Result<bytes::Bytes, Fatal> {
        if let Some(cached) = self.tail.get(index)
            && cached.payload.head.is_empty()
        {
            return Ok(cached.payload.body.clone());
        }
        Ok(poll_ready(self.log().read(index.get()))?.value)
    }
}

/// The entry at a point of the log, from memory if it is recent. `None` if something else is
/// there by now.
fn entry<E: LogEnv>(
    consensus: &Consensus<E>,
    tail: &Tail,
    at: LogPoint,
) -> Result<Option<PeerEntry>, Fatal> {
    if let Some(cached) = tail.get(at.index) {
        return Ok((cached.at == at).then(|| cached.to_peer_entry()));
    }
    let log = consensus.log();
    // Of the entry just before the log the term is known as well, and it is gone: the start may have moved since a message
    // was made.
    let is_gone = at.index.get() < log.start_index();
    if is_gone || consensus.store().terms().get(at.index) != Some(at.term) {
        return Ok(None);
    }
    stored_entry(log, at).map(Some)
}

fn stored_entry<E: LogEnv>(log: &Log<E>, at: LogPoint) -> Result<PeerEntry, Fatal> {
    let record = poll_ready(log.read(at.index.get()))?;
    let bad = |what| Fatal::Entry {
        index: at.index,
        what,
    };
    if Term(record.term) != at.term {
        return Err(bad("another term than its index entry has"));
    }
    Ok(PeerEntry {
        index: at.index,
        term: at.term,
        kind: EntryKind::from_u8(record.kind).ok_or_else(|| bad("an unknown kind"))?,
        flags: record.flags,
        payload: Payload::whole(record.value),
    })
}
