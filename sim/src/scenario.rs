//! What a seed is run as.

use std::fmt;
use std::str::FromStr;

use crate::cluster::Cluster;
use crate::disk::Lies;
use crate::faults::SLOWEST_TICK_MICROS;
use crate::network::Weather;
use crate::node::ELECTION_TICKS;
use crate::random::Random;
use crate::report::{Counts, Outcome};
use crate::rest::SILENT_TICKS;
use crate::trace::Hash;
use crate::workload::Defects;
use laminarmq_replica::Flush;

/// A kind of run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// One node, its power cut once at every single sync of a workload, and some more.
    Single,
    /// Three replicas of one group under every fault of the model.
    Trio,
}

/// A fault outside the model. The checkers must catch each: else they prove nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canary {
    /// Producers are answered when their batch is written, before anything is synced.
    EarlyAck,
    /// Disks say that segments are synced, and did nothing.
    LyingSync,
    /// Disks say that votes are synced, and did nothing.
    ForgottenVote,
    /// Links flip a byte in a batch now and then.
    FlippedByte,
    /// A node whose disk was emptied takes part as if it were new.
    WipedVoter,
    /// A node whose machine crashed takes part as if nothing could be gone.
    ForgottenDoubt,
    /// Leaders know of idempotent producers only what they took themselves.
    ForgottenProducers,
    /// Who waits for a batch that is in the log already is answered by whoever is committed that far.
    LateAnswer,
    /// Who led once answers reads as if it still did.
    DeposedReads,
    /// New leaders tell their high watermark before they know what is committed.
    EarlyWatermark,
}

/// All canaries.
const CANARIES: [(Canary, &str); 10] = [
    (Canary::EarlyAck, "early-ack"),
    (Canary::LyingSync, "lying-sync"),
    (Canary::ForgottenVote, "forgotten-vote"),
    (Canary::FlippedByte, "flipped-byte"),
    (Canary::WipedVoter, "wiped-voter"),
    (Canary::ForgottenDoubt, "forgotten-doubt"),
    (Canary::ForgottenProducers, "forgotten-producers"),
    (Canary::LateAnswer, "late-answer"),
    (Canary::DeposedReads, "deposed-reads"),
    (Canary::EarlyWatermark, "early-watermark"),
];

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The seed: everything follows from it.
    pub seed: u64,
    /// The kind of run.
    pub scenario: Scenario,
    /// A fault outside the model.
    pub canary: Option<Canary>,
    /// Keep every event, not only the newest.
    pub keep_all: bool,
}

/// One run of a cluster, in numbers.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Other faults, and other remains after power cuts, in an otherwise equal run.
    pub(crate) variant: u64,
    pub(crate) nodes: Vec<u64>,
    pub(crate) producers: usize,
    pub(crate) consumers: usize,
    pub(crate) weather: Weather,
    /// Faults come for so long.
    pub(crate) faults_millis: u64,
    /// A fault comes about this often.
    pub(crate) fault_every_millis: Option<u64>,
    /// A node that went down is away for at most so long.
    pub(crate) away_millis: u64,
    /// Producers stop when so many requests were acknowledged after the faults.
    pub(crate) calm_requests: u64,
    /// After the faults the cluster has so long to come to rest.
    pub(crate) settle_millis: u64,
    /// The power goes at this sync.
    pub(crate) cut_at: Option<u64>,
    pub(crate) lies: Lies,
    pub(crate) early_ack: bool,
    pub(crate) defects: Defects,
    pub(crate) keep_all: bool,
    /// When written counts as saved.
    pub(crate) flush: Flush,
    /// Replicas are lost for good, disks rot and fill up, clocks go wrong.
    pub(crate) wipes: bool,
    /// A node whose disk was emptied takes part as if it were new.
    pub(crate) wiped_votes: bool,
    /// A node whose machine crashed takes part as if nothing could be gone.
    pub(crate) untold: bool,
    /// Records are deleted about this often.
    pub(crate) trim_every_millis: Option<u64>,
    /// The group rests for so many ticks, at least, when clients pause; 0: never, and they do not.
    pub(crate) rest_ticks: u32,
    /// A producer waits for so long between its requests, at most.
    pub(crate) pause_micros: u64,
    /// A producer waits for its answers for so long, at most: one of these.
    pub(crate) patience_millis: [u64; 3],
    /// The nodes' logs are compared this often.
    pub(crate) look_micros: u64,
}

