//! Opening: what the log and the saved state say together.

use std::collections::VecDeque;

use laminarmq::{Log, LogEnv, poll_ready};
use laminarmq_kafka::batch::BatchHeader;

use crate::config::Flush;
use crate::consensus::{Ballot, Consensus, Saved};
use crate::queue::Queue;
use crate::replica::Replica;
use crate::replica::advance::Persisting;
use crate::replica::doubt::{Askers, Doubt};
use crate::replica::producing::read_producers;
use crate::replica::rest::Rest;
use crate::replica::snapshot::is_snapshot;
use crate::state::LogStart;
use crate::tail::Tail;
use crate::terms::TermRuns;
use crate::{
    EntryKind, GroupState, Leadership, LogIndex, Offset, OpenError, RandomSource, ReplicaConfig,
    Role, Term,
};

impl<E: LogEnv> Replica<E> {
    /// Opens a replica over its log and what was saved of it.
    ///
    /// Entries in the log that are not known to be durable are synced first (unless the group
    /// leaves that to the operating system): from here on they count as saved. A sole voter leads
    /// when this returns; its vote is saved together with its first entry, by the first job.
    ///
    /// A sole voter whose log lost committed entries goes on without them, and says so. Among other voters such a
    /// replica [is in doubt](Self::is_in_doubt) until it has them again, as is one that
    /// [may have lost](ReplicaConfig::may_have_lost) what it acknowledged.
    ///
    /// Without a saved state, the log must be empty and this the replica's first start, or the
    /// replica its group's only voter: any other may have voted and forgotten it. Such a new replica
    /// saves its first state before it takes part.
    pub fn open(
        config: ReplicaConfig,
        mut log: Log<E>,
        saved: Option<GroupState>,
        random: Box<dyn RandomSource + Send>,
    ) -> Result<Self, OpenError> {
        config.validate()?;
        let unborn = saved.is_none() && !config.members.is_sole_voter(config.replica);
        let mut state = known_state(&config, &log, saved)?;
        let saved_commit = state.commit;
        let alone = state.membership.members.is_sole_voter(config.replica);
        if !alone && is_behind_trim(&log, &state) {
            // Where the first entry behind the trim begins only another replica can tell.
            state.start = LogStart::default();
            state.commit = LogIndex(0);
            poll_ready(log.reset(state.start.index.get()))?;
        }
        if log.start_index() < state.start.index.get() {
            finish_start(&mut log, &state)?;
        }
        if log.start_index() != state.start.index.get() {
            return Err(OpenError::Start {
                found: log.start_index(),
                saved: state.start.index.get(),
            });
        }
        if config.flush == Flush::Sync && log.durable_index() < log.end_index() {
            poll_ready(log.sync())?;
        }
        let before = LogIndex(state.start.index.get() - 1);
        let last = LogIndex(log.end_index() - 1);
        if saved_commit > last {
            let what = if alone {
                "committed entries are gone, and no other replica has them"
            } else {
                "committed entries are gone: this replica gives no vote that they could hang on before it has them \
                 from others"
            };
            tracing::error!(
                group = config.group.get(),
                committed = saved_commit.get(),
                last = last.get(),
                "{what}"
            );
        }
        // Who has not heard of a term has acknowledged nothing.
        let acknowledged = state.term.get() > 0 && !alone;
        let in_doubt =
            acknowledged && (config.may_have_lost || state.in_doubt || saved_commit > last);
        let terms = term_runs(&log, state.start)?;
        let end_offset = end_offset(&log, state.start)?;
        let (producers, checkpoint) = read_producers(&log)?;
        // A log may be ahead of the ballot: they are saved at the same time, not as one. That
        // term was never voted in then, since a vote is saved before it is given.
        let ballot = if terms.last() > state.term {
            Ballot {
                term: terms.last(),
                vote: None,
            }
        } else {
            Ballot {
                term: state.term,
                vote: state.vote,
            }
        };
        let commit = state.commit.clamp(before, last);
        let applied = if config.state_machine { before } else { commit };
        let saved = Saved {
            ballot,
            commit,
            applied,
            members: state.membership.members.clone(),
            start: state.start,
            terms,
        };
        let mut consensus =
            Consensus::open(&config, saved, log, random).map_err(OpenError::Consensus)?;
        let doubt = in_doubt.then(|| Doubt::new(consensus.draw()));
        let founding_ticks = if config.stands_first {
            config.election_ticks
        } else {
            0
        };
        let mut replica = Self {
            tail: Tail::new(config.tail_cache_bytes),
            config,
            consensus,
            members: state.membership,
            start: state.start,
            queue: Queue::default(),
            tracked: VecDeque::new(),
            applying: VecDeque::new(),
            tracked_bytes: 0,
            end_offset,
            applied,
            visible: commit,
            high_watermark: state.start.offset,
            own_noop: None,
            roll_next: false,
            persisting: Persisting::of_state(in_doubt),
            restoring: None,
            producers,
            checkpoint,
            told: Leadership {
                role: Role::Follower,
                term: Term(0),
                leader: None,
            },
            rest: Rest::default(),
            doubt,
            askers: Askers::new(),
            unborn,
            founding_ticks,
            ended: false,
        };
        replica.high_watermark = replica.offset_after(commit)?;
        Ok(replica)
    }
}

