//! One partition of a shard: its replica, and who waits for what of it.

mod appending;
mod confirming;
mod overtaken;

use self::overtaken::Overtaken;
use super::held::{Held, HeldAppends};
use super::in_sync::InSync;
use super::log_size::LogSize;
use super::{
    Ack, Append, Appended, Hosted, Lookup, Output, Outside, Progress, Read, Readiness, Refusal,
    Retention, members, retention,
};
use crate::cluster::{Incarnations, NodeId};
use crate::data_dir::InDoubt;
use crate::limits::SILENT_TICKS;
use crate::peer::{Envelope, Lane};
use bytes::Bytes;
use laminarmq_replica::{
    ConfigError, DropReason, Effects, Fatal, FetchPlan, GroupId, LogIndex, Offset, OffsetAnswer,
    PeerBody, PeerMessage, PersistDone, Replica, ReplicaId, Term, Token, TrimProposed, TrimTo,
    Tuning,
};
use std::collections::{BTreeMap, VecDeque};

/// See the module's documentation.
pub(super) struct Partition<O: Outside> {
    group: GroupId,
    replica: Replica<O::Env>,
    /// Proposals without an answer, by token. Tokens rise with the order of the proposals.
    waiting: BTreeMap<Token, Waiting<O>>,
    /// Appends that the replica had no room for, oldest first; nothing may overtake them. Bounded by the
    /// bytes in flight: each of them holds its frame's share.
    backlog: VecDeque<Append<O>>,
    /// What is in the log and not answered: repetitions of batches that are not committed, and what is committed
    /// and not on the disks of as many replicas as it asks for. With [`HELD_APPENDS_MAX`](crate::limits::HELD_APPENDS_MAX) of them nothing new is
    /// taken that might be held, and what waits for its commit is bounded already.
    held: HeldAppends<O>,
    /// Who handed the partition over, until it is ready.
    hosting: Option<(Readiness, O::ChangeReply)>,
    /// What was last told.
    told: Option<Progress>,
    /// What was last told of a group with a state machine: the term in which it is led from here.
    told_leading: Option<Option<Term>>,
    /// Of the voters, as of the last tick or change of leadership.
    in_sync: InSync,
    /// Fewer are in sync than were.
    fell_out: bool,
    /// Others are in sync than was told.
    in_sync_moved: bool,
    size: LogSize,
    /// A job is outside.
    persisting: bool,
    doubt: Option<InDoubt>,
    overtaken: Overtaken,
}

enum Waiting<O: Outside> {
    Append {
        ack: Ack,
        reply: O::AppendReply,
    },
    /// An append that was answered when it was in the log.
    Answered,
    Command {
        reply: O::CommandReply,
    },
    Trim {
        reply: O::TrimReply,
    },
}

type Outputs<O> = Vec<Output<O>>;

impl<O: Outside> Partition<O> {
    pub(super) fn new(hosted: Hosted<O>) -> Self {
        let Hosted {
            replica,
            group,
            doubt,
            answer,
            reply,
        } = hosted;
        Self {
            group,
            replica,
            waiting: BTreeMap::new(),
            backlog: VecDeque::new(),
            held: HeldAppends::NONE,
            hosting: Some((answer, reply)),
            told: None,
            told_leading: None,
            in_sync: InSync::default(),
            fell_out: false,
            in_sync_moved: false,
            size: LogSize::default(),
            persisting: false,
            doubt,
            overtaken: Overtaken::default(),
        }
    }

    /// What it may have lost is of no matter any more.
    pub(super) fn forget_doubt(&mut self) {
        if let Some(doubt) = self.doubt.take() {
            doubt.settle();
        }
    }

    pub(super) fn is_persisting(&self) -> bool {
        self.persisting
    }