impl Plan {
    fn new(options: &Options) -> Self {
        let mut random = Random::new(options.seed, 1);
        let is_plain = options.canary.is_none();
        let corrupt = if options.canary == Some(Canary::FlippedByte) {
            20
        } else {
            0
        };
        Self {
            seed: options.seed,
            variant: 0,
            nodes: vec![1, 2, 3],
            producers: 3,
            consumers: 2,
            weather: Weather {
                loss: random.pick(&[0, 10, 100]),
                repeat: random.pick(&[0, 10, 100]),
                delay: random.pick(&[500, 3_000, 12_000]),
                in_order: random.per_mille(600),
                late: random.pick(&[0, 10, 50]),
                corrupt,
            },
            faults_millis: 58_000,
            fault_every_millis: Some(random.pick(if is_plain {
                &[150, 400, 1_200]
            } else {
                // Canaries are caught by what the older faults do, the more of them the sooner.
                &[60, 200, 600]
            })),
            away_millis: 900,
            calm_requests: 50,
            // A whole log may have to be copied, one entry for each message to and fro.
            settle_millis: 150_000,
            cut_at: None,
            lies: Lies {
                segments: options.canary == Some(Canary::LyingSync),
                state: options.canary == Some(Canary::ForgottenVote),
            },
            early_ack: options.canary == Some(Canary::EarlyAck),
            defects: Defects {
                forgets_producers: options.canary == Some(Canary::ForgottenProducers),
                answers_late: options.canary == Some(Canary::LateAnswer),
                reads_on: options.canary == Some(Canary::DeposedReads),
                tells_early: options.canary == Some(Canary::EarlyWatermark),
            },
            keep_all: options.keep_all,
            flush: if (random.per_mille(250) && is_plain)
                || options.canary == Some(Canary::ForgottenDoubt)
            {
                Flush::Os
            } else {
                Flush::Sync
            },
            wipes: is_plain || options.canary == Some(Canary::WipedVoter),
            wiped_votes: options.canary == Some(Canary::WipedVoter),
            untold: options.canary == Some(Canary::ForgottenDoubt),
            trim_every_millis: random.pick(&[None, Some(600), Some(3_000)]),
            rest_ticks: random.pick(&[0, 10, 20]),
            pause_micros: 120_000,
            patience_millis: if options.canary == Some(Canary::LateAnswer) {
                // Soon asked again, and then waited for until who is deposed hears of it.
                [150, 150, 10_000]
            } else {
                [300, 800, 1_500]
            },
            look_micros: 2_000_000,
        }
    }
}

impl Plan {
    /// How long a leader may answer as one that was replaced: it looks every [`ELECTION_TICKS`] whether it heard of a
    /// majority since the last look. A group at rest begins to look when a node is missed. The last it hears may
    /// have been on its way for long, and its clock may be slow.
    pub(crate) fn stale_micros_max(&self) -> u64 {
        let ticks = 2 * ELECTION_TICKS + SILENT_TICKS + 1;
        u64::from(ticks) * SLOWEST_TICK_MICROS + self.weather.longest_delay()
    }
}

/// One run of a cluster, as it ended.
pub(crate) struct Ended {
    pub(crate) counts: Counts,
    pub(crate) trace_hash: u64,
    pub(crate) trace: Vec<String>,
    pub(crate) failure: Option<String>,
}

/// Runs a seed.
#[must_use]
pub fn run(options: &Options) -> Outcome {
    let plan = Plan::new(options);
    let Ended {
        counts,
        trace_hash,
        trace,
        failure,
    } = match options.scenario {
        Scenario::Trio => Cluster::new(plan).run(),
        Scenario::Single => single(&plan),
    };
    let Options {
        seed,
        scenario,
        canary,
        ..
    } = *options;
    Outcome {
        seed,
        scenario,
        canary,
        counts,
        trace_hash,
        failure,
        trace,
    }
}

/// The same short workload, once without a fault to count its syncs, then once for each of them.
fn single(plan: &Plan) -> Ended {
    let plan = Plan {
        nodes: vec![1],
        faults_millis: 150,
        fault_every_millis: None,
        away_millis: 40,
        calm_requests: 10,
        settle_millis: 6_000,
        flush: Flush::Sync,
        wipes: false,
        trim_every_millis: plan.trim_every_millis.map(|_| 30),
        rest_ticks: 0,
        pause_micros: 20_000,
        look_micros: 300_000,
        ..plan.clone()
    };
    let keep_all = plan.keep_all;
    let mut all = Cluster::new(plan.clone()).run();
    let mut hashes = Hash::new();
    hashes.add(&all.trace_hash.to_le_bytes());
    for sync in 0..all.counts.syncs {
        if all.failure.is_some() {
            break;
        }
        // Every other run loses power or its process again, at any time after that.
        let fault_every_millis = (sync % 2 == 1).then_some(150);
        let plan = Plan {
            cut_at: Some(sync),
            variant: sync,
            fault_every_millis,
            ..plan.clone()
        };
        let one = Cluster::new(plan).run();
        all.counts.add(&one.counts);
        hashes.add(&one.trace_hash.to_le_bytes());
        all.failure = one
            .failure
            .map(|what| format!("power cut at sync {sync}: {what}"));
        if all.failure.is_some() || !keep_all {
            all.trace.clear();
        }
        all.trace.push(format!("power cut at sync {sync}"));
        all.trace.extend(one.trace);
    }
    all.trace_hash = hashes.get();
    all
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "single",
            Self::Trio => "trio",
        })
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        match words {
            "single" => Ok(Self::Single),
            "trio" => Ok(Self::Trio),
            other => Err(format!(
                "{other:?} is no scenario; there are single and trio"
            )),
        }
    }
}

impl fmt::Display for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = CANARIES
            .iter()
            .find(|(canary, _)| canary == self)
            .map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for Canary {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        let found = CANARIES.iter().find(|(_, name)| *name == words);
        let names: Vec<_> = CANARIES.iter().map(|(_, name)| *name).collect();
        found
            .map(|(canary, _)| *canary)
            .ok_or(format!("{words:?} is none of {}", names.join(", ")))
    }
}
