//! A log that begins anew: a follower whose next entries the leader does not have any more.
//!
//! The snapshot says where the log begins and who the members are; everything else stands in the
//! entries behind it, because a leader moves its start only behind a trim, and a trim only behind a
//! checkpoint of the producers. Steps, in this order:
//!
//! ```text
//! came     the crate took it: nothing else is heard until it is done
//! saving   its start, members and commit are being saved, together with the ballot
//! saved    the log is reset, durably; then the turn goes on, and the snapshot is acknowledged
//! ```
//!
//! - The state is saved first. A log that was reset without it would not know the term before its
//!   start; a state without the reset is recognised at open, where the reset is done (see
//!   [`is_snapshot`]): the entry before its start is missing or has another term, and nothing
//!   behind that is committed as far as was saved.
//! - What the reset drops, the leader's log has superseded: entries up to the snapshot are committed
//!   and the leader's trim decided that they go; entries behind it do not follow from it.

use laminarmq::{Log, LogEnv, TruncateError, poll_ready};

use crate::consensus::{Consensus, Turn};
use crate::membership::MembershipAt;
use crate::producers::Producers;
use crate::replica::Replica;
use crate::replica::producing::SinceCheckpoint;
use crate::state::LogStart;
use crate::{
    DropReason, Effects, Fatal, GroupState, LogIndex, LogPoint, Offset, PeerBody, PeerError,
    PeerMessage, ReplicaId, Term,
};

/// A snapshot that came and is not in effect.
pub(super) struct Restoring {
    start: LogStart,
    members: MembershipAt,
    step: Step,
    /// The crate's turn with it, which waits for the log.
    turn: Option<Turn>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Came,
    Saving,
    Saved,
}

impl<E: LogEnv> Replica<E> {
    /// Takes a snapshot that was checked by itself.
    pub(super) fn step_snapshot(
        &mut self,
        from: ReplicaId,
        mut message: PeerMessage,
    ) -> Result<(), PeerError> {
        let PeerBody::Snapshot {
            at,
            offset,
            members,
        } = &mut message.body
        else {
            return self.consensus.step(from, &message, |_| None);
        };
        if at.index >= self.consensus.commit() && *offset < self.high_watermark {
            return Err(PeerError::Malformed("a snapshot below what is committed"));
        }
        if members.index < self.members.index {
            // Whoever joins is told of members that are younger than the log it gets.
            members.clone_from(&self.members);
        }
        let restoring = Restoring {
            start: LogStart {
                index: LogIndex(at.index.get() + 1),
                prev_term: at.term,
                offset: *offset,
            },
            members: members.clone(),
            step: Step::Came,
            turn: None,
        };
        self.consensus.step(from, &message, |_| None)?;
        if self.consensus.has_snapshot() {
            self.restoring = Some(restoring);
        }
        Ok(())
    }

    /// Whether the crate's turns have to wait for a snapshot.
    pub(super) fn waits_for_snapshot(&self) -> bool {
        self.restoring
            .as_ref()
            .is_some_and(|restoring| restoring.turn.is_some())
    }

    /// Keeps the snapshot's turn back. Gives it back if it is no such turn.
    pub(super) fn hold_turn(&mut self, turn: Turn) -> Option<Turn> {
        match &mut self.restoring {
            Some(restoring) => {
                assert!(turn.entries.is_empty(), "nothing was heard since it came");
                restoring.turn = Some(turn);
                None
            }
            None => Some(turn),
        }
    }

    /// Whether a snapshot waits to be saved.
    pub(super) fn wants_snapshot_saved(&self) -> bool {
        self.restoring
            .as_ref()
            .is_some_and(|restoring| restoring.turn.is_some() && restoring.step == Step::Came)
    }

    /// The state that is about to be saved holds the snapshot, if there is one.
    pub(super) fn saving_snapshot(&mut self) {
        if let Some(restoring) = &mut self.restoring {
            restoring.step = Step::Saving;
        }
    }