    pub(super) fn command(
        &mut self,
        command: Bytes,
        reply: O::CommandReply,
        token: &mut Token,
        out: &mut Outputs<O>,
    ) {
        let this = next(token);
        match self.replica.propose_command(command, this) {
            Ok(()) => {
                self.waiting.insert(this, Waiting::Command { reply });
            }
            Err(error) => out.push(Output::Proposed {
                reply,
                result: Err(error.into()),
            }),
        }
    }

    pub(super) fn trim(
        &mut self,
        to: TrimTo,
        reply: O::TrimReply,
        token: &mut Token,
        out: &mut Outputs<O>,
    ) {
        let this = next(token);
        let result = match self.replica.propose_trim(to, this) {
            Ok(TrimProposed::Queued) => {
                self.waiting.insert(this, Waiting::Trim { reply });
                return;
            }
            Ok(TrimProposed::Already) => Ok(self.replica.start_offset()),
            Err(error) => Err(error.into()),
        };
        out.push(Output::Trimmed { reply, result });
    }

    /// Lets what is too old go, if there is any.
    pub(super) fn retain(
        &mut self,
        rules: &Retention,
        now_ms: i64,
        reply: O::TrimReply,
        token: &mut Token,
        out: &mut Outputs<O>,
    ) {
        let segments: Vec<_> = self.replica.log().segments().collect();
        let plan = retention::plan(&segments, now_ms, rules);
        if plan.roll {
            self.replica.roll_next();
        }
        match plan.trim {
            Some(to) => self.trim(to, reply, token, out),
            None => out.push(Output::Trimmed {
                reply,
                result: Ok(self.replica.start_offset()),
            }),
        }
    }

    /// Before the partition is closed. Says whether there is something left to do.
    pub(super) fn prepare_close(&mut self) -> bool {
        if let Some(successor) = self.successor() {
            // It takes over now, and not when it misses this node.
            self.replica.transfer_leadership(successor);
            return true;
        }
        self.replica.prepare_close()
    }

    /// The other voter that has the most, where this replica leads.
    fn successor(&self) -> Option<ReplicaId> {
        let voters = self.replica.members().voters.iter();
        let known = voters.filter_map(|voter| Some((self.replica.progress(*voter)?, *voter)));
        let active = known.filter(|(progress, _)| progress.active);
        let best = active.max_by_key(|(progress, _)| progress.matched);
        best.map(|(_, voter)| voter)
    }

    /// Takes a message of another replica.
    pub(super) fn step(&mut self, peer: Envelope, out: &mut Outputs<O>) {
        let Envelope {
            group,
            from,
            to,
            lane: _,
            message,
        } = peer;
        // What was sent to an earlier replica of this node is not for this one.
        if to != self.replica.id() {
            return;
        }
        if let Err(error) = self.replica.step(from, message)
            && !error.is_harmless()
        {
            let what = error.to_string();
            out.push(Output::Misbehaved { group, from, what });
        }
    }

    /// Says whether the partition has to work for that.
    pub(super) fn tick(&mut self, silent: &[NodeId]) -> bool {
        if self.replica.is_at_rest() && self.has_members_on(silent) {
            self.replica.wake(SILENT_TICKS);
        }
        let has_work = self.replica.tick();
        let replica = &self.replica;
        let all_told = self.in_sync.len() == replica.members().voters.len();
        if !replica.is_leader() || replica.is_at_rest() && all_told {
            // At rest all are alike and heard of.
            return has_work;
        }
        let before = self.in_sync();
        let is_news = self.see_in_sync();
        self.fell_out |= self.in_sync() < before;
        is_news || has_work
    }

    /// Takes the next step towards replacing the replicas that were lost with their nodes' directories. Says
    /// whether the partition has to work for that.
    pub(super) fn replace_lost(&mut self, incarnations: &Incarnations, token: &mut Token) -> bool {
        let replica = &self.replica;
        if !replica.leads_in_full() {
            return false;
        }
        let caught_up = |learner| replica.is_caught_up(learner);
        let members = replica.members();
        let Some(step) = members::next_step(members, incarnations, replica.id(), caught_up) else {
            return false;
        };
        // Refused while the one before is under way: the next tick asks again.
        let proposed = self.replica.propose_membership(&step, next(token));
        if proposed.is_ok() {
            tracing::info!(group = %self.group, ?step, "a lost replica is being replaced");
        }
        proposed.is_ok()
    }