/// Whether everything is gone behind a start that a trim set. That may lie inside an entry, which would be the first
/// one. (The trim itself is an entry at the start or behind it; what was committed before the start came as a snapshot.)
fn is_behind_trim<E: LogEnv>(log: &Log<E>, state: &GroupState) -> bool {
    let start = state.start.index;
    start > LogIndex(1) && state.commit >= start && log.end_index() <= start.get()
}

/// Does what a crash left undone between saving a new start and giving it to the log: drops what is
/// before it. Everything after a snapshot, and where a log that lost its end does not reach to the start.
fn finish_start<E: LogEnv>(log: &mut Log<E>, state: &GroupState) -> Result<(), OpenError> {
    let start = state.start.index.get();
    let inside = start <= log.end_index();
    let term_before = if inside {
        Some(Term(poll_ready(log.entry(start - 1))?.term))
    } else {
        None
    };
    if !inside || is_snapshot(state, term_before) {
        poll_ready(log.reset(start))?;
    } else {
        poll_ready(log.truncate_prefix(start))?;
    }
    Ok(())
}

/// The saved state, or the first one where nothing was lost by its absence.
fn known_state<E: LogEnv>(
    config: &ReplicaConfig,
    log: &Log<E>,
    saved: Option<GroupState>,
) -> Result<GroupState, OpenError> {
    if let Some(state) = saved {
        if (state.group, state.replica) != (config.group, config.replica) {
            return Err(OpenError::Foreign {
                group: state.group,
                replica: state.replica,
            });
        }
        return Ok(state);
    }
    let entries = log.end_index() - log.start_index();
    let is_new = entries == 0 && config.first_start;
    if !is_new && !config.members.is_sole_voter(config.replica) {
        return Err(OpenError::StateLost { entries });
    }
    let mut state = GroupState::first(config.group, config.replica, config.members.clone());
    state.membership.index = config.members_index;
    Ok(state)
}

/// The terms of all entries. They never fall, so equal ends mean one run: the cost is a few index
/// entries per leader change, however long the log is.
fn term_runs<E: LogEnv>(log: &Log<E>, start: LogStart) -> Result<TermRuns, OpenError> {
    let term_at = |index: u64| -> Result<Term, OpenError> {
        let term = Term(poll_ready(log.entry(index))?.term);
        if term > Term::MAX || term.get() == 0 {
            return Err(OpenError::Entry {
                index: LogIndex(index),
                what: "an impossible term",
            });
        }
        Ok(term)
    };
    let mut runs = TermRuns::empty(LogIndex(start.index.get() - 1), start.prev_term);
    let end = log.end_index();
    while runs.end().get() < end {
        let first = runs.end().get();
        let term = term_at(first)?;
        // The last entry of this run, by bisection.
        let (mut same, mut other) = (first, end);
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            let at = term_at(middle)?;
            if at == term {
                same = middle;
            } else {
                other = middle;
            }
        }
        if !runs.push_many(term, same + 1 - first) {
            let what = "its term is below that of the entry before it";
            return Err(OpenError::Entry {
                index: LogIndex(first),
                what,
            });
        }
    }
    Ok(runs)
}

/// The offset behind the last entry.
fn end_offset<E: LogEnv>(log: &Log<E>, start: LogStart) -> Result<Offset, OpenError> {
    let end = log.end_index();
    if end == log.start_index() {
        return Ok(start.offset);
    }
    let index = end - 1;
    let bad = |what| OpenError::Entry {
        index: LogIndex(index),
        what,
    };
    let last = poll_ready(log.entry(index))?;
    match EntryKind::from_u8(last.kind) {
        None => Err(bad("an unknown kind")),
        Some(EntryKind::Data) => {
            let record = poll_ready(log.read(index))?;
            let header =
                BatchHeader::parse(&record.value).map_err(|_| bad("not a record batch"))?;
            let delta =
                u64::try_from(header.last_offset_delta).map_err(|_| bad("a negative delta"))?;
            Ok(Offset(last.key + delta + 1))
        }
        Some(_) => Ok(Offset(last.key)),
    }
}
