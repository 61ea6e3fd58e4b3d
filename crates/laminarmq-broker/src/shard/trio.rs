//! Three shards in memory, each with a replica of one group, on links and disks that do as a test says.

use super::tests::{ONE, Test, config};
use super::*;
use laminarmq::{Log, LogOptions, MemEnv, SyncTicket, poll_ready};
use laminarmq_kafka::batch::{
    BatchBuilder, BatchLimits, Compression, NewRecord, ProducerStamp, validate,
};
use laminarmq_replica::{Membership, ReplicaConfig};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const NODES: [u64; 3] = [1, 2, 3];
/// Ticks after which a leader that is cut off has stepped down and another leads, and more.
pub(super) const LONG: u32 = 60;

struct Node {
    shard: Shard<Test>,
    jobs: Vec<PersistJob<MemEnv>>,
    progress: Progress,
    in_sync: Option<(Term, Vec<u64>)>,
}

pub(super) struct Trio {
    nodes: BTreeMap<u64, Node>,
    links: VecDeque<Envelope>,
    /// Nodes whose links lose everything.
    pub(super) cut: BTreeSet<u64>,
    /// Nodes whose disks save nothing, for now.
    pub(super) stuck: BTreeSet<u64>,
    /// Nobody's appends arrive.
    pub(super) no_appends: bool,
    /// Nodes that are silent to the others.
    pub(super) silent: Vec<u64>,
    appended: Vec<(u32, Result<u64, Refusal>)>,
    /// What else was answered.
    pub(super) answers: Vec<(u32, Result<u64, Refusal>)>,
}

impl Trio {
    /// Node 1 leads.
    pub(super) fn new() -> Self {
        Self::with_rest(0)
    }

    /// The same, with groups that rest.
    pub(super) fn with_rest(rest_ticks: u32) -> Self {
        let mut trio = Self {
            nodes: BTreeMap::new(),
            links: VecDeque::new(),
            cut: BTreeSet::new(),
            stuck: BTreeSet::new(),
            no_appends: false,
            silent: Vec::new(),
            appended: Vec::new(),
            answers: Vec::new(),
        };
        for node in NODES {
            let config = ReplicaConfig {
                replica: ReplicaId(node),
                members: Membership::of_voters(NODES.map(ReplicaId)),
                first_start: true,
                rest_ticks,
                ..config(ONE)
            };
            let options = LogOptions {
                initial_index: 1,
                auto_roll: false,
                ..LogOptions::default()
            };
            let log = poll_ready(Log::open_with(MemEnv::new(), options)).unwrap();
            // Who has the lower number stands for election first.
            let random = Box::new(move || 3 * (node - 1));
            let hosted = Box::new(Hosted {
                doubt: None,
                answer: Readiness::Taken,
                replica: Replica::open(config, log, None, random).unwrap(),
                group: ONE,
                reply: 1000,
            });
            let fresh = Node {
                shard: Shard::new(),
                jobs: Vec::new(),
                progress: Progress::default(),
                in_sync: None,
            };
            trio.nodes.insert(node, fresh);
            trio.input(node, Input::Host(hosted));
        }
        trio.ticks(LONG);
        assert_eq!((trio.leader(), trio.progress(1).in_sync), (Some(1), 3));
        trio
    }

    pub(super) fn progress(&self, node: u64) -> Progress {
        self.nodes[&node].progress
    }

    /// Who is in sync, as a leader told it last of its present term.
    pub(super) fn in_sync(&self, node: u64) -> &[u64] {
        let node = &self.nodes[&node];
        let told = node.in_sync.as_ref().expect("it led");
        assert_eq!(told.0, node.progress.epoch);
        &told.1
    }

    /// Who leads in the latest term.
    pub(super) fn leader(&self) -> Option<u64> {
        let leading = self.nodes.iter().filter(|(_, it)| it.progress.leads);
        leading
            .max_by_key(|(_, it)| it.progress.epoch)
            .map(|(id, _)| *id)
    }

