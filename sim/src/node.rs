//! One node: a disk, and while it is up a replica on it.

use bytes::Bytes;
use laminarmq::{Log, LogOptions, poll_ready};
use laminarmq_replica::{
    Effects, EntryKind, Flush, GroupId, MembershipAt, PersistDone, PersistJob, RaftStateFile,
    Replica, ReplicaConfig, ReplicaId,
};

use crate::checkers::Plain;
use crate::disk::Disk;
use crate::random::Random;
use crate::rest::Hearing;
use crate::scenario::Plan;
use crate::trace::Hash;

const GROUP: GroupId = GroupId(1);
/// Of every replica.
pub(crate) const ELECTION_TICKS: u32 = 10;

pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) disk: Disk,
    pub(crate) up: Option<Up>,
    /// Counts starts.
    pub(crate) lifetime: u64,
    /// Microseconds between two ticks: clocks differ.
    pub(crate) tick: u64,
    /// It saved a state once: from then on, one without a state has lost it.
    pub(crate) born: bool,
    /// A bit of its disk was flipped, and nobody has found it.
    pub(crate) suspect: bool,
    /// A bit of its disk was flipped once: it does not lose power any more (see the crate's fault model).
    pub(crate) was_rotten: bool,
    /// It was cut off from power since it was up last.
    pub(crate) lost_power: bool,
    /// It may lack what it acknowledged, as long as it does not say otherwise.
    pub(crate) in_doubt: bool,
    config: ReplicaConfig,
}

/// An entry of a log.
pub(crate) struct Stored {
    pub(crate) plain: Plain,
    /// The batch, of a data entry.
    pub(crate) batch: Option<Bytes>,
}

pub(crate) struct Up {
    pub(crate) replica: Replica<Disk>,
    state: RaftStateFile<Disk>,
    job: Option<Job>,
    pub(crate) hearing: Hearing,
    /// It was at rest at the last look.
    pub(crate) rested: bool,
    /// Committed entries up to here were compared with those of others.
    pub(crate) compared: u64,
    /// The last entry at the last look, to see truncations.
    pub(crate) last: (u64, u32),
}

/// A persist job on its way.
enum Job {
    /// It runs when its time is over: it syncs what was written meanwhile, too.
    Late(PersistJob<Disk>),
    /// It ran at once, and only the news take time.
    Early(PersistDone),
}

impl Node {
    /// `known` are the members as somebody knew them; a node that is not among them joins.
    pub(crate) fn new(
        id: u64,
        known: &MembershipAt,
        plan: &Plan,
        disk: Disk,
        random: &mut Random,
    ) -> Self {
        let mut config = ReplicaConfig::new(GROUP, ReplicaId(id), known.members.clone());
        config.members_index = known.index;
        config.flush = plan.flush;
        config.election_ticks = ELECTION_TICKS;
        config.segment_bytes = random.pick(&[2_000, 8_000, 40_000]);
        config.tail_cache_bytes = random.pick(&[0, 3_000, 1 << 20]);
        config.inflight_bytes_max = random.pick(&[500, 5_000, 1 << 20]);
        config.catch_up_bytes = random.pick(&[300, 2_000, 1 << 20]);
        config.rest_ticks = plan.rest_ticks;
        config.uncommitted_bytes_max = random.pick(&[3_000, 1 << 20]);
        Self {
            id,
            disk,
            up: None,
            lifetime: 0,
            tick: 10_000,
            born: false,
            suspect: false,
            was_rotten: false,
            lost_power: false,
            in_doubt: false,
            config,
        }
    }