    /// What was sent to members there counts as lost.
    pub(super) fn unreachable(&mut self, node: NodeId) {
        let there = |member: &ReplicaId| NodeId::of(*member) == Some(node);
        let there: Vec<_> = self.members().filter(there).collect();
        for member in there {
            self.replica.report_unreachable(member);
        }
    }

    fn has_members_on(&self, nodes: &[NodeId]) -> bool {
        let is_there = |node: NodeId| nodes.contains(&node);
        !nodes.is_empty()
            && self
                .members()
                .any(|id| NodeId::of(id).is_some_and(is_there))
    }

    fn members(&self) -> impl Iterator<Item = ReplicaId> {
        let members = self.replica.members();
        let all = [&members.voters, &members.learners, &members.outgoing];
        all.into_iter().flatten().copied()
    }

    pub(super) fn persisted(&mut self, done: PersistDone) -> Result<(), Fatal> {
        self.persisting = false;
        self.replica.on_persisted(done)
    }

    pub(super) fn read(&self, read: &Read) -> Result<FetchPlan<O::Env>, Refusal> {
        self.check_reader(read.epoch)?;
        Ok(self.replica.fetch(read.query)?)
    }

    pub(super) fn look_up(&self, lookup: &Lookup) -> Result<OffsetAnswer<O::Env>, Refusal> {
        self.check_reader(lookup.epoch)?;
        Ok(self.replica.offset_for(lookup.query)?)
    }

    /// Bytes of the log's segments.
    pub(super) fn bytes(&self) -> u64 {
        let segments = self.replica.log().segments();
        segments.map(|segment| segment.store_bytes).sum()
    }

    pub(super) fn tune(&mut self, tuning: Tuning) -> Result<(), Refusal> {
        let refused = |error: ConfigError| Refusal::Unsuitable(error.to_string());
        self.replica.tune(tuning).map_err(refused)
    }

    fn check_reader(&self, epoch: Option<i32>) -> Result<(), Refusal> {
        let current = self.replica.leader_epoch().leader_epoch();
        match epoch {
            Some(epoch) if epoch < current => return Err(Refusal::FencedEpoch { current }),
            Some(epoch) if epoch > current => return Err(Refusal::UnknownEpoch { current }),
            _ => {}
        }
        if self.replica.is_leader() {
            Ok(())
        } else {
            Err(Refusal::NotLeader)
        }
    }

    /// Lets the replica work until it is quiet, and turns what it did into outputs.
    pub(super) fn settle(&mut self, token: &mut Token, out: &mut Outputs<O>) -> Result<(), Fatal> {
        loop {
            let effects = self.replica.advance()?;
            let more = effects.more;
            if effects.doubt_over {
                self.forget_doubt();
            }
            // Who waits for room also hears of a leadership that is gone.
            let got_on = !effects.committed.is_empty()
                || !effects.dropped.is_empty()
                || effects.leadership.is_some();
            self.act_on(effects, out);
            self.answer_held(out);
            if got_on && self.retry_backlog(token, out) {
                continue;
            }
            if !more {
                break;
            }
        }
        if std::mem::take(&mut self.fell_out) {
            self.refuse_out_of_sync(out);
        }
        self.tell(out);
        Ok(())
    }

    /// Proposes what had no room. Says whether anything was proposed.
    fn retry_backlog(&mut self, token: &mut Token, out: &mut Outputs<O>) -> bool {
        let before = self.backlog.len();
        while let Some(append) = self.backlog.pop_front() {
            let left = self.backlog.len();
            if let Some(unsettled) = self.propose(append, token, out) {
                self.backlog.push_front(unsettled);
            }
            if self.backlog.len() > left {
                break;
            }
        }
        self.backlog.len() < before
    }

