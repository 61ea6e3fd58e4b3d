//! What a replica wants done. It does nothing of it itself.

use bytes::Bytes;
use laminarmq::{LogEnv, SyncDone, SyncTicket};

use crate::state::{LogStart, RaftStateFile, StateFs, StateWriteError};
use crate::{GroupState, LogIndex, Offset, PeerMessage, ReplicaId, Role, Term, Token};

/// The result of one [`Replica::advance`](crate::Replica::advance). All of it must be acted on.
///
/// Every token that a propose took comes back: at most once in `appended`, and then or without
/// that exactly once in either `committed` or `dropped`.
pub struct Effects<E: LogEnv> {
    /// To be sent, in this order per peer; losing some is allowed.
    pub messages: Vec<(ReplicaId, PeerMessage)>,
    /// Proposals that are in the log here (what `acks=1` waits for), in log order.
    pub appended: Vec<Appended>,
    /// Proposals that are on a quorum's disks (what `acks=all` waits for), in log order. Trims, changes of the members
    /// and commands come when they are applied here, too: what is asked of this replica from then on shows them.
    pub committed: Vec<Committed>,
    /// The log was replaced by one that begins here: the leader did not have what followed. The group's
    /// state machine forgets everything, before it takes `commands`.
    pub reset: Option<LogStart>,
    /// Committed commands for the group's state machine, in log order.
    pub commands: Vec<(LogIndex, Bytes)>,
    /// Proposals that will not come back.
    pub dropped: Vec<(Token, DropReason)>,
    /// To be run off this thread and handed to
    /// [`Replica::on_persisted`](crate::Replica::on_persisted). At most one is out at a time.
    pub persist: Option<PersistJob<E>>,
    /// The high watermark, if it moved.
    pub high_watermark: Option<Offset>,
    /// Role, term or leader, if any of them changed.
    pub leadership: Option<Leadership>,
    /// The replica has everything again that it may have lost, and a start would find it so; see
    /// [`ReplicaConfig::may_have_lost`](crate::ReplicaConfig::may_have_lost).
    pub doubt_over: bool,
    /// There is more to do at once: call `advance` again when these commands are done.
    pub more: bool,
}

impl<E: LogEnv> Default for Effects<E> {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            appended: Vec::new(),
            committed: Vec::new(),
            reset: None,
            commands: Vec::new(),
            dropped: Vec::new(),
            persist: None,
            high_watermark: None,
            leadership: None,
            doubt_over: false,
            more: false,
        }
    }
}

/// Who leads, as far as this replica knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// What this replica is.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// The leader of that term, if known.
    pub leader: Option<ReplicaId>,
}

/// A proposal got its place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The caller's name for it.
    pub token: Token,
    /// Its entry.
    pub index: LogIndex,
    /// The offset of its first record; of a command, the next record's.
    pub base_offset: Offset,
    /// One past the offset of its last record.
    pub next_offset: Offset,
}

/// A proposal is committed: no failure within the promise can undo it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The caller's name for it.
    pub token: Token,
    /// Its entry.
    pub index: LogIndex,
    /// The offset of its first record; of a command, the next record's.
    pub base_offset: Offset,
    /// One past the offset of its last record.
    pub next_offset: Offset,
}

/// Why a proposal will not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// It never reached the log, and nobody else has it: it certainly is not committed.
    NeverAppended,
    /// A newer leader put something else in its place here. Another replica may still have it, so
    /// whether it ends up committed is not known.
    Overwritten,
}

/// Names one [`PersistJob`] of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PersistId(pub(crate) u64);

/// What must reach the disk before the replica may speak of it.
pub struct PersistJob<E: LogEnv> {
    pub(crate) id: PersistId,
    /// Syncs what was appended to the log.
    pub ticket: Option<SyncTicket<E>>,
    /// To be saved in the raft-state file, and synced.
    pub state: Option<GroupState>,
}

impl<E: LogEnv> PersistJob<E> {
    /// The job's name, for [`PersistDone::new`].
    #[must_use]
    pub fn id(&self) -> PersistId {
        self.id
    }

    /// Does all of it, one after the other, on this thread.
    pub fn run<F: StateFs>(self, file: &mut RaftStateFile<F>) -> PersistDone {
        let log = self.ticket.map(SyncTicket::run);
        let state = self.state.map_or(Ok(()), |state| file.save([state]));
        PersistDone::new(self.id, log, state)
    }
}

/// A [`PersistJob`] that ran, well or badly.
#[derive(Debug)]
pub struct PersistDone {
    pub(crate) id: PersistId,
    pub(crate) log: Option<SyncDone>,
    pub(crate) state: Result<(), StateWriteError>,
}

impl PersistDone {
    /// The results of a job whose two halves the caller ran by itself: `log` if it had a ticket,
    /// `state` of the save if it had a state, else `Ok`.
    #[must_use]
    pub fn new(id: PersistId, log: Option<SyncDone>, state: Result<(), StateWriteError>) -> Self {
        Self { id, log, state }
    }
}
