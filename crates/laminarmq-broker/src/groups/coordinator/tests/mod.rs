//! The coordinator on simulated time, against a log in memory.

mod checkpoints;
mod commits;
mod joining;
mod lifetimes;
mod random;
mod statics;
mod syncing;

use super::*;
use crate::groups::record::OffsetKey;
use crate::groups::request::*;
use crate::groups::subscription::of_topics;
use ::bytes::Bytes;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const DELAY: Duration = Duration::from_millis(500);
pub(super) const SESSION: Duration = Duration::from_secs(10);
pub(super) const REBALANCE: Duration = Duration::from_secs(60);

pub(super) fn config() -> GroupConfig {
    GroupConfig {
        initial_rebalance_delay: DELAY,
        session_timeout_min: Duration::from_secs(6),
        session_timeout_max: Duration::from_secs(1800),
        offsets_retention: Duration::from_secs(7 * 24 * 3600),
    }
}

/// A coordinator, its log, and what came out.
pub(super) struct Bench {
    pub(super) coordinator: Coordinator<u32>,
    /// The log of the partition: all that was committed.
    pub(super) log: Vec<(LogIndex, Bytes)>,
    /// Proposals that are not committed yet.
    pub(super) outside: VecDeque<(ProposalToken, Bytes)>,
    pub(super) answers: BTreeMap<u32, Answer>,
    pub(super) trims: Vec<LogIndex>,
    /// Generations in the order in which members were told of them.
    pub(super) generations: Vec<i32>,
    pub(super) now: Now,
    numbers: Arc<AtomicU64>,
    next_reply: u32,
    next_index: u64,
    /// Commit everything at once.
    pub(super) commits: bool,
}