    fn act_on(&mut self, effects: Effects<O::Env>, out: &mut Outputs<O>) {
        let (group, from) = (self.group, self.replica.id());
        let sent = effects.messages.into_iter();
        let replica = &self.replica;
        out.extend(sent.map(|(to, message)| {
            let lane = lane(&message, replica.is_behind(to));
            Output::Send(Envelope {
                group,
                from,
                to,
                lane,
                message,
            })
        }));
        if let Some(job) = effects.persist {
            assert!(!self.persisting, "one job per partition");
            self.persisting = true;
            let durable = self.replica.log().durable_index();
            let ticket = job.ticket.as_ref();
            let entries = ticket.map_or(0, |ticket| ticket.up_to().saturating_sub(durable));
            out.push(Output::Persist {
                group: self.group,
                job,
                entries,
            });
        }
        if effects.reset.is_some() && self.replica.has_state_machine() {
            out.push(Output::Reset { group });
        }
        out.extend(
            effects
                .commands
                .into_iter()
                .map(|(index, command)| Output::Command {
                    group,
                    index,
                    command,
                }),
        );
        for appended in effects.appended {
            self.appended(appended.token, appended.base_offset, out);
        }
        for committed in effects.committed {
            self.committed(committed.token, committed.index, committed.base_offset, out);
        }
        for (token, reason) in effects.dropped {
            let refusal = match reason {
                DropReason::NeverAppended => Refusal::NotLeader,
                DropReason::Overwritten => Refusal::Unconfirmed,
            };
            if let Some(waiting) = self.waiting.remove(&token) {
                waiting.refuse(refusal, out);
            }
        }
    }

    fn appended(&mut self, token: Token, base_offset: Offset, out: &mut Outputs<O>) {
        let result = self.placed(base_offset, None);
        let Some(waiting) = self.waiting.get_mut(&token) else {
            return;
        };
        if matches!(
            waiting,
            Waiting::Append {
                ack: Ack::Leader,
                ..
            }
        ) {
            let before = std::mem::replace(waiting, Waiting::Answered);
            if let Waiting::Append { reply, .. } = before {
                out.push(Output::Appended {
                    reply,
                    result: Ok(result),
                });
            }
        }
    }

    fn committed(
        &mut self,
        token: Token,
        index: LogIndex,
        base_offset: Offset,
        out: &mut Outputs<O>,
    ) {
        match self.waiting.remove(&token) {
            Some(Waiting::Append { ack, reply }) => {
                let held = Held {
                    index,
                    term: self.replica.leader_epoch(),
                    min_in_sync: match ack {
                        Ack::Leader => 1,
                        Ack::Quorum { min_in_sync } => min_in_sync,
                    },
                    base_offset,
                    repeated: None,
                    reply,
                };
                self.hold(held, out);
            }
            Some(Waiting::Command { reply }) => {
                out.push(Output::Proposed {
                    reply,
                    result: Ok(index),
                });
            }
            Some(Waiting::Trim { reply }) => out.push(Output::Trimmed {
                reply,
                result: Ok(self.replica.start_offset()),
            }),
            Some(Waiting::Answered) | None => {}
        }
    }

    fn placed(&self, base_offset: Offset, repeated: Option<i64>) -> Appended {
        Appended {
            base_offset,
            start_offset: self.replica.start_offset(),
            repeated,
        }
    }

