//! The one place that knows the `raft` crate.
//!
//! What the rest of this crate sees is [`Consensus`]: calls go in, [`Turn`]s come out, everything
//! in our own types. Rules that are held here:
//!
//! - An entry's data is a small descriptor (kind, number in the payload queue), never the batch,
//!   and never empty: an empty entry is the leader's own no-op.
//! - Every limit of the raft crate counts descriptors, so none of them is relied on:
//!   one append carries one entry (`max_size_per_msg` 0), and bytes are bounded by [`flow`] and by
//!   the replica.
//! - The election timeout comes from our random source: the crate draws its own at each change of
//!   role or term, so ours is put back before every tick. (Its setter refuses values outside the
//!   configured range, so the range stays wide and the value is overruled, not the range.)
//! - Only a leader proposes, and a proposal from a peer has no message to come in.
//! - A sole voter stands for election at once, and does not tick.
//! - A follower behind the start of a trimmed log gets a snapshot, which is a small message. Its fate is
//!   reported as it leaves (`report_snapshot`), or the crate would never send to that peer again: the
//!   next append tells whether it came, and what did not come is sent again.

mod convert;
mod flow;
mod pace;
mod store;

use bytes::Bytes;
use laminarmq::{Log, LogEnv};
use raft::eraftpb::{Entry, EntryType, Message, MessageType};
use raft::{Config, ProgressState, RawNode, Ready, SnapshotStatus, StateRole};
use slog::Logger;

use crate::config::INFLIGHT_APPENDS_MAX;
use crate::{
    EntryKind, Fatal, LogIndex, LogPoint, Membership, MembershipChange, PeerBody, PeerError,
    PeerMessage, PeerProgress, ProposeError, RandomSource, ReplicaConfig, ReplicaId, Term,
};

use flow::Flow;
use store::Store;

pub(crate) use store::Saved;

/// Descriptor bytes handed out as committed in one turn; about a thousand entries.
const COMMITTED_BYTES_PER_TURN: u64 = 32 << 10;

/// A replica's part in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether an election would be won.
    PreCandidate,
    /// Stands for election.
    Candidate,
    /// Takes proposals.
    Leader,
}

/// The part of the hard state that decides elections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ballot {
    pub(crate) term: Term,
    pub(crate) vote: Option<ReplicaId>,
}

/// An entry that the log does not have yet.
#[derive(Clone, Copy)]
pub(crate) struct NewEntry {
    pub(crate) index: LogIndex,
    pub(crate) term: Term,
    /// Its number in the payload queue; `None` for the no-op of this replica's own term.
    pub(crate) queued: Option<u64>,
}

/// What the consensus wants done, in this order: append `entries`, then send.
pub(crate) struct Turn {
    ready: Ready,
    pub(crate) number: u64,
    pub(crate) entries: Vec<NewEntry>,
    /// The new ballot, if it changed: to be saved before anything of this turn counts.
    pub(crate) ballot: Option<Ballot>,
    messages: Vec<Message>,
    /// Whether the messages wait until this turn and all before it are saved.
    pub(crate) messages_wait: bool,
    /// Entries committed and saved here, in order.
    pub(crate) committed: Vec<CommittedEntry>,
}

/// An entry that is committed.
pub(crate) struct CommittedEntry {
    pub(crate) index: LogIndex,
    pub(crate) kind: EntryKind,
}

pub(crate) struct Consensus<E: LogEnv> {
    raw: RawNode<Store<E>>,
    id: ReplicaId,
    random: Box<dyn RandomSource + Send>,
    election_ticks: u32,
    /// Ours, in ticks; see the module documentation.
    election_timeout: usize,
    drawn_for: (u64, StateRole),
    ballot: Ballot,
    flow: Flow,
    sole_voter: bool,
    /// Whom this turn sends a snapshot.
    snapshots: Vec<u64>,
}

impl<E: LogEnv> Consensus<E> {
    /// Starts from what was saved. A sole voter is the leader when this returns.
    pub(crate) fn open(
        config: &ReplicaConfig,
        saved: Saved,
        log: Log<E>,
        random: Box<dyn RandomSource + Send>,
    ) -> Result<Self, String> {
        let raft = Config {
            id: config.replica.get(),
            election_tick: usize_of(config.election_ticks),
            heartbeat_tick: usize_of(config.heartbeat_ticks),
            min_election_tick: usize_of(config.election_ticks),
            max_election_tick: usize_of(config.election_ticks) * 2,
            applied: saved.applied.get(),
            max_size_per_msg: 0,
            max_inflight_msgs: INFLIGHT_APPENDS_MAX,
            check_quorum: true,
            pre_vote: true,
            max_committed_size_per_ready: COMMITTED_BYTES_PER_TURN,
            ..Config::default()
        };
        let ballot = saved.ballot;
        let sole_voter = saved.members.is_sole_voter(config.replica);
        let store = Store::new(log, saved);
        // Its messages repeat what the effects say; whoever wants them traces those.
        let logger = Logger::root(slog::Discard, slog::o!());
        let raw = RawNode::new(&raft, store, &logger).map_err(|error| error.to_string())?;
        let mut consensus = Self {
            drawn_for: (raw.raft.term, raw.raft.state),
            raw,
            id: config.replica,
            random,
            election_ticks: config.election_ticks,
            election_timeout: 0,
            ballot,
            flow: Flow::new(config.inflight_bytes_max, config.catch_up_bytes),
            sole_voter,
            snapshots: Vec::new(),
        };
        consensus.draw_timeout();
        consensus.stand_if_alone();
        Ok(consensus)
    }

