//! What a coordinator proposes, and who waits for it.
//!
//! - Tokens rise in the order of the proposals, which is the order in the log.
//! - Not more than [`GROUP_PROPOSED_BYTES_MAX`] and [`GROUP_PROPOSED_MAX`] are outside at a time; the rest
//!   waits here. While a checkpoint is written, only its own parts go out.
//! - Each answer that is held goes out exactly once.

use super::command::{Change, Command};
use super::request::{Answer, GroupError};
use super::{Output, Outputs};
use crate::limits::{
    GROUP_PROPOSED_BYTES_MAX, GROUP_PROPOSED_MAX, GROUP_QUEUED_BYTES_MAX, GROUP_QUEUED_MAX,
};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Names a proposal of one coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ProposalToken(pub(crate) u64);

#[derive(Debug)]
pub(super) struct Proposals<R> {
    last: u64,
    /// Not given out yet, oldest first.
    queued: VecDeque<(ProposalToken, Bytes)>,
    queued_bytes: usize,
    /// Given out, and not yet committed.
    outside: BTreeMap<ProposalToken, usize>,
    outside_bytes: usize,
    /// Of both.
    waiting: BTreeMap<ProposalToken, Waiting<R>>,
}

#[derive(Debug)]
struct Waiting<R> {
    /// What it is about; `None`: all groups.
    group: Option<String>,
    answers: Vec<(R, Answer)>,
}

impl<R> Proposals<R> {
    pub(super) fn new() -> Self {
        Self {
            last: 0,
            queued: VecDeque::new(),
            queued_bytes: 0,
            outside: BTreeMap::new(),
            outside_bytes: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// Queues a change; [`Proposals::flush`] gives it out.
    pub(super) fn propose(&mut self, change: Change) -> ProposalToken {
        let group = change.group().map(str::to_owned);
        let token = self.next();
        let command = encode(&change.into());
        self.queued_bytes += command.len();
        self.queued.push_back((token, command));
        let answers = Vec::new();
        self.waiting.insert(token, Waiting { group, answers });
        token
    }

    /// Gives a part of a checkpoint out at once, before everything that is queued.
    pub(super) fn propose_now(&mut self, command: &Command, out: &mut Outputs<R>) -> ProposalToken {
        let token = self.next();
        self.give_out(token, encode(command), out);
        token
    }

    /// Holds an answer until the proposal is committed.
    pub(super) fn hold(&mut self, token: ProposalToken, reply: R, answer: Answer) {
        let waiting = self.waiting.get_mut(&token);
        let waiting = waiting.expect("only what is not committed is waited for");
        waiting.answers.push((reply, answer));
    }

    /// Gives out what there is room for.
    pub(super) fn flush(&mut self, out: &mut Outputs<R>) {
        while let Some((_, command)) = self.queued.front()
            && self.has_room(command.len())
        {
            let (token, command) = self.queued.pop_front().expect("looked at above");
            self.queued_bytes -= command.len();
            self.give_out(token, command, out);
        }
    }

    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.outside.is_empty()
            || self.outside.len() < GROUP_PROPOSED_MAX
                && self.outside_bytes + bytes <= GROUP_PROPOSED_BYTES_MAX
    }

    fn give_out(&mut self, token: ProposalToken, command: Bytes, out: &mut Outputs<R>) {
        self.outside.insert(token, command.len());
        self.outside_bytes += command.len();
        out.push(Output::Propose { token, command });
    }

    /// A proposal's result came. Says whether it was one of these.
    pub(super) fn take_back(&mut self, token: ProposalToken) -> bool {
        let Some(bytes) = self.outside.remove(&token) else {
            return false;
        };
        self.outside_bytes -= bytes;
        true
    }

    /// The proposal is committed: its answers leave. Says which group it is about.
    pub(super) fn release(&mut self, token: ProposalToken, out: &mut Outputs<R>) -> Option<String> {
        let waiting = self.waiting.remove(&token)?;
        let answers = waiting.answers.into_iter();
        out.extend(answers.map(|(reply, answer)| Output::Reply { reply, answer }));
        waiting.group
    }

    /// Forgets what is queued, and answers all who wait. What is outside may still be committed.
    pub(super) fn refuse_all(&mut self, error: &GroupError, out: &mut Outputs<R>) {
        self.queued.clear();
        self.queued_bytes = 0;
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            let answers = waiting.answers.into_iter();
            out.extend(answers.map(|(reply, answer)| Output::Reply {
                reply,
                answer: answer.into_refusal(error.clone()),
            }));
        }
    }

    /// Bytes of commands that are not committed.
    pub(super) fn bytes(&self) -> u64 {
        (self.queued_bytes + self.outside_bytes) as u64
    }

    /// Nothing is outside.
    pub(super) fn is_quiet(&self) -> bool {
        self.outside.is_empty()
    }

    /// So much waits that nothing should be added.
    pub(super) fn is_full(&self) -> bool {
        self.queued.len() >= GROUP_QUEUED_MAX || self.queued_bytes >= GROUP_QUEUED_BYTES_MAX
    }

    /// Groups that a proposal is under way for.
    pub(super) fn groups(&self) -> BTreeSet<String> {
        let waiting = self.waiting.values();
        waiting
            .filter_map(|waiting| waiting.group.clone())
            .collect()
    }

    fn next(&mut self) -> ProposalToken {
        self.last += 1;
        ProposalToken(self.last)
    }
}

fn encode(command: &Command) -> Bytes {
    command.encode().into()
}