    /// Hands an input to a node, and goes on until nobody has anything to do.
    pub(super) fn input(&mut self, node: u64, input: Input<Test>) {
        self.step(node, vec![input]);
        loop {
            if let Some(envelope) = self.links.pop_front() {
                let [from, to] = [envelope.from, envelope.to].map(ReplicaId::get);
                let is_append = matches!(
                    &envelope.message.body,
                    laminarmq_replica::PeerBody::Append { entries, .. } if !entries.is_empty()
                );
                let is_lost = self.cut.contains(&from)
                    || self.cut.contains(&to)
                    || self.no_appends && is_append;
                if !is_lost {
                    self.step(to, vec![Input::Peer(Box::new(envelope))]);
                }
                continue;
            }
            let stuck = &self.stuck;
            let ready = |(id, node): (&u64, &Node)| {
                (!node.jobs.is_empty() && !stuck.contains(id)).then_some(*id)
            };
            let Some(id) = self.nodes.iter().find_map(ready) else {
                return;
            };
            self.save(id);
        }
    }

    fn save(&mut self, id: u64) {
        let jobs = std::mem::take(&mut self.nodes.get_mut(&id).unwrap().jobs);
        let run = |job: PersistJob<MemEnv>| Input::Persisted {
            group: ONE,
            done: PersistDone::new(job.id(), job.ticket.map(SyncTicket::run), Ok(())),
        };
        self.step(id, jobs.into_iter().map(run).collect());
    }

    fn step(&mut self, id: u64, inputs: Vec<Input<Test>>) {
        let node = self.nodes.get_mut(&id).unwrap();
        let mut out = Vec::new();
        node.shard.step(inputs, &mut out);
        for output in out {
            match output {
                Output::Send(envelope) => self.links.push_back(envelope),
                Output::Persist { job, .. } => node.jobs.push(job),
                Output::Progress { progress, .. } => node.progress = progress,
                Output::InSync { term, replicas, .. } => {
                    assert!(node.progress.leads && node.progress.epoch == term);
                    let replicas = replicas.into_iter().map(ReplicaId::get);
                    node.in_sync = Some((term, replicas.collect()));
                }
                Output::Appended { reply, result } => {
                    let result = result.map(|appended| appended.base_offset.0);
                    self.appended.push((reply, result));
                }
                Output::Read { reply, mut results } => {
                    let result = results.remove(0).map(|plan| plan.bytes);
                    self.answers.push((reply, result));
                }
                Output::Lookup { reply, result } => {
                    let found = |answer: OffsetAnswer<MemEnv>| {
                        let found = answer.resolve(&BatchLimits::default()).unwrap();
                        found.map_or(u64::MAX, |found| found.offset.0)
                    };
                    self.answers.push((reply, result.map(found)));
                }
                Output::Misbehaved { what, .. } => panic!("{what}"),
                Output::Failed { reason } => panic!("{reason}"),
                _ => {}
            }
        }
    }

    /// One tick of each node, then all that comes of them.
    pub(super) fn ticks(&mut self, ticks: u32) {
        for _ in 0..ticks {
            for node in NODES {
                let others = self.silent.iter().filter(|other| **other != node);
                let silent = others.map(|other| NodeId::of(ReplicaId(*other)).expect("a node"));
                let silent = silent.collect();
                self.input(node, Input::Tick { silent });
            }
        }
    }

    /// Appends batch `number` of an idempotent producer.
    pub(super) fn append(&mut self, node: u64, number: i32, ack: Ack, reply: u32) {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.set_producer(Some(ProducerStamp {
            id: 7,
            epoch: 0,
            base_sequence: number,
        }));
        let record = NewRecord {
            timestamp: 5,
            value: Some(b"value"),
            ..NewRecord::default()
        };
        builder.push(&record).unwrap();
        let batch = validate(builder.build(), &BatchLimits::default()).unwrap();
        let group = ONE;
        self.input(
            node,
            Input::Append(Append {
                group,
                batch,
                ack,
                reply,
            }),
        );
    }

    /// Appends that were answered since.
    pub(super) fn appended(&mut self) -> Vec<(u32, Result<u64, Refusal>)> {
        std::mem::take(&mut self.appended)
    }
}