/// Numbers that never come twice, also across crashes.
fn random(next: &Arc<AtomicU64>) -> Random {
    let next = Arc::clone(next);
    Box::new(move || {
        let mut bytes = [7; 16];
        bytes[..8].copy_from_slice(&next.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        bytes
    })
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(config())
    }

    pub(super) fn with(config: GroupConfig) -> Self {
        let now = Now {
            mono: Duration::ZERO,
            wall_ms: 1_000_000,
        };
        let numbers = Arc::default();
        let mut bench = Self {
            coordinator: Coordinator::new(config, random(&numbers)),
            numbers,
            log: Vec::new(),
            outside: VecDeque::new(),
            answers: BTreeMap::new(),
            trims: Vec::new(),
            generations: Vec::new(),
            now,
            next_reply: 0,
            next_index: 1,
            commits: true,
        };
        bench.call(|coordinator, now, out| coordinator.lead(now, out));
        bench
    }

    pub(super) fn call(
        &mut self,
        call: impl FnOnce(&mut Coordinator<u32>, Now, &mut Outputs<u32>),
    ) {
        let mut out = Vec::new();
        call(&mut self.coordinator, self.now, &mut out);
        self.take(out);
        if self.commits {
            self.commit_all();
        }
    }

    fn take(&mut self, out: Outputs<u32>) {
        for output in out {
            match output {
                Output::Reply { reply, answer } => {
                    if let Answer::Join(Ok(joined)) = &answer {
                        self.generations.push(joined.generation);
                    }
                    let before = self.answers.insert(reply, answer);
                    assert_eq!(before, None, "{reply} is answered twice");
                }
                Output::Propose { token, command } => self.outside.push_back((token, command)),
                Output::Trim { first_kept } => self.trims.push(first_kept),
            }
        }
    }

    /// Commits the oldest proposal.
    pub(super) fn commit_one(&mut self) -> bool {
        let Some((token, command)) = self.outside.pop_front() else {
            return false;
        };
        let index = LogIndex(self.next_index);
        self.next_index += 1;
        self.log.push((index, command.clone()));
        let mut out = Vec::new();
        self.coordinator.apply(index, &command).unwrap();
        self.coordinator.proposed(token, true, self.now, &mut out);
        self.take(out);
        true
    }

    pub(super) fn commit_all(&mut self) {
        while self.commit_one() {}
    }

    pub(super) fn send(&mut self, group: &str, request: Request) -> u32 {
        self.next_reply += 1;
        let reply = self.next_reply;
        self.call(|coordinator, now, out| coordinator.handle(group, request, reply, now, out));
        reply
    }

    /// The answer, which must be there.
    pub(super) fn take_answer(&mut self, reply: u32) -> Answer {
        self.answers
            .remove(&reply)
            .unwrap_or_else(|| panic!("{reply} has no answer"))
    }

    pub(super) fn ask(&mut self, group: &str, request: Request) -> Answer {
        let reply = self.send(group, request);
        self.take_answer(reply)
    }

    pub(super) fn waits(&self, reply: u32) -> bool {
        !self.answers.contains_key(&reply)
    }

    /// Lets time pass, and all deadlines with it.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(due) = self.coordinator.next_deadline().filter(|due| *due <= end) {
            self.set_time(due.max(self.now.mono));
            self.call(|coordinator, now, out| coordinator.tick(now, out));
        }
        self.set_time(end);
    }

    fn set_time(&mut self, mono: Duration) {
        let passed = mono - self.now.mono;
        self.now.mono = mono;
        self.now.wall_ms += i64::try_from(passed.as_millis()).unwrap();
    }

    /// Another process opens the log: what was not committed is gone.
    pub(super) fn crash(&mut self) {
        let mut coordinator = self.replayed();
        std::mem::swap(&mut coordinator, &mut self.coordinator);
        self.outside.clear();
        self.answers.clear();
        self.call(|coordinator, now, out| coordinator.lead(now, out));
    }

    /// A coordinator that has read the log, from where it was cut.
    pub(super) fn replayed(&self) -> Coordinator<u32> {
        let mut coordinator =
            Coordinator::new(self.coordinator.config.clone(), random(&self.numbers));
        let start = self.trims.last().copied().unwrap_or(LogIndex(0));
        for (index, command) in self.log.iter().filter(|(index, _)| *index >= start) {
            coordinator.apply(*index, command).unwrap();
        }
        coordinator
    }

    pub(super) fn join(&mut self, group: &str, join: Join) -> u32 {
        self.send(group, Request::Join(join))
    }

    pub(super) fn joined(&mut self, reply: u32) -> Joined {
        match self.take_answer(reply) {
            Answer::Join(Ok(joined)) => joined,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn join_error(&mut self, reply: u32) -> GroupError {
        match self.take_answer(reply) {
            Answer::Join(Err(refused)) => refused.error,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn sync(
        &mut self,
        group: &str,
        generation: i32,
        id: &str,
        assignments: &[(&str, &str)],
    ) -> u32 {
        let assignment =
            |(id, data): &(&str, &str)| ((*id).to_owned(), Bytes::copy_from_slice(data.as_bytes()));
        self.send(
            group,
            Request::Sync(Sync {
                generation,
                member: member(id),
                assignments: assignments.iter().map(assignment).collect(),
                ..Sync::default()
            }),
        )
    }

    pub(super) fn synced(&mut self, reply: u32) -> Result<String, GroupError> {
        match self.take_answer(reply) {
            Answer::Sync(Ok(synced)) => Ok(String::from_utf8(synced.assignment.to_vec()).unwrap()),
            Answer::Sync(Err(error)) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn beat(
        &mut self,
        group: &str,
        generation: i32,
        id: &str,
    ) -> Result<(), GroupError> {
        self.beat_as(group, generation, member(id))
    }

    pub(super) fn beat_as(
        &mut self,
        group: &str,
        generation: i32,
        member: MemberRef,
    ) -> Result<(), GroupError> {
        match self.ask(group, Request::Heartbeat { generation, member }) {
            Answer::Heartbeat(result) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn leave(
        &mut self,
        group: &str,
        members: &[MemberRef],
    ) -> Vec<Result<(), GroupError>> {
        let members = members.to_vec();
        match self.ask(group, Request::Leave { members }) {
            Answer::Leave(Ok(results)) => results,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn describe(&mut self, group: &str) -> Description {
        match self.ask(group, Request::Describe) {
            Answer::Describe(Ok(description)) => description,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn state(&mut self, group: &str) -> GroupStateName {
        self.describe(group).state
    }

    pub(super) fn commit(
        &mut self,
        group: &str,
        generation: i32,
        id: &str,
        offset: i64,
    ) -> Result<(), GroupError> {
        let commit = commit_of(generation, member(id), &[(key(1, 0), offset)]);
        match self.ask(group, Request::Commit(commit)) {
            Answer::Commit(result) => result,
            other => panic!("{other:?}"),
        }
    }

    /// The offset of partition 0 of topic 1.
    pub(super) fn fetch(&mut self, group: &str) -> Option<i64> {
        let keys = Some(vec![key(1, 0)]);
        match self.ask(group, Request::Fetch { keys }) {
            Answer::Fetch(Ok(found)) => found[0].1.as_ref().map(|offset| offset.offset),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn delete(&mut self, group: &str) -> Result<(), GroupError> {
        match self.ask(group, Request::Delete) {
            Answer::Delete(result) => result,
            other => panic!("{other:?}"),
        }
    }

    /// Makes a stable group of this many members. Their ids, the leader's first, and the generation.
    pub(super) fn stable(&mut self, group: &str, count: usize) -> (Vec<String>, i32) {
        let replies: Vec<_> = (0..count)
            .map(|_| self.join(group, old_client("c")))
            .collect();
        self.pass(DELAY);
        self.pass(DELAY);
        let joined: Vec<_> = replies
            .into_iter()
            .map(|reply| self.joined(reply))
            .collect();
        let ids: Vec<_> = joined
            .iter()
            .map(|joined| joined.member_id.clone())
            .collect();
        let generation = joined[0].generation;
        assert_eq!(joined[0].leader, ids[0]);
        let assignments: Vec<_> = ids.iter().map(|id| (id.as_str(), id.as_str())).collect();
        let replies: Vec<_> = ids
            .iter()
            .map(|id| {
                let all = if *id == ids[0] { &assignments[..] } else { &[] };
                self.sync(group, generation, id, all)
            })
            .collect();
        for (reply, id) in replies.into_iter().zip(&ids) {
            assert_eq!(self.synced(reply), Ok(id.clone()));
        }
        (ids, generation)
    }
}

pub(super) fn key(topic: u8, partition: i32) -> OffsetKey {
    OffsetKey {
        topic: Uuid([topic; 16]),
        partition,
    }
}

pub(super) fn member(id: &str) -> MemberRef {
    MemberRef {
        id: id.to_owned(),
        instance: None,
    }
}

pub(super) fn named(id: &str, instance: &str) -> MemberRef {
    MemberRef {
        id: id.to_owned(),
        instance: Some(instance.to_owned()),
    }
}

pub(super) fn protocols(names: &[&str]) -> Vec<(String, Bytes)> {
    let protocol = |name: &&str| ((*name).to_owned(), Bytes::from(of_topics(&["t"], b"")));
    names.iter().map(protocol).collect()
}

/// A client that joins without asking for an id first.
pub(super) fn old_client(client_id: &str) -> Join {
    Join {
        client_id: client_id.to_owned(),
        client_host: "/10.0.0.1".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: protocols(&["range"]),
        ..Join::default()
    }
}

pub(super) fn again(id: &str) -> Join {
    Join {
        member: member(id),
        ..old_client("c")
    }
}

pub(super) fn commit_of(
    generation: i32,
    member: MemberRef,
    offsets: &[(OffsetKey, i64)],
) -> Commit {
    let offset = |(key, offset): &(OffsetKey, i64)| NewOffset {
        key: *key,
        offset: *offset,
        leader_epoch: -1,
        metadata: None,
    };
    Commit {
        generation,
        member,
        offsets: offsets.iter().map(offset).collect(),
        retention_ms: None,
    }
}
