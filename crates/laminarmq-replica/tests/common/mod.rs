//! One node, or a few without faults, for tests.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file is a crate of its own, and uses a part"
)]

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use laminarmq::{Log, LogOptions, MemEnv, poll_ready};
use laminarmq_kafka::batch::{
    BatchBuilder, BatchLimits, CheckedBatch, Compression, NewRecord, batches, validate,
};
use laminarmq_replica::{
    Effects, FetchQuery, GroupId, GroupState, Isolation, LogStart, Membership, Offset, PeerError,
    PeerMessage, PersistDone, PersistJob, RandomSource, Replica, ReplicaConfig, ReplicaId, Token,
};

pub const GROUP: GroupId = GroupId(7);

/// A batch of records "name-0", "name-1"..., one millisecond apart.
pub fn batch(name: &str, records: u32, time: i64) -> CheckedBatch {
    let mut builder = BatchBuilder::new(Compression::None);
    for number in 0..records {
        let value = format!("{name}-{number}");
        let timestamp = time + i64::from(number);
        let record = NewRecord {
            timestamp,
            value: Some(value.as_bytes()),
            ..NewRecord::default()
        };
        builder.push(&record).unwrap();
    }
    checked(builder.build())
}

pub fn checked(bytes: Bytes) -> CheckedBatch {
    validate(bytes, &BatchLimits::default()).unwrap()
}

pub fn random(seed: u64) -> Box<dyn RandomSource + Send> {
    let mut state = seed;
    Box::new(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 11
    })
}

pub fn log(disk: &MemEnv) -> Log<MemEnv> {
    try_log(disk).unwrap()
}

fn try_log(disk: &MemEnv) -> Result<Log<MemEnv>, laminarmq::OpenError> {
    let options = LogOptions {
        initial_index: 1,
        auto_roll: false,
        ..LogOptions::default()
    };
    poll_ready(Log::open_with(disk.clone(), options))
}

pub fn config(id: u64, voters: &[u64]) -> ReplicaConfig {
    let voters = voters.iter().copied().map(ReplicaId);
    ReplicaConfig {
        first_start: true,
        ..ReplicaConfig::new(GROUP, ReplicaId(id), Membership::of_voters(voters))
    }
}

pub fn open(config: &ReplicaConfig, disk: &MemEnv, saved: Option<GroupState>) -> Replica<MemEnv> {
    try_open(config, disk, saved).unwrap()
}

/// Where a sync fails while it opens, that is the error's words.
pub fn try_open(
    config: &ReplicaConfig,
    disk: &MemEnv,
    saved: Option<GroupState>,
) -> Result<Replica<MemEnv>, String> {
    let seed = config.replica.get();
    let log = try_log(disk).map_err(|error| error.to_string())?;
    Replica::open(config.clone(), log, saved, random(seed)).map_err(|error| error.to_string())
}

/// Runs a job on a disk that keeps states in memory.
pub fn run(job: PersistJob<MemEnv>, saved: &mut Option<GroupState>) -> PersistDone {
    let id = job.id();
    let log = job.ticket.map(laminarmq::SyncTicket::run);
    if let Some(state) = job.state {
        *saved = Some(state);
    }
    PersistDone::new(id, log, Ok(()))
}

/// What effects said, without the parts that must be acted on.
#[derive(Debug, Default)]
pub struct Seen {
    pub appended: Vec<(u64, u64)>,
    pub committed: Vec<(u64, u64)>,
    pub dropped: Vec<u64>,
    pub commands: Vec<(u64, Bytes)>,
    pub reset: Option<LogStart>,
    pub doubt_over: bool,
}

impl Seen {
    fn take(&mut self, effects: &mut Effects<MemEnv>) {
        if effects.reset.is_some() {
            self.reset = effects.reset;
            self.commands.clear();
        }
        self.doubt_over |= effects.doubt_over;
        self.appended.extend(
            effects
                .appended
                .drain(..)
                .map(|a| (a.token.get(), a.base_offset.get())),
        );
        self.committed.extend(
            effects
                .committed
                .drain(..)
                .map(|c| (c.token.get(), c.base_offset.get())),
        );
        self.dropped
            .extend(effects.dropped.drain(..).map(|(token, _)| token.get()));
        self.commands.extend(
            effects
                .commands
                .drain(..)
                .map(|(index, bytes)| (index.get(), bytes)),
        );
    }
}

/// One replica with its disk and its saved state.
pub struct Node {
    pub config: ReplicaConfig,
    pub disk: MemEnv,
    pub saved: Option<GroupState>,
    pub replica: Replica<MemEnv>,
    pub seen: Seen,
}

impl Node {
    pub fn new(config: ReplicaConfig) -> Self {
        let disk = MemEnv::new();
        let replica = open(&config, &disk, None);
        Self {
            config,
            disk,
            saved: None,
            replica,
            seen: Seen::default(),
        }
    }