    pub(crate) fn log(&self) -> &Log<E> {
        self.raw.store().log()
    }

    pub(crate) fn store_mut(&mut self) -> &mut Store<E> {
        self.raw.mut_store()
    }

    pub(crate) fn store(&self) -> &Store<E> {
        self.raw.store()
    }

    pub(crate) fn into_log(self) -> Log<E> {
        self.raw.raft.r.raft_log.store.into_log()
    }

    pub(crate) fn role(&self) -> Role {
        match self.raw.raft.state {
            StateRole::Follower => Role::Follower,
            StateRole::PreCandidate => Role::PreCandidate,
            StateRole::Candidate => Role::Candidate,
            StateRole::Leader => Role::Leader,
        }
    }

    pub(crate) fn term(&self) -> Term {
        convert::term(self.raw.raft.term)
    }

    pub(crate) fn ballot(&self) -> Ballot {
        self.ballot
    }

    pub(crate) fn leader(&self) -> Option<ReplicaId> {
        Some(ReplicaId(self.raw.raft.leader_id)).filter(|id| id.get() != 0)
    }

    /// The last entry, also of those that the log does not have yet.
    pub(crate) fn last_index(&self) -> LogIndex {
        LogIndex(self.raw.raft.raft_log.last_index())
    }

    /// The last entry known to be committed, saved here or not.
    pub(crate) fn commit(&self) -> LogIndex {
        LogIndex(self.raw.raft.raft_log.committed)
    }

    /// Whether the entry at that point is in the log, or about to be.
    pub(crate) fn matches(&self, point: LogPoint) -> bool {
        // The crate answers term 0 for an index that it does not have.
        (point.term.get() > 0 || point.index.get() == 0)
            && self
                .raw
                .raft
                .raft_log
                .match_term(point.index.get(), point.term.get().into())
    }

    /// Whether every entry is saved. Only then may an election be won: the crate asserts it.
    pub(crate) fn is_settled(&self) -> bool {
        self.raw.raft.raft_log.persisted == self.raw.raft.raft_log.last_index()
    }

    /// One step of the clock.
    ///
    /// Says whether anything came of it.
    pub(crate) fn tick(&mut self) -> bool {
        if self.sole_voter {
            self.stand_if_alone();
            return self.raw.has_ready();
        }
        if self.raw.raft.state != StateRole::Leader && self.term() >= Term::MAX {
            return false;
        }
        let timeout = self.election_timeout;
        self.raw.raft.set_randomized_election_timeout(timeout);
        self.raw.tick();
        self.flow.tick(&self.raw.raft);
        self.after_call();
        self.raw.has_ready()
    }

    /// No other member's node was heard of for so many ticks.
    pub(crate) fn missed(&mut self, ticks: u32) {
        let raft = &mut self.raw.raft;
        if raft.state != StateRole::Leader {
            raft.election_elapsed = raft.election_elapsed.max(usize_of(ticks));
        }
    }

    /// One step of the clock that starts no election.
    pub(crate) fn pass_time(&mut self) {
        let raft = &mut self.raw.raft;
        raft.election_elapsed = raft.election_elapsed.saturating_add(1);
    }

    /// A peer's log ends with entry `last`, whatever it said before. Nothing happens unless this replica leads
    /// and counts on more.
    pub(crate) fn lost(&mut self, peer: ReplicaId, last: LogIndex) {
        let raft = &mut self.raw.raft;
        if raft.state != StateRole::Leader {
            return;
        }
        let Some(progress) = raft.mut_prs().get_mut(peer.get()) else {
            return;
        };
        if progress.matched > last.get() {
            progress.matched = 0;
            progress.committed_index = progress.committed_index.min(last.get());
            progress.become_probe();
            progress.next_idx = last.get() + 1;
            self.after_call();
        }
    }

    /// Whether the leadership is not about to be handed over.
    pub(crate) fn is_steady(&self) -> bool {
        self.raw.raft.lead_transferee.is_none()
    }

    /// A random number.
    pub(crate) fn draw(&mut self) -> u64 {
        self.random.next_u64()
    }

