//! The log as the raft crate sees it.
//!
//! Terms come from memory, so asking for one never fails. Entries come from the log's index and
//! carry descriptors, not bytes. An index entry that cannot be read ends the replica: the error is
//! kept until [`Store::take_error`] hands it out, before anything acts on what the crate was told
//! meanwhile.

use std::cell::{Cell, RefCell};

use laminarmq::{Log, LogEnv, poll_ready};
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use crate::config::COMMAND_BYTES_PER_ADVANCE;
use crate::consensus::{Ballot, convert};
use crate::replica::{drop_prefix, reset_log};
use crate::state::LogStart;
use crate::terms::TermRuns;
use crate::{EntryKind, Fatal, LogIndex, Membership};

/// What a descriptor of a stored entry takes as a protobuf message, about.
const DESCRIPTOR_BYTES: u64 = 24;
/// Stopped sends that are remembered; one per peer is usual, and a heartbeat revives the rest.
const STOPPED_MAX: usize = 64;

/// What the crate is started with.
pub(crate) struct Saved {
    pub(crate) ballot: Ballot,
    /// In `[start - 1, last]`.
    pub(crate) commit: LogIndex,
    /// In `[start - 1, commit]`: what need not be acted on again.
    pub(crate) applied: LogIndex,
    pub(crate) members: Membership,
    pub(crate) start: LogStart,
    pub(crate) terms: TermRuns,
}

pub(crate) struct Store<E: LogEnv> {
    log: Log<E>,
    terms: TermRuns,
    start: LogStart,
    first_state: (HardState, ConfState),
    error: RefCell<Option<Fatal>>,
    /// Bytes of stored entries that may still be sent in this round.
    send_budget: Cell<u64>,
    stopped: RefCell<Vec<GetEntriesContext>>,
}

impl<E: LogEnv> Store<E> {
    pub(super) fn new(log: Log<E>, saved: Saved) -> Self {
        let hard = HardState {
            term: saved.ballot.term.get().into(),
            vote: saved.ballot.vote.map_or(0, crate::ReplicaId::get),
            commit: saved.commit.get(),
            ..HardState::default()
        };
        Self {
            log,
            terms: saved.terms,
            start: saved.start,
            first_state: (hard, convert::conf_state(&saved.members)),
            error: RefCell::new(None),
            send_budget: Cell::new(0),
            stopped: RefCell::new(Vec::new()),
        }
    }

    pub(crate) fn log(&self) -> &Log<E> {
        &self.log
    }

    pub(crate) fn terms(&self) -> &TermRuns {
        &self.terms
    }

    /// The log and its terms, to be changed together.
    pub(crate) fn parts_mut(&mut self) -> (&mut Log<E>, &mut TermRuns) {
        (&mut self.log, &mut self.terms)
    }

    /// Drops the entries before the start that was saved, if the disk lets it.
    pub(crate) fn trim(&mut self, start: LogStart) -> Result<(), Fatal> {
        if drop_prefix(&mut self.log, start.index)? {
            self.terms.trim(start.index);
            self.start = start;
        }
        Ok(())
    }

    /// Where the log begins.
    pub(crate) fn start(&self) -> LogStart {
        self.start
    }

    /// Drops everything: the log is empty behind this start, which is saved. False where the disk
    /// does not let it; then the log is as it was.
    pub(crate) fn reset(&mut self, start: LogStart) -> Result<bool, Fatal> {
        if !reset_log(&mut self.log, start.index)? {
            return Ok(false);
        }
        self.terms = TermRuns::empty(LogIndex(start.index.get() - 1), start.prev_term);
        self.start = start;
        Ok(true)
    }

    pub(super) fn into_log(self) -> Log<E> {
        self.log
    }

    /// The read error that the crate was not told about, if there was one.
    pub(super) fn take_error(&mut self) -> Result<(), Fatal> {
        self.error.get_mut().take().map_or(Ok(()), Err)
    }

    /// Starts a round with this byte budget; returns the sends that the last one stopped.
    pub(super) fn take_stopped(&self, budget: u64) -> Vec<GetEntriesContext> {
        self.send_budget.set(budget);
        self.stopped.take()
    }

    fn entry(&self, index: u64) -> Result<(Entry, u64), Fatal> {
        let info = poll_ready(self.log.entry(index))?;
        let at = LogIndex(index);
        let kind = EntryKind::from_u8(info.kind);
        match (kind, self.terms.get(at)) {
            (Some(kind), Some(term)) if term.get() == info.term => {
                Ok((convert::stored(index, term, kind), info.length))
            }
            _ => Err(Fatal::Entry {
                index: at,
                what: "its index entry is not what was written",
            }),
        }
    }
}

impl<E: LogEnv> Storage for Store<E> {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let (hard, members) = self.first_state.clone();
        Ok(RaftState::new(hard, members))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low < self.start.index.get() {
            return Err(StorageError::Compacted.into());
        }
        let max_size = max_size.into();
        let count = max_size
            .map_or(u64::MAX, |max| max / DESCRIPTOR_BYTES)
            .max(1);
        let mut command_bytes = 0;
        let sending = context.can_async();
        if sending && self.send_budget.get() == 0 {
            let mut stopped = self.stopped.borrow_mut();
            if stopped.len() < STOPPED_MAX {
                stopped.push(context);
            }
            return Err(StorageError::LogTemporarilyUnavailable.into());
        }
        let mut entries = Vec::new();
        for index in low..high.min(low.saturating_add(count)) {
            match self.entry(index) {
                Ok((entry, bytes)) => {
                    if sending {
                        self.send_budget
                            .set(self.send_budget.get().saturating_sub(bytes.max(1)));
                    }
                    if convert::is_command(&entry) {
                        command_bytes += bytes;
                    }
                    entries.push(entry);
                    // Committed commands are about to be handed out, all of these at once.
                    if max_size.is_some() && command_bytes >= COMMAND_BYTES_PER_ADVANCE as u64 {
                        break;
                    }
                }
                Err(error) => {
                    self.error.borrow_mut().get_or_insert(error);
                    if sending {
                        return Err(StorageError::LogTemporarilyUnavailable.into());
                    }
                    // The crate panics on an error here. What it gets instead is never acted on.
                    let term = self.terms.get(LogIndex(index)).unwrap_or_default();
                    entries.push(convert::stored(index, term, EntryKind::Noop));
                }
            }
        }
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        let error = if index < self.start.index.get() {
            StorageError::Compacted
        } else {
            StorageError::Unavailable
        };
        self.terms
            .get(LogIndex(index))
            .map(|term| term.get().into())
            .ok_or(error.into())
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.start.index.get())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.terms.end().get() - 1)
    }

    /// Only its place matters to the crate here; what the message says is put in when it leaves.
    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        let at = self.start.index.get() - 1;
        if at == 0 {
            // Nobody is behind the beginning. The crate would panic on such a snapshot.
            return Err(StorageError::SnapshotTemporarilyUnavailable.into());
        }
        let mut snapshot = Snapshot::default();
        let metadata = snapshot.mut_metadata();
        metadata.index = at;
        metadata.term = self.start.prev_term.get().into();
        Ok(snapshot)
    }
}
