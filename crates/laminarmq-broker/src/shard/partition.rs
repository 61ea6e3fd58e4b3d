//! One partition of a shard: its replica, and who waits for what of it.

use super::{Ack, Append, Appended, Lookup, Output, Outside, Progress, Read, Refusal};
use bytes::Bytes;
use laminarmq::{Log, LogEnv};
use laminarmq_replica::{
    DropReason, Effects, Fatal, FetchError, FetchPlan, GroupId, LogIndex, Offset, OffsetAnswer,
    PersistDone, ProposeError, Replica, Token,
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
    /// Who handed the partition over, until it is ready.
    hosting: Option<O::ChangeReply>,
    /// What was last told.
    told: Option<Progress>,
    size: LogSize,
    /// A job is outside.
    persisting: bool,
}

/// How long a log is, without looking at each of its sealed segments every time.
#[derive(Debug, Default)]
struct LogSize {
    /// Where the log began, how many segments it had and how long the write segment was when `sealed` was
    /// summed up, or later. A roll, and a cut at either end, changes one of the first two or shortens the
    /// last.
    start: u64,
    segments: usize,
    write: u64,
    /// Bytes of the sealed segments.
    sealed: u64,
}

impl LogSize {
    fn of<E: LogEnv>(&mut self, log: &Log<E>) -> u64 {
        let (start, segments) = (log.start_index(), log.segments().len());
        let write = log.write_segment_bytes();
        if (start, segments) != (self.start, self.segments) || write < self.write {
            let sealed = log.segments().filter(|segment| !segment.is_write);
            self.sealed = sealed.map(|segment| segment.store_bytes).sum();
        }
        (self.start, self.segments, self.write) = (start, segments, write);
        self.sealed + write
    }
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
}

type Outputs<O> = Vec<Output<O>>;

impl<O: Outside> Partition<O> {
    pub(super) fn new(group: GroupId, replica: Replica<O::Env>, hosting: O::ChangeReply) -> Self {
        Self {
            group,
            replica,
            waiting: BTreeMap::new(),
            backlog: VecDeque::new(),
            hosting: Some(hosting),
            told: None,
            size: LogSize::default(),
            persisting: false,
        }
    }

    pub(super) fn is_persisting(&self) -> bool {
        self.persisting
    }

    pub(super) fn append(&mut self, append: Append<O>, token: &mut Token, out: &mut Outputs<O>) {
        if self.backlog.is_empty() {
            self.propose(append, token, out);
        } else {
            self.backlog.push_back(append);
        }
    }

    fn propose(&mut self, append: Append<O>, token: &mut Token, out: &mut Outputs<O>) {
        let Append {
            group,
            batch,
            ack,
            reply,
        } = append;
        let this = next(token);
        // The batch is shared, so keeping it for a second try costs nothing.
        match self.replica.propose_batch(batch.clone(), this) {
            Ok(()) => {
                self.waiting.insert(this, Waiting::Append { ack, reply });
            }
            Err(ProposeError::Full { .. }) => {
                self.backlog.push_front(Append {
                    group,
                    batch,
                    ack,
                    reply,
                });
            }
            Err(error) => out.push(Output::Appended {
                reply,
                result: Err(error.into()),
            }),
        }
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
            let got_on = !effects.committed.is_empty() || !effects.dropped.is_empty();
            self.act_on(effects, out);
            if got_on && self.retry_backlog(token, out) {
                continue;
            }
            if !more {
                break;
            }
        }
        self.tell(out);
        Ok(())
    }

    /// Proposes what had no room. Says whether anything was proposed.
    fn retry_backlog(&mut self, token: &mut Token, out: &mut Outputs<O>) -> bool {
        let before = self.backlog.len();
        while let Some(append) = self.backlog.pop_front() {
            let left = self.backlog.len();
            self.propose(append, token, out);
            if self.backlog.len() > left {
                break;
            }
        }
        self.backlog.len() < before
    }

    fn act_on(&mut self, effects: Effects<O::Env>, out: &mut Outputs<O>) {
        assert!(
            effects.messages.is_empty(),
            "a group of one has nobody to write to"
        );
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
        let group = self.group;
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
        let result = self.placed(base_offset);
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
        let result = self.placed(base_offset);
        match self.waiting.remove(&token) {
            Some(Waiting::Append { reply, .. }) => {
                out.push(Output::Appended {
                    reply,
                    result: Ok(result),
                });
            }
            Some(Waiting::Command { reply }) => {
                out.push(Output::Proposed {
                    reply,
                    result: Ok(index),
                });
            }
            Some(Waiting::Answered) | None => {}
        }
    }

    fn placed(&self, base_offset: Offset) -> Appended {
        Appended {
            base_offset,
            start_offset: self.replica.start_offset(),
        }
    }

    /// Tells what changed, and that the partition is ready once what is committed is known.
    fn tell(&mut self, out: &mut Outputs<O>) {
        let known = self.replica.is_watermark_known();
        let mut progress = Progress {
            high_watermark: known.then(|| self.replica.high_watermark()),
            epoch: self.replica.leader_epoch(),
            leads: self.replica.is_leader(),
            start_offset: self.replica.start_offset(),
            log_bytes: self.told.map_or(0, |told| told.log_bytes),
        };
        if self.told != Some(progress) {
            progress.log_bytes = self.size.of(self.replica.log());
            self.told = Some(progress);
            out.push(Output::Progress {
                group: self.group,
                progress,
            });
        }
        if progress.leads
            && progress.high_watermark.is_some()
            && let Some(reply) = self.hosting.take()
        {
            out.push(Output::Changed {
                reply,
                result: Ok(()),
            });
        }
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
        for append in std::mem::take(&mut self.backlog) {
            out.push(Output::Appended {
                reply: append.reply,
                result: Err(refusal.clone()),
            });
        }
        if let Some(reply) = self.hosting.take() {
            out.push(Output::Changed {
                reply,
                result: Err(refusal.clone()),
            });
        }
    }

    /// The replica, for closing it. Everybody who waits was answered before.
    pub(super) fn into_replica(self) -> Replica<O::Env> {
        assert!(
            self.waiting.is_empty() && self.backlog.is_empty(),
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
            Waiting::Answered => {}
        }
    }
}

fn next(token: &mut Token) -> Token {
    token.0 += 1;
    *token
}

impl From<ProposeError> for Refusal {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotLeader { .. } | ProposeError::HandingOver => Refusal::NotLeader,
            ProposeError::TooLarge { bytes, max } => Refusal::TooLarge { bytes, max },
            ProposeError::Full { .. } | ProposeError::MembershipBusy => Refusal::NotAvailable,
            ProposeError::Membership(reason) => Refusal::Unreadable(reason),
            ProposeError::Ended => Refusal::Failed,
        }
    }
}

impl From<FetchError> for Refusal {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::OutOfRange { start, end, .. } => Refusal::OutOfRange { start, end },
            FetchError::NotAvailable => Refusal::NotAvailable,
            error @ (FetchError::Read(_) | FetchError::Batch { .. }) => {
                Refusal::Unreadable(error.to_string())
            }
        }
    }
}