    /// A sole voter needs nobody's word: it leads at once, and again if anything unseated it.
    ///
    /// While committed changes of the members wait to be acted on, the crate refuses; the replica
    /// asks again behind them.
    pub(crate) fn stand_if_alone(&mut self) {
        let leads = self.raw.raft.state == StateRole::Leader;
        if self.sole_voter && !leads && self.is_settled() && self.term() < Term::MAX {
            // Campaigning only fails for a message that it does not send.
            let stood = self.raw.campaign();
            debug_assert!(stood.is_ok(), "campaigning alone: {stood:?}");
            self.after_call();
        }
    }

    /// Proposes the payload with this number in the queue.
    pub(crate) fn propose(
        &mut self,
        kind: EntryKind,
        number: u64,
    ) -> Result<LogIndex, ProposeError> {
        let entry = Entry {
            data: convert::descriptor(kind, number),
            ..Entry::default()
        };
        let mut message = Message {
            from: self.id.get(),
            ..Message::default()
        };
        message.set_msg_type(MessageType::MsgPropose);
        message.set_entries(vec![entry].into());
        // The crate would forward it: a descriptor without its batch.
        self.must_lead()?;
        self.raw
            .step(message)
            .map_err(|_| ProposeError::HandingOver)?;
        self.after_call();
        Ok(self.last_index())
    }

    /// Proposes a change of the members, with this number in the queue.
    pub(crate) fn propose_membership(
        &mut self,
        change: &MembershipChange,
        number: u64,
    ) -> Result<LogIndex, ProposeError> {
        self.must_lead()?;
        if self.raw.raft.has_pending_conf() {
            return Err(ProposeError::MembershipBusy);
        }
        let joint = !self
            .raw
            .raft
            .prs()
            .conf()
            .to_conf_state()
            .voters_outgoing
            .is_empty();
        if joint != matches!(change, MembershipChange::Leave) {
            let what = if joint {
                "leave the joint configuration first"
            } else {
                "nothing to leave"
            };
            return Err(ProposeError::Membership(what.to_owned()));
        }
        let descriptor = convert::descriptor(EntryKind::Membership, number).to_vec();
        self.raw
            .propose_conf_change(descriptor, convert::change(change))
            .map_err(|_| ProposeError::HandingOver)?;
        self.after_call();
        Ok(self.last_index())
    }

    fn must_lead(&self) -> Result<(), ProposeError> {
        if self.raw.raft.state == StateRole::Leader {
            Ok(())
        } else {
            Err(ProposeError::NotLeader {
                leader: self.leader(),
            })
        }
    }

    /// Acts on a message that was checked. `number_of` gives an entry its number in the queue, or
    /// none if the log has it already.
    pub(crate) fn step(
        &mut self,
        from: ReplicaId,
        message: &PeerMessage,
        numbers: impl FnMut(LogIndex) -> Option<u64>,
    ) -> Result<(), PeerError> {
        let message = convert::incoming(from, self.id, message, numbers);
        let result = self.raw.step(message);
        self.after_call();
        result.map_err(|_| PeerError::NotMember(from))
    }

    /// Asks `to` to take over; nothing happens unless this replica leads.
    pub(crate) fn transfer(&mut self, to: ReplicaId) {
        if self.raw.raft.state == StateRole::Leader {
            self.raw.transfer_leader(to.get());
            self.after_call();
        }
    }

    /// The link to a peer broke: what was on its way counts as lost.
    pub(crate) fn unreachable(&mut self, peer: ReplicaId) {
        self.raw.report_unreachable(peer.get());
        self.after_call();
    }

    /// Lets appends go on that the byte budget of the last round stopped.
    pub(crate) fn resume(&mut self) {
        for context in self.raw.store().take_stopped(self.flow.bytes_max()) {
            self.raw.on_entries_fetched(context);
        }
    }

    /// What there is to do, if anything. Must be given back to [`Self::finish`].
    pub(crate) fn turn(&mut self) -> Option<Turn> {
        if !self.raw.has_ready() {
            return None;
        }
        let mut ready = self.raw.ready();
        let ballot = ready
            .hs()
            .map(convert::ballot)
            .filter(|ballot| *ballot != self.ballot);
        if let Some(ballot) = ballot {
            self.ballot = ballot;
        }
        let entries = ready.take_entries();
        let messages = ready.take_messages();
        let messages_wait = messages.is_empty();
        let messages = if messages_wait {
            ready.take_persisted_messages()
        } else {
            messages
        };
        let committed = ready.take_committed_entries();
        Some(Turn {
            number: ready.number(),
            ready,
            entries: entries.iter().map(convert::new_entry).collect(),
            ballot,
            messages,
            messages_wait,
            committed: committed.iter().map(convert::committed).collect(),
        })
    }