    /// Starts it. `told`: it hears of what may be lost. An error is the product's refusal, or the power going meanwhile.
    pub(crate) fn start(&mut self, random: &mut Random, told: bool) -> Result<(), String> {
        self.lifetime += 1;
        self.disk.start();
        self.config.first_start = !self.born;
        self.tick = random.between(9_000, 11_500);
        let state = RaftStateFile::open(self.disk.clone()).map_err(|error| error.to_string())?;
        let options = LogOptions {
            initial_index: 1,
            auto_roll: false,
            ..LogOptions::default()
        };
        let log = poll_ready(Log::open_with(self.disk.clone(), options))
            .map_err(|error| error.to_string())?;
        let recovery = log.recovery();
        let was_cut = recovery.bytes_cut > 0 && self.config.flush == Flush::Os;
        let crashed = self.in_doubt && self.config.flush == Flush::Os;
        let was_damaged = recovery.segments_dropped > 0 && !self.lost_power;
        let may_have_lost = crashed || was_cut || was_damaged;
        self.config.may_have_lost = may_have_lost && told;
        let saved = state.get(GROUP).cloned();
        let replica = Replica::open(self.config.clone(), log, saved, Box::new(random.fork()))
            .map_err(|error| error.to_string())?;
        self.in_doubt = replica.is_in_doubt() || (may_have_lost && !told);
        let mut up = Up {
            replica,
            state,
            job: None,
            hearing: Hearing::default(),
            rested: false,
            compared: 0,
            last: (0, 0),
        };
        up.last = up.last_entry();
        self.up = Some(up);
        self.lost_power = false;
        Ok(())
    }
}

impl Up {
    /// Takes a job; it is over when [`Up::finish_job`] is called.
    pub(crate) fn begin_job(&mut self, job: PersistJob<Disk>, early: bool) {
        assert!(self.job.is_none(), "one job is out at a time");
        self.job = Some(if early {
            Job::Early(job.run(&mut self.state))
        } else {
            Job::Late(job)
        });
    }

    /// The job's time is over. An error ends the replica.
    pub(crate) fn finish_job(&mut self) -> Result<(), String> {
        let done = match self.job.take() {
            None => return Ok(()),
            Some(Job::Late(job)) => job.run(&mut self.state),
            Some(Job::Early(done)) => done,
        };
        self.replica
            .on_persisted(done)
            .map_err(|error| error.to_string())
    }

    pub(crate) fn advance(&mut self) -> Result<Effects<Disk>, String> {
        self.replica.advance().map_err(|error| error.to_string())
    }

    fn last_index(&self) -> u64 {
        self.replica.log().end_index() - 1
    }

    fn last_entry(&self) -> (u64, u32) {
        let last = self.last_index();
        (last, self.term(last))
    }

    fn term(&self, index: u64) -> u32 {
        poll_ready(self.replica.log().entry(index)).map_or(0, |entry| entry.term)
    }

    /// Whether the log lost an end since the last look.
    pub(crate) fn was_truncated(&mut self) -> bool {
        let now = self.last_entry();
        let (index, term) = std::mem::replace(&mut self.last, now);
        index > 0 && (index > self.last_index() || self.term(index) != term)
    }

    /// The first index of the log.
    pub(crate) fn start_index(&self) -> u64 {
        self.replica.log().start_index()
    }

    /// Looks at the log anew: it was replaced by a snapshot.
    pub(crate) fn begins_anew(&mut self) {
        self.last = self.last_entry();
        self.compared = self.last.0;
    }

    /// Entries of the log from `from` to `to`, both inclusive.
    pub(crate) fn entries(&self, from: u64, to: u64) -> Result<Vec<Stored>, String> {
        let records = poll_ready(self.replica.log().read_range(from..to + 1, u64::MAX));
        let records = records.map_err(|error| format!("its log cannot be read: {error}"))?;
        let plain = |record: laminarmq::Record| {
            let head = [record.kind, record.flags];
            let hash = Hash::of(&[&head, &record.key.to_le_bytes(), &record.value]);
            let plain = Plain {
                term: record.term,
                hash,
            };
            let data = record.kind == EntryKind::Data.as_u8();
            Stored {
                plain,
                batch: data.then_some(record.value),
            }
        };
        Ok(records.into_iter().map(plain).collect())
    }

    /// The whole log in plain values.
    pub(crate) fn whole_log(&self) -> Result<Vec<Plain>, String> {
        let (first, last) = (self.start_index(), self.last_index());
        if first > last {
            return Ok(Vec::new());
        }
        let entries = self.entries(first, last)?;
        Ok(entries.into_iter().map(|entry| entry.plain).collect())
    }

    /// The first indices of all segments.
    pub(crate) fn segments(&self) -> Vec<u64> {
        self.replica
            .log()
            .segments()
            .map(|segment| segment.base_index)
            .collect()
    }
}