    /// Advances and saves until nothing is left to do; returns what is to be sent.
    pub fn settle(&mut self) -> Vec<(ReplicaId, PeerMessage)> {
        let mut out = Vec::new();
        loop {
            let mut effects = self.replica.advance().unwrap();
            self.seen.take(&mut effects);
            out.append(&mut effects.messages);
            match effects.persist {
                Some(job) => {
                    let done = run(job, &mut self.saved);
                    self.replica.on_persisted(done).unwrap();
                }
                None if effects.more => {}
                None => return out,
            }
        }
    }

    /// Kills the process; with `power`, what was not synced goes too.
    pub fn restart(&mut self, power: bool) {
        if power {
            self.disk.crash();
        }
        let disk = self.disk.clone();
        self.replica = open(&self.config, &disk, self.saved.clone());
        self.seen = Seen::default();
    }

    pub fn propose(&mut self, token: u64, records: u32) {
        let batch = batch(&format!("t{token}"), records, 1_000);
        self.replica.propose_batch(batch, Token(token)).unwrap();
    }

    pub fn query(&self, offset: u64, max_bytes: u64) -> FetchQuery {
        FetchQuery {
            offset: Offset(offset),
            max_bytes,
            at_least_one: true,
            isolation: Isolation::ReadCommitted,
        }
    }

    /// The values from `offset` on, each with its offset.
    pub fn values(&self, offset: u64) -> Vec<(i64, String)> {
        let mut values = Vec::new();
        let mut at = offset;
        while at < self.replica.high_watermark().get() {
            let plan = self.replica.fetch(self.query(at, 200)).unwrap();
            let joined: Vec<u8> = plan.read().unwrap().concat();
            for batch in batches(Bytes::from(joined)) {
                let batch = batch.unwrap();
                batch.verify().unwrap();
                for record in batch.records(&BatchLimits::default()).unwrap() {
                    let record = record.unwrap();
                    let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                    values.push((record.offset, value));
                }
                at = u64::try_from(batch.header().next_offset()).unwrap();
            }
        }
        values.retain(|(at, _)| u64::try_from(*at).unwrap() >= offset);
        values
    }
}

/// Nodes on links that lose nothing.
pub struct Group {
    pub nodes: BTreeMap<u64, Node>,
    pub links: VecDeque<(ReplicaId, ReplicaId, PeerMessage)>,
}

impl Group {
    pub fn new(nodes: impl IntoIterator<Item = Node>) -> Self {
        let nodes = nodes
            .into_iter()
            .map(|node| (node.config.replica.get(), node))
            .collect();
        Self {
            nodes,
            links: VecDeque::new(),
        }
    }

    pub fn of(voters: &[u64]) -> Self {
        Self::new(voters.iter().map(|&id| Node::new(config(id, voters))))
    }

    fn settle_node(&mut self, id: u64) {
        let from = ReplicaId(id);
        let out = self.nodes.get_mut(&id).unwrap().settle();
        self.links
            .extend(out.into_iter().map(|(to, message)| (from, to, message)));
    }

    /// Until nobody has anything to say.
    pub fn settle(&mut self) {
        self.settle_without(|_, _, _| false);
    }

    /// The same, without the messages that are to be lost.
    pub fn settle_without(
        &mut self,
        mut lost: impl FnMut(ReplicaId, ReplicaId, &PeerMessage) -> bool,
    ) {
        let ids: Vec<_> = self.nodes.keys().copied().collect();
        ids.iter().for_each(|&id| self.settle_node(id));
        while let Some((from, to, message)) = self.links.pop_front() {
            if lost(from, to, &message) {
                continue;
            }
            if let Some(node) = self.nodes.get_mut(&to.get()) {
                match node.replica.step(from, message) {
                    // Who was removed does not know it yet.
                    Ok(()) | Err(PeerError::NotMember(_)) => {}
                    Err(error) => panic!("{from} to {to}: {error}"),
                }
                self.settle_node(to.get());
            }
        }
    }

    pub fn tick(&mut self) {
        for node in self.nodes.values_mut() {
            node.replica.tick();
        }
        self.settle();
    }

    /// Ticks until somebody leads and everybody knows.
    pub fn elect(&mut self) -> u64 {
        for _ in 0..1_000 {
            self.tick();
            let leader = self.nodes.values().find(|node| node.replica.is_leader());
            let Some(leader) = leader.map(|node| node.replica.id()) else {
                continue;
            };
            if self
                .nodes
                .values()
                .all(|node| node.replica.leader() == Some(leader))
            {
                return leader.get();
            }
        }
        panic!("nobody was elected in 1000 ticks");
    }

    pub fn node(&mut self, id: u64) -> &mut Node {
        self.nodes.get_mut(&id).unwrap()
    }
}