    /// A state was saved.
    pub(super) fn saved_snapshot(&mut self) {
        if let Some(restoring) = &mut self.restoring
            && restoring.step == Step::Saving
        {
            restoring.step = Step::Saved;
        }
    }

    /// Changes a state that is to be saved into that of the snapshot.
    pub(super) fn with_snapshot(&self, state: GroupState) -> GroupState {
        match &self.restoring {
            Some(restoring) if restoring.turn.is_some() => GroupState {
                commit: LogIndex(restoring.start.index.get() - 1),
                membership: restoring.members.clone(),
                start: restoring.start,
                ..state
            },
            _ => state,
        }
    }

    /// Begins the log anew if the snapshot is saved; returns its turn, to be gone on with.
    ///
    /// Where the disk does not let it, this is tried again with the next advance.
    pub(super) fn restore(&mut self, effects: &mut Effects<E>) -> Result<Option<Turn>, Fatal> {
        let Some(restoring) = self.restoring.take_if(|it| it.step == Step::Saved) else {
            return Ok(None);
        };
        let start = restoring.start;
        if !self.consensus.store_mut().reset(start)? {
            self.restoring = Some(restoring);
            return Ok(None);
        }
        let before = LogIndex(start.index.get() - 1);
        tracing::info!(
            group = self.config.group.get(),
            start = start.index.get(),
            offset = start.offset.get(),
            "the log begins anew: the leader does not have the entries that follow it"
        );
        self.start = start;
        self.members = restoring.members;
        self.consensus.restored(&self.members.members);
        self.tail.clear();
        for gone in self.applying.drain(..).chain(self.tracked.drain(..)) {
            effects
                .dropped
                .extend(gone.token.map(|token| (token, DropReason::Overwritten)));
        }
        self.tracked_bytes = 0;
        self.end_offset = start.offset;
        self.producers = Producers::default();
        self.checkpoint = SinceCheckpoint::default();
        self.own_noop = None;
        self.persisting.forget_starts();
        // The state that brought the start had to say that nothing behind it is committed.
        self.persisting.state |= self.doubt.is_some();
        self.applied = before;
        self.visible = before;
        self.high_watermark = self.high_watermark.max(start.offset);
        effects.commands.clear();
        effects.reset = Some(start);
        let mut turn = restoring.turn.expect("it was saved, so its turn was taken");
        turn.ballot = None;
        Ok(Some(turn))
    }
}

/// What a follower behind the start of this log is told.
pub(super) fn snapshot<E: LogEnv>(
    consensus: &Consensus<E>,
    end_offset: Offset,
    members: &MembershipAt,
) -> Result<PeerBody, Fatal> {
    let start = consensus.store().start();
    let log = consensus.log();
    // Not the first readable offset: that may lie inside the first entry, and follows from the trim.
    let offset = if start.index.get() < log.end_index() {
        Offset(poll_ready(log.entry(start.index.get()))?.key)
    } else {
        end_offset
    };
    Ok(PeerBody::Snapshot {
        at: LogPoint {
            index: LogIndex(start.index.get() - 1),
            term: start.prev_term,
        },
        offset,
        members: members.clone(),
    })
}

/// Whether a saved start that is ahead of the log came by a snapshot, not by a trim.
///
/// A trim is an entry behind the start that it sets, and is committed: so where `commit` ends before the
/// start, it was none.
pub(super) fn is_snapshot(state: &GroupState, term_before: Option<Term>) -> bool {
    state.commit.get() + 1 == state.start.index.get() && term_before != Some(state.start.prev_term)
}

/// Begins a log anew at `index`, where the system lets it.
///
/// A start file that cannot be written, on a full disk for instance, leaves the log as it was.
pub(crate) fn reset_log<E: LogEnv>(
    log: &mut Log<E>,
    index: LogIndex,
) -> Result<bool, TruncateError> {
    match poll_ready(log.reset(index.get())) {
        Ok(()) => Ok(true),
        Err(error @ TruncateError::StartFile { .. }) => {
            tracing::warn!(%error, "a log cannot begin anew now; it is tried again");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