    /// Turns the messages of `turn` into ours. `entry` finds what the log has at an index.
    ///
    /// A message about an entry that was replaced meanwhile counts as lost.
    pub(crate) fn messages(
        &mut self,
        turn: &mut Turn,
        mut entry: impl FnMut(&Self, LogPoint) -> Result<Option<crate::PeerEntry>, Fatal>,
        snapshot: impl Fn(&Self) -> Result<PeerBody, Fatal>,
    ) -> Result<Vec<(ReplicaId, PeerMessage)>, Fatal> {
        let mut out = Vec::with_capacity(turn.messages.len());
        for message in std::mem::take(&mut turn.messages) {
            let to = ReplicaId(message.to);
            let find = |point| entry(self, point);
            if let Some(message) = convert::outgoing(&message, find, || snapshot(self))? {
                self.flow.sent(to, &message);
                if matches!(message.body, PeerBody::Snapshot { .. }) {
                    self.snapshots.push(to.get());
                }
                out.push((to, message));
            }
        }
        Ok(out)
    }

    /// Ends a turn: its entries are in the log, its committed entries are being acted on.
    pub(crate) fn finish(&mut self, turn: Turn) -> Result<(), Fatal> {
        self.raw.advance_append_async(turn.ready);
        for peer in std::mem::take(&mut self.snapshots) {
            self.raw.report_snapshot(peer, SnapshotStatus::Finish);
        }
        self.store_mut().take_error()
    }

    /// Whether a peer catches up; only a leader knows.
    pub(crate) fn is_behind(&self, peer: ReplicaId) -> bool {
        self.flow.is_behind(peer)
    }

    /// How far a peer is; only a leader knows.
    pub(crate) fn progress(&self, peer: ReplicaId) -> Option<PeerProgress> {
        let raft = &self.raw.raft;
        let progress = raft.prs().get(peer.get())?;
        // Who was out of reach is probed by the next entry; until there is one, it lacks nothing.
        let follows = progress.state == ProgressState::Replicate
            || progress.matched >= raft.raft_log.last_index();
        Some(PeerProgress {
            matched: LogIndex(progress.matched),
            commit: LogIndex(progress.committed_index),
            active: progress.recent_active && follows,
        })
    }

    /// Whether a snapshot came that was taken, and waits for its turn.
    pub(crate) fn has_snapshot(&self) -> bool {
        self.raw.snap().is_some()
    }

    /// A snapshot's members are in effect.
    pub(crate) fn restored(&mut self, members: &Membership) {
        self.sole_voter = members.is_sole_voter(self.id);
        self.after_call();
    }

    /// Everything up to this entry has been acted on.
    pub(crate) fn applied(&mut self, index: LogIndex) {
        self.raw.advance_apply_to(index.get());
    }

    /// A change of the members is committed. The new members, or `None` if the change makes no
    /// sense for the old ones: every replica finds that alike, and passes over it.
    pub(crate) fn apply_membership(&mut self, change: &MembershipChange) -> Option<Membership> {
        let state = self.raw.apply_conf_change(&convert::change(change)).ok()?;
        let members = convert::members(&state);
        self.sole_voter = members.is_sole_voter(self.id);
        self.after_call();
        Some(members)
    }

    /// Turn `number` and all before it are saved.
    pub(crate) fn persisted(&mut self, number: u64) {
        self.raw.on_persist_ready(number);
        self.after_call();
    }

    /// After any call that may have changed role or term, or what peers have.
    fn after_call(&mut self) {
        let now = (self.raw.raft.term, self.raw.raft.state);
        if now != self.drawn_for {
            self.drawn_for = now;
            self.draw_timeout();
            if self.raw.raft.state == StateRole::Leader {
                // Nothing was proposed yet behind the entry that it begins with.
                self.flow.lead(self.raw.raft.raft_log.last_index());
            }
        }
        self.flow.settle(&mut self.raw.raft);
    }

    fn draw_timeout(&mut self) {
        let spread = self.random.next_u64() % u64::from(self.election_ticks);
        let spread = usize::try_from(spread).expect("below election_ticks, a u32");
        self.election_timeout = usize_of(self.election_ticks) + spread;
    }
}

fn usize_of(ticks: u32) -> usize {
    usize::try_from(ticks).expect("ticks are bounded by ELECTION_TICKS_MAX")
}

/// Whether the raft crate's type of an entry says membership.
fn is_membership(entry: &Entry) -> bool {
    entry.entry_type != EntryType::EntryNormal
}

/// The data of entries that the log has already: only its kind matters then.
fn stored_descriptor(kind: EntryKind) -> Bytes {
    const KINDS: [u8; 7] = [0, 1, 2, 3, 4, 5, 6];
    let at = usize::from(kind.as_u8());
    Bytes::from_static(&KINDS).slice(at..=at)
}

#[cfg(test)]
mod tests;