    /// Tells what changed, and that the partition is ready once what is committed is known.
    fn tell(&mut self, out: &mut Outputs<O>) {
        let (leads, epoch) = (self.replica.is_leader(), self.replica.leader_epoch());
        if self
            .told
            .is_none_or(|told| (told.leads, told.epoch) != (leads, epoch))
        {
            self.in_sync = InSync::default();
            self.see_in_sync();
            self.overtaken.begin_leadership();
        }
        let known = self.replica.is_watermark_known();
        let mut progress = Progress {
            start_offset: self.replica.start_offset(),
            high_watermark: known.then(|| self.replica.high_watermark()),
            epoch,
            leads,
            leader: self.replica.leader(),
            in_sync: self.in_sync(),
            in_doubt: self.replica.is_in_doubt(),
            log_bytes: self.told.map_or(0, |told| told.log_bytes),
        };
        if self.told != Some(progress) || self.size.has_moved(self.replica.log()) {
            progress.log_bytes = self.size.of(self.replica.log());
            self.told = Some(progress);
            out.push(Output::Progress {
                group: self.group,
                progress,
            });
        }
        if std::mem::take(&mut self.in_sync_moved) && leads {
            let voters = self.replica.members().voters.iter().copied();
            out.push(Output::InSync {
                group: self.group,
                term: epoch,
                replicas: voters.filter(|id| self.in_sync.contains(*id)).collect(),
            });
        }
        self.tell_leading(out);
        let leads = progress.leads && progress.high_watermark.is_some();
        let is_ready = |(answer, _): &mut (Readiness, _)| leads || *answer == Readiness::Taken;
        if let Some((_, reply)) = self.hosting.take_if(is_ready) {
            out.push(Output::Changed {
                reply,
                result: Ok(()),
            });
        }
    }

    /// Tells the group's state machine whether it may decide. Another term is another leadership, also
    /// where nobody else led in between.
    fn tell_leading(&mut self, out: &mut Outputs<O>) {
        if !self.replica.has_state_machine() {
            return;
        }
        let leads = self.replica.leads_in_full();
        let now = leads.then(|| self.replica.leader_epoch());
        if self.told_leading == Some(now) {
            return;
        }
        let group = self.group;
        if leads && matches!(self.told_leading, Some(Some(_))) {
            out.push(Output::Leading {
                group,
                leads: false,
            });
        }
        self.told_leading = Some(now);
        out.push(Output::Leading { group, leads });
    }

    /// Answers everybody who still waits.
    pub(super) fn refuse_all(&mut self, refusal: &Refusal, out: &mut Outputs<O>) {
        // What is in the log already may survive, so a producer cannot be told that it does not.
        let unconfirmed = match refusal {
            Refusal::Failed => Refusal::Failed,
            _ => Refusal::Unconfirmed,
        };
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            waiting.refuse(unconfirmed.clone(), out);
        }
        for held in self.held.take(|_| true) {
            held.refuse(unconfirmed.clone(), out);
        }
        for append in std::mem::take(&mut self.backlog) {
            out.push(Output::Appended {
                reply: append.reply,
                result: Err(refusal.clone()),
            });
        }
        if let Some((_, reply)) = self.hosting.take() {
            out.push(Output::Changed {
                reply,
                result: Err(refusal.clone()),
            });
        }
    }

    /// The replica, for closing it. Everybody who waits was answered before.
    pub(super) fn into_replica(self) -> Replica<O::Env> {
        assert!(
            self.waiting.is_empty() && self.backlog.is_empty() && self.held.is_empty(),
            "nobody waits"
        );
        self.replica
    }
}

impl<O: Outside> Waiting<O> {
    fn refuse(self, refusal: Refusal, out: &mut Outputs<O>) {
        match self {
            Waiting::Append { reply, .. } => out.push(Output::Appended {
                reply,
                result: Err(refusal),
            }),
            Waiting::Command { reply } => out.push(Output::Proposed {
                reply,
                result: Err(refusal),
            }),
            Waiting::Trim { reply } => out.push(Output::Trimmed {
                reply,
                result: Err(refusal),
            }),
            Waiting::Answered => {}
        }
    }
}

/// Who is behind gets what it lacks beside what is new, not in front of it.
fn lane(message: &PeerMessage, is_behind: bool) -> Lane {
    match &message.body {
        PeerBody::Append { entries, .. } if !entries.is_empty() && is_behind => Lane::Bulk,
        _ => Lane::Live,
    }
}

fn next(token: &mut Token) -> Token {
    token.0 += 1;
    *token
}
